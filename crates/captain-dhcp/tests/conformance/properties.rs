//! What holds whatever comes: no panic, no reply larger than allowed, no address for two.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use captain_dhcp::{LeaseChange, LogServer, Probe, Server};
use captain_model::{DhcpMode, Lease, Timestamp, UnknownMachines};
use proptest::prelude::*;

use crate::rig::*;

const MODES: [DhcpMode; 4] = [DhcpMode::Dynamic, DhcpMode::Reservation, DhcpMode::Proxy, DhcpMode::AutoProxy];

/// A server with something of everything configured.
fn full_rig(mode: DhcpMode) -> Rig {
    let mut rig = Rig::new(mode);
    rig.unknown = UnknownMachines::Boot;
    rig.settings(|settings| {
        settings.syslog = LogServer::Here;
        settings.routes =
            vec![captain_dhcp::Route { network: "10.0.0.0/8".parse().unwrap(), via: ip("192.168.50.7") }];
    });
    rig.machine(1, |machine| {
        machine.address = Some(ip("192.168.50.20"));
        machine.name = Some("r1-u07".into());
        machine.vlan = Some(4094);
    });
    rig
}

/// The UDP payload that a client with this option 57 takes.
fn allowed(max_size: Option<u16>) -> usize {
    max_size.map_or(576, usize::from).clamp(576, 1500) - 28
}

fn options() -> impl Strategy<Value = Vec<(u8, Vec<u8>)>> {
    let interesting = prop::sample::select(vec![43_u8, 50, 52, 54, 55, 57, 60, 61, 77, 82, 93, 97, 118, 175]);
    let code = prop_oneof![interesting, 1..=254_u8];
    let text = prop::sample::select(vec![
        b"PXEClient".to_vec(),
        b"HTTPClient:Arch:00016".to_vec(),
        b"U-Boot.armv8".to_vec(),
        b"iPXE".to_vec(),
        vec![0, 7],
        vec![0x13, 1, 1, 0x18, 1, 1, 0x24, 1, 1],
    ]);
    let data = prop_oneof![3 => prop::collection::vec(any::<u8>(), 0..=255), 2 => text];
    prop::collection::vec((code, data), 0..24)
}

