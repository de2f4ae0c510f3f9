//! What is in a built image, and where it is from: one JSON file beside it.

use captain_debian::{Sha256, Why};
use captain_model::{Arch, Artifact};
use serde::Serialize;

use crate::overlay::Laid;

/// Everything that went into an image, and what came out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
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
    /// The kernel and the initramfs.
    pub outputs: Vec<Artifact>,
}

/// A package of an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PackageRef {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its architecture: `amd64`, `arm64` or `all`.
    pub arch: String,
    /// SHA-256 of the .deb.
    pub sha256: Sha256,
    /// Size of the .deb in bytes.
    pub size: u64,
    /// Who asked for it.
    pub why: String,
}

impl PackageRef {
    pub(crate) fn of(selected: &captain_debian::Selected) -> Self {
        let package = &selected.package;
        Self {
            name: package.name.clone(),
            version: package.version.to_string(),
            arch: package.arch.clone(),
            sha256: package.sha256,
            size: package.size,
            why: match &selected.why {
                Why::Wanted => "wanted".to_owned(),
                Why::Needed { by, dependency } => format!("{by} needs {dependency}"),
            },
        }
    }
}
