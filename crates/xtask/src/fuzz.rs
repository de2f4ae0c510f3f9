//! The fuzz targets, one after the other.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};

/// crate with a `fuzz` folder -> its targets.
const TARGETS: &[(&str, &str)] = &[
    ("captain-dhcp", "dhcp_door"),
    ("captain-tftp", "tftp_request"),
    ("captain-boot", "script_cmdline"),
    ("captain-boot", "iso_patch"),
];

/// Runs every target for `seconds`; what one finds ends it and lies in its `artifacts` folder.
pub(crate) fn all(seconds: u32) -> Result<()> {
    ensure()?;
    for (package, target) in TARGETS {
        run(package, target, seconds)?;
    }
    Ok(())
}

/// nightly has to be there; cargo-fuzz is installed where it is missing.
fn ensure() -> Result<()> {
    if !succeeds(&["cargo", "--version"]) {
        bail!("fuzzing needs the nightly compiler: install it with `rustup toolchain install nightly`");
    }
    if !succeeds(&["cargo", "fuzz", "--version"]) {
        eprintln!("installing cargo-fuzz");
        start(&["cargo", "install", "cargo-fuzz", "--locked", "--quiet"])?;
    }
    Ok(())
}

fn run(package: &str, target: &str, seconds: u32) -> Result<()> {
    let root = root();
    let folder = root.join("crates").join(package).join("fuzz");
    let path = |path: PathBuf| path.to_string_lossy().into_owned();
    // The corpus grows with what is found; the seeds stay as they are.
    let (corpus, seeds) = (folder.join("corpus").join(target), folder.join("seeds").join(target));
    std::fs::create_dir_all(&corpus).with_context(|| format!("cannot create {}", corpus.display()))?;
    let (folder, builds) = (path(folder), path(root.join("target/fuzz")));
    let (corpus, seeds) = (path(corpus), path(seeds));
    let limit = format!("-max_total_time={seconds}");
    eprintln!("fuzzing {package}: {target} for {seconds} s");
    start(&[
        "cargo",
        "fuzz",
        "run",
        "--fuzz-dir",
        &folder,
        "--target-dir",
        &builds,
        target,
        &corpus,
        &seeds,
        "--",
        &limit,
        "-print_final_stats=1",
    ])
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A command of the nightly toolchain; this program was started by another one, which left its mark.
fn nightly(words: &[&str]) -> Command {
    let mut command = Command::new("rustup");
    command.args(["run", "nightly"]).args(words);
    for name in ["CARGO", "RUSTC", "RUSTDOC", "RUSTFLAGS", "RUSTUP_TOOLCHAIN", "CARGO_TARGET_DIR"] {
        command.env_remove(name);
    }
    command
}

fn succeeds(words: &[&str]) -> bool {
    nightly(words).output().is_ok_and(|output| output.status.success())
}

fn start(words: &[&str]) -> Result<()> {
    eprintln!("$ {}", words.join(" "));
    let status = nightly(words).status().context("rustup cannot be started: see https://rustup.rs")?;
    if !status.success() {
        bail!("{} failed ({status})", words.join(" "));
    }
    Ok(())
}
