//! From a list of wanted packages to all that they need.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::package::Package;

/// What is wanted, and what the image has from elsewhere.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// Names, or `name=version` for an exact version.
    pub wanted: Vec<String>,
    /// Never taken. A dependency that only these could meet cannot be met.
    pub excluded: BTreeSet<String>,
    /// As if installed in every version: a dependency on one is met, and nothing is fetched for it.
    pub assumed: BTreeSet<String>,
}

impl Request {
    /// Wants these packages.
    pub fn new<S: AsRef<str>>(wanted: impl IntoIterator<Item = S>) -> Self {
        let wanted = wanted.into_iter().map(|name| name.as_ref().to_owned()).collect();
        Self { wanted, ..Self::default() }
    }

    /// Never takes these.
    #[must_use]
    pub fn exclude<S: AsRef<str>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        self.excluded.extend(names.into_iter().map(|name| name.as_ref().to_owned()));
        self
    }

    /// Takes these as installed.
    #[must_use]
    pub fn assume<S: AsRef<str>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        self.assumed.extend(names.into_iter().map(|name| name.as_ref().to_owned()));
        self
    }
}

/// Why a package was selected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// It was asked for.
    Wanted,
    /// Another selected package needs it.
    Needed {
        /// That package's name.
        by: String,
        /// Its dependency, as the archive writes it.
        dependency: String,
    },
}

/// A package and why it was selected.
#[derive(Clone, Debug)]
pub struct Selected {
    /// The package.
    pub package: Arc<Package>,
    /// Who asked for it first.
    pub why: Why,
}

/// All packages that were selected, by name.
#[derive(Clone, Debug, Default)]
pub struct Resolution {
    selected: BTreeMap<String, Selected>,
}

impl Resolution {
    /// The packages, sorted by name.
    pub fn packages(&self) -> impl Iterator<Item = &Arc<Package>> {
        self.selected.values().map(|selected| &selected.package)
    }

    /// The packages with their reasons, sorted by name.
    pub fn selected(&self) -> impl Iterator<Item = &Selected> {
        self.selected.values()
    }

    /// One package.
    pub fn get(&self, name: &str) -> Option<&Selected> {
        self.selected.get(name)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.selected.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.selected.is_empty()
    }

    /// Bytes to download, where nothing is cached.
    pub fn download_size(&self) -> u64 {
        self.packages().map(|package| package.size).sum()
    }

    /// Names from a wanted package down to `name`; empty where it was not selected.
    pub fn why(&self, name: &str) -> Vec<String> {
        let mut chain = Vec::new();
        let mut at = name;
        while let Some(selected) = self.selected.get(at) {
            chain.push(at.to_owned());
            match &selected.why {
                Why::Wanted => break,
                Why::Needed { by, .. } => at = by,
            }
        }
        chain.reverse();
        chain
    }
}
