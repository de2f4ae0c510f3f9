//! Relays and several subnets.

use captain_model::{DhcpMode, Subnet};

use crate::cases;
use crate::rig::*;

/// 192.168.50.0/24 here, 10.1.0.0/24 and 10.2.0.0/24 behind relays, 10.0.0.0/8 around them.
fn rig() -> Rig {
    let mut rig = Rig::new(DhcpMode::Dynamic);
    rig.settings(|settings| {
        settings.subnets.push(Subnet { range: None, ..subnet("10.0.0.0/8", "10.0.0.1", "10.0.0.2") });
        for n in [1, 2] {
            settings.subnets.push(Subnet {
                router: Some(ip(&format!("10.{n}.0.254"))),
                ..subnet(&format!("10.{n}.0.0/24"), &format!("10.{n}.0.100"), &format!("10.{n}.0.199"))
            });
        }
    });
    rig
}

fn lies_in(got: &Got, network: &str) {
    let network: ipnet::Ipv4Net = network.parse().unwrap();
    assert!(network.contains(&got.reply().yiaddr), "{} in {network}", got.reply().yiaddr);
}

pub const CASES: &[Case] = cases! {
    "RFC 2131 section 4.3.1", "a direct client is on the subnet of the interface", || {
        lies_in(&rig().send(&Ask::discover(1)), "192.168.50.0/24");
    };
    "RFC 2131 section 4.3.1", "a relayed client is on the subnet of the relay", || {
        lies_in(&rig().send(&Ask::discover(1).relay("10.1.0.254")), "10.1.0.0/24");
        lies_in(&rig().send(&Ask::discover(1).relay("10.2.0.254")), "10.2.0.0/24");
    };
    "dell/omnia#4643", "each subnet has its own router", || {
        let mut rig = rig();
        for n in [1, 2] {
            let router = format!("10.{n}.0.254");
            assert_eq!(rig.send(&Ask::discover(n).relay(&router)).reply().address(3), ip(&router));
        }
    };
    "RFC 2131 section 4.3.1", "the most specific subnet applies", || {
        let mut rig = rig();
        assert_eq!(rig.send(&Ask::discover(1).relay("10.1.0.9")).reply().option(1), [255, 255, 255, 0]);
        assert!(rig.send(&Ask::discover(1).relay("10.9.0.1")).ignored().contains("10.0.0.0/8"));
    };
    "RFC 2131 section 4.3.1", "a relay on a network that we do not serve is told of, not answered", || {
        assert_eq!(rig().send(&Ask::discover(1).relay("172.16.0.1")).ignored(), "no subnet is configured for 172.16.0.1");
    };
    "RFC 3011", "option 118 chooses the subnet, and the reply still goes to the relay", || {
        let got = rig().send(&Ask::discover(1).with(118, [10, 2, 0, 0]).relay("10.1.0.254"));
        lies_in(&got, "10.2.0.0/24");
        assert_eq!(got.reply().giaddr, ip("10.1.0.254"));
    };
    "RFC 3011 section 2", "option 118 comes back, asked for or not, and is not sent to who did not", || {
        let mut rig = rig();
        let ask = Ask::discover(1).with(118, [10, 2, 0, 0]).with(55, [1, 3]).relay("10.1.0.254");
        let offer = rig.send(&ask);
        assert_eq!(offer.reply().option(118), [10, 2, 0, 0]);
        let wish = offer.reply().yiaddr.octets();
        let ask = Ask::new(REQUEST, mac(1)).with(54, LOCAL.octets()).with(50, wish).with(118, [10, 2, 0, 0]);
        let ack = rig.send(&ask.relay("10.1.0.254"));
        assert_eq!((ack.reply().kind(), ack.reply().option(118)), (ACK, &[10, 2, 0, 0][..]));
        assert!(!rig.send(&Ask::discover(2).relay("10.1.0.254")).reply().has(118));
    };
    "RFC 3011", "option 118 of an unknown subnet gets nothing from another", || {
        assert!(rig().send(&Ask::discover(1).with(118, [172, 16, 0, 0])).ignored().contains("172.16.0.0"));
    };
    "RFC 3527", "option 82.5 chooses the subnet", || {
        lies_in(&rig().send(&Ask::discover(1).with(82, [5, 4, 10, 2, 0, 0]).relay("10.1.0.254")), "10.2.0.0/24");
    };
    "RFC 3527", "option 82.5 goes before 118", || {
        let ask = Ask::discover(1).with(118, [10, 1, 0, 0]).with(82, [5, 4, 10, 2, 0, 0]).relay("10.1.0.254");
        lies_in(&rig().send(&ask), "10.2.0.0/24");
    };
    "RFC 3046 section 2.1", "option 82 of a client without a relay decides nothing", || {
        let got = rig().send(&Ask::discover(1).with(82, [5, 4, 10, 2, 0, 0, 11, 4, 10, 2, 0, 9]));
        lies_in(&got, "192.168.50.0/24");
        assert_eq!(got.reply().address(54), LOCAL);
    };
    "RFC 3527", "an 82.5 of three bytes is passed over", || {
        lies_in(&rig().send(&Ask::discover(1).with(82, [5, 3, 10, 2, 0]).relay("10.1.0.254")), "10.1.0.0/24");
    };
    "RFC 5107", "with 82.11 the server identifier is the relay's", || {
        let got = rig().send(&Ask::discover(1).with(82, [11, 4, 10, 1, 0, 254]).relay("10.1.0.254"));
        assert_eq!(got.reply().address(54), ip("10.1.0.254"));
    };
    "RFC 5107", "a SELECTING of the relay's identifier is ours", || {
        let ask = Ask::new(REQUEST, mac(1)).with(54, [10, 1, 0, 254]).with(50, [10, 1, 0, 150]);
        let got = rig().send(&ask.with(82, [11, 4, 10, 1, 0, 254]).relay("10.1.0.254"));
        assert_eq!((got.reply().kind(), got.reply().address(54)), (ACK, ip("10.1.0.254")));
    };
    "RFC 5107", "a SELECTING of our own identifier is another's where 82.11 stands", || {
        let ask = Ask::selecting(1, "10.1.0.150").with(82, [11, 4, 10, 1, 0, 254]).relay("10.1.0.254");
        assert!(rig().send(&ask).ignored().contains("meant for server 192.168.50.1"));
    };
    "RFC 5107", "siaddr stays ours where 82.11 stands", || {
        let ask = Ask::discover(1).pxe(0).with(82, [11, 4, 10, 1, 0, 254]).relay("10.1.0.254");
        assert_eq!(rig().send(&ask).reply().siaddr, LOCAL);
    };
    "RFC 2131 section 4.3.2", "a client renewing through routers is on the subnet of its own address", || {
        let got = rig().unicast(&Ask::renewing(1, "10.1.0.150"));
        assert_eq!((got.reply().kind(), got.reply().address(3)), (ACK, ip("10.1.0.254")));
    };
    "RFC 2131 section 4.3.5", "INFORM through routers gets the settings of its own subnet", || {
        let got = rig().unicast(&Ask { ciaddr: ip("10.2.0.7"), ..Ask::new(INFORM, mac(1)) });
        assert_eq!(got.reply().address(3), ip("10.2.0.254"));
    };
    "RFC 2131 section 4.3.2", "INIT-REBOOT on another of our subnets gets a NAK", || {
        let mut rig = rig();
        let address = rig.lease(1).to_string();
        assert_eq!(rig.send(&Ask::init_reboot(1, &address).relay("10.1.0.254")).reply().kind(), NAK);
    };
    "RFC 2131 section 4.3.1", "a machine has one address in each subnet it appears in", || {
        let mut rig = rig();
        let here = rig.lease(1);
        let there = rig.send(&Ask::discover(1).relay("10.1.0.254")).reply().yiaddr;
        let got = rig.send(&Ask::selecting(1, &there.to_string()).relay("10.1.0.254"));
        assert!(got.removed().is_empty());
        assert_eq!(rig.send(&Ask::discover(1)).reply().yiaddr, here);
    };
    "INTERFACE.md", "a fixed address is given on its own subnet only", || {
        let mut rig = rig();
        rig.machine(1, |machine| machine.address = Some(ip("10.1.0.20")));
        assert_eq!(rig.send(&Ask::discover(1).relay("10.1.0.254")).reply().yiaddr, ip("10.1.0.20"));
        lies_in(&rig.send(&Ask::discover(1)), "192.168.50.0/24");
    };
    "RFC 2131 table 3", "giaddr comes back", || {
        assert_eq!(rig().send(&Ask::discover(1).relay("10.1.0.254")).reply().giaddr, ip("10.1.0.254"));
    };
};
