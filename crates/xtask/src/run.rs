//! Running cargo and the daemon.

use std::process::Command;

use anyhow::{Context, Result, bail};

/// Runs `cargo` with `words` in the workspace, with `environment` added.
pub(crate) fn cargo(words: &[&str], environment: &[(&str, &str)]) -> Result<()> {
    eprintln!("$ cargo {}", words.join(" "));
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(words)
        .envs(environment.iter().copied())
        .status()
        .context("cargo cannot be started")?;
    if !status.success() {
        bail!("cargo {} failed ({status})", words.join(" "));
    }
    Ok(())
}

/// Builds `captaind` for release and runs one of its commands.
pub(crate) fn captaind(command: &str, arguments: &[String]) -> Result<()> {
    let mut words = vec!["run", "--release", "--locked", "--quiet", "--package", "captaind", "--", command];
    words.extend(arguments.iter().map(String::as_str));
    cargo(&words, &[])
}

/// Licences, bans and sources of every dependency; advisories where their database can be reached.
pub(crate) fn deny() -> Result<()> {
    let there =
        Command::new("cargo").args(["deny", "--version"]).output().is_ok_and(|out| out.status.success());
    if !there {
        cargo(&["install", "cargo-deny", "--locked", "--quiet"], &[])?;
    }
    cargo(&["deny", "check", "licenses", "bans", "sources"], &[])?;
    if let Err(error) = cargo(&["deny", "check", "advisories"], &[]) {
        let reachable =
            Command::new("cargo").args(["deny", "fetch", "db"]).status().is_ok_and(|s| s.success());
        if reachable {
            return Err(error);
        }
        eprintln!("advisories were not checked: their database cannot be reached from here");
    }
    Ok(())
}
