//! The files that depmod would write. kmod looks names and aliases up in the .bin forms only; of the text forms
//! it reads `modules.softdep`, `modules.weakdep` and `modules.devname`. `modules.dep` is there for people.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use crate::modules::index::Index;
use crate::modules::info::{normalise, pairs};
use crate::modules::{Selection, Shelf, name_of};

/// The files by name, for the folder of the kernel's version.
pub(crate) fn tables(chosen: &Selection, shelf: &Shelf) -> BTreeMap<&'static str, Vec<u8>> {
    let ranks = ranks(chosen, shelf);
    let (dep, dep_bin) = dependencies(chosen, &ranks);
    let mut files = BTreeMap::from([
        ("modules.dep", dep.into_bytes()),
        ("modules.dep.bin", dep_bin.encode()),
        ("modules.alias.bin", aliases(chosen, &ranks).encode()),
        ("modules.symbols.bin", symbols(chosen, &ranks).encode()),
        (
            "modules.softdep",
            lines("softdep", chosen, &ranks, |name| &chosen[name].info.softdeps).into_bytes(),
        ),
        (
            "modules.weakdep",
            lines("weakdep", chosen, &ranks, |name| &chosen[name].info.weakdeps).into_bytes(),
        ),
        ("modules.devname", device_names(chosen, &ranks).into_bytes()),
        ("modules.builtin.bin", builtin(shelf).encode()),
        ("modules.builtin.alias.bin", builtin_aliases(shelf).encode()),
    ]);
    for name in ["modules.builtin", "modules.builtin.modinfo", "modules.order"] {
        if let Some(list) = shelf.lists.get(name) {
            files.insert(name, list.clone());
        }
    }
    files
}

/// Chosen modules in the order of `modules.order`, then by name: where several answer to an alias,
/// the kernel's own order decides which is tried first.
fn ranks<'a>(chosen: &'a Selection, shelf: &'a Shelf) -> Vec<&'a str> {
    let places: BTreeMap<String, usize> =
        shelf.order().enumerate().map(|(at, path)| (name_of(path), at)).collect();
    let mut names: Vec<_> = chosen.keys().map(String::as_str).collect();
    names.sort_by_key(|name| (places.get(*name).copied().unwrap_or(usize::MAX), *name));
    names
}

/// `modules.dep` in both forms: each module with all that it needs, what has to be loaded first at the end.
fn dependencies(chosen: &Selection, ranks: &[&str]) -> (String, Index) {
    let (mut text, mut index) = (String::new(), Index::default());
    for (rank, name) in (0..).zip(ranks) {
        let mut order = Vec::new();
        visit(name, chosen, &mut BTreeSet::new(), &mut order);
        order.pop();
        let needed = order.iter().rev().map(|name| format!(" {}", chosen[*name].path));
        let line = format!("{}:{}", chosen[*name].path, needed.collect::<String>());
        text.push_str(&line);
        text.push('\n');
        index.insert(name, &line, rank);
    }
    (text, index)
}

/// Everything below `name` before `name` itself.
fn visit<'a>(name: &'a str, chosen: &'a Selection, seen: &mut BTreeSet<&'a str>, order: &mut Vec<&'a str>) {
    if !seen.insert(name) {
        return;
    }
    for needed in chosen[name].info.depends.iter().filter(|needed| chosen.contains_key(*needed)) {
        visit(needed, chosen, seen, order);
    }
    order.push(name);
}

fn aliases(chosen: &Selection, ranks: &[&str]) -> Index {
    let mut index = Index::default();
    for (rank, name) in (0..).zip(ranks) {
        for alias in &chosen[*name].info.aliases {
            index.insert(&normalise(alias), name, rank);
        }
    }
    index
}

fn symbols(chosen: &Selection, ranks: &[&str]) -> Index {
    let mut index = Index::default();
    for (rank, name) in (0..).zip(ranks) {
        for symbol in &chosen[*name].info.exports {
            index.insert(&format!("symbol:{symbol}"), name, rank);
        }
    }
    index
}

