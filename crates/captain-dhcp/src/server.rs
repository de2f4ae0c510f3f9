//! The state machine's door: a datagram goes through identify, choose, decide, compose, encode, route.

use std::net::Ipv4Addr;
use std::time::Duration;

use captain_model::{Arch, DhcpMode, Event, EventKind, Firmware, Ignored, Lease, Mac, Timestamp};

use crate::boot::{self, Asked, Boot, Choice};
use crate::decide::{BootMessage, Case, Decision, Effect};
use crate::table::{Client, Table};
use crate::who::{self, Netboot};
use crate::wire::{self, Message, Request, Response};
use crate::{Ingress, LeaseChange, Outcome, Probe, Reply, Settings, World, reply, route};

/// BOOTP clients never renew, so their addresses are kept at least this long (RFC 1534 section 2).
const BOOTP_LEASE: Duration = Duration::from_secs(24 * 3600);

/// The DHCP server: datagrams, probe results and deadlines in, [`Outcome`]s out.
#[derive(Clone, Debug)]
pub struct Server {
    settings: Settings,
    table: Table,
}

/// One datagram's way through the server, for [`crate::explain`].
pub(crate) struct Walk {
    pub(crate) request: Result<Request, Ignored>,
    pub(crate) netboot: Result<Netboot, String>,
    pub(crate) decision: Decision,
    pub(crate) response: Option<Response>,
    pub(crate) dropped: Vec<u8>,
    pub(crate) outcome: Outcome,
}

impl Server {
    /// A server that remembers `leases` from before.
    pub fn new(settings: Settings, leases: impl IntoIterator<Item = Lease>) -> Self {
        let mut table = Table::default();
        for lease in leases {
            table.edit(lease.address, |entry| entry.lease = Some(lease));
        }
        Self { settings, table }
    }

    /// What it was made with.
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Takes new settings; leases stay.
    pub fn configure(&mut self, settings: Settings) {
        self.settings = settings;
    }

    /// Answers one datagram. Every datagram that gets no reply yields an `Ignored` event that says why.
    pub fn handle(
        &mut self,
        now: Timestamp,
        world: &World<'_>,
        ingress: Ingress,
        datagram: &[u8],
    ) -> Outcome {
        self.walk(now, world, ingress, datagram).outcome
    }

    pub(crate) fn walk(
        &mut self,
        now: Timestamp,
        world: &World<'_>,
        ingress: Ingress,
        datagram: &[u8],
    ) -> Walk {
        self.table.sweep(now);
        match wire::decode(datagram) {
            Ok(request) => self.answer(now, world, ingress, request),
            Err(why) => Walk::unread(now, why),
        }
    }

    fn answer(&mut self, now: Timestamp, world: &World<'_>, ingress: Ingress, request: Request) -> Walk {
        let netboot = who::identify(&request);
        let identity = world.inventory.identify(request.mac);
        let choice = boot::choose(&Asked {
            settings: &self.settings,
            world,
            ingress,
            request: &request,
            identity,
            netboot: netboot.as_ref().ok(),
            beside: is_beside(&self.settings, ingress),
        });
        let case = Case {
            settings: &self.settings,
            inventory: world.inventory,
            table: &self.table,
            now,
            ingress,
            request: &request,
            netboot: netboot.as_ref().map_err(String::as_str),
            choice: &choice,
        };
        let (mut decision, effect) = case.decide();
        let response = reply::compose(&case, identity, &decision);
        let (lease_time, id_first) =
            case.subnet().map_or((Duration::ZERO, false), |net| (net.lease_time, net.client_id_first));
        let client = case.client();
        let mut outcome = Outcome::default();
        let mut dropped = Vec::new();
        if let Some(response) = &response {
            let firmware = netboot.as_ref().ok().map(|netboot| netboot.firmware);
            match wire::encode(response.clone(), reply::room(&request, firmware)) {
                Ok(encoded) => {
                    let to = route::destination(&request, ingress, &decision, response.yiaddr);
                    outcome.replies.push(Reply {
                        interface: ingress.interface,
                        from: ingress.local,
                        from_port: ingress.port.number(),
                        to,
                        payload: encoded.payload,
                    });
                    dropped = encoded.dropped;
                }
                Err(why) => decision = Decision::Silence(Ignored::Refused(why.to_string())),
            }
        }
        let sent = response.is_none() || !outcome.replies.is_empty();
        if sent {
            let turn = Turn {
                now,
                request: &request,
                client,
                lease_time,
                id_first,
                settings: &self.settings,
                world,
            };
            turn.apply(&mut self.table, effect, &mut outcome);
        }
        report(now, &request, &netboot, &choice, &decision, &mut outcome);
        Walk { request: Ok(request), netboot, decision, response, dropped, outcome }
    }

