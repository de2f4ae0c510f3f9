//! [`Source`]: the files of an image, from a folder or unpacked from a tar into a scratch folder.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufReader, Read, Write};
use std::path::{Component, Path, PathBuf};

use captain_unpack::{Member, Stop, decoder};
use tar::EntryType;

use crate::batch::Batch;
use crate::digest::Hashing;
use crate::error::At;
use crate::layers::LIMIT;
use crate::{Digest, Error};

/// No image is larger than this, unpacked.
const ARCHIVE_LIMIT: u64 = 64 << 30;
/// No image has more files than this: an archive has one per layer and a few more.
const FILE_LIMIT: usize = 1 << 16;
/// Links to links in one archive.
const LINK_LIMIT: usize = 8;

/// The files of an image, by their name within it.
pub(super) enum Source {
    Folder(PathBuf),
    Archive(BTreeMap<String, Entry>),
}

/// One file of an archive.
pub(super) enum Entry {
    File {
        path: PathBuf,
        digest: Digest,
        size: u64,
    },
    /// Older `docker save` writes equal layers once and links to them.
    Link(String),
}

impl Source {
    /// Opens a folder, or unpacks an archive into `scratch`.
    pub(super) fn open(file: &Path, scratch: &Path) -> Result<Self, Error> {
        if fs::metadata(file).at(file)?.is_dir() {
            return Ok(Self::Folder(fs::canonicalize(file).at(file)?));
        }
        let packed = File::open(file).at(file)?;
        let size = packed.metadata().at(file)?.len();
        unpack(file, LIMIT.of(decoder(packed).at(file)?, size), scratch)
    }

    /// Whether there is such a file.
    pub(super) fn has(&self, name: &str) -> bool {
        self.locate(name).is_ok()
    }

    /// The whole of a small file.
    pub(super) fn read(&self, name: &str, limit: u64) -> Result<Vec<u8>, Error> {
        let path = self.locate(name)?;
        if fs::metadata(&path).at(&path)?.len() > limit {
            return Err(Error::TooLarge { what: name.to_owned(), limit });
        }
        fs::read(&path).at(&path)
    }

    /// A file as a stream.
    pub(super) fn stream(&self, name: &str) -> Result<BufReader<File>, Error> {
        let path = self.locate(name)?;
        Ok(BufReader::with_capacity(1 << 16, File::open(&path).at(&path)?))
    }

    /// Takes a file into `batch` as it is; its digest and size.
    pub(super) fn ingest(&self, name: &str, batch: &mut Batch) -> Result<(Digest, u64), Error> {
        match self.entry(name)? {
            Some(Entry::File { path, digest, size }) => {
                batch.adopt(*digest, path);
                Ok((*digest, *size))
            }
            Some(Entry::Link(_)) | None => batch.add(self.stream(name)?),
        }
    }

    fn locate(&self, name: &str) -> Result<PathBuf, Error> {
        let missing = || Error::Missing(name.to_owned());
        match (self, self.entry(name)?) {
            (Self::Archive(_), Some(Entry::File { path, .. })) => Ok(path.clone()),
            (Self::Archive(_), Some(Entry::Link(_)) | None) => Err(missing()),
            (Self::Folder(root), _) => {
                let path = fs::canonicalize(root.join(inside(name)?)).map_err(|_| missing())?;
                if !path.starts_with(root) {
                    return Err(Error::Traversal(name.to_owned()));
                }
                if path.is_file() { Ok(path) } else { Err(missing()) }
            }
        }
    }

    /// The entry of an archive, links followed.
    fn entry(&self, name: &str) -> Result<Option<&Entry>, Error> {
        let Self::Archive(entries) = self else { return Ok(None) };
        let mut name = inside(name)?;
        for _ in 0..LINK_LIMIT {
            match entries.get(&name) {
                Some(Entry::Link(target)) => name.clone_from(target),
                found => return Ok(found),
            }
        }
        Err(Error::Traversal(name))
    }
}

fn unpack(file: &Path, plain: impl Read, scratch: &Path) -> Result<Source, Error> {
    let mut entries = BTreeMap::new();
    let mut left = ARCHIVE_LIMIT;
    let mut seen = 0_usize;
    let walked = captain_unpack::walk(plain, |member| {
        seen += 1;
        let name = inside(text(&member.path)?)?;
        if let Some(kept) = keep(file, &name, member, &scratch.join(seen.to_string()), &mut left)? {
            entries.insert(name, kept);
        }
        if entries.len() > FILE_LIMIT {
            return Err(Error::TooLarge { what: file.display().to_string(), limit: ARCHIVE_LIMIT });
        }
        Ok(())
    });
    match walked {
        Ok(()) => Ok(Source::Archive(entries)),
        Err(Stop::Broken(_)) if seen == 0 => Err(Error::NotAnImage(file.to_owned())),
        Err(Stop::Broken(why)) => Err(Error::document(file.display().to_string(), why)),
        Err(Stop::Visitor(error)) => Err(error),
    }
}

fn keep(
    file: &Path,
    name: &str,
    member: Member<'_>,
    path: &Path,
    left: &mut u64,
) -> Result<Option<Entry>, Error> {
    Ok(match member.header.entry_type() {
        EntryType::Regular | EntryType::Continuous => Some(stage(file, member, path, left)?),
        EntryType::Symlink => Some(Entry::Link(link(member.link, parent(name))?)),
        EntryType::Link => Some(Entry::Link(link(member.link, "")?)),
        // Folders, and what has no place in an image: devices, pipes, vendor extensions.
        _ => None,
    })
}

/// Writes one entry to disk and learns its digest on the way.
fn stage(file: &Path, member: Member<'_>, path: &Path, left: &mut u64) -> Result<Entry, Error> {
    let claimed = member.size;
    let mut out = Hashing::new(File::create(path).at(path)?);
    io::copy(&mut member.content.take(*left), &mut out).at(file)?;
    out.flush().at(path)?;
    let (digest, size, _) = out.finish();
    if size < claimed {
        let what = file.display().to_string();
        return Err(if size == *left {
            Error::TooLarge { what, limit: ARCHIVE_LIMIT }
        } else {
            Error::Mismatch { what, want: format!("{claimed} bytes"), have: format!("{size} bytes") }
        });
    }
    *left -= size;
    Ok(Entry::File { path: path.to_owned(), digest, size })
}

fn link(target: Option<Vec<u8>>, folder: &str) -> Result<String, Error> {
    let target = target.ok_or_else(|| Error::document("link", "it has no target"))?;
    let target = text(&target)?;
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in target.split('/') {
        match part {
            "" | "." if !target.starts_with('/') => {}
            ".." if parts.pop().is_some() => {}
            "" | "." | ".." => return Err(Error::Traversal(target.to_owned())),
            part => parts.push(part),
        }
    }
    Ok(parts.join("/"))
}

fn parent(name: &str) -> &str {
    name.rsplit_once('/').map_or("", |(folder, _)| folder)
}

fn text(name: &[u8]) -> Result<&str, Error> {
    std::str::from_utf8(name).map_err(|_| Error::document(String::from_utf8_lossy(name), "not UTF-8"))
}

/// The name without `./`; an error where it would lead out of the archive.
fn inside(name: &str) -> Result<String, Error> {
    let mut parts = Vec::new();
    for part in Path::new(name).components() {
        match part {
            Component::Normal(part) => parts.extend(part.to_str()),
            Component::CurDir => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => {
                return Err(Error::Traversal(name.to_owned()));
            }
        }
    }
    Ok(parts.join("/"))
}
