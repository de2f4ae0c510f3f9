//! Which builder: what decides an image's bytes beside the inputs that a lock names.

use std::fmt;

use captain_debian::Sha256;
use serde::{Deserialize, Serialize};

use crate::archive::WINDOW_LOG;

/// Raised by whoever makes the builder give other bytes for the same inputs and lists. Tests of the steps and of
/// the archive hold known sums and say when it is time.
const ASSEMBLY: u32 = 2;

/// The builder that made an image. Two of equal rules make equal bytes of equal inputs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Builder {
    /// captaind's version.
    pub version: String,
    /// SHA-256 of its lists (what is left out of packages, links, groups of modules) and of how it writes.
    pub rules_sha256: Sha256,
}

impl Builder {
    /// This one.
    pub fn ours() -> Self {
        let lists = [
            include_str!("../data/drop.txt"),
            include_str!("../data/drop-slim.txt"),
            include_str!("../data/links.txt"),
            include_str!("../data/modules.txt"),
        ];
        let writes = [ASSEMBLY, WINDOW_LOG, zstd::zstd_safe::version_number()];
        let rules = format!("{lists:?} {writes:?}");
        Self { version: env!("CARGO_PKG_VERSION").to_owned(), rules_sha256: Sha256::of(rules.as_bytes()) }
    }

    /// Whether `other` makes the same bytes of the same inputs.
    pub fn agrees_with(&self, other: &Self) -> bool {
        self.rules_sha256 == other.rules_sha256
    }
}

impl fmt::Display for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "captaind {} (rules {})", self.version, &self.rules_sha256.to_string()[..12])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn builders_agree_by_their_rules_whatever_their_version() {
        let ours = Builder::ours();
        let newer = Builder { version: "9".to_owned(), ..ours.clone() };
        assert!(ours.agrees_with(&newer));
        let other = Builder { rules_sha256: Sha256::of(b"other"), ..ours.clone() };
        assert!(!ours.agrees_with(&other));
        assert!(newer.to_string().starts_with("captaind 9 (rules "), "{newer}");
    }
}
