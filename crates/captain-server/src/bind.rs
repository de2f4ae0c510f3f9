//! Everything that needs a right: all sockets are opened here, before privileges are dropped.

use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::sync::Arc;

use axum::Router;
use captain_boot::Templates;
use captain_dhcp::Port;
use captain_model::{DhcpMode, Event, Inventory, Timestamp};
use tokio::sync::broadcast;

use crate::appliance::Appliance;
use crate::net::icmp::EchoSocket;
use crate::net::open;
use crate::net::packet::PacketSocket;
use crate::net::udp::DhcpSocket;
use crate::state::{Loaded, Store, Writer};
use crate::{BindError, Settings, http, net, tftp};

/// The appliance with its sockets open, not serving yet.
#[derive(Debug)]
pub struct Bound {
    pub(crate) appliance: Arc<Appliance>,
    pub(crate) sockets: Sockets,
}

#[derive(Debug)]
pub(crate) struct Sockets {
    pub(crate) dhcp: Vec<DhcpSocket>,
    pub(crate) packet: PacketSockets,
    pub(crate) tftp: Vec<tftp::Engine>,
    pub(crate) http: Vec<TcpListener>,
    pub(crate) https: Vec<(TcpListener, Arc<rustls::ServerConfig>)>,
    pub(crate) syslog: Vec<UdpSocket>,
    pub(crate) registry: Option<Router>,
}

/// Sockets past the kernel's UDP; none where `CAP_NET_RAW` is missing, which costs only what each says.
#[derive(Debug, Default)]
pub(crate) struct PacketSockets {
    /// Sends to clients without address; they get broadcasts otherwise.
    pub(crate) frames: Option<PacketSocket>,
    /// Finds addresses in use before they are given out.
    pub(crate) arp: Option<PacketSocket>,
    /// Finds those beyond routers.
    pub(crate) echo: Option<EchoSocket>,
    /// Finds other DHCP servers in mode `auto`.
    pub(crate) rivals: Option<PacketSocket>,
}

/// Reaches a running appliance from outside.
#[derive(Clone, Debug)]
pub struct Handle {
    appliance: Arc<Appliance>,
}

/// Opens every socket and the state. Needs no runtime, so that it can come before any thread. What machines are
/// given is opened by [`Bound::run`], so that it can be built in between.
///
/// # Errors
/// The first thing that is in the way; see [`BindError`].
pub fn bind(mut settings: Settings) -> Result<Bound, BindError> {
    let dhcp = open_dhcp(&settings)?;
    let http = open_http(&mut settings)?;
    let https = open_https(&settings)?;
    let syslog = open_syslog(&mut settings)?;
    let tftp = tftp::open(&mut settings)?;
    let registry = open_registry(&settings)?;
    let (store, mut loaded) = open_state(&settings)?;
    let state = Writer::new(store);
    if let Some(damage) = loaded.damage.take() {
        tracing::warn!("{damage}");
    }
    let sockets = Sockets {
        packet: if dhcp.is_empty() { PacketSockets::default() } else { open_packet(settings.dhcp.mode) },
        dhcp,
        tftp,
        http,
        https,
        syslog,
        registry,
    };
    Ok(Bound { appliance: Arc::new(Appliance::new(settings, loaded, state)), sockets })
}

impl Bound {
    /// Where plain HTTP listens.
    ///
    /// # Errors
    /// The kernel's.
    pub fn http_address(&self) -> std::io::Result<SocketAddr> {
        let first = self.sockets.http.first().ok_or_else(|| std::io::Error::other("HTTP listens nowhere"))?;
        first.local_addr()
    }

    /// The settings with the ports that were really opened.
    pub fn settings(&self) -> &Settings {
        &self.appliance.settings
    }

    /// Everything that happens from now on. A listener that is slow loses the oldest events.
    pub fn events(&self) -> broadcast::Receiver<Arc<Event>> {
        self.handle().events()
    }

    /// A handle that stays valid while the appliance runs.
    pub fn handle(&self) -> Handle {
        Handle { appliance: self.appliance.clone() }
    }
}

impl Handle {
    /// Takes a new inventory and new scripts, and looks at all files again; returns what is missing, one sentence
    /// each. Reads and hashes files: call it where blocking is allowed.
    pub fn reload(&self, inventory: Arc<Inventory>, templates: Templates) -> Vec<String> {
        self.appliance.templates.store(Arc::new(templates));
        self.appliance.reload(inventory)
    }

