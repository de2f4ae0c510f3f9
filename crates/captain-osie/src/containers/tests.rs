//! Images made by hand, put into an image and into a bundle.

use std::io::Write;

use captain_model::Recipe;

use super::*;
use crate::tree::{Content, Node};

/// A layer's tar; a name with a `>` is a link to what follows it, one with `=>` a hard link.
fn layer(files: &[(&str, &str)]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, text) in files {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o755);
        header.set_mtime(7);
        header.set_size(0);
        header.set_uid(0);
        header.set_gid(0);
        let mut content = &b""[..];
        let mut name = *name;
        if let Some((path, target)) = name.split_once('>') {
            let hard = path.ends_with('=');
            header.set_entry_type(if hard { tar::EntryType::Link } else { tar::EntryType::Symlink });
            header.set_link_name_literal(target).unwrap();
            name = path.trim_end_matches('=');
        } else if !name.ends_with('/') {
            header.set_size(text.len() as u64);
            content = text.as_bytes();
        } else {
            header.set_entry_type(tar::EntryType::Directory);
        }
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_cksum();
        tar.append(&header, content).unwrap();
    }
    tar.into_inner().unwrap()
}

/// An archive as `docker save` writes it.
fn docker_archive(path: &Path, layers: &[Vec<u8>]) {
    let names: Vec<_> = (0..layers.len()).map(|number| format!("{number}/layer.tar")).collect();
    let ids: Vec<_> = layers.iter().map(|layer| Digest::of(layer).to_string()).collect();
    let config = serde_json::json!({ "architecture": "amd64", "os": "linux",
        "config": { "Entrypoint": ["/bin/scan"], "Cmd": null, "Env": ["A=b"], "User": "5:6" },
        "rootfs": { "type": "layers", "diff_ids": ids } });
    let manifest =
        serde_json::json!([{ "Config": "config.json", "RepoTags": ["my/scanner:1"], "Layers": names }]);
    let mut tar = tar::Builder::new(std::fs::File::create(path).unwrap());
    let mut add = |name: &str, bytes: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, name, bytes).unwrap();
    };
    for (name, layer) in names.iter().zip(layers) {
        add(name, layer);
    }
    add("config.json", config.to_string().as_bytes());
    add("manifest.json", manifest.to_string().as_bytes());
    tar.into_inner().unwrap().flush().unwrap();
}

struct Bench {
    folder: tempfile::TempDir,
    options: BuildOptions,
    recipe: Recipe,
}

fn bench(layers: &[Vec<u8>]) -> Bench {
    let folder = tempfile::tempdir().unwrap();
    let archive = folder.path().join("scanner.tar");
    docker_archive(&archive, layers);
    let options = BuildOptions::new(Arch::Amd64, folder.path().join("cache"));
    let containers = vec![archive.display().to_string()];
    Bench { folder, options, recipe: Recipe { containers, ..Recipe::new("test") } }
}

fn put_in(bench: &Bench) -> Result<(Vec<Container>, Image), Error> {
    let locked = lock(&bench.recipe, &bench.options)?;
    let mut image = Image::new(bench.folder.path())?;
    for container in &locked {
        add(container, &mut image, Arch::Amd64, &bench.options.cache)?;
    }
    Ok((locked, image))
}

