//! Whether and what to answer: mode, then kind of message, then what RFC 2131 section 4.3 says about it.

use std::net::Ipv4Addr;

use captain_model::{DhcpMode, Ignored, Inventory, Subnet, Timestamp, UnknownMachines};

use crate::boot::{Boot, Choice};
use crate::pool::Pool;
use crate::table::{Client, Table};
use crate::who::Netboot;
use crate::wire::{Message, Request};
use crate::{Ingress, Port, Settings};

/// What happens with a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// This address is offered.
    Offer(Ipv4Addr),
    /// This address is the client's (also the answer to BOOTP, which knows no offers).
    Ack(Ipv4Addr),
    /// Settings without an address (RFC 2131 section 4.3.5).
    Inform,
    /// The client must start anew, and why.
    Nak(&'static str),
    /// Boot information without an address: an offer on port 67, an acknowledgement on 4011.
    BootOnly(BootMessage),
    /// No answer, and why.
    Silence(Ignored),
}

/// Which message carries boot information alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BootMessage {
    Offer,
    Ack,
}

/// What a decision does to the lease table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    None,
    /// Keep this address for the client for a while.
    Hold(Ipv4Addr),
    /// It is the client's now.
    Bind(Ipv4Addr),
    /// The client chose another server: what we offered is free again.
    Withdraw,
    /// The client gave it back.
    Release(Ipv4Addr),
    /// The client found somebody else on it.
    Decline(Ipv4Addr),
}

/// All that a decision depends on.
pub(crate) struct Case<'a> {
    pub(crate) settings: &'a Settings,
    pub(crate) inventory: &'a Inventory,
    pub(crate) table: &'a Table,
    pub(crate) now: Timestamp,
    pub(crate) ingress: Ingress,
    pub(crate) request: &'a Request,
    pub(crate) netboot: Result<&'a Netboot, &'a str>,
    pub(crate) choice: &'a Choice,
}

type Verdict = (Decision, Effect);

const fn silence(why: Ignored) -> Verdict {
    (Decision::Silence(why), Effect::None)
}

/// The four kinds of REQUEST (RFC 2131 section 4.3.2).
enum Kind {
    Selecting { server: Ipv4Addr, address: Ipv4Addr },
    InitReboot(Ipv4Addr),
    Renewing(Ipv4Addr),
    Rebinding(Ipv4Addr),
}

impl<'a> Case<'a> {
    /// Decides.
    pub(crate) fn decide(&self) -> Verdict {
        match (self.ingress.port, self.settings.mode) {
            (_, DhcpMode::Disabled | DhcpMode::Auto) => silence(Ignored::Disabled),
            (Port::BootServer, _) => self.boot_server(),
            (Port::Server, DhcpMode::Proxy | DhcpMode::AutoProxy) => self.beside_another_server(),
            (Port::Server, DhcpMode::Dynamic | DhcpMode::Reservation) => self.with_addresses(),
        }
    }

