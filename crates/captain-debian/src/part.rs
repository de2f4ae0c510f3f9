//! A file that is being downloaded: what came so far, and its hash so far.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::hash::{Hasher, Sha256};
use crate::store::make_parent;

/// A partial file, locked against other processes that want the same one.
pub(crate) struct Part {
    path: PathBuf,
    file: File,
    hasher: Hasher,
    length: u64,
}

impl Part {
    /// Opens or makes the partial file, waits for its lock and hashes what is in it. May block for long.
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        let wrong = |error| Error::io(path, error);
        make_parent(path)?;
        loop {
            let file = OpenOptions::new().read(true).append(true).create(true).open(path).map_err(wrong)?;
            file.lock().map_err(wrong)?;
            // Whoever held the lock may have finished and moved the file away.
            if is_still(&file, path).map_err(wrong)? {
                let mut part = Self { path: path.to_owned(), file, hasher: Hasher::default(), length: 0 };
                part.read_in().map_err(wrong)?;
                return Ok(part);
            }
        }
    }

    fn read_in(&mut self) -> io::Result<()> {
        let mut buffer = vec![0; 128 * 1024];
        self.file.rewind()?;
        loop {
            match self.file.read(&mut buffer)? {
                0 => return Ok(()),
                read => {
                    self.hasher.update(&buffer[..read]);
                    self.length += read as u64;
                }
            }
        }
    }

    pub(crate) const fn length(&self) -> u64 {
        self.length
    }

    pub(crate) fn append(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.file.write_all(bytes).map_err(|error| Error::io(&self.path, error))?;
        self.hasher.update(bytes);
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// Forgets everything that came.
    pub(crate) fn clear(&mut self) -> Result<(), Error> {
        self.file.set_len(0).map_err(|error| Error::io(&self.path, error))?;
        self.hasher = Hasher::default();
        self.length = 0;
        Ok(())
    }

    /// The sum of what came.
    pub(crate) fn sum(&self) -> Sha256 {
        self.hasher.clone().finish()
    }

    /// Puts the file where finished ones lie.
    pub(crate) fn finish(&self, path: &Path) -> Result<(), Error> {
        let moved = self.file.sync_all().and_then(|()| fs::rename(&self.path, path));
        moved.map_err(|error| Error::io(path, error))
    }

    /// Takes the file away, because the finished one is there already.
    pub(crate) fn discard(self) {
        // A partial file that stays is only waste.
        let _ = fs::remove_file(&self.path);
    }
}

fn is_still(file: &File, path: &Path) -> io::Result<bool> {
    let open = file.metadata()?;
    match fs::metadata(path) {
        Ok(there) => Ok((there.dev(), there.ino()) == (open.dev(), open.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}
