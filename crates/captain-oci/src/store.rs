//! [`Store`]: images on disk. The folder is itself an OCI image layout, so other tools can read it as it is.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use crate::batch::{Batch, write_whole};
use crate::document::{self, DOCUMENT_LIMIT, Descriptor, Document, FULL_NAME, Index, REF_NAME};
use crate::error::At;
use crate::{Digest, Error, Reference};

/// A folder of content named by its digest, and an index of names.
///
/// ```text
/// oci-layout, index.json      names -> digests, replaced as a whole
/// blobs/sha256/<64 hex>       content, never changed
/// tmp/                        what is being imported
/// ```
/// Several processes may use one store: content appears whole or not at all, changes of the index are locked.
#[derive(Debug)]
pub struct Store {
    root: PathBuf,
}

/// One name in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// What it is called.
    pub reference: Reference,
    /// Of the index or manifest that the name stands for.
    pub digest: Digest,
    /// Bytes of everything it consists of and the store holds.
    pub size: u64,
    /// What it runs on, of what the store holds: `linux/amd64`, `linux/arm64/v8`.
    pub platforms: Vec<String>,
}

impl Store {
    /// Opens the store in `folder`, which is made where it is missing.
    ///
    /// # Errors
    /// [`Error::Io`] when the folder cannot be made or written.
    pub fn open(folder: impl Into<PathBuf>) -> Result<Self, Error> {
        let store = Self { root: folder.into() };
        for part in ["blobs/sha256", "tmp"] {
            let path = store.root.join(part);
            fs::create_dir_all(&path).at(&path)?;
        }
        if !store.root.join("index.json").exists() {
            store.write("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#)?;
            store.change_index(|_| ())?;
        }
        Ok(store)
    }

    /// Every name, in order.
    ///
    /// # Errors
    /// [`Error::Io`] or [`Error::Document`] when the store was damaged from outside.
    pub fn images(&self) -> Result<Vec<Image>, Error> {
        let mut images = self
            .names()?
            .into_iter()
            .map(|(reference, target)| {
                let mut image = Image { reference, digest: target.digest, size: 0, platforms: Vec::new() };
                self.survey(&target, &mut image)?;
                Ok(image)
            })
            .collect::<Result<Vec<_>, Error>>()?;
        images.sort_by(|a, b| a.reference.cmp(&b.reference));
        Ok(images)
    }

    /// Gives `digest`, which the store holds, one more name. A name that exists moves.
    ///
    /// # Errors
    /// [`Error::Unknown`] when the store does not hold it, [`Error::Document`] when it is no image, [`Error::Io`].
    pub fn tag(&self, digest: &Digest, reference: &Reference) -> Result<(), Error> {
        let bytes = self.read_document(digest)?.ok_or(Error::Unknown(*digest))?;
        let document = Document::parse(&digest.to_string(), &bytes)?;
        self.name([(reference.clone(), Descriptor::new(document.media_type(), *digest, bytes.len() as u64))])
    }

    /// Takes a name away; true if there was one. Content stays: other names may share it.
    ///
    /// # Errors
    /// [`Error::Io`] when the index cannot be replaced.
    pub fn untag(&self, reference: &Reference) -> Result<bool, Error> {
        let mut found = false;
        self.change_index(|index| {
            let before = index.manifests.len();
            index.manifests.retain(|target| name_of(target).as_ref() != Some(reference));
            found = index.manifests.len() != before;
        })?;
        Ok(found)
    }

    /// Where the content `digest` is, if the store holds it.
    pub fn blob(&self, digest: &Digest) -> Option<PathBuf> {
        let path = self.root.join("blobs/sha256").join(digest.hex());
        path.is_file().then_some(path)
    }

    /// Every name and what it points at, in the order of the index.
    pub(crate) fn names(&self) -> Result<Vec<(Reference, Descriptor)>, Error> {
        let index = self.index()?;
        Ok(index.manifests.into_iter().filter_map(|target| Some((name_of(&target)?, target))).collect())
    }

    /// Makes every name point at its target in one replacement of the index.
    pub(crate) fn name(&self, names: impl IntoIterator<Item = (Reference, Descriptor)>) -> Result<(), Error> {
        self.change_index(|index| {
            for (reference, mut target) in names {
                index.manifests.retain(|old| name_of(old).as_ref() != Some(&reference));
                target.platform = None;
                target.annotations.insert(FULL_NAME.to_owned(), reference.to_string());
                target.annotations.insert(REF_NAME.to_owned(), reference.tag().to_owned());
                index.manifests.push(target);
            }
        })
    }

    /// Starts adding content.
    pub(crate) fn batch(&self) -> Result<Batch, Error> {
        Batch::new(&self.root)
    }

    /// The bytes of a document, verified against its digest; `None` if the store does not hold it or if it is too
    /// large to be one.
    pub(crate) fn read_document(&self, digest: &Digest) -> Result<Option<Vec<u8>>, Error> {
        let Some(path) = self.blob(digest) else { return Ok(None) };
        if fs::metadata(&path).at(&path)?.len() > DOCUMENT_LIMIT {
            return Ok(None);
        }
        let bytes = fs::read(&path).at(&path)?;
        match Digest::of(&bytes) {
            have if have == *digest => Ok(Some(bytes)),
            have => Err(Error::Mismatch {
                what: path.display().to_string(),
                want: digest.to_string(),
                have: have.to_string(),
            }),
        }
    }

    /// Adds up what hangs below `target`. An index may name platforms that were not exported: they do not count.
    fn survey(&self, target: &Descriptor, image: &mut Image) -> Result<(), Error> {
        let Some(path) = self.blob(&target.digest) else { return Ok(()) };
        image.size += fs::metadata(&path).at(&path)?.len();
        if !document::is_document(&target.media_type) {
            return Ok(());
        }
        let Some(bytes) = self.read_document(&target.digest)? else { return Ok(()) };
        let document = Document::parse(&target.digest.to_string(), &bytes)?;
        if let Document::Manifest(manifest) = &document {
            image.platforms.extend(self.platform(&manifest.config.digest)?);
        }
        document.children().iter().try_for_each(|child| self.survey(child, image))
    }

    /// `os/architecture[/variant]` of an image configuration; `None` for what is no program (attestations).
    fn platform(&self, config: &Digest) -> Result<Option<String>, Error> {
        let Some(bytes) = self.read_document(config)? else { return Ok(None) };
        let Ok(config) = document::parse::<document::Config>("config", &bytes) else { return Ok(None) };
        let platform = config.platform();
        let variant = platform.variant.map(|variant| format!("/{variant}")).unwrap_or_default();
        let known = platform.os != "unknown";
        Ok(known.then(|| format!("{}/{}{variant}", platform.os, platform.architecture)))
    }

    fn index(&self) -> Result<Index, Error> {
        let path = self.root.join("index.json");
        let bytes = fs::read(&path).at(&path)?;
        document::parse(&path.display().to_string(), &bytes)
    }

    fn change_index(&self, change: impl FnOnce(&mut Index)) -> Result<(), Error> {
        let path = self.root.join("lock");
        let lock = File::options().create(true).truncate(false).write(true).open(&path).at(&path)?;
        lock.lock().at(&path)?;
        let mut index =
            if self.root.join("index.json").exists() { self.index()? } else { Index::of(Vec::new()) };
        change(&mut index);
        self.write("index.json", &document::to_bytes(&index))
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<(), Error> {
        write_whole(&self.root, Path::new(name), bytes)
    }
}

/// What a descriptor in an index is called, if it is called anything.
pub(crate) fn name_of(target: &Descriptor) -> Option<Reference> {
    let annotation = |key: &str| target.annotations.get(key).filter(|text| text.contains(['/', ':']));
    annotation(FULL_NAME).or_else(|| annotation(REF_NAME))?.parse().ok()
}
