//! Sockets, routes and state of the appliance: the shell around the pure cores.
//!
//! [`bind`] opens everything that needs a right and names what is in the way; then [`drop_privileges`];
//! then [`Bound::run`]. No packet, script or image is decided on here: `captain-dhcp`, `captain-boot` and
//! `captain-oci` do that.

mod appliance;
mod bind;
mod bus;
mod clock;
mod dhcp;
mod error;
mod files;
mod http;
mod leases;
mod log;
mod metrics;
mod net;
mod once;
mod privileges;
mod run;
mod settings;
mod state;
mod syslog;
mod tell;
#[cfg(test)]
mod testing;
mod tftp;
mod tickets;
pub mod timeline;

pub use bind::{Bound, Handle, bind};
pub use error::{BindError, BindErrorKind, ServeError};
pub use log::describe;
pub use net::interface::names as interface_names;
pub use net::owner::{Holder, holder_of};
pub use privileges::drop_privileges;
pub use settings::{DhcpSettings, Https, InterfaceSpec, Settings, SyslogSettings, TftpSettings};
pub use syslog::{Line as LogLine, Message as LogMessage};
