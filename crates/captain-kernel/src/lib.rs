//! The kernel builder: `kernel-configs/` and a source -> vmlinuz, modules and configuration in a folder of the cache.
//!
//! [`pin`] says exactly which inputs (for the lock); [`build`] makes the kernel from them where the cache does not
//! have it. The work is a list of stages ([`stages`]), each one shell command; they run in a container of an engine
//! that speaks Docker's API, in an image made of Debian packages, or on this machine.

mod bench;
mod container;
mod engine;
mod error;
mod host;
mod image;
mod journal;
mod make;
mod pin;
mod saved;
mod source;
pub mod stages;

use std::path::PathBuf;

use captain_osie::Toolchain;
use captain_osie::kernel_config::Configs;

pub use error::Error;
pub use make::{build, folder};
pub use pin::pin;
pub use saved::save_image;

/// Where a kernel is compiled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Builder {
    /// In a container, with Debian's compiler.
    #[default]
    Container,
    /// On this machine, with the compiler that is there.
    Host,
}

impl Builder {
    /// Where a kernel of this toolchain is compiled.
    fn of(toolchain: &Toolchain) -> Self {
        match toolchain {
            Toolchain::Packages(_) => Self::Container,
            Toolchain::Host(_) => Self::Host,
        }
    }
}

/// What a user may choose. Where that is nothing, the lock's choice stays; the first is the suite's `linux-source`,
/// compiled in a container.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Where it is compiled.
    pub builder: Option<Builder>,
    /// Folder or tarball with the sources, in place of Debian's package.
    pub source: Option<PathBuf>,
    /// Folder in place of captaind's own `kernel-configs/`.
    pub configs: Option<PathBuf>,
}

impl Settings {
    fn configs(&self) -> Result<Configs, Error> {
        Ok(match &self.configs {
            Some(folder) => Configs::folder(folder)?,
            None => Configs::embedded(),
        })
    }
}
