//! What the tests of this crate share: a store in a temporary folder, and images written by hand.
#![allow(dead_code, unreachable_pub, missing_docs)]

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use captain_model::Arch;
use captain_oci::{Content, Digest, ImageFile, ImageSpec, Reference, Store};
use serde_json::{Value, json};

pub struct Bench {
    pub folder: tempfile::TempDir,
    pub store: Store,
}

pub fn bench() -> Bench {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path().join("images")).unwrap();
    Bench { folder, store }
}

impl Bench {
    /// Writes a tar with these files and gives its path.
    pub fn tar(&self, name: &str, files: &[(&str, &[u8])]) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, tar_of(files)).unwrap();
        path
    }

    /// Files left in the store's content folder and in its folder of work in progress.
    pub fn residue(&self) -> usize {
        let count =
            |part: &str| std::fs::read_dir(self.folder.path().join("images").join(part)).unwrap().count();
        count("blobs/sha256") + count("tmp")
    }
}

pub fn reference(text: &str) -> Reference {
    text.parse().unwrap()
}

pub fn tar_of(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, bytes) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        // Written raw: the tar crate would refuse the hostile names that some tests need.
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_cksum();
        tar.append(&header, *bytes).unwrap();
    }
    tar.into_inner().unwrap()
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(bytes).unwrap();
    gzip.finish().unwrap()
}

pub fn blob_name(bytes: &[u8]) -> String {
    format!("blobs/sha256/{}", Digest::of(bytes).hex())
}

pub fn descriptor(media_type: &str, bytes: &[u8]) -> Value {
    json!({ "mediaType": media_type, "digest": Digest::of(bytes).to_string(), "size": bytes.len() })
}

pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
pub const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

/// The blobs of a one-layer image and its manifest's descriptor.
pub struct Made {
    pub blobs: BTreeMap<String, Vec<u8>>,
    pub target: Value,
    pub layer: Vec<u8>,
    pub config: Vec<u8>,
}

pub fn image(arch: &str, text: &[u8]) -> Made {
    let layer = tar_of(&[("hello", text)]);
    let config = json!({ "architecture": arch, "os": "linux",
        "rootfs": { "type": "layers", "diff_ids": [Digest::of(&layer).to_string()] } });
    let config = config.to_string().into_bytes();
    let manifest = json!({ "schemaVersion": 2, "mediaType": MANIFEST, "config": descriptor(CONFIG, &config),
        "layers": [descriptor(LAYER, &layer)] });
    let manifest = manifest.to_string().into_bytes();
    let target = descriptor(MANIFEST, &manifest);
    let blobs = [layer.clone(), config.clone(), manifest].map(|bytes| (blob_name(&bytes), bytes));
    Made { blobs: blobs.into(), target, layer, config }
}

/// The files of a layout whose index holds `manifests`.
pub fn layout(manifests: &[Value], blobs: &BTreeMap<String, Vec<u8>>) -> Vec<(String, Vec<u8>)> {
    let index = json!({ "schemaVersion": 2, "manifests": manifests }).to_string().into_bytes();
    let mut files = vec![
        ("oci-layout".to_owned(), br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec()),
        ("index.json".to_owned(), index),
    ];
    files.extend(blobs.clone());
    files
}

pub fn borrowed(files: &[(String, Vec<u8>)]) -> Vec<(&str, &[u8])> {
    files.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect()
}

pub fn named(mut target: Value, name: &str) -> Value {
    target["annotations"] = json!({ "io.containerd.image.name": name });
    target
}

pub fn agent_spec() -> ImageSpec {
    let file = |path: &str, mode, text: &str, only| ImageFile {
        path: path.to_owned(),
        mode,
        content: Content::Bytes(text.as_bytes().to_vec()),
        only,
    };
    ImageSpec {
        files: vec![
            file("/usr/bin/tink-agent", 0o755, "#!/bin/sh\necho amd64\n", Some(Arch::Amd64)),
            file("/usr/bin/tink-agent", 0o755, "#!/bin/sh\necho arm64\n", Some(Arch::Arm64)),
            file("etc/motd", 0o644, "hello\n", None),
        ],
        platforms: vec![Arch::Arm64, Arch::Amd64],
        entrypoint: vec!["/usr/bin/tink-agent".to_owned()],
        env: vec![("A".to_owned(), "b".to_owned())],
        ..ImageSpec::default()
    }
}

pub fn exists(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| Path::new(&folder).join(program).is_file())
}
