//! The crates are held to the arrows of crates/ARCHITECTURE.md.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

/// crate -> what of the house it may use.
const ARROWS: &[(&str, &[&str])] = &[
    ("captain-model", &[]),
    ("captain-unpack", &[]),
    ("captain-debian", &["captain-model", "captain-unpack"]),
    ("captain-oci", &["captain-model", "captain-unpack"]),
    ("captain-config", &["captain-model"]),
    ("captain-dhcp", &["captain-model"]),
    ("captain-tftp", &["captain-model"]),
    ("captain-boot", &["captain-model"]),
    ("captain-lab", &["captain-model"]),
    ("captain-osie", &["captain-model", "captain-unpack", "captain-debian", "captain-oci"]),
    ("captain-kernel", &["captain-model", "captain-debian", "captain-osie"]),
    ("captain-server", &["captain-model", "captain-dhcp", "captain-tftp", "captain-boot", "captain-oci"]),
    (
        "captaind",
        &[
            "captain-model",
            "captain-config",
            "captain-dhcp",
            "captain-boot",
            "captain-debian",
            "captain-osie",
            "captain-kernel",
            "captain-oci",
            "captain-server",
            "captain-lab",
        ],
    ),
    ("captain-tests", &[]),
    ("xtask", &[]),
];

/// crate -> what from outside it must never use, and why.
const NEVER: &[(&str, &[&str], &str)] = &[
    ("captain-model", &["tokio", "socket2", "nix", "axum", "dhcproto"], "the vocabulary touches nothing"),
    ("captain-unpack", &["tokio", "nix", "tempfile"], "streams only"),
    ("captain-config", &["tokio", "socket2", "axum", "reqwest"], "text -> Config"),
    ("captain-dhcp", &["tokio", "socket2", "nix", "libc", "rand", "tracing"], "the DHCP core is pure"),
    ("captain-boot", &["tokio", "socket2", "nix", "axum", "tracing"], "scripts are pure"),
    ("captain-tftp", &["axum", "dhcproto"], "TFTP knows neither DHCP nor HTTP"),
    ("captain-oci", &["dhcproto"], "the registry knows neither DHCP nor boots"),
    ("captain-osie", &["bollard", "axum", "dhcproto"], "the image needs no Docker; the kernel builder may"),
    ("captain-lab", &["axum", "dhcproto", "async-tftp"], "the lab does not serve"),
    ("captain-server", &["dhcproto", "bollard"], "no protocol decisions in the shell"),
    ("captaind", &["dhcproto", "axum", "bollard"], "the command line decides nothing"),
];

/// Normal (not dev, not build) dependencies of each workspace member.
fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline", "--locked"])
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo metadata is JSON");
    let packages = metadata["packages"].as_array().expect("a list of packages");
    packages.iter().map(|package| (text(&package["name"]), normal(package))).collect()
}

fn normal(package: &Value) -> BTreeSet<String> {
    let all = package["dependencies"].as_array().expect("a list of dependencies");
    all.iter().filter(|dependency| dependency["kind"].is_null()).map(|d| text(&d["name"])).collect()
}

fn text(value: &Value) -> String {
    value.as_str().expect("a string").to_owned()
}

#[test]
fn every_crate_is_on_the_map_and_keeps_to_its_arrows() {
    let found = dependencies();
    let house: BTreeSet<_> = found.keys().cloned().collect();
    let mapped: BTreeSet<_> = ARROWS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(house, mapped, "crates and the map of arrows differ");
    for (name, allowed) in ARROWS {
        let beyond: Vec<_> =
            found[*name].iter().filter(|d| house.contains(*d) && !allowed.contains(&d.as_str())).collect();
        assert!(beyond.is_empty(), "{name} must not use {beyond:?}");
    }
}

#[test]
fn no_crate_touches_what_it_must_not() {
    let found = dependencies();
    for (name, never, why) in NEVER {
        let touched: Vec<_> = never.iter().filter(|dependency| found[*name].contains(**dependency)).collect();
        assert!(touched.is_empty(), "{name} must not use {touched:?}: {why}");
    }
}

#[test]
fn only_one_file_names_the_dhcp_codec() {
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/../crates/captain-dhcp/src");
    let mut naming = Vec::new();
    visit(source.as_ref(), &mut |path, text| {
        if text.contains("dhcproto") {
            naming.push(path.strip_prefix(source).expect("below src").to_owned());
        }
    });
    assert!(
        naming.iter().all(|path| path.starts_with("wire") || path == std::path::Path::new("wire.rs")),
        "dhcproto is named outside `wire`: {naming:?}"
    );
    assert!(!naming.is_empty(), "nothing was read from {source}");
}

fn visit(folder: &std::path::Path, seen: &mut impl FnMut(&std::path::Path, &str)) {
    for entry in std::fs::read_dir(folder).expect("the folder is there") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            visit(&path, seen);
        } else {
            seen(&path, &std::fs::read_to_string(&path).expect("a text file"));
        }
    }
}
