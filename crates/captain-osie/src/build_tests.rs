//! The builder's steps on an image without packages: what comes out, and that it always is the same.

use std::io::Read;

use captain_debian::Sha256 as Sum;
use captain_model::Arch;

use super::*;
use crate::modules::testing::{Module, shelf};

fn manifest() -> Manifest {
    Manifest {
        name: "test".to_owned(),
        arch: Arch::Amd64,
        suite: "trixie".to_owned(),
        source_date: 1_700_000_000,
        level: 3,
        debug: false,
        kernel: String::new(),
        local_kernel: None,
        releases: Vec::new(),
        packages: Vec::new(),
        modules: Vec::new(),
        units: Vec::new(),
        overlay: Vec::new(),
        containers: Vec::new(),
        tools: Vec::new(),
        outputs: Vec::new(),
    }
}

/// Builds a small image into `out`, which is its scratch folder too.
fn small(out: &Path) -> Manifest {
    let mut image = Image::new(out).unwrap();
    let modules = [
        Module::new("kernel/drivers/net/virtio_net.ko").modinfo("depends=failover"),
        Module::new("kernel/net/core/failover.ko"),
    ];
    image.shelf = shelf(&modules, &[], &mut image.pool);
    image.vmlinuz = Some(b"kernel".to_vec());
    let users = "u root 0 - /root /bin/bash\n";
    image.tree.write("usr/lib/sysusers.d/basic.conf", 0o644, users, &"test".into()).unwrap();
    for (name, text) in [("b", "BBB\n"), ("a", "AAA")] {
        let path = format!("usr/share/ca-certificates/mozilla/{name}.crt");
        image.tree.write(&path, 0o644, text, &"test".into()).unwrap();
    }
    let runner = Runner {
        image,
        debs: BTreeMap::new(),
        out: out.to_owned(),
        manifest: manifest(),
        tools: Vec::new(),
        lock: crate::lock::testing::lock(),
        cache: out.to_owned(),
        packed: Vec::new(),
    };
    let steps = [
        Step::Modules { wanted: vec!["virtio_net".to_owned()] },
        Step::Skeleton,
        Step::Overlay { source: OverlaySource::Embedded },
        Step::Accounts { root: RootLogin::Locked },
        Step::Certificates,
        Step::Units { services: Vec::new() },
        Step::Write { level: 3, files: Vec::new() },
    ];
    runner.run(&steps, &captain_debian::NoProgress).unwrap()
}

/// Paths and contents of an initramfs.
fn members(initramfs: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let mut decoder = zstd::Decoder::new(initramfs).unwrap();
    let (mut plain, mut list) = (Vec::new(), BTreeMap::new());
    decoder.read_to_end(&mut plain).unwrap();
    let mut rest = &plain[..];
    loop {
        let mut reader = cpio::newc::Reader::new(rest).unwrap();
        if reader.entry().is_trailer() {
            return list;
        }
        let mut data = Vec::new();
        reader.read_to_end(&mut data).unwrap();
        list.insert(reader.entry().name().to_owned(), data);
        rest = reader.finish().unwrap();
    }
}

#[test]
fn the_image_has_what_maintainer_scripts_would_have_made() {
    let folder = tempfile::tempdir().unwrap();
    small(folder.path());
    let files = members(&fs::read(folder.path().join("initramfs-x86_64")).unwrap());
    assert_eq!(files["etc/passwd"], b"root:x:0:0::/root:/bin/bash\n");
    assert_eq!(files["etc/shadow"], b"root:!*:::::::\n");
    assert_eq!(files["etc/ssl/certs/ca-certificates.crt"], b"AAA\nBBB\n");
    assert_eq!(files["etc/resolv.conf"], b"../run/systemd/resolve/resolv.conf");
    assert_eq!(files["etc/machine-id"], b"");
    assert!(files["init"].starts_with(b"#!/bin/sh"));
    for path in [
        "dev/console",
        "etc/systemd/system/multi-user.target.wants/tink-agent.service",
        "usr/lib/modules/6.0.0/kernel/net/core/failover.ko",
        "usr/lib/modules/6.0.0/modules.dep.bin",
    ] {
        assert!(files.contains_key(path), "{path}");
    }
}

#[test]
fn the_steps_make_what_they_made_when_assembly_was_last_raised() {
    let folder = tempfile::tempdir().unwrap();
    let manifest = small(folder.path());
    let laid = |path: &str| manifest.overlay.iter().any(|laid| laid.path == path);
    let mut files = members(&fs::read(folder.path().join("initramfs-x86_64")).unwrap());
    // Overlays are inputs, and which units there are to enable is theirs to say. Their folders count: another sum for
    // one that is new is no other assembly.
    files.retain(|path, _| !laid(path) && !path.starts_with("etc/systemd/system/"));
    let sum = Sum::of(format!("{files:?}").as_bytes()).to_string();
    assert_eq!(
        sum, "3c46308719f7963b393b93559b172378596d3abaa4580e51371a425b58635721",
        "same inputs, another image: raise ASSEMBLY in builder.rs"
    );
}

