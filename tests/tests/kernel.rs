//! Kernels from source. The long tests start a Docker engine of their own and compile whole kernels:
//! `cargo xtask kernel` runs them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use captain_tests::kernel::{Engine, run, small_source};
use captain_tests::slow_tests;
use serde_json::Value;

/// 10 MB, as a person counts them.
const MOST_BYTES: u64 = 10_000_000;
const NOWHERE: &str = "unix:///nowhere/docker.sock";

fn json(path: PathBuf) -> Value {
    serde_json::from_slice(&fs::read(path).expect("a file")).expect("JSON")
}

fn vmlinuz(folder: &Path, out: &str) -> Vec<u8> {
    fs::read(folder.join(out).join("vmlinuz-x86_64")).expect("a kernel")
}

#[test]
fn a_kernel_compiled_on_the_host_is_cached_and_has_the_same_bytes_from_its_lock_elsewhere() {
    if !slow_tests() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let (here, there) = (folder.path().join("here"), folder.path().join("much/deeper/there"));
    for place in [&here, &there] {
        small_source(&place.join("linux"));
        fs::write(place.join("captaind.toml"), "[osie.default]\nkernel = \"source\"\n").expect("a file");
    }
    let build = ["build", "-c", "captaind.toml", "--level", "1"];
    let first = ["--builder", "host", "--kernel-src", "linux", "-o", "one"];
    let first = run(&here, NOWHERE, &[&build[..], &first].concat()).expect_code(0);
    assert!(first.stderr.contains("compile the kernel for amd64"), "{}", first.stderr);
    let text = vmlinuz(&here, "one");
    assert!(
        text.windows(37).any(|part| part == b"Thu Jan  1 00:00:00 UTC 1970 ./writer"),
        "the day or a path"
    );
    // What the lock says is not asked again, and what the cache has is not compiled again.
    fs::rename(here.join("linux"), here.join("moved")).expect("sources that move");
    let second = run(&here, NOWHERE, &[&build[..], &["-o", "two"]].concat()).expect_code(0);
    assert!(!second.stderr.contains("compile the kernel"), "{}", second.stderr);
    assert!(second.stdout.contains("as locked"), "{}", second.stdout);
    // Elsewhere there is only the lock: the sources are asked for by name.
    fs::copy(here.join("captaind.lock"), there.join("captaind.lock")).expect("the lock");
    let asked = run(&there, NOWHERE, &[&build[..], &["-o", "out"]].concat()).expect_code(64);
    assert!(asked.stderr.contains("linux") && asked.stderr.contains("--kernel-src"), "{}", asked.stderr);
    let again = [&build[..], &["--kernel-src", "linux", "-o", "out"]].concat();
    let again = run(&there, NOWHERE, &again).expect_code(0);
    assert!(again.stderr.contains("compile the kernel for amd64"), "{}", again.stderr);
    assert!(again.stdout.contains("as locked"), "{}", again.stdout);
    assert!(vmlinuz(&there, "out") == vmlinuz(&here, "two"));
}

/// Packs `name` of `folder` as `archive` there.
fn pack(folder: &Path, archive: &str, name: &str) {
    let packed = Command::new("tar").args(["-caf", archive, name]).current_dir(folder).status();
    assert!(packed.expect("tar starts").success());
}

#[test]
fn a_tarball_of_sources_is_compiled_and_pinned_by_its_sum_and_one_of_something_else_is_refused() {
    if !slow_tests() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    small_source(&folder.path().join("linux-6.12"));
    pack(folder.path(), "linux-6.12.tar.xz", "linux-6.12");
    let build = |source: &str| {
        let arguments = ["build", "--kernel", "source", "--builder", "host", "--kernel-src", source];
        run(folder.path(), NOWHERE, &[&arguments[..], &["--level", "1", "-o", "out"]].concat())
    };
    build("linux-6.12.tar.xz").expect_code(0);
    let text = vmlinuz(folder.path(), "out");
    assert!(text.windows(13).any(|part| part == b"6.12.0-small "), "another kernel");
    let lock = json(folder.path().join("out/lock-x86_64.json"));
    let given = &lock["kernel_inputs"]["source"]["given"];
    let sum = Command::new("sha256sum").arg(folder.path().join("linux-6.12.tar.xz")).output();
    let sum = String::from_utf8_lossy(&sum.expect("sha256sum starts").stdout).into_owned();
    assert_eq!(given["name"], "linux-6.12.tar.xz");
    assert!(given["sha256"].as_str().is_some_and(|given| sum.starts_with(given)), "{given}: {sum}");
    fs::create_dir(folder.path().join("other")).expect("a folder");
    pack(folder.path(), "other.tar", "other");
    let out = build("other.tar").expect_code(1);
    assert!(out.stderr.contains("no Kconfig and Makefile in its only top folder"), "{}", out.stderr);
    let whole = fs::read(folder.path().join("linux-6.12.tar.xz")).expect("the tarball");
    fs::write(folder.path().join("half.tar.xz"), &whole[..whole.len() / 2]).expect("half of it");
    let out = build("half.tar.xz").expect_code(1);
    assert!(out.stderr.contains("unpack the kernel's sources failed"), "{}", out.stderr);
}

