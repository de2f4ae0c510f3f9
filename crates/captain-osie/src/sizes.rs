//! Which package and which kind of file takes how many bytes of an unpacked image.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::tree::{Node, Tree};

/// Bytes of an unpacked image, told apart in two ways.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sizes {
    /// All files, bytes.
    pub total: u64,
    /// By package or overlay, the largest first.
    pub packages: Vec<Share>,
    /// By kind of file, the largest first.
    pub groups: Vec<Share>,
}

/// One part of an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    /// Package, overlay, or kind of file.
    pub name: String,
    /// Bytes, unpacked. Hard links count once.
    pub bytes: u64,
    /// How many files.
    pub files: u64,
}

/// Kinds of files: the first one whose folder a path lies in.
const GROUPS: [(&str, &[&str]); 9] = [
    ("kernel modules", &["usr/lib/modules/"]),
    ("hardware firmware", &["usr/lib/firmware/"]),
    (
        "container tools",
        &["usr/bin/containerd", "usr/bin/ctr", "usr/sbin/runc", "usr/bin/runc", "usr/lib/cni/"],
    ),
    ("programs", &["usr/bin/", "usr/sbin/", "usr/libexec/", "usr/local/", "init"]),
    ("systemd and udev", &["usr/lib/systemd/", "usr/lib/udev/"]),
    ("shared libraries", &["usr/lib/x86_64-linux-gnu/", "usr/lib/aarch64-linux-gnu/", "usr/lib64/"]),
    ("other libraries and data of programs", &["usr/lib/"]),
    ("data", &["usr/share/"]),
    ("configuration", &["etc/", "root/"]),
];

impl Sizes {
    pub(crate) fn of(tree: &Tree) -> Self {
        let (mut seen, mut total) = (HashSet::new(), 0);
        let mut packages: BTreeMap<String, (u64, u64)> = BTreeMap::new();
        let mut groups = packages.clone();
        for (path, entry) in tree.iter() {
            let Node::File(content) = &entry.node else { continue };
            let bytes = if seen.insert(Arc::as_ptr(content)) { content.size() } else { 0 };
            total += bytes;
            for (table, name) in [(&mut packages, &*entry.from), (&mut groups, group(path))] {
                let share = table.entry(name.to_owned()).or_default();
                *share = (share.0 + bytes, share.1 + 1);
            }
        }
        Self { total, packages: shares(packages), groups: shares(groups) }
    }
}

fn group(path: &str) -> &'static str {
    let lies = |starts: &[&str]| starts.iter().any(|start| path.starts_with(start));
    GROUPS.iter().find(|(_, starts)| lies(starts)).map_or("other", |(name, _)| name)
}

fn shares(table: BTreeMap<String, (u64, u64)>) -> Vec<Share> {
    let share = |(name, (bytes, files))| Share { name, bytes, files };
    let mut shares: Vec<_> = table.into_iter().map(share).collect();
    // By name they are already; sorting keeps that among equals.
    shares.sort_by_key(|share| std::cmp::Reverse(share.bytes));
    shares
}

impl fmt::Display for Sizes {
    /// The kinds of files, then the packages that make up most of the image.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const PACKAGES: usize = 10;
        let line = |f: &mut fmt::Formatter<'_>, share: &Share| {
            writeln!(f, "  {:>7.1} MB {:>5} files  {}", share.bytes as f64 / 1e6, share.files, share.name)
        };
        writeln!(f, "unpacked {:.1} MB, by kind of file:", self.total as f64 / 1e6)?;
        self.groups.iter().try_for_each(|share| line(f, share))?;
        writeln!(f, "the largest of {} packages:", self.packages.len())?;
        self.packages.iter().take(PACKAGES).try_for_each(|share| line(f, share))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::Entry;

    fn share(name: &str, bytes: u64, files: u64) -> Share {
        Share { name: name.to_owned(), bytes, files }
    }

    #[test]
    fn every_byte_is_counted_once_by_package_and_by_kind() {
        let (one, two): (Arc<str>, Arc<str>) = ("one".into(), "two".into());
        let mut tree = Tree::default();
        let shared = Entry::new(Node::file(*b"12345"), 0o755, &one);
        tree.insert("usr/bin/a", shared.clone()).unwrap();
        tree.insert("usr/bin/b", shared).unwrap();
        tree.write("usr/lib/modules/6/x.ko", 0o644, *b"1234567", &two).unwrap();
        tree.write("boot/x", 0o644, *b"1", &one).unwrap();
        tree.link("etc/link", "x", &one).unwrap();
        let sizes = Sizes::of(&tree);
        assert_eq!(sizes.total, 13);
        assert_eq!(sizes.packages, [share("two", 7, 1), share("one", 6, 3)]);
        assert_eq!(
            sizes.groups,
            [share("kernel modules", 7, 1), share("programs", 5, 2), share("other", 1, 1)]
        );
    }
}
