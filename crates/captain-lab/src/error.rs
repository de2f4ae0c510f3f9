//! What can stop a lab before its machines have had their say.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

/// Why the lab could not run. A machine that does not boot is no error: it stands in the report.
#[derive(Debug, Error)]
pub enum LabError {
    /// The kernel does not let this user make namespaces.
    #[error("no private network for the lab: {why}; {way_out}")]
    NamespaceNotAllowed {
        /// What the kernel said.
        why: io::Error,
        /// Which setting stands in the way, and what to do.
        way_out: String,
    },
    /// A program that the lab needs is not installed.
    #[error("the lab needs {program}, which is not in PATH: install it (Debian: apt install {package})")]
    ProgramMissing {
        /// Its name.
        program: &'static str,
        /// Debian's package of it.
        package: &'static str,
    },
    /// A firmware image that a machine needs is not installed.
    #[error("firmware `{firmware}` needs {file}, which is not installed (Debian: apt install {package})")]
    FirmwareMissing {
        /// The firmware's name on the command line.
        firmware: &'static str,
        /// The file looked for.
        file: String,
        /// Debian's package of it.
        package: &'static str,
    },
    /// A part of the private network could not be made.
    #[error("lab network: cannot {what}: {why}")]
    Network {
        /// What was tried.
        what: String,
        /// What the kernel said.
        why: String,
    },
    /// A file or folder of the lab.
    #[error("{}: {why}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        why: io::Error,
    },
    /// A program could not be started.
    #[error("cannot start {program}: {why}")]
    Start {
        /// Which.
        program: String,
        /// Why.
        why: io::Error,
    },
    /// The daemon or another server of the lab ended.
    #[error("{name} ended ({status}); it last said:\n{last_words}")]
    Ended {
        /// Which.
        name: String,
        /// Its exit status.
        status: String,
        /// The last lines of its log.
        last_words: String,
    },
    /// The daemon did not become ready in time.
    #[error("the daemon was not ready after {seconds} s; it last said:\n{last_words}")]
    NotReady {
        /// How long it was given.
        seconds: u64,
        /// The last lines of its log.
        last_words: String,
    },
    /// The daemon's HTTP interface did not do what it should.
    #[error("the daemon's {path}: {why}")]
    Api {
        /// The route.
        path: String,
        /// What went wrong.
        why: String,
    },
    /// Somebody pressed Ctrl-C or sent SIGTERM.
    #[error("interrupted")]
    Interrupted,
}

impl LabError {
    /// Whether a permission is missing (exit status 77).
    pub const fn is_permission(&self) -> bool {
        matches!(self, Self::NamespaceNotAllowed { .. })
    }

    /// Whether something has to be installed first (exit status 69).
    pub const fn is_missing(&self) -> bool {
        matches!(self, Self::ProgramMissing { .. } | Self::FirmwareMissing { .. })
    }

    pub(crate) fn network(what: impl Into<String>, why: impl ToString) -> Self {
        Self::Network { what: what.into(), why: why.to_string() }
    }

    pub(crate) fn file(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |why| Self::File { path, why }
    }

    pub(crate) fn start(program: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let program = program.into();
        move |why| Self::Start { program, why }
    }
}
