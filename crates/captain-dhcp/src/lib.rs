//! DHCP, ProxyDHCP and leases as a pure state machine: datagram, time and inventory in, replies and events out.
//!
//! Nothing here opens a socket, asks the clock, reads a file or draws a random number.

mod explain;
mod outcome;
mod server;
mod settings;

pub use explain::{Explanation, Line, Question, explain, explain_datagram};
pub use outcome::{Destination, LeaseChange, Outcome, Probe, Reply};
pub use server::Server;
pub use settings::{Ingress, Port, Route, Settings, World};
