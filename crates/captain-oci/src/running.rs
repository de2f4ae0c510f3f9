//! What an image says about running it. OCI image specification 1.1, "Image configuration".

use captain_model::Arch;
use serde::Deserialize;

use crate::document;
use crate::layers::DEPTH;
use crate::{Digest, Error, Reference, Store};

/// How the program of an image is started.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Running {
    /// Program and its first arguments.
    #[serde(deserialize_with = "list")]
    pub entrypoint: Vec<String>,
    /// Arguments after those; the program itself where there is no entrypoint.
    #[serde(deserialize_with = "list")]
    pub cmd: Vec<String>,
    /// `NAME=value`.
    #[serde(deserialize_with = "list")]
    pub env: Vec<String>,
    /// Folder to start in; empty for `/`.
    pub working_dir: String,
    /// `user`, `user:group`, numbers or names; empty for root.
    pub user: String,
}

/// Docker writes `null` for an empty list.
fn list<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Config {
    config: Option<Running>,
}

impl Store {
    /// The digest that `reference` stands for.
    ///
    /// # Errors
    /// [`Error::Io`] or [`Error::Document`] when the store was damaged from outside.
    pub fn resolve(&self, reference: &Reference) -> Result<Option<Digest>, Error> {
        Ok(self.names()?.into_iter().find(|(name, _)| name == reference).map(|(_, target)| target.digest))
    }

    /// The image below `digest` for `arch` alone: the digest of its manifest.
    ///
    /// # Errors
    /// [`Error::Unknown`] when the store lacks it or has it for other architectures only.
    pub fn manifest_of(&self, digest: &Digest, arch: Arch) -> Result<Digest, Error> {
        self.find_manifest(digest, arch, DEPTH)?.map(|(digest, _)| digest).ok_or(Error::Unknown(*digest))
    }

    /// How the image `digest` for `arch` is run.
    ///
    /// # Errors
    /// [`Error::Unknown`] as [`Store::read_files`]; [`Error::Document`].
    pub fn running(&self, digest: &Digest, arch: Arch) -> Result<Running, Error> {
        let (_, manifest) = self.find_manifest(digest, arch, DEPTH)?.ok_or(Error::Unknown(*digest))?;
        let bytes = self.read_document(&manifest.config.digest)?;
        let bytes = bytes.ok_or(Error::Unknown(manifest.config.digest))?;
        Ok(document::parse::<Config>("config", &bytes)?.config.unwrap_or_default())
    }

    /// Everything that the image `digest` for `arch` consists of: manifest, configuration, layers.
    ///
    /// # Errors
    /// [`Error::Unknown`] as [`Store::read_files`].
    pub fn parts(&self, digest: &Digest, arch: Arch) -> Result<Vec<Digest>, Error> {
        let (own, manifest) = self.find_manifest(digest, arch, DEPTH)?.ok_or(Error::Unknown(*digest))?;
        let layers = manifest.layers.iter().map(|layer| layer.digest);
        Ok([own, manifest.config.digest].into_iter().chain(layers).collect())
    }

    /// Takes one piece of content in, as it is.
    ///
    /// # Errors
    /// [`Error::Mismatch`] when `content` is something else; [`Error::Io`].
    pub fn put(&self, digest: &Digest, content: impl std::io::Read) -> Result<(), Error> {
        let mut batch = self.batch()?;
        let (have, _) = batch.add(content)?;
        if have != *digest {
            let (want, have) = (digest.to_string(), have.to_string());
            return Err(Error::Mismatch { what: digest.hex(), want, have });
        }
        batch.commit()
    }
}
