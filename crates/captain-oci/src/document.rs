//! The JSON documents of an image: descriptors, indices, manifests. OCI image specification 1.1 and the
//! Docker schema 2 documents that mean the same.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Digest, Error};

pub(crate) const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub(crate) const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
pub(crate) const OCI_LAYER_GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";

/// Annotation with the whole name, written by containerd and docker.
pub(crate) const FULL_NAME: &str = "io.containerd.image.name";
/// Annotation with the tag, or with the whole name where podman and skopeo wrote it.
pub(crate) const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// Largest manifest or index: registries take no larger ones (distribution specification 1.1, "Pushing manifests").
pub(crate) const DOCUMENT_LIMIT: u64 = 4 << 20;

/// What points at content.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Descriptor {
    pub(crate) media_type: String,
    pub(crate) digest: Digest,
    pub(crate) size: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) platform: Option<Platform>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) annotations: BTreeMap<String, String>,
}

impl Descriptor {
    pub(crate) fn new(media_type: &str, digest: Digest, size: u64) -> Self {
        Self { media_type: media_type.to_owned(), digest, size, platform: None, annotations: BTreeMap::new() }
    }
}

/// What a manifest runs on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Platform {
    pub(crate) architecture: String,
    pub(crate) os: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) variant: Option<String>,
}

/// An image index, which is also what an image layout's `index.json` is.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Index {
    pub(crate) schema_version: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) media_type: Option<String>,
    #[serde(default)]
    pub(crate) manifests: Vec<Descriptor>,
}

impl Index {
    pub(crate) fn of(manifests: Vec<Descriptor>) -> Self {
        Self { schema_version: 2, media_type: Some(OCI_INDEX.to_owned()), manifests }
    }
}

/// An image manifest.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Manifest {
    pub(crate) schema_version: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) media_type: Option<String>,
    pub(crate) config: Descriptor,
    #[serde(default)]
    pub(crate) layers: Vec<Descriptor>,
}

/// The part of an image configuration that we read.
#[derive(Debug, Deserialize)]
pub(crate) struct Config {
    pub(crate) architecture: String,
    pub(crate) os: String,
    #[serde(default)]
    pub(crate) variant: Option<String>,
    pub(crate) rootfs: RootFs,
}

#[derive(Debug, Deserialize)]
pub(crate) struct RootFs {
    /// Digests of the uncompressed layers, lowest first.
    pub(crate) diff_ids: Vec<Digest>,
}

impl Config {
    pub(crate) fn platform(self) -> Platform {
        Platform { architecture: self.architecture, os: self.os, variant: self.variant }
    }
}

/// A document that a tag or an index can point at.
pub(crate) enum Document {
    Index(Index),
    Manifest(Manifest),
}

impl Document {
    /// Tells by what is in it: `mediaType` is optional in OCI documents.
    pub(crate) fn parse(what: &str, bytes: &[u8]) -> Result<Self, Error> {
        let value: serde_json::Value = parse(what, bytes)?;
        let has = |key: &str| value.get(key).is_some();
        match (has("manifests"), has("config")) {
            // A document that is both is an attack on whoever reads it the other way (CVE-2021-41190).
            (true, true) => Err(Error::document(what, "it is an index and a manifest at once")),
            (true, false) => {
                serde_json::from_value(value).map(Self::Index).map_err(|why| Error::document(what, why))
            }
            (false, true) => {
                serde_json::from_value(value).map(Self::Manifest).map_err(|why| Error::document(what, why))
            }
            (false, false) => Err(Error::document(what, "it is neither an index nor a manifest")),
        }
    }

    /// The media type to serve it with: its own, or what its content amounts to where it says none.
    pub(crate) fn media_type(&self) -> &str {
        match self {
            Self::Index(index) => index.media_type.as_deref().unwrap_or(OCI_INDEX),
            Self::Manifest(manifest) => manifest.media_type.as_deref().unwrap_or_else(|| {
                if manifest.config.media_type == DOCKER_CONFIG { DOCKER_MANIFEST } else { OCI_MANIFEST }
            }),
        }
    }

    /// What it points at, documents and content alike.
    pub(crate) fn children(self) -> Vec<Descriptor> {
        match self {
            Self::Index(index) => index.manifests,
            Self::Manifest(manifest) => std::iter::once(manifest.config).chain(manifest.layers).collect(),
        }
    }
}

/// Whether a descriptor of this type leads to a [`Document`]; everything else is content.
pub(crate) fn is_document(media_type: &str) -> bool {
    [OCI_INDEX, OCI_MANIFEST, DOCKER_LIST, DOCKER_MANIFEST].contains(&media_type)
}

/// Reads a JSON document and names it in the error.
pub(crate) fn parse<T: serde::de::DeserializeOwned>(what: &str, bytes: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(bytes).map_err(|why| Error::document(what, why))
}

/// The canonical text of a document: one line, keys in declaration order, so equal input gives equal digests.
pub(crate) fn to_bytes(document: &impl Serialize) -> Vec<u8> {
    // Serialisation of these plain structs to memory has no way to fail.
    serde_json::to_vec(document).unwrap_or_default()
}
