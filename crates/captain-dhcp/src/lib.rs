//! DHCP, ProxyDHCP and leases as a pure state machine: datagram, time and inventory in, replies and events out.
//!
//! Nothing here opens a socket, asks the clock, reads a file or draws a random number.

mod arch;
mod boot;
mod decide;
mod effect;
mod explain;
mod home;
mod imagine;
mod lease_options;
mod outcome;
mod pool;
mod recipe;
mod reply;
mod report;
mod route;
mod server;
mod settings;
mod show;
mod table;
mod who;
mod wire;

pub use explain::{Explanation, Line, Question, explain, explain_datagram};
pub use outcome::{Destination, LeaseChange, Outcome, Probe, Reply};
pub use server::Server;
pub use settings::{Home, Ingress, LogServer, Port, Route, Settings, World};
