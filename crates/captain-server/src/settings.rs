//! What the shell is told before it opens a socket. `captaind` makes it from its configuration.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::PathBuf;
use std::sync::Arc;

use captain_boot::Templates;
use captain_dhcp::{Home, Ingress, LogServer, Port};
use captain_model::iso::IsoSource;
use captain_model::{DhcpMode, Inventory, Subnet};
use ipnet::{IpNet, Ipv4Net};

/// Everything that [`crate::bind`] needs to know.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Interfaces that machines are on. DHCP listens on these only.
    pub interfaces: Vec<InterfaceSpec>,
    /// All IPv4 addresses of this box, those that a virtual one stands for in [`Self::interfaces`] too.
    pub own: Vec<Ipv4Addr>,
    /// Address that HTTP, TFTP and syslog listen on; 0.0.0.0 for all.
    pub listen: Ipv4Addr,
    /// Whether HTTP, TFTP and syslog listen on all interfaces, and not on [`Self::interfaces`] and the loopback only.
    pub listen_everywhere: bool,
    /// Plain HTTP; 0 takes a free port (tests).
    pub http_port: u16,
    /// HTTPS beside it.
    pub https: Option<Https>,
    /// Address assignment.
    pub dhcp: DhcpSettings,
    /// TFTP; `None` switches it off.
    pub tftp: Option<TftpSettings>,
    /// Log lines of the machines.
    pub syslog: SyslogSettings,
    /// Folder of `captaind.redb`.
    pub state_dir: PathBuf,
    /// Content-addressed folder of the registry; `None` closes `/v2/`.
    pub images_dir: Option<PathBuf>,
    /// Whether machines ask this registry first for every image, whatever registry its name says.
    pub registry_mirror: bool,
    /// Folder of boot loader files.
    pub loaders_dir: PathBuf,
    /// Folder with one folder for each built OSIE, by name.
    pub osie_dir: PathBuf,
    /// OSIEs that lie elsewhere, by name; looked at before `osie_dir`.
    pub osies: BTreeMap<String, PathBuf>,
    /// Scripts that machines are given; replaced by [`crate::Handle::reload`].
    pub templates: Templates,
    /// ISO that machines are given with their command line in it, at `/iso/{mac}/{name}.iso`; where there is none,
    /// each is given that of its OSIE.
    pub iso: Option<IsoSource>,
    /// Peers whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// All machines; replaced by [`crate::Handle::reload`].
    pub inventory: Arc<Inventory>,
}

/// One interface that machines are on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InterfaceSpec {
    /// Its name, such as `eth1`.
    pub name: String,
    /// The kernel's index.
    pub index: u32,
    /// Our address on it: replies come from here and name it.
    pub address: Ipv4Addr,
    /// The network of that address.
    pub network: Ipv4Net,
    /// Our further addresses on it, each with the length of its network's prefix.
    pub further: Vec<Ipv4Net>,
}

impl InterfaceSpec {
    /// Whether `address` is in a network of this interface.
    pub fn is_near(&self, address: Ipv4Addr) -> bool {
        self.network.contains(&address) || self.further.iter().any(|net| net.contains(&address))
    }

    /// How a datagram to `destination` that came in by this interface reached us: one sent to an address of ours is
    /// answered from that, one broadcast to a network from our address in it, and any other broadcast from the first.
    pub fn ingress(&self, source: SocketAddrV4, destination: Ipv4Addr, port: Port) -> Ingress {
        let further = self.further.iter().find(|net| destination == net.broadcast()).map(Ipv4Net::addr);
        let broadcast = destination.is_broadcast() || destination == self.network.broadcast();
        let local = if broadcast { self.address } else { further.unwrap_or(destination) };
        Ingress { interface: self.index, local, source, destination, port }
    }

    /// Our address in the network that `peer` is in.
    pub fn address_towards(&self, peer: Ipv4Addr) -> Ipv4Addr {
        let further = self.further.iter().find(|net| net.contains(&peer));
        further.filter(|_| !self.network.contains(&peer)).map_or(self.address, Ipv4Net::addr)
    }
}

/// Where and with which keys HTTPS listens.
#[derive(Clone, Debug)]
pub struct Https {
    /// TCP port.
    pub port: u16,
    /// PEM file with the certificate chain.
    pub cert: PathBuf,
    /// PEM file with the private key.
    pub key: PathBuf,
}

/// Address assignment.
#[derive(Clone, Debug)]
pub struct DhcpSettings {
    /// `Auto` looks for other servers when [`crate::Bound::run`] starts.
    pub mode: DhcpMode,
    /// Networks that addresses are given out in.
    pub subnets: Vec<Subnet>,
    /// Static routes for their clients (RFC 3442).
    pub routes: Vec<captain_dhcp::Route>,
    /// UDP 67, except in tests.
    pub port: u16,
    /// UDP 4011 (PXE 2.1 section 2.2.3), except in tests.
    pub boot_server_port: u16,
    /// Share port 67 with another server on this very box (proxy modes). Off, so that such a server is noticed.
    pub share_port: bool,
}

