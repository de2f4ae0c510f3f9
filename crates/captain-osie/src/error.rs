//! Why an OSIE could not be planned or built.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// Everything that can go wrong in the builder.
#[derive(Debug, Error)]
pub enum Error {
    /// The Debian archive: verification, resolution, download, a damaged package.
    #[error(transparent)]
    Archive(#[from] captain_debian::Error),
    /// A file or folder of this machine.
    #[error("{}: {source}{}", path.display(), captain_debian::error::way_out(source))]
    Io {
        /// Where.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Two inputs disagree whether a path is a folder.
    #[error("/{path} is a {old} in {before} and a {new} in {after}: leave one of them out")]
    Clash {
        /// Path in the image.
        path: String,
        /// What it was.
        old: &'static str,
        /// Who brought it.
        before: String,
        /// What it should become.
        new: &'static str,
        /// Who asks for that.
        after: String,
    },
    /// A path cannot be placed in the image.
    #[error("/{path} of {from}: {why}")]
    Path {
        /// Path in the image.
        path: String,
        /// Package or overlay.
        from: String,
        /// What is wrong with it.
        why: String,
    },
    /// A kernel module or group that is not there.
    #[error("no group of modules and no module of {kernel} is called `{name}`{hint}")]
    UnknownModule {
        /// What the recipe names.
        name: String,
        /// Which kernel.
        kernel: String,
        /// Similar names, as a clause that starts with a semicolon; or nothing.
        hint: String,
    },
    /// A kernel that is no package cannot be used.
    #[error("kernel {}: {why}", path.display())]
    Kernel {
        /// The vmlinuz, or the folder with it.
        path: PathBuf,
        /// What is wrong with it, and the way out.
        why: String,
    },
    /// The kernel was configured without something that the image needs.
    #[error("kernel {kernel} cannot run this OSIE, it lacks: {}; take another kernel, or build one with these options", missing.join(", "))]
    KernelConfig {
        /// Its version.
        kernel: String,
        /// Options, each with the fragment of `kernel-configs/` that asks for it.
        missing: Vec<String>,
    },
    /// A file that the builder reads cannot be understood.
    #[error("{file}: {why}")]
    Malformed {
        /// Which file.
        file: String,
        /// What is wrong in it.
        why: String,
    },
    /// A unit that should be enabled is not in the image.
    #[error(
        "no unit `{unit}` in the image: add the package or overlay that brings it, or take it out of `services`"
    )]
    UnknownUnit {
        /// Its name.
        unit: String,
    },
    /// The recipe asks for something that this builder does not do.
    #[error("{what}")]
    Unsupported {
        /// What, and the way out.
        what: String,
    },
    /// A package of the lock is no longer to be had.
    #[error(
        "the mirror no longer has {package} {version} ({url}), which the lock names: renew the lock with \
         --update, or get the file from a bundle (--from-bundle) or a mirror that keeps old states (`mirror` \
         under [osie])"
    )]
    Gone {
        /// Its name.
        package: String,
        /// The version that the lock names.
        version: String,
        /// Where it should have been.
        url: String,
    },
    /// A container image of the recipe cannot go into the OSIE.
    #[error("container `{name}`: {why}")]
    Container {
        /// What the recipe calls it.
        name: String,
        /// Why, and the way out.
        why: String,
    },
    /// A download that nobody vouches for.
    #[error(
        "{url} has SHA-256 {sha256} ({size} bytes), and nobody vouches for it: whoever serves it could serve \
         anything; compare that with what its publisher says, then run the command again with --sha256 {sha256} \
         (it is not downloaded a second time)"
    )]
    Unvouched {
        /// Where it is from.
        url: String,
        /// Bytes.
        size: u64,
        /// What came.
        sha256: captain_debian::Sha256,
    },
    /// A program from elsewhere cannot go into the image.
    #[error("tool {url}: {why}")]
    Tool {
        /// Where it is from.
        url: String,
        /// Why, and the way out.
        why: String,
    },
    /// The store of container images.
    #[error(transparent)]
    Image(#[from] captain_oci::Error),
    /// zstd's level is out of range.
    #[error("level {0} is not between 1 and 22")]
    Level(i32),
    /// A worker thread of the builder ended by itself.
    #[error("a worker of the builder ended: {0}")]
    Worker(String),
}

impl Error {
    /// For `map_err` on anything that touches `path`.
    pub(crate) fn io(path: impl AsRef<Path>) -> impl FnOnce(io::Error) -> Self {
        let path = path.as_ref().to_owned();
        move |source| Self::Io { path, source }
    }

    pub(crate) fn malformed(file: impl Into<String>, why: impl ToString) -> Self {
        Self::Malformed { file: file.into(), why: why.to_string() }
    }
}
