//! Import: every shape of archive that container tools write, and every way in which one can be wrong.
#![allow(missing_docs, clippy::unwrap_used)]

mod common;

use captain_oci::{Digest, Error};
use common::*;
use serde_json::json;

fn docker_manifest(layer: &str, tags: &[&str]) -> Vec<u8> {
    json!([{ "Config": "cfg.json", "RepoTags": tags, "Layers": [layer] }]).to_string().into_bytes()
}

#[test]
fn an_old_docker_archive_becomes_a_gzip_image_under_its_own_name() {
    let bench = bench();
    let made = image("amd64", b"hi");
    let manifest = docker_manifest("abc/layer.tar", &["tink-agent:1", "x/y:2"]);
    let files: [(&str, &[u8]); 3] =
        [("cfg.json", &made.config), ("abc/layer.tar", &made.layer), ("manifest.json", &manifest)];
    let imported = bench.store.import(&bench.tar("a.tar", &files), None).unwrap();
    let names: Vec<_> = imported.iter().map(|image| image.reference.to_string()).collect();
    assert_eq!(names, ["docker.io/library/tink-agent:1", "docker.io/x/y:2"]);
    let images = bench.store.images().unwrap();
    assert_eq!(images[0].platforms, ["linux/amd64"]);
    // config, gzip layer, manifest; nothing in work.
    assert_eq!(bench.residue(), 3);
    assert!(bench.store.blob(&Digest::of(&made.layer)).is_none(), "the layer is kept compressed");
}

#[test]
fn importing_twice_changes_nothing_and_a_gzip_archive_is_the_same_image() {
    let bench = bench();
    let made = image("amd64", b"hi");
    let manifest = docker_manifest("l.tar", &["a:1"]);
    let files: [(&str, &[u8]); 3] =
        [("manifest.json", &manifest), ("cfg.json", &made.config), ("l.tar", &made.layer)];
    let first = bench.store.import(&bench.tar("a.tar", &files), None).unwrap();
    let packed = bench.folder.path().join("a.tar.gz");
    std::fs::write(&packed, gzip(&tar_of(&files))).unwrap();
    assert_eq!(bench.store.import(&packed, None).unwrap(), first);
    assert_eq!((bench.store.images().unwrap().len(), bench.residue()), (1, 3));
}

#[test]
fn layers_that_are_links_to_other_layers_are_followed() {
    let bench = bench();
    let made = image("amd64", b"hi");
    let diff_id = Digest::of(&made.layer).to_string();
    let config =
        json!({ "architecture": "amd64", "os": "linux", "rootfs": { "diff_ids": [diff_id, diff_id] } });
    let manifest = json!([{ "Config": "c", "RepoTags": ["a:1"], "Layers": ["x/layer.tar", "y/layer.tar"] }]);
    let mut tar = tar::Builder::new(Vec::new());
    for (name, bytes) in
        [("c", config.to_string().as_bytes()), ("manifest.json", manifest.to_string().as_bytes())]
    {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        tar.append_data(&mut header, name, bytes).unwrap();
    }
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Symlink);
    header.set_size(0);
    tar.append_link(&mut header, "x/layer.tar", "../y/layer.tar").unwrap();
    let mut header = tar::Header::new_gnu();
    header.set_size(made.layer.len() as u64);
    tar.append_data(&mut header, "y/layer.tar", made.layer.as_slice()).unwrap();
    let path = bench.folder.path().join("a.tar");
    std::fs::write(&path, tar.into_inner().unwrap()).unwrap();
    assert_eq!(bench.store.import(&path, None).unwrap().len(), 1);
}

