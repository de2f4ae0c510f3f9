//! Locks for tests.

use super::*;

pub(crate) fn package(name: &str, version: &str) -> PackageRef {
    let content = format!("{name} {version}");
    PackageRef {
        name: name.to_owned(),
        version: version.to_owned(),
        arch: "amd64".to_owned(),
        suite: "trixie".to_owned(),
        path: format!("pool/{name}_{version}_amd64.deb"),
        sha256: Sha256::of(content.as_bytes()),
        size: content.len() as u64,
        source: content,
        why: "wanted".to_owned(),
    }
}

/// A lock of the recipe `test`; its packages hold `NAME VERSION`.
pub(crate) fn lock() -> Lock {
    let recipe = Recipe::new("test");
    let options = BuildOptions::new(Arch::Amd64, "/nowhere");
    Lock {
        builder: Some(Builder::ours()),
        recipe_sha256: sum(&recipe, &options).unwrap(),
        recipe,
        arch: Arch::Amd64,
        debug: false,
        level: 3,
        source_date: 1_700_000_000,
        releases: Vec::new(),
        kernel: Some("linux-image-6".to_owned()),
        local_kernel: None,
        kernel_inputs: None,
        loader: Some(package("ipxe", "1")),
        media: vec![package("shim-signed", "1")],
        packages: vec![package("bash", "5"), package("linux-image-6", "6")],
        overlay: Vec::new(),
        containers: Vec::new(),
    }
}
