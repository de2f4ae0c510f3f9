//! The ISO that machines are given with their own command line in it.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use captain_boot::{IsoRoom, IsoSearch};
use sha2::{Digest, Sha256};
use thiserror::Error;
use tokio::sync::Mutex;

use super::Content;
use super::served::media_type;

/// Bytes read at a time when an ISO is searched.
const PIECE: usize = 1 << 20;

/// Why there is no ISO.
#[derive(Debug, Error)]
pub(crate) enum IsoError {
    /// None was asked for.
    #[error("no ISO is served here: name one as `source` in [iso]")]
    NotConfigured,
    /// The file cannot be read.
    #[error("the ISO {path} cannot be read: {source}")]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// There is nothing to replace in it.
    #[error(
        "the ISO {0} holds no placeholder for a kernel command line: take one that is made for this, such as \
         CaptainOS's or Hook's"
    )]
    NoPlaceholder(PathBuf),
}

/// An ISO, searched.
#[derive(Debug)]
pub(crate) struct Iso {
    file: Arc<File>,
    stamp: Stamp,
    sha256: Vec<u8>,
    rooms: Vec<IsoRoom>,
}

/// What changes when a file does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    file: (u64, u64),
    size: u64,
    modified: (i64, i64),
}

impl Iso {
    /// Bytes of each place for a command line, in order.
    pub(crate) fn rooms(&self) -> impl Iterator<Item = usize> {
        self.rooms.iter().map(|room| room.length)
    }

    /// The ISO with `patches`, one for each of [`Iso::rooms`] and as long as it.
    pub(crate) fn with(&self, patches: Vec<Bytes>) -> Content {
        let mut tag = Sha256::new_with_prefix(&self.sha256);
        for patch in &patches {
            tag.update(patch);
        }
        let hex: String = tag.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        Content {
            file: self.file.clone(),
            size: self.stamp.size,
            etag: format!("\"{hex}\""),
            media_type: media_type("x.iso"),
            patches: self.rooms.iter().map(|room| room.offset).zip(patches).collect(),
        }
    }

    fn search(path: &Path, known: Option<Arc<Self>>) -> io::Result<Arc<Self>> {
        let file = File::open(path)?;
        let stamp = stamp(&file)?;
        if let Some(known) = known.filter(|known| known.stamp == stamp) {
            return Ok(known);
        }
        let (mut search, mut hasher) = (IsoSearch::new(), Sha256::new());
        let (mut buffer, mut at) = (vec![0; PIECE], 0);
        while at < stamp.size {
            let read = file.read_at(&mut buffer, at)?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            search.push(&buffer[..read]);
            hasher.update(&buffer[..read]);
            at += read as u64;
        }
        let (sha256, rooms) = (hasher.finalize().to_vec(), search.finish());
        let fits = |room: &IsoRoom| room.offset + room.length as u64 <= stamp.size;
        let rooms = rooms.into_iter().filter(fits).collect();
        Ok(Arc::new(Self { file: Arc::new(file), stamp, sha256, rooms }))
    }
}

fn stamp(file: &File) -> io::Result<Stamp> {
    let data = file.metadata()?;
    if !data.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    let (file, modified) = ((data.dev(), data.ino()), (data.mtime(), data.mtime_nsec()));
    Ok(Stamp { file, size: data.len(), modified })
}

/// The one ISO of the appliance, searched once for each version of the file.
#[derive(Debug)]
pub(crate) struct Isos {
    source: Option<PathBuf>,
    known: Mutex<Option<Arc<Iso>>>,
}

impl Isos {
    /// Serves `source`.
    pub(crate) fn new(source: Option<PathBuf>) -> Self {
        Self { source, known: Mutex::new(None) }
    }

    /// The ISO as the file is now. The first who asks after a change searches it, others wait for that.
    ///
    /// # Errors
    /// There is none, or nothing in it can be replaced.
    pub(crate) async fn open(&self) -> Result<Arc<Iso>, IsoError> {
        let path = self.source.clone().ok_or(IsoError::NotConfigured)?;
        let mut known = self.known.lock().await;
        let (searched, before) = (path.clone(), known.clone());
        let iso = tokio::task::spawn_blocking(move || Iso::search(&searched, before))
            .await
            .unwrap_or_else(|error| Err(io::Error::other(error)))
            .map_err(|source| IsoError::Unreadable { path: path.clone(), source })?;
        *known = Some(iso.clone());
        if iso.rooms.is_empty() { Err(IsoError::NoPlaceholder(path)) } else { Ok(iso) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use captain_boot::{ISO_PATCH_SIZE, ISO_PLACEHOLDER};

    fn image(before: usize) -> Vec<u8> {
        [vec![1; before], ISO_PLACEHOLDER.to_vec(), vec![2; 100]].concat()
    }

    #[tokio::test]
    async fn a_file_is_searched_once_for_each_of_its_versions() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.iso");
        let isos = Isos::new(Some(path.clone()));
        assert!(matches!(isos.open().await, Err(IsoError::Unreadable { .. })));
        std::fs::write(&path, image(PIECE - 500)).unwrap();
        let first = isos.open().await.unwrap();
        assert_eq!(first.rooms, [IsoRoom { offset: PIECE as u64 - 500, length: ISO_PATCH_SIZE }]);
        assert!(Arc::ptr_eq(&first, &isos.open().await.unwrap()));
        std::fs::write(folder.path().join("new"), image(7)).unwrap();
        std::fs::rename(folder.path().join("new"), &path).unwrap();
        assert_eq!(isos.open().await.unwrap().rooms[0].offset, 7);
        std::fs::write(&path, "no placeholder").unwrap();
        assert!(matches!(isos.open().await, Err(IsoError::NoPlaceholder(_))));
    }

    #[tokio::test]
    async fn each_command_line_makes_a_tag_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.iso");
        std::fs::write(&path, image(7)).unwrap();
        let iso = Isos::new(Some(path)).open().await.unwrap();
        let tag = |text: &'static [u8]| iso.with(vec![Bytes::from_static(text)]).etag;
        assert_eq!(tag(b"a"), tag(b"a"));
        assert_ne!(tag(b"a"), tag(b"b"));
    }
}
