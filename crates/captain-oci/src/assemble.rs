//! Images made from a list of files: one layer each, the same bytes whenever and wherever they are made.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use captain_model::Arch;
use flate2::{Compression, GzBuilder};
use serde::Serialize;

use crate::batch::Batch;
use crate::document::{
    self, Descriptor, Index, Manifest, OCI_CONFIG, OCI_INDEX, OCI_LAYER_GZIP, OCI_MANIFEST, Platform,
};
use crate::{Digest, Error, Reference, Store};

/// An image to be made.
#[derive(Clone, Debug, Default)]
pub struct ImageSpec {
    /// What is in it. Folders on the way to a file are made.
    pub files: Vec<ImageFile>,
    /// What it runs on: one manifest each, under one index.
    pub platforms: Vec<Arch>,
    /// Program and its first arguments.
    pub entrypoint: Vec<String>,
    /// Arguments that whoever starts it may replace.
    pub cmd: Vec<String>,
    /// Environment.
    pub env: Vec<(String, String)>,
    /// Folder to start in: `/` where empty.
    pub working_dir: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
}

/// One file of an [`ImageSpec`].
#[derive(Clone, Debug)]
pub struct ImageFile {
    /// Where it lies: `usr/bin/tink-agent`; a leading `/` makes no difference.
    pub path: String,
    /// Permission bits, such as `0o755`.
    pub mode: u32,
    /// What it is.
    pub content: Content,
    /// Only in the image for this architecture: programs differ, scripts do not.
    pub only: Option<Arch>,
}

/// What a file of an image is.
#[derive(Clone, Debug)]
pub enum Content {
    /// A regular file.
    Bytes(Vec<u8>),
    /// A symbolic link to this.
    Symlink(String),
}

impl Store {
    /// Makes the image and names it. Equal input gives an equal digest: owner 0:0, time 0, sorted files.
    ///
    /// # Errors
    /// [`Error::Spec`] when paths clash, lead out of the image or no platform is wanted; [`Error::Io`].
    pub fn assemble(&self, spec: &ImageSpec, reference: &Reference) -> Result<Digest, Error> {
        let platforms: BTreeSet<Arch> = spec.platforms.iter().copied().collect();
        if platforms.is_empty() {
            return Err(Error::Spec("it has no platform".to_owned()));
        }
        let mut batch = self.batch()?;
        let manifests = platforms
            .into_iter()
            .map(|arch| assemble_one(spec, arch, &mut batch))
            .collect::<Result<_, _>>()?;
        let bytes = document::to_bytes(&Index::of(manifests));
        let index = Descriptor::new(OCI_INDEX, batch.add_bytes(&bytes)?, bytes.len() as u64);
        batch.commit()?;
        let digest = index.digest;
        self.name([(reference.clone(), index)])?;
        Ok(digest)
    }
}

fn assemble_one(spec: &ImageSpec, arch: Arch, batch: &mut Batch) -> Result<Descriptor, Error> {
    let tar = layer(spec, arch)?;
    let diff_id = Digest::of(&tar);
    let mut gzip = GzBuilder::new().mtime(0).operating_system(255).read(tar.as_slice(), Compression::best());
    let (digest, size) = batch.add(&mut gzip)?;
    let config = document::to_bytes(&config(spec, arch, diff_id));
    let manifest = Manifest {
        schema_version: 2,
        media_type: Some(OCI_MANIFEST.to_owned()),
        config: Descriptor::new(OCI_CONFIG, batch.add_bytes(&config)?, config.len() as u64),
        layers: vec![Descriptor::new(OCI_LAYER_GZIP, digest, size)],
    };
    let bytes = document::to_bytes(&manifest);
    let mut target = Descriptor::new(OCI_MANIFEST, batch.add_bytes(&bytes)?, bytes.len() as u64);
    target.platform = Some(platform(arch));
    Ok(target)
}

/// Containerd takes arm64 without a variant for v8, which is what every 64-bit ARM machine is.
fn platform(arch: Arch) -> Platform {
    Platform { architecture: arch.debian().to_owned(), os: "linux".to_owned(), variant: None }
}

fn layer(spec: &ImageSpec, arch: Arch) -> Result<Vec<u8>, Error> {
    let mut nodes: BTreeMap<String, Option<&ImageFile>> = BTreeMap::new();
    for file in spec.files.iter().filter(|file| file.only.is_none_or(|only| only == arch)) {
        let path = file.path.trim_start_matches('/');
        if path.is_empty() || path.split('/').any(|part| matches!(part, "" | "." | "..")) {
            return Err(Error::Spec(format!("`{}` is not a path of a file", file.path)));
        }
        if nodes.insert(path.to_owned(), Some(file)).is_some() {
            return Err(Error::Spec(format!("`{path}` is in it twice")));
        }
    }
    for path in nodes.keys().cloned().collect::<Vec<_>>() {
        for (end, _) in path.match_indices('/') {
            if nodes.entry(path[..end].to_owned()).or_insert(None).is_some() {
                return Err(Error::Spec(format!("`{}` is a file and a folder", &path[..end])));
            }
        }
    }
    let mut tar = tar::Builder::new(Vec::new());
    let written = nodes.iter().try_for_each(|(path, file)| append(&mut tar, path, *file));
    written.and_then(|()| tar.into_inner()).map_err(|why| Error::Spec(why.to_string()))
}

fn append(tar: &mut tar::Builder<Vec<u8>>, path: &str, file: Option<&ImageFile>) -> io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_mode(file.map_or(0o755, |file| file.mode & 0o7777));
    header.set_size(0);
    match file.map(|file| &file.content) {
        None => {
            header.set_entry_type(tar::EntryType::Directory);
            tar.append_data(&mut header, format!("{path}/"), io::empty())
        }
        Some(Content::Symlink(target)) => {
            header.set_entry_type(tar::EntryType::Symlink);
            tar.append_link(&mut header, path, target)
        }
        Some(Content::Bytes(bytes)) => {
            header.set_size(bytes.len() as u64);
            tar.append_data(&mut header, path, bytes.as_slice())
        }
    }
}

/// OCI image specification 1.1, "Image configuration". No time in it: it would make every build differ.
#[derive(Serialize)]
struct ConfigOut {
    architecture: &'static str,
    os: &'static str,
    config: Execution,
    rootfs: RootFsOut,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Execution {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    env: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    entrypoint: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    cmd: Vec<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    working_dir: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    labels: BTreeMap<String, String>,
}

#[derive(Serialize)]
struct RootFsOut {
    r#type: &'static str,
    diff_ids: [Digest; 1],
}

fn config(spec: &ImageSpec, arch: Arch, diff_id: Digest) -> ConfigOut {
    ConfigOut {
        architecture: arch.debian(),
        os: "linux",
        config: Execution {
            env: spec.env.iter().map(|(key, value)| format!("{key}={value}")).collect(),
            entrypoint: spec.entrypoint.clone(),
            cmd: spec.cmd.clone(),
            working_dir: spec.working_dir.clone(),
            labels: spec.labels.clone(),
        },
        rootfs: RootFsOut { r#type: "layers", diff_ids: [diff_id] },
    }
}
