//! What `captaind.toml` says, as typed values: past this crate nobody sees TOML.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::PathBuf;

use captain_model::iso::IsoSource;
use captain_model::{DhcpMode, Inventory, Recipe, Shipped, Subnet};
use ipnet::{IpNet, Ipv4Net};

/// A checked configuration. Paths are absolute or relative to the working directory: those of the file were
/// resolved against the file's folder.
#[derive(Clone, Debug)]
pub struct Config {
    /// `[server]`.
    pub server: ServerConfig,
    /// `[dhcp]` without `unknown_machines`, which is in the inventory.
    pub dhcp: DhcpConfig,
    /// `[tftp]`.
    pub tftp: TftpConfig,
    /// `[syslog]`.
    pub syslog: SyslogConfig,
    /// `[registry]`.
    pub registry: RegistryConfig,
    /// `[iso]`.
    pub iso: IsoConfig,
    /// `[profile.*]`, `[[machine]]` and `dhcp.unknown_machines`.
    pub inventory: Inventory,
    /// `[osie.*]` by name; those that captaind ships (`default`, `slim`, `debug`) are always there.
    pub recipes: BTreeMap<String, Recipe>,
}

/// Nothing configured: every value as INTERFACE gives it where a key is left out.
impl Default for Config {
    fn default() -> Self {
        Self {
            server: ServerConfig::default(),
            dhcp: DhcpConfig::default(),
            tftp: TftpConfig::default(),
            syslog: SyslogConfig::default(),
            registry: RegistryConfig::default(),
            iso: IsoConfig::default(),
            inventory: Inventory::empty(),
            recipes: Shipped::ALL.map(|it| (it.name().to_owned(), Recipe::new(it.name()))).into(),
        }
    }
}

/// `[server]`: where captaind listens and keeps its files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerConfig {
    /// Names of the interfaces to serve; the one with the default route where none is named.
    pub interfaces: Vec<String>,
    /// The address that machines are told; the interface's own where none is given.
    pub address: Option<Ipv4Addr>,
    /// Whether HTTP, TFTP and syslog listen on all interfaces (`listen = "all"`), not on these and the loopback only.
    pub listen_everywhere: bool,
    /// TCP port of plain HTTP, which firmware uses.
    pub http_port: u16,
    /// HTTPS, where `tls_cert` and `tls_key` are given.
    pub https: Option<Https>,
    /// Leases and history.
    pub state_dir: Option<PathBuf>,
    /// Built OSIEs, loaders, images, downloads.
    pub cache_dir: Option<PathBuf>,
    /// Folder with boot loaders to be used instead of the fetched ones.
    pub loaders: Option<PathBuf>,
    /// Folder with scripts to be used instead of the embedded ones of the same names.
    pub scripts: Option<PathBuf>,
    /// User that the daemon becomes after it has bound its ports as root.
    pub user: Option<String>,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            interfaces: Vec::new(),
            address: None,
            listen_everywhere: false,
            http_port: 7080,
            https: None,
            state_dir: None,
            cache_dir: None,
            loaders: None,
            scripts: None,
            user: None,
            trusted_proxies: Vec::new(),
        }
    }
}

/// HTTPS beside the plain port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Https {
    /// TCP port.
    pub port: u16,
    /// PEM file with the certificate chain.
    pub cert: PathBuf,
    /// PEM file with the private key.
    pub key: PathBuf,
}

impl Https {
    /// The port where none is configured.
    pub const DEFAULT_PORT: u16 = 7443;
}

/// `[dhcp]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DhcpConfig {
    /// Who gives addresses.
    pub mode: DhcpMode,
    /// `[[dhcp.subnet]]`, in the file's order.
    pub subnets: Vec<Subnet>,
    /// `routes` of all subnets: each goes to the clients of the subnet that holds its router.
    pub routes: Vec<Route>,
    /// Whether UDP port 67 is shared with another DHCP server on this very box, which only the proxy modes do.
    /// Off, so that such a server is noticed.
    pub share_port: bool,
}

/// One of a subnet's `routes`: a static route that its clients are told (option 121, RFC 3442).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// Where to; `0.0.0.0/0` has no place here, as it is the subnet's `router`.
    pub network: Ipv4Net,
    /// The router that knows the way, an address of the subnet.
    pub via: Ipv4Addr,
}

/// `[tftp]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TftpConfig {
    /// Whether TFTP is served.
    pub enabled: bool,
    /// UDP port.
    pub port: u16,
    /// Largest block size granted (RFC 2348), bytes of data in one packet.
    pub block_size: u16,
    /// Largest window granted (RFC 7440), blocks.
    pub window_size: u16,
    /// Folder with extra files.
    pub root: Option<PathBuf>,
    /// Whether transfers stay on the server's port instead of moving to one of their own (RFC 1350 section 4),
    /// for networks with address translation.
    pub single_port: bool,
}

impl Default for TftpConfig {
    fn default() -> Self {
        Self { enabled: true, port: 69, block_size: 1468, window_size: 16, root: None, single_port: false }
    }
}

/// `[syslog]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyslogConfig {
    /// Whether captaind receives syslog itself.
    pub enabled: bool,
    /// UDP port that is listened on and announced to machines.
    pub port: u16,
    /// Host announced to machines, where it is not captaind itself.
    pub host: Option<String>,
}

impl Default for SyslogConfig {
    fn default() -> Self {
        Self { enabled: true, port: 514, host: None }
    }
}

/// `[registry]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistryConfig {
    /// Whether `/v2/` is served.
    pub enabled: bool,
    /// Whether machines ask it first for every image, whatever registry the image's name says.
    pub mirror: bool,
}

impl Default for RegistryConfig {
    fn default() -> Self {
        Self { enabled: true, mirror: false }
    }
}

/// `[iso]`: virtual media.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IsoConfig {
    /// ISO whose placeholder is replaced by each machine's kernel command line; that of each machine's OSIE where
    /// none is named.
    pub source: Option<IsoSource>,
}
