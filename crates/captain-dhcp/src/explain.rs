//! What would this machine be sent, and why: the same server, asked without effect.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddrV4};

use captain_model::{Arch, DhcpMode, Event, Firmware, Mac, Timestamp};

use crate::decide::{BootMessage, Decision};
use crate::server::Walk;
use crate::wire::{Request, Response};
use crate::{Destination, Ingress, Port, Server, World, imagine, show};

/// Which request to imagine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Question {
    /// Who asks.
    pub mac: Mac,
    /// What asks.
    pub firmware: Firmware,
    /// On which CPU.
    pub arch: Arch,
    /// Through which relay (giaddr), if any.
    pub relay: Option<Ipv4Addr>,
    /// Index of the interface it comes in on.
    pub interface: u32,
    /// Our address there.
    pub local: Ipv4Addr,
}

/// What would be sent, option by option.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// What was asked, in words.
    pub request: String,
    /// What is answered, in words: `OFFER of 192.168.50.100`, `silence: ...`.
    pub decision: String,
    /// Where the reply would go.
    pub destination: Option<Destination>,
    /// Header fields and options of the reply, in wire order.
    pub lines: Vec<Line>,
    /// Options that there was no space for.
    pub dropped: Vec<u8>,
    /// Size of the reply in bytes of UDP payload; 0 for silence.
    pub size: usize,
    /// Events that would be published.
    pub events: Vec<Event>,
}

/// One header field or option of a reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Option code; `None` for a header field.
    pub code: Option<u8>,
    /// Its name, such as `boot file name`.
    pub name: &'static str,
    /// Its value, readable.
    pub value: String,
    /// Why it is there; empty where it goes without saying.
    pub why: String,
}

/// What `server` would answer to the DISCOVER that this firmware sends. Changes nothing.
pub fn explain(server: &Server, now: Timestamp, world: &World<'_>, question: Question) -> Explanation {
    let ingress = Ingress {
        interface: question.interface,
        local: question.local,
        source: SocketAddrV4::new(question.relay.unwrap_or(Ipv4Addr::UNSPECIFIED), 68),
        destination: if question.relay.is_some() { question.local } else { Ipv4Addr::BROADCAST },
        port: Port::Server,
    };
    explain_datagram(server, now, world, ingress, &imagine::discover(&question))
}

/// What `server` would answer to this datagram (one of a capture, say). Changes nothing.
pub fn explain_datagram(
    server: &Server,
    now: Timestamp,
    world: &World<'_>,
    ingress: Ingress,
    datagram: &[u8],
) -> Explanation {
    let walk = server.clone().walk(now, world, ingress, datagram);
    let sent = walk.outcome.replies.first();
    Explanation {
        request: asked(&walk, ingress),
        decision: answered(&walk.decision, server.settings().mode),
        destination: sent.map(|reply| reply.to),
        lines: walk
            .response
            .as_ref()
            .filter(|_| sent.is_some())
            .map(|reply| lines(reply, &walk.dropped))
            .unwrap_or_default(),
        size: sent.map_or(0, |reply| reply.payload.len()),
        dropped: walk.dropped,
        events: walk.outcome.events,
    }
}

fn asked(walk: &Walk, ingress: Ingress) -> String {
    let request = match &walk.request {
        Ok(request) => request,
        Err(why) => return why.to_string(),
    };
    let what = match &walk.netboot {
        Ok(netboot) => {
            let arch = netboot.arch.map(|arch| format!(" on {arch}")).unwrap_or_default();
            format!("{}{arch}", netboot.firmware)
        }
        Err(why) => format!("no netboot client: {why}"),
    };
    let port = ingress.port.number();
    format!("{} of {} to port {port}{} ({what})", request.message.name(), request.mac, relay(request))
}

fn relay(request: &Request) -> String {
    if request.relayed() { format!(" through relay {}", request.giaddr) } else { String::new() }
}

fn answered(decision: &Decision, mode: DhcpMode) -> String {
    match decision {
        Decision::Offer(address) => format!("OFFER of {address} (mode {mode})"),
        Decision::Ack(address) => format!("ACK of {address} (mode {mode})"),
        Decision::Inform => format!("ACK of settings without an address (mode {mode})"),
        Decision::Nak(why) => format!("NAK: {why} (mode {mode})"),
        Decision::BootOnly(BootMessage::Offer) => {
            format!("OFFER of boot information without an address (mode {mode})")
        }
        Decision::BootOnly(BootMessage::Ack) => {
            format!("ACK of boot information without an address (mode {mode})")
        }
        Decision::Silence(why) => format!("silence: {why} (mode {mode})"),
    }
}

fn lines(reply: &Response, dropped: &[u8]) -> Vec<Line> {
    let field = |name, value: String| Line { code: None, name, value, why: String::new() };
    let address = |name, value: Ipv4Addr| (!value.is_unspecified()).then(|| field(name, value.to_string()));
    let text = |name, value: &str| (!value.is_empty()).then(|| field(name, value.to_owned()));
    let flags = (reply.flags & 0x8000 != 0).then(|| field("flags", "broadcast".to_owned()));
    let header = [
        flags,
        address("ciaddr", reply.ciaddr),
        address("yiaddr", reply.yiaddr),
        address("siaddr", reply.siaddr),
        address("giaddr", reply.giaddr),
        text("sname", &reply.sname),
        text("file", &reply.file),
    ];
    let mut options: Vec<_> = reply.options.iter().filter(|option| !dropped.contains(&option.code)).collect();
    options.sort_by_key(|option| option.order());
    let options = options.into_iter().map(|option| Line {
        code: Some(option.code),
        name: show::name(option.code),
        value: show::value(option.code, &option.data),
        why: option.why.clone(),
    });
    let relay = reply.relay.iter().map(|raw| Line {
        code: Some(crate::wire::option::RELAY),
        name: show::name(crate::wire::option::RELAY),
        value: show::value(crate::wire::option::RELAY, raw),
        why: "echoed byte for byte, last (RFC 3046)".to_owned(),
    });
    header.into_iter().flatten().chain(options).chain(relay).collect()
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let code = self.code.map(|code| code.to_string()).unwrap_or_default();
        write!(f, "{code:>4} {:<18} {}", self.name, self.value)?;
        if self.why.is_empty() { Ok(()) } else { write!(f, "   # {}", self.why) }
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unicast(to) => write!(f, "unicast to {to}"),
            Self::Broadcast { port } => write!(f, "broadcast to 255.255.255.255:{port}"),
            Self::Hardware { mac, address, port } => write!(f, "to {address}:{port} at {mac}, without ARP"),
        }
    }
}

/// The whole answer as text, one line for each field and option.
impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n{}", self.request, self.decision)?;
        if let Some(to) = &self.destination {
            writeln!(f, "{} bytes, {to}", self.size)?;
        }
        for line in &self.lines {
            writeln!(f, "{line}")?;
        }
        if !self.dropped.is_empty() {
            writeln!(f, "left out for want of space: options {:?}", self.dropped)?;
        }
        Ok(())
    }
}
