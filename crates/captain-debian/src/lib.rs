//! Debian archive client: verify, resolve, fetch, unpack. In this process, without root, dpkg or apt.

mod ar;
pub mod archive;
pub mod deb;
pub mod entry;
pub mod error;
pub mod fetch;
pub mod hash;
pub mod index;
pub mod package;
pub mod progress;
pub mod relation;
pub mod resolve;
pub mod sources;
mod tarball;
pub mod universe;
pub mod version;

pub use archive::{Archive, Options, Release};
pub use deb::{Control, Deb};
pub use entry::{Entry, EntryKind};
pub use error::Error;
pub use fetch::{Fetched, Item};
pub use hash::Sha256;
pub use package::{Origin, Package, Priority};
pub use progress::{NoProgress, Progress, Task};
pub use resolve::{Request, Resolution, Selected, Why};
pub use sources::Mirrors;
pub use universe::Universe;
pub use version::Version;
