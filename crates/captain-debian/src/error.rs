//! What can go wrong between a mirror and a file in a .deb. Every message names the file and the way out.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::hash::Sha256;

/// Why the archive client could not do what was asked.
#[derive(Debug, Error)]
pub enum Error {
    /// The host's apt names no usable Debian archive.
    #[error("{}: {why}; name a mirror (`mirror = \"http://...\"` under [osie])", path.display())]
    NoMirror {
        /// Where was looked.
        path: PathBuf,
        /// What was found instead.
        why: String,
    },
    /// No keyring to verify the archive with.
    #[error(
        "no keyring to verify {url} with: {why}; install debian-archive-keyring or set `keyring` under [osie]"
    )]
    Keyring {
        /// What should be verified.
        url: String,
        /// What was tried.
        why: String,
    },
    /// A signature does not verify.
    #[error(
        "{url}: the signature does not verify: {why}; the file was tampered with, or the keyring is too old or of \
         another archive: take another mirror (`mirror` under [osie]), or the archive's own keyring (`keyring`)"
    )]
    Signature {
        /// The signed file.
        url: String,
        /// Per signature, what is wrong with it.
        why: String,
    },
    /// The release is out of date, or of the future.
    #[error("{url}: {why}")]
    Stale {
        /// The release file.
        url: String,
        /// Which date, against which, and the way out.
        why: String,
    },
    /// The release is another suite than the one asked for.
    #[error("{url}: asked for suite `{wanted}`, but it is signed as suite `{suite}`, codename `{codename}`")]
    WrongSuite {
        /// The release file.
        url: String,
        /// What was asked for.
        wanted: String,
        /// Its `Suite`.
        suite: String,
        /// Its `Codename`.
        codename: String,
    },
    /// The archive does not carry what was asked for.
    #[error("{url}: {what}")]
    NotCarried {
        /// The release file.
        url: String,
        /// What is not there, and what is.
        what: String,
    },
    /// A file of the archive cannot be understood.
    #[error("{file}: {why}")]
    Malformed {
        /// URL or path.
        file: String,
        /// What is wrong in it.
        why: String,
    },
    /// A file has the wrong size or hash.
    #[error(
        "{url}: expected {expected}, got {got}; the mirror is out of step with itself, or someone changed the file: \
         try again later, or take another mirror (`mirror` under [osie])"
    )]
    Tampered {
        /// The file.
        url: String,
        /// Size or sum that the index promised.
        expected: String,
        /// What came.
        got: String,
    },
    /// A file in the cache is not what it was when it came.
    #[error("{name} was damaged on disk ({}: expected SHA-256 {expected}, got {got}); run again to fetch it anew",
        path.display())]
    Rotten {
        /// What it is.
        name: String,
        /// Where it lies.
        path: PathBuf,
        /// Its sum when it came.
        expected: Sha256,
        /// Its sum now.
        got: Sha256,
    },
    /// A download did not succeed.
    #[error("cannot download {url}: {why}")]
    Download {
        /// The file.
        url: String,
        /// What happened last, and how often it was tried.
        why: String,
    },
    /// The server answers, and has no such file (404 or 410).
    #[error("{url} is not there: the mirror has no such file (any more)")]
    Gone {
        /// The file.
        url: String,
    },
    /// Offline, and the file is not in the cache.
    #[error("offline, and {url} is not in the cache ({}): run once without --offline", path.display())]
    Offline {
        /// The file.
        url: String,
        /// Where it should have been.
        path: PathBuf,
    },
    /// No package of this name.
    #[error("no package `{name}` in {suites}{}", of_hint(.hint))]
    UnknownPackage {
        /// What was asked for.
        name: String,
        /// Where was looked.
        suites: String,
        /// Similar names, or who provides it.
        hint: String,
    },
    /// A dependency that nothing meets.
    #[error("`{dependency}` cannot be met: {why}{}{}", of_chain(.chain), without(.chain))]
    Unmet {
        /// The dependency.
        dependency: String,
        /// Per alternative, what is in the way.
        why: String,
        /// Who needs it: from a wanted package down to the one that has the dependency.
        chain: Vec<String>,
    },
    /// Two selected packages do not go together.
    #[error("{0}")]
    Conflict(Box<Clash>),
    /// A .deb is damaged, or holds what must not be unpacked.
    #[error("{}: {why}", deb.display())]
    Deb {
        /// The .deb.
        deb: PathBuf,
        /// What is wrong, with the path inside the package.
        why: String,
    },
    /// The disk.
    #[error("{}: {source}{}", path.display(), way_out(source))]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

/// Two selected packages of which one does not want the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clash {
    /// The package that says so.
    pub package: String,
    /// `conflicts with` or `breaks`.
    pub field: &'static str,
    /// What it says.
    pub relation: String,
    /// The package that it does not want, with its version.
    pub other: String,
    /// Why `package` is there: from a wanted package down to it.
    pub package_chain: Vec<String>,
    /// Why `other` is there.
    pub other_chain: Vec<String>,
}

impl fmt::Display for Clash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { package, field, relation, other, .. } = self;
        let (of_package, of_other) = (self.package_chain.join(" -> "), self.other_chain.join(" -> "));
        write!(
            f,
            "{package} {field} `{relation}`, which {other} is: leave one out (needed by {of_package}; {of_other})"
        )
    }
}

impl Error {
    pub(crate) fn io(path: &Path, source: io::Error) -> Self {
        Self::Io { path: path.to_owned(), source }
    }

    pub(crate) fn malformed(file: impl Into<String>, why: impl ToString) -> Self {
        Self::Malformed { file: file.into(), why: why.to_string() }
    }

    pub(crate) fn sum(url: &str, expected: &Sha256, got: &Sha256) -> Self {
        let show = |sum: &Sha256| format!("SHA-256 {sum}");
        Self::Tampered { url: url.to_owned(), expected: show(expected), got: show(got) }
    }

    pub(crate) fn size(url: &str, expected: u64, got: u64) -> Self {
        let show = |size: u64| format!("{size} bytes");
        Self::Tampered { url: url.to_owned(), expected: show(expected), got: show(got) }
    }
}

fn of_chain(chain: &[String]) -> String {
    if chain.is_empty() { String::new() } else { format!(" (needed by {})", chain.join(" -> ")) }
}

/// The way out where a mirror does not have all that its packages ask for.
fn without(chain: &[String]) -> String {
    let Some(wanted) = chain.first() else { return String::new() };
    format!("; leave {wanted} out, or take another mirror or suite (`mirror`, `suite` under [osie])")
}

/// What to do about an error of the disk, where something can be done: a clause that starts with a colon.
pub fn way_out(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            ": make room there (`captaind clean` frees the cache), or name another folder (`--cache-dir`, `-o`)"
        }
        io::ErrorKind::ReadOnlyFilesystem => ": name a folder that can be written (`--cache-dir`, `-o`)",
        _ => "",
    }
}

fn of_hint(hint: &str) -> String {
    if hint.is_empty() { String::new() } else { format!(": {hint}") }
}
