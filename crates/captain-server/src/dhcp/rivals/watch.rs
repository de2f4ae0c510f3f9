//! When to look for other DHCP servers, and what follows: time and what was seen in, questions and a stance out.
//!
//! No addresses are given out on a wire before a look at it has ended without an answer. A look is short where the link
//! has been up for long, or where datagrams come in; on a link that has just come up it outlasts spanning tree, which
//! keeps questions and answers (and the clients') from passing. Who is found stays found until captaind starts again.
//!
//! Two captainds that start together after a power cut must neither both give out addresses nor both leave it to the
//! other: each waits a time of its own before it takes itself for alone, so that the later one hears the earlier.

use std::net::Ipv4Addr;
use std::time::Duration;

use captain_model::DhcpMode;
use tokio::time::Instant;

use crate::InterfaceSpec;

/// How long offers are waited for: dnsmasq offers a new address only after it has pinged it for 3 s.
const LISTEN: Duration = Duration::from_secs(5);
/// Between questions: the first may be lost while a switch learns.
const PAUSE: Duration = Duration::from_millis(1600);
/// How long a switch may keep a new link from forwarding: 15 s each for listening and learning (IEEE 802.1D), and some.
const SPANNING_TREE: Duration = Duration::from_secs(45);
/// Between looks where nobody else has been found.
const AGAIN: Duration = Duration::from_secs(120);

/// What two boxes' times of their own differ by: longer than [`PAUSE`], so that the later one asks once more meanwhile.
const TURN: Duration = Duration::from_secs(2);
/// How many such times there are. Boxes that stand together have addresses that do.
const TURNS: u32 = 8;

/// How DHCP is served now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stance {
    /// `Auto` while that is not known.
    pub(crate) mode: DhcpMode,
    /// Why, in one sentence.
    pub(crate) why: String,
    /// Indices of interfaces that are being looked at: no addresses are given out there.
    pub(crate) held: Vec<u32>,
}

impl Stance {
    /// A mode that holds everywhere.
    pub(crate) fn of(mode: DhcpMode, why: impl Into<String>) -> Self {
        Self { mode, why: why.into(), held: Vec::new() }
    }

    /// The mode for what comes in by this interface. As long as nothing is known, machines are told what to boot as
    /// beside another server: where there is one they need it now, and where there is none they ask again.
    pub(crate) fn mode_on(&self, interface: u32) -> DhcpMode {
        match self.mode {
            DhcpMode::Auto => DhcpMode::AutoProxy,
            DhcpMode::Dynamic if self.held.contains(&interface) => DhcpMode::AutoProxy,
            mode @ (DhcpMode::Dynamic
            | DhcpMode::Reservation
            | DhcpMode::Proxy
            | DhcpMode::AutoProxy
            | DhcpMode::Disabled) => mode,
        }
    }
}

/// All interfaces, as far as other servers are concerned.
#[derive(Debug)]
pub(super) struct Watch {
    wires: Vec<Wire>,
    /// Another server, in words.
    found: Option<String>,
}

#[derive(Debug)]
struct Wire {
    index: u32,
    name: String,
    state: State,
    /// This box's own time.
    turn: Duration,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// No carrier.
    Down,
    /// Questions are asked.
    Looking(Look),
    /// Nobody else answered; when the next look begins.
    Alone(Instant),
}

#[derive(Clone, Copy, Debug)]
struct Look {
    /// When the next question is due.
    ask: Instant,
    until: Instant,
    /// Whether no addresses are given out meanwhile.
    held: bool,
    /// The server that a machine has chosen in our place.
    chosen: Option<Ipv4Addr>,
}

impl Look {
    fn new(now: Instant, time: Duration) -> Self {
        Self { ask: now, until: now + time, held: true, chosen: None }
    }
}

impl Watch {
    /// Over these interfaces, all without carrier as far as is known.
    pub(super) fn new(interfaces: &[InterfaceSpec]) -> Self {
        let wire = |one: &InterfaceSpec| Wire {
            index: one.index,
            name: one.name.clone(),
            state: State::Down,
            turn: TURN * (one.address.to_bits() % TURNS),
        };
        Self { wires: interfaces.iter().map(wire).collect(), found: None }
    }

    /// An interface has a carrier or has none; `fresh`: it may have come up a moment ago.
    pub(super) fn link(&mut self, now: Instant, interface: u32, up: bool, fresh: bool) {
        let Some(wire) = self.wire(interface) else { return };
        wire.state = match (wire.state, up) {
            (_, false) => State::Down,
            (State::Down, true) if fresh => {
                State::Looking(Look::new(now, SPANNING_TREE + LISTEN + wire.turn))
            }
            (State::Down, true) => State::Looking(Look::new(now, LISTEN)),
            (known @ (State::Looking(_) | State::Alone(_)), true) => known,
        };
    }