#[test]
fn an_archives_files_lie_in_the_image_once_with_a_unit_that_runs_them() {
    let lower = layer(&[
        ("usr/bin/", ""),
        ("bin>/usr/bin", ""),
        ("usr/bin/scan", "old"),
        ("usr/bin/again=>usr/bin/scan", ""),
        ("etc/passwd", "app:x:5:6::/:/bin/sh\n"),
        ("gone", "x"),
    ]);
    let upper = layer(&[("usr/bin/scan", "new"), (".wh.gone", ""), ("bin/through", "link")]);
    let (locked, image) = put_in(&bench(&[lower, upper])).unwrap();
    assert_eq!((locked[0].name.as_str(), locked[0].source.as_str()), ("scanner", "scanner.tar"));
    let root = "usr/lib/captain/containers/scanner/rootfs";
    let text = |path: &str| image.text(&format!("{root}/{path}")).unwrap();
    assert_eq!(text("usr/bin/scan").as_deref(), Some("new"));
    assert_eq!(text("usr/bin/through").as_deref(), Some("link"), "below a link: where it leads in the image");
    assert_eq!(text("gone"), None);
    let link = &image.tree.get(&format!("{root}/bin")).unwrap().node;
    assert!(matches!(link, Node::Symlink(target) if target == "/usr/bin"), "{link:?}");
    assert!(image.tree.get("usr/bin/through").is_none(), "nothing of it lies in the OSIE itself");
    let config = image.text("usr/lib/captain/containers/scanner/config.json").unwrap().unwrap();
    let config: serde_json::Value = serde_json::from_str(&config).unwrap();
    assert_eq!(config["process"]["user"], serde_json::json!({ "uid": 5, "gid": 6 }));
    assert_eq!(config["process"]["env"][0], "A=b");
    let unit = image.text("etc/systemd/system/captain-container-scanner.service").unwrap().unwrap();
    assert!(unit.contains("runc run --bundle /usr/lib/captain/containers/scanner scanner\n"), "{unit}");
}

#[test]
fn a_layer_that_leads_out_of_its_image_is_refused() {
    for evil in ["../evil", "usr/../../evil"] {
        let error = put_in(&bench(&[layer(&[(evil, "x")])])).err().unwrap().to_string();
        assert!(error.contains("evil") && error.contains("leads out"), "{error}");
    }
    let (_, image) = put_in(&bench(&[layer(&[("up>../../../../../..", ""), ("up/evil", "x")])])).unwrap();
    assert!(image.tree.get("evil").is_none(), "`..` ends at the container's own root");
    assert!(image.tree.file("usr/lib/captain/containers/scanner/rootfs/evil").is_some());
    let hard = layer(&[("passwd=>../../etc/shadow", "")]);
    assert!(put_in(&bench(&[hard])).err().unwrap().to_string().contains("hard link"));
}

#[test]
fn what_is_written_through_an_absolute_link_stays_within_the_container() {
    for target in ["/etc", "/../../etc", "/"] {
        let lower = layer(&[("etc/", ""), (&format!("up>{target}"), "")]);
        let (_, image) = put_in(&bench(&[lower, layer(&[("up/shadow", "evil")])])).unwrap();
        let root = "usr/lib/captain/containers/scanner/rootfs";
        assert!(image.tree.get("etc/shadow").is_none() && image.tree.get("shadow").is_none(), "{target}");
        let inside = [format!("{root}/etc/shadow"), format!("{root}/shadow")];
        assert_eq!(inside.iter().filter(|path| image.tree.file(path).is_some()).count(), 1, "{target}");
    }
}

#[test]
fn devices_are_left_out_and_owners_that_do_not_exist_are_refused() {
    let special = |kind: tar::EntryType, uid: u64| {
        let mut header = tar::Header::new_gnu();
        header.set_path("special").unwrap();
        header.set_entry_type(kind);
        header.set_mode(0o4755);
        header.set_size(0);
        header.set_uid(uid);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_device_major(8).unwrap();
        header.set_device_minor(0).unwrap();
        header.set_cksum();
        [&header.as_bytes()[..], &layer(&[("a", "x")])].concat()
    };
    for kind in [tar::EntryType::Block, tar::EntryType::Char] {
        let (_, image) = put_in(&bench(&[special(kind, 0)])).unwrap();
        let root = "usr/lib/captain/containers/scanner/rootfs";
        assert!(image.tree.get(&format!("{root}/special")).is_none(), "{kind:?}");
        assert!(image.tree.file(&format!("{root}/a")).is_some());
    }
    // Cut to 32 bits it would be root's.
    let error = put_in(&bench(&[special(tar::EntryType::Regular, 1 << 32)])).err().unwrap().to_string();
    assert!(error.contains("special"), "{error}");
}

#[test]
fn of_two_entries_for_one_path_the_later_one_stays_as_tar_has_it() {
    let file = |layers: &[(&str, &str)]| {
        let (_, image) = put_in(&bench(&[layer(layers)])).unwrap();
        image.text("usr/lib/captain/containers/scanner/rootfs/a").unwrap()
    };
    assert_eq!(file(&[("a", "one"), ("a", "two")]).as_deref(), Some("two"));
    assert_eq!(file(&[("b", "linked"), ("a=>b", ""), ("a", "two")]).as_deref(), Some("two"));
    assert_eq!(file(&[("b", "linked"), ("a", "one"), ("a=>b", "")]).as_deref(), Some("linked"));
}

