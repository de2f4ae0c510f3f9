//! The builder against the real Debian archive.

use std::path::Path;
use std::process::Command;

use captain_tests::{cache, captaind, run, slow_tests};
use serde_json::Value;

/// 80 MB, as a person counts them.
const MOST_BYTES: u64 = 80_000_000;

#[test]
fn an_osie_is_built_verified_and_small_and_the_same_twice() {
    if !slow_tests() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    for out in ["one", "two"] {
        run(folder.path(), &["build", "-o", out]).expect_code(0);
    }
    let size = std::fs::metadata(folder.path().join("one/initramfs-x86_64")).expect("an initramfs").len();
    assert!(size <= MOST_BYTES, "{size} bytes");
    for file in ["vmlinuz-x86_64", "initramfs-x86_64"] {
        let read = |out: &str| std::fs::read(folder.path().join(out).join(file)).expect("a built file");
        assert!(read("one") == read("two"), "{file} differs between two builds");
    }
    every_package_has_a_hash(&folder.path().join("one/manifest-x86_64.json"));
}

fn every_package_has_a_hash(path: &Path) {
    let manifest: Value =
        serde_json::from_slice(&std::fs::read(path).expect("a manifest")).expect("the manifest is JSON");
    let packages = manifest["packages"].as_array().expect("a list of packages");
    for wanted in ["systemd", "containerd", "runc"] {
        assert!(packages.iter().any(|package| package["name"] == wanted), "no {wanted}");
    }
    for package in packages {
        assert_eq!(package["sha256"].as_str().map(str::len), Some(64), "{package}");
    }
}

#[test]
fn a_plan_names_packages_and_writes_no_image() {
    if !slow_tests() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let out = run(folder.path(), &["plan", "--json"]).expect_code(0);
    let plan: Value = serde_json::from_str(&out.stdout).expect("the plan is JSON");
    assert!(plan.to_string().contains("containerd"));
    assert_eq!(std::fs::read_dir(folder.path()).expect("the folder").count(), 0);
}

#[test]
fn a_package_file_that_was_tampered_with_in_the_cache_stops_the_build_and_is_named() {
    if !slow_tests() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    run(folder.path(), &["build", "-o", "out"]).expect_code(0);
    let copy = folder.path().join("cache");
    let copied =
        Command::new("cp").args(["-r", "--reflink=auto"]).arg(cache().join("debian")).arg(&copy).status();
    assert!(copied.expect("cp starts").success());
    let victim = tamper(&copy);
    let config = folder.path().join("captaind.toml");
    std::fs::write(&config, "").expect("a configuration");
    let parent = folder.path().join("moved");
    std::fs::create_dir_all(&parent).expect("a folder");
    std::fs::rename(&copy, parent.join("debian")).expect("the copy moves");
    let out = Command::new(captaind())
        .args(["build", "--offline", "-o", "again", "--cache-dir"])
        .arg(&parent)
        .current_dir(folder.path())
        .output()
        .expect("captaind starts");
    let stderr = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("runc"), "the error does not name the file of {}:\n{stderr}", victim.display());
    assert!(!folder.path().join("again/initramfs-x86_64").exists());
}

/// Changes one byte in the middle of the cached runc package.
fn tamper(cache: &Path) -> std::path::PathBuf {
    let manifest = std::fs::read(cache.parent().expect("a folder").join("out/manifest-x86_64.json"));
    let manifest: Value = serde_json::from_slice(&manifest.expect("a manifest")).expect("JSON");
    let runc = manifest["packages"].as_array().and_then(|all| all.iter().find(|one| one["name"] == "runc"));
    let sha256 = runc.and_then(|one| one["sha256"].as_str()).expect("runc has a hash").to_owned();
    let found =
        Command::new("find").arg(cache).args(["-name", &format!("{sha256}*")]).output().expect("find");
    let path = String::from_utf8_lossy(&found.stdout).lines().next().expect("runc is cached").to_owned();
    let mut bytes = std::fs::read(&path).expect("the package");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&path, bytes).expect("the package is written");
    path.into()
}
