//! ISOs that machines are given with their own command line in it.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use captain_boot::{ISO_PLACEHOLDER, IsoRoom, IsoSearch};
use captain_model::iso::IsoSource;
use futures_util::TryStreamExt;
use sha2::{Digest, Sha256};
use thiserror::Error;
use tokio::sync::Mutex;

use super::served::media_type;
use super::upstream::{Upstream, UpstreamError};
use super::{Content, Source, Stamp};

/// Bytes read at a time when an ISO is searched.
const PIECE: usize = 1 << 20;

/// Why there is no ISO.
#[derive(Debug, Error)]
pub(crate) enum IsoError {
    /// There is none for this machine.
    #[error(
        "there is no ISO for this machine: `captaind build --format iso` makes one of its OSIE, or name one as \
         `source` in [iso]"
    )]
    NotThere,
    /// The file cannot be read.
    #[error("the ISO {path} cannot be read: {source}")]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The other server does not give it.
    #[error("the ISO cannot be had from {url}: {why}")]
    Upstream {
        /// Where it should be.
        url: String,
        /// Why it is not.
        why: UpstreamError,
    },
    /// There is nothing to replace in it.
    #[error(
        "the ISO {0} holds no placeholder for a kernel command line: take one that is made for this, such as \
         captaind's, CaptainOS's or Hook's"
    )]
    NoPlaceholder(IsoSource),
}

/// An ISO, searched.
#[derive(Debug)]
pub(crate) struct Iso {
    origin: Origin,
    size: u64,
    sha256: Vec<u8>,
    rooms: Vec<IsoRoom>,
}

/// Where it was found, in which version.
#[derive(Debug)]
enum Origin {
    File(Arc<File>, Stamp),
    Upstream(Arc<Upstream>),
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
            source: match &self.origin {
                Origin::File(file, _) => Source::File(file.clone()),
                Origin::Upstream(upstream) => Source::Upstream(upstream.clone()),
            },
            size: self.size,
            etag: format!("\"{hex}\""),
            media_type: media_type("x.iso"),
            patches: self.rooms.iter().map(|room| room.offset).zip(patches).collect(),
        }
    }

    fn search(path: &Path, known: Option<Arc<Self>>) -> io::Result<Arc<Self>> {
        let file = File::open(path)?;
        let stamp = Stamp::of(&file)?;
        let same = |known: &Arc<Self>| matches!(&known.origin, Origin::File(_, was) if *was == stamp);
        if let Some(known) = known.filter(same) {
            return Ok(known);
        }
        let (mut scan, mut buffer, mut at) = (Scan::default(), vec![0; PIECE], 0);
        while at < stamp.size() {
            let read = file.read_at(&mut buffer, at)?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            scan.push(&buffer[..read]);
            at += read as u64;
        }
        Ok(Arc::new(scan.finish(Origin::File(Arc::new(file), stamp), stamp.size())))
    }

    /// The ISO at `url`, which is read through once for each of its versions.
    async fn fetch(url: &str, known: Option<Arc<Self>>) -> Result<Arc<Self>, UpstreamError> {
        if let Some(known) = known
            && let Origin::Upstream(upstream) = &known.origin
            && (upstream.is_fresh() || upstream.is_current().await? && known.is_still_in(upstream).await?)
        {
            return Ok(known);
        }
        let upstream = Upstream::find(url).await?;
        let (mut scan, size) = (Scan::default(), upstream.size());
        let mut bytes = upstream.read(0..size);
        while let Some(piece) = bytes.try_next().await? {
            scan.push(&piece);
        }
        Ok(Arc::new(scan.finish(Origin::Upstream(upstream), size)))
    }
}

