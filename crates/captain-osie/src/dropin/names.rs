//! What files of other makers' OSIEs are called, and what captaind calls them.

use std::fs;
use std::path::Path;

use captain_model::Arch;

use crate::error::Error;

/// What a file is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Kernel,
    Initramfs,
    /// Modules of a classic OSIE, as a file system of their own.
    Modloop,
    Iso,
}

/// A file's name, understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Parsed {
    pub(super) part: Part,
    pub(super) arch: Arch,
}

/// Linux's names first, as Hook and CaptainOS use now; Debian's, as they used before.
const ARCHES: [(&str, Arch); 4] =
    [("x86_64", Arch::Amd64), ("aarch64", Arch::Arm64), ("amd64", Arch::Amd64), ("arm64", Arch::Arm64)];
/// What may follow the architecture.
const ENDINGS: [&str; 6] = ["", ".cpio.zst", ".cpio.gz", ".zst", ".gz", ".img"];

impl Part {
    /// The name that it is served under.
    pub(super) fn name(self, arch: Arch) -> String {
        let arch = arch.linux();
        match self {
            Self::Kernel => format!("vmlinuz-{arch}"),
            Self::Initramfs => format!("initramfs-{arch}"),
            Self::Modloop => format!("modloop-{arch}"),
            Self::Iso => format!("osie-{arch}.iso"),
        }
    }
}

/// `vmlinuz-x86_64`, `initramfs-6.18.16-x86_64`, `vmlinuz-latest-lts-aarch64`, `initramfs-amd64.cpio.zst`,
/// `modloop-x86_64`, `captainos-6.18.16-x86_64.iso`.
pub(super) fn parse(name: &str) -> Option<Parsed> {
    if let Some(stem) = name.strip_suffix(".iso") {
        let arch = ARCHES.iter().find(|(word, _)| stem.contains(word))?.1;
        return Some(Parsed { part: Part::Iso, arch });
    }
    let parts = [("vmlinuz-", Part::Kernel), ("initramfs-", Part::Initramfs), ("modloop-", Part::Modloop)];
    let (rest, part) = parts.iter().find_map(|(start, part)| Some((name.strip_prefix(start)?, *part)))?;
    for ending in ENDINGS {
        let Some(stem) = rest.strip_suffix(ending) else { continue };
        let whole = |word: &str| stem == word || stem.ends_with(&format!("-{word}"));
        if let Some((_, arch)) = ARCHES.iter().find(|(word, _)| whole(word)) {
            return Some(Parsed { part, arch: *arch });
        }
    }
    None
}

/// Whether it is a list of sums: `sha256sums-6.18.16-x86_64.txt`, `checksum.txt`.
pub(super) fn is_list(name: &str) -> bool {
    name.ends_with(".txt") && (name.starts_with("sha256sums") || name.starts_with("checksum"))
}

/// The path that a file of the source has below the OSIE's folder, wherever in the source that lies; `None` for what
/// does not belong to an OSIE. `misc/osie/current/repo-x86_64/main/x` is `repo-x86_64/main/x`.
pub(super) fn wanted(path: &str) -> Option<&str> {
    let mut rest = path;
    loop {
        let first = rest.split('/').next()?;
        let is_file = first.len() == rest.len();
        let of_classic = ["osie-", "osie_", "discover-metal"].iter().any(|start| first.starts_with(start));
        if first.starts_with("repo-") && !is_file
            || is_file && (parse(first).is_some() || is_list(first) || of_classic)
        {
            return Some(rest);
        }
        rest = rest.split_once('/')?.1;
    }
}

/// Paths of all files below `folder`, sorted.
pub(super) fn files(folder: &Path) -> Result<Vec<String>, Error> {
    fn collect(folder: &Path, below: &str, found: &mut Vec<String>) -> Result<(), Error> {
        for entry in fs::read_dir(folder).map_err(Error::io(folder))? {
            let entry = entry.map_err(Error::io(folder))?;
            let name = format!("{below}{}", entry.file_name().to_string_lossy());
            match entry.file_type().map_err(Error::io(folder))?.is_dir() {
                true => collect(&entry.path(), &format!("{name}/"), found)?,
                false => found.push(name),
            }
        }
        Ok(())
    }
    let mut found = Vec::new();
    collect(folder, "", &mut found)?;
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_every_maker_are_understood() {
        for (name, part, arch) in [
            ("vmlinuz-x86_64", Part::Kernel, Arch::Amd64),
            ("initramfs-6.18.16-x86_64", Part::Initramfs, Arch::Amd64),
            ("vmlinuz-latest-lts-aarch64", Part::Kernel, Arch::Arm64),
            ("initramfs-amd64.cpio.zst", Part::Initramfs, Arch::Amd64),
            ("modloop-x86_64", Part::Modloop, Arch::Amd64),
            ("captainos-6.18.16-aarch64.iso", Part::Iso, Arch::Arm64),
        ] {
            assert_eq!(parse(name), Some(Parsed { part, arch }), "{name}");
        }
        for name in
            ["vmlinuz", "vmlinuz-riscv64", "notes.txt", "vmlinuz-x86_64.sig", "x.iso", "xvmlinuz-x86_64"]
        {
            assert_eq!(parse(name), None, "{name}");
        }
    }

    #[test]
    fn an_osie_is_found_in_whatever_folder_its_archive_has() {
        assert_eq!(wanted("vmlinuz-x86_64"), Some("vmlinuz-x86_64"));
        assert_eq!(wanted("hook/out/initramfs-x86_64"), Some("initramfs-x86_64"));
        assert_eq!(wanted("misc/osie/current/repo-x86_64/main/a.apk"), Some("repo-x86_64/main/a.apk"));
        assert_eq!(wanted("sha256sums-6.18.16-x86_64.txt"), Some("sha256sums-6.18.16-x86_64.txt"));
        assert_eq!(wanted("README.md"), None);
        assert_eq!(wanted("dtbs-x86_64/some.dtb"), None);
    }
}
