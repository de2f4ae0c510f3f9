//! Layers laid over each other: replaced, deleted and hidden files. OCI image specification 1.1, "Whiteouts".
#![allow(missing_docs, clippy::unwrap_used)]

mod common;

use std::collections::BTreeMap;

use captain_model::Arch;
use captain_oci::{Digest, Error, Store};
use common::*;
use serde_json::json;

fn files(store: &Store, digest: &Digest, arch: Arch) -> Result<Vec<(String, String)>, Error> {
    let mut seen = Vec::new();
    store.read_files(digest, arch, |file| {
        let mut text = String::new();
        file.content.read_to_string(&mut text).unwrap();
        seen.push((file.path.to_owned(), text));
        Ok(())
    })?;
    seen.sort();
    Ok(seen)
}

/// Imports an image of these layers, lowest first.
fn layered(bench: &Bench, layers: &[Vec<u8>]) -> Digest {
    let diff_ids: Vec<_> = layers.iter().map(|layer| Digest::of(layer).to_string()).collect();
    let config = json!({ "architecture": "amd64", "os": "linux", "rootfs": { "diff_ids": diff_ids } });
    let config = config.to_string().into_bytes();
    let descriptors: Vec<_> = layers.iter().map(|layer| descriptor(LAYER, layer)).collect();
    let manifest =
        json!({ "schemaVersion": 2, "config": descriptor(CONFIG, &config), "layers": descriptors });
    let manifest = manifest.to_string().into_bytes();
    let target = named(descriptor(MANIFEST, &manifest), "a:1");
    let mut blobs: BTreeMap<_, _> = layers.iter().map(|layer| (blob_name(layer), layer.clone())).collect();
    blobs.extend([config, manifest].map(|bytes| (blob_name(&bytes), bytes)));
    let path = bench.tar("layered.tar", &borrowed(&layout(&[target], &blobs)));
    bench.store.import(&path, None).unwrap()[0].digest
}

#[test]
fn upper_layers_replace_delete_and_hide_what_lies_below_them() {
    let bench = bench();
    let digest = layered(
        &bench,
        &[
            tar_of(&[("keep", b"1"), ("replace", b"1"), ("delete", b"1"), ("d/one", b"1"), ("o/old", b"1")]),
            tar_of(&[
                ("replace", b"2"),
                (".wh.delete", b""),
                (".wh.d", b""),
                ("o/.wh..wh..opq", b""),
                ("o/new", b"2"),
            ]),
            tar_of(&[("delete", b"3"), ("./d/two", b"3")]),
        ],
    );
    let want = [("d/two", "3"), ("delete", "3"), ("keep", "1"), ("o/new", "2"), ("replace", "2")];
    let want = want.map(|(path, text)| (path.to_owned(), text.to_owned()));
    assert_eq!(files(&bench.store, &digest, Arch::Amd64).unwrap(), want);
}

#[test]
fn the_architecture_chooses_the_manifest_and_one_that_is_not_there_is_an_error() {
    let bench = bench();
    let digest = bench.store.assemble(&agent_spec(), &reference("a:1")).unwrap();
    for arch in Arch::ALL {
        let files = files(&bench.store, &digest, arch).unwrap();
        let agent = files.iter().find(|(path, _)| path == "usr/bin/tink-agent").unwrap();
        assert_eq!(agent.1, format!("#!/bin/sh\necho {arch}\n"));
    }
    let single = layered(&bench, &[tar_of(&[("x", b"1")])]);
    assert!(matches!(files(&bench.store, &single, Arch::Arm64), Err(Error::Unknown(_))));
}

#[test]
fn a_layer_that_names_something_outside_is_refused() {
    let bench = bench();
    let digest = layered(&bench, &[tar_of(&[("../evil", b"1")])]);
    assert!(matches!(files(&bench.store, &digest, Arch::Amd64), Err(Error::Traversal(_))));
}