impl Iso {
    /// Whether the placeholders are where they were. Where the server says of a file nothing but its size, another one may
    /// be there by now, and the command line would go over bytes of that.
    async fn is_still_in(&self, upstream: &Arc<Upstream>) -> Result<bool, UpstreamError> {
        for room in self.rooms.iter().filter(|_| !upstream.has_versions()) {
            let mut bytes = upstream.read(room.offset..room.offset + ISO_PLACEHOLDER.len() as u64);
            let mut found = Vec::with_capacity(ISO_PLACEHOLDER.len());
            while let Some(piece) = bytes.try_next().await? {
                found.extend_from_slice(&piece);
            }
            if found != ISO_PLACEHOLDER {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// All bytes of an ISO, looked at once.
#[derive(Default)]
struct Scan {
    search: IsoSearch,
    sum: Sha256,
}

impl Scan {
    fn push(&mut self, bytes: &[u8]) {
        self.search.push(bytes);
        self.sum.update(bytes);
    }

    fn finish(self, origin: Origin, size: u64) -> Iso {
        let fits = |room: &IsoRoom| room.offset + room.length as u64 <= size;
        let rooms = self.search.finish().into_iter().filter(fits).collect();
        Iso { origin, size, sha256: self.sum.finalize().to_vec(), rooms }
    }
}

/// The ISOs of the appliance, each searched once for each of its versions.
#[derive(Debug, Default)]
pub(crate) struct Isos {
    known: std::sync::Mutex<HashMap<IsoSource, Arc<Mutex<Known>>>>,
}

/// What is known of one ISO. Whoever finds out more holds the lock meanwhile.
#[derive(Debug, Default)]
struct Known {
    iso: Option<Arc<Iso>>,
    /// When the other server last did not give it, and why.
    failed: Option<(Instant, UpstreamError)>,
}

impl Isos {
    /// The ISO as it is now. The first who asks after a change searches it; others who want the same one wait for that,
    /// and share what comes of it.
    ///
    /// # Errors
    /// There is none, or nothing in it can be replaced.
    pub(crate) async fn open(&self, source: Option<IsoSource>) -> Result<Arc<Iso>, IsoError> {
        let source = source.ok_or(IsoError::NotThere)?;
        let asked = Instant::now();
        let known = self.known(&source);
        let mut known = known.lock().await;
        let before = known.iso.clone();
        let iso = match source.clone() {
            IsoSource::File(path) => {
                let searched = path.clone();
                tokio::task::spawn_blocking(move || Iso::search(&searched, before))
                    .await
                    .unwrap_or_else(|error| Err(io::Error::other(error)))
                    .map_err(|source| IsoError::Unreadable { path, source })?
            }
            IsoSource::Url(url) => match &known.failed {
                Some((when, why)) if *when > asked => {
                    return Err(IsoError::Upstream { url, why: why.clone() });
                }
                _ => Iso::fetch(&url, before).await.map_err(|why| {
                    known.failed = Some((Instant::now(), why.clone()));
                    IsoError::Upstream { url, why }
                })?,
            },
        };
        known.iso = Some(iso.clone());
        if iso.rooms.is_empty() { Err(IsoError::NoPlaceholder(source)) } else { Ok(iso) }
    }

    fn known(&self, source: &IsoSource) -> Arc<Mutex<Known>> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.entry(source.clone()).or_default().clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::stamp::overwrite_as_if_untouched;
    use captain_boot::ISO_PATCH_SIZE;

    fn image(before: usize) -> Vec<u8> {
        [vec![1; before], ISO_PLACEHOLDER.to_vec(), vec![2; 100]].concat()
    }

    #[tokio::test]
    async fn a_file_is_searched_once_for_each_of_its_versions() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.iso");
        let (isos, source) = (Isos::default(), Some(IsoSource::File(path.clone())));
        assert!(matches!(isos.open(source.clone()).await, Err(IsoError::Unreadable { .. })));
        std::fs::write(&path, image(PIECE - 500)).unwrap();
        let first = isos.open(source.clone()).await.unwrap();
        assert_eq!(first.rooms, [IsoRoom { offset: PIECE as u64 - 500, length: ISO_PATCH_SIZE }]);
        assert!(Arc::ptr_eq(&first, &isos.open(source.clone()).await.unwrap()));
        std::fs::write(folder.path().join("new"), image(7)).unwrap();
        std::fs::rename(folder.path().join("new"), &path).unwrap();
        assert_eq!(isos.open(source.clone()).await.unwrap().rooms[0].offset, 7);
        std::fs::write(&path, "no placeholder").unwrap();
        assert!(matches!(isos.open(source.clone()).await, Err(IsoError::NoPlaceholder(_))));
    }

    #[tokio::test]
    async fn an_iso_that_was_written_over_with_all_its_times_kept_is_searched_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.iso");
        let (isos, source) = (Isos::default(), Some(IsoSource::File(path.clone())));
        std::fs::write(&path, [image(7), vec![3; 93]].concat()).unwrap();
        let first = isos.open(source.clone()).await.unwrap();
        overwrite_as_if_untouched(&path, &image(100));
        let second = isos.open(source).await.unwrap();
        assert_eq!((first.rooms[0].offset, second.rooms[0].offset), (7, 100));
        let tag = |iso: &Iso| iso.with(vec![Bytes::from_static(b"a")]).etag;
        assert_ne!(tag(&first), tag(&second));
    }

    #[tokio::test]
    async fn a_silent_server_keeps_nobody_from_other_isos_and_is_asked_once_for_all_who_wait() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.iso");
        std::fs::write(&path, image(7)).unwrap();
        let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/a.iso", silent.local_addr().unwrap());
        let isos = Arc::new(Isos::default());
        let ask = || {
            let (isos, source) = (isos.clone(), Some(IsoSource::Url(url.clone())));
            tokio::spawn(async move { isos.open(source).await.map(drop) })
        };
        let accept = || tokio::time::timeout(std::time::Duration::from_secs(20), silent.accept());
        let first = ask();
        let _first = accept().await.expect("a connection").unwrap();
        let others = [ask(), ask(), ask()];
        isos.open(Some(IsoSource::File(path))).await.unwrap();
        assert!(!first.is_finished(), "the silent server was not waited for");
        let is_silent =
            |error: &IsoError| matches!(error, IsoError::Upstream { why: UpstreamError::Silent, .. });
        assert!(is_silent(&first.await.unwrap().unwrap_err()));
        for other in others {
            assert!(is_silent(&other.await.unwrap().unwrap_err()));
        }
        // Whoever asks later is not put off by that.
        let later = ask();
        let _later = accept().await.expect("a connection").unwrap();
        assert!(is_silent(&later.await.unwrap().unwrap_err()));
        assert!(futures_util::FutureExt::now_or_never(silent.accept()).is_none(), "others asked as well");
    }

    #[tokio::test]
    async fn each_command_line_makes_a_tag_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.iso");
        std::fs::write(&path, image(7)).unwrap();
        let iso = Isos::default().open(Some(IsoSource::File(path))).await.unwrap();
        let tag = |text: &'static [u8]| iso.with(vec![Bytes::from_static(text)]).etag;
        assert_eq!(tag(b"a"), tag(b"a"));
        assert_ne!(tag(b"a"), tag(b"b"));
    }
}
