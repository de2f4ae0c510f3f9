//! Tables of small archives: what is selected, and what is said when nothing can be.

use super::*;
use crate::index::Index;
use crate::package::Origin;

/// `name version; field: value; ...` per line; what a real entry has besides is filled in.
fn universe(lines: &str) -> Universe {
    let mut text = String::new();
    for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let mut parts = line.split(';').map(str::trim);
        let (name, version) = parts.next().unwrap().split_once(' ').unwrap();
        text += &format!("Package: {name}\nVersion: {version}\nArchitecture: amd64\nSize: 1\n");
        text += &format!("Filename: pool/{name}.deb\nSHA256: {}\n", "0".repeat(64));
        for field in parts {
            text += &format!("{field}\n");
        }
        text.push('\n');
    }
    let index = Index::parse(&text, "http://test/Packages", "amd64").unwrap();
    let origin = Origin { mirrors: vec![], suite: "test".into(), component: "main".into() };
    Universe::new("amd64", vec![(index, origin)])
}

fn names(resolution: &Resolution) -> Vec<String> {
    resolution.packages().map(|package| format!("{} {}", package.name, package.version)).collect()
}

const SYSTEM: &str = "
    init 2; Depends: libc (>= 2), mta | editor, libpam:any
    init 1; Depends: nothing
    libc 2.5; Pre-Depends: base (= 1:1)
    base 1:1; Depends: libc
    pam-b 1; Provides: libpam; Priority: optional
    pam-a 1; Provides: libpam; Priority: optional
    pam-z 1; Provides: libpam (= 3); Priority: required
    editor 1
    vi 1; Provides: editor
    needs-editor 1; Depends: editor
    versioned 1; Depends: libpam (>= 2)
    too-new 1; Depends: libc (>= 3) | missing, base
    deep 1; Depends: deeper
    deeper 1; Depends: too-new
    only-one 1; Provides: the-one
    hates-editor 1; Conflicts: editor, hates
    hater 1; Provides: hates; Conflicts: hates
    breaks-old 1; Breaks: libc (<< 2)
    breaks-new 1; Breaks: libc (>> 2)
    asks-arch 1; Depends: libc:arm64
";

fn selected(request: &Request) -> Result<Vec<String>, String> {
    resolve(&universe(SYSTEM), request).map(|found| names(&found)).map_err(|error| error.to_string())
}

#[test]
fn everything_that_is_needed_is_selected_and_nothing_else() {
    let found = selected(&Request::new(["init"])).unwrap();
    assert_eq!(found, ["base 1:1", "editor 1", "init 2", "libc 2.5", "pam-z 1"]);
}

#[test]
fn what_is_selected_already_meets_an_alternative() {
    let found = selected(&Request::new(["needs-editor", "vi", "pam-b", "init"])).unwrap();
    assert!(!found.contains(&"editor 1".to_owned()), "vi provides it: {found:?}");
    assert!(!found.contains(&"pam-z 1".to_owned()), "pam-b provides it: {found:?}");
}

#[test]
fn an_assumed_package_meets_every_version_and_is_not_fetched() {
    let request = Request::new(["too-new", "libc"]).assume(["libc", "base"]);
    assert_eq!(selected(&request).unwrap(), ["too-new 1"]);
}

#[test]
fn an_excluded_package_gives_way_to_a_provider() {
    let found = selected(&Request::new(["needs-editor"]).exclude(["editor"])).unwrap();
    assert_eq!(found, ["needs-editor 1", "vi 1"]);
    let error = selected(&Request::new(["needs-editor"]).exclude(["editor", "vi"])).unwrap_err();
    assert!(
        error.starts_with("`editor` cannot be met: `editor` is excluded (needed by needs-editor)"),
        "{error}"
    );
}

#[test]
fn only_a_versioned_provides_meets_a_versioned_dependency() {
    assert_eq!(selected(&Request::new(["versioned"])).unwrap(), ["pam-z 1", "versioned 1"]);
    assert!(selected(&Request::new(["versioned"]).exclude(["pam-z"])).is_err());
}

#[test]
fn an_unmet_dependency_shows_the_chain_and_each_alternative() {
    let error = selected(&Request::new(["deep"])).unwrap_err();
    assert_eq!(
        error,
        "`libc (>= 3) | missing` cannot be met: `libc` is offered in version 2.5 only; \
         no package `missing` in test (main) for amd64 (needed by deep -> deeper -> too-new); \
         leave deep out, or take another mirror or suite (`mirror`, `suite` under [osie])"
    );
    assert!(selected(&Request::new(["asks-arch"])).unwrap_err().contains("libc:arm64"));
}

#[test]
fn an_unknown_package_comes_with_a_hint() {
    for (name, hint) in [
        ("edito", "did you mean editor?"),
        ("libpam", "it is a virtual package: name one of pam-z, pam-a, pam-b"),
        ("init=3", "version 3 is not there, but 1, 2"),
        ("qqqqqqq", "amd64"),
    ] {
        let error = selected(&Request::new([name])).unwrap_err();
        assert!(error.starts_with("no package `") && error.ends_with(hint), "{error}");
    }
    assert_eq!(selected(&Request::new(["the-one"])).unwrap(), ["only-one 1"]);
}

#[test]
fn an_exact_version_is_taken_where_it_was_asked_for() {
    let error = selected(&Request::new(["init=1"])).unwrap_err();
    assert!(error.contains("no package `nothing`") && error.contains("needed by init"), "{error}");
}

#[test]
fn conflicts_and_breaks_are_found_in_the_end() {
    let error = selected(&Request::new(["hates-editor", "init"])).unwrap_err();
    assert_eq!(
        error,
        "hates-editor conflicts with `editor`, which editor 1 is: leave one out \
         (needed by hates-editor; init -> editor)"
    );
    assert!(selected(&Request::new(["hates-editor", "hater"])).unwrap_err().contains("hater 1"));
    assert!(selected(&Request::new(["breaks-new", "libc"])).unwrap_err().contains("breaks `libc (>> 2)`"));
    assert!(selected(&Request::new(["breaks-old", "libc", "hater"])).is_ok());
}

#[test]
fn the_chain_leads_from_what_was_wanted() {
    let found = resolve(&universe(SYSTEM), &Request::new(["init"])).unwrap();
    assert_eq!(found.why("base"), ["init", "libc", "base"]);
    assert_eq!(found.why("vi"), [""; 0]);
    let Why::Needed { by, dependency } = &found.get("pam-z").unwrap().why else { panic!("not needed") };
    assert_eq!((by.as_str(), dependency.as_str()), ("init", "libpam:any"));
}
