//! Boot loaders for ISOs and UKIs, out of Debian packages that the lock pins.

use std::collections::BTreeMap;
use std::io::Read;

use captain_debian::{Archive, Deb, EntryKind, Fetched};
use captain_model::Arch;

use super::OutputFormat;
use crate::error::Error;
use crate::lock::Lock;
use crate::manifest::PackageRef;

/// systemd's EFI stub.
const STUB: &str = "systemd-boot-efi";
/// GRUB and the shim in front of it, signed: an ISO boots under Secure Boot, as the kernel does.
const GRUB_AMD64: &str = "grub-efi-amd64-signed";
const GRUB_ARM64: &str = "grub-efi-arm64-signed";
const SHIM: &str = "shim-signed";
/// ISOLINUX for BIOS, and the module that it cannot start without.
const ISOLINUX: &str = "isolinux";
const SYSLINUX: &str = "syslinux-common";

/// The packages that hold what `format` boots by.
pub(crate) fn packages(format: OutputFormat, arch: Arch) -> &'static [&'static str] {
    match (format, arch) {
        (OutputFormat::Initramfs | OutputFormat::Tar, _) => &[],
        (OutputFormat::Uki, _) => &[STUB],
        (OutputFormat::Iso, Arch::Amd64) => &[GRUB_AMD64, ISOLINUX, SHIM, SYSLINUX],
        (OutputFormat::Iso, Arch::Arm64) => &[GRUB_ARM64, SHIM],
    }
}

/// All of them that `archive` has now, sorted by name.
pub(crate) fn in_archive(archive: &Archive, arch: Arch) -> Result<Vec<PackageRef>, Error> {
    let mut found = Vec::new();
    for format in OutputFormat::ALL {
        for name in packages(format, arch) {
            let package = archive.universe().newest(name)?;
            found.extend(package.map(|package| PackageRef::of(&package, format!("boots the {format}"))));
        }
    }
    found.sort_by(|a: &PackageRef, b| a.name.cmp(&b.name));
    Ok(found)
}

/// Those of `lock` that `formats` need.
///
/// # Errors
/// The lock was made by an archive, or a captaind, that had no such package.
pub(crate) fn locked<'a>(
    lock: &Lock,
    formats: impl Iterator<Item = &'a OutputFormat>,
) -> Result<Vec<PackageRef>, Error> {
    let mut wanted = BTreeMap::new();
    for format in formats {
        for name in packages(*format, lock.arch) {
            let package = lock.media.iter().find(|package| package.name == *name).ok_or_else(|| {
                Error::Unsupported {
                    what: format!(
                        "the lock names no package {name}, from which a {format} boots: renew it with --update"
                    ),
                }
            })?;
            wanted.insert(*name, package.clone());
        }
    }
    Ok(wanted.into_values().collect())
}

/// Fetched packages, by name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Media(pub(crate) BTreeMap<String, Fetched>);

impl Media {
    /// systemd's EFI stub, which becomes a UKI.
    pub(super) fn stub(&self, arch: Arch) -> Result<Vec<u8>, Error> {
        let cpu = efi_name(arch);
        self.file(STUB, &format!("usr/lib/systemd/boot/efi/linux{cpu}.efi.stub"))
    }

    /// The shim, and GRUB as it starts from virtual media: it reads its configuration from the disc itself.
    pub(super) fn uefi(&self, arch: Arch) -> Result<[Vec<u8>; 2], Error> {
        let (package, folder) = match arch {
            Arch::Amd64 => (GRUB_AMD64, "x86_64-efi-signed"),
            Arch::Arm64 => (GRUB_ARM64, "arm64-efi-signed"),
        };
        let cpu = efi_name(arch);
        let shim = self.file(SHIM, &format!("usr/lib/shim/shim{cpu}.efi.signed"))?;
        Ok([shim, self.file(package, &format!("usr/lib/grub/{folder}/gcd{cpu}.efi.signed"))?])
    }

    /// `isolinux.bin`, `ldlinux.c32`, and the first sector of a disc that also starts from a USB stick.
    pub(super) fn bios(&self) -> Result<[Vec<u8>; 3], Error> {
        Ok([
            self.file(ISOLINUX, "usr/lib/ISOLINUX/isolinux.bin")?,
            self.file(SYSLINUX, "usr/lib/syslinux/modules/bios/ldlinux.c32")?,
            self.file(ISOLINUX, "usr/lib/ISOLINUX/isohdpfx.bin")?,
        ])
    }

    fn file(&self, package: &str, path: &str) -> Result<Vec<u8>, Error> {
        let fetched = self.0.get(package).ok_or_else(|| Error::malformed(package, "it was not fetched"))?;
        in_deb(&fetched.open()?, path)?.ok_or_else(|| {
            Error::malformed(package, format!("it holds no {path}, from which an image boots"))
        })
    }
}

/// What an architecture is called in names of EFI programs (UEFI 2.10 section 3.5.1.1), in lower case.
pub(super) const fn efi_name(arch: Arch) -> &'static str {
    match arch {
        Arch::Amd64 => "x64",
        Arch::Arm64 => "aa64",
    }
}

fn in_deb(deb: &Deb, path: &str) -> Result<Option<Vec<u8>>, Error> {
    let (mut found, mut link) = (None, None);
    deb.walk(|entry| {
        if entry.path != path {
            return Ok::<_, Error>(());
        }
        match entry.kind.clone() {
            EntryKind::File => {
                let mut bytes = Vec::new();
                entry.read_to_end(&mut bytes).map_err(Error::io(&entry.path))?;
                found = Some(bytes);
            }
            EntryKind::Symlink(target) => link = Some(target),
            _ => {}
        }
        Ok(())
    })?;
    match (found, link) {
        // A link beside its file: shims have one name for each of the keys they are signed with.
        (None, Some(target)) if !target.contains('/') && !path.ends_with(&format!("/{target}")) => {
            let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
            in_deb(deb, &format!("{folder}/{target}"))
        }
        (found, _) => Ok(found),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lock::testing::{lock, package};

    #[test]
    fn a_lock_without_a_formats_boot_loader_says_so_and_how_to_get_it() {
        let mut lock = lock();
        lock.media = vec![package(STUB, "1")];
        let names = |formats: &[OutputFormat]| {
            locked(&lock, formats.iter())
                .map(|found| found.into_iter().map(|package| package.name).collect::<Vec<_>>())
        };
        assert!(names(&[OutputFormat::Initramfs, OutputFormat::Tar]).unwrap().is_empty());
        assert_eq!(names(&[OutputFormat::Uki]).unwrap(), [STUB]);
        let error = names(&[OutputFormat::Iso]).unwrap_err().to_string();
        assert!(error.contains("grub-efi-amd64-signed") && error.contains("--update"), "{error}");
    }
}
