//! What an OSIE is packed into beside kernel and initramfs: an archive, a UKI, an ISO.
//!
//! All of them are made from the two files that were just written, and by this crate alone: one lock gives one
//! byte sequence here too.

mod body;
mod fat;
mod hybrid;
mod iso;
mod iso9660;
pub(crate) mod media;
mod pe;
mod tar;
mod uki;

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;
use std::str::FromStr;

use captain_model::{Arch, Cmdline};
use serde::{Deserialize, Serialize};

pub(crate) use body::Body;
pub(crate) use media::{Media, in_archive};

use crate::error::Error;
use crate::output::Output;

/// A form that an OSIE is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OutputFormat {
    /// Kernel and initramfs: always written, as all others are made from them.
    Initramfs,
    /// The archive that installations of Hook and CaptainOS unpack into their web server's folder.
    Tar,
    /// Unified kernel image: one EFI program of kernel, initramfs and command line.
    Uki,
    /// Virtual media for BIOS and UEFI, with room for a machine's command line.
    Iso,
}

impl OutputFormat {
    /// Every format.
    pub const ALL: [Self; 4] = [Self::Initramfs, Self::Tar, Self::Uki, Self::Iso];

    /// The name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Initramfs => "initramfs",
            Self::Tar => "tar",
            Self::Uki => "uki",
            Self::Iso => "iso",
        }
    }

    /// The file's name: `osie-x86_64.iso`.
    pub fn file(self, arch: Arch) -> String {
        match self {
            Self::Initramfs => format!("initramfs-{}", arch.linux()),
            Self::Tar => format!("osie-{}.tar.gz", arch.linux()),
            Self::Uki => format!("osie-{}.efi", arch.linux()),
            Self::Iso => format!("osie-{}.iso", arch.linux()),
        }
    }
}

impl fmt::Display for OutputFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for OutputFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|format| format.name() == text).ok_or_else(|| {
            let names: Vec<_> = Self::ALL.iter().map(|format| format.name()).collect();
            format!("`{text}` is not a format: use {}", names.join(", "))
        })
    }
}

/// The formats that lie in `folder` from an earlier build. They are to be renewed with it, or an ISO would boot an
/// older OSIE than the kernel and initramfs beside it.
pub fn formats_in(folder: &Path, arch: Arch) -> BTreeSet<OutputFormat> {
    OutputFormat::ALL.into_iter().filter(|format| folder.join(format.file(arch)).is_file()).collect()
}

/// What all formats are made from.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) arch: Arch,
    /// No file is younger, seconds since the epoch.
    pub(crate) date: u64,
    pub(crate) kernel: Body,
    pub(crate) initramfs: Body,
    /// SHA-256 of both, hexadecimal, in this order.
    pub(crate) sums: [String; 2],
    /// The kernel's version.
    pub(crate) version: String,
    /// Text of the image's os-release.
    pub(crate) os_release: String,
    /// What a UKI starts its kernel with.
    pub(crate) cmdline: Cmdline,
}

impl Source {
    fn names(&self) -> [String; 2] {
        ["vmlinuz", "initramfs"].map(|kind| format!("{kind}-{}", self.arch.linux()))
    }
}

/// Writes `source` as `format`.
pub(crate) fn write(
    format: OutputFormat,
    source: &Source,
    media: &Media,
    out: Output,
) -> Result<Output, Error> {
    match format {
        // Written before: everything else is made from it.
        OutputFormat::Initramfs => Ok(out),
        OutputFormat::Tar => tar::write(source, out),
        OutputFormat::Uki => uki::write(source, media, out),
        OutputFormat::Iso => iso::write(source, media, out),
    }
}

#[cfg(test)]
pub(crate) mod testing {
    use super::*;

    /// A kernel and an initramfs of a few bytes.
    pub(crate) fn source(arch: Arch) -> Source {
        Source {
            arch,
            date: 1_700_000_000,
            kernel: Body::Bytes(b"the kernel".to_vec()),
            initramfs: Body::Bytes(vec![7; 5000]),
            sums: ["aa".to_owned(), "bb".to_owned()],
            version: "6.12.1-amd64".to_owned(),
            os_release: "ID=debian\nVERSION_ID=\"13\"\n".to_owned(),
            cmdline: Cmdline::parse_line("console=ttyS0 quiet").unwrap(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_read_back_and_others_are_refused_with_the_choice() {
        for format in OutputFormat::ALL {
            assert_eq!(format.name().parse(), Ok(format));
        }
        let error = "qcow2".parse::<OutputFormat>().unwrap_err();
        assert!(error.contains("initramfs, tar, uki, iso"), "{error}");
    }

    #[test]
    fn formats_of_an_earlier_build_are_found_for_their_architecture_only() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("osie-x86_64.iso"), "").unwrap();
        std::fs::write(folder.path().join("osie-aarch64.efi"), "").unwrap();
        assert_eq!(formats_in(folder.path(), Arch::Amd64), BTreeSet::from([OutputFormat::Iso]));
        assert_eq!(formats_in(folder.path(), Arch::Arm64), BTreeSet::from([OutputFormat::Uki]));
    }
}
