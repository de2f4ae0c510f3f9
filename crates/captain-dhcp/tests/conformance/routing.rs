//! Where replies go: RFC 2131 section 4.1.

use std::net::SocketAddrV4;

use captain_dhcp::{Destination, Home};
use captain_model::DhcpMode;

use crate::cases;
use crate::rig::*;

fn rig() -> Rig {
    Rig::new(DhcpMode::Dynamic)
}

fn unicast(address: &str, port: u16) -> Option<Destination> {
    Some(Destination::Unicast(SocketAddrV4::new(ip(address), port)))
}

/// 192.168.50.0/24 and 10.9.0.0/24 on one wire.
fn two_subnets() -> Rig {
    let mut rig = rig();
    rig.settings(|settings| {
        settings.subnets.push(subnet("10.9.0.0/24", "10.9.0.100", "10.9.0.199"));
        let network = "10.9.0.0/24".parse().unwrap();
        settings.homes.push(Home { interface: 3, address: ip("10.9.0.1"), network });
    });
    rig
}

const BROADCAST: Option<Destination> = Some(Destination::Broadcast { port: 68 });

pub const CASES: &[Case] = cases! {
    "RFC 2131 section 4.1", "an OFFER to a client without an address goes to its MAC", || {
        let got = rig().send(&Ask::discover(1));
        let address = got.reply().yiaddr;
        assert_eq!(got.to, Some(Destination::Hardware { mac: mac(1), address, port: 68 }));
    };
    "RFC 2131 section 4.1", "an OFFER to a client with the broadcast flag is broadcast", || {
        assert_eq!(rig().send(&Ask::discover(1).broadcast()).to, BROADCAST);
    };
    "RFC 2131 section 4.1", "only the first bit of the flags means broadcast", || {
        let got = rig().send(&Ask { flags: 0x7fff, ..Ask::discover(1) });
        assert!(matches!(got.to, Some(Destination::Hardware { .. })));
    };
    "RFC 2131 section 4.1", "an ACK to a client without an address goes to its MAC", || {
        let got = rig().send(&Ask::selecting(1, "192.168.50.150"));
        assert_eq!(got.to, Some(Destination::Hardware { mac: mac(1), address: ip("192.168.50.150"), port: 68 }));
    };
    "RFC 2131 section 4.1", "an ACK to a renewing client goes to its address", || {
        assert_eq!(rig().unicast(&Ask::renewing(1, "192.168.50.150")).to, unicast("192.168.50.150", 68));
    };
    "RFC 2131 section 4.1", "an ACK to a renewing client with the broadcast flag goes to its address", || {
        assert_eq!(rig().unicast(&Ask::renewing(1, "192.168.50.150").broadcast()).to, unicast("192.168.50.150", 68));
    };
    "RFC 2131 section 4.1", "everything for a relayed client goes to the relay's port 67", || {
        for ask in [Ask::discover(1), Ask::discover(1).broadcast(), Ask::selecting(1, "192.168.50.150"), Ask::selecting(1, "10.0.0.1")] {
            assert_eq!(rig().send(&ask.relay("192.168.50.254")).to, unicast("192.168.50.254", 67));
        }
    };
    "RFC 8357", "a relay that sends from another port and says so is answered there", || {
        let mut rig = rig();
        rig.ingress.source = SocketAddrV4::new(ip("192.168.50.254"), 50_067);
        let ask = Ask::discover(1).relay("192.168.50.254");
        assert_eq!(rig.send(&ask.clone().with(82, [19, 0])).to, unicast("192.168.50.254", 50_067));
        assert_eq!(rig.send(&ask.with(82, [1, 1, 1])).to, unicast("192.168.50.254", 67));
    };
    "RFC 2131 section 4.1", "a NAK is broadcast", || {
        let got = rig().send(&Ask::selecting(1, "10.0.0.1"));
        assert_eq!((got.reply().kind(), got.to), (NAK, BROADCAST));
    };
    "RFC 2131 section 4.1", "a NAK to a renewing client is broadcast", || {
        let got = rig().unicast(&Ask::renewing(1, "192.168.50.20"));
        assert_eq!((got.reply().kind(), got.to), (NAK, BROADCAST));
    };
    "RFC 2131 section 4.3.2", "a NAK through a relay has the broadcast flag set", || {
        let got = rig().send(&Ask::selecting(1, "10.0.0.1").relay("192.168.50.254"));
        assert_eq!(got.reply().flags, 0x8000);
    };
    "RFC 2131 section 4.3.2", "a NAK without a relay has the flags that came", || {
        assert_eq!(rig().send(&Ask::selecting(1, "10.0.0.1")).reply().flags, 0);
    };
    "RFC 2131 section 4.3.5", "INFORM is answered to the client's address", || {
        let got = rig().unicast(&Ask { ciaddr: ip("192.168.50.20"), ..Ask::new(INFORM, mac(1)) });
        assert_eq!(got.to, unicast("192.168.50.20", 68));
    };
    "RFC 2131 section 4.3.5", "INFORM without an address is answered by broadcast", || {
        assert_eq!(rig().send(&Ask::new(INFORM, mac(1))).to, BROADCAST);
    };
    "LIBRARIES.md section 2.1", "a proxy offer is broadcast: it gives no address to send to", || {
        assert_eq!(Rig::new(DhcpMode::AutoProxy).send(&Ask::discover(1).pxe(0)).to, BROADCAST);
    };
    "garybowers/bootimus#129", "a proxy offer through a relay goes to the relay", || {
        let got = Rig::new(DhcpMode::AutoProxy).send(&Ask::discover(1).pxe(0).relay("10.3.3.1"));
        assert_eq!(got.to, unicast("10.3.3.1", 67));
    };
    "PXE 2.1 section 2.2.4", "port 4011 answers to where the request came from", || {
        let ask = Ask { ciaddr: ip("192.168.50.150"), ..Ask::new(REQUEST, mac(1)).pxe(7) };
        let got = Rig::new(DhcpMode::AutoProxy).boot_server(&ask, "192.168.50.150");
        assert_eq!(got.to, unicast("192.168.50.150", 4011));
    };
    "PXE 2.1 section 2.2.4", "port 4011 answers to the source even where a relay address is filled in", || {
        let ask = Ask::new(REQUEST, mac(1)).pxe(7).relay("10.3.3.1");
        let got = Rig::new(DhcpMode::AutoProxy).boot_server(&ask, "10.3.3.77");
        assert_eq!(got.to, unicast("10.3.3.77", 4011));
    };
    "PXE 2.1 section 2.2.4", "port 4011 answers a client without a source address at its ciaddr, else by broadcast", || {
        let ask = Ask::new(REQUEST, mac(1)).pxe(7);
        let mut rig = Rig::new(DhcpMode::AutoProxy);
        let broadcast = Some(Destination::Broadcast { port: 4011 });
        assert_eq!(rig.boot_server(&ask, "0.0.0.0").to, broadcast);
        let ask = Ask { ciaddr: ip("192.168.50.150"), ..ask };
        assert_eq!(rig.boot_server(&ask, "0.0.0.0").to, unicast("192.168.50.150", 4011));
    };
    "RFC 1542 section 4.1.2", "a BOOTP client behind a relay is answered through it", || {
        let got = rig().send(&Ask::bootp(mac(1)).relay("192.168.50.254"));
        assert_eq!((got.to, got.reply().giaddr), (unicast("192.168.50.254", 67), ip("192.168.50.254")));
    };
    "RFC 951 section 7.3", "a BOOTP client that knows its address gets all but one, where it is", || {
        let mut rig = rig();
        let got = rig.send(&Ask { ciaddr: ip("192.168.50.20"), ..Ask::bootp(mac(1)) });
        assert_eq!((got.to, got.reply().ciaddr), (unicast("192.168.50.20", 68), ip("192.168.50.20")));
        assert!(got.reply().yiaddr.is_unspecified() && got.reply().has(1));
        assert!(got.outcome.leases.is_empty());
    };
    "RFC 951", "a BOOTP reply goes to the client's MAC", || {
        assert!(matches!(rig().send(&Ask::bootp(mac(1))).to, Some(Destination::Hardware { .. })));
    };
    "bootimus defaultServerIP", "54 and siaddr are the address that the request came in on", || {
        let mut rig = rig();
        rig.settings(|settings| settings.subnets.push(subnet("10.9.0.0/24", "10.9.0.100", "10.9.0.199")));
        for local in ["192.168.50.1", "10.9.0.1"] {
            rig.ingress.local = ip(local);
            let got = rig.send(&Ask::discover(1).pxe(0));
            assert_eq!((got.reply().address(54), got.reply().siaddr), (ip(local), ip(local)));
        }
    };
    "issue 3: several subnets", "on a wire with two subnets a stranger gets the first one's", || {
        let got = two_subnets().send(&Ask::discover(1));
        assert_eq!((got.reply().address(54), got.reply().option(1)), (LOCAL, &[255, 255, 255, 0][..]));
        assert_eq!(got.reply().yiaddr.octets()[0], 192);
    };
    "issue 3: several subnets", "a machine whose fixed address is in the second subnet is served there", || {
        let mut rig = two_subnets();
        rig.machine(1, |machine| machine.address = Some(ip("10.9.0.20")));
        let got = rig.send(&Ask::discover(1).pxe(0));
        assert_eq!((got.reply().yiaddr, got.reply().address(54)), (ip("10.9.0.20"), ip("10.9.0.1")));
        assert_eq!((got.reply().siaddr, got.outcome.replies[0].from), (ip("10.9.0.1"), ip("10.9.0.1")));
        let ask = Ask::new(REQUEST, mac(1)).with(54, [10, 9, 0, 1]).with(50, [10, 9, 0, 20]);
        assert_eq!(rig.send(&ask).reply().kind(), ACK);
    };
    "issue 3: several subnets", "a client of the second subnet keeps its address when it starts again", || {
        let mut rig = two_subnets();
        let ask = Ask::new(REQUEST, mac(1)).with(54, [10, 9, 0, 1]).with(50, [10, 9, 0, 150]);
        assert_eq!(rig.send(&ask).reply().kind(), ACK);
        assert_eq!(rig.send(&Ask::init_reboot(1, "10.9.0.150")).reply().kind(), ACK);
        assert_eq!(rig.send(&Ask::discover(1)).reply().yiaddr, ip("10.9.0.150"));
        let rebinding = Ask { ciaddr: ip("10.9.0.150"), ..Ask::new(REQUEST, mac(1)) };
        assert_eq!(rig.send(&rebinding).reply().address(54), ip("10.9.0.1"));
    };
    "issue 3: several subnets", "the second subnet of another interface is none of this wire", || {
        let mut rig = two_subnets();
        rig.settings(|settings| settings.homes[0].interface = 4);
        rig.machine(1, |machine| machine.address = Some(ip("10.9.0.20")));
        assert_eq!(rig.send(&Ask::discover(1)).reply().yiaddr.octets()[0], 192);
    };
    "issue 3: VIP", "what came to a virtual address is answered from it and names it", || {
        let mut rig = rig();
        rig.ingress.local = ip("192.168.50.7");
        let got = rig.send(&Ask::discover(1).pxe(7));
        let named = (got.reply().address(54), got.reply().siaddr, got.outcome.replies[0].from);
        assert_eq!(named, (ip("192.168.50.7"), ip("192.168.50.7"), ip("192.168.50.7")));
        let ask = Ask::new(REQUEST, mac(1)).with(54, [192, 168, 50, 7]).with(50, got.reply().yiaddr.octets());
        assert_eq!(rig.send(&ask).reply().kind(), ACK);
    };
};
