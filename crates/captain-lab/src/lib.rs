//! Virtual machines with real firmware on a private network.
//!
//! [`enter_namespace`] first, while the process has one thread; then [`run`] in a tokio runtime: it starts
//! the daemon in the private network, boots the machines through it and tells what came of each.

pub mod accel;
mod child;
pub mod error;
pub mod firmware;
pub mod machine;
pub mod namespace;
pub mod network;
mod offload;
pub mod options;
pub mod report;
pub mod switch;

pub use error::LabError;
pub use firmware::LabFirmware;
pub use namespace::enter_namespace;
pub use options::LabOptions;
pub use report::LabReport;
