//! Reading what is in an image: its layers laid over each other. OCI image specification 1.1, "Layer".

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;

use captain_model::Arch;
use captain_unpack::{Limit, Member, Stop, decoder};

use crate::document::{self, Descriptor, Document, Manifest};
use crate::error::At;
use crate::{Digest, Error, Store};

/// Marks a name of lower layers as deleted, and a folder's content in lower layers as such.
const WHITEOUT: &str = ".wh.";
const OPAQUE: &str = ".wh..wh..opq";

/// What a layer may unpack to: programs and texts take a third of their size, and a bomb a thousandth.
pub(crate) const LIMIT: Limit = Limit { least: 1 << 30, ratio: 50 };

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
        let file = File::open(&path).at(&path)?;
        let packed = file.metadata().at(&path)?.len();
        let plain = LIMIT.of(decoder(file).at(&path)?, packed);
        captain_unpack::walk(plain, |member| show(member, above, here, visit)).map_err(|stop| match stop {
            Stop::Broken(why) => Error::document(layer.digest.to_string(), why),
            Stop::Visitor(error) => error,
        })
    }
}

/// Shows `member` of a layer unless it is a mark or hidden by the layers `above`.
fn show(
    member: Member<'_>,
    above: &Above,
    here: &mut Above,
    visit: &mut impl FnMut(LayerFile<'_>) -> Result<(), Error>,
) -> Result<(), Error> {
    let Member { header, link, content, .. } = member;
    let name = inside(&String::from_utf8_lossy(&member.path))?;
    if here.note(&name, header.entry_type().is_dir())? || name.is_empty() || above.hides(&name) {
        return Ok(());
    }
    let link = link.map(|target| String::from_utf8_lossy(&target).into_owned());
    visit(LayerFile { path: &name, header, link, content })
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
    fn note(&mut self, name: &str, folder: bool) -> Result<bool, Error> {
        let (parent, last) = name.rsplit_once('/').unwrap_or(("", name));
        if last == OPAQUE {
            self.closed.insert(parent.to_owned());
            return Ok(true);
        }
        let marked = last.strip_prefix(WHITEOUT);
        let name = match marked {
            // What it deletes would be the folder itself, or what that lies in.
            Some("" | "." | "..") => return Err(Error::Traversal(name.to_owned())),
            Some(deleted) if parent.is_empty() => deleted.to_owned(),
            Some(deleted) => format!("{parent}/{deleted}"),
            None => name.to_owned(),
        };
        if marked.is_some() || !folder {
            self.closed.insert(name.clone());
        }
        self.gone.insert(name);
        Ok(marked.is_some())
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
