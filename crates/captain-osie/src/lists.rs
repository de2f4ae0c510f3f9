//! The builder's own lists: packages, links and folders. Data, not code: see `data/`.

use std::collections::BTreeMap;

use captain_model::Shipped;

use crate::error::Error;
use crate::rules::Rules;

/// Folders that the image has, whatever the packages bring, with their modes.
pub(crate) const FOLDERS: [(&str, u32); 13] = [
    ("dev", 0o755),
    ("etc/containerd/certs.d", 0o755),
    ("etc/systemd/network", 0o755),
    ("mnt", 0o755),
    ("opt", 0o755),
    ("proc", 0o555),
    ("root", 0o700),
    ("run", 0o755),
    ("sys", 0o555),
    ("tmp", 0o1777),
    ("var/lib/containerd", 0o711),
    ("var/log", 0o755),
    ("var/tmp", 0o1777),
];

/// Package names by section of `data/packages.txt`.
#[derive(Clone, Debug)]
pub(crate) struct Packages(BTreeMap<String, Vec<String>>);

impl Packages {
    /// captaind's own.
    pub(crate) fn ours() -> Result<Self, Error> {
        Self::parse(include_str!("../data/packages.txt"))
    }

    fn parse(text: &str) -> Result<Self, Error> {
        let mut sections: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let mut section = None;
        for line in plain_lines(text) {
            if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
                section = Some(name.to_owned());
                continue;
            }
            let section = section
                .clone()
                .ok_or_else(|| Error::malformed("packages.txt", format!("`{line}` is in no section")))?;
            sections.entry(section).or_default().push(line.to_owned());
        }
        Ok(Self(sections))
    }

    /// What `base` asks for.
    pub(crate) fn wanted(&self, base: Shipped, debug: bool) -> Vec<String> {
        let beside: &[String] = match base {
            Shipped::Default | Shipped::Debug => self.section("default"),
            Shipped::Slim => &[],
        };
        let tools = if debug { self.section("debug") } else { &[] };
        [self.section("base"), beside, tools].concat()
    }

    /// The packages of `section`.
    pub(crate) fn section(&self, section: &str) -> &[String] {
        self.0.get(section).map(Vec::as_slice).unwrap_or_default()
    }
}

/// What of the packages' files an image on top of `base` does without.
pub(crate) fn dropped(base: Shipped) -> Result<Rules, Error> {
    let all = include_str!("../data/drop.txt");
    match base {
        Shipped::Default | Shipped::Debug => Rules::parse(all),
        Shipped::Slim => Rules::parse(&[all, include_str!("../data/drop-slim.txt")].concat()),
    }
}

/// Links that every image gets: path and target.
pub(crate) fn links() -> impl Iterator<Item = (&'static str, &'static str)> {
    plain_lines(include_str!("../data/links.txt")).filter_map(|line| line.split_once(' '))
}

/// Lines without comments, blanks and what stands behind a `#`.
fn plain_lines(text: &str) -> impl Iterator<Item = &str> {
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
    lines.filter(|line| !line.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lists_name_what_an_osie_cannot_do_without() {
        let packages = Packages::ours().unwrap();
        for name in ["systemd", "containerd", "runc", "udev", "bash"] {
            assert!(packages.section("base").iter().any(|package| package == name), "{name}");
        }
        for name in [
            "iputils-ping",
            "nftables",
            "procps",
            "less",
            "polkitd",
            "rsyslog",
            "login",
            "fastfetch",
            "acpid",
            "pigz",
        ] {
            let has = |base| packages.wanted(base, false).iter().any(|package| package == name);
            assert!(has(Shipped::Default) && has(Shipped::Debug) && !has(Shipped::Slim), "{name}");
        }
        assert!(packages.section("assumed").iter().any(|package| package == "perl-base"));
        assert!(links().any(|link| link == ("opt/cni/bin", "../../usr/lib/cni")));
        let all = packages.wanted(Shipped::Debug, true);
        assert!(all.iter().all(|name| !packages.section("assumed").contains(name)));
        for path in ["usr/bin/ss", "usr/share/polkit-1/actions/org.freedesktop.login1.policy"] {
            let drops = |base| dropped(base).unwrap().drop(path);
            assert!(drops(Shipped::Slim) && !drops(Shipped::Default), "{path}");
        }
    }
}
