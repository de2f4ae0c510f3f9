//! A server, a world around it, and messages written and read here by hand, so that the tests do not
//! believe the code they test.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use captain_dhcp::{Destination, Ingress, LeaseChange, Outcome, Port, Server, Settings, World};
use captain_model::{
    DhcpMode, EventKind, Inventory, Mac, Machine, Profile, Subnet, Timestamp, UnknownMachines,
};

/// Where the server is.
pub const LOCAL: Ipv4Addr = Ipv4Addr::new(192, 168, 50, 1);
/// Where time starts.
pub const START: Timestamp = Timestamp::from_millis(1_800_000_000_000);

pub const DISCOVER: u8 = 1;
pub const OFFER: u8 = 2;
pub const REQUEST: u8 = 3;
pub const DECLINE: u8 = 4;
pub const ACK: u8 = 5;
pub const NAK: u8 = 6;
pub const RELEASE: u8 = 7;
pub const INFORM: u8 = 8;

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

/// A request, written option by option.
#[derive(Clone, Debug)]
pub struct Ask {
    pub op: u8,
    pub htype: u8,
    pub hlen: u8,
    pub xid: u32,
    pub secs: u16,
    pub flags: u16,
    pub ciaddr: Ipv4Addr,
    pub giaddr: Ipv4Addr,
    pub mac: Mac,
    pub cookie: [u8; 4],
    pub sname: Vec<u8>,
    pub file: Vec<u8>,
    pub options: Vec<(u8, Vec<u8>)>,
}

impl Ask {
    pub fn bootp(mac: Mac) -> Self {
        Self {
            op: 1,
            htype: 1,
            hlen: 6,
            xid: 0xcafe_0001,
            secs: 0,
            flags: 0,
            ciaddr: Ipv4Addr::UNSPECIFIED,
            giaddr: Ipv4Addr::UNSPECIFIED,
            mac,
            cookie: [99, 130, 83, 99],
            sname: Vec::new(),
            file: Vec::new(),
            options: Vec::new(),
        }
    }

    pub fn new(kind: u8, mac: Mac) -> Self {
        Self::bootp(mac).with(53, [kind])
    }

    pub fn discover(last: u8) -> Self {
        Self::new(DISCOVER, mac(last))
    }

    pub fn selecting(last: u8, address: &str) -> Self {
        Self::new(REQUEST, mac(last)).with(54, LOCAL.octets()).with(50, ip(address).octets())
    }

    pub fn renewing(last: u8, address: &str) -> Self {
        Self { ciaddr: ip(address), ..Self::new(REQUEST, mac(last)) }
    }

    pub fn init_reboot(last: u8, address: &str) -> Self {
        Self::new(REQUEST, mac(last)).with(50, ip(address).octets())
    }

    pub fn with(mut self, code: u8, data: impl AsRef<[u8]>) -> Self {
        self.options.push((code, data.as_ref().to_vec()));
        self
    }

    pub fn relay(mut self, giaddr: &str) -> Self {
        self.giaddr = ip(giaddr);
        self
    }

    pub fn broadcast(mut self) -> Self {
        self.flags = 0x8000;
        self
    }

    /// PXE's four options, for this architecture.
    pub fn pxe(self, arch: u16) -> Self {
        self.class(&format!("PXEClient:Arch:{arch:05}:UNDI:003016"), arch)
    }

    pub fn http(self, arch: u16) -> Self {
        self.class(&format!("HTTPClient:Arch:{arch:05}:UNDI:003016"), arch)
    }

    pub fn class(self, class: &str, arch: u16) -> Self {
        let mut uuid = vec![0];
        uuid.extend([0xab; 16]);
        self.with(60, class).with(93, arch.to_be_bytes()).with(94, [1, 3, 16]).with(97, uuid)
    }

    /// iPXE's class and features: HTTP 0x13, bzImage 0x18, EFI 0x24.
    pub fn ipxe(self, arch: u16, features: &[u8]) -> Self {
        let data: Vec<u8> = features.iter().flat_map(|code| [*code, 1, 1]).collect();
        self.pxe(arch).with(77, "iPXE").with(175, data)
    }

    pub fn bytes(&self) -> Vec<u8> {
        let mut out = self.raw_header();
        for (code, data) in &self.options {
            out.extend([*code, data.len() as u8]);
            out.extend(data);
        }
        out.push(255);
        out.resize(out.len().max(300), 0);
        out
    }

