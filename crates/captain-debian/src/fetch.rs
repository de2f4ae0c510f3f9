//! Downloads: parallel, resumed, verified, kept by content.

use std::path::PathBuf;

use crate::deb::Deb;
use crate::error::Error;
use crate::hash::Sha256;
use crate::package::Package;

/// A file to be had, known by its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// What it is called in messages and in the manifest: `bash_5.2.37-2_amd64.deb`.
    pub name: String,
    /// Where it can be had, in the order to try.
    pub urls: Vec<String>,
    /// Bytes.
    pub size: u64,
    /// SHA-256.
    pub sha256: Sha256,
}

impl Item {
    /// The .deb of `package`.
    pub fn of(package: &Package) -> Self {
        Self {
            name: package.file_name().to_owned(),
            urls: package.urls(),
            size: package.size,
            sha256: package.sha256,
        }
    }
}

/// A file that lies in the cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// As [`Item::name`].
    pub name: String,
    /// Where it lies.
    pub path: PathBuf,
    /// Bytes.
    pub size: u64,
    /// SHA-256.
    pub sha256: Sha256,
}

impl Fetched {
    /// Opens it as a .deb, after all of it was read and found to have its sum.
    ///
    /// # Errors
    /// As [`Deb::open_verified`].
    pub fn open(&self) -> Result<Deb, Error> {
        Deb::open_verified(&self.path, &self.name, &self.sha256)
    }
}
