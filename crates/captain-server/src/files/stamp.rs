//! [`Stamp`]: what tells versions of a file apart without reading it.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;

use sha2::{Digest, Sha256};

/// What the kernel changes with a file's content. Unlike the time of modification (`cp --preserve`) nobody sets ctime back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    file: (u64, u64),
    size: u64,
    changed: (i64, i64),
    modified: (i64, i64),
}

impl Stamp {
    /// That of `file` now.
    ///
    /// # Errors
    /// The kernel's; or it is not a regular file.
    pub(crate) fn of(file: &File) -> io::Result<Self> {
        let data = file.metadata()?;
        if data.is_file() {
            Ok(Self::from(&data))
        } else {
            Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"))
        }
    }

    /// Bytes.
    pub(crate) const fn size(&self) -> u64 {
        self.size
    }

    /// Whether `file` holds what it held at this stamp. Renaming another one over it, or removing it, changes ctime and no
    /// byte: who has it open goes on with the old one.
    pub(crate) fn still_holds(&self, file: &File) -> bool {
        let Ok(data) = file.metadata() else { return false };
        let now = Self::from(&data);
        now == *self || (data.nlink() == 0 && Self { changed: self.changed, ..now } == *self)
    }

    /// A strong entity tag (RFC 9110 section 8.8.3).
    pub(crate) fn tag(&self) -> String {
        let numbers = [self.file.0, self.file.1, self.size].map(u64::to_be_bytes);
        let changed = [self.changed.0, self.changed.1].map(i64::to_be_bytes);
        let sum = Sha256::new().chain_update(numbers.as_flattened()).chain_update(changed.as_flattened());
        let hex: String = sum.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        format!("\"{hex}\"")
    }
}

impl From<&Metadata> for Stamp {
    fn from(data: &Metadata) -> Self {
        Self {
            file: (data.dev(), data.ino()),
            size: data.size(),
            changed: (data.ctime(), data.ctime_nsec()),
            modified: (data.mtime(), data.mtime_nsec()),
        }
    }
}

/// `cp --preserve=timestamps` of other bytes, as many, over the file at `path`; the clock of ctime goes on before.
#[cfg(test)]
pub(crate) fn overwrite_as_if_untouched(path: &std::path::Path, bytes: &[u8]) {
    let file = File::options().write(true).open(path).unwrap();
    let modified = file.metadata().unwrap().modified().unwrap();
    assert_eq!(file.metadata().unwrap().size(), bytes.len() as u64);
    std::thread::sleep(std::time::Duration::from_millis(20));
    std::os::unix::fs::FileExt::write_all_at(&file, bytes, 0).unwrap();
    file.set_modified(modified).unwrap();
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_file_written_to_is_another_whatever_its_times_say_and_a_replaced_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        let open = |bytes: &str| {
            fs::write(folder.path().join("new"), bytes).unwrap();
            fs::rename(folder.path().join("new"), &path).unwrap();
            let file = File::open(&path).unwrap();
            (Stamp::of(&file).unwrap(), file)
        };
        let (stamp, file) = open("abc");
        assert!(stamp.still_holds(&file));
        overwrite_as_if_untouched(&path, b"xyz");
        assert!(!stamp.still_holds(&file));
        let (stamp, file) = open("abc");
        let _other = open("def");
        assert!(stamp.still_holds(&file), "another one lies at its path");
        assert!(Stamp::of(&File::open(folder.path()).unwrap()).is_err());
    }
}
