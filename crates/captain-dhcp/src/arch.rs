//! Option 93's architectures: IANA's registry "Processor Architecture Types", and what each means to us.
//!
//! RFC 4578 has 7 and 9 the wrong way round; the registry is right, and firmware sends either for x64
//! (dnsmasq 2.76, Proxmox), so both boot.

use captain_model::{Arch, Firmware};

/// One row of the registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    /// The number in option 93.
    pub(crate) code: u16,
    /// The registry's name.
    pub(crate) name: &'static str,
    /// Whose loader it takes, or why there is none.
    pub(crate) boots: Boots,
}

/// What a row means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Boots {
    /// Boots as this platform, on this CPU.
    As(Firmware, Arch),
    /// Boots nothing of ours; the firmware it is, and why not.
    Not(Firmware, &'static str),
}

const NO_KERNEL: &str = "no OSIE is built for this CPU: amd64 and arm64 are";
const OLD: &str = "deprecated in the registry";
const BITS: &str = "32-bit firmware cannot start a 64-bit loader: set `loader` to a 32-bit one";

macro_rules! rows {
    ($($code:literal $name:literal $boots:expr),+ $(,)?) => {
        &[$(Row { code: $code, name: $name, boots: $boots }),+]
    };
}

use Boots::{As, Not};
use Firmware::{Bios, RaspberryPi, UBoot, Uefi};

/// The registry, complete as of 2026.
pub(crate) const ROWS: &[Row] = rows![
    0 "x86 BIOS" As(Bios, Arch::Amd64),
    1 "NEC/PC98" Not(Bios, OLD),
    2 "Itanium" Not(Uefi, NO_KERNEL),
    3 "DEC Alpha" Not(Bios, OLD),
    4 "Arc x86" Not(Bios, OLD),
    5 "Intel Lean Client" Not(Bios, OLD),
    6 "x86 UEFI" Not(Uefi, BITS),
    7 "x64 UEFI" As(Uefi, Arch::Amd64),
    8 "EFI Xscale" Not(Uefi, OLD),
    9 "EBC" As(Uefi, Arch::Amd64),
    10 "ARM 32-bit UEFI" Not(Uefi, BITS),
    11 "ARM 64-bit UEFI" As(Uefi, Arch::Arm64),
    12 "PowerPC Open Firmware" Not(Bios, NO_KERNEL),
    13 "PowerPC ePAPR" Not(Bios, NO_KERNEL),
    14 "POWER OPAL v3" Not(Bios, NO_KERNEL),
    15 "x86 UEFI boot from HTTP" Not(Uefi, BITS),
    16 "x64 UEFI boot from HTTP" As(Uefi, Arch::Amd64),
    17 "EBC boot from HTTP" As(Uefi, Arch::Amd64),
    18 "ARM UEFI 32 boot from HTTP" Not(Uefi, BITS),
    19 "ARM UEFI 64 boot from HTTP" As(Uefi, Arch::Arm64),
    20 "PC/AT BIOS boot from HTTP" As(Bios, Arch::Amd64),
    21 "ARM 32 U-Boot" Not(UBoot, BITS),
    22 "ARM 64 U-Boot" As(UBoot, Arch::Arm64),
    23 "ARM U-Boot 32 boot from HTTP" Not(UBoot, BITS),
    24 "ARM U-Boot 64 boot from HTTP" As(UBoot, Arch::Arm64),
    25 "RISC-V 32-bit UEFI" Not(Uefi, NO_KERNEL),
    26 "RISC-V 32-bit UEFI boot from HTTP" Not(Uefi, NO_KERNEL),
    27 "RISC-V 64-bit UEFI" Not(Uefi, NO_KERNEL),
    28 "RISC-V 64-bit UEFI boot from HTTP" Not(Uefi, NO_KERNEL),
    29 "RISC-V 128-bit UEFI" Not(Uefi, NO_KERNEL),
    30 "RISC-V 128-bit UEFI boot from HTTP" Not(Uefi, NO_KERNEL),
    31 "s390 Basic" Not(Bios, NO_KERNEL),
    32 "s390 Extended" Not(Bios, NO_KERNEL),
    33 "MIPS 32-bit UEFI" Not(Uefi, NO_KERNEL),
    34 "MIPS 64-bit UEFI" Not(Uefi, NO_KERNEL),
    35 "Sunway 32-bit UEFI" Not(Uefi, NO_KERNEL),
    36 "Sunway 64-bit UEFI" Not(Uefi, NO_KERNEL),
    37 "LoongArch 32-bit UEFI" Not(Uefi, NO_KERNEL),
    38 "LoongArch 32-bit UEFI boot from HTTP" Not(Uefi, NO_KERNEL),
    39 "LoongArch 64-bit UEFI" Not(Uefi, NO_KERNEL),
    40 "LoongArch 64-bit UEFI boot from HTTP" Not(Uefi, NO_KERNEL),
    41 "ARM rpiboot" As(RaspberryPi, Arch::Arm64),
];

/// The row of `code`, where the registry has one.
pub(crate) fn row(code: u16) -> Option<&'static Row> {
    ROWS.get(usize::from(code))
}

/// The row that speaks for a client that listed `codes`: the first one that boots, else the first known.
pub(crate) fn choose(codes: &[u16]) -> Option<&'static Row> {
    let known = || codes.iter().filter_map(|code| row(*code));
    known().find(|row| matches!(row.boots, As(..))).or_else(|| known().next())
}

impl Row {
    /// The firmware, whether or not it boots.
    pub(crate) const fn firmware(&self) -> Firmware {
        match self.boots {
            As(firmware, _) | Not(firmware, _) => firmware,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_stands_at_its_number() {
        for (at, row) in ROWS.iter().enumerate() {
            assert_eq!(usize::from(row.code), at, "{}", row.name);
        }
        assert_eq!(ROWS.len(), 42);
        assert_eq!(row(42), None);
        assert_eq!(row(0xffff), None);
    }

    #[test]
    fn the_first_one_that_boots_speaks_for_a_list() {
        for (codes, want) in [
            (&[7][..], Some(7)),
            (&[9], Some(9)),
            (&[6, 7], Some(7)),
            (&[0xbeef, 11], Some(11)),
            (&[27, 28], Some(27)),
            (&[0xbeef], None),
            (&[], None),
        ] {
            assert_eq!(choose(codes).map(|row| row.code), want, "{codes:?}");
        }
    }
}
