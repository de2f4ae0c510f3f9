//! Password files, and what they held: a daemon that gave up root may not read them again.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use captain_model::Secret;

/// Reads password files, and remembers what they held for the time when they can no longer be read.
#[derive(Debug, Default)]
pub struct PasswordFiles(Mutex<BTreeMap<PathBuf, Kept>>);

#[derive(Debug)]
struct Kept {
    stamp: Option<Stamp>,
    content: Secret,
}

/// What changes when a file does.
#[derive(Debug, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    length: u64,
    modified: Option<SystemTime>,
}

impl PasswordFiles {
    /// The content of the file; the one from before, where the file is the same and may not be read any more.
    pub(crate) fn read(&self, path: &Path) -> io::Result<String> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let stamp = stamp(path);
        match std::fs::read_to_string(path) {
            Ok(content) => {
                all.insert(path.to_owned(), Kept { stamp, content: Secret::new(&content) });
                Ok(content)
            }
            Err(error) if error.kind() == ErrorKind::PermissionDenied => match all.get(path) {
                Some(kept) if stamp.is_none() || kept.stamp == stamp => Ok(kept.content.expose().to_owned()),
                Some(_) => Err(io::Error::new(
                    ErrorKind::PermissionDenied,
                    "it has changed, and who captaind runs as may not read it: restart captaind",
                )),
                None => Err(error),
            },
            Err(error) => Err(error),
        }
    }
}

/// `None` where not even that can be seen.
fn stamp(path: &Path) -> Option<Stamp> {
    let meta = std::fs::metadata(path).ok()?;
    let inode = std::os::unix::fs::MetadataExt::ino(&meta);
    Some(Stamp { inode, length: meta.len(), modified: meta.modified().ok() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{Permissions, set_permissions};
    use std::os::unix::fs::PermissionsExt;

    /// Whether that could be done: root may read everything.
    fn forbid(path: &Path) -> bool {
        set_permissions(path, Permissions::from_mode(0o0)).unwrap();
        std::fs::read(path).is_err()
    }

    #[test]
    fn a_file_that_may_not_be_read_any_more_is_what_it_was_unless_it_changed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pass");
        std::fs::write(&path, "one").unwrap();
        let files = PasswordFiles::default();
        assert_eq!(files.read(&path).unwrap(), "one");
        std::fs::write(&path, "three").unwrap();
        assert_eq!(files.read(&path).unwrap(), "three", "readable, so read");
        if !forbid(&path) {
            return eprintln!("skipped: root may read everything");
        }
        assert_eq!(files.read(&path).unwrap(), "three");
        assert!(PasswordFiles::default().read(&path).is_err(), "it was never read");
        std::fs::remove_file(&path).unwrap();
        assert!(files.read(&path).is_err(), "gone");
        std::fs::write(&path, "fourth").unwrap();
        assert!(forbid(&path));
        assert!(files.read(&path).unwrap_err().to_string().contains("restart captaind"));
        assert!(!format!("{files:?}").contains("three"));
    }
}