fn lines<'a>(
    word: &str,
    chosen: &'a Selection,
    ranks: &[&'a str],
    of: impl Fn(&'a str) -> &'a Vec<String>,
) -> String {
    let mut text = String::new();
    for name in ranks.iter().filter(|name| chosen.contains_key(**name)) {
        for line in of(name) {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{word} {name} {line}");
        }
    }
    text
}

/// Device nodes that may be made before their module is there: it is loaded when one is opened.
fn device_names(chosen: &Selection, ranks: &[&str]) -> String {
    let mut text = String::from("# Device nodes to trigger on-demand module loading.\n");
    for name in ranks {
        let aliases = &chosen[*name].info.aliases;
        let file = aliases.iter().find_map(|alias| alias.strip_prefix("devname:"));
        let number = aliases.iter().find_map(|alias| device_number(alias));
        if let (Some(file), Some((kind, number))) = (file, number) {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{name} {file} {kind}{number}");
        }
    }
    text
}

/// `char-major-10-229` as `c` and `10:229`.
fn device_number(alias: &str) -> Option<(char, String)> {
    let (kind, rest) = [('c', "char-major-"), ('b', "block-major-")]
        .into_iter()
        .find_map(|(kind, start)| Some((kind, alias.strip_prefix(start)?)))?;
    let (major, minor) = rest.split_once('-')?;
    let number = |text: &str| text.parse::<u32>().ok();
    Some((kind, format!("{}:{}", number(major)?, number(minor)?)))
}

fn builtin(shelf: &Shelf) -> Index {
    let mut index = Index::default();
    for path in shelf.builtin() {
        index.insert(&name_of(path), "", 0);
    }
    index
}

/// Aliases of what is built in: `MODULE.alias=PATTERN` strings in `modules.builtin.modinfo`.
fn builtin_aliases(shelf: &Shelf) -> Index {
    let mut index = Index::default();
    let modinfo = shelf.lists.get("modules.builtin.modinfo").map(Vec::as_slice).unwrap_or_default();
    for (key, alias) in pairs(modinfo) {
        if let Some(module) = key.strip_suffix(".alias") {
            index.insert(&normalise(alias), module, 0);
        }
    }
    index
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::modules::groups::Groups;
    use crate::modules::testing::{Module, shelf};
    use crate::pool::Pool;

    fn files() -> BTreeMap<&'static str, Vec<u8>> {
        let modules = [
            Module::new("kernel/crypto/low.ko").exports("low_init"),
            Module::new("kernel/net/mid-dle.ko").modinfo("depends=low").modinfo("softdep=pre: extra"),
            Module::new("kernel/net/top.ko")
                .modinfo("depends=mid-dle,low")
                .modinfo("alias=pci:v00008086d[0-9]*-x"),
            Module::new("kernel/net/extra.ko"),
            Module::new("kernel/net/tun.ko")
                .modinfo("alias=devname:net/tun")
                .modinfo("alias=char-major-10-200"),
            Module::new("kernel/sound/left.ko"),
        ];
        let folder = tempfile::tempdir().unwrap();
        let mut pool = Pool::new(folder.path()).unwrap();
        let shelf = shelf(&modules, &["kernel/fs/nfs/built-in.ko"], &mut pool);
        let wanted = ["top".to_owned(), "tun".to_owned()];
        let chosen = shelf.select(&wanted, &Groups::default(), &mut pool).unwrap();
        assert_eq!(chosen.keys().collect::<Vec<_>>(), ["extra", "low", "mid_dle", "top", "tun"]);
        tables(&chosen, &shelf)
    }

    #[test]
    fn dependencies_are_listed_with_what_must_be_loaded_first_at_the_end() {
        let text = String::from_utf8(files()["modules.dep"].clone()).unwrap();
        let top = text.lines().find(|line| line.starts_with("kernel/net/top.ko")).unwrap();
        assert_eq!(top, "kernel/net/top.ko: kernel/net/mid-dle.ko kernel/crypto/low.ko");
        assert!(!text.contains("left"), "nobody asked for it");
    }

    #[test]
    fn the_text_files_that_kmod_reads_are_as_depmod_writes_them() {
        let files = files();
        assert_eq!(files["modules.softdep"], b"softdep mid_dle pre: extra\n");
        let nodes = String::from_utf8(files["modules.devname"].clone()).unwrap();
        assert!(nodes.ends_with("\ntun net/tun c10:200\n"), "{nodes}");
    }

    #[test]
    fn aliases_symbols_and_what_is_built_in_are_in_the_indices() {
        let files = files();
        let has =
            |file: &str, text: &str| files[file].windows(text.len()).any(|piece| piece == text.as_bytes());
        assert!(
            has("modules.alias.bin", "ci:v00008086d[0-9]*_x"),
            "dashes become underscores outside of brackets"
        );
        assert!(has("modules.symbols.bin", "ymbol:low_init"));
        assert!(has("modules.builtin.bin", "uilt_in"));
    }

    #[test]
    fn a_module_that_is_not_there_is_met_with_similar_names() {
        let folder = tempfile::tempdir().unwrap();
        let mut pool = Pool::new(folder.path()).unwrap();
        let shelf = shelf(&[Module::new("kernel/net/ixgbe.ko")], &["kernel/x/ext4.ko"], &mut pool);
        let mut select = |name: &str| shelf.select(&[name.to_owned()], &Groups::ours().unwrap(), &mut pool);
        assert!(select("ixgbe").is_ok());
        assert!(select("ext4").is_ok(), "built in is there too");
        let error = select("ixbge").unwrap_err().to_string();
        assert!(error.contains("`ixbge`") && error.contains("ixgbe"), "{error}");
    }
}
