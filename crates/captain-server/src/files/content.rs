//! What goes out under one URL: a file, or a file with some of its bytes replaced.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use super::served::media_type;
use super::upstream::Upstream;
use super::{ServedFile, Stamp};

/// Bytes of a known number under a tag of their own.
#[derive(Clone, Debug)]
pub(crate) struct Content {
    /// What is read.
    pub(crate) source: Source,
    /// Bytes.
    pub(crate) size: u64,
    /// Strong entity tag (RFC 9110 section 8.8.3).
    pub(crate) etag: String,
    /// Media type.
    pub(crate) media_type: &'static str,
    /// What stands in the place of the file's own bytes, by offset, in order; no two touch the same byte.
    pub(crate) patches: Vec<(u64, Bytes)>,
}

/// Where bytes are read that are not replaced.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    /// On this machine.
    File(Arc<File>),
    /// On another server.
    Upstream(Arc<Upstream>),
}

/// Some bytes of a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// These.
    Bytes(Bytes),
    /// Those of the file between two offsets.
    File(Range<u64>),
}

impl Piece {
    /// How many bytes.
    pub(crate) fn length(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::File(range) => range.end - range.start,
        }
    }
}

impl From<&ServedFile> for Content {
    fn from(file: &ServedFile) -> Self {
        Self {
            source: Source::File(file.file.clone()),
            size: file.artifact.size,
            etag: file.etag(),
            media_type: file.media_type(),
            patches: Vec::new(),
        }
    }
}

impl Content {
    /// A file of the operator's, called `name`, which may be written to at any time: its tag is that of its stamp.
    ///
    /// # Errors
    /// The kernel's.
    pub(crate) fn own(file: Arc<File>, name: &str) -> io::Result<Self> {
        let stamp = Stamp::of(&file)?;
        Ok(Self {
            source: Source::File(file),
            size: stamp.size(),
            etag: stamp.tag(),
            media_type: media_type(name),
            patches: Vec::new(),
        })
    }

    /// The pieces that `part` is made of.
    pub(crate) fn pieces(&self, part: &Range<u64>) -> Vec<Piece> {
        let (mut pieces, mut at) = (Vec::new(), part.start);
        for (offset, patch) in &self.patches {
            let (from, to) = ((*offset).max(part.start), (offset + patch.len() as u64).min(part.end));
            if from >= to {
                continue;
            }
            if at < from {
                pieces.push(Piece::File(at..from));
            }
            // Both lie inside the patch, whose length is a usize.
            pieces.push(Piece::Bytes(patch.slice((from - offset) as usize..(to - offset) as usize)));
            at = to;
        }
        if at < part.end {
            pieces.push(Piece::File(at..part.end));
        }
        pieces
    }

    /// Whether `part` holds a byte that is not the file's own.
    pub(crate) fn is_patched_in(&self, part: &Range<u64>) -> bool {
        self.pieces(part).iter().any(|piece| matches!(piece, Piece::Bytes(_)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(size: u64, patches: &[(u64, &'static [u8])]) -> Content {
        Content {
            source: Source::File(Arc::new(tempfile::tempfile().unwrap())),
            size,
            etag: "\"x\"".into(),
            media_type: "application/vnd.efi-iso",
            patches: patches.iter().map(|(at, bytes)| (*at, Bytes::from_static(bytes))).collect(),
        }
    }

    #[test]
    fn whatever_part_is_asked_for_is_that_part_of_the_patched_whole() {
        let file: Vec<u8> = (0..40).collect();
        let content = content(40, &[(0, b"AB"), (10, b"CDEF"), (14, b"G"), (39, b"Z")]);
        let mut whole = file.clone();
        for (at, patch) in &content.patches {
            whole[*at as usize..*at as usize + patch.len()].copy_from_slice(patch);
        }
        for start in 0..40 {
            for end in start + 1..=40 {
                let mut got = Vec::new();
                for piece in content.pieces(&(start..end)) {
                    match piece {
                        Piece::Bytes(bytes) => got.extend_from_slice(&bytes),
                        Piece::File(range) => {
                            assert!(range.start < range.end);
                            got.extend_from_slice(&file[range.start as usize..range.end as usize]);
                        }
                    }
                }
                assert_eq!(got, whole[start as usize..end as usize], "{start}..{end}");
            }
        }
        assert!(content.is_patched_in(&(1..3)) && !content.is_patched_in(&(2..10)));
    }
}
