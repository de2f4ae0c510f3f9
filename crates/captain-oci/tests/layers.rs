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

/// Why an image with this layer on top of one honest file cannot be read.
fn refused(layer: Vec<u8>) -> String {
    let bench = bench();
    let digest = layered(&bench, &[tar_of(&[("keep", b"1")]), layer]);
    files(&bench.store, &digest, Arch::Amd64).unwrap_err().to_string()
}

/// A tar's header for a file, whatever follows it.
fn claims(size: u64) -> Vec<u8> {
    let mut header = tar::Header::new_gnu();
    header.set_path("big").unwrap();
    header.set_size(size);
    header.set_mode(0o644);
    header.set_cksum();
    header.as_bytes().to_vec()
}

#[test]
fn a_layer_whose_file_claims_more_than_the_layer_holds_is_refused() {
    for size in [4096, 1 << 50, u64::MAX] {
        let error = refused([claims(size), vec![b'x'; 1024]].concat());
        assert!(error.contains("cannot be read"), "{error}");
    }
}

#[test]
fn a_whiteout_of_the_folder_that_it_lies_in_or_of_what_is_above_that_is_refused() {
    for name in [".wh.", ".wh..", ".wh...", "d/.wh.", "d/.wh..."] {
        assert!(refused(tar_of(&[(name, b"")])).contains("leads out of it"), "{name}");
    }
    assert!(refused(tar_of(&[("../.wh.etc", b"")])).contains("leads out of it"));
}

#[test]
fn a_layer_may_be_packed_by_zstd_too_and_one_that_unpacks_to_far_more_than_it_is_is_refused() {
    let bench = bench();
    let zstd = |tar: &[u8]| zstd::encode_all(tar, 1).unwrap();
    let digest = layered(&bench, &[gzip(&tar_of(&[("low", b"1")])), zstd(&tar_of(&[("high", b"2")]))]);
    let read = files(&bench.store, &digest, Arch::Amd64).unwrap();
    assert_eq!(read.iter().map(|(path, _)| path.as_str()).collect::<Vec<_>>(), ["high", "low"]);

    // A GiB of zeros in some hundred kilobytes: made as a stream, as nobody has the memory for that.
    let size = (1 << 30) + (100 << 20);
    let head = claims(size);
    let tar = std::io::Read::chain(&head[..], std::io::Read::take(std::io::repeat(0), size));
    let bomb = zstd::encode_all(tar, 1).unwrap();
    assert!(bomb.len() < 1 << 20, "{}", bomb.len());
    let digest = layered(&bench, &[bomb]);
    let mut shown = 0;
    let error = bench.store.read_files(&digest, Arch::Amd64, |file| {
        shown = std::io::copy(file.content, &mut std::io::sink()).unwrap_or_default();
        Ok(())
    });
    let error = error.unwrap_err().to_string();
    assert!(error.contains("more than 50 times its size"), "{error}");
}
