//! What is in a built image, and where it is from: one JSON file beside it.

use captain_debian::{Item, Mirrors, Package, Selected, Sha256, Why};
use captain_model::{Arch, Artifact, Tool};
use serde::{Deserialize, Serialize};

use crate::containers::Container;
use crate::kernel_files::LocalKernel;
use crate::overlay::Laid;

/// Everything that went into an image, and what came out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The recipe's name.
    pub name: String,
    /// Architecture.
    pub arch: Arch,
    /// Debian suite.
    pub suite: String,
    /// Seconds since the epoch: no file of the image is younger.
    pub source_date: u64,
    /// zstd's level.
    pub level: i32,
    /// Whether it is a debug image: anyone at the console is root.
    pub debug: bool,
    /// The kernel's version, as `uname -r` says.
    pub kernel: String,
    /// Its sums, where it is not a package.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub local_kernel: Option<LocalKernel>,
    /// Release files of the archive: SHA-256 and URL.
    pub releases: Vec<captain_debian::archive::Release>,
    /// Packages, sorted by name.
    pub packages: Vec<PackageRef>,
    /// Kernel modules, sorted.
    pub modules: Vec<String>,
    /// Units that are enabled, sorted.
    pub units: Vec<String>,
    /// Files of overlays, in the order in which they were laid.
    pub overlay: Vec<Laid>,
    /// Container images, each run by a unit.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub containers: Vec<Container>,
    /// Programs from elsewhere than Debian.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<Tool>,
    /// The kernel and the initramfs.
    pub outputs: Vec<Artifact>,
}

/// A package of an image, and where it is to be had.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackageRef {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its architecture: `amd64`, `arm64` or `all`.
    pub arch: String,
    /// The suite that it was found in: `trixie`, `trixie-security`.
    pub suite: String,
    /// Path of the .deb below the mirror's base.
    pub path: String,
    /// SHA-256 of the .deb.
    pub sha256: Sha256,
    /// Size of the .deb in bytes.
    pub size: u64,
    /// Source package and its version: `containerd 1.7.24~ds1-6`.
    pub source: String,
    /// Who asked for it.
    pub why: String,
}

impl PackageRef {
    pub(crate) fn of(package: &Package, why: String) -> Self {
        Self {
            name: package.name.clone(),
            version: package.version.to_string(),
            arch: package.arch.clone(),
            suite: package.origin.suite.clone(),
            path: package.filename.clone(),
            sha256: package.sha256,
            size: package.size,
            source: format!("{} {}", package.source.0, package.source.1),
            why,
        }
    }

    /// A package that a request came to, and why.
    pub fn of_selected(selected: &Selected) -> Self {
        let why = match &selected.why {
            Why::Wanted => "wanted".to_owned(),
            Why::Needed { by, dependency } => format!("{by} needs {dependency}"),
        };
        Self::of(&selected.package, why)
    }

    /// The file's own name: `name_version_arch.deb`.
    pub fn file_name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }

    /// What to fetch: security fixes from the mirrors that have those, all else from the others.
    pub(crate) fn item(&self, mirrors: &Mirrors) -> Item {
        let security = self.suite.ends_with("-security");
        let (first, second) =
            if security { (&mirrors.security, &mirrors.main) } else { (&mirrors.main, &mirrors.security) };
        // A mirror with everything under one roof is good for both.
        let urls = first.iter().chain(second).map(|mirror| format!("{mirror}/{}", self.path)).collect();
        Item { name: self.file_name().to_owned(), urls, size: Some(self.size), sha256: self.sha256 }
    }
}
