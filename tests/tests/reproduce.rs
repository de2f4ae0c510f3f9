//! One lock, one image: whoever builds it, wherever, on however many cores.

use std::path::Path;
use std::process::Command;

use captain_tests::{cache, captaind, run, slow_tests};

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

fn built(folder: &Path, linux: &str) -> [Vec<u8>; 2] {
    let read = |kind: &str| std::fs::read(folder.join(format!("{kind}-{linux}"))).expect("a built file");
    ["vmlinuz", "initramfs"].map(read)
}

/// A folder that others may enter too, with the program in it.
fn open_folder(folder: &Path) {
    std::fs::create_dir_all(folder).expect("a folder");
    let everyone = std::os::unix::fs::PermissionsExt::from_mode(0o777);
    std::fs::set_permissions(folder, everyone).expect("a mode");
    std::fs::copy(captaind(), folder.join("captaind")).expect("a copy of the program");
}

fn one_lock_gives_one_image(arch: &str, linux: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    let everyone = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(folder.path(), everyone).expect("a mode");
    let (here, there) = (folder.path().join("here"), folder.path().join("there/much/deeper"));
    site(&here, "022");
    let build = ["build", "-c", "captaind.toml", "--arch", arch];
    run(&here, &[&build[..], &["--level", "1", "-o", "out"]].concat()).expect_code(0);
    let first = built(&here.join("out"), linux);

    // From the lock and a warm cache, without a network, elsewhere: an overlay of the same files under another umask.
    open_folder(&there);
    site(&there, "077");
    std::fs::copy(here.join("captaind.lock"), there.join("captaind.lock")).expect("the lock");
    let warm = cache();
    let warm = warm.to_str().expect("a path of text");
    strangely(&there, false, &[&build[..], &["--offline", "-o", "out", "--cache-dir", warm]].concat());
    assert!(
        built(&there.join("out"), linux) == first,
        "another folder, umask, zone, core count, source date"
    );

    // From a bundle and nothing else, as somebody else.
    run(&here, &[&build[..], &["--bundle", "../site.tar"]].concat()).expect_code(0);
    let nobodys = folder.path().join("nobody");
    open_folder(&nobodys);
    strangely(
        &nobodys,
        true,
        &["build", "--from-bundle", "../site.tar", "-o", "out", "--cache-dir", "cache"],
    );
    assert!(built(&nobodys.join("out"), linux) == first, "another user with a bundle and an empty cache");
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
