//! Kernels from source. The long tests start a Docker engine of their own and compile whole kernels:
//! `cargo xtask kernel` runs them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use captain_tests::{Finished, cache, captaind, slow_tests};
use serde_json::Value;

/// 10 MB, as a person counts them.
const MOST_BYTES: u64 = 10_000_000;

/// A Docker engine without networks, in a folder of its own, that ends with this value.
struct Engine {
    daemon: Child,
    folder: tempfile::TempDir,
}

impl Engine {
    fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name).display().to_string();
        let log = fs::File::create(folder.path().join("log")).expect("a log");
        let daemon = Command::new("dockerd")
            .args(["--storage-driver=vfs", "--iptables=false", "--ip6tables=false", "--bridge=none", "-H"])
            .arg(format!("unix://{}", at("sock")))
            .args(["--data-root", &at("data"), "--exec-root", &at("exec"), "--pidfile", &at("pid")])
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("dockerd starts (package docker.io, as root)");
        let engine = Self { daemon, folder };
        let begun = Instant::now();
        while !engine.log().contains("API listen") {
            assert!(begun.elapsed() < Duration::from_secs(60), "dockerd does not listen:\n{}", engine.log());
            std::thread::sleep(Duration::from_millis(200));
        }
        engine
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    fn host(&self) -> String {
        format!("unix://{}", self.folder.path().join("sock").display())
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // SIGTERM: the engine takes its containerd and its mounts down.
        let _ = Command::new("kill").arg(self.daemon.id().to_string()).status();
        let _ = self.daemon.wait();
    }
}

/// Runs `captaind` in `folder` with this `DOCKER_HOST` and the tests' cache of packages, but kernels of its own.
fn run(folder: &Path, docker: &str, arguments: &[&str]) -> Finished {
    let own = folder.join("cache");
    fs::create_dir_all(&own).expect("a folder");
    for shared in ["debian", "loaders"] {
        fs::create_dir_all(cache().join(shared)).expect("a folder");
        // There after the first call.
        let _ = std::os::unix::fs::symlink(cache().join(shared), own.join(shared));
    }
    let output = Command::new(captaind())
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null())
        .env("CAPTAIND_CACHE_DIR", &own)
        .env("DOCKER_HOST", docker)
        .output();
    Finished::of(output.expect("captaind starts"))
}

fn json(path: PathBuf) -> Value {
    serde_json::from_slice(&fs::read(path).expect("a file")).expect("JSON")
}

/// The least that builds like a kernel: a program that the container's compiler compiles writes a boot header, and
/// olddefconfig loses an option where the file `lose` is there.
fn small_source(folder: &Path) {
    fs::create_dir_all(folder.join("arch/x86/boot")).expect("a folder");
    let makefile = "\
olddefconfig:
\tif [ -f lose ]; then sed -i /CONFIG_OVERLAY_FS/d .config; fi
bzImage:
\t$(CROSS_COMPILE)gcc -DSTAMP='\"$(KBUILD_BUILD_TIMESTAMP)\"' -o writer writer.c
\t./writer > arch/x86/boot/bzImage
modules:
\techo compiled
modules_install:
\tmkdir -p $(INSTALL_MOD_PATH)/lib/modules/6.12.0-small
\techo kernel/fs/overlayfs/overlay.ko > $(INSTALL_MOD_PATH)/lib/modules/6.12.0-small/modules.builtin
\tln -s /nowhere $(INSTALL_MOD_PATH)/lib/modules/6.12.0-small/build
";
    let writer = "\
#include <stdio.h>
#include <string.h>
int main(void) {
    static char image[0x400];
    memcpy(image + 0x202, \"HdrS\\x0f\\x02\", 6);
    image[0x20f] = 1;
    image[0x236] = 1;
    strcpy(image + 0x300, \"6.12.0-small \" STAMP);
    return fwrite(image, sizeof image, 1, stdout) != 1;
}
";
    for (name, text) in [("Kconfig", ""), ("Makefile", makefile), ("writer.c", writer)] {
        fs::write(folder.join(name), text).expect("a file");
    }
}

#[test]
fn docker_not_there_is_one_error_that_names_the_socket_and_the_way_without_it() {
    if !slow_tests() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    small_source(&folder.path().join("linux"));
    let arguments = ["build", "--kernel", "source", "--kernel-src", "linux", "-o", "out"];
    let out = run(folder.path(), "unix:///nowhere/docker.sock", &arguments).expect_code(69);
    let last = out.stderr.lines().last().expect("an error");
    for part in ["unix:///nowhere/docker.sock: is not there", "--builder host", "DOCKER_HOST"] {
        assert!(last.contains(part), "no {part}: {}", out.stderr);
    }
    assert!(!folder.path().join("out").exists());
}

#[test]
#[ignore = "starts a Docker engine and makes the builder image: cargo xtask kernel"]
fn sources_are_compiled_in_a_container_once_checked_and_pinned_in_the_lock() {
    let (engine, folder) = (Engine::start(), tempfile::tempdir().expect("a folder"));
    small_source(&folder.path().join("linux"));
    let build = |docker: &str, out: &str| {
        let arguments = ["build", "--kernel", "source", "--kernel-src", "linux", "-o", out];
        run(folder.path(), docker, &arguments)
    };
    fs::write(folder.path().join("linux/lose"), "").expect("a file");
    let lost = build(&engine.host(), "lost").expect_code(1);
    assert!(lost.stderr.contains("CONFIG_OVERLAY_FS=y (base.config)"), "{}", lost.stderr);
    fs::remove_file(folder.path().join("linux/lose")).expect("the file goes");
    let first = build(&engine.host(), "one").expect_code(0);
    assert!(first.stderr.contains("compile the kernel for amd64"), "{}", first.stderr);
    let lock = json(folder.path().join("one/lock-x86_64.json"));
    assert_eq!(lock["local_kernel"]["version"], "6.12.0-small");
    assert_eq!(lock["kernel_inputs"]["source"]["given"]["name"], "linux");
    let tools = lock["kernel_inputs"]["toolchain"]["packages"].as_array().expect("packages");
    assert!(tools.iter().any(|package| package["name"] == "gcc" && package["sha256"].is_string()));
    // The second time the cache has it: no engine is asked.
    let second = build("unix:///nowhere/docker.sock", "two").expect_code(0);
    assert!(!second.stderr.contains("compile the kernel"), "{}", second.stderr);
    let read = |out: &str| fs::read(folder.path().join(out).join("vmlinuz-x86_64")).expect("a kernel");
    assert_eq!(read("one"), read("two"));
    let left = Command::new("docker").args(["-H", &engine.host(), "ps", "-aq"]).output().expect("docker");
    assert!(left.stdout.is_empty(), "containers are left");
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
