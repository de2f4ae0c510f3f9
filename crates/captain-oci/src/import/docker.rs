//! Archives of `docker save`: `manifest.json` names a configuration and uncompressed layers. Moby image
//! specification 1.2, "Combined image JSON + filesystem changeset format".

use std::collections::BTreeMap;
use std::io::{self, BufRead, Read};

use flate2::bufread::MultiGzDecoder;
use serde::Deserialize;

use crate::batch::Batch;
use crate::digest::Hashing;
use crate::document::{
    self, Config, DOCUMENT_LIMIT, Descriptor, Manifest, OCI_CONFIG, OCI_LAYER_GZIP, OCI_MANIFEST,
};
use crate::error::At;
use crate::{Digest, Error, Reference};

use super::Found;
use super::source::Source;

/// One image of `manifest.json`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Saved {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    #[serde(default)]
    layers: Vec<String>,
}

/// Turns every saved image into an OCI one with gzip layers: machines keep them in memory.
pub(super) fn read(source: &Source, batch: &mut Batch) -> Result<Vec<Found>, Error> {
    let bytes = source.read("manifest.json", DOCUMENT_LIMIT)?;
    let saved: Vec<Saved> = document::parse("manifest.json", &bytes)?;
    let mut layers = Layers { source, batch, done: BTreeMap::new() };
    saved.iter().map(|image| convert(image, &mut layers)).collect()
}

fn convert(saved: &Saved, layers: &mut Layers<'_>) -> Result<Found, Error> {
    let bytes = layers.source.read(&saved.config, DOCUMENT_LIMIT)?;
    let config: Config = document::parse(&saved.config, &bytes)?;
    let diff_ids = &config.rootfs.diff_ids;
    if diff_ids.len() != saved.layers.len() {
        let why = format!("it has {} layers, the archive has {}", diff_ids.len(), saved.layers.len());
        return Err(Error::document(&saved.config, why));
    }
    let files = saved.layers.iter().zip(diff_ids);
    let manifest = Manifest {
        schema_version: 2,
        media_type: Some(OCI_MANIFEST.to_owned()),
        layers: files.map(|(file, diff_id)| layers.add(file, *diff_id)).collect::<Result<_, _>>()?,
        config: Descriptor::new(OCI_CONFIG, layers.batch.add_bytes(&bytes)?, bytes.len() as u64),
    };
    let bytes = document::to_bytes(&manifest);
    let mut target = Descriptor::new(OCI_MANIFEST, layers.batch.add_bytes(&bytes)?, bytes.len() as u64);
    target.platform = Some(config.platform());
    Ok(Found { names: names(saved)?, target })
}

fn names(saved: &Saved) -> Result<Vec<Reference>, Error> {
    let tags = saved.repo_tags.iter().flatten();
    tags.map(|tag| tag.parse().map_err(Error::Name)).collect()
}

/// Layers already taken, by the digest of their uncompressed content: images of one archive share them.
struct Layers<'a> {
    source: &'a Source,
    batch: &'a mut Batch,
    done: BTreeMap<Digest, Descriptor>,
}

impl Layers<'_> {
    fn add(&mut self, file: &str, diff_id: Digest) -> Result<Descriptor, Error> {
        if let Some(done) = self.done.get(&diff_id) {
            return Ok(done.clone());
        }
        let mut reader = self.source.stream(file)?;
        let gzip = reader.fill_buf().at(file.as_ref())?.starts_with(&[0x1f, 0x8b]);
        let (have, (digest, size)) = if gzip { self.keep(file)? } else { self.compress(reader)? };
        if have != diff_id {
            let (want, have) = (diff_id.to_string(), have.to_string());
            return Err(Error::Mismatch { what: file.to_owned(), want, have });
        }
        let layer = Descriptor::new(OCI_LAYER_GZIP, digest, size);
        self.done.insert(diff_id, layer.clone());
        Ok(layer)
    }

    /// A layer that is gzip already stays as it is; what is in it is verified.
    fn keep(&mut self, file: &str) -> Result<(Digest, (Digest, u64)), Error> {
        let mut content = Hashing::new(MultiGzDecoder::new(self.source.stream(file)?));
        io::copy(&mut content, &mut io::sink()).at(file.as_ref())?;
        Ok((content.finish().0, self.source.ingest(file, self.batch)?))
    }

    fn compress(&mut self, reader: impl Read) -> Result<(Digest, (Digest, u64)), Error> {
        let mut content = Hashing::new(reader);
        let packed = self.batch.add_gzip(&mut content)?;
        Ok((content.finish().0, packed))
    }
}
