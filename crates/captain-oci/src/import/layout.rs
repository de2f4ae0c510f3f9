//! OCI image layouts. OCI image specification 1.1, "Image layout".

use std::collections::{BTreeMap, BTreeSet};

use crate::batch::Batch;
use crate::document::{self, DOCUMENT_LIMIT, Descriptor, Document, Index, OCI_INDEX, Platform, is_document};
use crate::store::name_of;
use crate::{Digest, Error, Reference, Store};

use super::Found;
use super::source::Source;

/// An index of indices of indices: nobody needs more.
const DEPTH_LIMIT: usize = 4;

/// Takes all that `index.json` leads to into `batch`.
pub(super) fn read(store: &Store, source: &Source, batch: &mut Batch) -> Result<Vec<Found>, Error> {
    let bytes = source.read("index.json", DOCUMENT_LIMIT)?;
    let index: Index = document::parse("index.json", &bytes)?;
    let mut walk = Walk { store, source, batch, seen: BTreeSet::new() };
    let mut found = Vec::new();
    for mut target in index.manifests {
        walk.take(&target, DEPTH_LIMIT)?;
        let names = name_of(&target).into_iter().collect();
        if target.platform.is_none() {
            target.platform = walk.platform(&target)?;
        }
        target.annotations.clear();
        found.push(Found { names, target });
    }
    Ok(found)
}

struct Walk<'a> {
    store: &'a Store,
    source: &'a Source,
    batch: &'a mut Batch,
    seen: BTreeSet<Digest>,
}

impl Walk<'_> {
    fn take(&mut self, target: &Descriptor, depth: usize) -> Result<(), Error> {
        if !self.seen.insert(target.digest) {
            return Ok(());
        }
        if !is_document(&target.media_type) {
            return self.take_content(target);
        }
        let bytes = self.document(target)?;
        let name = blob(&target.digest);
        let depth = depth.checked_sub(1).ok_or_else(|| Error::document(&name, "indices nest too deep"))?;
        self.batch.add_bytes(&bytes)?;
        match Document::parse(&name, &bytes)? {
            Document::Index(index) => self.take_present(&index, &name, depth),
            manifest @ Document::Manifest(_) => {
                manifest.children().iter().try_for_each(|child| self.take(child, depth))
            }
        }
    }

    /// An index may list platforms that were left out of the export, as docker and containerd do; one must be there.
    fn take_present(&mut self, index: &Index, name: &str, depth: usize) -> Result<(), Error> {
        let (present, missing): (Vec<_>, Vec<_>) =
            index.manifests.iter().partition(|child| self.holds(child));
        match missing.first() {
            Some(first) if present.is_empty() => {
                Err(Error::Missing(format!("{} of {name}", blob(&first.digest))))
            }
            _ => present.into_iter().try_for_each(|child| self.take(child, depth)),
        }
    }

    fn take_content(&mut self, target: &Descriptor) -> Result<(), Error> {
        let name = blob(&target.digest);
        if !self.source.has(&name) && self.store.blob(&target.digest).is_some() {
            return Ok(());
        }
        let (digest, size) = self.source.ingest(&name, self.batch)?;
        verify(&name, target, digest, size)
    }

    fn document(&self, target: &Descriptor) -> Result<Vec<u8>, Error> {
        let name = blob(&target.digest);
        let bytes = self.source.read(&name, DOCUMENT_LIMIT)?;
        verify(&name, target, Digest::of(&bytes), bytes.len() as u64)?;
        Ok(bytes)
    }

    fn holds(&self, target: &Descriptor) -> bool {
        self.source.has(&blob(&target.digest))
    }

    /// What a manifest runs on, by its configuration: many tools leave it out of `index.json`.
    fn platform(&self, target: &Descriptor) -> Result<Option<Platform>, Error> {
        if !is_document(&target.media_type) {
            return Ok(None);
        }
        let Document::Manifest(manifest) = Document::parse(&blob(&target.digest), &self.document(target)?)?
        else {
            return Ok(None);
        };
        let name = blob(&manifest.config.digest);
        if !self.source.has(&name) {
            return Ok(None);
        }
        let config = self.source.read(&name, DOCUMENT_LIMIT)?;
        Ok(document::parse::<document::Config>("config", &config).ok().map(document::Config::platform))
    }
}

/// The digest says what the content is; the size must agree as well (CVE-2020-15157 and others like it).
fn verify(name: &str, target: &Descriptor, digest: Digest, size: u64) -> Result<(), Error> {
    let mismatch = |want: String, have: String| Error::Mismatch { what: name.to_owned(), want, have };
    if digest != target.digest {
        return Err(mismatch(target.digest.to_string(), digest.to_string()));
    }
    if size != target.size {
        return Err(mismatch(format!("{} bytes", target.size), format!("{size} bytes")));
    }
    Ok(())
}

fn blob(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

/// What is to be called the same, together.
pub(super) fn group(found: Vec<Found>) -> BTreeMap<Reference, Vec<Descriptor>> {
    let mut groups: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for image in found {
        for name in image.names {
            groups.entry(name).or_default().push(image.target.clone());
        }
    }
    groups
}

/// One document for one name: some tools write a multi-platform image as several manifests of one name, without
/// the index that a registry needs.
pub(super) fn merge(targets: Vec<Descriptor>, batch: &mut Batch) -> Result<Descriptor, Error> {
    let mut distinct: Vec<Descriptor> = Vec::new();
    for target in targets {
        if distinct.iter().all(|other| other.digest != target.digest) {
            distinct.push(target);
        }
    }
    if distinct.len() == 1 {
        return Ok(distinct.remove(0));
    }
    let platforms: Vec<_> = distinct.iter().filter_map(|target| target.platform.as_ref()).collect();
    let unique = platforms.iter().enumerate().all(|(at, one)| !platforms[..at].contains(one));
    if distinct.is_empty() || platforms.len() != distinct.len() || !unique {
        return Err(if distinct.is_empty() { Error::Nameless } else { Error::Several(distinct.len()) });
    }
    let bytes = document::to_bytes(&Index::of(distinct));
    Ok(Descriptor::new(OCI_INDEX, batch.add_bytes(&bytes)?, bytes.len() as u64))
}
