//! Reading what is in an image: its layers laid over each other. OCI image specification 1.1, "Layer".

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};

use captain_model::Arch;
use flate2::bufread::MultiGzDecoder;

use crate::document::{self, Descriptor, Document, Manifest};
use crate::error::At;
use crate::{Digest, Error, Store};

/// Marks a name of lower layers as deleted, and a folder's content in lower layers as such.
const WHITEOUT: &str = ".wh.";
const OPAQUE: &str = ".wh..wh..opq";

/// An index within an index is as deep as it gets.
pub(crate) const DEPTH: usize = 3;

/// One file of an image, as it is in the end.
pub struct LayerFile<'a> {
    /// Where it lies, without a leading `/`.
    pub path: &'a str,
    /// What the layer says of it: kind, mode, owner, time, and the target of a link.
    pub header: &'a tar::Header,
    /// Where a link leads.
    pub link: Option<String>,
    /// What is in it.
    pub content: &'a mut dyn Read,
}

impl Store {
    /// Shows `visit` every file of the image `digest` for `arch`: the topmost layer's first, none that a layer above
    /// replaced or deleted. Content is streamed; what `visit` does not read is skipped.
    ///
    /// # Errors
    /// [`Error::Unknown`] when the store lacks the image or has it for other architectures only, [`Error::Traversal`]
    /// when a layer names something outside of the image, [`Error::Io`], and whatever `visit` returns.
    pub fn read_files(
        &self,
        digest: &Digest,
        arch: Arch,
        mut visit: impl FnMut(LayerFile<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let (_, manifest) = self.find_manifest(digest, arch, DEPTH)?.ok_or(Error::Unknown(*digest))?;
        let mut above = Above::default();
        for layer in manifest.layers.iter().rev() {
            let mut here = Above::default();
            self.read_layer(layer, &above, &mut here, &mut visit)?;
            above.add(here);
        }
        Ok(())
    }

    /// The manifest below `digest` whose configuration is for `arch`, with its own digest.
    pub(crate) fn find_manifest(
        &self,
        digest: &Digest,
        arch: Arch,
        depth: usize,
    ) -> Result<Option<(Digest, Manifest)>, Error> {
        let (Some(bytes), Some(depth)) = (self.read_document(digest)?, depth.checked_sub(1)) else {
            return Ok(None);
        };
        match Document::parse(&digest.to_string(), &bytes)? {
            Document::Manifest(manifest) => {
                let Some(config) = self.read_document(&manifest.config.digest)? else { return Ok(None) };
                let config = document::parse::<document::Config>("config", &config).ok();
                let fits = config.is_some_and(|it| it.os == "linux" && it.architecture == arch.debian());
                Ok(fits.then_some((*digest, manifest)))
            }
            Document::Index(index) => {
                for child in index.manifests {
                    if let Some(found) = self.find_manifest(&child.digest, arch, depth)? {
                        return Ok(Some(found));
                    }
                }
                Ok(None)
            }
        }
    }

    fn read_layer(
        &self,
        layer: &Descriptor,
        above: &Above,
        here: &mut Above,
        visit: &mut impl FnMut(LayerFile<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let path = self.blob(&layer.digest).ok_or(Error::Unknown(layer.digest))?;
        let mut reader = BufReader::new(File::open(&path).at(&path)?);
        let gzip = reader.fill_buf().at(&path)?.starts_with(&[0x1f, 0x8b]);
        let reader: Box<dyn Read> =
            if gzip { Box::new(MultiGzDecoder::new(reader)) } else { Box::new(reader) };
        for entry in tar::Archive::new(reader).entries().at(&path)? {
            let mut entry = entry.at(&path)?;
            let name = inside(&entry.path().at(&path)?.to_string_lossy())?;
            let header = entry.header().clone();
            if here.note(&name, header.entry_type().is_dir()) || name.is_empty() || above.hides(&name) {
                continue;
            }
            let link = entry.link_name().at(&path)?.map(|target| target.to_string_lossy().into_owned());
            visit(LayerFile { path: &name, header: &header, link, content: &mut entry })?;
        }
        Ok(())
    }
}

fn inside(name: &str) -> Result<String, Error> {
    let parts: Vec<_> = name.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    if parts.contains(&"..") { Err(Error::Traversal(name.to_owned())) } else { Ok(parts.join("/")) }
}

/// What the layers above say about those below them.
#[derive(Default)]
struct Above {
    /// Names that are taken or deleted.
    gone: BTreeSet<String>,
    /// Names below which nothing of lower layers shows: deleted, made opaque, or no folder any more.
    closed: BTreeSet<String>,
}

impl Above {
    /// Takes note of an entry; true if it is a mark and no file.
    fn note(&mut self, name: &str, folder: bool) -> bool {
        let (parent, last) = name.rsplit_once('/').unwrap_or(("", name));
        if last == OPAQUE {
            self.closed.insert(parent.to_owned());
            return true;
        }
        let marked = last.strip_prefix(WHITEOUT);
        let name = match marked {
            Some(deleted) if parent.is_empty() => deleted.to_owned(),
            Some(deleted) => format!("{parent}/{deleted}"),
            None => name.to_owned(),
        };
        if marked.is_some() || !folder {
            self.closed.insert(name.clone());
        }
        self.gone.insert(name);
        marked.is_some()
    }

    fn hides(&self, name: &str) -> bool {
        let above = |name: &str| self.closed.contains(name);
        self.gone.contains(name) || above("") || name.match_indices('/').any(|(end, _)| above(&name[..end]))
    }

    fn add(&mut self, layer: Self) {
        self.gone.extend(layer.gone);
        self.closed.extend(layer.closed);
    }
}
