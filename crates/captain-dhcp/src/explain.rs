//! What would this machine be sent, and why: the same server, asked without effect.

use std::net::Ipv4Addr;

use captain_model::{Arch, Event, Firmware, Mac, Timestamp};

use crate::{Destination, Ingress, Server, World};

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
    /// Our address on the interface it comes in on.
    pub local: Ipv4Addr,
}

/// What would be sent, option by option.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// What was asked, in words.
    pub request: String,
    /// `offer`, `ack`, `nak`, or `silence: ...`, in words.
    pub decision: String,
    /// Where the reply would go.
    pub destination: Option<Destination>,
    /// Header fields and options of the reply, in wire order.
    pub lines: Vec<Line>,
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
    pub name: String,
    /// Its value, readable.
    pub value: String,
    /// Why it is there; empty where it goes without saying.
    pub why: String,
}

/// What `server` would answer to the DISCOVER (or the ProxyDHCP request) that this firmware sends. Changes nothing.
pub fn explain(server: &Server, now: Timestamp, world: &World<'_>, question: Question) -> Explanation {
    let _ = (server, now, world);
    explain_datagram(server, now, world, ingress_of(question), &[])
}

/// What `server` would answer to this datagram. Changes nothing.
pub fn explain_datagram(
    server: &Server,
    now: Timestamp,
    world: &World<'_>,
    ingress: Ingress,
    datagram: &[u8],
) -> Explanation {
    let outcome = server.clone().handle(now, world, ingress, datagram);
    Explanation {
        request: String::new(),
        decision: String::new(),
        destination: outcome.replies.first().map(|reply| reply.to),
        lines: Vec::new(),
        size: 0,
        events: outcome.events,
    }
}

fn ingress_of(question: Question) -> Ingress {
    Ingress {
        interface: 0,
        local: question.local,
        source: std::net::SocketAddrV4::new(question.relay.unwrap_or(Ipv4Addr::UNSPECIFIED), 68),
        destination: Ipv4Addr::BROADCAST,
        port: crate::Port::Server,
    }
}