#[test]
fn the_manifest_names_every_input_and_output_with_its_sum() {
    let folder = tempfile::tempdir().unwrap();
    let manifest = small(folder.path());
    for output in &manifest.outputs {
        let bytes = fs::read(folder.path().join(&output.name)).unwrap();
        assert_eq!((output.sha256.clone(), output.size), (Sum::of(&bytes).to_string(), bytes.len() as u64));
    }
    assert_eq!(manifest.modules, ["failover", "virtio_net"]);
    assert!(manifest.units.contains(&"tink-agent.service".to_owned()));
    assert!(manifest.overlay.iter().any(|laid| laid.path == "init"));
    let json: serde_json::Value =
        serde_json::from_slice(&fs::read(folder.path().join("manifest-x86_64.json")).unwrap()).unwrap();
    assert_eq!(json["outputs"][0]["name"], "vmlinuz-x86_64");
    assert_eq!(json["arch"], "amd64");
}

#[test]
fn two_builds_in_two_folders_give_the_same_bytes_and_leave_nothing_else() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    assert_eq!(small(one.path()), small(two.path()));
    let list = |folder: &Path| {
        let mut names: Vec<_> =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    let expected = ["initramfs", "lock", "manifest", "sbom", "sizes", "vmlinuz"];
    assert_eq!(list(one.path()).len(), expected.len());
    for (name, start) in list(one.path()).iter().zip(expected) {
        assert!(name.to_string_lossy().starts_with(&format!("{start}-x86_64")), "{name:?}");
    }
    for name in list(one.path()) {
        assert_eq!(
            fs::read(one.path().join(&name)).unwrap(),
            fs::read(two.path().join(&name)).unwrap(),
            "{name:?}"
        );
    }
}

#[test]
fn the_bill_of_materials_names_every_package_and_what_it_refers_to() {
    let mut manifest = manifest();
    manifest.packages = crate::lock::testing::lock().packages;
    let output =
        |name: &str| captain_model::Artifact { name: name.to_owned(), sha256: "0".repeat(64), size: 1 };
    manifest.outputs = vec![output("vmlinuz-x86_64"), output("initramfs-x86_64")];
    let document = spdx::document(&manifest);
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let packages = document["packages"].as_array().unwrap();
    let mut ids: Vec<_> = packages.iter().map(|package| text(&package["SPDXID"])).collect();
    assert_eq!(ids.len(), 4);
    assert_eq!(
        packages[2]["externalRefs"][0]["referenceLocator"],
        "pkg:deb/debian/bash@5?arch=amd64&distro=trixie"
    );
    ids.push("SPDXRef-DOCUMENT".to_owned());
    let relations = document["relationships"].as_array().unwrap();
    for end in ["spdxElementId", "relatedSpdxElement"] {
        assert!(relations.iter().all(|relation| ids.contains(&text(&relation[end]))), "{relations:?}");
    }
    let of_kernel = relations.iter().filter(|relation| relation["spdxElementId"] == ids[0]);
    let parts: Vec<_> = of_kernel.map(|relation| text(&relation["relatedSpdxElement"])).collect();
    assert_eq!(parts, ["SPDXRef-deb-linux-image-6"]);
    assert_eq!(document["creationInfo"]["created"], "2023-11-14T22:13:20Z");
}

#[test]
fn a_kernel_that_is_no_package_is_in_the_bill_of_materials_by_its_sum() {
    let mut manifest = manifest();
    let (vmlinuz, modules) = (Sum::of(b"vmlinuz"), Sum::of(b"modules"));
    let version = "6.12.1-mine".to_owned();
    manifest.local_kernel = Some(crate::LocalKernel { version, vmlinuz, modules });
    let name = "vmlinuz-x86_64".to_owned();
    manifest.outputs = vec![captain_model::Artifact { name, sha256: vmlinuz.to_string(), size: 1 }];
    let document = spdx::document(&manifest);
    assert_eq!(document["packages"][1]["versionInfo"], "6.12.1-mine");
    assert_eq!(document["packages"][1]["checksums"][0]["checksumValue"], vmlinuz.to_string());
    let contains = &document["relationships"][1];
    assert_eq!(contains["relatedSpdxElement"], document["packages"][1]["SPDXID"]);
    assert_eq!(contains["spdxElementId"], document["packages"][0]["SPDXID"]);
}

/// A mirror that has nothing any more.
async fn empty_mirror() -> Mirrors {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/debian", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await;
            let _ = stream
                .write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
                .await;
        }
    });
    Mirrors::explicit(&url)
}

#[tokio::test]
async fn a_package_of_the_lock_that_the_mirror_dropped_is_named_with_the_ways_out() {
    let folder = tempfile::tempdir().unwrap();
    let options = BuildOptions::new(Arch::Amd64, folder.path());
    let packages = crate::lock::testing::lock().packages;
    let mirrors = empty_mirror().await;
    let error = fetch(&packages[..1], &mirrors, &options, &captain_debian::NoProgress).await.unwrap_err();
    let text = error.to_string();
    for word in ["bash 5 ", "pool/bash_5_amd64.deb", "--update", "--from-bundle", "mirror"] {
        assert!(text.contains(word), "{word}: {text}");
    }
    let offline = BuildOptions { offline: true, ..options };
    let error = fetch(&packages[..1], &mirrors, &offline, &captain_debian::NoProgress).await.unwrap_err();
    assert!(error.to_string().contains("--offline"), "{error}");
}
