//! Datagrams that lie, and what is kept of those that only stammer.

use captain_model::DhcpMode;

use crate::cases;
use crate::rig::*;

fn rig() -> Rig {
    Rig::new(DhcpMode::Dynamic)
}

fn ignored(datagram: &[u8], why: &str) {
    let got = rig().raw(datagram).ignored();
    assert!(got.contains(why), "{got}");
}

/// A DISCOVER with these bytes as its options field.
fn with_options(options: &[u8]) -> Vec<u8> {
    [Ask::bootp(mac(1)).raw_header(), options.to_vec()].concat()
}

pub const CASES: &[Case] = cases! {
    "fuzzing", "an empty datagram is ignored", || ignored(&[], "0 bytes");
    "RFC 2131 section 2", "a datagram without room for the cookie is ignored",
        || ignored(&Ask::discover(1).bytes()[..239], "fewer than 240");
    "RFC 2131 section 3", "a wrong magic cookie is ignored",
        || ignored(&Ask { cookie: [99, 130, 83, 98], ..Ask::discover(1) }.bytes(), "cookie");
    "RFC 951", "a reply of another server is ignored",
        || ignored(&Ask { op: 2, ..Ask::discover(1) }.bytes(), "not a request");
    "RFC 951", "an unknown op code is ignored",
        || ignored(&Ask { op: 77, ..Ask::discover(1) }.bytes(), "not a request");
    "dhcproto 0.15 chaddr()", "a hardware length of 255 is ignored and nothing panics",
        || ignored(&Ask { hlen: 255, ..Ask::discover(1) }.bytes(), "255 bytes");
    "dhcproto 0.15 chaddr()", "a hardware length of 17 is ignored",
        || ignored(&Ask { hlen: 17, ..Ask::discover(1) }.bytes(), "17 bytes");
    "RFC 2131 section 2", "a hardware length of 0 is ignored",
        || ignored(&Ask { hlen: 0, ..Ask::discover(1) }.bytes(), "0 bytes");
    "NVIDIA/deepops#32", "a zero hardware address is ignored",
        || ignored(&Ask::new(DISCOVER, captain_model::Mac::new([0; 6])).bytes(), "no station");
    "IEEE 802", "a group hardware address is ignored",
        || ignored(&Ask::new(DISCOVER, captain_model::Mac::new([0xff; 6])).bytes(), "no station");
    "RFC 2132 section 9.6", "an OFFER sent as a request is ignored",
        || ignored(&Ask::new(OFFER, mac(1)).bytes(), "not a request");
    "RFC 2132 section 9.6", "an ACK sent as a request is ignored",
        || ignored(&Ask::new(ACK, mac(1)).bytes(), "not a request");
    "RFC 4388", "a lease query is ignored", || ignored(&Ask::new(10, mac(1)).bytes(), "message type 10");
    "fuzzing", "message type 0 is ignored", || ignored(&Ask::new(0, mac(1)).bytes(), "message type 0");
    "fuzzing", "message type 255 is ignored", || ignored(&Ask::new(255, mac(1)).bytes(), "message type 255");
    "fuzzing", "a message type without a value is ignored",
        || ignored(&Ask::bootp(mac(1)).with(53, []).bytes(), "message type");
    "fuzzing", "an option whose length points beyond the end costs only itself", || {
        let got = rig().raw(&with_options(&[53, 1, 1, 12, 200, b'x']));
        assert_eq!(got.reply().kind(), OFFER);
    };
    "fuzzing", "a last option without a length costs only itself", || {
        assert_eq!(rig().raw(&with_options(&[53, 1, 1, 12])).reply().kind(), OFFER);
    };
    "RFC 2131 section 4.1", "options that no END ends are read", || {
        assert_eq!(rig().raw(&with_options(&[53, 1, 1])).reply().kind(), OFFER);
    };
    "RFC 2132 section 3.1", "pads between options are skipped", || {
        let got = rig().raw(&with_options(&[0, 0, 53, 1, 1, 0, 0, 50, 4, 192, 168, 50, 150, 255]));
        assert_eq!(got.reply().yiaddr, ip("192.168.50.150"));
    };
    "RFC 2132 section 3.2", "nothing behind END is read", || {
        let got = rig().raw(&with_options(&[53, 1, 1, 255, 50, 4, 192, 168, 50, 150, 255]));
        assert_ne!(got.reply().yiaddr, ip("192.168.50.150"));
    };
    "dhcproto 0.15 decode", "a host name that is not UTF-8 does not hide the options behind it", || {
        let ask = Ask::discover(1).with(12, [0xe9, 0xff, 0x80]).pxe(0);
        assert!(rig().send(&ask).reply().has(43));
    };
    "dhcproto 0.15 decode", "an option 50 of three bytes does not hide the options behind it", || {
        let ask = Ask::discover(1).with(50, [192, 168, 50]).pxe(0);
        assert!(rig().send(&ask).reply().has(43));
    };
    "dhcproto 0.15 debug_assert", "an option 81 of one byte is harmless", || {
        assert_eq!(rig().send(&Ask::discover(1).with(81, [1])).reply().kind(), OFFER);
    };
    "dhcproto 0.15 underflow", "an option 94 of one byte is harmless", || {
        assert_eq!(rig().send(&Ask::discover(1).with(94, [1])).reply().kind(), OFFER);
    };
    "fuzzing", "empty options of every code are harmless", || {
        for code in (1..=254).filter(|code| *code != 53) {
            assert_eq!(rig().send(&Ask::discover(1).with(code, [])).reply().kind(), OFFER, "{code}");
        }
    };
    "fuzzing", "options of one byte 255 of every code are harmless", || {
        for code in (1..=254).filter(|code| *code != 53 && *code != 52) {
            assert_eq!(rig().send(&Ask::discover(1).with(code, [255])).reply().kind(), OFFER, "{code}");
        }
    };
    "RFC 3396 section 7", "pieces of one option that do not stand together are joined", || {
        let ask = Ask::bootp(mac(1)).with(60, "PXE").with(53, [1]).with(60, "Client").with(93, [0, 0]);
        assert_eq!(rig().send(&ask).reply().option(60), b"PXEClient");
    };
    "RFC 3396 section 7", "pieces of one option that stand together are joined", || {
        let ask = Ask::discover(1).with(93, [0]).with(93, [7]).with(60, "PXEClient");
        assert_eq!(rig().send(&ask).reply().file, "snponly.efi");
    };
    "RFC 2132 section 9.3", "options in the file field are read where option 52 is 1", || {
        let file = [&[60, 9][..], b"PXEClient", &[93, 2, 0, 7, 255]].concat();
        let ask = Ask { file, ..Ask::discover(1).with(52, [1]) };
        assert_eq!(rig().send(&ask).reply().file, "snponly.efi");
    };
    "RFC 2132 section 9.3", "options in the sname field are read where option 52 is 2", || {
        let sname = [&[60, 9][..], b"PXEClient", &[93, 2, 0, 7, 255]].concat();
        let ask = Ask { sname, ..Ask::discover(1).with(52, [2]) };
        assert_eq!(rig().send(&ask).reply().file, "snponly.efi");
    };
    "RFC 3396 section 5", "file comes before sname where both hold pieces", || {
        let ask = Ask {
            file: [&[60, 3][..], b"Cli", &[255]].concat(),
            sname: [&[60, 3][..], b"ent", &[93, 2, 0, 7, 255]].concat(),
            ..Ask::discover(1).with(60, "PXE").with(52, [3])
        };
        assert_eq!(rig().send(&ask).reply().option(60), b"PXEClient");
    };
    "RFC 2132 section 9.3", "the file field is not read as options without option 52", || {
        let file = [&[60, 9][..], b"PXEClient", &[93, 2, 0, 7, 255]].concat();
        assert!(!rig().send(&Ask { file, ..Ask::discover(1) }).reply().has(60));
    };
    "RFC 2132 section 9.3", "a file field full of garbage is harmless under option 52", || {
        let ask = Ask { file: vec![0xfe; 128], ..Ask::discover(1).with(52, [3]) };
        assert_eq!(rig().send(&ask).reply().kind(), OFFER);
    };
    "RFC 3046 section 2.1", "an option 82 that does not fit the reply leads to silence, not to a large reply", || {
        let mut ask = Ask::discover(1).relay("192.168.50.254");
        for _ in 0..3 {
            ask = ask.with(82, vec![9; 255]);
        }
        assert!(rig().send(&ask).ignored().contains("82"), "{}", rig().send(&ask).ignored());
    };
    "fuzzing", "a datagram of 64 KiB is read", || {
        let mut options = vec![53, 1, 1];
        for _ in 0..250 {
            options.extend([200, 255]);
            options.extend([1; 255]);
        }
        assert_eq!(rig().raw(&with_options(&options)).reply().kind(), OFFER);
    };
    "RFC 4361", "a client identifier of 255 bytes is echoed whole", || {
        assert_eq!(rig().send(&Ask::discover(1).with(61, [7; 255])).reply().option(61), [7; 255]);
    };
    "RFC 2132 section 2", "an option that is cut off takes none of what came before it along", || {
        for tail in [&[53][..], &[53, 1], &[53, 9, 1], &[60, 9, b'P']] {
            let options = [&[53, 1, 1][..], tail].concat();
            assert_eq!(rig().raw(&with_options(&options)).reply().kind(), OFFER, "{tail:?}");
        }
    };
};
