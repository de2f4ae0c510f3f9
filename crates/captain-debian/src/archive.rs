//! The archive as one thing: open it, resolve in it, fetch from it.

use std::path::PathBuf;
use std::sync::Arc;

use captain_model::{Arch, Timestamp};

use crate::error::Error;
use crate::fetch::{Fetched, Fetcher, Item};
use crate::hash::Sha256;
use crate::keyring::Keyring;
use crate::opening::Opening;
use crate::package::Package;
use crate::progress::Progress;
use crate::resolve::{Request, Resolution, resolve};
use crate::sources::Mirrors;
use crate::transfer::Tuning;
use crate::universe::Universe;

/// What to open, and how.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where to fetch from.
    pub mirrors: Mirrors,
    /// Debian suite: `trixie`. Its `-updates` and `-security` come along where they are to be had.
    pub suite: String,
    /// Architecture of the packages.
    pub arch: Arch,
    /// Components: `main`, `non-free-firmware`.
    pub components: Vec<String>,
    /// Keyring to verify with; the host's Debian keyring where none is given.
    pub keyring: Option<PathBuf>,
    /// Folder for everything that is downloaded.
    pub cache: PathBuf,
    /// Use only what is in the cache.
    pub offline: bool,
    /// The present, against which signatures and dates are checked.
    pub now: Timestamp,
    /// The mirror keeps an old state of the archive on purpose: its `Valid-Until` is not looked at.
    pub snapshot: bool,
    /// How patient downloads are.
    pub tuning: Tuning,
}

impl Options {
    /// Component main of `suite`, verified with the host's Debian keyring.
    pub fn new(mirrors: Mirrors, suite: &str, arch: Arch, cache: impl Into<PathBuf>, now: Timestamp) -> Self {
        Self {
            mirrors,
            suite: suite.to_owned(),
            arch,
            components: vec!["main".to_owned()],
            keyring: None,
            cache: cache.into(),
            offline: false,
            now,
            snapshot: false,
            tuning: Tuning::default(),
        }
    }
}

/// A verified release file: which state of a suite was used. For manifests and lock files.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Release {
    /// Suite as it was asked for.
    pub suite: String,
    /// The URL that it came from.
    pub url: String,
    /// Its `Date`.
    pub date: Timestamp,
    /// SHA-256 of the InRelease file.
    pub sha256: Sha256,
    /// Fingerprint of the key that signed it.
    pub signed_by: String,
}

/// A Debian archive whose signatures were verified and whose indices are at hand.
#[derive(Debug)]
pub struct Archive {
    fetcher: Fetcher,
    universe: Universe,
    releases: Vec<Release>,
}

impl Archive {
    /// Downloads and verifies the release files and indices, or takes them from the cache.
    ///
    /// Offline, the last good release files are used however old they are, and `Valid-Until` is not looked
    /// at: it guards against a mirror that stays behind, and none is asked.
    ///
    /// # Errors
    /// Every kind that has to do with the archive's files; see [`Error`].
    pub async fn open(options: Options, progress: &dyn Progress) -> Result<Self, Error> {
        let fetcher = Fetcher::new(options.cache.clone(), options.offline, options.tuning)?;
        let url = options.mirrors.main.first().map_or(options.suite.as_str(), String::as_str);
        let keyring = Keyring::load(options.keyring.as_deref(), &options.mirrors.keyrings, url)?;
        let opening = Opening { options: &options, fetcher: &fetcher, keyring: &keyring, progress };
        let suites = opening.suites().await?;
        let indices = opening.indices(&suites).await?;
        let universe = Universe::new(options.arch.debian(), indices);
        let releases = suites.into_iter().map(|suite| suite.release).collect();
        Ok(Self { fetcher, universe, releases })
    }

    /// All packages on offer.
    pub const fn universe(&self) -> &Universe {
        &self.universe
    }

    /// The release files that were verified.
    pub fn releases(&self) -> &[Release] {
        &self.releases
    }

    /// Everything that `request` needs. Same archive, same request: same answer.
    ///
    /// # Errors
    /// [`Error::UnknownPackage`], [`Error::Unmet`], [`Error::Conflict`].
    pub fn resolve(&self, request: &Request) -> Result<Resolution, Error> {
        resolve(&self.universe, request)
    }

    /// Downloads these packages, or finds them in the cache; the answer is in the order of `packages`.
    ///
    /// # Errors
    /// [`Error::Download`], [`Error::Tampered`], [`Error::Offline`], [`Error::Io`].
    pub async fn fetch(
        &self,
        packages: impl IntoIterator<Item = &Arc<Package>>,
        progress: &dyn Progress,
    ) -> Result<Vec<Fetched>, Error> {
        let items: Vec<_> = packages.into_iter().map(|package| Item::of(package)).collect();
        self.fetch_items(&items, progress).await
    }

    /// Downloads any files whose sums are known (such as those of a lock file), or finds them in the cache.
    ///
    /// # Errors
    /// As [`Self::fetch`].
    pub async fn fetch_items(&self, items: &[Item], progress: &dyn Progress) -> Result<Vec<Fetched>, Error> {
        self.fetcher.fetch(items, progress).await
    }
}
