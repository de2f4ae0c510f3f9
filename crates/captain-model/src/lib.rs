//! The vocabulary of captaind: machines, profiles, firmware, kernel command lines, boots and events.
//!
//! Nothing here opens a socket, reads a file, asks the clock or knows a wire format. Every other crate
//! speaks in these words, so a word means one thing from `captaind.toml` to the dashboard.

pub mod agent;
pub mod boot;
pub mod cmdline;
pub mod dhcp;
pub mod event;
pub mod firmware;
pub mod inventory;
pub mod iso;
pub mod mac;
pub mod machine;
pub mod osie;
pub mod secret;
pub mod time;

pub use agent::AgentSettings;
pub use boot::{BootId, BootPolicy, BootStage, BootTicket, LocalBoot};
pub use cmdline::{Cmdline, CmdlineError};
pub use dhcp::{DhcpMode, Lease, Subnet, UnknownMachines};
pub use event::{Event, EventKind, Ignored};
pub use firmware::{Arch, Firmware};
pub use inventory::{Identity, Inventory};
pub use mac::Mac;
pub use machine::{Machine, Profile};
pub use osie::{Artifact, KernelSource, Recipe, Shipped, Tool};
pub use secret::Secret;
pub use time::Timestamp;