    /// Tells what was found at an address of [`Outcome::probes`]. Silence (`Probe::Free`) need not be told.
    ///
    /// An offer that nobody has accepted yet is withdrawn; who has accepted finds out by itself and declines.
    pub fn probe_result(&mut self, now: Timestamp, address: Ipv4Addr, found: Probe) -> Outcome {
        let mut outcome = Outcome::default();
        let Some(entry) = self.table.get(address) else { return outcome };
        let Some((client, _)) = entry.offer.clone().filter(|_| entry.active(now).is_none()) else {
            return outcome;
        };
        match found {
            Probe::Free => return outcome,
            Probe::Used(Some(mac)) if mac == client.mac => return outcome,
            Probe::Used(_) => {}
        }
        let had_lease = entry.lease.is_some();
        let until = now.after(self.settings.probation);
        self.table.edit(address, |entry| {
            *entry = crate::table::Entry { probation: Some(until), ..Default::default() };
        });
        outcome.leases.extend(had_lease.then_some(LeaseChange::Remove(address)));
        outcome.events.push(Event::new(now, client.mac, EventKind::LeaseDeclined { address }));
        outcome
    }

    /// Drops offers and probations whose time is over.
    pub fn handle_timeout(&mut self, now: Timestamp) -> Outcome {
        self.table.sweep(now);
        Outcome::default()
    }

    /// When [`Server::handle_timeout`] wants to be called.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        self.table.next_end()
    }

    /// All leases that were acknowledged and not forgotten, expired ones too, by address.
    pub fn leases(&self) -> impl Iterator<Item = &Lease> {
        self.table.leases()
    }

    /// The lease of `mac` that lasts longest.
    pub fn lease_of(&self, mac: Mac) -> Option<&Lease> {
        self.table.lease_of(mac)
    }
}

/// Whether another server gives the client its address.
fn is_beside(settings: &Settings, ingress: Ingress) -> bool {
    ingress.port == crate::Port::BootServer
        || match settings.mode {
            DhcpMode::Proxy | DhcpMode::AutoProxy => true,
            DhcpMode::Auto | DhcpMode::Dynamic | DhcpMode::Reservation | DhcpMode::Disabled => false,
        }
}

impl Walk {
    fn unread(now: Timestamp, why: Ignored) -> Self {
        let event = Event::new(now, None, EventKind::Ignored { why: why.to_string() });
        Self {
            request: Err(why.clone()),
            netboot: Err("unreadable".to_owned()),
            decision: Decision::Silence(why),
            response: None,
            dropped: Vec::new(),
            outcome: Outcome { events: vec![event], ..Outcome::default() },
        }
    }
}

/// What an effect needs to know.
struct Turn<'a> {
    now: Timestamp,
    request: &'a Request,
    client: Client,
    lease_time: Duration,
    id_first: bool,
    settings: &'a Settings,
    world: &'a World<'a>,
}

