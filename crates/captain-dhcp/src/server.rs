//! The state machine's door: a datagram goes through identify, choose, decide, compose, encode, route.

use std::net::Ipv4Addr;
use std::time::Duration;

use captain_model::{DhcpMode, Event, EventKind, Firmware, Ignored, Lease, Mac, Timestamp};

use crate::boot::{self, Asked};
use crate::decide::{Case, Decision};
use crate::effect::Turn;
use crate::report::report;
use crate::table::Table;
use crate::who::{self, Netboot};
use crate::wire::{self, EncodeError, Message, Request, Response};
use crate::{Ingress, Outcome, Probe, Reply, Settings, World, home, reply, route};

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

    /// Bars the addresses that were barred before, each until its time ([`LeaseChange::Bar`]).
    #[must_use]
    pub fn barring(mut self, barred: impl IntoIterator<Item = (Ipv4Addr, Timestamp)>) -> Self {
        for (address, until) in barred {
            self.table.edit(address, |entry| entry.probation = Some(until));
        }
        self
    }

    /// What it was made with.
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Takes new settings; leases stay.
    pub fn configure(&mut self, settings: Settings) {
        self.settings = settings;
    }

    /// Serves in another mode from now on.
    pub const fn set_mode(&mut self, mode: DhcpMode) {
        self.settings.mode = mode;
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
        let ingress = home::of(&self.settings, &self.table, ingress, &request, identity);
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
        let (decision, effect) = case.decide();
        let response = reply::compose(&case, identity, &decision);
        let turn = Turn {
            now,
            request: &request,
            client: case.client(),
            lease_time: case.subnet().map_or(Duration::ZERO, |subnet| subnet.lease_time),
            id_first: case.subnet().is_some_and(|subnet| subnet.client_id_first),
            settings: &self.settings,
            world,
        };
        let mut outcome = Outcome::default();
        let firmware = netboot.as_ref().ok().map(|netboot| netboot.firmware);
        let (decision, dropped) =
            match send(&request, ingress, firmware, &decision, response.as_ref(), &mut outcome) {
                Ok(dropped) => {
                    turn.apply(&mut self.table, effect, &mut outcome);
                    (decision, dropped)
                }
                // What cannot be said must not be done either.
                Err(why) => (Decision::Silence(Ignored::Unanswerable(why.to_string())), Vec::new()),
            };
        outcome.rival = rival(&self.settings, ingress, &request, &decision);
        report(now, &request, &netboot, &choice, &decision, &mut outcome);
        Walk { request: Ok(request), netboot, decision, response, dropped, outcome }
    }

    /// Tells what was found at an address of [`Outcome::probes`]. Silence (`Probe::Free`) need not be told.
    ///
    /// An offer that nobody has accepted yet is withdrawn. An address that the operator fixed for the machine stays
    /// offered, and an event says who sits on it; so it does where the machine has accepted already, which may find
    /// out by itself and decline.
    pub fn probe_result(&mut self, now: Timestamp, address: Ipv4Addr, found: Probe) -> Outcome {
        let mut outcome = Outcome::default();
        let Some(entry) = self.table.get(address) else { return outcome };
        let Some(client) = entry.holder(now) else { return outcome };
        let accepted = entry.active(now).is_some();
        let by = match found {
            Probe::Free => return outcome,
            Probe::Used(Some(mac)) if mac == client.mac || entry.vouched.contains(&mac) => return outcome,
            // Its own echo, most likely.
            Probe::Used(None) if accepted => return outcome,
            Probe::Used(by) => by,
        };
        let kind = if accepted || entry.vouched.contains(&client.mac) {
            EventKind::AddressInUse { address, by }
        } else {
            self.table.bar(address, now.after(self.settings.probation), &mut outcome.leases);
            EventKind::LeaseDeclined { address }
        };
        outcome.events.push(Event::new(now, client.mac, kind));
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

/// Encodes and addresses the reply, where there is one; tells which options did not fit.
fn send(
    request: &Request,
    ingress: Ingress,
    firmware: Option<Firmware>,
    decision: &Decision,
    response: Option<&Response>,
    outcome: &mut Outcome,
) -> Result<Vec<u8>, EncodeError> {
    let Some(response) = response else { return Ok(Vec::new()) };
    let encoded = wire::encode(response.clone(), reply::room(request, firmware))?;
    outcome.replies.push(Reply {
        interface: ingress.interface,
        from: ingress.local,
        from_port: ingress.port.number(),
        to: route::destination(request, ingress, decision, response.yiaddr),
        payload: encoded.payload,
    });
    Ok(encoded.dropped)
}

/// The other server whose offer a client on this wire has accepted. Behind a relay that says nothing of this wire, and
/// what gives an address back may have been silent for long.
fn rival(settings: &Settings, ingress: Ingress, request: &Request, decision: &Decision) -> Option<Ipv4Addr> {
    let Decision::Silence(Ignored::OtherServer(server)) = decision else { return None };
    let here = request.message == Message::Request && !request.relayed();
    let ours = *server == ingress.local || settings.own.contains(server);
    (here && !ours).then_some(*server)
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
