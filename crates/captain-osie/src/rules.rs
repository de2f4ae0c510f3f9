//! Which files of the packages the OSIE does without: an ordered list of globs.

use crate::error::Error;

/// Globs in the order of their file: the last one that matches a path or a folder above it decides.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rules(Vec<Rule>);

#[derive(Clone, Debug)]
struct Rule {
    keep: bool,
    parts: Vec<String>,
}

impl Rules {
    /// Reads one glob a line. `#` starts a comment line, `!` in front keeps what an earlier line drops.
    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        lines.map(Rule::parse).collect::<Result<_, _>>().map(Self)
    }

    /// Whether the file at `path` (no leading slash) stays out of the image.
    pub(crate) fn drop(&self, path: &str) -> bool {
        let parts: Vec<_> = path.split('/').collect();
        self.0.iter().rev().find(|rule| rule.covers(&parts)).is_some_and(|rule| !rule.keep)
    }
}

impl Rule {
    fn parse(line: &str) -> Result<Self, Error> {
        let (keep, glob) = line.strip_prefix('!').map_or((false, line), |rest| (true, rest));
        if glob.starts_with('/') || glob.ends_with('/') || glob.is_empty() {
            return Err(Error::malformed("drop list", format!("`{line}` starts or ends with a slash")));
        }
        Ok(Self { keep, parts: glob.split('/').map(str::to_owned).collect() })
    }

    fn covers(&self, path: &[&str]) -> bool {
        covers(&self.parts, path)
    }
}

/// Whether `glob` matches `path` or a folder above it.
fn covers(glob: &[String], path: &[&str]) -> bool {
    match (glob, path) {
        ([], _) => true,
        (_, []) => false,
        ([any, rest @ ..], _) if any == "**" => (0..path.len()).any(|skip| covers(rest, &path[skip..])),
        ([first, rest @ ..], [name, below @ ..]) => matches(first, name) && covers(rest, below),
    }
}

/// Whether `name` is what `glob` says, where `*` stands for any run of characters.
fn matches(glob: &str, name: &str) -> bool {
    match glob.split_once('*') {
        None => glob == name,
        Some((start, rest)) => name.strip_prefix(start).is_some_and(|name| {
            (0..=name.len()).any(|at| name.is_char_boundary(at) && matches(rest, &name[at..]))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_that_matches_decides_and_folders_take_what_is_below() {
        let rules =
            Rules::parse("# c\nusr/share/doc\nusr/lib/cni/*\n!usr/lib/cni/bridge\nusr/lib/**/*.a\n").unwrap();
        for (path, dropped) in [
            ("usr/share/doc", true),
            ("usr/share/doc/bash/README", true),
            ("usr/share/docs", false),
            ("usr/lib/cni", false),
            ("usr/lib/cni/dhcp", true),
            ("usr/lib/cni/bridge", false),
            ("usr/lib/x/y/libz.a", true),
            ("usr/lib/libz.a", true),
            ("usr/lib/libz.so", false),
        ] {
            assert_eq!(rules.drop(path), dropped, "{path}");
        }
    }

    #[test]
    fn our_own_list_is_understood_and_spares_what_must_be_there() {
        let rules = Rules::parse(include_str!("../data/drop.txt")).unwrap();
        for path in
            ["usr/bin/containerd", "usr/bin/containerd-shim-runc-v2", "usr/lib/cni/bridge", "usr/bin/ctr"]
        {
            assert!(!rules.drop(path), "{path}");
        }
        for path in ["usr/bin/containerd-stress", "usr/lib/cni/vrf", "usr/share/doc/x/copyright"] {
            assert!(rules.drop(path), "{path}");
        }
    }

    #[test]
    fn a_glob_with_a_slash_at_an_end_is_a_fault() {
        assert!(Rules::parse("/usr").is_err());
        assert!(Rules::parse("usr/").is_err());
    }
}
