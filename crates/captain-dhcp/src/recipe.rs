//! How each firmware wants to be told what to boot: rows of data, each field for a reason that was met.

use captain_model::{Arch, Firmware};

/// What a reply to one kind of firmware carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Recipe {
    /// Whether option 43 holds PXE's sub-options: discovery control 8, "boot the file, do not look for servers".
    pub(crate) pxe_options: bool,
    /// Whether option 43 also holds the menu that a Raspberry Pi looks for.
    pub(crate) pi_menu: bool,
    /// Whether it holds a prompt that waits for nobody, which some take for the sign of a whole offer.
    pub(crate) prompt: bool,
    /// Whether the server's name stands in `sname` and option 66 too.
    pub(crate) server_name: bool,
    /// Whether option 67 ends in a NUL.
    pub(crate) nul: bool,
    /// Option 175.176: do not wait for a ProxyDHCP offer.
    pub(crate) no_pxedhcp: bool,
    /// Longest file name it can take, bytes.
    pub(crate) longest: usize,
    /// Why so: for `explain`.
    pub(crate) why: &'static str,
}

/// `file` with its NUL.
const FIELD: usize = 127;
/// One option without RFC 3396 pieces, which firmware does not join.
const OPTION: usize = 254;

/// PXE 2.1 section 2.2.3; danderson/netboot `pixiecore/dhcp.go` (`FirmwareX86PC`): the ROM takes the file at
/// once. Without sub-options 6 and 10 it looks for boot servers (edk2#8149).
const BIOS: Recipe = Recipe {
    pxe_options: true,
    pi_menu: false,
    prompt: true,
    server_name: true,
    nul: true,
    no_pxedhcp: false,
    longest: FIELD,
    why: "a PXE ROM boots the file at once when 43.6 is 8",
};

/// No option 43: EDK2 forks in the field drop ProxyDHCP offers that have it and keep those without, whose
/// sender they then ask on port 4011 (edk2#6944; danderson/netboot#43, DL380 G9). A NUL ends option 67
/// because older EDK2 reads on into the next byte.
const UEFI: Recipe = Recipe {
    pxe_options: false,
    pi_menu: false,
    prompt: false,
    server_name: true,
    nul: true,
    no_pxedhcp: false,
    longest: FIELD,
    why: "UEFI gets no option 43, so that every EDK2 keeps the offer and asks port 4011 (edk2#6944)",
};

/// UEFI 2.10 section 24.7.2: class HTTPClient, absolute URI with an address as host (EDK2 ranks it first).
const UEFI_HTTP: Recipe = Recipe {
    pxe_options: false,
    pi_menu: false,
    prompt: false,
    server_name: false,
    nul: false,
    no_pxedhcp: false,
    longest: OPTION,
    why: "HTTP Boot takes an offer only when it says HTTPClient and names a URI",
};

/// iPXE's `dhcp.c`: final only with `siaddr` and a name; never a menu (ipxe#908). Sub-option 6 as in smee.
/// It takes the `file` field where that is filled, else option 67 (`dhcppkt.c`).
const IPXE: Recipe = Recipe {
    pxe_options: true,
    pi_menu: false,
    prompt: false,
    server_name: false,
    nul: false,
    no_pxedhcp: true,
    longest: OPTION,
    why: "iPXE takes a URL, and need not wait for ProxyDHCP",
};

/// raspberrypi/firmware#801, #1265: the ROM ignores the file and looks for these words in option 43; it
/// cannot stand pads (rpi-eeprom#72).
const RASPBERRY_PI: Recipe = Recipe {
    pxe_options: true,
    pi_menu: true,
    prompt: true,
    server_name: true,
    nul: false,
    no_pxedhcp: false,
    longest: FIELD,
    why: "a Raspberry Pi looks for \"Raspberry Pi Boot\" in option 43",
};

/// siderolabs/booter#11: it reads only `file`; others read 66 and 67, so all are filled.
const U_BOOT: Recipe = Recipe {
    pxe_options: false,
    pi_menu: false,
    prompt: false,
    server_name: true,
    nul: false,
    no_pxedhcp: false,
    longest: FIELD,
    why: "U-Boot reads `file`, some builds options 66 and 67",
};

impl Recipe {
    /// The row of `firmware`.
    pub(crate) const fn of(firmware: Firmware) -> &'static Self {
        match firmware {
            Firmware::Bios => &BIOS,
            Firmware::Uefi => &UEFI,
            Firmware::UefiHttp => &UEFI_HTTP,
            Firmware::Ipxe => &IPXE,
            Firmware::RaspberryPi => &RASPBERRY_PI,
            Firmware::UBoot => &U_BOOT,
        }
    }
}

/// The loader where neither machine nor profile names one. U-Boot starts EFI programs, so it gets UEFI's.
pub(crate) const fn default_loader(platform: Firmware, arch: Arch) -> Option<&'static str> {
    match platform {
        Firmware::UBoot => Firmware::Uefi.default_loader(arch),
        Firmware::Bios | Firmware::Uefi | Firmware::UefiHttp | Firmware::Ipxe | Firmware::RaspberryPi => {
            platform.default_loader(arch)
        }
    }
}
