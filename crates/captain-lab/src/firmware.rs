//! The firmware that a lab machine can have: one row of data each.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use captain_model::Arch;

use crate::error::LabError;

/// Firmware of a virtual machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LabFirmware {
    /// SeaBIOS with QEMU's iPXE option ROM.
    Bios,
    /// OVMF that boots by PXE with its own network stack.
    Uefi,
    /// OVMF that boots by HTTP only.
    UefiHttp,
    /// An arm64 machine: AAVMF that boots by PXE.
    Arm64,
}

/// What QEMU is told for one kind of firmware.
pub(crate) struct Row {
    /// Its processor's architecture.
    pub(crate) arch: Arch,
    /// The emulator.
    pub(crate) qemu: Program,
    /// `-cpu` where the processor is emulated.
    pub(crate) cpu: &'static str,
    /// `-machine`.
    pub(crate) machine: &'static str,
    /// Flash: code (read-only) and variables (copied for each machine).
    pub(crate) flash: Option<Flash>,
    /// `romfile=` of the network card; `None` leaves QEMU's iPXE ROM in it.
    pub(crate) romfile: Option<&'static str>,
    /// Further arguments.
    pub(crate) extra: &'static [&'static str],
}

/// A program and the Debian package it comes from.
pub(crate) struct Program {
    pub(crate) name: &'static str,
    pub(crate) package: &'static str,
}

/// Flash images, by where distributions put them; the first pair that exists is used.
pub(crate) struct Flash {
    pub(crate) package: &'static str,
    pub(crate) pairs: &'static [(&'static str, &'static str)],
}

const X86: Program = Program { name: "qemu-system-x86_64", package: "qemu-system-x86" };

const ARM: Program = Program { name: "qemu-system-aarch64", package: "qemu-system-arm" };

const AAVMF: Flash = Flash {
    package: "qemu-efi-aarch64",
    pairs: &[
        ("/usr/share/AAVMF/AAVMF_CODE.fd", "/usr/share/AAVMF/AAVMF_VARS.fd"),
        ("/usr/share/edk2/aarch64/QEMU_EFI-pflash.raw", "/usr/share/edk2/aarch64/vars-template-pflash.raw"),
        ("/usr/share/edk2/aarch64/QEMU_CODE.fd", "/usr/share/edk2/aarch64/QEMU_VARS.fd"),
    ],
};

const OVMF: Flash = Flash {
    package: "ovmf",
    pairs: &[
        ("/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"),
        ("/usr/share/OVMF/OVMF_CODE.fd", "/usr/share/OVMF/OVMF_VARS.fd"),
        ("/usr/share/edk2/ovmf/OVMF_CODE.fd", "/usr/share/edk2/ovmf/OVMF_VARS.fd"),
        ("/usr/share/edk2/x64/OVMF_CODE.4m.fd", "/usr/share/edk2/x64/OVMF_VARS.4m.fd"),
    ],
};

/// A PC as QEMU has it, with SeaBIOS.
const PC: Row =
    Row { arch: Arch::Amd64, qemu: X86, cpu: "max", machine: "q35", flash: None, romfile: None, extra: &[] };

impl LabFirmware {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Bios, Self::Uefi, Self::UefiHttp, Self::Arm64];

    /// The name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bios => "bios",
            Self::Uefi => "uefi",
            Self::UefiHttp => "uefi-http",
            Self::Arm64 => "arm64",
        }
    }

    /// Which kernel its machine runs.
    pub const fn arch(self) -> Arch {
        self.row().arch
    }

    pub(crate) const fn row(self) -> Row {
        match self {
            // Seen with SeaBIOS 1.16.2 and ipxe-qemu 1.0.0+git-20190125 (2026-11): the ROM is an iPXE of its
            // own (user class `iPXE`), asks for DHCP 3 s after power-on, and asks twice.
            Self::Bios => PC,
            // Without the ROM the firmware's own VirtioNetDxe and PXE base code are what boots. Seen with OVMF
            // 2022.11 (2026-11): the first DISCOVER comes 5.5 s after power-on, the second 4 s later; arch 7,
            // UNDI 003000; TFTP first for the size (ended with error 8), then for the file.
            Self::Uefi => Row {
                flash: Some(OVMF),
                romfile: Some(""),
                extra: &["-fw_cfg", "name=opt/org.tianocore/IPv6PXESupport,string=n"],
                ..PC
            },
            // With PXE switched off by fw_cfg the boot option that is left for the card is HTTP Boot over
            // IPv4. Seen with OVMF 2022.11 (2026-11): class `HTTPClient:Arch:00016:UNDI:003000`, HEAD, then GET.
            Self::UefiHttp => Row {
                flash: Some(OVMF),
                romfile: Some(""),
                extra: &[
                    "-fw_cfg",
                    "name=opt/org.tianocore/IPv4PXESupport,string=n",
                    "-fw_cfg",
                    "name=opt/org.tianocore/IPv6PXESupport,string=n",
                ],
                ..PC
            },
            Self::Arm64 => Row {
                arch: Arch::Arm64,
                qemu: ARM,
                // Emulating the architecture's own algorithm for pointer signatures takes most of the time.
                cpu: "max,pauth-impdef=on",
                machine: "virt",
                flash: Some(AAVMF),
                romfile: Some(""),
                extra: &[],
            },
        }
    }

    /// The emulator's path.
    ///
    /// # Errors
    /// It is not in PATH.
    pub(crate) fn emulator(self) -> Result<PathBuf, LabError> {
        let Program { name, package } = self.row().qemu;
        find_program(name, package)
    }

    /// The flash images of this firmware on this box: code and variables.
    ///
    /// # Errors
    /// None of the known places has them.
    pub(crate) fn flash(self) -> Result<Option<(PathBuf, PathBuf)>, LabError> {
        let Some(flash) = self.row().flash else { return Ok(None) };
        let pairs = flash.pairs.iter().map(|(code, vars)| (PathBuf::from(code), PathBuf::from(vars)));
        match pairs.into_iter().find(|(code, vars)| code.is_file() && vars.is_file()) {
            Some(pair) => Ok(Some(pair)),
            None => Err(LabError::FirmwareMissing {
                firmware: self.name(),
                file: flash.pairs[0].0.to_owned(),
                package: flash.package,
            }),
        }
    }
}

/// `name` in PATH, or in the folders where Debian keeps servers and ordinary users do not look.
///
/// # Errors
/// It is in none of them; names the package.
pub(crate) fn find_program(name: &'static str, package: &'static str) -> Result<PathBuf, LabError> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin", "/sbin"].map(PathBuf::from));
    folders
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
        .ok_or(LabError::ProgramMissing { program: name, package })
}

impl fmt::Display for LabFirmware {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for LabFirmware {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|f| f.name() == text).ok_or_else(|| {
            let names: Vec<_> = Self::ALL.iter().map(|f| f.name()).collect();
            format!("`{text}` is not a firmware of the lab: use one of {}", names.join(", "))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_read_back_and_others_are_refused_with_the_choice() {
        for firmware in LabFirmware::ALL {
            assert_eq!(firmware.name().parse(), Ok(firmware));
        }
        let error = "coreboot".parse::<LabFirmware>().unwrap_err();
        assert!(error.contains("bios, uefi, uefi-http, arm64"), "{error}");
    }

    #[test]
    fn a_program_that_is_not_there_is_named_with_its_package() {
        let error = find_program("no-such-program", "no-such-package").unwrap_err();
        assert!(error.is_missing());
        assert!(error.to_string().contains("apt install no-such-package"), "{error}");
    }
}