    /// A datagram came in by this interface: it forwards, so a server's answer would come in, too.
    pub(super) fn heard(&mut self, now: Instant, interface: u32) {
        let Some(wire) = self.wire(interface) else { return };
        let enough = now + LISTEN + wire.turn;
        if let State::Looking(look) = &mut wire.state
            && look.until > enough
        {
            (look.ask, look.until) = (now, enough);
        }
    }

    /// A machine on this wire has chosen another server's offer.
    pub(super) fn chosen(&mut self, now: Instant, interface: u32, server: Ipv4Addr) {
        let Some(wire) = self.wire(interface) else { return };
        match wire.state {
            State::Looking(Look { chosen: Some(_), .. }) => {}
            State::Down | State::Looking(_) | State::Alone(_) => {
                wire.state = State::Looking(Look { chosen: Some(server), ..Look::new(now, LISTEN) });
            }
        }
    }

    /// Another server was found; why no addresses are given out any more.
    pub(super) fn found(&mut self, why: String) {
        self.found = Some(why);
    }

    /// Whether that is so.
    pub(super) const fn is_over(&self) -> bool {
        self.found.is_some()
    }

    /// The interfaces to ask on now.
    pub(super) fn due(&mut self, now: Instant) -> Vec<u32> {
        let mut ask = Vec::new();
        for wire in &mut self.wires {
            let (state, asks) = wire.state.at(now, wire.turn);
            wire.state = state;
            ask.extend(asks.then_some(wire.index));
            if let State::Looking(Look { until, chosen: Some(server), .. }) = state
                && until <= now
            {
                let why = format!(
                    "a machine on {} took its address from DHCP server {server}, which does not answer captaind",
                    wire.name
                );
                self.found.get_or_insert(why);
            }
        }
        ask
    }

    /// When [`Watch::due`] wants to be called.
    pub(super) fn next(&self) -> Option<Instant> {
        let next = |wire: &Wire| match wire.state {
            State::Down => None,
            State::Looking(look) => Some(look.ask.min(look.until)),
            State::Alone(again) => Some(again),
        };
        self.wires.iter().filter_map(next).min()
    }

    /// What is known now.
    pub(super) fn stance(&self) -> Stance {
        if let Some(why) = &self.found {
            return Stance::of(DhcpMode::AutoProxy, why.clone());
        }
        let named = |wanted: fn(&Wire) -> bool| {
            let names: Vec<_> =
                self.wires.iter().filter(|wire| wanted(wire)).map(|wire| wire.name.as_str()).collect();
            (!names.is_empty()).then(|| names.join(", "))
        };
        let alone = named(Wire::is_alone);
        let mode = if alone.is_some() { DhcpMode::Dynamic } else { DhcpMode::Auto };
        let parts = [
            alone.map(|names| format!("no other DHCP server answered on {names}")),
            named(Wire::is_held).map(|names| {
                format!(
                    "looking for other DHCP servers on {names}, no addresses are given out there meanwhile"
                )
            }),
            named(Wire::is_down).map(|names| format!("no carrier on {names}")),
        ];
        let why = parts.into_iter().flatten().collect::<Vec<_>>().join("; ");
        let held = self.wires.iter().filter(|wire| !wire.is_alone()).map(|wire| wire.index).collect();
        Stance { mode, why, held }
    }

    fn wire(&mut self, interface: u32) -> Option<&mut Wire> {
        self.wires.iter_mut().find(|wire| wire.index == interface)
    }
}

impl State {
    /// What it has become, and whether to ask.
    fn at(self, now: Instant, turn: Duration) -> (Self, bool) {
        match self {
            Self::Looking(look) if look.until <= now && look.chosen.is_none() => {
                (Self::Alone(now + AGAIN + turn), false)
            }
            Self::Looking(look) if look.ask <= now && look.until > now => {
                (Self::Looking(Look { ask: now + PAUSE, ..look }), true)
            }
            Self::Alone(again) if again <= now => {
                (Self::Looking(Look { ask: now + PAUSE, held: false, ..Look::new(now, LISTEN) }), true)
            }
            Self::Down | Self::Looking(_) | Self::Alone(_) => (self, false),
        }
    }
}

impl Wire {
    const fn is_alone(&self) -> bool {
        matches!(self.state, State::Alone(_) | State::Looking(Look { held: false, .. }))
    }

    const fn is_held(&self) -> bool {
        matches!(self.state, State::Looking(Look { held: true, .. }))
    }

    const fn is_down(&self) -> bool {
        matches!(self.state, State::Down)
    }
}

#[cfg(test)]
mod tests;
