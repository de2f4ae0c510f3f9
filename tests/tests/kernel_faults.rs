//! Kernels from source that do not come to be: each fault is one error that names the way out, and leaves nothing
//! behind. Those with a Docker engine run by `cargo xtask kernel`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use captain_tests::kernel::{Engine, command, run, small_source};
use captain_tests::{Finished, captaind, slow_tests};

const NOWHERE: &str = "unix:///nowhere/docker.sock";
const BUILD: [&str; 7] = ["build", "--kernel", "source", "--kernel-src", "linux", "-o", "out"];
const ON_HOST: [&str; 9] =
    ["build", "--kernel", "source", "--kernel-src", "linux", "-o", "out", "--builder", "host"];

/// A folder with small sources that have this `fault`.
fn site(fault: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    small_source(&folder.path().join("linux"));
    fs::write(folder.path().join("linux").join(fault), "").expect("a file");
    folder
}

/// Names below `cache/kernel` that end like this.
fn left(folder: &Path, end: &str) -> Vec<String> {
    let all = fs::read_dir(folder.join("cache/kernel")).expect("a folder");
    let names = all.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned());
    names.filter(|name| name.ends_with(end)).collect()
}

fn contains(told: &str, parts: &[&str]) {
    for part in parts {
        assert!(told.contains(part), "no {part}: {told}");
    }
}

/// Starts a build whose sources never stop compiling, and waits until they do that.
fn endless(folder: &Path, docker: &str, arguments: &[&str]) -> Child {
    let mut command = command(folder, docker, arguments);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("captaind starts");
    let begun = Instant::now();
    let compiles = || {
        let logs = if folder.join("cache/kernel").exists() { left(folder, ".log") } else { Vec::new() };
        logs.iter().any(|log| {
            let text = fs::read_to_string(folder.join("cache/kernel").join(log)).unwrap_or_default();
            text.contains("CC [M]  drivers/net/small.o")
        })
    };
    while !compiles() {
        let ended = child.try_wait().expect("it is our child").is_some();
        assert!(!ended, "it ended: {}", end(child).stderr);
        assert!(begun.elapsed() < Duration::from_secs(300), "it does not compile");
        std::thread::sleep(Duration::from_millis(100));
    }
    child
}

fn send(signal: &str, child: &Child) {
    let sent = Command::new("kill").args([signal, &child.id().to_string()]).status();
    assert!(sent.expect("kill starts").success());
}

