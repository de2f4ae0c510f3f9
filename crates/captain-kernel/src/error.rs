//! Why a kernel could not be built.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// Everything that can go wrong in the kernel builder.
#[derive(Debug, Error)]
pub enum Error {
    /// Recipe, configuration fragments, archive.
    #[error(transparent)]
    Osie(#[from] captain_osie::Error),
    /// A file or folder of this machine.
    #[error("{}: {source}", path.display())]
    Io {
        /// Where.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Nothing answers where a container engine should be.
    #[error(
        "no container engine can be used (tried {}): start one (systemctl start docker, or podman system service), \
         say by DOCKER_HOST where it listens, or {instead}",
        tried.join("; ")
    )]
    NoEngine {
        /// Each socket, and why it was no use.
        tried: Vec<String>,
        /// What one may do without.
        instead: &'static str,
    },
    /// The engine is there and does not give an image.
    #[error("the container engine at {socket} does not give the image `{name}`: {why}")]
    Image {
        /// Its socket.
        socket: String,
        /// What it was asked for.
        name: String,
        /// Its answer.
        why: String,
    },
    /// The engine is there and refuses something.
    #[error(
        "the container engine at {socket} cannot {what}: {why}; its log says more, and --builder host does without it"
    )]
    Engine {
        /// Its socket.
        socket: String,
        /// What it was asked to do.
        what: String,
        /// Its answer.
        why: String,
    },
    /// This machine lacks what compiling needs.
    #[error("this machine lacks {}: apt-get install {packages}; or build in a container (--builder container)", missing.join(", "))]
    Tools {
        /// Programs and headers.
        missing: Vec<String>,
        /// Debian packages with them.
        packages: String,
    },
    /// The sources cannot be used.
    #[error("kernel source {}: {why}", path.display())]
    Source {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong with it, and the way out.
        why: String,
    },
    /// The sources do not know these options, or something that they depend on is off.
    #[error(
        "make olddefconfig did not keep {} option(s): {}; ask for what they depend on too, or no longer for them, in a \
         copy of kernel-configs/ named with --kernel-configs", lost.len(), lost.join(", ")
    )]
    Config {
        /// Options as wanted, each with the fragment and line that asks for it and what became of it.
        lost: Vec<String>,
    },
    /// A stage failed.
    #[error("{stage} failed, its last words were:\n{tail}\nall of them are in {}", log.display())]
    Stage {
        /// Its name.
        stage: String,
        /// The last lines of its output.
        tail: String,
        /// The file with all output.
        log: PathBuf,
    },
}

impl Error {
    /// For `map_err` on anything that touches `path`.
    pub(crate) fn io(path: impl AsRef<Path>) -> impl FnOnce(io::Error) -> Self {
        let path = path.as_ref().to_owned();
        move |source| Self::Io { path, source }
    }
}

impl From<captain_debian::Error> for Error {
    fn from(error: captain_debian::Error) -> Self {
        Self::Osie(error.into())
    }
}
