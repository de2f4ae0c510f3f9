//! Exactly what a kernel is built from, where captaind builds it: the part of the lock that the kernel builder fills.

use std::fmt;

use captain_debian::Sha256;
use captain_model::Arch;
use serde::{Deserialize, Serialize};

use crate::manifest::PackageRef;

/// All that decides what a kernel becomes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KernelInputs {
    /// What the kernel runs on.
    pub arch: Arch,
    /// The sources.
    pub source: KernelSources,
    /// SHA-256 of the options that are asked for.
    pub config: Sha256,
    /// What compiles it.
    pub toolchain: Toolchain,
}

/// Where the sources are from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KernelSources {
    /// Debian's `linux-source-VERSION`.
    Package(PackageRef),
    /// A tarball or folder that was named.
    Given {
        /// Its file name.
        name: String,
        /// SHA-256 of the file, or over the folder's files.
        sha256: Sha256,
    },
}

/// What compiles a kernel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Toolchain {
    /// A container of these packages, sorted by name.
    Packages(Vec<PackageRef>),
    /// The building machine's own compiler and linker, as they name themselves.
    Host(String),
}

impl KernelInputs {
    /// Names the kernel that comes of these inputs: SHA-256 over their contents, and over `version`, the builder's own.
    pub fn key(&self, version: u32) -> Sha256 {
        let source = match &self.source {
            KernelSources::Package(package) => &package.sha256,
            KernelSources::Given { sha256, .. } => sha256,
        };
        let toolchain = self.toolchain.sum();
        Sha256::of(format!("{version} {} {source} {} {toolchain}", self.arch, self.config).as_bytes())
    }

    /// What is not as in `old`, one clause each; packages are told by their own names elsewhere.
    pub(crate) fn changes_since(&self, old: &Self) -> Vec<String> {
        let mut changes = Vec::new();
        if self.config != old.config {
            changes.push("other options (kernel-configs)".to_owned());
        }
        match (&old.source, &self.source) {
            (KernelSources::Package(_), KernelSources::Package(_)) => {}
            (was, is) if was == is => {}
            (was, is) => changes.push(format!("other sources: {was} -> {is}")),
        }
        match (&old.toolchain, &self.toolchain) {
            (Toolchain::Packages(_), Toolchain::Packages(_)) => {}
            (was, is) if was == is => {}
            (was, is) => changes.push(format!("another compiler: {was} -> {is}")),
        }
        changes
    }

    /// The packages among them.
    pub fn packages(&self) -> impl Iterator<Item = &PackageRef> {
        let source = match &self.source {
            KernelSources::Package(package) => Some(package),
            KernelSources::Given { .. } => None,
        };
        source.into_iter().chain(self.toolchain.packages())
    }
}

impl fmt::Display for KernelSources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Package(package) => write!(f, "{} {}", package.name, package.version),
            Self::Given { name, sha256 } => write!(f, "{name} ({})", &sha256.to_string()[..16]),
        }
    }
}

impl fmt::Display for Toolchain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Packages(packages) => write!(f, "a container of {} packages", packages.len()),
            Self::Host(said) => write!(f, "this machine's own ({})", said.lines().next().unwrap_or_default()),
        }
    }
}

impl Toolchain {
    /// SHA-256 over what it is made of: also the name of the builder image.
    pub fn sum(&self) -> Sha256 {
        match self {
            Self::Packages(packages) => {
                let list: String = packages.iter().map(|package| format!("{}\n", package.sha256)).collect();
                Sha256::of(list.as_bytes())
            }
            Self::Host(said) => Sha256::of(said.as_bytes()),
        }
    }

    /// Its packages; none where it is the machine's own.
    pub fn packages(&self) -> &[PackageRef] {
        match self {
            Self::Packages(packages) => packages,
            Self::Host(_) => &[],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lock::testing::package;

    #[test]
    fn the_key_changes_with_each_input_and_not_with_where_it_is_from() {
        let inputs = KernelInputs {
            arch: Arch::Amd64,
            source: KernelSources::Package(package("linux-source-6.12", "6.12")),
            config: Sha256::of(b"CONFIG_NET=y"),
            toolchain: Toolchain::Packages(vec![package("gcc", "14")]),
        };
        let elsewhere = PackageRef { path: "pool/x".to_owned(), ..package("linux-source-6.12", "6.12") };
        let same = KernelInputs { source: KernelSources::Package(elsewhere), ..inputs.clone() };
        assert_eq!(inputs.key(1), same.key(1));
        let others = [
            KernelInputs { arch: Arch::Arm64, ..inputs.clone() },
            KernelInputs {
                source: KernelSources::Package(package("linux-source-6.12", "6.13")),
                ..inputs.clone()
            },
            KernelInputs { config: Sha256::of(b""), ..inputs.clone() },
            KernelInputs { toolchain: Toolchain::Packages(vec![package("gcc", "15")]), ..inputs.clone() },
            KernelInputs { toolchain: Toolchain::Host("gcc 14".to_owned()), ..inputs.clone() },
        ];
        for other in others {
            assert_ne!(inputs.key(1), other.key(1), "{other:?}");
        }
        assert_ne!(inputs.key(1), inputs.key(2));
    }

    #[test]
    fn what_changed_is_named_unless_it_is_a_package_of_its_own_name() {
        let given =
            |bytes: &[u8]| KernelSources::Given { name: "linux".to_owned(), sha256: Sha256::of(bytes) };
        let old = KernelInputs {
            arch: Arch::Amd64,
            source: given(b"one"),
            config: Sha256::of(b"CONFIG_NET=y"),
            toolchain: Toolchain::Host("gcc 12\nld 2".to_owned()),
        };
        assert!(old.changes_since(&old).is_empty());
        let new = KernelInputs {
            source: given(b"two"),
            config: Sha256::of(b""),
            toolchain: Toolchain::Packages(vec![package("gcc", "14")]),
            ..old.clone()
        };
        let told = new.changes_since(&old).join("; ");
        assert!(told.starts_with("other options (kernel-configs); other sources: linux ("), "{told}");
        assert!(told.ends_with("this machine's own (gcc 12) -> a container of 1 packages"), "{told}");
    }
}
