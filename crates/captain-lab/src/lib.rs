//! Virtual machines with real firmware on a private network.
//!
//! [`enter_namespace`] first, while the process has one thread; then [`run`] in a tokio runtime: it starts
//! the daemon in the private network, boots the machines through it and tells what came of each.

pub mod accel;
pub mod agent;
mod api;
mod child;
pub mod config;
pub mod error;
pub mod firmware;
pub mod machine;
mod media;
pub mod namespace;
pub mod network;
mod offload;
pub mod options;
mod paths;
mod probe;
pub mod report;
mod run;
mod servers;
mod sse;
pub mod switch;
pub mod watch;

pub use agent::STAND_IN_AGENT;
pub use config::{ImageName, image_references};
pub use error::LabError;
pub use firmware::LabFirmware;
pub use media::Media;
pub use namespace::{enter_namespace, enter_own};
pub use options::LabOptions;
pub use report::{LabReport, MachineReport};
pub use run::run;
