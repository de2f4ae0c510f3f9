//! The cache on disk. Files lie under their SHA-256 and appear there whole, by a rename.
//!
//! A file that is reused is only looked at for its size: it was hashed when it came, and whoever reads it for
//! an image hashes it again on the way ([`crate::Fetched::open`]).

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::Error;
use crate::hash::Sha256;

/// A cache folder.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    root: PathBuf,
}

impl Store {
    pub(crate) fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Where the file of this content lies, if it does.
    pub(crate) fn file(&self, sum: &Sha256) -> PathBuf {
        let name = sum.to_string();
        self.root.join("by-sha256").join(&name[..2]).join(name)
    }

    /// Where a download of it collects its bytes.
    pub(crate) fn part(&self, sum: &Sha256) -> PathBuf {
        self.file(sum).with_extension("part")
    }

    /// The file of this content and how large it is, where it is there in full size.
    pub(crate) fn find(&self, sum: &Sha256, size: Option<u64>) -> Option<(PathBuf, u64)> {
        let path = self.file(sum);
        let data = fs::metadata(&path).ok().filter(fs::Metadata::is_file)?;
        size.is_none_or(|size| data.len() == size).then_some((path, data.len()))
    }

    /// Where the compact form of an index lies. The next state of the suite takes its place.
    pub(crate) fn index(&self, suite: &str, component: &str, arch: &str) -> PathBuf {
        self.root.join("index").join(plain(&format!("{suite}_{component}_{arch}")))
    }

    /// Where the last good copy of the release file at `url` lies.
    pub(crate) fn release(&self, url: &str) -> PathBuf {
        let name = url.split_once("://").map_or(url, |(_, rest)| rest);
        self.root.join("release").join(plain(name))
    }

    /// Writes a file so that readers see all of it or nothing, even after a crash.
    pub(crate) fn write(&self, path: &Path, bytes: &[u8]) -> Result<(), Error> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        make_parent(path)?;
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let mut draft = path.as_os_str().to_owned();
        draft.push(format!(".{}-{count}.new", process::id()));
        let draft = PathBuf::from(draft);
        let written = File::create(&draft)
            .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
            .and_then(|()| fs::rename(&draft, path));
        written.map_err(|error| {
            let _ = fs::remove_file(&draft);
            Error::io(path, error)
        })
    }
}

/// A file name without anything that a path could be made of.
fn plain(text: &str) -> String {
    text.replace(|c: char| !c.is_ascii_alphanumeric() && !".-_".contains(c), "_")
}

pub(crate) fn make_parent(path: &Path) -> Result<(), Error> {
    match path.parent() {
        Some(parent) => fs::create_dir_all(parent).map_err(|error| Error::io(parent, error)),
        None => Ok(()),
    }
}
