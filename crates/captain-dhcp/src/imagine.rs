//! The DISCOVER that each firmware sends, after what real ones sent (`tests/captures`).

use captain_model::{Arch, Firmware};

use crate::Question;
use crate::wire::{Rank, ReplyOption, Response, Room, encode, option as code};

/// What real firmware asks for, in this order (OVMF, November 2026; iPXE; others ask for less).
const WISHES: [u8; 20] = [1, 3, 6, 7, 12, 15, 28, 42, 43, 51, 54, 58, 59, 60, 66, 67, 97, 119, 121, 175];
/// iPXE's features that matter here: HTTP, TFTP, DNS, bzImage, EFI.
const FEATURES: [u8; 5] = [0x13, 0x15, 0x17, 0x18, 0x24];

/// The DISCOVER for `question`.
pub(crate) fn discover(question: &Question) -> Vec<u8> {
    let arch = number(question.firmware, question.arch);
    let mut message = Response::new(1, question.mac, 0);
    if let Some(relay) = question.relay {
        message.giaddr = relay;
    }
    let mut add = |code, data: &[u8]| {
        message.options.push(ReplyOption {
            code,
            data: data.to_vec(),
            rank: Rank::Vital,
            why: String::new(),
        });
    };
    add(code::MESSAGE_TYPE, &[1]);
    add(code::MAX_SIZE, &1472_u16.to_be_bytes());
    add(code::PARAMETERS, &WISHES);
    add(code::ARCH, &arch.to_be_bytes());
    add(code::UNDI, &[1, 3, 0]);
    add(code::VENDOR_CLASS, class(question.firmware, arch).as_bytes());
    match question.firmware {
        Firmware::Ipxe => {
            add(code::USER_CLASS, b"iPXE");
            add(code::IPXE, &FEATURES.map(|feature| [feature, 1, 1]).concat());
        }
        Firmware::RaspberryPi => add(code::UUID, b"\0RPi4\0\0\0\0\0\0\0\0\0\0\0\0"),
        Firmware::Bios | Firmware::Uefi | Firmware::UefiHttp | Firmware::UBoot => add(code::UUID, &[0; 17]),
    }
    let room = Room { limit: 1472, overload: false, pad: 300 };
    // Nothing here depends on anything configured, so it always fits.
    encode(message, room).map(|encoded| encoded.payload).unwrap_or_default()
}

/// IANA's number for the two.
const fn number(firmware: Firmware, arch: Arch) -> u16 {
    match (firmware, arch) {
        (Firmware::Bios | Firmware::Ipxe, Arch::Amd64) | (Firmware::RaspberryPi, _) => 0,
        (Firmware::Uefi, Arch::Amd64) => 7,
        (Firmware::Uefi | Firmware::Bios | Firmware::Ipxe, Arch::Arm64) => 11,
        (Firmware::UefiHttp, Arch::Amd64) => 16,
        (Firmware::UefiHttp, Arch::Arm64) => 19,
        (Firmware::UBoot, _) => 22,
    }
}

fn class(firmware: Firmware, arch: u16) -> String {
    match firmware {
        Firmware::UefiHttp => format!("HTTPClient:Arch:{arch:05}:UNDI:003000"),
        Firmware::UBoot => "U-Boot.armv8".to_owned(),
        Firmware::Bios | Firmware::Uefi | Firmware::Ipxe | Firmware::RaspberryPi => {
            format!("PXEClient:Arch:{arch:05}:UNDI:003000")
        }
    }
}