/// Waits until no process names `folder` any more: the compiler's commands do.
fn nothing_runs(folder: &Path) {
    let begun = Instant::now();
    let runs =
        || Command::new("pgrep").args(["-f", &folder.display().to_string()]).output().expect("pgrep starts");
    while runs().status.success() {
        assert!(begun.elapsed() < Duration::from_secs(20), "{:?} still run", runs().stdout);
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn end(child: Child) -> Finished {
    Finished::of(child.wait_with_output().expect("it ends"))
}

#[test]
fn docker_not_there_is_one_error_that_names_the_socket_and_the_way_without_it() {
    if !slow_tests() {
        return;
    }
    let folder = site("none");
    let out = run(folder.path(), NOWHERE, &BUILD).expect_code(69);
    let last = out.stderr.lines().last().expect("an error");
    contains(last, &["unix:///nowhere/docker.sock: is not there", "--builder host", "DOCKER_HOST"]);
    assert!(!folder.path().join("out").exists());
    assert_eq!(left(folder.path(), ".work"), Vec::<String>::new());
}

#[test]
fn a_socket_of_others_is_one_error_that_says_how_to_be_let_in() {
    if !slow_tests() {
        return;
    }
    let folder = site("none");
    let socket = folder.path().join("docker.sock");
    let _deaf = std::os::unix::net::UnixListener::bind(&socket).expect("a socket");
    fs::set_permissions(&socket, fs::Permissions::from_mode(0o000)).expect("a mode");
    // Root may do everything: in a namespace where it is somebody else, it may not.
    let out = Command::new("unshare")
        .args(["--user", "--map-user=65534", "--map-group=65534"])
        .arg(captaind())
        .args(BUILD)
        .current_dir(folder.path())
        .env("CAPTAIND_CACHE_DIR", folder.path().join("cache"))
        .env("DOCKER_HOST", format!("unix://{}", socket.display()))
        .output();
    let out = Finished::of(out.expect("unshare starts")).expect_code(69);
    contains(&out.stderr, &["docker.sock: this user may not use it", "usermod -aG docker", "--builder host"]);
}

#[test]
fn options_that_do_not_survive_are_named_with_their_fragment_and_line() {
    if !slow_tests() {
        return;
    }
    let folder = site("lose");
    let lost = run(folder.path(), NOWHERE, &ON_HOST).expect_code(1);
    let parts = ["CONFIG_OVERLAY_FS=y (base.config:", ") is not set", "--kernel-configs"];
    contains(&lost.stderr, &parts);
    assert_eq!(left(folder.path(), ".work"), Vec::<String>::new());
}

#[test]
fn sources_that_do_not_compile_are_told_with_the_compilers_last_words() {
    if !slow_tests() {
        return;
    }
    let folder = site("broken");
    let out = run(folder.path(), NOWHERE, &ON_HOST).expect_code(1);
    let log = left(folder.path(), ".log").remove(0);
    contains(&out.stderr, &["compile the kernel for amd64 failed", "writer.c:7: no such header", &log]);
    assert_eq!(left(folder.path(), ".work"), Vec::<String>::new());
    fs::remove_file(folder.path().join("linux/broken")).expect("the fault goes");
    run(folder.path(), NOWHERE, &[&ON_HOST[..], &["--level", "1"]].concat()).expect_code(0);
}

#[test]
fn ctrl_c_ends_the_compiler_and_leaves_nothing_and_a_kill_leaves_nothing_for_long() {
    if !slow_tests() {
        return;
    }
    let folder = site("endless");
    let child = endless(folder.path(), NOWHERE, &ON_HOST);
    send("-INT", &child);
    let out = end(child).expect_code(130);
    contains(&out.stderr, &["interrupted"]);
    nothing_runs(folder.path());
    assert_eq!(left(folder.path(), ".work"), Vec::<String>::new());
    fs::remove_file(folder.path().join("cache/kernel").join(left(folder.path(), ".log").remove(0)))
        .expect("the log goes");
    let child = endless(folder.path(), NOWHERE, &ON_HOST);
    send("-KILL", &child);
    end(child);
    nothing_runs(folder.path());
    assert_eq!(left(folder.path(), ".work").len(), 1);
    fs::rename(folder.path().join("linux/endless"), folder.path().join("linux/broken")).expect("a file");
    run(folder.path(), NOWHERE, &ON_HOST).expect_code(1);
    assert_eq!(left(folder.path(), ".work"), Vec::<String>::new());
}

#[test]
#[ignore = "starts a Docker engine and makes the builder image: cargo xtask kernel"]
fn no_container_outlives_its_build_however_that_ends() {
    nothing_is_left_in(&Engine::start());
}

#[test]
#[ignore = "starts Podman's server and makes the builder image: cargo xtask kernel"]
fn no_container_of_podman_outlives_its_build_either() {
    nothing_is_left_in(&Engine::podman());
}

fn nothing_is_left_in(engine: &Engine) {
    for (signal, code) in [("-INT", Some(130)), ("-TERM", Some(143)), ("-KILL", None)] {
        let folder = site("endless");
        let child = endless(folder.path(), &engine.host(), &BUILD);
        assert_ne!(engine.docker(&["ps", "-q"]), "");
        send(signal, &child);
        assert_eq!(end(child).code, code, "{signal}");
        engine.until("the container goes", || engine.docker(&["ps", "-aq"]).is_empty());
    }
    let folder = site("broken");
    let out = run(folder.path(), &engine.host(), &BUILD).expect_code(1);
    contains(&out.stderr, &["compile the kernel for amd64 failed", "writer.c:7: no such header"]);
    assert_eq!(engine.docker(&["ps", "-aq"]), "");
    assert_eq!(left(folder.path(), ".work"), Vec::<String>::new());
}

#[test]
#[ignore = "starts a Docker engine and makes the builder image: cargo xtask kernel"]
fn a_container_or_an_engine_that_is_killed_half_way_is_one_error() {
    let (engine, folder) = (Engine::start(), site("endless"));
    let child = endless(folder.path(), &engine.host(), &BUILD);
    engine.docker(&["kill", engine.docker(&["ps", "-q"]).trim()]);
    let out = end(child).expect_code(1);
    contains(&out.stderr, &["compile its modules"]);
    engine.until("the container goes", || engine.docker(&["ps", "-aq"]).is_empty());
    let log = folder.path().join("cache/kernel").join(left(folder.path(), ".log").remove(0));
    fs::remove_file(log).expect("the log goes");
    let child = endless(folder.path(), &engine.host(), &BUILD);
    drop(engine);
    let out = end(child).expect_code(1);
    contains(&out.stderr, &["the container engine at unix://", "--builder host"]);
    assert_eq!(left(folder.path(), ".work"), Vec::<String>::new());
}
