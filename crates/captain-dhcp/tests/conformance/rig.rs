//! A server and a world around it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use captain_dhcp::{Destination, Ingress, LeaseChange, Outcome, Port, Server, Settings, World};
use captain_model::{
    DhcpMode, EventKind, Inventory, Mac, Machine, Profile, Subnet, Timestamp, UnknownMachines,
};

pub use crate::message::*;

/// Where the server is.
pub const LOCAL: Ipv4Addr = Ipv4Addr::new(192, 168, 50, 1);
/// Where time starts.
pub const START: Timestamp = Timestamp::from_millis(1_800_000_000_000);

pub fn mac(last: u8) -> Mac {
    Mac::new([0x52, 0x54, 0, 0, 0, last])
}

pub fn ip(text: &str) -> Ipv4Addr {
    text.parse().unwrap()
}

pub fn subnet(network: &str, first: &str, last: &str) -> Subnet {
    Subnet {
        network: network.parse().unwrap(),
        range: Some((ip(first), ip(last))),
        router: None,
        dns: Vec::new(),
        ntp: Vec::new(),
        domain: None,
        lease_time: Duration::from_secs(3600),
        client_id_first: false,
    }
}

/// 192.168.50.0/24 with everything set.
pub fn lab_subnet() -> Subnet {
    Subnet {
        router: Some(ip("192.168.50.254")),
        dns: vec![ip("192.168.50.2"), ip("192.168.50.3")],
        ntp: vec![ip("192.168.50.4")],
        domain: Some("lab.example".into()),
        ..subnet("192.168.50.0/24", "192.168.50.100", "192.168.50.199")
    }
}

/// What one message led to.
pub struct Got {
    pub reply: Option<Seen>,
    pub to: Option<Destination>,
    pub outcome: Outcome,
}

impl Got {
    pub fn reply(&self) -> &Seen {
        self.reply.as_ref().unwrap_or_else(|| panic!("no reply; events: {:?}", self.outcome.events))
    }

    /// Why there was no answer.
    pub fn ignored(&self) -> String {
        assert!(self.reply.is_none(), "answered: {:?}", self.reply.as_ref().map(|reply| reply.kind()));
        let why = self.outcome.events.iter().find_map(|event| match &event.kind {
            EventKind::Ignored { why } => Some(why.clone()),
            _ => None,
        });
        why.expect("silence is a value: an Ignored event")
    }

    /// Why netboot was refused.
    pub fn refused(&self) -> Option<String> {
        self.outcome.events.iter().find_map(|event| match &event.kind {
            EventKind::NetbootRefused { why } => Some(why.clone()),
            _ => None,
        })
    }

    pub fn removed(&self) -> Vec<Ipv4Addr> {
        let removed = |change: &LeaseChange| match change {
            LeaseChange::Remove(address) => Some(*address),
            LeaseChange::Put(_) | LeaseChange::Bar(..) => None,
        };
        self.outcome.leases.iter().filter_map(removed).collect()
    }
}

/// A server and its world.
pub struct Rig {
    pub server: Server,
    pub settings: Settings,
    pub machines: Vec<Machine>,
    pub profile: Profile,
    pub unknown: UnknownMachines,
    pub settled: BTreeSet<Mac>,
    /// Loaders that are not there.
    pub missing: BTreeSet<String>,
    /// What is being fetched.
    pub awaited: Option<&'static str>,
    pub now: Timestamp,
    pub ingress: Ingress,
}

impl Rig {
    pub fn new(mode: DhcpMode) -> Self {
        let settings = Settings { mode, subnets: vec![lab_subnet()], ..Settings::default() };
        Self::with(settings)
    }

