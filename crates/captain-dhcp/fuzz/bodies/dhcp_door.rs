//! Any datagrams, in any mode, on both ports, one after the other: no panic, and what comes out is in order.
//!
//! The input is a byte for the mode, then datagrams, each with a byte for the way it came and two for its length.

use std::net::{Ipv4Addr, SocketAddrV4};

use captain_dhcp::{
    Home, Ingress, LeaseChange, LogServer, Outcome, Port, Route, Server, Settings, World, explain_datagram,
};
use captain_model::{DhcpMode, Inventory, Mac, Machine, Profile, Subnet, Timestamp, UnknownMachines};

const LOCAL: Ipv4Addr = Ipv4Addr::new(192, 168, 50, 1);
/// Our second address on the wire, in the relay's network.
const HOME: Ipv4Addr = Ipv4Addr::new(10, 0, 7, 9);
const RELAY: Ipv4Addr = Ipv4Addr::new(10, 0, 7, 1);
/// Largest UDP payload.
const LARGEST: usize = 65_507;

/// One input.
pub(crate) fn run(input: &[u8]) {
    let Some((kind, mut rest)) = input.split_first() else { return };
    let mode = mode(*kind);
    let inventory = inventory(*kind);
    let world = World {
        inventory: &inventory,
        settled: &|mac| mac.bytes()[5] & 1 == 1,
        loaders: &|_| true,
        awaited: None,
    };
    let mut server = Server::new(settings(mode, kind & 0x80 != 0), []);
    let mut now = Timestamp::from_millis(1_000_000);
    while let [way, high, low, tail @ ..] = rest {
        let length = usize::from(u16::from_be_bytes([*high, *low])).min(tail.len());
        let (datagram, after) = tail.split_at(length);
        rest = after;
        now = now.after(std::time::Duration::from_secs(u64::from(way >> 2) * 10));
        let ingress = ingress(*way);
        let told = explain_datagram(&server, now, &world, ingress, datagram);
        let outcome = server.handle(now, &world, ingress, datagram);
        assert_eq!(told.size, outcome.replies.first().map_or(0, |reply| reply.payload.len()));
        check(mode, ingress, datagram, &outcome);
        if way & 0x80 != 0 {
            server.handle_timeout(now);
        }
    }
}

fn check(mode: DhcpMode, ingress: Ingress, datagram: &[u8], outcome: &Outcome) {
    assert!(outcome.replies.len() <= 1);
    assert!(!outcome.events.is_empty(), "whatever comes in leaves a trace");
    for reply in &outcome.replies {
        let payload = &reply.payload;
        // A Raspberry Pi cannot stand pads, and gets none.
        let padded = payload.len() >= 300 || payload.ends_with(&[255]);
        assert!(padded && payload.len() <= LARGEST, "{} bytes", payload.len());
        assert_eq!((payload[0], &payload[4..8]), (2, &datagram[4..8]), "a BOOTREPLY to this very request");
        assert!(reply.from == ingress.local || reply.from == HOME, "from {}", reply.from);
        assert_eq!(reply.from_port, ingress.port.number());
        assert!(mode != DhcpMode::Auto && mode != DhcpMode::Disabled, "a server that is off said something");
        if matches!(mode, DhcpMode::Proxy | DhcpMode::AutoProxy) {
            assert_eq!(payload[16..20], [0; 4], "a proxy gave out an address");
        }
    }
    for change in &outcome.leases {
        let LeaseChange::Put(lease) = change else { continue };
        assert!(matches!(mode, DhcpMode::Dynamic | DhcpMode::Reservation), "a lease in mode {mode}");
        let inside = subnets().iter().any(|subnet| subnet.network.contains(&lease.address));
        assert!(inside, "a lease of {} outside of every subnet", lease.address);
    }
}

fn mode(kind: u8) -> DhcpMode {
    match kind % 6 {
        0 => DhcpMode::Dynamic,
        1 => DhcpMode::Reservation,
        2 => DhcpMode::Proxy,
        3 => DhcpMode::AutoProxy,
        4 => DhcpMode::Auto,
        _ => DhcpMode::Disabled,
    }
}

fn ingress(way: u8) -> Ingress {
    let (source, destination) = match way & 2 {
        0 => (SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 68), Ipv4Addr::BROADCAST),
        _ => (SocketAddrV4::new(RELAY, 67), LOCAL),
    };
    let port = if way & 1 == 0 { Port::Server } else { Port::BootServer };
    Ingress { interface: 1, local: LOCAL, source, destination, port }
}

fn subnets() -> Vec<Subnet> {
    let subnet = |network: &str, first: [u8; 4], last: [u8; 4]| Subnet {
        network: network.parse().expect("a network"),
        range: Some((first.into(), last.into())),
        router: Some(LOCAL),
        dns: vec![LOCAL],
        ntp: vec![LOCAL],
        domain: Some("lab.example".to_owned()),
        lease_time: Subnet::DEFAULT_LEASE,
        client_id_first: network.starts_with("10."),
    };
    vec![
        subnet("192.168.50.0/24", [192, 168, 50, 100], [192, 168, 50, 103]),
        subnet("10.0.7.0/24", [10, 0, 7, 100], [10, 0, 7, 101]),
    ]
}

fn settings(mode: DhcpMode, probe: bool) -> Settings {
    let route = Route { network: "10.0.0.0/8".parse().expect("a network"), via: LOCAL };
    Settings {
        mode,
        subnets: subnets(),
        homes: vec![Home { interface: 1, address: HOME, network: "10.0.7.0/24".parse().expect("a network") }],
        routes: vec![route],
        syslog: LogServer::Here,
        probe,
        ..Settings::default()
    }
}

fn inventory(kind: u8) -> Inventory {
    let mut listed = Machine::new(Mac::new([0x52, 0x54, 0, 0, 0, 1]));
    listed.address = Some(Ipv4Addr::new(192, 168, 50, 20));
    listed.vlan = Some(7);
    let mut verbatim = Machine::new(Mac::new([0x52, 0x54, 0, 0, 0, 2]));
    verbatim.filename = Some("x".repeat(200));
    verbatim.next_server = Some(RELAY);
    let unknown = match kind & 0x40 {
        0 => UnknownMachines::Boot,
        _ => UnknownMachines::LeaseOnly,
    };
    let profiles = [(Profile::DEFAULT.to_owned(), Profile::new(Profile::DEFAULT))].into();
    Inventory::new(vec![listed, verbatim], profiles, unknown)
}
