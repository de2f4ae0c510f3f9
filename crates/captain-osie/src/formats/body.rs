//! The bytes of one file that goes into a format: in memory, or on disk.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use crate::error::Error;

/// Some bytes of a known number.
#[derive(Clone, Debug)]
pub(crate) enum Body {
    /// These.
    Bytes(Vec<u8>),
    /// All of a file.
    File {
        /// Where.
        path: PathBuf,
        /// How many.
        size: u64,
    },
}

impl Body {
    /// The file at `path`.
    pub(crate) fn file(path: &Path) -> Result<Self, Error> {
        let size = std::fs::metadata(path).map_err(Error::io(path))?.len();
        Ok(Self::File { path: path.to_owned(), size })
    }

    /// Bytes.
    pub(crate) fn size(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::File { size, .. } => *size,
        }
    }

    /// The first `count` bytes, or all where there are fewer.
    pub(crate) fn head(&self, count: usize) -> Result<Vec<u8>, Error> {
        match self {
            Self::Bytes(bytes) => Ok(bytes[..count.min(bytes.len())].to_vec()),
            Self::File { path, .. } => {
                let mut head = Vec::new();
                let file = File::open(path).map_err(Error::io(path))?;
                file.take(count as u64).read_to_end(&mut head).map_err(Error::io(path))?;
                Ok(head)
            }
        }
    }

    /// Writes all of it to `out`.
    ///
    /// # Errors
    /// The file is no longer as long as it was.
    pub(crate) fn copy(&self, out: &mut impl Write) -> io::Result<()> {
        match self {
            Self::Bytes(bytes) => out.write_all(bytes),
            Self::File { path, size } => {
                let copied = io::copy(&mut File::open(path)?, out)?;
                match copied == *size {
                    true => Ok(()),
                    false => Err(io::Error::other(format!("{} changed while it was read", path.display()))),
                }
            }
        }
    }
}

/// `value`, made larger until it is a multiple of `step`.
pub(super) fn align(value: u64, step: u64) -> u64 {
    value.next_multiple_of(step)
}

/// Writes `count` zeros.
pub(super) fn zeros(out: &mut impl Write, count: u64) -> io::Result<()> {
    io::copy(&mut io::repeat(0).take(count), out).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_grew_or_shrank_underneath_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        std::fs::write(&path, "12345").unwrap();
        let body = Body::file(&path).unwrap();
        let mut out = Vec::new();
        body.copy(&mut out).unwrap();
        assert_eq!((body.size(), &out[..], &body.head(2).unwrap()[..]), (5, &b"12345"[..], &b"12"[..]));
        std::fs::write(&path, "1234").unwrap();
        assert!(body.copy(&mut Vec::new()).is_err());
    }
}
