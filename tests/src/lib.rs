//! Helpers shared by the tests of the whole house: the real daemon, in private network namespaces.

pub mod dhcp;
pub mod kernel;
pub mod mirror;

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// The `captaind` under test: `CAPTAIND_BIN`, or the one built beside the tests.
///
/// # Panics
/// Where it is not built: `cargo build --package captaind`.
pub fn captaind() -> PathBuf {
    let given = std::env::var_os("CAPTAIND_BIN").map(PathBuf::from);
    let path = given.unwrap_or_else(|| target().join("captaind"));
    assert!(path.exists(), "{} is not there: run `cargo build --package captaind`", path.display());
    path
}

/// The folder of this profile's binaries, such as `target/debug`.
fn target() -> PathBuf {
    let test = std::env::current_exe().expect("a running test has a path");
    test.ancestors().nth(2).expect("tests live in target/<profile>/deps").to_owned()
}

/// A cache shared by all tests of one checkout, so that one OSIE is built for all of them.
pub fn cache() -> PathBuf {
    target().parent().expect("target/<profile> has a parent").join("captaind-cache")
}

/// Whether tests run that boot virtual machines and use the package mirror (`cargo xtask test` without `--fast`).
pub fn slow_tests() -> bool {
    let wanted = std::env::var("CAPTAIND_TEST_VMS").is_ok_and(|value| value != "0");
    if !wanted {
        eprintln!("skipped: set CAPTAIND_TEST_VMS=1, or run `cargo xtask test` without --fast");
    }
    wanted
}

/// Whether tests run in their long form, such as 200 kills instead of 5.
pub fn long_tests() -> bool {
    std::env::var("CAPTAIND_TEST_LONG").is_ok_and(|value| value != "0")
}

/// A finished command's standard output, standard error and exit code.
#[derive(Debug)]
pub struct Finished {
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
    /// Exit code; `None` where a signal ended it.
    pub code: Option<i32>,
}

impl Finished {
    /// What a command left.
    pub fn of(output: Output) -> Self {
        Self {
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            code: output.status.code(),
        }
    }

    /// Fails the test with everything that was printed unless the exit code is `code`.
    #[track_caller]
    pub fn expect_code(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }
}

/// Runs `captaind` with these arguments in `folder`.
///
/// # Panics
/// Where it cannot be started.
pub fn run(folder: &Path, arguments: &[&str]) -> Finished {
    let output = Command::new(captaind())
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null())
        .env("CAPTAIND_CACHE_DIR", cache())
        .output();
    Finished::of(output.expect("captaind starts"))
}

/// Runs a bash script in a private user, network, mount and process namespace that dies with it.
///
/// In it: `lo` is up, `/run` is an empty tmpfs (so that `ip netns` works), `$CAPTAIND` is the binary and
/// `$DIR` is `folder`. `network ADDRESS/BITS` makes `s0` with that address, and a network namespace `client` with its
/// other end `c0`; `wait_ready` waits for the daemon in `$server`, whose log is in `serve.log`. Nothing reaches this
/// machine's own network.
///
/// # Panics
/// Where `unshare` cannot be started.
pub fn in_namespace(folder: &Path, seconds: u32, script: &str) -> Finished {
    unshared(&["--user", "--map-root-user"], folder, seconds, script)
}

/// As [`in_namespace`], but as the real root with all its users, for what only root can show. `None` where the
/// tests do not run as root.
///
/// # Panics
/// Where `unshare` cannot be started.
pub fn in_root_namespace(folder: &Path, seconds: u32, script: &str) -> Option<Finished> {
    let me = std::fs::metadata("/proc/self").expect("/proc is mounted");
    if std::os::unix::fs::MetadataExt::uid(&me) != 0 {
        eprintln!("skipped: only root can show this");
        return None;
    }
    Some(unshared(&[], folder, seconds, script))
}

const FUNCTIONS: &str = r#"
network() {
    ip netns add client
    ip link add s0 type veth peer name c0 netns client
    ip addr add "$1" dev s0; ip link set s0 up
    ip -n client link set c0 up; ip -n client link set lo up
}
wait_ready() {
    for _ in $(seq 300); do
        curl -fsS -o /dev/null http://127.0.0.1:7080/readyz 2>/dev/null && return
        kill -0 $server 2>/dev/null || { tail -n 20 serve.log >&2; return 1; }
        sleep 0.05
    done
    tail -n 20 serve.log >&2; return 1
}
"#;

fn unshared(users: &[&str], folder: &Path, seconds: u32, script: &str) -> Finished {
    let prologue = "set -euo pipefail; mount -t tmpfs none /run; ip link set lo up; cd \"$DIR\"\n";
    let output = Command::new("unshare")
        .args(users)
        .args(["--net", "--mount", "--pid", "--fork", "--kill-child"])
        .args(["--mount-proc", "timeout", "--kill-after=5", &seconds.to_string()])
        .args(["bash", "-c", &format!("{prologue}{FUNCTIONS}{script}")])
        .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
        .env("CAPTAIND", captaind())
        .env("CAPTAIND_CACHE_DIR", cache())
        .env("DIR", folder)
        .stdin(Stdio::null())
        .output();
    Finished::of(output.expect("unshare (util-linux) starts"))
}

/// A configuration whose Osie and boot loaders are small made-up files below `folder`, for tests that stop
/// before a machine would run them.
///
/// # Panics
/// Where `folder` cannot be written.
pub fn write_config(folder: &Path, more: &str) -> PathBuf {
    for file in
        ["osie/vmlinuz-x86_64", "osie/initramfs-x86_64", "loaders/undionly.kpxe", "loaders/snponly.efi"]
    {
        let path = folder.join(file);
        std::fs::create_dir_all(path.parent().expect("a file below the folder")).expect("a folder");
        std::fs::write(&path, format!("{file} of a test\n").repeat(100)).expect("a file");
    }
    let path = folder.join("captaind.toml");
    let text = format!("[server]\nloaders = \"loaders\"\n[profile.default]\nosie = \"./osie\"\n{more}");
    std::fs::write(&path, text).expect("a configuration");
    path
}
