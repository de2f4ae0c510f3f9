//! The way out of a name that is not there.

use std::collections::BTreeSet;

/// At most this many names are shown.
const SHOWN: usize = 5;

/// `did you mean ...`, or nothing where no name is like `wanted`.
pub(crate) fn nearest(wanted: &str, names: &BTreeSet<&str>) -> String {
    let limit = 1 + wanted.len() / 5;
    let mut near: Vec<_> = names
        .iter()
        .filter_map(|name| {
            let close = distance(wanted, name, limit);
            // `linux-image` is no typing error, yet the names that begin with it help.
            let part = (wanted.len() > 3 && name.starts_with(wanted)).then_some(limit);
            Some((close.or(part)?, *name))
        })
        .collect();
    near.sort_unstable();
    if near.is_empty() {
        return String::new();
    }
    format!("did you mean {}?", list(near.into_iter().map(|(_, name)| name)))
}

/// For a virtual package that was asked for by name.
pub(crate) fn providers<'a>(names: impl Iterator<Item = &'a str>) -> String {
    format!("it is a virtual package: name one of {}", list(names))
}

/// For an exact version that is not there.
pub(crate) fn versions(wanted: &str, offered: &[&str]) -> String {
    if offered.is_empty() {
        return "no version of it".to_owned();
    }
    format!("version {wanted} is not there, but {}", offered.join(", "))
}

/// `a, b, c and 7 more`.
pub(crate) fn list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<_> = names.collect();
    let shown = names[..names.len().min(SHOWN)].join(", ");
    match names.len().checked_sub(SHOWN) {
        Some(more) if more > 0 => format!("{shown} and {more} more"),
        _ => shown,
    }
}

/// Levenshtein's distance where it is at most `limit`.
fn distance(a: &str, b: &str, limit: usize) -> Option<usize> {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    if a.len().abs_diff(b.len()) > limit {
        return None;
    }
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (at, left) in a.iter().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], at + 1);
        for (other, right) in b.iter().enumerate() {
            let changed = diagonal + usize::from(left != right);
            diagonal = row[other + 1];
            row[other + 1] = changed.min(diagonal + 1).min(row[other] + 1);
        }
    }
    Some(row[b.len()]).filter(|distance| *distance <= limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistyped_name_finds_its_neighbours() {
        let names =
            BTreeSet::from(["containerd", "containers", "runc", "linux-image-amd64", "linux-image-rt"]);
        assert_eq!(nearest("containrd", &names), "did you mean containerd, containers?");
        assert_eq!(nearest("linux-image", &names), "did you mean linux-image-amd64, linux-image-rt?");
        assert_eq!(nearest("zzz", &names), "");
    }

    #[test]
    fn a_long_list_is_cut() {
        assert_eq!(list(["a", "b"].into_iter()), "a, b");
        assert_eq!(list("abcdefg".split("").filter(|name| !name.is_empty())), "a, b, c, d, e and 2 more");
    }
}
