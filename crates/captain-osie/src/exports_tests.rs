//! With this machine's own containerd, which Debian links in the same way.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use super::*;

/// A Go program with exports, where containerd is installed (`cargo xtask test` sees to that).
fn ctr() -> Option<Vec<u8>> {
    fs::read("/usr/bin/ctr").ok()
}

fn version(program: &Path) -> String {
    let out = Command::new(program).arg("--version").output().unwrap();
    assert!(out.status.success(), "{out:?}");
    String::from_utf8(out.stdout).unwrap()
}

#[test]
fn a_go_program_runs_the_same_without_its_exports_and_is_megabytes_smaller() {
    let Some(whole) = ctr() else { return };
    let trimmed = without(&whole).expect("Debian links ctr with exports");
    assert!(trimmed.len() + (2 << 20) < whole.len(), "{} of {} bytes", trimmed.len(), whole.len());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ctr");
    fs::write(&path, &trimmed).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(
        version(&path).replace(path.to_str().unwrap(), "ctr"),
        version(Path::new("/usr/bin/ctr")).replace("/usr/bin/", "")
    );
    assert!(without(&trimmed).is_none(), "there is nothing left to take out");
}

#[test]
fn other_programs_and_damaged_ones_are_left_alone() {
    let own = fs::read(std::env::current_exe().unwrap()).unwrap();
    assert!(without(&own).is_none() && without(b"").is_none() && without(b"#!/bin/sh\n").is_none());
    let Some(whole) = ctr() else { return };
    let head = &whole[..whole.len().min(64 << 10)];
    assert!(without(head).is_none());
    for at in (0..2048).step_by(32) {
        let mut damaged = whole.clone();
        damaged[at..at + 4].fill(0xff);
        let _ = without(&damaged);
    }
}
