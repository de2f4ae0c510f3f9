//! Kernels from source. The long tests start a Docker engine of their own and compile whole kernels:
//! `cargo xtask kernel` runs them.

use std::fs;
use std::path::{Path, PathBuf};

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

#[test]
#[ignore = "starts a Docker engine and makes the builder image: cargo xtask kernel"]
fn sources_are_compiled_in_a_container_once_and_pinned_in_the_lock() {
    let (engine, folder) = (Engine::start(), tempfile::tempdir().expect("a folder"));
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