fn ask() -> impl Strategy<Value = (Ask, Vec<u8>)> {
    let address = prop_oneof![Just([0; 4]), Just([192, 168, 50, 150]), any::<[u8; 4]>()];
    let header = (1..=8_u8, 1..4_u8, any::<u16>(), address.clone(), address);
    let bodies =
        (options(), prop::collection::vec(any::<u8>(), 0..=64), prop::collection::vec(any::<u8>(), 0..=128));
    (header, bodies, prop::collection::vec(any::<u8>(), 0..32)).prop_map(|(header, bodies, tail)| {
        let (kind, last, flags, ciaddr, giaddr) = header;
        let (options, sname, file) = bodies;
        let ask = Ask {
            flags,
            ciaddr: ciaddr.into(),
            giaddr: giaddr.into(),
            sname,
            file,
            ..Ask::new(kind, mac(last))
        };
        let ask = options.into_iter().fold(ask, |ask, (code, data)| ask.with(code, data));
        (ask, tail)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes_never_panic(datagram in prop::collection::vec(any::<u8>(), 0..1500), mode in 0..4_usize) {
        let got = full_rig(MODES[mode]).raw(&datagram);
        prop_assert!(!got.outcome.events.is_empty());
    }

    #[test]
    fn arbitrary_options_never_panic(tail in prop::collection::vec(any::<u8>(), 0..1200), mode in 0..4_usize) {
        let datagram = [Ask::discover(1).raw_header(), vec![53, 1, 1], tail].concat();
        prop_assert!(!full_rig(MODES[mode]).raw(&datagram).outcome.events.is_empty());
    }

    #[test]
    fn replies_are_well_formed_and_never_larger_than_allowed((ask, tail) in ask(), mode in 0..4_usize, port in any::<bool>()) {
        let mut rig = full_rig(MODES[mode]);
        if port {
            rig.ingress.port = captain_dhcp::Port::BootServer;
        }
        let mut datagram = ask.bytes();
        datagram.extend(tail);
        let got = rig.raw(&datagram);
        prop_assert!(!got.outcome.events.is_empty());
        if let Some(reply) = &got.reply {
            // Any of them may stand in the options field, or behind option 52; the largest one bounds all.
            prop_assert!(reply.payload.len() <= 1472);
            let sizes = ask.options.iter().filter(|(code, data)| *code == 57 && data.len() > 1).count();
            let overload = ask.options.iter().any(|(code, _)| *code == 52);
            if sizes == 0 && !overload {
                prop_assert!(reply.payload.len() <= allowed(None), "{}", reply.payload.len());
            }
        }
    }

    #[test]
    fn a_reply_is_never_larger_than_option_57(size in any::<u16>(), dns in 0..300_usize, raw in 0..200_usize) {
        let mut rig = full_rig(DhcpMode::Dynamic);
        rig.settings(|settings| settings.subnets[0].dns = vec![LOCAL; dns]);
        for ask in [Ask::discover(1), Ask::discover(2).pxe(0), Ask::discover(3).pxe(7), Ask::discover(4).ipxe(0, &[0x13, 0x18])] {
            let ask = ask.with(57, size.to_be_bytes()).with(82, vec![1; raw]).relay("192.168.50.254");
            let got = rig.send(&ask);
            if let Some(reply) = &got.reply {
                prop_assert!(reply.payload.len() <= allowed(Some(size)));
                prop_assert_eq!(reply.option(82).len(), raw);
            } else {
                prop_assert!(got.ignored().contains("82"));
            }
        }
    }

    #[test]
    fn explaining_arbitrary_bytes_never_panics(datagram in prop::collection::vec(any::<u8>(), 236..700)) {
        let rig = full_rig(DhcpMode::Dynamic);
        let inventory = rig.inventory();
        let world = captain_dhcp::World { inventory: &inventory, settled: &|_| false, loaders: &|_| true, awaited: None };
        let datagram = [Ask::discover(1).raw_header(), datagram].concat();
        let told = captain_dhcp::explain_datagram(&rig.server, rig.now, &world, rig.ingress, &datagram);
        prop_assert!(!told.to_string().is_empty());
    }
}

/// Something that can happen.
#[derive(Clone, Debug)]
enum Step {
    Discover { client: u8, wish: Option<u8> },
    SelectOffered(u8),
    Select { client: u8, address: u8 },
    SelectOther(u8),
    InitReboot { client: u8, address: u8 },
    Renew { client: u8, address: u8, unicast: bool },
    Decline { client: u8, address: u8 },
    Release { client: u8, address: u8 },
    Bootp(u8),
    Found { address: u8, holder: Option<u8> },
    Pass(u64),
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let client = || 1..=6_u8;
    let address = || 99..=105_u8;
    prop_oneof![
        4 => (client(), prop::option::of(address())).prop_map(|(client, wish)| Step::Discover { client, wish }),
        4 => client().prop_map(Step::SelectOffered),
        2 => (client(), address()).prop_map(|(client, address)| Step::Select { client, address }),
        1 => client().prop_map(Step::SelectOther),
        1 => (client(), address()).prop_map(|(client, address)| Step::InitReboot { client, address }),
        2 => (client(), address(), any::<bool>()).prop_map(|(client, address, unicast)| Step::Renew { client, address, unicast }),
        1 => (client(), address()).prop_map(|(client, address)| Step::Decline { client, address }),
        1 => (client(), address()).prop_map(|(client, address)| Step::Release { client, address }),
        1 => client().prop_map(Step::Bootp),
        1 => (address(), prop::option::of(client())).prop_map(|(address, holder)| Step::Found { address, holder }),
        2 => (1..4000_u64).prop_map(Step::Pass),
        1 => Just(Step::Restart),
    ]
}

/// What clients believe and what a disk would hold.
struct Watch {
    rig: Rig,
    offered: BTreeMap<u8, Ipv4Addr>,
    /// Who may use which address until when.
    held: BTreeMap<Ipv4Addr, (captain_model::Mac, Timestamp)>,
    disk: BTreeMap<Ipv4Addr, Lease>,
    /// What nobody may get until when.
    barred: BTreeMap<Ipv4Addr, Timestamp>,
}

fn at(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(192, 168, 50, last)
}

impl Watch {
    fn step(&mut self, step: Step) {
        let now = self.rig.now;
        let got = match step {
            Step::Discover { client, wish } => {
                let ask = Ask::discover(client);
                let ask = wish.map_or(ask.clone(), |wish| ask.with(50, at(wish).octets()));
                let got = self.rig.send(&ask);
                if let Some(reply) = &got.reply {
                    self.may_be_given(reply.yiaddr, mac(client), now);
                    self.offered.insert(client, reply.yiaddr);
                }
                got
            }
            Step::SelectOffered(client) => match self.offered.get(&client) {
                Some(address) => self.rig.send(&Ask::selecting(client, &address.to_string())),
                None => return,
            },
            Step::Select { client, address } => {
                self.rig.send(&Ask::selecting(client, &at(address).to_string()))
            }
            Step::SelectOther(client) => self.rig.send(
                &Ask::new(REQUEST, mac(client)).with(54, [192, 168, 50, 9]).with(50, [192, 168, 50, 7]),
            ),
            Step::InitReboot { client, address } => {
                self.rig.send(&Ask::init_reboot(client, &at(address).to_string()))
            }
            Step::Renew { client, address, unicast } => {
                let ask = Ask::renewing(client, &at(address).to_string());
                if unicast { self.rig.unicast(&ask) } else { self.rig.send(&ask) }
            }
            Step::Decline { client, address } => {
                self.rig.send(&Ask::new(DECLINE, mac(client)).with(50, at(address).octets()))
            }
            Step::Release { client, address } => {
                self.rig.unicast(&Ask { ciaddr: at(address), ..Ask::new(RELEASE, mac(client)) })
            }
            Step::Bootp(client) => self.rig.send(&Ask::bootp(mac(client))),
            Step::Found { address, holder } => {
                let outcome = self.rig.server.probe_result(now, at(address), Probe::Used(holder.map(mac)));
                self.write(&outcome.leases, now);
                return;
            }
            Step::Pass(seconds) => {
                self.rig.pass(seconds);
                let _ = self.rig.server.handle_timeout(self.rig.now);
                return;
            }
            Step::Restart => {
                let server = Server::new(self.rig.settings.clone(), self.disk.values().cloned());
                self.rig.server =
                    server.barring(self.barred.iter().map(|(address, until)| (*address, *until)));
                return;
            }
        };
        self.write(&got.outcome.leases, now);
        assert!(self.rig.server.leases().eq(self.disk.values()), "disk and memory agree");
    }

    /// Nobody else holds it, it is not barred, and it is not one that is kept for another.
    fn may_be_given(&self, address: Ipv4Addr, client: captain_model::Mac, now: Timestamp) {
        if let Some((holder, until)) = self.held.get(&address) {
            assert!(*holder == client || *until <= now, "{address} is {holder}'s, not {client}'s");
        }
        let barred = self.barred.get(&address).is_some_and(|until| *until > now);
        assert!(!barred, "{address} is barred");
        assert!(address != LOCAL && Some(address) != self.rig.settings.subnets[0].router);
        if let Some(machine) = self.rig.inventory().machine_at(address) {
            assert!(machine.macs.contains(&client), "{address} is fixed for {}", machine.mac());
        }
    }

    fn write(&mut self, changes: &[LeaseChange], now: Timestamp) {
        for change in changes {
            match change {
                LeaseChange::Put(lease) => {
                    if lease.expires > now {
                        self.may_be_given(lease.address, lease.mac, now);
                    }
                    self.held.insert(lease.address, (lease.mac, lease.expires));
                    self.disk.insert(lease.address, lease.clone());
                }
                LeaseChange::Remove(address) => {
                    self.held.remove(address);
                    self.disk.remove(address);
                }
                LeaseChange::Bar(address, until) => drop(self.barred.insert(*address, *until)),
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn no_address_is_leased_to_two_clients_whatever_they_send(
        steps in prop::collection::vec(step(), 1..120),
        reservation in prop::bool::weighted(0.2),
    ) {
        let mode = if reservation { DhcpMode::Reservation } else { DhcpMode::Dynamic };
        let mut rig = Rig::new(mode);
        rig.settings(|settings| {
            settings.subnets[0].range = Some((at(100), at(104)));
            settings.subnets[0].router = Some(at(103));
        });
        rig.machine(1, |machine| machine.address = Some(at(101)));
        rig.machine(2, |machine| machine.address = Some(at(105)));
        let mut watch = Watch { rig, offered: BTreeMap::new(), held: BTreeMap::new(), disk: BTreeMap::new(), barred: BTreeMap::new() };
        for step in steps {
            watch.step(step);
        }
    }
}
