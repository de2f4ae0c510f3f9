//! `[profile.NAME]`.

use std::collections::BTreeMap;

use captain_model::{Profile, Recipe};

use crate::agent::agent;
use crate::reader::{Table, Value};
use crate::suggest::{did_you_mean, nearest};
use crate::words;

pub(crate) fn profiles(
    table: Option<Table>,
    recipes: &BTreeMap<String, Recipe>,
) -> BTreeMap<String, Profile> {
    let mut profiles = BTreeMap::new();
    for (name, value) in table.iter().flat_map(|table| table.named(&[])) {
        if let Some(table) = value.named_table("a profile", &[]) {
            if let Err(error) = words::name(name) {
                table.fault(error);
            }
            profiles.insert(name.to_owned(), profile(name, table, recipes));
        }
    }
    profiles
}

fn profile(name: &str, table: Table, recipes: &BTreeMap<String, Recipe>) -> Profile {
    let default = Profile::new(name);
    let profile = Profile {
        osie: table.get("osie").and_then(|value| osie(&value, recipes)).unwrap_or(default.osie),
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

/// A recipe's name as it is, a URL as it is, a folder from the configuration's folder on.
fn osie(value: &Value, recipes: &BTreeMap<String, Recipe>) -> Option<String> {
    let text = value.string()?;
    if text.contains("://") {
        return value.parsed(|text| words::url(text, &["http", "https"]));
    }
    if text.contains('/') || matches!(text, "." | "..") {
        return value.path().map(|path| path.to_string_lossy().into_owned());
    }
    if recipes.contains_key(text) {
        return Some(text.to_owned());
    }
    let names: Vec<_> = recipes.keys().map(String::as_str).collect();
    let hint = did_you_mean(nearest(text, names.iter().copied()), &names);
    value.fault(format!("no [osie.{text}]: {hint} A folder is written with a `/`, as ./{text}"));
    None
}
