//! Groups of kernel modules, from `data/modules.txt`.

use std::collections::BTreeMap;

use crate::error::Error;

/// All groups by name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Groups(BTreeMap<String, Group>);

/// What one group takes in.
#[derive(Clone, Debug, Default)]
pub(crate) struct Group(Vec<(bool, String)>);

impl Groups {
    /// The group that every image gets.
    pub(crate) const BASE: &'static str = "base";

    /// captaind's own.
    pub(crate) fn ours() -> Result<Self, Error> {
        Self::parse(include_str!("../../data/modules.txt"))
    }

    /// Reads `[group]` lines, each followed by paths; `!` in front of a path takes it out again.
    fn parse(text: &str) -> Result<Self, Error> {
        let mut groups = BTreeMap::new();
        let mut name = None;
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
            if let Some(heading) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
                groups.entry(heading.to_owned()).or_insert_with(Group::default);
                name = Some(heading.to_owned());
                continue;
            }
            let group = name.as_ref().and_then(|name| groups.get_mut(name));
            let group = group
                .ok_or_else(|| Error::malformed("groups of modules", format!("`{line}` is in no group")))?;
            let (takes, path) = line.strip_prefix('!').map_or((true, line), |path| (false, path));
            group.0.push((takes, path.to_owned()));
        }
        Ok(Self(groups))
    }

    /// One group.
    pub(crate) fn get(&self, name: &str) -> Option<&Group> {
        self.0.get(name)
    }

    /// Names of all groups.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

impl Group {
    /// Whether the module at `path` (`kernel/.../x.ko`) is in it.
    pub(crate) fn takes(&self, path: &str) -> bool {
        let plain = path.strip_suffix(".ko").unwrap_or(path);
        let covers = |rule: &str| {
            plain.strip_prefix(rule).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        self.0.iter().rev().find(|(_, rule)| covers(rule)).is_some_and(|(takes, _)| *takes)
    }
}

/// The up to three names that are most like `wanted`, the likest first; none that are too far off.
pub(crate) fn nearest(wanted: &str, names: impl Iterator<Item = String>) -> Vec<String> {
    let limit = 1 + wanted.len() / 3;
    let mut near: Vec<_> =
        names.map(|name| (distance(wanted, &name), name)).filter(|(far, _)| *far <= limit).collect();
    near.sort_unstable();
    near.into_iter().take(3).map(|(_, name)| name).collect()
}

/// Levenshtein's.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.bytes().enumerate() {
            let change = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = change.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_takes_folders_and_single_modules_and_leaves_out_what_it_says() {
        let groups =
            Groups::parse("[net]\nkernel/net\n!kernel/net/old\nkernel/drivers/tun\n[x]\nkernel/x\n").unwrap();
        let net = groups.get("net").unwrap();
        for (path, taken) in [
            ("kernel/net/a.ko", true),
            ("kernel/net/old/b.ko", false),
            ("kernel/network.ko", false),
            ("kernel/drivers/tun.ko", true),
            ("kernel/x/y.ko", false),
        ] {
            assert_eq!(net.takes(path), taken, "{path}");
        }
    }

    #[test]
    fn every_default_group_exists() {
        let groups = Groups::ours().unwrap();
        let named = captain_model::Shipped::ALL.iter().flat_map(|shipped| shipped.modules());
        for name in named.chain(&[Groups::BASE]) {
            assert!(groups.get(name).is_some(), "{name}");
        }
    }

    #[test]
    fn typing_errors_are_met_with_what_was_meant() {
        let names = ["ixgbe", "ixgbevf", "igb", "xfs"];
        let near = |wanted| nearest(wanted, names.into_iter().map(str::to_owned));
        assert_eq!(near("ixbge")[0], "ixgbe");
        assert_eq!(near("xsf"), ["xfs"]);
        assert!(near("something_else").is_empty());
    }
}
