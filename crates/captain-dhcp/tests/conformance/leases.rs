//! Which address: stable, held, probed, reused, restored.

use std::collections::BTreeSet;
use std::time::Duration;

use captain_dhcp::{LeaseChange, Probe, Server};
use captain_model::{DhcpMode, EventKind, Lease, Mac};

use crate::cases;
use crate::rig::*;

fn rig() -> Rig {
    Rig::new(DhcpMode::Dynamic)
}

/// A pool of so many addresses, from 192.168.50.100.
fn pool(size: u8) -> Rig {
    let mut rig = rig();
    let last = std::net::Ipv4Addr::new(192, 168, 50, 99 + size);
    rig.settings(|settings| settings.subnets[0].range = Some((ip("192.168.50.100"), last)));
    rig
}

fn lease(last: u8, address: &str, expires: captain_model::Timestamp) -> Lease {
    Lease { mac: mac(last), address: ip(address), expires, client_id: None, hostname: None }
}

pub const CASES: &[Case] = cases! {
    "RFC 2131 section 4.3.1", "two DISCOVERs of one client get the same address", || {
        let mut rig = rig();
        let first = rig.send(&Ask::discover(1)).reply().yiaddr;
        assert_eq!(rig.send(&Ask::discover(1)).reply().yiaddr, first);
    };
    "DESIGN.md", "an address follows from the MAC, not from the order of arrival", || {
        let (mut one, mut other) = (rig(), rig());
        let a = one.send(&Ask::discover(1)).reply().yiaddr;
        other.send(&Ask::discover(7));
        assert_eq!(other.send(&Ask::discover(1)).reply().yiaddr, a);
    };
    "RFC 2131 section 4.3.1", "a lost state directory changes no address of an undisturbed pool", || {
        let mut rig = rig();
        let address = rig.lease(1);
        rig.server = Server::new(rig.settings.clone(), []);
        assert_eq!(rig.lease(1), address);
    };
    "RFC 2131 section 4.3.1", "an address that is asked for and free is given", || {
        let got = rig().send(&Ask::discover(1).with(50, [192, 168, 50, 177]));
        assert_eq!(got.reply().yiaddr, ip("192.168.50.177"));
    };
    "RFC 2131 section 4.3.1", "an address that is asked for and taken is not given", || {
        let mut rig = rig();
        let address = rig.lease(1);
        assert_ne!(rig.send(&Ask::discover(2).with(50, address.octets())).reply().yiaddr, address);
    };
    "RFC 2131 section 4.3.1", "an address that is asked for outside the range is not given", || {
        assert_ne!(rig().send(&Ask::discover(1).with(50, [192, 168, 50, 9])).reply().yiaddr, ip("192.168.50.9"));
    };
    "RFC 2131 section 4.3.1", "the client's own lease goes before what it asks for", || {
        let mut rig = rig();
        let address = rig.lease(1);
        assert_eq!(rig.send(&Ask::discover(1).with(50, [192, 168, 50, 177])).reply().yiaddr, address);
    };
    "RFC 2131 section 4.3.1", "an expired lease's address is found again by its client", || {
        let mut rig = rig();
        let address = rig.send(&Ask::selecting(1, "192.168.50.188")).reply().yiaddr;
        rig.pass(100_000);
        assert_eq!(rig.send(&Ask::discover(1)).reply().yiaddr, address);
    };
    "RFC 2131 section 4.3.1", "no address is offered to two clients", || {
        let mut rig = pool(50);
        let mut seen = BTreeSet::new();
        for last in 1..=50 {
            assert!(seen.insert(rig.send(&Ask::discover(last)).reply().yiaddr), "{last}");
        }
    };
    "RFC 2131 section 4.3.1", "a pool of one serves one, and says when it is empty", || {
        let mut rig = pool(1);
        rig.lease(1);
        assert_eq!(rig.send(&Ask::discover(2)).ignored(), "no free address in 192.168.50.0/24");
    };
    "RFC 2131 section 4.3.1", "an offer that nobody takes is free after its time", || {
        let mut rig = pool(1);
        rig.send(&Ask::discover(1)).reply();
        rig.pass(59);
        rig.send(&Ask::discover(2)).ignored();
        rig.pass(2);
        assert_eq!(rig.send(&Ask::discover(2)).reply().kind(), OFFER);
    };
    "DESIGN.md", "the deadline is the end of the offer, and then there is none", || {
        let mut rig = rig();
        assert_eq!(rig.server.next_deadline(), None);
        rig.send(&Ask::discover(1)).reply();
        let deadline = rig.server.next_deadline().unwrap();
        assert_eq!(deadline, START.after(Duration::from_secs(60)));
        rig.server.handle_timeout(deadline);
        assert_eq!(rig.server.next_deadline(), None);
    };
    "RFC 2131 section 4.3.1", "never-used addresses go before expired ones", || {
        let mut rig = pool(3);
        let old = rig.lease(1);
        rig.pass(5000);
        let new: BTreeSet<_> = [rig.lease(2), rig.lease(3)].into();
        assert!(!new.contains(&old));
    };
    "RFC 2131 section 4.3.1", "of expired addresses the longest expired is reused first", || {
        let mut rig = pool(3);
        let mut order = Vec::new();
        for last in [3, 1, 2] {
            order.push(rig.lease(last));
            rig.pass(10);
        }
        rig.pass(5000);
        assert_eq!(rig.lease(9), order[0]);
        assert_eq!(rig.lease(8), order[1]);
        assert_eq!(rig.lease(7), order[2]);
    };
    "RFC 2131 section 4.3.1", "a running lease is never reused", || {
        let mut rig = pool(2);
        rig.lease(1);
        rig.lease(2);
        rig.pass(3599);
        rig.send(&Ask::discover(3)).ignored();
        rig.pass(1);
        rig.send(&Ask::discover(3)).reply();
    };
    "INTERFACE.md", "a fixed address is given to its machine", || {
        let mut rig = rig();
        rig.machine(1, |machine| machine.address = Some(ip("192.168.50.20")));
        assert_eq!(rig.lease(1), ip("192.168.50.20"));
    };
    "INTERFACE.md", "a fixed address inside the range is given to nobody else", || {
        let mut rig = pool(2);
        rig.machine(1, |machine| machine.address = Some(ip("192.168.50.100")));
        assert_eq!(rig.lease(2), ip("192.168.50.101"));
        rig.send(&Ask::discover(3)).ignored();
        assert_eq!(rig.lease(1), ip("192.168.50.100"));
    };
    "INTERFACE.md", "a fixed address outside its network is not given there", || {
        let mut rig = rig();
        rig.machine(1, |machine| machine.address = Some(ip("10.0.0.20")));
        let address = rig.lease(1);
        assert!(rig.settings.subnets[0].network.contains(&address));
    };
    "dnsmasq man page, --dhcp-host", "a fixed address that another still leases is not taken from it", || {
        let mut rig = rig();
        let address = rig.lease(2);
        rig.machine(1, |machine| machine.address = Some(address));
        assert_ne!(rig.send(&Ask::discover(1)).reply().yiaddr, address);
        rig.pass(3601);
        assert_eq!(rig.send(&Ask::discover(1)).reply().yiaddr, address);
    };
    "dnsmasq man page, --dhcp-host", "two cards of one machine share its fixed address", || {
        let mut rig = rig();
        rig.machine(1, |machine| {
            machine.macs.push(mac(2));
            machine.address = Some(ip("192.168.50.20"));
        });
        assert_eq!((rig.lease(1), rig.lease(2)), (ip("192.168.50.20"), ip("192.168.50.20")));
    };
    "RFC 2131 section 4.3.1", "the network's and the broadcast address are never given", || {
        let mut rig = rig();
        rig.settings(|settings| settings.subnets[0] = subnet("192.168.50.0/30", "192.168.50.0", "192.168.50.3"));
        assert_eq!(rig.lease(1), ip("192.168.50.2"));
        rig.send(&Ask::discover(2)).ignored();
    };
    "RFC 2131 section 4.3.1", "our own, the router's and the relay's address are never given", || {
        let mut rig = rig();
        rig.settings(|settings| {
            settings.subnets[0].range = Some((ip("192.168.50.1"), ip("192.168.50.4")));
            settings.subnets[0].router = Some(ip("192.168.50.2"));
        });
        assert_eq!(rig.send(&Ask::discover(1).relay("192.168.50.3")).reply().yiaddr, ip("192.168.50.4"));
    };
    "RFC 2131 section 4.3.1", "a subnet without a range gives fixed addresses only", || {
        let mut rig = rig();
        rig.settings(|settings| settings.subnets[0].range = None);
        rig.machine(1, |machine| machine.address = Some(ip("192.168.50.20")));
        assert_eq!(rig.lease(1), ip("192.168.50.20"));
        rig.send(&Ask::discover(2)).ignored();
    };
    "field: a range written backwards", "a range whose end is before its start gives nothing and does not panic", || {
        let mut rig = rig();
        rig.settings(|settings| settings.subnets[0].range = Some((ip("192.168.50.9"), ip("192.168.50.5"))));
        rig.send(&Ask::discover(2)).ignored();
    };
    "RFC 2131 section 2.2", "a first-used address is probed, without delaying the offer", || {
        let got = rig().send(&Ask::discover(1));
        assert_eq!(got.outcome.probes, [got.reply().yiaddr]);
    };
    "RFC 2131 section 2.2", "a client's own address is not probed again", || {
        let mut rig = rig();
        rig.lease(1);
        assert!(rig.send(&Ask::discover(1)).outcome.probes.is_empty());
    };
    "RFC 2131 section 2.2", "an address that goes to another client is probed", || {
        let mut rig = pool(1);
        rig.lease(1);
        rig.pass(5000);
        assert_eq!(rig.send(&Ask::discover(2)).outcome.probes, [ip("192.168.50.100")]);
    };
    "RFC 2131 section 2.2", "a fixed address in use stays offered, and who uses it is told", || {
        let mut rig = rig();
        let address = ip("192.168.50.20");
        rig.machine(1, |machine| {
            machine.macs.push(mac(2));
            machine.address = Some(address);
        });
        assert_eq!(rig.send(&Ask::discover(1)).outcome.probes, [address]);
        assert!(rig.server.probe_result(rig.now, address, Probe::Used(Some(mac(2)))).events.is_empty(), "its own card");
        let outcome = rig.server.probe_result(rig.now, address, Probe::Used(Some(mac(99))));
        let kind = EventKind::AddressInUse { address, by: Some(mac(99)) };
        assert!(outcome.events.iter().any(|event| event.kind == kind), "{outcome:?}");
        assert!(outcome.leases.is_empty());
        assert_eq!(rig.send(&Ask::selecting(1, "192.168.50.20")).reply().kind(), ACK);
    };
    "RFC 2131 section 4.3.3", "a declined address, and one found in use, stay barred over a restart", || {
        let mut rig = rig();
        let declined = rig.lease(1);
        let got = rig.send(&Ask::new(DECLINE, mac(1)).with(54, LOCAL.octets()).with(50, declined.octets()));
        let until = rig.now.after(Duration::from_secs(600));
        assert_eq!(got.outcome.leases, [LeaseChange::Remove(declined), LeaseChange::Bar(declined, until)]);
        let used = rig.send(&Ask::discover(2)).reply().yiaddr;
        let found = rig.server.probe_result(rig.now, used, Probe::Used(None));
        assert_eq!(found.leases, [LeaseChange::Bar(used, until)]);
        rig.server = Server::new(rig.settings.clone(), []).barring([(declined, until), (used, until)]);
        for (last, address) in [(1, declined), (2, used)] {
            assert_ne!(rig.send(&Ask::discover(last)).reply().yiaddr, address);
        }
        rig.pass(601);
        assert_eq!(rig.send(&Ask::selecting(1, &declined.to_string())).reply().kind(), ACK);
    };
    "issue 3: VIP", "no address of our own is given away, whichever of them the request came in on", || {
        let mut rig = pool(3);
        rig.machine(7, |machine| machine.address = Some(ip("192.168.50.100")));
        rig.settings(|settings| settings.own = vec![ip("192.168.50.100"), ip("192.168.50.101")]);
        let offered = |rig: &mut Rig, last| rig.send(&Ask::discover(last).with(50, [192, 168, 50, 101])).reply().yiaddr;
        assert_eq!(offered(&mut rig, 7), ip("192.168.50.102"), "its fixed one is ours");
        rig.pass(61);
        assert_eq!(offered(&mut rig, 1), ip("192.168.50.102"));
        assert_eq!(rig.send(&Ask::selecting(1, "192.168.50.101")).reply().kind(), NAK);
    };
    "RFC 2131 section 2.2", "an address in use is withdrawn and not offered for a while", || {
        let mut rig = rig();
        let address = rig.send(&Ask::discover(1)).reply().yiaddr;
        let outcome = rig.server.probe_result(rig.now, address, Probe::Used(Some(mac(99))));
        assert!(outcome.events.iter().any(|event| event.kind == EventKind::LeaseDeclined { address }));
        assert_ne!(rig.send(&Ask::discover(1)).reply().yiaddr, address);
        assert_eq!(rig.send(&Ask::selecting(1, &address.to_string())).reply().kind(), NAK);
    };
    "RFC 2131 section 2.2", "the client itself answering the probe is no conflict", || {
        let mut rig = rig();
        let address = rig.send(&Ask::discover(1)).reply().yiaddr;
        assert!(rig.server.probe_result(rig.now, address, Probe::Used(Some(mac(1)))).events.is_empty());
        assert_eq!(rig.send(&Ask::selecting(1, &address.to_string())).reply().kind(), ACK);
    };
    "RFC 2131 section 2.2", "a conflict that is found after the ACK is told of, and an echo without a MAC may be the client's own", || {
        let mut rig = rig();
        let address = rig.lease(1);
        for own in [Probe::Used(None), Probe::Used(Some(mac(1))), Probe::Free] {
            assert!(rig.server.probe_result(rig.now, address, own).events.is_empty());
        }
        let outcome = rig.server.probe_result(rig.now, address, Probe::Used(Some(mac(99))));
        let told: Vec<_> = outcome.events.iter().map(|event| (event.mac, event.kind.clone())).collect();
        assert_eq!(told, [(Some(mac(1)), EventKind::AddressInUse { address, by: Some(mac(99)) })]);
        assert!(outcome.leases.is_empty(), "it has it");
    };
    "RFC 2131 section 2.2", "a free address stays offered", || {
        let mut rig = rig();
        let address = rig.send(&Ask::discover(1)).reply().yiaddr;
        rig.server.probe_result(rig.now, address, Probe::Free);
        assert_eq!(rig.send(&Ask::discover(1)).reply().yiaddr, address);
    };
    "RFC 2131 section 2.2", "the result of a probe that nobody ordered is harmless", || {
        let mut rig = rig();
        assert!(rig.server.probe_result(rig.now, ip("10.9.9.9"), Probe::Used(None)).events.is_empty());
    };
    "issue 3: leases on disk", "the lease that an ACK promises is in the same outcome", || {
        let mut rig = rig();
        let got = rig.send(&Ask::selecting(1, "192.168.50.150"));
        let [LeaseChange::Put(lease)] = &got.outcome.leases[..] else { panic!("{:?}", got.outcome.leases) };
        assert_eq!((lease.address, lease.mac), (ip("192.168.50.150"), mac(1)));
    };
    "issue 3: leases on disk", "restored leases hold", || {
        let mut rig = pool(1);
        rig.server = Server::new(rig.settings.clone(), [lease(1, "192.168.50.100", START.after(Duration::from_secs(10)))]);
        rig.send(&Ask::discover(2)).ignored();
        assert_eq!(rig.send(&Ask::discover(1)).reply().yiaddr, ip("192.168.50.100"));
        assert_eq!(rig.server.leases().count(), 1);
    };
    "issue 3: leases on disk", "a restored lease that has expired is reused", || {
        let mut rig = pool(1);
        rig.server = Server::new(rig.settings.clone(), [lease(1, "192.168.50.100", START)]);
        assert_eq!(rig.lease(2), ip("192.168.50.100"));
        assert!(rig.server.lease_of(mac(1)).is_none());
    };
    "RFC 2131 section 4.3.1", "a client that moves to its fixed address leaves its old one", || {
        let mut rig = rig();
        let old = rig.lease(1);
        rig.machine(1, |machine| machine.address = Some(ip("192.168.50.20")));
        rig.send(&Ask::discover(1));
        let got = rig.send(&Ask::selecting(1, "192.168.50.20"));
        assert_eq!(got.removed(), [old]);
        assert_eq!(rig.server.leases().count(), 1);
    };
    "coreos/bugs#1432", "one machine with a new identifier in every stage keeps its address", || {
        let mut rig = rig();
        let address = rig.lease(1);
        for id in [&[1, 0x52, 0x54][..], &[0, 1, 2, 3], &[255, 9, 9, 9]] {
            assert_eq!(rig.send(&Ask::discover(1).with(61, id)).reply().yiaddr, address);
        }
    };
    "RFC 2131 section 4.2", "where the subnet says so, option 61 identifies before the MAC", || {
        let mut rig = rig();
        rig.settings(|settings| settings.subnets[0].client_id_first = true);
        let a = rig.send(&Ask::selecting(1, "192.168.50.150").with(61, [1, 1])).reply().yiaddr;
        let b = rig.send(&Ask::discover(1).with(61, [2, 2])).reply().yiaddr;
        assert_ne!(a, b);
        assert_eq!(rig.send(&Ask::discover(9).with(61, [1, 1])).reply().yiaddr, a, "another card, the same client");
    };
    "RFC 2131 section 4.2", "where the subnet does not say so, two machines with one identifier are two clients", || {
        let mut rig = rig();
        let a = rig.send(&Ask::selecting(1, "192.168.50.150").with(61, [1, 1])).reply().yiaddr;
        assert_ne!(rig.send(&Ask::discover(2).with(61, [1, 1])).reply().yiaddr, a);
    };
    "RFC 1534", "a BOOTP client keeps its address for a day without asking again", || {
        let mut rig = pool(1);
        rig.send(&Ask::bootp(mac(1))).reply();
        rig.pass(80_000);
        rig.send(&Ask::discover(2)).ignored();
        rig.pass(7_000);
        rig.send(&Ask::discover(2)).reply();
    };
    "DESIGN.md", "a subnet of a /16 with a full neighbourhood still finds a free address", || {
        let mut rig = rig();
        rig.settings(|settings| settings.subnets[0] = subnet("10.7.0.0/16", "10.7.0.10", "10.7.255.250"));
        rig.ingress.local = ip("10.7.0.1");
        let mut seen = BTreeSet::new();
        for n in 0..2000_u16 {
            let [high, low] = n.to_be_bytes();
            let got = rig.send(&Ask::new(DISCOVER, Mac::new([2, 0, 0, 0, high, low])));
            assert!(seen.insert(got.reply().yiaddr));
        }
    };
};
