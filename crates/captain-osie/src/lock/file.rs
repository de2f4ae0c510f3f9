//! The file that locks are kept in.

use std::fs;
use std::path::Path;

use captain_model::Arch;
use serde::{Deserialize, Serialize};

use super::Lock;
use crate::error::Error;
use crate::options::BuildOptions;
use crate::output::json;

/// The form of the file; another one is not read.
const VERSION: u32 = 1;

/// A file with locks: one for each recipe, architecture, and debug or not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockFile {
    version: u32,
    locks: Vec<Lock>,
}

impl Default for LockFile {
    fn default() -> Self {
        Self { version: VERSION, locks: Vec::new() }
    }
}

impl LockFile {
    /// Reads the file at `path`; where there is none, it holds no lock.
    ///
    /// # Errors
    /// It cannot be read, or is of another version.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let text = match fs::read(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(Error::io(path)(error)),
        };
        let wrong = |why: String| {
            Error::malformed(path.display().to_string(), format!("{why}: take it away to make a new lock"))
        };
        let file: Self = serde_json::from_slice(&text).map_err(|error| wrong(error.to_string()))?;
        if file.version != VERSION {
            return Err(wrong(format!("it is a lock of version {}, not {VERSION}", file.version)));
        }
        Ok(file)
    }

    /// The lock of the recipe `name`, whether it still fits that or not.
    pub fn get(&self, name: &str, options: &BuildOptions) -> Option<&Lock> {
        let key = (name, options.arch, options.debug);
        self.locks.iter().find(|lock| key_of(lock) == key)
    }

    /// Every lock.
    pub fn all(&self) -> impl Iterator<Item = &Lock> {
        self.locks.iter()
    }

    /// Puts `lock` in, in place of the one that it renews.
    pub fn put(&mut self, lock: Lock) {
        self.locks.retain(|old| key_of(old) != key_of(&lock));
        self.locks.push(lock);
        self.locks.sort_by(|a, b| key_of(a).cmp(&key_of(b)));
    }

    /// Writes it whole or not at all.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), Error> {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or_else(|| Path::new("."));
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        fs::create_dir_all(folder).map_err(Error::io(folder))?;
        json(folder, &name, self)
    }
}

fn key_of(lock: &Lock) -> (&str, Arch, bool) {
    (&lock.recipe.name, lock.arch, lock.debug)
}

#[cfg(test)]
mod tests {
    use super::super::testing::lock;
    use super::*;

    fn options() -> BuildOptions {
        BuildOptions::new(Arch::Amd64, "/nowhere")
    }

    #[test]
    fn a_lock_file_holds_one_lock_for_each_recipe_and_architecture_in_one_order() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("captaind.lock");
        assert_eq!(LockFile::read(&path).unwrap(), LockFile::default());
        let arm = Lock { arch: Arch::Arm64, ..lock() };
        let renewed = Lock { source_date: 1, ..lock() };
        let mut file = LockFile::default();
        for lock in [arm.clone(), lock(), renewed.clone()] {
            file.put(lock);
        }
        file.write(&path).unwrap();
        let read = LockFile::read(&path).unwrap();
        assert_eq!(read.locks, [renewed.clone(), arm]);
        assert_eq!(read.get("test", &options()), Some(&renewed));
        assert_eq!(read.get("other", &options()), None);
    }

    #[test]
    fn a_lock_file_that_cannot_be_read_says_which_and_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("captaind.lock");
        for text in ["{", r#"{"version": 2, "locks": []}"#] {
            fs::write(&path, text).unwrap();
            let error = LockFile::read(&path).unwrap_err().to_string();
            assert!(error.contains("captaind.lock") && error.contains("take it away"), "{error}");
        }
    }
}
