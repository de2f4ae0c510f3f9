//! What the server is told once ([`Settings`]), per packet ([`World`]) and about each datagram ([`Ingress`]).

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use captain_model::{DhcpMode, Inventory, Mac, Subnet};
use ipnet::Ipv4Net;

/// What stays while the server runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Who gives addresses. `Auto` is resolved by the shell before; a core in `Auto` is silent.
    pub mode: DhcpMode,
    /// The networks that addresses are given out in; the most specific one that holds an address applies.
    pub subnets: Vec<Subnet>,
    /// Our further addresses on each interface, beside the one that an [`Ingress`] names.
    pub homes: Vec<Home>,
    /// All addresses of this box, on whatever interface: nobody is given one of them.
    pub own: Vec<Ipv4Addr>,
    /// Static routes (option 121); each goes to the clients of the subnet that holds its router.
    pub routes: Vec<Route>,
    /// Port of the HTTP server that boot URLs name.
    pub http_port: u16,
    /// Port of the TFTP server, where there is one. Where it is not 69, `tftp://` URLs name it, and firmware that knows
    /// no URLs is refused.
    pub tftp_port: Option<u16>,
    /// Option 7.
    pub syslog: LogServer,
    /// How long an offered address is kept for the one it was offered to (RFC 2131 section 4.3.1).
    pub offer_hold: Duration,
    /// How long an address that somebody else uses is not given out (RFC 2131 section 4.3.3).
    pub probation: Duration,
    /// Whether addresses are to be probed before their first use (RFC 2131 section 2.2).
    pub probe: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            mode: DhcpMode::Disabled,
            subnets: Vec::new(),
            homes: Vec::new(),
            own: Vec::new(),
            routes: Vec::new(),
            http_port: 7080,
            tftp_port: Some(69),
            syslog: LogServer::Nowhere,
            offer_hold: Duration::from_secs(60),
            probation: Duration::from_secs(600),
            probe: true,
        }
    }
}

/// Where machines are told to send their log lines (RFC 2132 section 3.9).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogServer {
    /// They are told nothing.
    Nowhere,
    /// To the address of ours that their request came in on.
    Here,
    /// To this address.
    At(Ipv4Addr),
}

/// One classless static route (RFC 3442).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// Where to.
    pub network: Ipv4Net,
    /// By which router.
    pub via: Ipv4Addr,
}

/// One more address of ours on an interface whose wire carries several subnets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Home {
    /// Index of the interface.
    pub interface: u32,
    /// Our address there.
    pub address: Ipv4Addr,
    /// Its network.
    pub network: Ipv4Net,
}

/// What may change under a running server: read anew for each packet.
#[derive(Clone, Copy)]
pub struct World<'a> {
    /// Machines and profiles.
    pub inventory: &'a Inventory,
    /// Whether the machine has used up its `once` or `until-done` and may not netboot again.
    pub settled: &'a dyn Fn(Mac) -> bool,
    /// Whether a boot loader of this name can be served; a name that cannot is never advertised.
    pub loaders: &'a dyn Fn(&str) -> bool,
    /// What is being fetched or built, in one sentence: who needs a loader that is not there gets no answer, and asks
    /// again, instead of an address with nothing to boot, with which firmware would go on to the disk.
    pub awaited: Option<&'a str>,
}

/// Which of our two UDP ports a datagram came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Port {
    /// 67: DHCP and ProxyDHCP offers.
    Server,
    /// 4011: PXE boot server, the second half of ProxyDHCP (PXE 2.1 section 2.2.4).
    BootServer,
}

impl Port {
    /// Its number.
    pub const fn number(self) -> u16 {
        match self {
            Self::Server => 67,
            Self::BootServer => 4011,
        }
    }
}

/// How a datagram reached us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ingress {
    /// Index of the interface.
    pub interface: u32,
    /// Our address there (or the VIP): source of replies, server identifier, `siaddr`, host in URLs.
    pub local: Ipv4Addr,
    /// Who sent it.
    pub source: SocketAddrV4,
    /// Where it was sent: a broadcast address, or ours.
    pub destination: Ipv4Addr,
    /// Our port.
    pub port: Port,
}
