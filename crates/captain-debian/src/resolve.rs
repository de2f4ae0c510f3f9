//! From a list of wanted packages to all that they need.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use crate::error::{Clash, Error};
use crate::package::Package;
use crate::relation::{Dependency, Relation};
use crate::suggest;
use crate::universe::Universe;
use crate::version::Version;

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

/// Selects everything that `request` needs from `universe`, greedily and always alike: what is wanted first,
/// then dependencies in the order in which they turn up; of alternatives the first that can be had, real
/// packages before providers, providers by priority and name. Recommends are left out.
///
/// # Errors
/// [`Error::UnknownPackage`], [`Error::Unmet`] and [`Error::Conflict`], with the chain of who needs what.
pub fn resolve(universe: &Universe, request: &Request) -> Result<Resolution, Error> {
    let mut resolver = Resolver::new(universe, request)?;
    resolver.select_wanted()?;
    while let Some(name) = resolver.queue.pop_front() {
        resolver.select_needs_of(&name)?;
    }
    resolver.check_conflicts()?;
    Ok(resolver.chosen)
}

struct Resolver<'a> {
    universe: &'a Universe,
    request: &'a Request,
    /// Exact versions that were asked for.
    pins: BTreeMap<&'a str, Version>,
    chosen: Resolution,
    /// Virtual package -> selected packages that provide it.
    provided: BTreeMap<String, Vec<String>>,
    /// Selected packages whose dependencies were not looked at.
    queue: VecDeque<String>,
}

impl<'a> Resolver<'a> {
    fn new(universe: &'a Universe, request: &'a Request) -> Result<Self, Error> {
        let mut pins = BTreeMap::new();
        for (name, version) in request.wanted.iter().filter_map(|wanted| wanted.split_once('=')) {
            let version =
                version.parse().map_err(|why| Error::malformed(format!("{name}={version}"), why))?;
            pins.insert(name, version);
        }
        let (chosen, provided, queue) = (Resolution::default(), BTreeMap::new(), VecDeque::new());
        Ok(Self { universe, request, pins, chosen, provided, queue })
    }

    fn select_wanted(&mut self) -> Result<(), Error> {
        for wanted in &self.request.wanted {
            let name = wanted.split_once('=').map_or(wanted.as_str(), |(name, _)| name);
            if self.request.assumed.contains(name) {
                continue;
            }
            let package = self.wanted(name)?;
            self.select(package, Why::Wanted);
        }
        Ok(())
    }

    fn wanted(&self, name: &str) -> Result<Arc<Package>, Error> {
        if self.request.excluded.contains(name) {
            let why = "it is both wanted and excluded".to_owned();
            return Err(Error::Unmet { dependency: name.to_owned(), why, chain: Vec::new() });
        }
        if let Some(package) = self.candidate(name)? {
            return Ok(package);
        }
        let unknown = |hint| {
            let suites = self.universe.described();
            Err(Error::UnknownPackage { name: name.to_owned(), suites, hint })
        };
        if let Some(version) = self.pins.get(name) {
            let offered = self.universe.versions(name)?;
            let offered: Vec<_> = offered.iter().map(|package| package.version.as_str()).collect();
            return unknown(suggest::versions(version.as_str(), &offered));
        }
        let mut providers = self.universe.providers(name)?;
        providers.retain(|package| !self.request.excluded.contains(&package.name));
        match providers.as_slice() {
            [] => unknown(suggest::nearest(name, &self.universe.names())),
            [only] => Ok(only.clone()),
            several => unknown(suggest::providers(several.iter().map(|package| package.name.as_str()))),
        }
    }

    fn select(&mut self, package: Arc<Package>, why: Why) {
        let name = package.name.clone();
        if self.chosen.selected.contains_key(&name) {
            return;
        }
        for offer in &package.provides {
            self.provided.entry(offer.name.clone()).or_default().push(name.clone());
        }
        self.chosen.selected.insert(name.clone(), Selected { package, why });
        self.queue.push_back(name);
    }

