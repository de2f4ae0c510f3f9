//! What each firmware is told, and how.

use captain_model::{Arch, DhcpMode, EventKind, Firmware, Mac};

use crate::cases;
use crate::rig::*;

fn dynamic() -> Rig {
    Rig::new(DhcpMode::Dynamic)
}

fn proxy() -> Rig {
    Rig::new(DhcpMode::AutoProxy)
}

const SCRIPT: &str = "http://192.168.50.1:7080/ipxe/script/52:54:00:00:00:01/auto.ipxe";

fn pi() -> Ask {
    let mac = Mac::new([0xdc, 0xa6, 0x32, 0, 0, 1]);
    Ask::new(DISCOVER, mac).with(60, "PXEClient:Arch:00000:UNDI:002001").with(93, [0, 0]).with(94, [1, 2, 1])
}

fn u_boot() -> Ask {
    Ask::discover(1).with(60, "U-Boot.armv8").with(93, [0, 22])
}

fn seen(got: &Got) -> (Option<Firmware>, Option<Arch>) {
    let found = got.outcome.events.iter().find_map(|event| match &event.kind {
        EventKind::DhcpReply { firmware, arch, .. } => Some((*firmware, *arch)),
        _ => None,
    });
    found.unwrap()
}

/// IANA's registry: the loader of a PXE client of each architecture, or a part of the reason why none.
pub const ARCHS: [(u16, Result<&str, &str>); 45] = [
    (0, Ok("undionly.kpxe")),
    (1, Err("deprecated")),
    (2, Err("no OSIE")),
    (3, Err("deprecated")),
    (4, Err("deprecated")),
    (5, Err("deprecated")),
    (6, Err("32-bit")),
    (7, Ok("snponly.efi")),
    (8, Err("deprecated")),
    (9, Ok("snponly.efi")),
    (10, Err("32-bit")),
    (11, Ok("ipxe-arm64.efi")),
    (12, Err("no OSIE")),
    (13, Err("no OSIE")),
    (14, Err("no OSIE")),
    (15, Err("32-bit")),
    (16, Ok("snponly.efi")),
    (17, Ok("snponly.efi")),
    (18, Err("32-bit")),
    (19, Ok("ipxe-arm64.efi")),
    (20, Ok("undionly.kpxe")),
    (21, Err("32-bit")),
    (22, Ok("ipxe-arm64.efi")),
    (23, Err("32-bit")),
    (24, Ok("ipxe-arm64.efi")),
    (25, Err("no OSIE")),
    (26, Err("no OSIE")),
    (27, Err("no OSIE")),
    (28, Err("no OSIE")),
    (29, Err("no OSIE")),
    (30, Err("no OSIE")),
    (31, Err("no OSIE")),
    (32, Err("no OSIE")),
    (33, Err("no OSIE")),
    (34, Err("no OSIE")),
    (35, Err("no OSIE")),
    (36, Err("no OSIE")),
    (37, Err("no OSIE")),
    (38, Err("no OSIE")),
    (39, Err("no OSIE")),
    (40, Err("no OSIE")),
    (41, Ok("")),
    (42, Err("IANA")),
    (0x00ff, Err("IANA")),
    (0xffff, Err("IANA")),
];

#[test]
fn every_architecture_of_the_registry_boots_or_is_refused_with_a_reason() {
    for (code, want) in ARCHS {
        let got = dynamic().send(&Ask::discover(1).pxe(code));
        match want {
            Ok(file) => assert_eq!(got.reply().file, file, "{code}"),
            Err(why) => {
                assert!(got.reply().file.is_empty() && !got.reply().yiaddr.is_unspecified(), "{code}");
                let refused = got.refused().unwrap_or_else(|| panic!("{code} is not refused"));
                assert!(refused.contains(why) && refused.contains(&code.to_string()), "{refused}");
                let silent = proxy().send(&Ask::discover(1).pxe(code)).ignored();
                assert!(silent.contains("no boot loader for architecture"), "{silent}");
            }
        }
    }
}

