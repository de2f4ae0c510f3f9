//! The options that come with an address.

use captain_dhcp::{LogServer, Route};
use captain_model::DhcpMode;

use crate::cases;
use crate::rig::*;

fn rig() -> Rig {
    Rig::new(DhcpMode::Dynamic)
}

fn routed() -> Rig {
    let mut rig = rig();
    rig.settings(|settings| {
        let route = |network: &str, via: &str| Route { network: network.parse().unwrap(), via: ip(via) };
        settings.routes = vec![
            route("10.0.0.0/8", "192.168.50.253"),
            route("172.16.99.0/20", "192.168.50.252"),
            route("10.5.5.5/32", "172.31.0.1"),
        ];
    });
    rig
}

const DEFAULT_ROUTE: [u8; 5] = [0, 192, 168, 50, 254];

pub const CASES: &[Case] = cases! {
    "RFC 2132 section 3.3", "option 1 is the prefix", || {
        assert_eq!(rig().send(&Ask::discover(1)).reply().option(1), [255, 255, 255, 0]);
    };
    "RFC 2132 section 3.5", "option 3 is the router", || {
        assert_eq!(rig().send(&Ask::discover(1)).reply().address(3), ip("192.168.50.254"));
    };
    "RFC 2132 section 3.8", "option 6 is the list of name servers", || {
        assert_eq!(rig().send(&Ask::discover(1)).reply().option(6), [192, 168, 50, 2, 192, 168, 50, 3]);
    };
    "RFC 2132 section 3.9", "option 7 is our address on the client's own wire where we are the syslog server", || {
        let mut rig = rig();
        rig.settings(|settings| {
            settings.syslog = LogServer::Here;
            settings.subnets.push(subnet("10.9.0.0/24", "10.9.0.100", "10.9.0.199"));
        });
        for local in ["192.168.50.1", "10.9.0.1"] {
            rig.ingress.local = ip(local);
            assert_eq!(rig.send(&Ask::discover(1)).reply().address(7), ip(local));
        }
    };
    "RFC 2132 section 3.9", "option 7 is the syslog server", || {
        let mut rig = rig();
        rig.settings(|settings| settings.syslog = LogServer::At(ip("192.168.50.9")));
        assert_eq!(rig.send(&Ask::discover(1)).reply().address(7), ip("192.168.50.9"));
    };
    "RFC 2132 section 3.14", "option 12 is the machine's name", || {
        let mut rig = rig();
        rig.machine(1, |machine| machine.name = Some("r1-u07".into()));
        assert_eq!(rig.send(&Ask::discover(1)).reply().option(12), b"r1-u07");
    };
    "RFC 1123 section 2.1", "a name that is no host name is not sent", || {
        for name in ["rack 1", "r1_u07", "-r1", "r1-", "", "a..b", "größe"] {
            let mut rig = rig();
            rig.machine(1, |machine| machine.name = Some(name.into()));
            assert!(!rig.send(&Ask::discover(1)).reply().has(12), "{name}");
        }
    };
    "RFC 2132 section 3.17", "option 15 is the domain", || {
        assert_eq!(rig().send(&Ask::discover(1)).reply().option(15), b"lab.example");
    };
    "RFC 2132 section 5.3", "option 28 is the last address", || {
        assert_eq!(rig().send(&Ask::discover(1)).reply().address(28), ip("192.168.50.255"));
    };
    "RFC 2132 section 8.3", "option 42 is the list of time servers", || {
        assert_eq!(rig().send(&Ask::discover(1)).reply().address(42), ip("192.168.50.4"));
    };
    "RFC 2131 section 4.4.5", "options 58 and 59 are a half and seven eighths of 51", || {
        let got = rig().send(&Ask::discover(1));
        assert_eq!(got.reply().option(58), 1800_u32.to_be_bytes());
        assert_eq!(got.reply().option(59), 3150_u32.to_be_bytes());
    };
    "RFC 2132 section 9.2", "a lease time beyond 32 bits is the longest there is", || {
        let mut rig = rig();
        rig.settings(|settings| settings.subnets[0].lease_time = std::time::Duration::from_secs(1 << 40));
        assert_eq!(rig.send(&Ask::discover(1)).reply().option(51), [255; 4]);
    };
    "RFC 3397", "option 119 is the domain in DNS form", || {
        assert_eq!(rig().send(&Ask::discover(1)).reply().option(119), b"\x03lab\x07example\0");
    };
    "RFC 1035 section 2.3.4", "a domain that DNS cannot hold is not sent as 119", || {
        for domain in ["a..b", &"x".repeat(64), &["y"; 140].join(".")] {
            let mut rig = rig();
            rig.settings(|settings| settings.subnets[0].domain = Some(domain.to_owned()));
            assert!(!rig.send(&Ask::discover(1)).reply().has(119), "{domain}");
        }
    };
    "RFC 1035", "a domain with a dot at its end is the same domain", || {
        let mut rig = rig();
        rig.settings(|settings| settings.subnets[0].domain = Some("lab.example.".into()));
        assert_eq!(rig.send(&Ask::discover(1)).reply().option(119), b"\x03lab\x07example\0");
    };
    "RFC 3442", "option 121 has the subnet's routes in their short form, and the default route", || {
        let got = routed().send(&Ask::discover(1).with(55, [1, 121]));
        let want = [&[8, 10, 192, 168, 50, 253][..], &[20, 172, 16, 96, 192, 168, 50, 252], &DEFAULT_ROUTE].concat();
        assert_eq!(got.reply().option(121), want);
    };
    "RFC 3442", "option 121 is not sent to who did not ask", || {
        assert!(!routed().send(&Ask::discover(1).with(55, [1, 3])).reply().has(121));
    };
    "RFC 3442", "option 121 is sent to who states no wishes", || {
        assert!(routed().send(&Ask::discover(1)).reply().has(121));
    };
    "RFC 3442", "option 121 is not sent without routes: option 3 does", || {
        assert!(!rig().send(&Ask::discover(1).with(55, [1, 121])).reply().has(121));
    };
    "RFC 3442", "a default route among the routes is not doubled", || {
        let mut rig = routed();
        rig.settings(|settings| {
            settings.routes = vec![Route { network: "0.0.0.0/0".parse().unwrap(), via: ip("192.168.50.7") }];
        });
        assert_eq!(rig.send(&Ask::discover(1)).reply().option(121), [0, 192, 168, 50, 7]);
    };
    "RFC 2131 table 3", "what is not configured is not sent", || {
        let mut rig = rig();
        rig.settings(|settings| settings.subnets[0] = subnet("192.168.50.0/24", "192.168.50.100", "192.168.50.199"));
        let got = rig.send(&Ask::discover(1));
        assert_eq!(got.reply().order, [53, 54, 51, 1, 58, 59, 28]);
    };
    "RFC 8925, RFC 2563", "nobody is told to do without IPv4 or without an address of its own, asked for or not", || {
        for ask in [Ask::discover(1), Ask::discover(1).with(55, [1, 3, 108, 116]).with(116, [1])] {
            let got = rig().send(&ask);
            assert!(!got.reply().has(108) && !got.reply().has(116), "{:?}", got.reply().order);
        }
    };
    "RFC 2132", "no option is sent twice", || {
        let mut rig = routed();
        rig.machine(1, |machine| machine.name = Some("a".into()));
        for ask in [Ask::discover(1).pxe(0), Ask::discover(1).pxe(7), Ask::discover(1).ipxe(0, &[0x13, 0x18])] {
            let got = rig.send(&ask.with(57, [5, 220]));
            let mut seen = std::collections::BTreeSet::new();
            assert!(got.reply().order.iter().all(|code| seen.insert(*code)), "{:?}", got.reply().order);
        }
    };
    "smee: PRL ignored", "a client that asks for nothing gets everything", || {
        let got = rig().send(&Ask::discover(1).with(55, [1]));
        for code in [1, 3, 6, 15, 28, 42, 51, 54, 58, 59, 119] {
            assert!(got.reply().has(code), "{code}");
        }
    };
    "RFC 2131 table 3", "an ACK carries what the OFFER carried", || {
        let mut rig = rig();
        let offer = rig.send(&Ask::discover(1).pxe(0));
        let ack = rig.send(&Ask::selecting(1, &offer.reply().yiaddr.to_string()).pxe(0));
        let but_type = |got: &Got| {
            let mut options = got.reply().options.clone();
            options.remove(&53);
            options
        };
        assert_eq!(but_type(&offer), but_type(&ack));
        assert_eq!((offer.reply().file.clone(), offer.reply().siaddr), (ack.reply().file.clone(), ack.reply().siaddr));
    };
};
