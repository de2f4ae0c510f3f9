//! Why the appliance could not start, or stopped.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use crate::net::owner::Holder;

/// A socket, interface or folder could not be had.
#[derive(Debug, Error)]
pub enum BindError {
    /// Somebody else has the port.
    #[error("{service} port {transport} {port} is taken by {holder}: stop it, or {}", way_out(service))]
    PortTaken {
        /// `DHCP`, `TFTP`, ...
        service: &'static str,
        /// `UDP` or `TCP`.
        transport: &'static str,
        /// Port number.
        port: u16,
        /// Who has it.
        holder: Holder,
    },
    /// The kernel does not let this process do it.
    #[error(
        "no permission for {what}: it needs {capability}. Run as root, or `setcap '{}+ep' $(command -v captaind)`, or systemd `AmbientCapabilities={capability}`",
        capability.to_lowercase().replace(' ', ",")
    )]
    Permission {
        /// What was tried, such as `DHCP port UDP 67`.
        what: String,
        /// Capabilities, separated by spaces.
        capability: &'static str,
    },
    /// There is no interface of this name, or none to choose.
    #[error("there is no usable network interface `{name}`; this machine has: {}", existing.join(", "))]
    NoInterface {
        /// The name asked for.
        name: String,
        /// All names there are.
        existing: Vec<String>,
    },
    /// The interface has no IPv4 address, or not the one asked for.
    #[error(
        "interface `{name}` has no IPv4 address: give it one (`ip address add 192.168.50.1/24 dev {name}`)"
    )]
    NoAddress {
        /// The interface.
        name: String,
    },
    /// Certificate or key cannot be used.
    #[error("TLS file {path} cannot be used: {why}")]
    Tls {
        /// Which file.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// The state cannot be kept.
    #[error("state folder {path} cannot be used: {why}")]
    State {
        /// Which folder.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// The registry's folder cannot be used.
    #[error("image folder {path} cannot be used: {why}")]
    Images {
        /// Which folder.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// Anything else that the kernel refused.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// The kernel's word.
        source: io::Error,
    },
}

/// What can be set where a port is taken. DHCP's ports are fixed by the protocol.
fn way_out(service: &str) -> &'static str {
    match service {
        "DHCP" => "switch DHCP off here with [dhcp] mode = \"disabled\"",
        "TFTP" => "switch TFTP off with [tftp] enabled = false",
        "HTTP" => "set another [server] http_port",
        "HTTPS" => "set another [server] https_port",
        _ => "switch it off with [syslog] enabled = false",
    }
}

/// What a [`BindError`] means for the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BindErrorKind {
    /// A port or interface is not available: exit 69.
    Unavailable,
    /// A permission is missing: exit 77.
    Permission,
    /// A file or setting is at fault: exit 1.
    Failed,
}

impl BindError {
    /// Its class.
    pub const fn kind(&self) -> BindErrorKind {
        match self {
            Self::PortTaken { .. } | Self::NoInterface { .. } | Self::NoAddress { .. } => {
                BindErrorKind::Unavailable
            }
            Self::Permission { .. } => BindErrorKind::Permission,
            Self::Tls { .. } | Self::State { .. } | Self::Images { .. } | Self::Io { .. } => {
                BindErrorKind::Failed
            }
        }
    }
}

/// A running component ended although nobody asked for it.
#[derive(Debug, Error)]
pub enum ServeError {
    /// It returned an error.
    #[error("{component} stopped: {source}")]
    Component {
        /// Its name.
        component: &'static str,
        /// Why.
        source: io::Error,
    },
    /// It panicked or was cancelled.
    #[error("{component} stopped: {why}")]
    Crashed {
        /// Its name.
        component: &'static str,
        /// What is known about it.
        why: String,
    },
}
