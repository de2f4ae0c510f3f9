//! [`Batch`]: content on its way into the store. It appears when all of it is there, or never.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use tempfile::{NamedTempFile, TempDir};

use crate::digest::Hashing;
use crate::error::At;
use crate::{Digest, Error};

/// Content that is written and hashed but not yet in the store. Dropping it forgets all of it.
pub(crate) struct Batch {
    root: PathBuf,
    folder: TempDir,
    added: BTreeMap<Digest, PathBuf>,
}

impl Batch {
    pub(crate) fn new(root: &Path) -> Result<Self, Error> {
        let tmp = root.join("tmp");
        let folder = tempfile::Builder::new().prefix("import-").tempdir_in(&tmp).at(&tmp)?;
        Ok(Self { root: root.to_owned(), folder, added: BTreeMap::new() })
    }

    /// Where work in progress may lie; it goes away with the batch.
    pub(crate) fn scratch(&self) -> &Path {
        self.folder.path()
    }

    /// Adds bytes.
    pub(crate) fn add_bytes(&mut self, bytes: &[u8]) -> Result<Digest, Error> {
        Ok(self.add(bytes)?.0)
    }

    /// Adds all that `reader` gives; its digest and size.
    pub(crate) fn add(&mut self, reader: impl Read) -> Result<(Digest, u64), Error> {
        self.write(|file| copy(reader, file))
    }

    /// Adds the gzip of what `reader` gives. The same input gives the same bytes: no name, no time in the header.
    pub(crate) fn add_gzip(&mut self, reader: impl Read) -> Result<(Digest, u64), Error> {
        self.write(|file| {
            let mut gzip = GzEncoder::new(file, Compression::default());
            copy(reader, &mut gzip)?;
            gzip.finish().map(drop)
        })
    }

    /// Adds a file of [`Self::scratch`] whose digest is known, without copying it.
    pub(crate) fn adopt(&mut self, digest: Digest, file: &Path) {
        self.added.insert(digest, file.to_owned());
    }

    /// Puts everything into the store, each file whole and on disk before it is visible.
    pub(crate) fn commit(self) -> Result<(), Error> {
        let blobs = self.root.join("blobs/sha256");
        for (digest, path) in &self.added {
            let target = blobs.join(digest.hex());
            if target.exists() {
                continue;
            }
            File::open(path).and_then(|file| file.sync_all()).at(path)?;
            fs::rename(path, &target).at(&target)?;
        }
        sync_folder(&blobs)
    }

    fn write(&mut self, fill: impl FnOnce(&mut Sink) -> io::Result<()>) -> Result<(Digest, u64), Error> {
        let folder = self.folder.path();
        let file = NamedTempFile::new_in(folder).at(folder)?;
        readable(file.as_file()).at(folder)?;
        let (file, path) = file.keep().map_err(|kept| kept.error).at(folder)?;
        let mut sink = Hashing::new(BufWriter::new(file));
        fill(&mut sink).and_then(|()| sink.flush()).at(&path)?;
        let (digest, size, _) = sink.finish();
        self.added.insert(digest, path);
        Ok((digest, size))
    }
}

type Sink = Hashing<BufWriter<File>>;

fn copy(mut reader: impl Read, writer: &mut impl Write) -> io::Result<()> {
    io::copy(&mut reader, writer).map(drop)
}

/// Replaces the file `name` in `folder` by one with `bytes`: a reader sees the old or the new, never half.
pub(crate) fn write_whole(folder: &Path, name: &Path, bytes: &[u8]) -> Result<(), Error> {
    let target = folder.join(name);
    let mut file = NamedTempFile::new_in(folder.join("tmp")).at(&target)?;
    file.write_all(bytes).and_then(|()| file.as_file().sync_all()).at(&target)?;
    readable(file.as_file()).at(&target)?;
    file.persist(&target).map_err(|failed| failed.error).at(&target)?;
    sync_folder(folder)
}

/// Temporary files are made for their owner alone; the daemon may read as another user than imported.
fn readable(file: &File) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(fs::Permissions::from_mode(0o644))
}

fn sync_folder(folder: &Path) -> Result<(), Error> {
    File::open(folder).and_then(|folder| folder.sync_all()).at(folder)
}
