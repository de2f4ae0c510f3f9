//! The builder against the real Debian archive.

use std::path::Path;
use std::process::Command;

use captain_tests::{cache, captaind, run, slow_tests};
use serde_json::Value;

/// At the default level, which is a fifth larger than level 19: there the default recipe may have 70 MB.
const MOST_BYTES: u64 = 72_000_000;

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
    assert_eq!(plan.as_array().map(Vec::len), Some(1), "one for each architecture");
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

#[test]
fn a_kernel_of_ones_own_is_taken_with_its_modules_and_one_for_another_machine_is_refused() {
    if !slow_tests() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    run(folder.path(), &["build", "-o", "debian"]).expect_code(0);
    let debian = manifest(&folder.path().join("debian"));
    unpack_kernel(&debian, &folder.path().join("mine"));
    run(folder.path(), &["build", "--kernel", "./mine", "-o", "own"]).expect_code(0);
    let own = manifest(&folder.path().join("own"));
    assert_eq!(own["kernel"], debian["kernel"]);
    assert_eq!(own["modules"], debian["modules"]);
    assert_eq!(own["local_kernel"]["vmlinuz"], own["outputs"][0]["sha256"]);
    let names =
        own["packages"].as_array().expect("packages").iter().map(|package| package["name"].to_string());
    assert!(!names.into_iter().any(|name| name.contains("linux-image")));
    let lock = std::fs::read_to_string(folder.path().join("own/lock-x86_64.json")).expect("a lock");
    assert!(!lock.contains("mine"), "the lock says where the kernel lay");
    let out =
        run(folder.path(), &["build", "--arch", "arm64", "--kernel", "./mine", "-o", "arm"]).expect_code(64);
    assert!(out.stderr.contains("no vmlinuz* that is a kernel for arm64"), "{}", out.stderr);
}

fn manifest(folder: &Path) -> Value {
    let text = std::fs::read(folder.join("manifest-x86_64.json")).expect("a manifest");
    serde_json::from_slice(&text).expect("the manifest is JSON")
}

/// Unpacks the kernel package of a built OSIE.
fn unpack_kernel(manifest: &Value, to: &Path) {
    let packages = manifest["packages"].as_array().expect("packages");
    let is_kernel = |name: &str| name.starts_with("linux-image-") && name.contains('.');
    let kernel = packages.iter().find(|package| package["name"].as_str().is_some_and(is_kernel));
    let sum = kernel.expect("a kernel package")["sha256"].as_str().expect("a sum").to_owned();
    let deb = cache().join("debian/by-sha256").join(&sum[..2]).join(&sum);
    let unpacked = Command::new("dpkg-deb").arg("-x").arg(deb).arg(to).status();
    assert!(unpacked.expect("dpkg-deb starts").success());
}