    pub fn raw_header(&self) -> Vec<u8> {
        let mut out = vec![self.op, self.htype, self.hlen, 0];
        out.extend(self.xid.to_be_bytes());
        out.extend(self.secs.to_be_bytes());
        out.extend(self.flags.to_be_bytes());
        out.extend(self.ciaddr.octets());
        out.extend([0; 8]);
        out.extend(self.giaddr.octets());
        out.extend(self.mac.bytes());
        out.extend([0; 10]);
        let sname = out.len() + 64;
        out.extend(&self.sname);
        out.resize(sname, 0);
        out.extend(&self.file);
        out.resize(sname + 128, 0);
        out.extend(self.cookie);
        out
    }
}

/// A reply, read by hand; panics where it is not well formed.
#[derive(Clone, Debug)]
pub struct Seen {
    pub payload: Vec<u8>,
    pub flags: u16,
    pub ciaddr: Ipv4Addr,
    pub yiaddr: Ipv4Addr,
    pub siaddr: Ipv4Addr,
    pub giaddr: Ipv4Addr,
    pub sname: Vec<u8>,
    pub file: String,
    /// Codes in wire order, options field only.
    pub order: Vec<u8>,
    pub options: BTreeMap<u8, Vec<u8>>,
    /// Bytes up to and with END.
    pub used: usize,
}

impl Seen {
    pub fn read(payload: &[u8]) -> Self {
        let address = |at: usize| Ipv4Addr::from(<[u8; 4]>::try_from(&payload[at..at + 4]).unwrap());
        assert_eq!(payload[0], 2, "op is BOOTREPLY");
        assert_eq!(payload[236..240], [99, 130, 83, 99], "magic cookie");
        let (order, mut options, end) = area(&payload[240..]);
        assert!(payload[240 + end..].iter().all(|byte| *byte == 0), "only zeros after END");
        let overload = options.get(&52).map_or(0, |data| data[0]);
        for (bit, range) in [(1, 108..236), (2, 44..108)] {
            if overload & bit != 0 {
                for (code, data) in area(&payload[range]).1 {
                    options.entry(code).or_default().extend(data);
                }
            }
        }
        let file = if overload & 1 == 0 { text(&payload[108..236]) } else { String::new() };
        Self {
            flags: u16::from_be_bytes([payload[10], payload[11]]),
            ciaddr: address(12),
            yiaddr: address(16),
            siaddr: address(20),
            giaddr: address(24),
            sname: payload[44..108].to_vec(),
            file,
            order,
            options,
            used: 240 + end,
            payload: payload.to_vec(),
        }
    }

    pub fn kind(&self) -> u8 {
        self.options.get(&53).map_or(0, |data| data[0])
    }

    pub fn option(&self, code: u8) -> &[u8] {
        self.options.get(&code).unwrap_or_else(|| panic!("no option {code} in {:?}", self.order))
    }

    pub fn has(&self, code: u8) -> bool {
        self.options.contains_key(&code)
    }

    pub fn address(&self, code: u8) -> Ipv4Addr {
        Ipv4Addr::from(<[u8; 4]>::try_from(self.option(code)).unwrap())
    }

    /// Option 67 without a NUL at its end.
    pub fn bootfile(&self) -> String {
        let data = self.option(67);
        String::from_utf8(data.strip_suffix(&[0]).unwrap_or(data).to_vec()).unwrap()
    }
}

fn text(field: &[u8]) -> String {
    let end = field.iter().position(|byte| *byte == 0).expect("a NUL ends the field");
    assert!(field[end..].iter().all(|byte| *byte == 0), "zeros after the NUL");
    String::from_utf8(field[..end].to_vec()).unwrap()
}

/// Codes, options, and the size up to and with END.
fn area(bytes: &[u8]) -> (Vec<u8>, BTreeMap<u8, Vec<u8>>, usize) {
    let (mut order, mut options) = (Vec::new(), BTreeMap::<u8, Vec<u8>>::new());
    let mut at = 0;
    loop {
        match bytes[at] {
            0 => panic!("a pad before END (opnsense/core#7744)"),
            255 => return (order, options, at + 1),
            code => {
                let length = usize::from(bytes[at + 1]);
                order.push(code);
                options.entry(code).or_default().extend(&bytes[at + 2..at + 2 + length]);
                at += 2 + length;
            }
        }
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
            LeaseChange::Put(_) => None,
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
        };
        let outcome = self.server.handle(self.now, &world, self.ingress, datagram);
        assert!(outcome.replies.len() <= 1, "one request, one reply");
        let reply = outcome.replies.first();
        if let Some(reply) = reply {
            assert_eq!(reply.interface, self.ingress.interface);
            assert_eq!(reply.from, self.ingress.local, "replies come from where the request went");
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
