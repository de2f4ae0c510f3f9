//! Indices as Debian writes them, and what becomes of broken ones.

use super::*;

const TEXT: &str = "Package: zsh\nVersion: 5.9-8+b1\nInstalled-Size: 2611\nArchitecture: amd64\nSource: zsh (5.9-8)\n\
    Depends: libc6 (>= 2.38),\n libtinfo6 (>= 6)\nPriority: optional\nDescription: shell\n with\ttab\n\
    Filename: pool/main/z/zsh_5.9-8+b1_amd64.deb\nSize: 9\n\
    SHA256: ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\n\n\
    Package: bash\nEssential: yes\nVersion: 5.2\nArchitecture: all\nProvides: sh, posix-shell (= 1)\n\
    Filename: ./pool/bash.deb\nSize: 7\nPriority: required\n\
    SHA256: ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\n";

fn origin() -> Arc<Origin> {
    Arc::new(Origin { mirrors: vec!["http://m".into()], suite: "s".into(), component: "main".into() })
}

fn check(index: &Index) {
    let rows: Vec<_> = (0..index.len()).map(|row| index.name(row)).collect();
    assert_eq!(rows, ["bash", "zsh"]);
    assert_eq!(index.providers_of("sh").collect::<Vec<_>>(), [0]);
    assert_eq!(index.providers_of("posix-shell").collect::<Vec<_>>(), [0]);
    assert_eq!(
        index.providers_of("s").count() + index.rows_of("ba").count() + index.rows_of("zz").count(),
        0
    );
    let zsh = index.package(index.rows_of("zsh").next().unwrap(), "amd64", &origin()).unwrap();
    assert_eq!(
        (zsh.version.as_str(), zsh.source.0.as_str(), zsh.source.1.as_str()),
        ("5.9-8+b1", "zsh", "5.9-8")
    );
    assert_eq!((zsh.size, zsh.installed_size, zsh.essential), (9, 2611, false));
    assert_eq!(zsh.depends.len(), 2, "a folded field");
    assert_eq!(zsh.urls(), ["http://m/pool/main/z/zsh_5.9-8+b1_amd64.deb"]);
    assert_eq!(zsh.file_name(), "zsh_5.9-8+b1_amd64.deb");
    let bash = index.package(0, "amd64", &origin()).unwrap();
    assert_eq!(
        (bash.essential, bash.priority, bash.filename.as_str()),
        (true, Priority::Required, "pool/bash.deb")
    );
}

#[test]
fn the_archives_form_and_the_compact_form_say_the_same() {
    let index = Index::parse(TEXT, "http://m/Packages", "amd64").unwrap();
    check(&index);
    let source = Sha256::of(b"source");
    check(&Index::of_bytes(index.to_bytes(&source), &source, "http://m/Packages").unwrap());
}

#[test]
fn a_damaged_or_foreign_compact_form_is_not_used() {
    let index = Index::parse(TEXT, "http://m/Packages", "amd64").unwrap();
    let source = Sha256::of(b"source");
    let bytes = index.to_bytes(&source);
    assert!(Index::of_bytes(bytes.clone(), &Sha256::of(b"newer"), "u").is_none());
    assert!(Index::of_bytes(bytes[..bytes.len() - 2].to_vec(), &source, "u").is_none());
    let mut changed = bytes;
    let last = changed.len() - 2;
    changed[last] ^= 1;
    assert!(Index::of_bytes(changed, &source, "u").is_none());
    assert!(Index::of_bytes(Vec::new(), &source, "u").is_none());
}

#[test]
fn an_entry_that_cannot_be_used_is_named() {
    for (from, to, why) in [
        ("Size: 9", "Size: nine", "size"),
        ("Version: 5.9-8+b1", "Version: 5 9", "not a Debian version"),
        ("pool/main/z/zsh", "../../z", "not a plain path"),
        ("Filename: pool/main", "Filename: /pool/main", "not a plain path"),
        ("libc6 (>= 2.38)", "libc6 (2.38)", "not a package relation"),
        ("Architecture: amd64", "Architecture: arm64", "`arm64`"),
        ("SHA256: ba", "SHA256: b", "SHA-256"),
    ] {
        let error =
            Index::parse(&TEXT.replace(from, to), "http://m/Packages", "amd64").unwrap_err().to_string();
        assert!(error.starts_with("http://m/Packages: package `") && error.contains(why), "{error}");
    }
}

#[test]
fn an_empty_index_has_no_package() {
    let index = Index::parse("", "http://m/Packages", "amd64").unwrap();
    assert!(index.is_empty());
    assert_eq!(index.rows_of("a").count() + index.providers_of("a").count(), 0);
}
