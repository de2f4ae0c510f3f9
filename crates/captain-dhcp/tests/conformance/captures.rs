//! Real requests, byte for byte, and what they are answered.

use captain_model::DhcpMode;

use crate::rig::*;

/// Each capture, the file it is told, and whether option 43 is in the reply.
pub const FILES: [(&str, &str, &str, bool); 8] = [
    (
        "seabios-ipxe",
        include_str!("../captures/seabios-ipxe.hex"),
        "http://192.168.50.1:7080/ipxe/script/52:54:00:00:00:01/auto.ipxe",
        true,
    ),
    ("ovmf-pxe", include_str!("../captures/ovmf-pxe.hex"), "snponly.efi", false),
    (
        "ovmf-http",
        include_str!("../captures/ovmf-http.hex"),
        "http://192.168.50.1:7080/ipxe/binary/52:54:00:00:00:02/snponly.efi",
        false,
    ),
    ("aavmf-pxe", include_str!("../captures/aavmf-pxe.hex"), "ipxe-arm64.efi", false),
    (
        "aavmf-http",
        include_str!("../captures/aavmf-http.hex"),
        "http://192.168.50.1:7080/ipxe/binary/52:54:00:00:00:03/ipxe-arm64.efi",
        false,
    ),
    ("u-boot", include_str!("../captures/u-boot.hex"), "ipxe-arm64.efi", false),
    ("raspberry-pi-4", include_str!("../captures/raspberry-pi-4.hex"), "", true),
    ("intel-boot-agent", include_str!("../captures/intel-boot-agent.hex"), "undionly.kpxe", true),
];

/// The bytes of a hex file; lines with `#` are notes.
pub fn bytes(text: &str) -> Vec<u8> {
    let digits: String = text.lines().filter(|line| !line.starts_with('#')).collect();
    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect()
}

#[test]
fn every_captured_request_is_told_its_file_in_dynamic_and_proxy_mode() {
    for (name, hex, file, vendor) in FILES {
        for mode in [DhcpMode::Dynamic, DhcpMode::AutoProxy] {
            let got = Rig::new(mode).raw(&bytes(hex));
            assert_eq!(got.reply().kind(), OFFER, "{name} {mode}");
            assert_eq!(got.reply().file, file, "{name} {mode}");
            assert_eq!(got.reply().has(43), vendor, "{name} {mode}");
            assert_eq!(got.reply().siaddr, LOCAL, "{name} {mode}");
            assert_eq!(got.reply().yiaddr.is_unspecified(), mode == DhcpMode::AutoProxy, "{name} {mode}");
            assert!(got.refused().is_none(), "{name} {mode}");
        }
    }
}

/// The whole reply, byte for byte. `UPDATE_GOLDEN=1` rewrites; read the diff.
#[test]
fn replies_to_captured_requests_are_these_bytes() {
    for (name, hex, ..) in FILES {
        for mode in [DhcpMode::Dynamic, DhcpMode::AutoProxy] {
            let payload = Rig::new(mode).raw(&bytes(hex)).reply().payload.clone();
            let path = format!("{}/tests/captures/{name}.{mode}.reply.hex", env!("CARGO_MANIFEST_DIR"));
            if std::env::var_os("UPDATE_GOLDEN").is_some() {
                let rows: Vec<String> = payload
                    .chunks(32)
                    .map(|row| row.iter().map(|byte| format!("{byte:02x}")).collect())
                    .collect();
                std::fs::write(&path, rows.join("\n") + "\n").unwrap();
            }
            let golden = std::fs::read_to_string(&path).unwrap_or_default();
            assert!(bytes(&golden) == payload, "{path} differs: run with UPDATE_GOLDEN=1 and read the diff");
        }
    }
}
