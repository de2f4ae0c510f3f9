//! The shape of replies: order, padding, size.

use captain_model::DhcpMode;

use crate::cases;
use crate::rig::*;

fn rig() -> Rig {
    Rig::new(DhcpMode::Dynamic)
}

/// A subnet with so many name servers that not everything fits into 548 bytes.
fn crowded() -> Rig {
    let mut rig = rig();
    rig.settings(|settings| settings.subnets[0].dns = vec![ip("192.168.50.2"); 50]);
    rig
}

pub const CASES: &[Case] = cases! {
    "RFC 2131 section 3", "option 53 comes first", || {
        assert_eq!(rig().send(&Ask::discover(1).pxe(0).with(61, [1, 2, 3])).reply().order[0], 53);
    };
    "opnsense/core#7744", "a small reply has 300 bytes and no pad before END", || {
        let mut rig = rig();
        rig.settings(|settings| settings.subnets[0] = subnet("192.168.50.0/24", "192.168.50.100", "192.168.50.199"));
        let got = rig.send(&Ask::discover(1));
        assert_eq!(got.reply().payload.len(), 300);
        assert!(got.reply().used < 300);
    };
    "RFC 2131 section 4.3.2", "a NAK has 300 bytes too", || {
        let got = rig().send(&Ask::selecting(1, "10.0.0.1"));
        assert_eq!((got.reply().kind(), got.reply().payload.len()), (NAK, 300));
    };
    "xebd/accel-ppp#117", "option 82 comes back byte for byte, last before END", || {
        let raw = [1, 4, 0xde, 0xad, 0xbe, 0xef, 2, 0, 1, 1, 7, 200];
        let got = rig().send(&Ask::discover(1).with(82, raw).relay("192.168.50.254").pxe(0));
        assert_eq!(got.reply().option(82), raw);
        assert_eq!(got.reply().order.last(), Some(&82));
        assert_eq!(got.reply().payload[got.reply().used - 1], 255);
        assert_eq!(got.reply().payload[got.reply().used - 13..got.reply().used - 1], raw);
    };
    "RFC 3046 section 2.2", "option 82 is on a NAK", || {
        let got = rig().send(&Ask::selecting(1, "10.0.0.1").with(82, [1, 1, 5]).relay("192.168.50.254"));
        assert_eq!((got.reply().kind(), got.reply().option(82)), (NAK, &[1, 1, 5][..]));
    };
    "RFC 3046 section 2.2", "option 82 is on an ACK", || {
        let mut rig = rig();
        let got = rig.send(&Ask::selecting(1, "192.168.50.150").with(82, [1, 1, 5]).relay("192.168.50.254"));
        assert_eq!((got.reply().kind(), got.reply().option(82)), (ACK, &[1, 1, 5][..]));
    };
    "RFC 3046 section 2.0", "an option 82 of no bytes comes back", || {
        let got = rig().send(&Ask::discover(1).with(82, []).relay("192.168.50.254"));
        assert_eq!(got.reply().option(82), []);
    };
    "RFC 3396 section 6", "an option 82 of 300 bytes comes back in pieces", || {
        let ask = Ask::discover(1).with(57, [5, 220]).with(82, [9; 255]).with(82, [8; 45]);
        let got = rig().send(&ask.relay("192.168.50.254"));
        assert_eq!(got.reply().option(82), [vec![9; 255], vec![8; 45]].concat());
        assert_eq!(got.reply().order.iter().filter(|code| **code == 82).count(), 2);
    };
    "FIRMWARE.md row 15", "option 82 comes back on every kind of reply", || {
        let raw = [1, 2, 7, 7, 151, 1, 0];
        let through = |ask: Ask| ask.with(82, raw).relay("192.168.50.254");
        let inform = Ask { ciaddr: ip("192.168.50.20"), ..Ask::new(INFORM, mac(1)) };
        let asks = [
            (Ask::discover(1), OFFER),
            (Ask::selecting(1, "192.168.50.150"), ACK),
            (Ask::init_reboot(1, "10.0.0.1"), NAK),
            (inform, ACK),
            (Ask::bootp(mac(1)), 0),
        ];
        for (ask, kind) in asks {
            let got = rig().send(&through(ask));
            assert_eq!((got.reply().kind(), got.reply().option(82)), (kind, &raw[..]));
        }
        let mut proxy = Rig::new(DhcpMode::AutoProxy);
        assert_eq!(proxy.send(&through(Ask::discover(1).pxe(7))).reply().option(82), raw);
        let ask = through(Ask::new(REQUEST, mac(1)).pxe(7));
        assert_eq!(proxy.boot_server(&ask, "10.3.3.77").reply().option(82), raw);
    };
    "RFC 6842", "option 61 is echoed in an OFFER", || {
        assert_eq!(rig().send(&Ask::discover(1).with(61, [1, 2, 3])).reply().option(61), [1, 2, 3]);
    };
    "RFC 6842", "option 61 is echoed in a NAK", || {
        assert_eq!(rig().send(&Ask::selecting(1, "10.0.0.1").with(61, [1, 2])).reply().option(61), [1, 2]);
    };
    "RFC 6842", "no option 61 where none came", || assert!(!rig().send(&Ask::discover(1)).reply().has(61));
    "pyke369/pdhcp#3", "the flags come back as they came", || {
        for flags in [0, 0x8000, 0x8001, 0x7fff] {
            assert_eq!(rig().send(&Ask { flags, ..Ask::discover(1) }).reply().flags, flags);
        }
    };
    "RFC 2131 table 3", "hops and secs are not copied", || {
        let got = rig().send(&Ask { secs: 77, ..Ask::discover(1) });
        assert_eq!((got.reply().payload[3], &got.reply().payload[8..10]), (0, &[0, 0][..]));
    };
    "RFC 2131 section 2", "without option 57 a reply has at most 548 bytes", || {
        let got = crowded().send(&Ask::discover(1).pxe(0));
        assert!(got.reply().payload.len() <= 548, "{}", got.reply().payload.len());
    };
    "RFC 2132 section 9.10", "a smaller option 57 than 576 counts as 576", || {
        let got = rig().send(&Ask::discover(1).pxe(0).with(57, [0, 100]));
        assert_eq!(got.reply().kind(), OFFER);
    };
    "RFC 2132 section 9.10", "a larger option 57 lets more in", || {
        let got = crowded().send(&Ask::discover(1).pxe(0).with(57, [5, 220]));
        assert_eq!(got.reply().option(6).len(), 200);
        assert!(got.reply().has(119) && got.reply().has(42));
    };
    "RFC 2132 section 9.10", "an option 57 beyond Ethernet's size is not believed", || {
        let mut rig = rig();
        rig.settings(|settings| settings.subnets[0].dns = vec![ip("192.168.50.2"); 400]);
        let got = rig.send(&Ask::discover(1).with(57, [0xff, 0xff]));
        assert!(got.reply().payload.len() <= 1472);
    };
    "RFC 2132 section 9.8", "what the client asked for first is kept longest", || {
        let mut rig = crowded();
        rig.settings(|settings| settings.subnets[0].dns.truncate(44));
        let first = rig.send(&Ask::discover(1).pxe(0).with(55, [6, 42, 119]));
        assert!(first.reply().has(6), "{:?}", first.reply().order);
        let last = rig.send(&Ask::discover(1).pxe(0).with(55, [15, 12, 42, 119, 28, 58, 59, 66, 3, 6]));
        assert!(!last.reply().has(6) && last.reply().has(42), "{:?}", last.reply().order);
    };
    "RFC 2132 section 9.8", "options come in the order that was asked", || {
        let got = rig().send(&Ask::discover(1).with(55, [42, 15, 3]));
        let at = |code| got.reply().order.iter().position(|have| *have == code).unwrap();
        assert!(at(42) < at(15) && at(15) < at(3) && at(3) < at(6));
    };
    "RFC 2132 section 9.3", "where space is short a plain client gets options in file and sname", || {
        let mut rig = crowded();
        rig.settings(|settings| settings.subnets[0].dns = vec![ip("192.168.50.2"); 62]);
        let got = rig.send(&Ask::discover(1));
        assert!(got.reply().has(52), "{:?}", got.reply().order);
        for code in [1, 3, 6, 15, 28, 42, 51, 54, 58, 59, 119] {
            assert!(got.reply().has(code), "{code}");
        }
        assert_eq!(got.reply().order[..2], [53, 52]);
    };
    "iPXE src/net/dhcppkt.c", "a netboot client never gets options in file or sname", || {
        for ask in [Ask::discover(1).pxe(0), Ask::discover(1).ipxe(0, &[0x13, 0x18]), Ask::discover(1).pxe(7)] {
            assert!(!crowded().send(&ask).reply().has(52));
        }
    };
    "RFC 1534", "a BOOTP client's reply has no DHCP options and at most its own size", || {
        let got = crowded().send(&Ask::bootp(mac(1)));
        assert!(got.reply().payload.len() <= 300);
        for code in [51, 53, 54, 58, 59] {
            assert!(!got.reply().has(code), "{code}");
        }
        assert!(got.reply().has(1));
    };
    "RFC 951", "a BOOTP client gets an address", || {
        assert!(!rig().send(&Ask::bootp(mac(1))).reply().yiaddr.is_unspecified());
    };
    "RFC 951", "a BOOTP client from before the magic cookie gets an address, and its vendor area is not read", || {
        let mut ask = Ask { cookie: [0; 4], ..Ask::bootp(mac(1)) }.with(53, [1]).with(50, [10, 0, 0, 1]);
        let got = rig().send(&ask);
        assert!(!got.reply().yiaddr.is_unspecified() && !got.reply().has(53));
        ask.options.clear();
        assert_eq!(rig().raw(&ask.bytes()[..240]).reply().yiaddr, got.reply().yiaddr);
    };
    "RFC 2132 section 9.5", "a file name over 127 bytes is in option 67 alone, and whole", || {
        let mut rig = rig();
        let name = "http://a/".to_owned() + &"x".repeat(200);
        rig.machine(1, |machine| machine.filename = Some(name.clone()));
        let got = rig.send(&Ask::discover(1).ipxe(0, &[0x13, 0x18]));
        assert_eq!((got.reply().bootfile(), got.reply().file.as_str()), (name, ""));
    };
    "RFC 3396 section 6", "a file name of 300 bytes is split over two options 67", || {
        let mut rig = rig();
        rig.machine(1, |machine| machine.filename = Some("y".repeat(300)));
        let got = rig.send(&Ask::discover(1).with(57, [5, 220]));
        assert_eq!(got.reply().option(67), "y".repeat(300).as_bytes());
        assert_eq!(got.reply().order.iter().filter(|code| **code == 67).count(), 2);
    };
    "dhcproto 0.15 set_fname assert", "a file name of 127 bytes fills the field up to its NUL", || {
        let mut rig = rig();
        rig.machine(1, |machine| machine.filename = Some("z".repeat(127)));
        assert_eq!(rig.send(&Ask::discover(1)).reply().file, "z".repeat(127));
    };
    "dhcproto 0.15 set_fname assert", "a file name of 2000 bytes is refused, with no panic and no short name", || {
        let mut rig = rig();
        rig.machine(1, |machine| machine.filename = Some("z".repeat(2000)));
        assert!(rig.send(&Ask::discover(1)).ignored().contains("bytes"));
    };
    "danderson/pixiecore", "a loader name over 127 bytes is refused by name for a ROM", || {
        let mut rig = rig();
        rig.machine(1, |machine| machine.loader = Some("l".repeat(128)));
        let got = rig.send(&Ask::discover(1).pxe(0));
        assert!(!got.reply().has(67));
        assert!(got.refused().unwrap().contains("too long"));
    };
    "RFC 951", "a boot file name for which BOOTP's 60 bytes of options have no space stands in the header alone", || {
        let name = "n".repeat(100);
        let mut rig = rig();
        rig.machine(1, |machine| machine.filename = Some(name.clone()));
        let got = rig.send(&Ask::bootp(mac(1)));
        assert_eq!((&got.reply().file, got.reply().has(67), got.reply().payload.len()), (&name, false, 300));
    };
    "RFC 3046 section 2.1", "a large option 82 takes the place of what the header says too, and of nothing else that is vital", || {
        let ask = Ask::discover(1).pxe(0).with(82, [9; 220]).relay("192.168.50.254");
        let name = "n".repeat(40);
        let mut rig = rig();
        rig.machine(1, |machine| machine.loader = Some(name.clone()));
        let got = rig.send(&ask);
        assert_eq!((&got.reply().file, got.reply().has(67), got.reply().option(82)), (&name, false, &[9; 220][..]));
        assert!(got.reply().has(60) && got.reply().has(97) && got.reply().has(43) && got.reply().has(51));
    };
};
