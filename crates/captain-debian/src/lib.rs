//! Debian archive client: verify, resolve, fetch, unpack. In this process, without root, dpkg or apt.
//!
//! The chain of trust: a key of the keyring signs a suite's InRelease ([`Keyring`]); only its signed text is read;
//! that lists the SHA-256 of each index; an index lists the SHA-256 of each .deb. What does not match is an
//! [`Error`] that names the file. The pure parts (versions, relations, sources, releases, indices, the resolver)
//! work on text and values; [`Archive`] and [`Fetcher`] are the thin asynchronous shell around them; [`Deb`] is
//! blocking and reads straight from the file.
//!
//! ```no_run
//! use captain_debian::{Archive, Error, Mirrors, NoProgress, Options, Request};
//! use captain_model::{Arch, Timestamp};
//!
//! # async fn example(now: Timestamp) -> Result<(), Error> {
//! let mirrors = Mirrors::of_apt("/etc/apt".as_ref())?;
//! let options = Options::new(mirrors, "trixie", Arch::Arm64, "/var/cache/captaind/debian", now);
//! let archive = Archive::open(options, &NoProgress).await?;
//! let wanted = archive.resolve(&Request::new(["systemd", "containerd"]).assume(["debconf"]))?;
//! for file in archive.fetch(wanted.packages(), &NoProgress).await? {
//!     file.open()?.walk(|entry| {
//!         println!("{} {:?} {:o}", entry.path, entry.kind, entry.mode);
//!         Ok::<_, Error>(())
//!     })?;
//! }
//! # Ok(())
//! # }
//! ```
//!
//! The cache folder: `by-sha256/` holds everything that was downloaded under its sum (`.part` while it is on its
//! way), `index/` the compact form of each index, `release/` the last good release files. All of it may be deleted
//! at any time.

mod answer;
mod ar;
pub mod archive;
mod date;
pub mod deb;
pub mod entry;
pub mod error;
pub mod fetch;
pub mod hash;
pub mod index;
pub mod keyring;
mod opening;
pub mod package;
mod part;
pub mod progress;
pub mod relation;
mod release;
pub mod resolve;
pub mod sources;
mod store;
mod suggest;
mod tarball;
pub mod transfer;
pub mod universe;
pub mod version;

pub use archive::{Archive, Options, Release};
pub use deb::{Control, Deb};
pub use entry::{Entry, EntryKind};
pub use error::{Clash, Error};
pub use fetch::{Fetched, Fetcher, Item};
pub use hash::Sha256;
pub use keyring::Keyring;
pub use package::{Origin, Package, Priority};
pub use progress::{NoProgress, Progress, Task};
pub use relation::{Dependency, Relation};
pub use resolve::{Request, Resolution, Selected, Why};
pub use sources::Mirrors;
pub use transfer::Tuning;
pub use universe::Universe;
pub use version::Version;