    fn select_needs_of(&mut self, name: &str) -> Result<(), Error> {
        let Some(package) = self.chosen.get(name).map(|selected| selected.package.clone()) else {
            return Ok(());
        };
        for dependency in package.pre_depends.iter().chain(&package.depends) {
            if self.is_met(dependency) {
                continue;
            }
            let choice = self.choose(dependency)?.ok_or_else(|| self.unmet(dependency, name))?;
            self.select(choice, Why::Needed { by: name.to_owned(), dependency: dependency.to_string() });
        }
        Ok(())
    }

    fn is_met(&self, dependency: &Dependency) -> bool {
        dependency.0.iter().any(|relation| {
            self.request.assumed.contains(&relation.name) || !self.matches(relation).is_empty()
        })
    }

    /// The selected packages that are, or stand for, what `relation` names.
    fn matches(&self, relation: &Relation) -> Vec<&Selected> {
        let providers = self.provided.get(&relation.name).into_iter().flatten();
        let names = std::iter::once(&relation.name).chain(providers);
        let mut found: Vec<_> = names.filter_map(|name| self.chosen.get(name)).collect();
        found.retain(|selected| selected.package.satisfies(relation));
        found
    }

    fn choose(&self, dependency: &Dependency) -> Result<Option<Arc<Package>>, Error> {
        for relation in &dependency.0 {
            let real = self.candidate(&relation.name)?;
            for package in real.into_iter().chain(self.universe.providers(&relation.name)?) {
                // A pinned provider may be another version than the newest; a selected one was looked at.
                let current = self.candidate(&package.name)?;
                let usable = current.filter(|package| {
                    package.satisfies(relation) && !self.request.excluded.contains(&package.name)
                });
                if usable.is_some() {
                    return Ok(usable);
                }
            }
        }
        Ok(None)
    }

    /// The version of `name` that would be installed.
    fn candidate(&self, name: &str) -> Result<Option<Arc<Package>>, Error> {
        match self.pins.get(name) {
            Some(pin) => Ok(self.universe.versions(name)?.into_iter().find(|one| one.version == *pin)),
            None => self.universe.newest(name),
        }
    }

    fn unmet(&self, dependency: &Dependency, by: &str) -> Error {
        let reasons: Vec<_> = dependency.0.iter().map(|relation| self.reason(relation)).collect();
        Error::Unmet {
            dependency: dependency.to_string(),
            why: reasons.join("; "),
            chain: self.chosen.why(by),
        }
    }

    fn reason(&self, relation: &Relation) -> String {
        let name = &relation.name;
        if self.request.excluded.contains(name) {
            return format!("`{name}` is excluded");
        }
        if let Ok(Some(package)) = self.candidate(name) {
            return format!("`{name}` is offered in version {} only", package.version);
        }
        match self.universe.providers(name) {
            Ok(providers) if !providers.is_empty() => {
                let names = providers.iter().map(|package| package.name.as_str());
                format!(
                    "`{name}` is only provided by {}, excluded or in another version",
                    suggest::list(names)
                )
            }
            _ => format!("no package `{name}` in {}", self.universe.described()),
        }
    }

    fn check_conflicts(&self) -> Result<(), Error> {
        for Selected { package, .. } in self.chosen.selected() {
            let conflicts = package.conflicts.iter().map(|relation| ("conflicts with", relation));
            let breaks = package.breaks.iter().map(|relation| ("breaks", relation));
            for (field, relation) in conflicts.chain(breaks) {
                // A package may conflict with what it provides itself, to be the only one.
                let found = self.matches(relation);
                if let Some(other) = found.iter().find(|other| other.package.name != package.name) {
                    return Err(self.conflict(package, field, relation, &other.package));
                }
            }
        }
        Ok(())
    }

    fn conflict(
        &self,
        package: &Package,
        field: &'static str,
        relation: &Relation,
        other: &Package,
    ) -> Error {
        Error::Conflict(Box::new(Clash {
            package: package.name.clone(),
            field,
            relation: relation.to_string(),
            other: format!("{} {}", other.name, other.version),
            package_chain: self.chosen.why(&package.name),
            other_chain: self.chosen.why(&other.name),
        }))
    }
}

#[cfg(test)]
#[path = "resolve_tests.rs"]
mod tests;
