//! All packages that the suites offer, looked up by name; a package is parsed when it is first asked for.

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};

use crate::error::Error;
use crate::index::Index;
use crate::package::{Origin, Package};

/// The packages of one or more indices.
#[derive(Debug)]
pub struct Universe {
    arch: String,
    shelves: Vec<Shelf>,
}

/// One index, where it is from, and those of its packages that were parsed.
#[derive(Debug)]
struct Shelf {
    index: Index,
    origin: Arc<Origin>,
    parsed: Vec<OnceLock<Arc<Package>>>,
}

impl Universe {
    pub(crate) fn new(arch: &str, indices: Vec<(Index, Origin)>) -> Self {
        let shelf = |(index, origin): (Index, Origin)| Shelf {
            parsed: (0..index.len()).map(|_| OnceLock::new()).collect(),
            index,
            origin: Arc::new(origin),
        };
        Self { arch: arch.to_owned(), shelves: indices.into_iter().map(shelf).collect() }
    }

    /// The architecture that it is for, in Debian's spelling.
    pub fn arch(&self) -> &str {
        &self.arch
    }

    /// How many packages there are, counting each version.
    pub fn len(&self) -> usize {
        self.shelves.iter().map(|shelf| shelf.index.len()).sum()
    }

    /// Whether there is no package.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The newest version of `name`; of equal ones the one from the suite that was opened first.
    ///
    /// # Errors
    /// The index is damaged there.
    pub fn newest(&self, name: &str) -> Result<Option<Arc<Package>>, Error> {
        let mut best: Option<Arc<Package>> = None;
        for package in self.versions(name)? {
            if best.as_ref().is_none_or(|best| package.version > best.version) {
                best = Some(package);
            }
        }
        Ok(best)
    }

    /// Every version of `name`, in the order of the suites.
    ///
    /// # Errors
    /// The index is damaged there.
    pub fn versions(&self, name: &str) -> Result<Vec<Arc<Package>>, Error> {
        let mut list = Vec::new();
        for shelf in &self.shelves {
            for row in shelf.index.rows_of(name) {
                list.push(shelf.package(row, &self.arch)?);
            }
        }
        Ok(list)
    }

    /// The newest version of each package that provides `name`, most important first, then by name.
    ///
    /// # Errors
    /// The index is damaged there.
    pub fn providers(&self, name: &str) -> Result<Vec<Arc<Package>>, Error> {
        let mut names = BTreeSet::new();
        for shelf in &self.shelves {
            names.extend(shelf.index.providers_of(name).map(|row| shelf.index.name(row)));
        }
        let mut list = Vec::new();
        for provider in names {
            // A newer version may have stopped to provide it.
            let newest = self.newest(provider)?;
            list.extend(newest.filter(|package| package.provides.iter().any(|offer| offer.name == name)));
        }
        list.sort_by(|a, b| (a.priority, &a.name).cmp(&(b.priority, &b.name)));
        Ok(list)
    }

    /// Every package name, sorted.
    pub fn names(&self) -> BTreeSet<&str> {
        self.shelves
            .iter()
            .flat_map(|shelf| (0..shelf.index.len()).map(|row| shelf.index.name(row)))
            .collect()
    }

    /// The suites that it is made of, for messages: `trixie, trixie-security (main)`.
    pub(crate) fn described(&self) -> String {
        let mut suites: Vec<&str> = Vec::new();
        let mut components: Vec<&str> = Vec::new();
        for shelf in &self.shelves {
            for (list, word) in
                [(&mut suites, &shelf.origin.suite), (&mut components, &shelf.origin.component)]
            {
                if !list.contains(&word.as_str()) {
                    list.push(word);
                }
            }
        }
        format!("{} ({}) for {}", suites.join(", "), components.join(", "), self.arch)
    }
}

impl Shelf {
    fn package(&self, row: usize, arch: &str) -> Result<Arc<Package>, Error> {
        if let Some(package) = self.parsed[row].get() {
            return Ok(package.clone());
        }
        let package = Arc::new(self.index.package(row, arch, &self.origin)?);
        Ok(self.parsed[row].get_or_init(|| package).clone())
    }
}
