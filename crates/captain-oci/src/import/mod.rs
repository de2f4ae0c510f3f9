//! Import of images from files: what they are, and that nothing of them stays when something is wrong with them.

mod docker;
mod layout;
mod source;

use std::path::Path;

use crate::batch::Batch;
use crate::document::Descriptor;
use crate::{Digest, Error, Reference, Store};

use source::Source;

/// One name that an import put into the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    /// What it is called.
    pub reference: Reference,
    /// Of the index or manifest that the name stands for.
    pub digest: Digest,
}

/// What was found in a file: a document that can be tagged, and what the file calls it.
struct Found {
    names: Vec<Reference>,
    target: Descriptor,
}

impl Store {
    /// Imports the images of `file`: an archive of `docker save` (of any age), or an OCI image layout as a folder,
    /// a tar or a tar.gz. All platforms that it holds are taken, every digest and size is verified.
    ///
    /// `name` replaces the names that the file gives; it is needed where the file gives none.
    ///
    /// # Errors
    /// [`Error`] says what is wrong with the file; the store is then as it was before.
    pub fn import(&self, file: &Path, name: Option<&str>) -> Result<Vec<Imported>, Error> {
        let wanted = name.map(str::parse::<Reference>).transpose().map_err(Error::Name)?;
        let mut batch = self.batch()?;
        let source = Source::open(file, batch.scratch())?;
        let found = read(self, &source, &mut batch, file)?;
        let named = choose_names(found, wanted, &mut batch)?;
        batch.commit()?;
        self.name(named.iter().cloned())?;
        Ok(named
            .into_iter()
            .map(|(reference, target)| Imported { reference, digest: target.digest })
            .collect())
    }
}

/// Newer `docker save` archives are both kinds; the OCI half keeps the digests that the registry gave.
fn read(store: &Store, source: &Source, batch: &mut Batch, file: &Path) -> Result<Vec<Found>, Error> {
    let docker = source.has("manifest.json");
    if source.has("index.json") {
        let found = layout::read(store, source, batch)?;
        if !docker || found.iter().any(|image| !image.names.is_empty()) {
            return Ok(found);
        }
    }
    if docker { docker::read(source, batch) } else { Err(Error::NotAnImage(file.to_owned())) }
}

fn choose_names(
    found: Vec<Found>,
    wanted: Option<Reference>,
    batch: &mut Batch,
) -> Result<Vec<(Reference, Descriptor)>, Error> {
    let named: Vec<_> = match wanted {
        Some(name) => {
            vec![(name, layout::merge(found.into_iter().map(|image| image.target).collect(), batch)?)]
        }
        None => layout::group(found)
            .into_iter()
            .map(|(name, targets)| Ok((name, layout::merge(targets, batch)?)))
            .collect::<Result<_, Error>>()?,
    };
    if named.is_empty() { Err(Error::Nameless) } else { Ok(named) }
}
