//! What comes out of the state machine: replies, lease changes, probes and events, all to be done by the shell.

use std::net::{Ipv4Addr, SocketAddrV4};

use captain_model::{Event, Lease, Mac, Timestamp};

/// Everything that follows from one datagram, probe result or deadline.
///
/// The shell makes `leases` durable before it sends `replies`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Datagrams to send; at most one per request.
    pub replies: Vec<Reply>,
    /// Changes of the lease table, in order.
    pub leases: Vec<LeaseChange>,
    /// Addresses to look for with ARP or ICMP echo; the answer goes to [`crate::Server::probe_result`].
    pub probes: Vec<Ipv4Addr>,
    /// What happened.
    pub events: Vec<Event>,
    /// The server that a machine on our own wire has chosen in our place: it gives addresses there.
    pub rival: Option<Ipv4Addr>,
}

/// One datagram to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// Interface it leaves by: the one the request came in on.
    pub interface: u32,
    /// Source address.
    pub from: Ipv4Addr,
    /// Source port: 67, or 4011 where the request came to it.
    pub from_port: u16,
    /// Where to.
    pub to: Destination,
    /// The UDP payload.
    pub payload: Vec<u8>,
}

/// Where a reply goes (RFC 2131 section 4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Destination {
    /// To a host that has an address: a relay, a renewing client, a client of port 4011.
    Unicast(SocketAddrV4),
    /// To 255.255.255.255 on the interface.
    Broadcast {
        /// UDP port.
        port: u16,
    },
    /// To a client that has no address yet and so answers no ARP: the frame goes to its MAC. Where that
    /// cannot be done, broadcasting is right as well.
    Hardware {
        /// Ethernet destination.
        mac: Mac,
        /// IP destination: the address being given.
        address: Ipv4Addr,
        /// UDP port.
        port: u16,
    },
}

/// One change of the durable lease table, which is keyed by address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LeaseChange {
    /// This address is now this client's (until `expires`, which is now for a released one).
    Put(Lease),
    /// Nobody has had this address, as far as we remember.
    Remove(Ipv4Addr),
    /// Somebody unknown uses this address: nobody gets it until then.
    Bar(Ipv4Addr, Timestamp),
}

/// What was found at a probed address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probe {
    /// Nobody answered.
    Free,
    /// Somebody has it; their MAC where ARP told it.
    Used(Option<Mac>),
}
