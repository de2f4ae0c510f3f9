//! The messages of RFC 2131 section 4.3, one by one.

use captain_model::{DhcpMode, EventKind};

use crate::cases;
use crate::rig::*;

fn rig() -> Rig {
    Rig::new(DhcpMode::Dynamic)
}

fn nak(got: &Got) {
    assert_eq!(got.reply().kind(), NAK);
    assert!(got.reply().yiaddr.is_unspecified());
    assert!(!got.reply().has(51), "no lease time in a NAK");
    assert!(got.outcome.leases.is_empty());
}

pub const CASES: &[Case] = cases! {
    "RFC 2131 section 4.3.1", "DISCOVER gets an OFFER with an address, a lease time and our name", || {
        let got = rig().send(&Ask::discover(1));
        assert_eq!(got.reply().kind(), OFFER);
        assert!(ip("192.168.50.100") <= got.reply().yiaddr && got.reply().yiaddr <= ip("192.168.50.199"));
        assert_eq!(got.reply().option(51), 3600_u32.to_be_bytes());
        assert_eq!(got.reply().address(54), LOCAL);
    };
    "RFC 4039 section 3.2", "a client that would take an ACK at once gets an OFFER, and no option 80", || {
        let got = rig().send(&Ask::discover(1).with(80, []));
        assert_eq!((got.reply().kind(), got.reply().has(80)), (OFFER, false));
        assert!(got.outcome.leases.is_empty());
    };
    "RFC 2131 section 4.3.1", "an OFFER changes no lease", || {
        assert!(rig().send(&Ask::discover(1)).outcome.leases.is_empty());
    };
    "RFC 2131 table 3", "ciaddr is 0 in an OFFER", || {
        let got = rig().send(&Ask { ciaddr: ip("192.168.50.77"), ..Ask::discover(1) });
        assert!(got.reply().ciaddr.is_unspecified());
    };
    "RFC 2131 section 4.3.2", "SELECTING what was offered gets an ACK and a lease", || {
        let mut rig = rig();
        let address = rig.lease(1);
        assert_eq!(rig.server.lease_of(mac(1)).unwrap().address, address);
        assert_eq!(rig.server.lease_of(mac(1)).unwrap().expires, START.after(std::time::Duration::from_secs(3600)));
    };
    "RFC 2131 section 4.3.2", "SELECTING another server is silence", || {
        let mut rig = rig();
        let offered = rig.send(&Ask::discover(1)).reply().yiaddr;
        let ask = Ask::new(REQUEST, mac(1)).with(54, [192, 168, 50, 9]).with(50, offered.octets());
        assert_eq!(rig.send(&ask).ignored(), "meant for server 192.168.50.9");
    };
    "issue 3: mode auto", "who SELECTs another server on our own wire shows that there is one", || {
        let ask = Ask::new(REQUEST, mac(1)).with(54, [192, 168, 50, 9]).with(50, [192, 168, 50, 150]);
        let shown = |change: fn(&mut Rig), ask: &Ask| {
            let mut rig = rig();
            change(&mut rig);
            rig.send(ask).outcome.rival
        };
        assert_eq!(shown(|_| {}, &ask), Some(ip("192.168.50.9")));
        assert_eq!(shown(|_| {}, &ask.clone().relay("192.168.50.254")), None, "it came from elsewhere");
        assert_eq!(shown(|rig| rig.settings(|settings| settings.own = vec![ip("192.168.50.9")]), &ask), None, "ours");
        assert_eq!(shown(|_| {}, &Ask::selecting(1, "192.168.50.150")), None);
        let release = Ask { ciaddr: ip("192.168.50.150"), ..Ask::new(RELEASE, mac(1)).with(54, [192, 168, 50, 9]) };
        assert_eq!(shown(|_| {}, &release), None, "long ago, perhaps");
    };
    "RFC 2131 section 3.1", "SELECTING another server frees our offer at once", || {
        let mut rig = rig();
        rig.settings(|settings| settings.subnets[0].range = Some((ip("192.168.50.100"), ip("192.168.50.100"))));
        rig.send(&Ask::discover(1)).reply();
        assert!(rig.send(&Ask::discover(2)).ignored().contains("no free address"));
        rig.send(&Ask::new(REQUEST, mac(1)).with(54, [192, 168, 50, 9]).with(50, [192, 168, 50, 100]));
        assert_eq!(rig.send(&Ask::discover(2)).reply().yiaddr, ip("192.168.50.100"));
    };
    "RFC 2131 section 3.1", "SELECTING another server keeps a lease that still runs", || {
        let mut rig = rig();
        let address = rig.lease(1);
        rig.send(&Ask::new(REQUEST, mac(1)).with(54, [192, 168, 50, 9]).with(50, address.octets()));
        assert!(rig.server.lease_of(mac(1)).is_some());
    };
    "RFC 2131 section 4.3.2", "SELECTING an address that somebody else has gets a NAK", || {
        let mut rig = rig();
        let address = rig.lease(1);
        nak(&rig.send(&Ask::selecting(2, &address.to_string())));
    };
    "RFC 2131 section 4.3.2", "SELECTING an address that is offered to somebody else gets a NAK", || {
        let mut rig = rig();
        let address = rig.send(&Ask::discover(1)).reply().yiaddr;
        nak(&rig.send(&Ask::selecting(2, &address.to_string())));
    };
    "RFC 2131 section 4.3.2", "SELECTING an address of another network gets a NAK", || {
        nak(&rig().send(&Ask::selecting(1, "10.0.0.1")));
    };
    "RFC 2131 section 4.3.2", "SELECTING an address outside the range gets a NAK", || {
        nak(&rig().send(&Ask::selecting(1, "192.168.50.20")));
    };
    "RFC 2131 section 4.3.2", "SELECTING our own address gets a NAK", || {
        let mut rig = rig();
        rig.settings(|settings| settings.subnets[0].range = Some((ip("192.168.50.1"), ip("192.168.50.20"))));
        nak(&rig.send(&Ask::selecting(1, "192.168.50.1")));
    };
    "RFC 2131 section 4.3.1", "SELECTING a free address after our restart gets an ACK", || {
        assert_eq!(rig().send(&Ask::selecting(1, "192.168.50.123")).reply().kind(), ACK);
    };
    "field: clients with ciaddr in SELECTING", "SELECTING with the address in ciaddr is understood", || {
        let ask = Ask { ciaddr: ip("192.168.50.123"), ..Ask::new(REQUEST, mac(1)).with(54, LOCAL.octets()) };
        assert_eq!(rig().send(&ask).reply().kind(), ACK);
    };
    "RFC 2131 section 4.3.2", "a REQUEST that names no address is ignored", || {
        assert!(rig().send(&Ask::new(REQUEST, mac(1))).ignored().contains("no address"));
    };
    "RFC 2131 section 4.3.2", "a second SELECTING gets the same ACK again", || {
        let mut rig = rig();
        let address = rig.lease(1);
        assert_eq!(rig.send(&Ask::selecting(1, &address.to_string())).reply().yiaddr, address);
    };
    "RFC 2131 section 4.3.2", "INIT-REBOOT with its own address gets an ACK", || {
        let mut rig = rig();
        let address = rig.lease(1);
        let got = rig.send(&Ask::init_reboot(1, &address.to_string()));
        assert_eq!((got.reply().kind(), got.reply().yiaddr), (ACK, address));
    };
    "RFC 2131 section 4.3.2", "INIT-REBOOT with another address than its own gets a NAK", || {
        let mut rig = rig();
        rig.lease(1);
        nak(&rig.send(&Ask::init_reboot(1, "192.168.50.20")));
    };
    "RFC 2131 section 4.3.2", "INIT-REBOOT on the wrong network gets a NAK", || {
        nak(&rig().send(&Ask::init_reboot(1, "10.1.1.1")));
    };
    "RFC 2131 section 4.3.2", "INIT-REBOOT of a client without a record is silence", || {
        assert_eq!(rig().send(&Ask::init_reboot(1, "192.168.50.150")).ignored(), "no record of this client");
    };
    "RFC 2131 section 4.3.2", "INIT-REBOOT with the fixed address gets an ACK without a record", || {
        let mut rig = rig();
        rig.machine(1, |machine| machine.address = Some(ip("192.168.50.20")));
        assert_eq!(rig.send(&Ask::init_reboot(1, "192.168.50.20")).reply().kind(), ACK);
    };
    "RFC 2131 section 4.3.2", "INIT-REBOOT with another than the fixed address gets a NAK", || {
        let mut rig = rig();
        rig.machine(1, |machine| machine.address = Some(ip("192.168.50.20")));
        nak(&rig.send(&Ask::init_reboot(1, "192.168.50.150")));
    };
    "RFC 2131 section 4.3.2", "INIT-REBOOT with an address that another got meanwhile gets a NAK", || {
        let mut rig = rig();
        let address = rig.lease(1);
        rig.pass(3601);
        rig.send(&Ask::selecting(2, &address.to_string())).reply();
        assert_eq!(rig.send(&Ask::init_reboot(1, &address.to_string())).ignored(), "no record of this client");
    };
    "RFC 2131 section 4.3.2", "RENEWING extends the lease", || {
        let mut rig = rig();
        let address = rig.lease(1).to_string();
        rig.pass(1800);
        let got = rig.unicast(&Ask::renewing(1, &address));
        assert_eq!((got.reply().kind(), got.reply().ciaddr), (ACK, ip(&address)));
        assert_eq!(rig.server.lease_of(mac(1)).unwrap().expires, rig.now.after(std::time::Duration::from_secs(3600)));
    };
    "RFC 2131 section 4.3.2", "RENEWING a lease that we forgot and nobody has gets an ACK", || {
        assert_eq!(rig().unicast(&Ask::renewing(1, "192.168.50.150")).reply().kind(), ACK);
    };
    "RFC 2131 section 4.3.2", "RENEWING an address that somebody else has gets a NAK", || {
        let mut rig = rig();
        let address = rig.lease(1);
        nak(&rig.unicast(&Ask::renewing(2, &address.to_string())));
    };
    "RFC 2131 section 4.3.2", "RENEWING a dynamic address when a fixed one was set gets a NAK", || {
        let mut rig = rig();
        let address = rig.lease(1);
        rig.machine(1, |machine| machine.address = Some(ip("192.168.50.20")));
        nak(&rig.unicast(&Ask::renewing(1, &address.to_string())));
        assert_eq!(rig.send(&Ask::discover(1)).reply().yiaddr, ip("192.168.50.20"));
    };
    "RFC 2131 section 4.3.2", "REBINDING its own address gets an ACK", || {
        let mut rig = rig();
        let address = rig.lease(1);
        rig.pass(3200);
        assert_eq!(rig.send(&Ask::renewing(1, &address.to_string())).reply().kind(), ACK);
    };
    "RFC 2131 section 4.3.2", "REBINDING of a client without a record is silence: another server may have one", || {
        assert_eq!(rig().send(&Ask::renewing(1, "192.168.50.150")).ignored(), "no record of this client");
    };
    "RFC 2131 section 4.3.2", "what a client was only offered, or had once, is no record: it chose another server", || {
        let mut offered = rig();
        offered.send(&Ask::discover(1)).reply();
        let mut expired = rig();
        expired.lease(1);
        expired.pass(10_000);
        for mut rig in [offered, expired] {
            for ask in [Ask::renewing(1, "192.168.50.20"), Ask::init_reboot(1, "192.168.50.20")] {
                assert_eq!(rig.send(&ask).ignored(), "no record of this client");
            }
        }
    };
    "RFC 2131 section 4.3.2", "REBINDING another address than its own gets a NAK", || {
        let mut rig = rig();
        rig.lease(1);
        nak(&rig.send(&Ask::renewing(1, "192.168.50.20")));
    };
    "RFC 2131 section 4.4.5", "a lease that has expired is acknowledged again while nobody else has it", || {
        let mut rig = rig();
        let address = rig.lease(1);
        rig.pass(10_000);
        assert_eq!(rig.send(&Ask::renewing(1, &address.to_string())).reply().yiaddr, address);
    };
    "RFC 2131 table 3", "a NAK has our name and a text, and neither siaddr nor file", || {
        let got = rig().send(&Ask::selecting(1, "10.0.0.1").pxe(0));
        assert_eq!(got.reply().address(54), LOCAL);
        assert!(got.reply().has(56) && got.reply().siaddr.is_unspecified());
        assert!(got.reply().file.is_empty() && !got.reply().has(67) && !got.reply().has(60));
        assert!(!got.reply().has(1) && !got.reply().has(3));
    };
    "RFC 2131 section 4.3.5", "INFORM gets settings, no address and no times", || {
        let got = rig().unicast(&Ask { ciaddr: ip("192.168.50.20"), ..Ask::new(INFORM, mac(1)) });
        assert_eq!(got.reply().kind(), ACK);
        assert!(got.reply().yiaddr.is_unspecified());
        for code in [51, 58, 59] {
            assert!(!got.reply().has(code), "{code}");
        }
        assert_eq!(got.reply().address(3), ip("192.168.50.254"));
        assert!(got.outcome.leases.is_empty());
        assert_eq!(got.reply().ciaddr, ip("192.168.50.20"));
    };
    "RFC 2131 section 4.3.3", "DECLINE is not answered, and the address is not given out for a while", || {
        let mut rig = rig();
        let address = rig.lease(1);
        let ask = Ask::new(DECLINE, mac(1)).with(54, LOCAL.octets()).with(50, address.octets());
        let got = rig.send(&ask);
        assert_eq!(got.ignored(), "DECLINE needs no answer");
        assert_eq!(got.removed(), [address]);
        assert!(got.outcome.events.iter().any(|event| event.kind == EventKind::LeaseDeclined { address }));
        assert_ne!(rig.send(&Ask::discover(1)).reply().yiaddr, address);
        nak(&rig.send(&Ask::selecting(2, &address.to_string())));
        rig.pass(601);
        assert_eq!(rig.send(&Ask::selecting(2, &address.to_string())).reply().kind(), ACK);
    };
    "RFC 2131 section 4.3.3", "DECLINE of somebody else's address changes nothing", || {
        let mut rig = rig();
        let address = rig.lease(1);
        let ask = Ask::new(DECLINE, mac(2)).with(54, LOCAL.octets()).with(50, address.octets());
        assert_eq!(rig.send(&ask).ignored(), "no record of this client");
        assert_eq!(rig.send(&Ask::selecting(1, &address.to_string())).reply().kind(), ACK);
    };
    "RFC 2131 section 4.3.3", "DECLINE to another server changes nothing", || {
        let mut rig = rig();
        let address = rig.lease(1);
        let ask = Ask::new(DECLINE, mac(1)).with(54, [192, 168, 50, 9]).with(50, address.octets());
        assert_eq!(rig.send(&ask).ignored(), "meant for server 192.168.50.9");
        assert!(rig.server.lease_of(mac(1)).is_some());
    };
    "RFC 2131 section 4.3.3", "a fixed address that was declined is given again after its probation only", || {
        let mut rig = rig();
        rig.machine(1, |machine| machine.address = Some(ip("192.168.50.20")));
        let address = rig.lease(1);
        rig.send(&Ask::new(DECLINE, mac(1)).with(54, LOCAL.octets()).with(50, address.octets()));
        assert_ne!(rig.send(&Ask::discover(1)).reply().yiaddr, address);
        rig.pass(601);
        assert_eq!(rig.send(&Ask::discover(1)).reply().yiaddr, address);
    };
    "RFC 2131 section 4.3.4", "RELEASE is not answered, and the address is free at once", || {
        let mut rig = rig();
        let address = rig.lease(1);
        let got = rig.unicast(&Ask { ciaddr: address, ..Ask::new(RELEASE, mac(1)).with(54, LOCAL.octets()) });
        assert_eq!(got.ignored(), "RELEASE needs no answer");
        assert!(got.outcome.events.iter().any(|event| event.kind == EventKind::LeaseReleased { address }));
        assert_eq!(rig.send(&Ask::selecting(2, &address.to_string())).reply().kind(), ACK);
    };
    "RFC 2131 section 4.3.4", "who released an address gets it again", || {
        let mut rig = rig();
        let address = rig.lease(1);
        rig.unicast(&Ask { ciaddr: address, ..Ask::new(RELEASE, mac(1)) });
        assert_eq!(rig.send(&Ask::discover(1)).reply().yiaddr, address);
    };
    "RFC 2131 section 4.3.4", "RELEASE of somebody else's address changes nothing", || {
        let mut rig = rig();
        let address = rig.lease(1);
        assert_eq!(rig.unicast(&Ask { ciaddr: address, ..Ask::new(RELEASE, mac(2)) }).ignored(), "no record of this client");
        nak(&rig.send(&Ask::selecting(2, &address.to_string())));
    };
    "RFC 2131 section 4.3", "a lease keeps the client's host name and identifier", || {
        let mut rig = rig();
        rig.send(&Ask::selecting(1, "192.168.50.150").with(12, "web1").with(61, [1, 2, 3]));
        let lease = rig.server.lease_of(mac(1)).unwrap();
        assert_eq!((lease.hostname.as_deref(), lease.client_id.as_deref()), (Some("web1"), Some(&[1, 2, 3][..])));
    };
    "FIRMWARE.md row 30", "an event tells how long the client has been trying", || {
        let got = rig().send(&Ask { secs: 42, ..Ask::discover(1) });
        assert!(matches!(&got.outcome.events[..], [event] if matches!(&event.kind, EventKind::DhcpReply { secs: 42, message, .. } if message == "offer")));
    };
};