    /// The subnet that the client is on: by what the relay says (RFC 3527), what the client asks (RFC 3011;
    /// the relay's word goes first), the relay's address, the client's own where it wrote to us from it
    /// through routers, else ours.
    pub(crate) fn subnet(&self) -> Option<&'a Subnet> {
        let link = self.link();
        let holds = self.settings.subnets.iter().filter(|subnet| subnet.network.contains(&link));
        holds.max_by_key(|subnet| subnet.network.prefix_len())
    }

    fn link(&self) -> Ipv4Addr {
        let request = self.request;
        let told = request.trusted_relay().and_then(|relay| relay.link).or(request.subnet);
        let relay = Some(request.giaddr).filter(|_| request.relayed());
        let own = Some(request.ciaddr)
            .filter(|address| !address.is_unspecified() && self.ingress.destination == self.ingress.local);
        told.or(relay).or(own).unwrap_or(self.ingress.local)
    }

    /// Our name to this client: the relay's address where it stands in for us (RFC 5107), else that of the
    /// interface the request came in on.
    pub(crate) fn server_id(&self) -> Ipv4Addr {
        self.request.trusted_relay().and_then(|relay| relay.server).unwrap_or(self.ingress.local)
    }

    pub(crate) fn client(&self) -> Client {
        Client { mac: self.request.mac, id: self.request.client_id.clone() }
    }

    fn pool(&self, subnet: &'a Subnet) -> Pool<'a> {
        Pool {
            table: self.table,
            inventory: self.inventory,
            subnet,
            mode: self.settings.mode,
            taken: [self.ingress.local, self.request.giaddr],
            own: &self.settings.own,
            now: self.now,
        }
    }

    /// Whether the machine is none that is answered in this mode.
    fn is_stranger(&self) -> bool {
        let unknown = self.inventory.machine(self.request.mac).is_none();
        unknown
            && match (self.settings.mode, self.inventory.unknown_machines()) {
                (DhcpMode::Reservation | DhcpMode::Proxy, _) | (_, UnknownMachines::Ignore) => true,
                (DhcpMode::AutoProxy, UnknownMachines::LeaseOnly) => true,
                (DhcpMode::Dynamic, UnknownMachines::Boot | UnknownMachines::LeaseOnly)
                | (DhcpMode::AutoProxy, UnknownMachines::Boot)
                | (DhcpMode::Auto | DhcpMode::Disabled, UnknownMachines::Boot | UnknownMachines::LeaseOnly) => {
                    false
                }
            }
    }

    /// Port 67 in the proxy modes: offers only. A REQUEST there is for the DHCP server; an ACK of ours
    /// without an address would confuse its client (siderolabs/omni-infra-provider-bare-metal#84).
    fn beside_another_server(&self) -> Verdict {
        match self.request.message {
            Message::Discover => self.boot_only(BootMessage::Offer),
            Message::Request => silence(Ignored::NoAnswer("a REQUEST to the DHCP server")),
            Message::Inform | Message::Decline | Message::Release | Message::Bootp => {
                silence(Ignored::NoAnswer(self.request.message.name()))
            }
        }
    }

    /// Port 4011 (PXE 2.1 section 2.2.4): REQUEST or INFORM, answered by an ACK.
    fn boot_server(&self) -> Verdict {
        match self.request.message {
            Message::Request | Message::Inform => self.boot_only(BootMessage::Ack),
            Message::Discover => self.boot_only(BootMessage::Offer),
            Message::Decline | Message::Release | Message::Bootp => {
                silence(Ignored::NoAnswer(self.request.message.name()))
            }
        }
    }

    fn boot_only(&self, message: BootMessage) -> Verdict {
        if let Err(why) = self.netboot {
            return silence(Ignored::NotNetboot(why.to_owned()));
        }
        if self.is_stranger() {
            return silence(Ignored::UnknownMachine);
        }
        let refused = || self.choice.refused.clone().unwrap_or_else(|| "there is nothing to boot".to_owned());
        match &self.choice.boot {
            Boot::Load(_) => (Decision::BootOnly(message), Effect::None),
            Boot::Silence(why) => silence(why.clone()),
            Boot::Nothing => match &self.choice.unsupported {
                Some(arch) => silence(Ignored::UnsupportedArch(arch.clone())),
                None => silence(Ignored::Refused(refused())),
            },
        }
    }

    /// We are the DHCP server.
    fn with_addresses(&self) -> Verdict {
        if self.is_stranger() {
            return silence(Ignored::UnknownMachine);
        }
        let Some(subnet) = self.subnet() else { return silence(Ignored::NoSubnet(self.link())) };
        let pool = self.pool(subnet);
        match (self.request.message, &self.choice.boot) {
            (Message::Decline, _) => self.decline(&pool),
            (Message::Release, _) => self.release(&pool),
            (_, Boot::Silence(why)) => silence(why.clone()),
            (Message::Discover, _) => self.discover(&pool),
            (Message::Request, _) => self.request(&pool),
            (Message::Inform, _) => (Decision::Inform, Effect::None),
            // It knows its address and wants the rest (RFC 951 section 7.3).
            (Message::Bootp, _) if !self.request.ciaddr.is_unspecified() => (Decision::Inform, Effect::None),
            (Message::Bootp, _) => match pool.choose(&self.client(), None) {
                Some(address) => (Decision::Ack(address), Effect::Bind(address)),
                None => silence(self.nothing_free(&pool)),
            },
        }
    }

    fn discover(&self, pool: &Pool<'_>) -> Verdict {
        match pool.choose(&self.client(), self.request.requested) {
            Some(address) => (Decision::Offer(address), Effect::Hold(address)),
            None => silence(self.nothing_free(pool)),
        }
    }

    fn nothing_free(&self, pool: &Pool<'_>) -> Ignored {
        let fixed = pool.fixed(self.request.mac);
        match (self.settings.mode, fixed) {
            (DhcpMode::Reservation, None) => Ignored::NoReservation,
            (DhcpMode::Reservation, Some(address)) => Ignored::PoolExhausted(format!(
                "{} (fixed {address} is somebody else's now)",
                pool.subnet.network
            )),
            (
                DhcpMode::Dynamic
                | DhcpMode::Auto
                | DhcpMode::Proxy
                | DhcpMode::AutoProxy
                | DhcpMode::Disabled,
                _,
            ) => Ignored::PoolExhausted(pool.subnet.network.to_string()),
        }
    }

    fn request(&self, pool: &Pool<'_>) -> Verdict {
        let client = self.client();
        let ack = |address| (Decision::Ack(address), Effect::Bind(address));
        let nak = |why| (Decision::Nak(why), Effect::None);
        let Some(kind) = self.kind() else {
            return silence(Ignored::Malformed("REQUEST names no address".into()));
        };
        match kind {
            Kind::Selecting { server, .. } if server != self.server_id() => {
                (Decision::Silence(Ignored::OtherServer(server)), Effect::Withdraw)
            }
            Kind::Selecting { address, .. } if pool.may_have(&client, address) => ack(address),
            Kind::Selecting { .. } => nak("the requested address is not available"),
            Kind::InitReboot(address) if !pool.subnet.network.contains(&address) => {
                nak("the requested address is not of this network")
            }
            Kind::InitReboot(address) | Kind::Rebinding(address) => {
                match (self.has_record(pool, address), pool.may_have(&client, address)) {
                    (Record::This, true) => ack(address),
                    (Record::This | Record::Another, _) => nak("the requested address is not this client's"),
                    (Record::None, _) => silence(Ignored::NoRecord),
                }
            }
            // It wrote to us alone, so it has the address from us, even if we have forgotten it.
            Kind::Renewing(address) if pool.may_have(&client, address) => ack(address),
            Kind::Renewing(_) => nak("the address cannot be renewed"),
        }
    }

    /// RFC 2131 table 4.
    fn kind(&self) -> Option<Kind> {
        let request = self.request;
        let own = Some(request.ciaddr).filter(|address| !address.is_unspecified());
        match (request.server_id, request.requested, own) {
            (Some(server), wish, own) => Some(Kind::Selecting { server, address: wish.or(own)? }),
            (None, _, Some(own)) if self.ingress.destination == self.ingress.local && !request.relayed() => {
                Some(Kind::Renewing(own))
            }
            (None, _, Some(own)) => Some(Kind::Rebinding(own)),
            (None, Some(wish), None) => Some(Kind::InitReboot(wish)),
            (None, None, None) => None,
        }
    }

    fn has_record(&self, pool: &Pool<'_>, address: Ipv4Addr) -> Record {
        let own = self.table.of(&self.client(), pool.subnet.client_id_first);
        let known = own.into_iter().filter(|own| pool.subnet.network.contains(own));
        let leased = |address: &Ipv4Addr| {
            self.table.get(*address).is_some_and(|entry| entry.active(self.now).is_some())
        };
        let fixed = pool.fixed(self.request.mac);
        if fixed == Some(address) || known.clone().any(|own| own == address) {
            Record::This
        } else if fixed.is_some() || known.clone().any(|own| leased(&own)) {
            Record::Another
        } else {
            Record::None
        }
    }

    /// RFC 2131 section 4.3.3. Only who has an address can decline it, else anyone could empty the pool.
    fn decline(&self, pool: &Pool<'_>) -> Verdict {
        self.give_back(pool, self.request.requested.unwrap_or(self.request.ciaddr), Effect::Decline)
    }

    /// RFC 2131 section 4.3.4.
    fn release(&self, pool: &Pool<'_>) -> Verdict {
        self.give_back(pool, self.request.ciaddr, Effect::Release)
    }

    fn give_back(&self, pool: &Pool<'_>, address: Ipv4Addr, effect: fn(Ipv4Addr) -> Effect) -> Verdict {
        if let Some(server) = self.request.server_id.filter(|server| *server != self.server_id()) {
            return silence(Ignored::OtherServer(server));
        }
        let holder = self.table.get(address).and_then(|entry| entry.holder(self.now));
        match holder {
            Some(holder) if holder.is(&self.client(), pool.subnet.client_id_first) => {
                (Decision::Silence(Ignored::NoAnswer(self.request.message.name())), effect(address))
            }
            Some(_) | None => silence(Ignored::NoRecord),
        }
    }
}

/// What we remember of a client.
enum Record {
    /// This very address.
    This,
    /// Another address, which is the client's now. What it was only offered, or had once, says nothing: it may have
    /// chosen another server of the same network.
    Another,
    /// Nothing.
    None,
}