#[test]
#[ignore = "starts a Docker engine and makes the builder image: cargo xtask kernel"]
fn sources_are_compiled_in_a_container_once_and_pinned_in_the_lock() {
    compiled_once(&Engine::start());
}

#[test]
#[ignore = "starts Podman's server and makes the builder image: cargo xtask kernel"]
fn podman_compiles_sources_as_docker_does() {
    compiled_once(&Engine::podman());
}

fn compiled_once(engine: &Engine) {
    let folder = tempfile::tempdir().expect("a folder");
    small_source(&folder.path().join("linux"));
    let build = |docker: &str, out: &str| {
        let arguments = ["build", "--kernel", "source", "--kernel-src", "linux", "--level", "1", "-o", out];
        run(folder.path(), docker, &arguments)
    };
    let first = build(&engine.host(), "one").expect_code(0);
    assert!(first.stderr.contains("compile the kernel for amd64"), "{}", first.stderr);
    let lock = json(folder.path().join("one/lock-x86_64.json"));
    assert_eq!(lock["local_kernel"]["version"], "6.12.0-small");
    assert_eq!(lock["kernel_inputs"]["source"]["given"]["name"], "linux");
    let tools = lock["kernel_inputs"]["toolchain"]["packages"].as_array().expect("packages");
    assert!(tools.iter().any(|package| package["name"] == "gcc" && package["sha256"].is_string()));
    // The second time the cache has it: no engine is asked.
    let second = build(NOWHERE, "two").expect_code(0);
    assert!(!second.stderr.contains("compile the kernel"), "{}", second.stderr);
    // Without the cache, from the lock, the same bytes come out of a new container.
    fs::remove_dir_all(folder.path().join("cache/kernel")).expect("the kernels go");
    let third = build(&engine.host(), "three").expect_code(0);
    assert!(third.stderr.contains("compile the kernel for amd64"), "{}", third.stderr);
    assert!(third.stdout.contains("as locked"), "{}", third.stdout);
    let first = vmlinuz(folder.path(), "one");
    assert!(first == vmlinuz(folder.path(), "two") && first == vmlinuz(folder.path(), "three"));
    assert_eq!(engine.docker(&["ps", "-aq"]), "", "containers are left");
    assert_eq!(engine.docker(&["volume", "ls", "-q"]), "", "volumes are left");
}

#[test]
#[ignore = "compiles a whole kernel in a container, and boots it: cargo xtask kernel"]
fn a_kernel_from_source_is_small_and_boots_to_the_agent() {
    let (engine, folder) = (Engine::start(), tempfile::tempdir().expect("a folder"));
    run(folder.path(), &engine.host(), &["build", "--kernel", "source", "-o", "out"]).expect_code(0);
    let vmlinuz = folder.path().join("out/vmlinuz-x86_64");
    let size = fs::metadata(vmlinuz).expect("a kernel").len();
    eprintln!("vmlinuz: {size} bytes");
    assert!(size <= MOST_BYTES, "{size} bytes");
    let lock = json(folder.path().join("out/lock-x86_64.json"));
    let source = &lock["kernel_inputs"]["source"]["package"];
    assert!(source["name"].as_str().is_some_and(|name| name.starts_with("linux-source-")), "{source}");
    let lab = ["lab", "--osie", "out", "--firmware", "bios,uefi", "--timeout", "20m", "--json"];
    let out = run(folder.path(), &engine.host(), &lab).expect_code(0);
    eprintln!("{}", out.stdout);
}

#[test]
#[ignore = "compiles a whole kernel in a container: cargo xtask kernel"]
fn a_kernel_for_arm64_compiles() {
    let (engine, folder) = (Engine::start(), tempfile::tempdir().expect("a folder"));
    let arguments = ["build", "--kernel", "source", "--arch", "arm64", "-o", "out"];
    run(folder.path(), &engine.host(), &arguments).expect_code(0);
    let size = fs::metadata(folder.path().join("out/vmlinuz-aarch64")).expect("a kernel").len();
    eprintln!("vmlinuz: {size} bytes");
    let lock = json(folder.path().join("out/lock-aarch64.json"));
    let tools = lock["kernel_inputs"]["toolchain"]["packages"].as_array().expect("packages");
    assert!(tools.iter().any(|package| package["name"] == "gcc-aarch64-linux-gnu"));
}