    pub fn with(settings: Settings) -> Self {
        let ingress = Ingress {
            interface: 3,
            local: LOCAL,
            source: SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 68),
            destination: Ipv4Addr::BROADCAST,
            port: Port::Server,
        };
        Self {
            server: Server::new(settings.clone(), []),
            settings,
            machines: Vec::new(),
            profile: Profile::new("default"),
            unknown: UnknownMachines::Boot,
            settled: BTreeSet::new(),
            missing: BTreeSet::new(),
            awaited: None,
            now: START,
            ingress,
        }
    }

    /// Changes the settings, keeping leases.
    pub fn settings(&mut self, change: impl FnOnce(&mut Settings)) {
        change(&mut self.settings);
        self.server.configure(self.settings.clone());
    }

    /// Adds a machine.
    pub fn machine(&mut self, last: u8, change: impl FnOnce(&mut Machine)) {
        let mut machine = Machine::new(mac(last));
        change(&mut machine);
        self.machines.push(machine);
    }

    pub fn inventory(&self) -> Inventory {
        let profiles = BTreeMap::from([("default".to_owned(), self.profile.clone())]);
        Inventory::new(self.machines.clone(), profiles, self.unknown)
    }

    pub fn send(&mut self, ask: &Ask) -> Got {
        self.raw(&ask.bytes())
    }

    pub fn raw(&mut self, datagram: &[u8]) -> Got {
        let inventory = self.inventory();
        let world = World {
            inventory: &inventory,
            settled: &|mac| self.settled.contains(&mac),
            loaders: &|name| !self.missing.contains(name),
            awaited: self.awaited,
        };
        let outcome = self.server.handle(self.now, &world, self.ingress, datagram);
        assert!(outcome.replies.len() <= 1, "one request, one reply");
        let reply = outcome.replies.first();
        if let Some(reply) = reply {
            assert_eq!(reply.interface, self.ingress.interface);
            let home = self.settings.homes.iter().any(|home| home.address == reply.from);
            assert!(home || reply.from == self.ingress.local, "replies come from where the request went");
            assert_eq!(reply.from_port, self.ingress.port.number());
            assert_eq!(reply.payload[4..8], datagram[4..8], "xid");
            assert_eq!(reply.payload[28..44], datagram[28..44], "chaddr");
        }
        Got { reply: reply.map(|reply| Seen::read(&reply.payload)), to: reply.map(|reply| reply.to), outcome }
    }

    /// As if the message had come by unicast to our address from the client's.
    pub fn unicast(&mut self, ask: &Ask) -> Got {
        let before = self.ingress;
        self.ingress.destination = self.ingress.local;
        self.ingress.source = SocketAddrV4::new(ask.ciaddr, 68);
        let got = self.send(ask);
        self.ingress = before;
        got
    }

    /// As if the message had come to port 4011 from `source`.
    pub fn boot_server(&mut self, ask: &Ask, source: &str) -> Got {
        let before = self.ingress;
        self.ingress.port = Port::BootServer;
        self.ingress.destination = self.ingress.local;
        self.ingress.source = SocketAddrV4::new(ip(source), 4011);
        let got = self.send(ask);
        self.ingress = before;
        got
    }

    pub fn pass(&mut self, seconds: u64) {
        self.now = self.now.after(Duration::from_secs(seconds));
    }

    /// DISCOVER and REQUEST; the address.
    pub fn lease(&mut self, last: u8) -> Ipv4Addr {
        let offered = self.send(&Ask::discover(last)).reply().yiaddr;
        let got = self.send(&Ask::selecting(last, &offered.to_string()));
        assert_eq!(got.reply().kind(), ACK);
        got.reply().yiaddr
    }
}

/// One case: where the rule stands, what it says, and how it is seen.
pub struct Case {
    pub source: &'static str,
    pub name: &'static str,
    pub run: fn(),
}

/// Runs all; names every one that fails.
pub fn run(cases: &[Case]) {
    let mut failed = Vec::new();
    for case in cases {
        if std::panic::catch_unwind(case.run).is_err() {
            failed.push(format!("{} ({})", case.name, case.source));
        }
    }
    assert!(failed.is_empty(), "{} of {} cases failed:\n{}", failed.len(), cases.len(), failed.join("\n"));
}
