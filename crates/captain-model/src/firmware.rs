//! How a machine loads code now ([`Firmware`]), kept apart from which kernel it runs ([`Arch`]).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// CPU architecture: chooses the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Arch {
    /// x86-64.
    Amd64,
    /// AArch64.
    Arm64,
}

impl Arch {
    /// Every architecture an OSIE can be built for.
    pub const ALL: [Self; 2] = [Self::Amd64, Self::Arm64];

    /// Debian's name: `amd64`, `arm64`.
    pub const fn debian(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
        }
    }

    /// Linux's and Tinkerbell's name, used in artifact names: `x86_64`, `aarch64`.
    pub const fn linux(self) -> &'static str {
        match self {
            Self::Amd64 => "x86_64",
            Self::Arm64 => "aarch64",
        }
    }
}

impl fmt::Display for Arch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.debian())
    }
}

impl FromStr for Arch {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "amd64" | "x86_64" => Ok(Self::Amd64),
            "arm64" | "aarch64" => Ok(Self::Arm64),
            _ => Err(format!("`{text}` is not an architecture: use amd64 or arm64")),
        }
    }
}

/// How a machine loads code right now: chooses the boot loader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Firmware {
    /// PC BIOS with a PXE option ROM.
    Bios,
    /// UEFI that fetches its boot file by TFTP (PXE).
    Uefi,
    /// UEFI that fetches its boot file by HTTP (UEFI specification, HTTP Boot).
    UefiHttp,
    /// iPXE, from a ROM or chain-loaded: takes a script.
    Ipxe,
    /// Raspberry Pi's own network boot loader.
    RaspberryPi,
    /// U-Boot's PXE support.
    UBoot,
}

impl Firmware {
    /// Every kind of firmware.
    pub const ALL: [Self; 6] =
        [Self::Bios, Self::Uefi, Self::UefiHttp, Self::Ipxe, Self::RaspberryPi, Self::UBoot];

    /// The name in the configuration, on the command line and in logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bios => "bios",
            Self::Uefi => "uefi",
            Self::UefiHttp => "uefi-http",
            Self::Ipxe => "ipxe",
            Self::RaspberryPi => "raspberry-pi",
            Self::UBoot => "u-boot",
        }
    }

    /// The boot loader that this firmware is given on `arch` where neither machine nor profile names one:
    /// a file of the loaders folder. `None` where the firmware takes no loader from us.
    ///
    /// UEFI gets the build that uses the firmware's own network driver: it works on every card the
    /// firmware itself could boot from, and does not unbind the firmware's driver (ipxe#1776). Debian's `ipxe`
    /// package has that build for amd64 only (seen in 1.21.1+git20250501); arm64 gets the one with all drivers.
    pub const fn default_loader(self, arch: Arch) -> Option<&'static str> {
        match (self, arch) {
            (Self::Bios, Arch::Amd64) => Some("undionly.kpxe"),
            (Self::Uefi | Self::UefiHttp, Arch::Amd64) => Some("snponly.efi"),
            (Self::Uefi | Self::UefiHttp, Arch::Arm64) => Some("ipxe-arm64.efi"),
            (Self::Bios, Arch::Arm64) | (Self::Ipxe | Self::RaspberryPi | Self::UBoot, _) => None,
        }
    }
}

impl fmt::Display for Firmware {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Firmware {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|f| f.name() == text).ok_or_else(|| {
            let names: Vec<_> = Self::ALL.iter().map(|f| f.name()).collect();
            format!("`{text}` is not a firmware: use one of {}", names.join(", "))
        })
    }
}
