//! Who asks: what firmware a request comes from, by options 93, 60, 77, 97, 175 and the MAC's maker.

use captain_model::{Arch, Firmware, Mac};

use crate::arch::{self, Boots};
use crate::wire::{Ipxe, Request};

/// Makers' prefixes of Raspberry Pi boards (IEEE registry).
const PI_OUIS: [[u8; 3]; 6] = [
    [0xb8, 0x27, 0xeb],
    [0xdc, 0xa6, 0x32],
    [0xe4, 0x5f, 0x01],
    [0x28, 0xcd, 0xc1],
    [0xd8, 0x3a, 0xdd],
    [0x2c, 0xcf, 0x67],
];

/// User class of Tinkerbell's iPXE, and of ours: it takes scripts, whatever option 175 says.
const OUR_CLASS: &[u8] = b"Tinkerbell";

/// A client that wants something to boot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Netboot {
    /// How it loads code now.
    pub(crate) firmware: Firmware,
    /// What it would need a loader for: under iPXE, the firmware below.
    pub(crate) platform: Firmware,
    /// Its CPU, where it told one that we boot.
    pub(crate) arch: Option<Arch>,
    /// Whether it fetches by HTTP.
    pub(crate) http: bool,
    /// iPXE that can fetch our script and start our kernel.
    pub(crate) scripts: bool,
    /// Why there is no loader for its architecture.
    pub(crate) unsupported: Option<String>,
}

/// What asks, where it is a netboot client; else why it is none.
pub(crate) fn identify(request: &Request) -> Result<Netboot, String> {
    let class = Class::of(request);
    let ipxe = class_of_ipxe(request);
    let codes = codes(request);
    if class == Class::Other && ipxe.is_none() && !is_pi_without_class(request, &codes) {
        return Err("option 60 is neither PXEClient nor HTTPClient".to_owned());
    }
    let row = arch::choose(&codes);
    let platform = match row {
        _ if class == Class::UBoot => Firmware::UBoot,
        _ if is_pi(request, &codes) => Firmware::RaspberryPi,
        Some(row) => row.firmware(),
        None => Firmware::Bios,
    };
    let (arch, unsupported) = cpu(platform, row, &codes);
    let http = class == Class::Http;
    let firmware = match (&ipxe, http) {
        (Some(_), _) => Firmware::Ipxe,
        (None, true) => Firmware::UefiHttp,
        (None, false) => platform,
    };
    let scripts = ipxe.is_some_and(|who| who.takes_scripts(platform));
    Ok(Netboot { firmware, platform, arch, http, scripts, unsupported })
}

fn cpu(platform: Firmware, row: Option<&arch::Row>, codes: &[u16]) -> (Option<Arch>, Option<String>) {
    if platform == Firmware::RaspberryPi {
        return (Some(Arch::Arm64), None);
    }
    match row.map(|row| (row, row.boots)) {
        Some((_, Boots::As(_, arch))) => (Some(arch), None),
        Some((row, Boots::Not(_, why))) => (None, Some(format!("{} ({}): {why}", row.code, row.name))),
        None if codes.is_empty() => (None, Some("not told: option 93 is missing".to_owned())),
        None => (None, Some(format!("{} is not in IANA's registry", codes[0]))),
    }
}

/// Option 60's first word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    Pxe,
    Http,
    UBoot,
    Other,
}

impl Class {
    fn of(request: &Request) -> Self {
        const PREFIXES: [(&[u8], Class); 3] =
            [(b"PXEClient", Class::Pxe), (b"HTTPClient", Class::Http), (b"U-Boot", Class::UBoot)];
        let class = &request.vendor_class;
        PREFIXES.iter().find(|(prefix, _)| class.starts_with(prefix)).map_or(Self::Other, |(_, class)| *class)
    }
}

/// What kind of iPXE it is.
enum IpxeKind {
    /// Tinkerbell's or ours.
    Ours,
    /// Anyone's, with the features it claims.
    Foreign(Option<Ipxe>),
}

impl IpxeKind {
    /// A foreign one needs HTTP for the script, and what starts our kernel: bzImage support on a BIOS,
    /// EFI elsewhere (danderson/netboot#55, #17: built-in ones may lack either).
    fn takes_scripts(&self, platform: Firmware) -> bool {
        match self {
            Self::Ours => true,
            Self::Foreign(None) => false,
            Self::Foreign(Some(has)) => {
                has.http
                    && match platform {
                        Firmware::Bios => has.bzimage,
                        Firmware::Uefi
                        | Firmware::UefiHttp
                        | Firmware::Ipxe
                        | Firmware::RaspberryPi
                        | Firmware::UBoot => has.efi,
                    }
            }
        }
    }
}

fn class_of_ipxe(request: &Request) -> Option<IpxeKind> {
    let is = |name: &[u8]| request.user_classes.iter().any(|class| class == name);
    if is(OUR_CLASS) {
        return Some(IpxeKind::Ours);
    }
    (request.ipxe.is_some() || is(b"iPXE") || is(b"gPXE")).then_some(IpxeKind::Foreign(request.ipxe))
}

/// Option 93; where it is missing, the number in `PXEClient:Arch:00007:UNDI:003016`.
fn codes(request: &Request) -> Vec<u16> {
    if !request.archs.is_empty() {
        return request.archs.clone();
    }
    let class = String::from_utf8_lossy(&request.vendor_class);
    let number = class.split(':').nth(2).filter(|_| class.contains(":Arch:"));
    number.and_then(|text| text.parse().ok()).into_iter().collect()
}

/// A Pi's own boot ROM says it is a BIOS (architecture 0) or `rpiboot`; a Pi that runs EDK2 or U-Boot says
/// what that is, so the maker's prefix alone does not decide (raspberrypi/firmware#1850).
fn is_pi(request: &Request, codes: &[u16]) -> bool {
    let rom = codes.is_empty() || codes.iter().all(|code| matches!(code, 0 | 41));
    let named = request.uuid.as_ref().is_some_and(|id| id.get(1..4) == Some(b"RPi"));
    codes.contains(&41) || rom && (named || made_by_pi(request.mac))
}

/// A Pi's REQUEST has no option 60 (rpi-eeprom#82, #87); an operating system's has no option 93.
fn is_pi_without_class(request: &Request, codes: &[u16]) -> bool {
    request.vendor_class.is_empty() && !request.archs.is_empty() && is_pi(request, codes)
}

fn made_by_pi(mac: Mac) -> bool {
    PI_OUIS.contains(&mac.oui())
}