    /// Looks at all files again; returns what is missing, as [`Handle::reload`] does.
    pub fn restock(&self) -> Vec<String> {
        self.appliance.stock()
    }

    /// Machines that need what is missing are told to wait, and for what (one sentence); with `None` they need not wait
    /// any more.
    pub fn awaits(&self, what: Option<&str>) {
        self.appliance.awaited.store(what.map(|what| Arc::new(what.to_owned())));
    }

    /// What machines could be told to fetch and would not find, one sentence each. Known once the appliance runs.
    pub fn missing(&self) -> Vec<String> {
        self.appliance.shelf.load().missing().to_vec()
    }

    /// Everything that happens from now on.
    pub fn events(&self) -> broadcast::Receiver<Arc<Event>> {
        self.appliance.bus.follow(Timestamp::from_millis(u64::MAX)).1
    }
}

fn local_port(address: Option<SocketAddr>, asked: u16) -> u16 {
    address.map_or(asked, |address| address.port())
}

fn open_dhcp(settings: &Settings) -> Result<Vec<DhcpSocket>, BindError> {
    if settings.dhcp.mode == DhcpMode::Disabled {
        return Ok(Vec::new());
    }
    let mut sockets = Vec::new();
    for interface in &settings.interfaces {
        net::interface::must_exist(&interface.name)?;
        for port in [Port::Server, Port::BootServer] {
            sockets.push(DhcpSocket::open(interface, port, &settings.dhcp)?);
        }
    }
    Ok(sockets)
}

/// One listener for each device; where a free port was asked for, the first one's is the others' too.
fn open_http(settings: &mut Settings) -> Result<Vec<TcpListener>, BindError> {
    let mut listeners = Vec::new();
    for device in settings.devices() {
        let listener = open::tcp("HTTP", settings.listen, settings.http_port, device.as_deref())?;
        settings.http_port = local_port(listener.local_addr().ok(), settings.http_port);
        listeners.push(listener);
    }
    Ok(listeners)
}

fn open_https(settings: &Settings) -> Result<Vec<(TcpListener, Arc<rustls::ServerConfig>)>, BindError> {
    let Some(https) = &settings.https else { return Ok(Vec::new()) };
    let devices = settings.devices().into_iter();
    devices.map(|device| http::tls::open(settings.listen, https, device.as_deref())).collect()
}

fn open_syslog(settings: &mut Settings) -> Result<Vec<UdpSocket>, BindError> {
    let mut sockets = Vec::new();
    for device in settings.devices().into_iter().filter(|_| settings.syslog.receive) {
        let socket = open::udp("syslog", settings.listen, settings.syslog.port, device.as_deref())?;
        settings.syslog.port = local_port(socket.local_addr().ok(), settings.syslog.port);
        sockets.push(socket);
    }
    Ok(sockets)
}

fn open_registry(settings: &Settings) -> Result<Option<Router>, BindError> {
    let Some(folder) = &settings.images_dir else { return Ok(None) };
    let failed = |why: String| BindError::Images { path: folder.clone(), why };
    let store = captain_oci::Store::open(folder).map_err(|error| failed(error.to_string()))?;
    Ok(Some(captain_oci::router(Arc::new(store))))
}

fn open_state(settings: &Settings) -> Result<(Store, Loaded), BindError> {
    crate::state::open(&settings.state_dir)
        .map_err(|error| BindError::State { path: settings.state_dir.clone(), why: error.to_string() })
}

fn open_packet(mode: DhcpMode) -> PacketSockets {
    let auto = mode == DhcpMode::Auto;
    PacketSockets {
        frames: opened(PacketSocket::ipv4_sender(), "replies to clients without address are broadcast"),
        arp: opened(
            PacketSocket::of(net::arp::ETHER_TYPE),
            "addresses are not probed before their first use",
        ),
        echo: opened(EchoSocket::open(), "addresses of relayed subnets are not probed"),
        rivals: auto
            .then(|| opened(PacketSocket::dhcp_client(), "other DHCP servers cannot be looked for"))
            .flatten(),
    }
}

fn opened<T>(socket: std::io::Result<T>, without: &str) -> Option<T> {
    socket.inspect_err(|error| tracing::info!("no raw socket ({error}): {without}")).ok()
}
