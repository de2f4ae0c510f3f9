//! One lock, one image: whoever builds it, wherever, on however many cores.

use std::path::Path;
use std::process::Command;

use captain_tests::{cache, captaind, run, slow_tests};
use serde_json::Value;

const CONFIG: &str = "[osie.default]\noverlay = [\"./mine\"]\nservices = [\"mine.service\"]\n";

/// A configuration with an overlay of its own, made under this umask.
fn site(folder: &Path, umask: &str) {
    let unit = r"[Service]\nExecStart=/usr/bin/true\n[Install]\nWantedBy=multi-user.target\n";
    let script = format!(
        "umask {umask}; mkdir -p mine/etc/systemd/system mine/usr/local/bin; ln -s ../motd mine/etc/link; \
         printf '{unit}' >mine/etc/systemd/system/mine.service; \
         printf '#!/bin/sh\\n' >mine/usr/local/bin/mine; chmod u+x mine/usr/local/bin/mine"
    );
    std::fs::create_dir_all(folder).expect("a folder");
    std::fs::write(folder.join("captaind.toml"), CONFIG).expect("a configuration");
    let made = Command::new("sh").args(["-c", &script]).current_dir(folder).status();
    assert!(made.expect("sh starts").success());
}

/// Runs `captaind` without a network, with one processor and a strange environment; as user 65534 where `nobody`.
fn strangely(folder: &Path, nobody: bool, arguments: &[&str]) {
    let me = std::fs::metadata("/proc/self").expect("/proc is mounted");
    let root = std::os::unix::fs::MetadataExt::uid(&me) == 0;
    let wrap: &[&str] = match (nobody, root) {
        (true, true) => &["--net", "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"],
        (true, false) => &["--user", "--map-user=65534", "--map-group=65534", "--net"],
        (false, _) => &["--user", "--map-root-user", "--net"],
    };
    let out = Command::new("unshare")
        .args(wrap)
        .args(["taskset", "-c", "0", "sh", "-c", "umask 077; exec \"$@\"", "sh"])
        .arg(folder.join("captaind"))
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .env("TZ", "Asia/Kathmandu")
        .env("LC_ALL", "tr_TR.UTF-8")
        .env("SOURCE_DATE_EPOCH", "1000000000")
        .output()
        .expect("unshare (util-linux) starts");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
}

/// Kernel, initramfs and what else a build packs them into.
const FORMATS: &str = "initramfs,iso,uki,tar";

/// What a build wrote for an architecture: file names and contents.
fn built(folder: &Path, linux: &str) -> Vec<(String, Vec<u8>)> {
    let names = [("vmlinuz", ""), ("initramfs", ""), ("osie", ".iso"), ("osie", ".efi"), ("osie", ".tar.gz")];
    let names = names.map(|(kind, end)| format!("{kind}-{linux}{end}"));
    let read = |name: &String| std::fs::read(folder.join(name)).expect("a built file");
    names.iter().map(|name| (name.clone(), read(name))).collect()
}

/// Names of the files that are not the same twice.
fn differing<'a>(one: &'a [(String, Vec<u8>)], other: &[(String, Vec<u8>)]) -> Vec<&'a str> {
    one.iter().zip(other).filter(|(one, other)| one != other).map(|((name, _), _)| name.as_str()).collect()
}

/// A folder that others may enter too, with the program in it.
fn open_folder(folder: &Path) {
    std::fs::create_dir_all(folder).expect("a folder");
    let everyone = std::os::unix::fs::PermissionsExt::from_mode(0o777);
    std::fs::set_permissions(folder, everyone).expect("a mode");
    std::fs::copy(captaind(), folder.join("captaind")).expect("a copy of the program");
}

/// The step that writes the image, as planned.
fn step(folder: &Path, arch: &[&str], more: &[&str]) -> Value {
    let plan = ["plan", "-c", "captaind.toml", "--json", "--offline"];
    let plan = run(folder, &[&plan[..], &arch[..2], more].concat()).expect_code(0);
    let plans: Value = serde_json::from_str(&plan.stdout).expect("JSON");
    let steps = plans[0]["steps"].as_array().expect("a list of steps");
    steps.iter().find(|step| step["step"] == "write").expect("a step that writes").clone()
}

fn one_lock_gives_one_image(arch: &str, linux: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    let everyone = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(folder.path(), everyone).expect("a mode");
    let (here, there) = (folder.path().join("here"), folder.path().join("there/much/deeper"));
    site(&here, "022");
    let build = ["build", "-c", "captaind.toml", "--arch", arch, "--format", FORMATS];
    run(&here, &[&build[..], &["--level", "1", "-o", "out"]].concat()).expect_code(0);
    let first = built(&here.join("out"), linux);

    // From the lock and a warm cache, without a network, elsewhere: an overlay of the same files under another umask.
    open_folder(&there);
    site(&there, "077");
    std::fs::copy(here.join("captaind.lock"), there.join("captaind.lock")).expect("the lock");
    let warm = cache();
    let warm = warm.to_str().expect("a path of text");
    strangely(&there, false, &[&build[..], &["--offline", "-o", "out", "--cache-dir", warm]].concat());
    let again = built(&there.join("out"), linux);
    let other = differing(&first, &again);
    assert!(other.is_empty(), "another folder, umask, zone, core count, source date: {other:?}");

    // From a bundle and nothing else, as somebody else.
    let write = step(&here, &build[3..], &[]);
    assert_eq!(write["level"], 1, "a lock's level counts until another one is named");
    assert_eq!(step(&here, &build[3..], &["--level", "19"])["level"], 19);
    run(&here, &[&build[..], &["--bundle", "../site.tar"]].concat()).expect_code(0);
    let nobodys = folder.path().join("nobody");
    open_folder(&nobodys);
    strangely(
        &nobodys,
        true,
        &["build", "--from-bundle", "../site.tar", "--format", FORMATS, "-o", "out", "--cache-dir", "cache"],
    );
    let nobodys = built(&nobodys.join("out"), linux);
    let other = differing(&first, &nobodys);
    assert!(other.is_empty(), "another user with a bundle and an empty cache: {other:?}");
}

#[test]
fn one_lock_gives_one_amd64_image() {
    if slow_tests() {
        one_lock_gives_one_image("amd64", "x86_64");
    }
}

#[test]
fn one_lock_gives_one_arm64_image() {
    if slow_tests() {
        one_lock_gives_one_image("arm64", "aarch64");
    }
}
