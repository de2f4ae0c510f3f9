//! What the RFCs, the PXE specification and the field ask of a DHCP server, case by case with its source.

#![allow(clippy::unwrap_used, unreachable_pub, missing_docs)]

mod captures;
mod encoding;
mod explaining;
mod firmware;
mod hostile;
mod leases;
mod message;
mod modes;
mod policy;
mod properties;
mod relays;
mod requests;
mod rig;
mod routing;
mod settings;

/// Rows of `source, name, test`.
#[macro_export]
macro_rules! cases {
    ($($source:literal, $name:literal, $run:expr;)+) => {
        &[$($crate::rig::Case { source: $source, name: $name, run: $run }),+]
    };
}

const ALL: [(&str, &[rig::Case]); 10] = [
    ("hostile", hostile::CASES),
    ("encoding", encoding::CASES),
    ("requests", requests::CASES),
    ("leases", leases::CASES),
    ("routing", routing::CASES),
    ("relays", relays::CASES),
    ("settings", settings::CASES),
    ("modes", modes::CASES),
    ("policy", policy::CASES),
    ("explaining", explaining::CASES),
];

#[test]
fn no_case_stands_twice_and_none_is_without_a_source() {
    let mut names = std::collections::BTreeSet::new();
    for case in ALL.iter().flat_map(|(_, cases)| cases.iter()).chain(firmware::CASES) {
        assert!(names.insert(case.name), "twice: {}", case.name);
        assert!(!case.source.is_empty(), "{}", case.name);
    }
    let rows = names.len() + firmware::ARCHS.len() + captures::FILES.len();
    assert!(rows >= 200, "{rows} cases");
}

macro_rules! suites {
    ($($module:ident)+) => {
        $(#[test]
        fn $module() {
            rig::run($module::CASES);
        })+
    };
}

mod suites {
    use super::*;
    suites! { hostile encoding requests leases routing relays settings modes policy firmware explaining }
}
