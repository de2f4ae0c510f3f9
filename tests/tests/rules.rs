//! tests/RULES.md says the truth: every test that it names is there.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

const RULES: &str = include_str!("../RULES.md");

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ is below the root")
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() && path.file_name().is_none_or(|name| name != "target") {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Lines of tables: source, rule, what holds it.
fn rows() -> impl Iterator<Item = [&'static str; 3]> {
    let cells = |line: &'static str| {
        let mut cells = line.trim_matches('|').split(" | ").map(str::trim);
        Some([cells.next()?, cells.next()?, cells.next()?])
    };
    RULES.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| source")).filter_map(cells)
}

/// What is wrong with `name`, if anything.
fn fault(name: &str, files: &[PathBuf]) -> Option<String> {
    let Some((end, case)) = name.split_once("::") else { return Some(format!("{name}: no file::case")) };
    let ends = |path: &&PathBuf| path.ends_with(end);
    let [file] = files.iter().filter(ends).collect::<Vec<_>>()[..] else {
        return Some(format!("{name}: {} files end so", files.iter().filter(ends).count()));
    };
    let text = std::fs::read_to_string(file).expect("a source file");
    let there = text.contains(&format!("fn {case}(")) || text.contains(&format!("\"{case}\""));
    (!there).then(|| format!("{name}: not in {}", file.display()))
}

#[test]
fn every_test_that_the_rules_name_is_there() {
    let mut files = Vec::new();
    sources(&root().join("crates"), &mut files);
    sources(&root().join("tests"), &mut files);
    let mut faults = Vec::new();
    for [source, rule, held] in rows() {
        let names: Vec<&str> = held.split('`').skip(1).step_by(2).collect();
        if names.is_empty() {
            faults.push(format!("{source}: {rule}: held by nothing"));
        }
        faults.extend(names.into_iter().filter_map(|name| fault(name, &files)));
    }
    assert!(rows().count() > 120, "only {} rules were read", rows().count());
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn no_fact_and_no_row_of_what_breaks_in_the_field_is_left_out() {
    let told: BTreeSet<&str> = rows().map(|[source, ..]| source).collect();
    let facts = (1..=5).map(|number| format!("fact {number}"));
    let missing: Vec<String> = facts
        .chain((1..=30).map(|number| format!("row {number}")))
        .filter(|source| !told.contains(source.as_str()))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}