#[test]
fn hard_links_share_their_content() {
    let (_, image) = put_in(&bench(&[layer(&[("a", "text"), ("b=>a", "")])])).unwrap();
    let file =
        |name: &str| image.tree.file(&format!("usr/lib/captain/containers/scanner/rootfs/{name}")).cloned();
    let (a, b) = (file("a").unwrap(), file("b").unwrap());
    assert!(std::sync::Arc::ptr_eq(&a, &b) && matches!(&*a, Content::Pooled(_)));
}

#[test]
fn what_cannot_be_taken_is_named_with_the_way_out() {
    let mut bench = bench(&[layer(&[("a", "x")])]);
    for (source, words) in [
        ("docker://my/scanner:1", "docker save -o IMAGE.tar my/scanner:1"),
        ("registry.example/my/scanner:1", "captaind image import"),
        ("/nowhere/x.tar", "/nowhere/x.tar"),
    ] {
        bench.recipe.containers = vec![source.to_owned()];
        let error = lock(&bench.recipe, &bench.options).unwrap_err().to_string();
        assert!(error.contains(source) && error.contains(words), "{error}");
    }
    let error = {
        let other = BuildOptions { arch: Arch::Arm64, ..bench.options.clone() };
        bench.recipe.containers = vec![bench.folder.path().join("scanner.tar").display().to_string()];
        lock(&bench.recipe, &other).unwrap_err().to_string()
    };
    assert!(error.contains("arm64"), "{error}");
}

#[test]
fn a_bundles_content_is_taken_in_by_its_sum_only() {
    let bench = bench(&[layer(&[("a", "x")])]);
    let lock =
        Lock { containers: lock(&bench.recipe, &bench.options).unwrap(), ..crate::lock::testing::lock() };
    let (there, here) = (bench.folder.path().join("there"), &bench.options.cache);
    assert!(contents(&lock, &there).unwrap_err().to_string().contains("--update"));
    for (digest, path) in contents(&lock, here).unwrap() {
        let bytes = std::fs::read(path).unwrap();
        assert!(take_in(&digest.hex(), &mut &bytes[1..], &there).is_err());
        take_in(&digest.hex(), &mut &bytes[..], &there).unwrap();
    }
    assert_eq!(contents(&lock, &there).unwrap().len(), 3);
}

#[test]
fn an_image_that_the_engine_saved_is_found_by_what_the_recipe_says() {
    let mut bench = bench(&[layer(&[("a", "x")])]);
    let archive = bench.folder.path().join("scanner.tar");
    bench.recipe.containers = vec!["docker://my/scanner:1".to_owned(), "docker://other".to_owned()];
    assert_eq!(engine_images(&bench.recipe).last(), Some(("docker://other", "other")));
    let other = bench.folder.path().join("other.tar");
    docker_archive(&other, &[layer(&[("b", "y")])]);
    for ((source, _), archive) in engine_images(&bench.recipe).zip([archive, other]) {
        take_engine_image(source, &archive, &bench.options.cache).unwrap();
    }
    let (locked, image) = put_in(&bench).unwrap();
    let names: Vec<_> = locked.iter().map(|it| (it.source.as_str(), it.name.as_str())).collect();
    assert_eq!(names, [("docker://my/scanner:1", "scanner"), ("docker://other", "other")]);
    for file in ["scanner/rootfs/a", "other/rootfs/b"] {
        assert!(image.text(&format!("usr/lib/captain/containers/{file}")).unwrap().is_some(), "{file}");
    }
}

#[test]
fn units_are_named_after_images_and_never_twice_the_same() {
    for (source, name) in
        [("my/scanner:1", "scanner"), ("r.example:5000/a/b_c@sha256:00", "b-c"), ("/x/y.tar.gz", "y")]
    {
        assert_eq!(short_name(source), name);
    }
    let mut taken = BTreeSet::new();
    assert_eq!([unique("a", &mut taken), unique("a", &mut taken)], ["a", "a-2"]);
}