impl Turn<'_> {
    fn apply(&self, table: &mut Table, effect: Effect, outcome: &mut Outcome) {
        match effect {
            Effect::None => {}
            Effect::Hold(address) => self.hold(table, address, outcome),
            Effect::Bind(address) => self.bind(table, address, outcome),
            Effect::Withdraw => self.withdraw(table, None),
            Effect::Release(address) => self.release(table, address, outcome),
            Effect::Decline(address) => self.decline(table, address, outcome),
        }
    }

    fn event(&self, kind: EventKind) -> Event {
        Event::new(self.now, self.request.mac, kind)
    }

    fn hold(&self, table: &mut Table, address: Ipv4Addr, outcome: &mut Outcome) {
        self.withdraw(table, Some(address));
        let fixed = self.world.inventory.machine_at(address).is_some();
        let had = table.of(&self.client, self.id_first).contains(&address);
        if self.settings.probe && !fixed && !had {
            outcome.probes.push(address);
        }
        let until = self.now.after(self.settings.offer_hold);
        table.edit(address, |entry| entry.offer = Some((self.client.clone(), until)));
    }

    /// Frees what was offered to the client, but for `keep`.
    fn withdraw(&self, table: &mut Table, keep: Option<Ipv4Addr>) {
        for address in table.of(&self.client, self.id_first).into_iter().filter(|own| Some(*own) != keep) {
            table.edit(address, |entry| {
                entry.offer.take_if(|(holder, _)| holder.is(&self.client, self.id_first));
            });
        }
    }

    fn bind(&self, table: &mut Table, address: Ipv4Addr, outcome: &mut Outcome) {
        self.withdraw(table, None);
        self.forget_others(table, address, outcome);
        let lease_time = match self.request.message {
            Message::Bootp => self.lease_time.max(BOOTP_LEASE),
            Message::Discover | Message::Request | Message::Decline | Message::Release | Message::Inform => {
                self.lease_time
            }
        };
        let lease = Lease {
            mac: self.request.mac,
            address,
            expires: self.now.after(lease_time),
            client_id: self.client.id.clone(),
            hostname: self.request.hostname.clone(),
        };
        table.edit(address, |entry| {
            entry.lease = Some(lease.clone());
            entry.offer = None;
            entry.probation = None;
        });
        outcome.leases.push(LeaseChange::Put(lease));
    }

    /// One client has one address in a subnet: its older ones there are free.
    fn forget_others(&self, table: &mut Table, address: Ipv4Addr, outcome: &mut Outcome) {
        let nets = &self.settings.subnets;
        let same_net =
            |other| nets.iter().any(|net| net.network.contains(&address) && net.network.contains(&other));
        for other in table.of(&self.client, self.id_first) {
            if other != address && same_net(other) {
                table.edit(other, |entry| {
                    entry.lease.take_if(|lease| Client::of(lease).is(&self.client, self.id_first));
                });
                outcome.leases.push(LeaseChange::Remove(other));
            }
        }
    }

    /// The address is free at once, but stays the client's favourite.
    fn release(&self, table: &mut Table, address: Ipv4Addr, outcome: &mut Outcome) {
        table.edit(address, |entry| {
            entry.offer = None;
            if let Some(lease) = &mut entry.lease {
                lease.expires = self.now;
                outcome.leases.push(LeaseChange::Put(lease.clone()));
            }
        });
        outcome.events.push(self.event(EventKind::LeaseReleased { address }));
    }

    fn decline(&self, table: &mut Table, address: Ipv4Addr, outcome: &mut Outcome) {
        table.edit(address, |entry| {
            entry.offer = None;
            entry.probation = Some(self.now.after(self.settings.probation));
            if entry.lease.take().is_some() {
                outcome.leases.push(LeaseChange::Remove(address));
            }
        });
        outcome.events.push(self.event(EventKind::LeaseDeclined { address }));
    }
}

/// Publishes what happened.
fn report(
    now: Timestamp,
    request: &Request,
    netboot: &Result<Netboot, String>,
    choice: &Choice,
    decision: &Decision,
    outcome: &mut Outcome,
) {
    let message = match decision {
        Decision::Offer(_) | Decision::BootOnly(BootMessage::Offer) => "offer",
        Decision::Ack(_) | Decision::Inform | Decision::BootOnly(BootMessage::Ack) => "ack",
        Decision::Nak(_) => "nak",
        Decision::Silence(why) => {
            let refusal = choice.refused.clone().filter(|_| names_refusal(why));
            let kind = EventKind::Ignored { why: why.to_string() };
            let refusal = refusal.map(|why| EventKind::NetbootRefused { why });
            outcome
                .events
                .extend(refusal.into_iter().chain([kind]).map(|kind| Event::new(now, request.mac, kind)));
            return;
        }
    };
    let address = match decision {
        Decision::Offer(address) | Decision::Ack(address) => Some(*address),
        Decision::Inform | Decision::Nak(_) | Decision::BootOnly(_) | Decision::Silence(_) => None,
    };
    let (firmware, arch) = seen(netboot);
    let file = match (&choice.boot, decision) {
        (
            Boot::Load(load),
            Decision::Offer(_) | Decision::Ack(_) | Decision::Inform | Decision::BootOnly(_),
        ) => load.file.clone(),
        (Boot::Load(_), Decision::Nak(_) | Decision::Silence(_)) | (Boot::Nothing | Boot::Silence(_), _) => {
            None
        }
    };
    let kind = EventKind::DhcpReply {
        message: message.to_owned(),
        address,
        firmware,
        arch,
        file,
        secs: request.secs,
    };
    let refusal = choice.refused.clone().map(|why| EventKind::NetbootRefused { why });
    outcome.events.extend([kind].into_iter().chain(refusal).map(|kind| Event::new(now, request.mac, kind)));
}

fn seen(netboot: &Result<Netboot, String>) -> (Option<Firmware>, Option<Arch>) {
    netboot.as_ref().map_or((None, None), |netboot| (Some(netboot.firmware), netboot.arch))
}

/// Whether the silence is about booting, so that the operator should see it as a refusal.
fn names_refusal(why: &Ignored) -> bool {
    matches!(why, Ignored::Refused(_) | Ignored::UnsupportedArch(_))
}
