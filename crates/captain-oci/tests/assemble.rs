//! Assembly from a list of files.
#![allow(missing_docs, clippy::unwrap_used)]

mod common;

use std::io::Read;

use captain_model::Arch;
use captain_oci::{Digest, Error};
use common::*;
use serde_json::Value;

fn document(bench: &Bench, digest: &str) -> Value {
    let digest: Digest = digest.parse().unwrap();
    serde_json::from_slice(&std::fs::read(bench.store.blob(&digest).unwrap()).unwrap()).unwrap()
}

#[test]
fn equal_files_give_an_equal_image_in_whatever_order_they_are_listed() {
    let (one, two) = (bench(), bench());
    let mut spec = agent_spec();
    let first = one.store.assemble(&spec, &reference("a:1")).unwrap();
    spec.files.reverse();
    spec.platforms.reverse();
    assert_eq!(two.store.assemble(&spec, &reference("b:2")).unwrap(), first);
    spec.files[0].mode = 0o600;
    assert_ne!(two.store.assemble(&spec, &reference("b:2")).unwrap(), first);
}

#[test]
fn each_architecture_gets_its_own_files_with_their_modes_below_made_folders() {
    let bench = bench();
    let digest = bench.store.assemble(&agent_spec(), &reference("a:1")).unwrap();
    let index = document(&bench, &digest.to_string());
    for (at, arch) in ["amd64", "arm64"].into_iter().enumerate() {
        let target = &index["manifests"][at];
        assert_eq!(target["platform"]["architecture"], arch);
        let manifest = document(&bench, target["digest"].as_str().unwrap());
        let config = document(&bench, manifest["config"]["digest"].as_str().unwrap());
        assert_eq!(config["config"]["Entrypoint"][0], "/usr/bin/tink-agent");
        assert_eq!(config["config"]["Env"][0], "A=b");
        let layer: Digest = manifest["layers"][0]["digest"].as_str().unwrap().parse().unwrap();
        let mut tar = Vec::new();
        let file = std::fs::File::open(bench.store.blob(&layer).unwrap()).unwrap();
        flate2::read::GzDecoder::new(file).read_to_end(&mut tar).unwrap();
        assert_eq!(config["rootfs"]["diff_ids"][0], Digest::of(&tar).to_string());
        let mut seen = Vec::new();
        for entry in tar::Archive::new(tar.as_slice()).entries().unwrap() {
            let mut entry = entry.unwrap();
            let mut text = String::new();
            entry.read_to_string(&mut text).unwrap();
            let (path, mode) = (entry.path().unwrap().display().to_string(), entry.header().mode().unwrap());
            assert_eq!((entry.header().uid().unwrap(), entry.header().mtime().unwrap()), (0, 0));
            seen.push((path, mode, text));
        }
        let want = [
            ("etc/", 0o755, ""),
            ("etc/motd", 0o644, "hello\n"),
            ("usr/", 0o755, ""),
            ("usr/bin/", 0o755, ""),
            ("usr/bin/tink-agent", 0o755, &format!("#!/bin/sh\necho {arch}\n")),
        ];
        assert_eq!(seen, want.map(|(path, mode, text)| (path.to_owned(), mode, text.to_owned())));
    }
}

#[test]
fn a_specification_that_cannot_be_an_image_says_why() {
    let bench = bench();
    let twice = |spec: &mut captain_oci::ImageSpec| spec.files.push(spec.files[2].clone());
    let outside = |spec: &mut captain_oci::ImageSpec| spec.files[2].path = "../x".to_owned();
    let folder = |spec: &mut captain_oci::ImageSpec| spec.files[2].path = "usr/bin".to_owned();
    let nowhere = |spec: &mut captain_oci::ImageSpec| spec.platforms = Vec::<Arch>::new();
    let breaks: [&dyn Fn(&mut captain_oci::ImageSpec); 4] = [&twice, &outside, &folder, &nowhere];
    for change in breaks {
        let mut spec = agent_spec();
        change(&mut spec);
        let result = bench.store.assemble(&spec, &reference("a:1"));
        assert!(matches!(result, Err(Error::Spec(_))), "{result:?}");
    }
    assert_eq!(bench.residue(), 0);
}

#[test]
fn names_move_can_be_added_and_taken_away() {
    let bench = bench();
    let mut spec = agent_spec();
    let old = bench.store.assemble(&spec, &reference("a:1")).unwrap();
    spec.cmd = vec!["x".to_owned()];
    let new = bench.store.assemble(&spec, &reference("a:1")).unwrap();
    bench.store.tag(&old, &reference("a:old")).unwrap();
    let images = bench.store.images().unwrap();
    let tags: Vec<_> = images.iter().map(|image| (image.reference.tag(), image.digest)).collect();
    assert_eq!(tags, [("1", new), ("old", old)]);
    assert!(bench.store.untag(&reference("a:1")).unwrap());
    assert!(!bench.store.untag(&reference("a:1")).unwrap());
    let unknown = bench.store.tag(&Digest::of(b"?"), &reference("b:1"));
    assert!(matches!(unknown, Err(Error::Unknown(_))), "{unknown:?}");
}