pub const CASES: &[Case] = cases! {
    "pixiecore FirmwareX86PC", "a BIOS gets 60, 43.6 = 8, 43.10, file, 66, 67, siaddr and sname, in every mode", || {
        for mut rig in [dynamic(), proxy()] {
            let got = rig.send(&Ask::discover(1).pxe(0));
            let reply = got.reply();
            assert_eq!((reply.option(60), reply.option(43)), (&b"PXEClient"[..], &b"\x06\x01\x08\x0a\x04\0PXE\xff"[..]));
            assert_eq!((reply.file.as_str(), reply.option(67)), ("undionly.kpxe", &b"undionly.kpxe\0"[..]));
            assert_eq!((reply.siaddr, reply.option(66)), (LOCAL, &b"192.168.50.1"[..]));
            assert!(reply.sname.starts_with(b"192.168.50.1\0"));
        }
    };
    "edk2#6944", "UEFI gets 60, siaddr and file, and no option 43, in every mode", || {
        for mut rig in [dynamic(), proxy()] {
            let got = rig.send(&Ask::discover(1).pxe(7));
            let reply = got.reply();
            assert!(!reply.has(43));
            assert_eq!((reply.option(60), reply.siaddr), (&b"PXEClient"[..], LOCAL));
            assert_eq!((reply.file.as_str(), reply.option(67)), ("snponly.efi", &b"snponly.efi\0"[..]));
        }
    };
    "edk2#6944", "UEFI gets the same file from port 4011", || {
        let got = proxy().boot_server(&Ask::new(REQUEST, mac(1)).pxe(7), "192.168.50.77");
        assert_eq!((got.reply().kind(), got.reply().file.as_str(), got.reply().has(43)), (ACK, "snponly.efi", false));
    };
    "dnsmasq 2.76", "architectures 7 and 9 are both x64", || {
        for code in [7, 9] {
            assert_eq!(seen(&dynamic().send(&Ask::discover(1).pxe(code))), (Some(Firmware::Uefi), Some(Arch::Amd64)));
        }
    };
    "RFC 4578 section 2.1", "option 93 is a list, of which the first that boots counts", || {
        let ask = Ask::discover(1).with(60, "PXEClient").with(93, [0, 6, 0, 7]);
        assert_eq!(dynamic().send(&ask).reply().file, "snponly.efi");
    };
    "UEFI 2.10 section 24.7.2", "HTTP Boot gets HTTPClient and a URI with an address, in every mode", || {
        for mut rig in [dynamic(), proxy()] {
            let got = rig.send(&Ask::discover(1).http(16));
            let url = "http://192.168.50.1:7080/ipxe/binary/52:54:00:00:00:01/snponly.efi";
            assert_eq!(got.reply().option(60), b"HTTPClient");
            assert_eq!((got.reply().file.as_str(), got.reply().option(67)), (url, url.as_bytes()));
            assert!(!got.reply().has(43));
            assert_eq!(seen(&got), (Some(Firmware::UefiHttp), Some(Arch::Amd64)));
        }
    };
    "UEFI 2.10 section 24.7.2", "HTTP Boot on arm64 gets arm64's loader", || {
        let url = dynamic().send(&Ask::discover(1).http(19)).reply().bootfile();
        assert!(url.ends_with("/ipxe-arm64.efi"), "{url}");
    };
    "IANA registry", "a BIOS that boots by HTTP gets the BIOS loader by URL", || {
        let url = dynamic().send(&Ask::discover(1).http(20)).reply().bootfile();
        assert!(url.starts_with("http://") && url.ends_with("/undionly.kpxe"), "{url}");
    };
    "INTERFACE.md http_port", "URLs name the configured port and the address of the interface", || {
        let mut rig = dynamic();
        rig.settings(|settings| settings.http_port = 8099);
        rig.ingress.local = ip("192.168.50.5");
        let url = rig.send(&Ask::discover(1).http(16)).reply().bootfile();
        assert!(url.starts_with("http://192.168.50.5:8099/"), "{url}");
    };
    "contract", "iPXE with HTTP and bzImage gets its script, in every mode", || {
        for mut rig in [dynamic(), proxy()] {
            let got = rig.send(&Ask::discover(1).ipxe(0, &[0x13, 0x18]));
            assert_eq!((got.reply().bootfile(), got.reply().file.as_str()), (SCRIPT.to_owned(), SCRIPT));
            assert_eq!(seen(&got), (Some(Firmware::Ipxe), Some(Arch::Amd64)));
        }
    };
    "iPXE src/net/udp/dhcp.c", "iPXE gets siaddr and a file name, so that the offer is final", || {
        let got = dynamic().send(&Ask::discover(1).ipxe(0, &[0x13, 0x18]));
        assert!(!got.reply().siaddr.is_unspecified() && !got.reply().file.is_empty());
    };
    "iPXE src/include/ipxe/dhcp.h", "iPXE is told by 175.176 not to wait for ProxyDHCP", || {
        assert_eq!(dynamic().send(&Ask::discover(1).ipxe(0, &[0x13, 0x18])).reply().option(175), [0xb0, 1, 1]);
    };
    "iPXE src/include/ipxe/dhcp.h", "nobody else gets option 175", || {
        assert!(!dynamic().send(&Ask::discover(1).pxe(0)).reply().has(175));
    };
    "ipxe#908", "iPXE never gets a menu", || {
        let got = dynamic().send(&Ask::discover(1).ipxe(0, &[0x13, 0x18]));
        assert_eq!(got.reply().option(43), [6, 1, 8, 255]);
    };
    "contract", "iPXE on UEFI needs HTTP and EFI", || {
        assert_eq!(dynamic().send(&Ask::discover(1).ipxe(7, &[0x13, 0x24])).reply().bootfile(), SCRIPT);
        let url = dynamic().send(&Ask::discover(1).ipxe(7, &[0x13, 0x18])).reply().bootfile();
        assert_eq!(url, "tftp://192.168.50.1/52:54:00:00:00:01/snponly.efi");
    };
    "danderson/netboot#55", "iPXE without HTTP gets our loader by a whole URL", || {
        let url = dynamic().send(&Ask::discover(1).ipxe(0, &[0x18])).reply().bootfile();
        assert_eq!(url, "tftp://192.168.50.1/52:54:00:00:00:01/undionly.kpxe");
    };
    "danderson/netboot#55", "iPXE without bzImage gets our loader by a whole URL", || {
        let url = dynamic().send(&Ask::discover(1).ipxe(0, &[0x13])).reply().bootfile();
        assert_eq!(url, "tftp://192.168.50.1/52:54:00:00:00:01/undionly.kpxe");
    };
    "iPXE src/include/ipxe/features.h", "a feature whose value is 0 is none", || {
        let ask = Ask::discover(1).pxe(0).with(77, "iPXE").with(175, [0x13, 1, 0, 0x18, 1, 1]);
        assert!(dynamic().send(&ask).reply().bootfile().starts_with("tftp://"));
    };
    "INTERFACE.md tftp", "a TFTP server on another port is named with it", || {
        let mut rig = dynamic();
        rig.settings(|settings| settings.tftp_port = Some(6969));
        let url = rig.send(&Ask::discover(1).ipxe(0, &[])).reply().bootfile();
        assert_eq!(url, "tftp://192.168.50.1:6969/52:54:00:00:00:01/undionly.kpxe");
    };
    "issue 3: advertise = serve", "who asks TFTP's port 69 is refused where ours is another or none, and gets its address", || {
        for (port, why) in [(Some(6969), "ours is 6969"), (None, "TFTP, which is off")] {
            for ask in [Ask::discover(1).pxe(0), Ask::discover(1).pxe(7), u_boot(), pi()] {
                for mut rig in [dynamic(), proxy()] {
                    rig.settings(|settings| settings.tftp_port = port);
                    let got = rig.send(&ask);
                    assert!(got.refused().unwrap().contains(why), "{:?}", got.refused());
                    assert!(got.reply.is_none_or(|reply| reply.file.is_empty() && reply.siaddr.is_unspecified()));
                }
            }
            let mut rig = dynamic();
            rig.settings(|settings| settings.tftp_port = port);
            assert!(rig.send(&Ask::discover(1).http(16)).reply().bootfile().starts_with("http://"));
            assert_eq!(rig.send(&Ask::discover(2).ipxe(0, &[0x13, 0x18])).refused(), None);
            assert_eq!(rig.send(&Ask::discover(3).ipxe(0, &[])).refused().is_some(), port.is_none());
        }
    };
    "TINKERBELL.md section 1.7", "user class Tinkerbell gets its script, whatever option 175 says", || {
        let ask = Ask::discover(1).pxe(0).with(77, "Tinkerbell");
        assert_eq!(dynamic().send(&ask).reply().bootfile(), SCRIPT);
    };
    "RFC 3004", "user class Tinkerbell with a length before it is the same", || {
        let ask = Ask::discover(1).pxe(0).with(77, b"\x0aTinkerbell");
        assert_eq!(dynamic().send(&ask).reply().bootfile(), SCRIPT);
    };
    "RFC 3004", "user class Tinkerbell as the second of two is the same", || {
        let ask = Ask::discover(1).pxe(0).with(77, b"\x03abc\x0aTinkerbell");
        assert_eq!(dynamic().send(&ask).reply().bootfile(), SCRIPT);
    };
    "ipxe#1374", "user class iPXE without option 175 gets our loader by a whole URL", || {
        for class in [&b"iPXE"[..], b"\x04iPXE", b"gPXE"] {
            let url = dynamic().send(&Ask::discover(1).pxe(0).with(77, class)).reply().bootfile();
            assert!(url.starts_with("tftp://"), "{class:?}: {url}");
        }
    };
    "netboot#77", "another user class is just firmware", || {
        for class in [&b"iPXE2"[..], b"\x05iPXE", b"tinkerbell", b"\x04iPX"] {
            assert_eq!(dynamic().send(&Ask::discover(1).pxe(0).with(77, class)).reply().file, "undionly.kpxe");
        }
    };
    "iPXE", "iPXE is a netboot client even with no class in option 60", || {
        let ask = Ask::discover(1).with(93, [0, 0]).with(175, [0x13, 1, 1, 0x18, 1, 1]);
        assert_eq!(proxy().send(&ask).reply().bootfile(), SCRIPT);
    };
    "iPXE", "iPXE of an unknown CPU that takes scripts gets its script", || {
        let ask = Ask::discover(1).ipxe(27, &[0x13, 0x24]);
        assert_eq!(dynamic().send(&ask).reply().bootfile(), SCRIPT);
    };
    "TINKERBELL.md section 1.4", "a VLAN goes to iPXE and BIOS in 43.116, as text", || {
        for (ask, want) in [
            (Ask::discover(1).ipxe(0, &[0x13, 0x18]), &b"\x06\x01\x08\x74\x03100\xff"[..]),
            (Ask::discover(1).pxe(0), b"\x06\x01\x08\x0a\x04\0PXE\x74\x03100\xff"),
        ] {
            let mut rig = dynamic();
            rig.machine(1, |machine| machine.vlan = Some(100));
            assert_eq!(rig.send(&ask).reply().option(43), want);
        }
    };
    "edk2#6944", "a VLAN brings no option 43 to UEFI", || {
        let mut rig = dynamic();
        rig.machine(1, |machine| machine.vlan = Some(100));
        assert!(!rig.send(&Ask::discover(1).pxe(7)).reply().has(43));
    };
    "raspberrypi/firmware#1265", "a Raspberry Pi gets the words it looks for in option 43", || {
        for mut rig in [dynamic(), proxy()] {
            let got = rig.send(&pi());
            let want = b"\x06\x01\x08\x09\x14\0\0\x11Raspberry Pi Boot\x0a\x04\0PXE\xff";
            assert_eq!((got.reply().option(43), got.reply().option(60)), (&want[..], &b"PXEClient"[..]));
            assert_eq!((got.reply().siaddr, got.reply().option(66)), (LOCAL, &b"192.168.50.1"[..]));
            assert_eq!(seen(&got), (Some(Firmware::RaspberryPi), Some(Arch::Arm64)));
        }
    };
    "rpi-eeprom#72", "a Raspberry Pi gets no pads, not even after END", || {
        let got = proxy().send(&pi());
        assert_eq!(got.reply().used, got.reply().payload.len());
    };
    "opnsense/core#7744", "a Raspberry Pi behind a relay gets 300 bytes, for the relay", || {
        assert!(proxy().send(&pi().relay("10.1.1.1")).reply().payload.len() >= 300);
    };
    "TINKERBELL.md section 1.6", "every maker's prefix of Raspberry Pi is known", || {
        for oui in [[0xb8, 0x27, 0xeb], [0xdc, 0xa6, 0x32], [0xe4, 0x5f, 1], [0x28, 0xcd, 0xc1], [0xd8, 0x3a, 0xdd], [0x2c, 0xcf, 0x67]] {
            let ask = Ask { mac: Mac::new([oui[0], oui[1], oui[2], 1, 2, 3]), ..pi() };
            assert_eq!(seen(&proxy().send(&ask)).0, Some(Firmware::RaspberryPi), "{oui:x?}");
        }
    };
    "rpi-eeprom#182", "a Raspberry Pi is known by its identifier under any MAC", || {
        let ask = Ask { mac: mac(7), ..pi().with(97, b"\0RPi4\0\0\0\0\0\0\0\0\0\0\0\0") };
        assert_eq!(seen(&proxy().send(&ask)).0, Some(Firmware::RaspberryPi));
    };
    "rpi-eeprom#82, #87", "a Raspberry Pi's REQUEST, which has no class, is answered as its DISCOVER", || {
        let request = |mac| Ask::new(REQUEST, mac).with(54, LOCAL.octets()).with(50, [192, 168, 50, 150]);
        let oui = request(Mac::new([0xdc, 0xa6, 0x32, 0, 0, 1])).with(93, [0, 0]);
        let named = request(mac(7)).with(93, [0, 0]).with(97, b"\0RPi4\0\0\0\0\0\0\0\0\0\0\0\0");
        for ask in [oui, named] {
            let got = dynamic().send(&ask);
            assert_eq!(seen(&got), (Some(Firmware::RaspberryPi), Some(Arch::Arm64)));
            assert_eq!((got.reply().kind(), got.reply().siaddr, got.reply().has(43)), (ACK, LOCAL, true));
            assert_eq!(got.reply().used, got.reply().payload.len());
        }
    };
    "rpi-eeprom#82, #87", "an operating system on a Raspberry Pi is none that netboots", || {
        let ask = Ask { mac: Mac::new([0xdc, 0xa6, 0x32, 0, 0, 1]), ..Ask::discover(1) };
        for ask in [ask.clone(), ask.with(60, "dhcpcd-9.4.1:Linux").with(93, [0, 0])] {
            assert_eq!(seen(&dynamic().send(&ask)).0, None);
            assert!(!dynamic().send(&ask).reply().has(43));
        }
    };
    "raspberrypi/firmware#1850", "a Raspberry Pi that runs UEFI is UEFI", || {
        let ask = Ask { mac: Mac::new([0xdc, 0xa6, 0x32, 0, 0, 1]), ..Ask::discover(1).pxe(11) };
        assert_eq!(dynamic().send(&ask).reply().file, "ipxe-arm64.efi");
    };
    "raspberrypi/firmware#1850", "a Raspberry Pi that runs iPXE is iPXE", || {
        let ask = Ask { mac: Mac::new([0xdc, 0xa6, 0x32, 0, 0, 1]), ..Ask::discover(1).ipxe(11, &[0x13, 0x24]) };
        assert!(dynamic().send(&ask).reply().bootfile().ends_with("/auto.ipxe"));
    };
    "siderolabs/booter#11", "U-Boot gets file, 66, 67 and siaddr, in every mode", || {
        for mut rig in [dynamic(), proxy()] {
            let got = rig.send(&u_boot());
            assert_eq!((got.reply().file.as_str(), got.reply().option(67)), ("ipxe-arm64.efi", &b"ipxe-arm64.efi"[..]));
            assert_eq!((got.reply().siaddr, got.reply().option(66)), (LOCAL, &b"192.168.50.1"[..]));
            assert_eq!(seen(&got), (Some(Firmware::UBoot), Some(Arch::Arm64)));
        }
    };
    "siderolabs/booter#11", "U-Boot that says PXEClient is U-Boot by its architecture", || {
        assert_eq!(seen(&proxy().send(&Ask::discover(1).pxe(22))).0, Some(Firmware::UBoot));
    };
    "U-Boot net/bootp.c", "U-Boot without an architecture is refused until a loader is named", || {
        let ask = Ask::discover(1).with(60, "U-Boot.armv8");
        assert!(dynamic().send(&ask).refused().unwrap().contains("93"));
        let mut rig = dynamic();
        rig.machine(1, |machine| machine.loader = Some("boot.scr.uimg".into()));
        assert_eq!(rig.send(&ask).reply().file, "boot.scr.uimg");
        let mut rig = dynamic();
        rig.machine(1, |machine| machine.arch = Some(Arch::Arm64));
        assert_eq!(rig.send(&ask).reply().file, "ipxe-arm64.efi");
    };
    "U-Boot net/bootp.c", "U-Boot is U-Boot, whatever architecture it claims", || {
        let got = dynamic().send(&Ask::discover(1).with(60, "U-Boot").with(93, [0, 0]));
        assert_eq!((seen(&got).0, got.reply().file.as_str()), (Some(Firmware::UBoot), "snponly.efi"));
        let got = dynamic().send(&Ask { mac: Mac::new([0xdc, 0xa6, 0x32, 0, 0, 1]), ..u_boot() });
        assert_eq!(seen(&got), (Some(Firmware::UBoot), Some(Arch::Arm64)));
    };
    "RFC 2132 section 9.13", "PXEClient is matched from the start of option 60", || {
        for (class, netboot) in [("PXEClient", true), ("PXEClient:Arch:00000", true), ("HTTPClient", true), ("pxeclient", false), ("PXE", false)] {
            let ask = Ask::discover(1).with(60, class).with(93, [0, 0]);
            assert_eq!(dynamic().send(&ask).reply().has(67), netboot, "{class}");
        }
    };
};
