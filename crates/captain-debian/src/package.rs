//! One binary package, as an archive's index describes it.

use std::sync::Arc;

use serde::Serialize;

use crate::hash::Sha256;
use crate::relation::{Dependency, Relation};
use crate::version::Version;

/// Where a package was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Origin {
    /// Base URL of the mirror, without a slash at its end. Further ones are tried when the first fails.
    pub mirrors: Vec<String>,
    /// Suite as it was asked for: `trixie`, `trixie-security`.
    pub suite: String,
    /// Component: `main`, `non-free-firmware`.
    pub component: String,
}

/// A package that the archive offers.
#[derive(Clone, Debug)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: Version,
    /// Its architecture: `amd64`, `arm64` or `all`.
    pub arch: String,
    /// Source package and its version, for the list of sources of an image.
    pub source: (String, Version),
    /// `Essential: yes`: others use it without saying so.
    pub essential: bool,
    /// How much the archive's keepers want it on a system.
    pub priority: Priority,
    /// Disk space when installed, in KiB, as the maintainer estimates it.
    pub installed_size: u64,
    /// Path of the .deb below the mirror's base.
    pub filename: String,
    /// Size of the .deb in bytes.
    pub size: u64,
    /// SHA-256 of the .deb.
    pub sha256: Sha256,
    /// What must be there before it is unpacked.
    pub pre_depends: Vec<Dependency>,
    /// What it needs.
    pub depends: Vec<Dependency>,
    /// What cannot be installed at the same time.
    pub conflicts: Vec<Relation>,
    /// What it makes unusable.
    pub breaks: Vec<Relation>,
    /// Virtual packages that it stands for, perhaps in a version.
    pub provides: Vec<Relation>,
    /// Where it was found.
    pub origin: Arc<Origin>,
}

/// The archive's `Priority` field. Ordered: a more important one is smaller.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Priority {
    /// Without it the system may not even be repairable.
    Required,
    /// What everyone expects on a Unix system.
    Important,
    /// What a text-mode system has by default.
    Standard,
    /// Everything else.
    #[default]
    Optional,
    /// Not used any more; like optional, but last.
    Extra,
}

impl Priority {
    pub(crate) fn parse(text: &str) -> Self {
        match text {
            "required" => Self::Required,
            "important" => Self::Important,
            "standard" => Self::Standard,
            "extra" => Self::Extra,
            _ => Self::Optional,
        }
    }
}

impl Package {
    /// Everywhere its .deb can be had, in the order to try.
    pub fn urls(&self) -> Vec<String> {
        self.origin.mirrors.iter().map(|mirror| format!("{mirror}/{}", self.filename)).collect()
    }

    /// `name_version_arch.deb`, the name that dpkg would give to the file (an epoch is left out).
    pub fn file_name(&self) -> &str {
        self.filename.rsplit('/').next().unwrap_or(&self.filename)
    }

    /// Whether it is, or provides, what `relation` asks for, on a machine of its own architecture.
    pub fn satisfies(&self, relation: &Relation) -> bool {
        if !self.qualifies(relation.qualifier.as_deref()) {
            return false;
        }
        self.is(relation) || self.stands_for(relation)
    }

    /// Whether it is the package that `relation` names, in a version that will do.
    fn is(&self, relation: &Relation) -> bool {
        self.name == relation.name
            && relation.constraint.as_ref().is_none_or(|bound| bound.admits(&self.version))
    }

    /// Whether it provides what `relation` names. An unversioned `Provides` meets no versioned relation
    /// (policy section 7.5).
    fn stands_for(&self, relation: &Relation) -> bool {
        self.provides.iter().any(|provided| {
            provided.name == relation.name
                && relation.constraint.as_ref().is_none_or(|bound| {
                    provided.constraint.as_ref().is_some_and(|offer| bound.admits(&offer.version))
                })
        })
    }

    fn qualifies(&self, qualifier: Option<&str>) -> bool {
        match qualifier {
            None | Some("any" | "native") => true,
            Some(arch) => self.arch == arch || self.arch == "all",
        }
    }
}
