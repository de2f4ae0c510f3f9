//! Where the contents of files wait until the image is written: one file on disk without a name.
//!
//! An image is some 250 MB of files in archive order, and is written in path order. The pool turns the one
//! into the other without holding it in memory.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::Error;

/// Tells the pools of this process apart.
static POOLS: AtomicU64 = AtomicU64::new(0);

/// A growing file that vanishes with this value.
#[derive(Debug)]
pub(crate) struct Pool {
    file: File,
    end: u64,
}

/// A piece of the pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    start: u64,
    size: u64,
}

impl Span {
    /// Bytes.
    pub(crate) const fn size(self) -> u64 {
        self.size
    }
}

impl Pool {
    /// A new, empty pool on the file system of `folder`.
    pub(crate) fn new(folder: &Path) -> Result<Self, Error> {
        fs::create_dir_all(folder).map_err(Error::io(folder))?;
        let number = POOLS.fetch_add(1, Ordering::Relaxed);
        let path = folder.join(format!(".pool-{}-{number}", std::process::id()));
        let file = open_new(&path).map_err(Error::io(&path))?;
        fs::remove_file(&path).map_err(Error::io(&path))?;
        Ok(Self { file, end: 0 })
    }

    /// Keeps all that `content` yields.
    pub(crate) fn store(&mut self, content: &mut dyn Read) -> io::Result<Span> {
        let start = self.end;
        let size = io::copy(content, &mut Tail(self))?;
        Ok(Span { start, size })
    }

    /// Everything of `span`.
    pub(crate) fn read(&self, span: Span) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; usize::try_from(span.size).map_err(io::Error::other)?];
        self.file.read_exact_at(&mut bytes, span.start)?;
        Ok(bytes)
    }

    /// Writes `span` to `out`.
    pub(crate) fn copy(&self, span: Span, out: &mut dyn Write) -> io::Result<()> {
        let (mut at, end) = (span.start, span.start + span.size);
        let mut buffer = vec![0; 256 * 1024];
        while at < end {
            let length = (end - at).min(buffer.len() as u64);
            // `length` is at most the buffer's size.
            let piece = &mut buffer[..length as usize];
            self.file.read_exact_at(piece, at)?;
            out.write_all(piece)?;
            at += length;
        }
        Ok(())
    }
}

/// Two builds of one process must not share a pool: the file must be new.
fn open_new(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path)
}

/// Writes at the end of the pool.
struct Tail<'a>(&'a mut Pool);

impl Write for Tail<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.file.write_all_at(bytes, self.0.end)?;
        self.0.end += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_stored_comes_back_and_no_file_stays() {
        let folder = tempfile::tempdir().unwrap();
        let mut pool = Pool::new(folder.path()).unwrap();
        let first = pool.store(&mut &b"one"[..]).unwrap();
        let second = pool.store(&mut &vec![7; 600_000][..]).unwrap();
        assert_eq!(pool.read(first).unwrap(), b"one");
        let mut out = Vec::new();
        pool.copy(second, &mut out).unwrap();
        assert_eq!(out, vec![7; 600_000]);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