#[test]
fn a_layout_keeps_its_digests_as_folder_as_tar_and_inside_a_docker_archive() {
    let made = image("arm64", b"hi");
    let mut files = layout(&[named(made.target.clone(), "registry.example/a/b:1")], &made.blobs);
    for docker in [false, true] {
        if docker {
            files.push(("manifest.json".to_owned(), b"[]".to_vec()));
        }
        let bench = bench();
        let imported = bench.store.import(&bench.tar("a.tar", &borrowed(&files)), None).unwrap();
        assert_eq!(imported[0].reference, reference("registry.example/a/b:1"));
        assert_eq!(imported[0].digest.to_string(), made.target["digest"]);
    }
    let bench = bench();
    let folder = bench.folder.path().join("layout");
    for (name, bytes) in &files {
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
    let imported = bench.store.import(&folder, Some("other:2")).unwrap();
    assert_eq!(imported[0].reference, reference("other:2"));
    assert_eq!(imported[0].digest.to_string(), made.target["digest"]);
}

#[test]
fn a_nested_index_brings_all_platforms_that_are_there() {
    let bench = bench();
    let (amd, arm, absent) = (image("amd64", b"1"), image("arm64", b"2"), image("riscv64", b"3"));
    let index = json!({ "schemaVersion": 2, "mediaType": INDEX,
        "manifests": [amd.target, arm.target, absent.target] });
    let index = index.to_string().into_bytes();
    let mut blobs = amd.blobs;
    blobs.extend(arm.blobs);
    blobs.insert(blob_name(&index), index.clone());
    let files = layout(&[named(descriptor(INDEX, &index), "a:1")], &blobs);
    let imported = bench.store.import(&bench.tar("a.tar", &borrowed(&files)), None).unwrap();
    assert_eq!(imported[0].digest, Digest::of(&index));
    assert_eq!(bench.store.images().unwrap()[0].platforms, ["linux/amd64", "linux/arm64"]);
}

#[test]
fn several_manifests_of_one_name_become_one_index() {
    let bench = bench();
    let (amd, arm) = (image("amd64", b"1"), image("arm64", b"2"));
    let mut blobs = amd.blobs;
    blobs.extend(arm.blobs);
    let files = layout(&[amd.target, arm.target], &blobs);
    let path = bench.tar("a.tar", &borrowed(&files));
    assert!(matches!(bench.store.import(&path, None), Err(Error::Nameless)));
    bench.store.import(&path, Some("a:1")).unwrap();
    assert_eq!(bench.store.images().unwrap()[0].platforms, ["linux/amd64", "linux/arm64"]);
}

#[test]
fn one_name_for_two_different_images_is_refused() {
    let bench = bench();
    let (one, two) = (image("amd64", b"1"), image("amd64", b"2"));
    let mut blobs = one.blobs;
    blobs.extend(two.blobs);
    let files = layout(&[one.target, two.target], &blobs);
    let path = bench.tar("a.tar", &borrowed(&files));
    assert!(matches!(bench.store.import(&path, Some("a:1")), Err(Error::Several(2))));
    assert_eq!(bench.residue(), 0);
}

#[test]
fn nothing_stays_of_an_image_that_is_wrong_in_any_way() {
    let made = image("amd64", b"hi");
    let layer_name = blob_name(&made.layer);
    let mut damaged = made.blobs.clone();
    damaged.get_mut(&layer_name).unwrap()[600] ^= 1;
    let mut incomplete = made.blobs.clone();
    incomplete.remove(&layer_name);
    let mut oversized = made.target.clone();
    oversized["size"] = json!(1);
    let mut both = made.blobs.clone();
    let two_faced = json!({ "schemaVersion": 2, "manifests": [], "config": {}, "layers": [] }).to_string();
    both.insert(blob_name(two_faced.as_bytes()), two_faced.clone().into_bytes());
    let both_target = descriptor(MANIFEST, two_faced.as_bytes());
    for (what, target, blobs) in [
        ("damaged", &made.target, damaged),
        ("incomplete", &made.target, incomplete),
        ("size", &oversized, made.blobs.clone()),
        ("two-faced", &both_target, both),
    ] {
        let bench = bench();
        let files = layout(&[named(target.clone(), "a:1")], &blobs);
        let result = bench.store.import(&bench.tar("a.tar", &borrowed(&files)), None);
        assert!(
            matches!(result, Err(Error::Mismatch { .. } | Error::Missing(_) | Error::Document { .. })),
            "{what}: {result:?}"
        );
        assert_eq!((bench.residue(), bench.store.images().unwrap().len()), (0, 0), "{what}");
    }
}

#[test]
fn a_docker_layer_that_is_not_what_the_configuration_says_is_refused() {
    let bench = bench();
    let made = image("amd64", b"hi");
    let manifest = docker_manifest("l.tar", &["a:1"]);
    for layer in [tar_of(&[("hello", b"no")]), gzip(&tar_of(&[("hello", b"no")]))] {
        let files: [(&str, &[u8]); 3] =
            [("manifest.json", &manifest), ("cfg.json", &made.config), ("l.tar", &layer)];
        let result = bench.store.import(&bench.tar("a.tar", &files), None);
        assert!(matches!(result, Err(Error::Mismatch { .. })), "{result:?}");
        assert_eq!(bench.residue(), 0);
    }
}

#[test]
fn names_that_lead_out_of_the_archive_are_refused_wherever_they_stand() {
    let bench = bench();
    let made = image("amd64", b"hi");
    let outside = bench.folder.path().join("secret");
    std::fs::write(&outside, b"{}").unwrap();
    let entries: [(&str, &[u8]); 1] = [("../../evil", b"x")];
    let absolute: [(&str, &[u8]); 1] = [("/etc/evil", b"x")];
    let manifest = json!([{ "Config": "../secret", "RepoTags": ["a:1"], "Layers": [] }]).to_string();
    let reference: [(&str, &[u8]); 2] = [("manifest.json", manifest.as_bytes()), ("cfg.json", &made.config)];
    for files in [&entries[..], &absolute[..], &reference[..]] {
        let result = bench.store.import(&bench.tar("a.tar", files), None);
        assert!(matches!(result, Err(Error::Traversal(_))), "{result:?}");
    }
    let folder = bench.folder.path().join("layout");
    std::fs::create_dir_all(&folder).unwrap();
    std::os::unix::fs::symlink(&outside, folder.join("manifest.json")).unwrap();
    assert!(bench.store.import(&folder, None).is_err(), "a link out of the folder is not followed");
    assert_eq!(bench.residue(), 0);
}

#[test]
fn what_is_no_image_is_called_that() {
    let bench = bench();
    let path = bench.folder.path().join("file");
    for bytes in [b"".to_vec(), b"hello".to_vec(), vec![7; 4096], tar_of(&[("a", b"b")])] {
        std::fs::write(&path, bytes).unwrap();
        let result = bench.store.import(&path, None);
        assert!(matches!(result, Err(Error::NotAnImage(_))), "{result:?}");
    }
    let result = bench.store.import(&path, Some("NOT a name"));
    assert!(matches!(result, Err(Error::Name(_))), "{result:?}");
}
