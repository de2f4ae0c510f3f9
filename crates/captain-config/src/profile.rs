//! `[profile.NAME]`.

use std::collections::BTreeMap;

use captain_model::{Profile, Recipe};

use crate::agent::agent;
use crate::reader::{Table, Value};
use crate::suggest::{did_you_mean, nearest};
use crate::words;

/// The OSIEs that a profile may name.
pub(crate) struct Known<'a> {
    pub(crate) recipes: &'a BTreeMap<String, Recipe>,
    /// Whether one of this name was taken into the cache.
    pub(crate) added: &'a dyn Fn(&str) -> bool,
}

pub(crate) fn profiles(table: Option<Table>, known: &Known) -> BTreeMap<String, Profile> {
    let mut profiles = BTreeMap::new();
    for (name, value) in table.iter().flat_map(|table| table.named(&[])) {
        if let Some(table) = value.named_table("a profile", &[]) {
            if let Err(error) = words::name(name) {
                table.fault(error);
            }
            profiles.insert(name.to_owned(), profile(name, table, known));
        }
    }
    profiles
}

fn profile(name: &str, table: Table, known: &Known) -> Profile {
    let default = Profile::new(name);
    let profile = Profile {
        osie: table.get("osie").and_then(|value| osie(&value, known)).unwrap_or(default.osie),
        cmdline: words::cmdline(&table).unwrap_or(default.cmdline),
        boot: table.choice("boot", words::BOOT).unwrap_or_default(),
        local_boot: table.choice("local_boot", words::LOCAL_BOOT).unwrap_or_default(),
        loader: table.parsed("loader", words::loader),
        agent: agent(table.table("agent")),
        name: default.name,
    };
    table.finish();
    profile
}

/// A recipe's or an added OSIE's name as it is, a URL as it is, a folder from the configuration's folder on.
fn osie(value: &Value, known: &Known) -> Option<String> {
    let text = value.string()?;
    if text.contains("://") {
        return value.parsed(|text| words::url(text, &["http", "https"]));
    }
    if text.contains('/') || matches!(text, "." | "..") {
        return value.path().map(|path| path.to_string_lossy().into_owned());
    }
    if known.recipes.contains_key(text) || (known.added)(text) {
        return Some(text.to_owned());
    }
    let names: Vec<_> = known.recipes.keys().map(String::as_str).collect();
    let hint = did_you_mean(nearest(text, names.iter().copied()), &names);
    value.fault(format!(
        "no [osie.{text}]: {hint} A folder is written with a `/`, as ./{text}; one of another maker is taken in by \
         `captaind osie add {text} SOURCE`"
    ));
    None
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    #[test]
    fn a_profile_may_name_an_osie_that_was_added_to_the_configured_cache() {
        let text = "[server]\ncache_dir = \"cache\"\n[profile.x]\nosie = \"hook\"\n";
        let added =
            |name: &str, cache: Option<&Path>| name == "hook" && cache == Some(Path::new("/cfg/cache"));
        let config = crate::check(text, Path::new("/cfg"), &added, &crate::PasswordFiles::default()).unwrap();
        assert_eq!(config.inventory.profile("x").unwrap().osie, "hook");
        let faults = crate::parse(text, Path::new("/cfg")).unwrap_err().to_string();
        assert!(faults.contains("4:8: profile.x.osie: no [osie.hook]"), "{faults}");
        assert!(faults.contains("captaind osie add hook"), "{faults}");
    }
}