impl Default for DhcpSettings {
    fn default() -> Self {
        Self {
            mode: DhcpMode::Auto,
            subnets: Vec::new(),
            routes: Vec::new(),
            port: 67,
            boot_server_port: 4011,
            share_port: false,
        }
    }
}

/// How TFTP serves.
#[derive(Clone, Debug)]
pub struct TftpSettings {
    /// UDP 69, except in tests; 0 takes a free port.
    pub port: u16,
    /// Largest block, bytes.
    pub block_size: u16,
    /// Largest window, blocks.
    pub window_size: u16,
    /// Answer from the listening port itself instead of one port for each transfer.
    pub single_port: bool,
    /// Further files, confined to this folder.
    pub root: Option<PathBuf>,
}

impl Default for TftpSettings {
    fn default() -> Self {
        Self { port: 69, block_size: 1468, window_size: 16, single_port: false, root: None }
    }
}

/// Where machines send their log lines.
#[derive(Clone, Debug)]
pub struct SyslogSettings {
    /// Whether lines are received here.
    pub receive: bool,
    /// UDP 514, except in tests; 0 takes a free port. Also announced to machines.
    pub port: u16,
    /// Host announced to machines instead of this box.
    pub host: Option<String>,
}

impl Default for SyslogSettings {
    fn default() -> Self {
        Self { receive: true, port: 514, host: None }
    }
}

impl Settings {
    /// The usual ports on all addresses, `Auto` mode, everything under `state_dir` and `cache_dir`.
    pub fn new(state_dir: PathBuf, cache_dir: &std::path::Path, inventory: Arc<Inventory>) -> Self {
        Self {
            interfaces: Vec::new(),
            own: Vec::new(),
            listen: Ipv4Addr::UNSPECIFIED,
            listen_everywhere: false,
            http_port: 7080,
            https: None,
            dhcp: DhcpSettings::default(),
            tftp: Some(TftpSettings::default()),
            syslog: SyslogSettings::default(),
            state_dir,
            images_dir: Some(cache_dir.join("images")),
            registry_mirror: false,
            loaders_dir: cache_dir.join("loaders"),
            osie_dir: cache_dir.join("osie"),
            osies: BTreeMap::new(),
            templates: Templates::embedded().clone(),
            iso: None,
            trusted_proxies: Vec::new(),
            inventory,
        }
    }

    /// What the DHCP core is told, in a mode that is no longer `Auto`.
    pub fn core(&self, mode: DhcpMode) -> captain_dhcp::Settings {
        let here = if self.syslog.receive { LogServer::Here } else { LogServer::Nowhere };
        // Option 7 holds addresses only: a host that is named by its name is not announced there.
        let named = |host: &String| host.parse().map_or(LogServer::Nowhere, LogServer::At);
        captain_dhcp::Settings {
            mode,
            subnets: self.dhcp.subnets.clone(),
            homes: self.homes(),
            own: self.all_addresses(),
            routes: self.dhcp.routes.clone(),
            http_port: self.http_port,
            tftp_port: self.tftp.as_ref().map(|tftp| tftp.port),
            syslog: self.syslog.host.as_ref().map_or(here, named),
            ..captain_dhcp::Settings::default()
        }
    }

    /// Our address as `peer` sees it: on the interface whose network it is in, else the first one's.
    pub fn address_towards(&self, peer: Ipv4Addr) -> Ipv4Addr {
        self.interfaces
            .iter()
            .find(|interface| interface.is_near(peer))
            .or(self.interfaces.first())
            .map_or(self.listen, |interface| interface.address_towards(peer))
    }

    /// Our further addresses, as the DHCP core is told them.
    fn homes(&self) -> Vec<Home> {
        let of = |one: &InterfaceSpec| {
            let interface = one.index;
            one.further
                .iter()
                .map(move |net| Home { interface, address: net.addr(), network: net.trunc() })
                .collect::<Vec<_>>()
        };
        self.interfaces.iter().flat_map(of).collect()
    }

    /// Every address of ours, on whichever interface, real or virtual.
    fn all_addresses(&self) -> Vec<Ipv4Addr> {
        let of = |one: &InterfaceSpec| {
            one.further.iter().map(Ipv4Net::addr).chain([one.address]).collect::<Vec<_>>()
        };
        let mut all: Vec<_> = self.interfaces.iter().flat_map(of).chain(self.own.iter().copied()).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// The interfaces that HTTP, TFTP and syslog listen on: those that machines are on, whatever addresses these have
    /// by and by, and the loopback one, by which this box reaches all its own addresses. `None` stands for all.
    pub(crate) fn devices(&self) -> Vec<Option<String>> {
        if self.listen_everywhere || self.interfaces.is_empty() {
            return vec![None];
        }
        let mut names: Vec<&str> =
            self.interfaces.iter().map(|one| one.name.as_str()).chain(["lo"]).collect();
        names.sort_unstable();
        names.dedup();
        names.into_iter().map(|name| Some(name.to_owned())).collect()
    }
}
