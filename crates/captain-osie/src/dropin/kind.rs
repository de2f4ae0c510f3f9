//! Whose OSIE it is, and what that needs.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::ops::ControlFlow;
use std::path::Path;

use captain_model::Arch;
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::unpack;

/// Who made an OSIE.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// captaind.
    Captaind,
    /// Tinkerbell's CaptainOS.
    CaptainOs,
    /// Tinkerbell's Hook, made by LinuxKit.
    Hook,
    /// Equinix Metal's OSIE, made of Alpine Linux.
    Classic,
    /// Somebody else.
    Other,
}

/// Paths in an initramfs that only one maker has. CaptainOS's agent service is captaind's too, which comes first.
const SIGNS: [(&str, Kind); 5] = [
    ("usr/lib/captain/", Kind::Captaind),
    ("etc/linuxkit", Kind::Hook),
    ("containers/onboot/", Kind::Hook),
    ("containers/services/", Kind::Hook),
    ("usr/local/bin/tink-agent-setup", Kind::CaptainOs),
];

impl Kind {
    /// Looks into an initramfs. One that is no archive is somebody else's.
    pub(super) fn of_initramfs(path: &Path) -> Result<Self, Error> {
        let plain = unpack::bounded(path).map_err(Error::io(path))?;
        let mut seen = [false; SIGNS.len()];
        let walked = unpack::walk(plain, |entry, _| {
            let name = entry.name().trim_start_matches("./");
            for (seen, (sign, _)) in seen.iter_mut().zip(SIGNS) {
                *seen |= name.starts_with(sign);
            }
            Ok(if seen[0] { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        });
        // What cannot be read to its end may still have shown whose it is.
        drop(walked);
        let found = seen.iter().zip(SIGNS).find(|(seen, _)| **seen);
        Ok(found.map_or(Self::Other, |(_, (_, kind))| kind))
    }

    /// Kernel arguments that it does not start without (in Hook's case: that its makers give it).
    pub(super) fn arguments(self, arch: Arch, server: &str, base: &str) -> Vec<String> {
        let arch = arch.linux();
        match self {
            Self::Captaind | Self::CaptainOs | Self::Other => Vec::new(),
            Self::Hook => vec!["intel_iommu=on".to_owned(), "iommu=pt".to_owned()],
            Self::Classic => vec![
                "ip=dhcp".to_owned(),
                "modules=loop,squashfs,sd-mod,usb-storage".to_owned(),
                format!("alpine_repo={base}/repo-{arch}/main"),
                format!("modloop={base}/modloop-{arch}"),
                format!("tinkerbell={server}"),
                format!("packet_base_url={base}"),
                format!("parch={arch}"),
                "packet_action=workflow".to_owned(),
                // Its init does not start without one; a profile's own comes later and wins.
                "facility=onprem".to_owned(),
            ],
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Captaind => "captaind",
            Self::CaptainOs => "CaptainOS",
            Self::Hook => "Hook",
            Self::Classic => "classic OSIE",
            Self::Other => "other",
        })
    }
}

/// Checks that the kernel `name` at `path` is for `arch`: x86's boot protocol has `HdrS` at 0x202, arm64's image
/// `ARMd` at 0x38 (Documentation/arch of Linux, x86/boot and arm64/booting). Arm's may be gzipped.
///
/// # Errors
/// It is for another architecture, or no kernel; in words.
pub(super) fn check_kernel(path: &Path, name: &str, arch: Arch) -> Result<(), String> {
    let mut head = Vec::new();
    let file = File::open(path).map_err(|error| error.to_string())?;
    let plain = captain_unpack::decoder(file).map_err(|error| error.to_string())?;
    plain.take(0x206).read_to_end(&mut head).map_err(|error| format!("{name} is damaged: {error}"))?;
    let found = if head.get(0x202..0x206) == Some(b"HdrS") {
        Arch::Amd64
    } else if head.get(0x38..0x3c) == Some(b"ARMd") || efi_of(path) {
        Arch::Arm64
    } else {
        return Err(format!("{name} is not a Linux kernel for amd64 or arm64"));
    };
    match found == arch {
        true => Ok(()),
        false => Err(format!("{name} is a kernel for {found}, not for {arch}")),
    }
}

/// Whether it is an EFI program that unpacks an arm64 kernel (`zimg` behind the DOS header).
fn efi_of(path: &Path) -> bool {
    let mut head = [0; 8];
    File::open(path).is_ok_and(|mut file| file.read_exact(&mut head).is_ok()) && head[4..] == *b"zimg"
}
