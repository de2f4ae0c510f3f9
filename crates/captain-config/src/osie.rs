//! `[osie.NAME]`: recipes.

use std::collections::BTreeMap;
use std::path::PathBuf;

use captain_model::{KernelSource, Recipe, Shipped, Tool};

use crate::reader::{Table, Value};
use crate::words;

/// Keys of `[osie]` itself, which apply to every recipe that does not say otherwise.
const SHARED: [&str; 2] = ["mirror", "keyring"];

/// What `base` can be.
const BASES: [(&str, Shipped); 3] =
    [("default", Shipped::Default), ("slim", Shipped::Slim), ("debug", Shipped::Debug)];

/// What applies to every recipe.
struct Shared {
    mirror: Option<String>,
    keyring: Option<PathBuf>,
}

/// All recipes; those that captaind ships are always there.
pub(crate) fn recipes(table: Option<Table>) -> BTreeMap<String, Recipe> {
    let mut recipes = BTreeMap::new();
    let shared = table.as_ref().map_or(Shared { mirror: None, keyring: None }, |table| Shared {
        mirror: table.parsed("mirror", mirror),
        keyring: table.path("keyring"),
    });
    for (name, value) in table.iter().flat_map(|table| table.named(&SHARED)) {
        if let Some(recipe) = named(name, &value, &shared) {
            recipes.insert(name.to_owned(), recipe);
        }
    }
    for shipped in Shipped::ALL {
        recipes.entry(shipped.name().to_owned()).or_insert_with(|| Recipe {
            mirror: shared.mirror.clone(),
            keyring: shared.keyring.clone(),
            ..Recipe::new(shipped.name())
        });
    }
    recipes
}

fn named(name: &str, value: &Value, shared: &Shared) -> Option<Recipe> {
    let table = value.named_table("a recipe", &SHARED)?;
    if let Err(error) = words::name(name) {
        table.fault(error);
    }
    Some(recipe(name, table, shared))
}

fn recipe(name: &str, table: Table, shared: &Shared) -> Recipe {
    let base = table.choice("base", &BASES).or_else(|| Shipped::named(name)).unwrap_or_default();
    let default = Recipe::on(base, name);
    let list = |key, check: fn(&str) -> Result<String, String>| {
        table.list(key, |value| value.parsed(check)).unwrap_or_default()
    };
    let recipe = Recipe {
        suite: table.parsed("suite", words::word).unwrap_or(default.suite),
        mirror: table.parsed("mirror", mirror).or_else(|| shared.mirror.clone()),
        keyring: table.path("keyring").or_else(|| shared.keyring.clone()),
        packages: list("packages", package),
        firmware: list("firmware", package),
        modules: table.list("modules", |value| value.parsed(words::word)).unwrap_or(default.modules),
        overlay: table.list("overlay", Value::path).unwrap_or_default(),
        services: list("services", unit),
        containers: table.list("containers", container).unwrap_or_default(),
        tools: table.tables("tools").into_iter().filter_map(tool).collect(),
        ssh_authorized_keys: list("ssh_authorized_keys", ssh_key),
        kernel: table.get("kernel").and_then(|value| kernel(&value)).unwrap_or_default(),
        name: default.name,
        base,
    };
    table.finish();
    recipe
}

fn mirror(text: &str) -> Result<String, String> {
    words::url(text, &["http", "https", "file"])
}

/// Debian policy section 5.6.1.
fn package(name: &str) -> Result<String, String> {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "+-.".contains(c);
    let starts = name.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
    if name.len() >= 2 && starts && name.chars().all(fits) {
        return Ok(name.to_owned());
    }
    Err(format!(
        "`{}` is not the name of a Debian package: lower-case letters, digits, `+`, `-`, `.`",
        name.escape_debug()
    ))
}

fn unit(name: &str) -> Result<String, String> {
    const KINDS: [&str; 6] = [".service", ".socket", ".target", ".timer", ".path", ".mount"];
    let name = words::word(name)?;
    if name.contains('/') || !KINDS.iter().any(|kind| name.len() > kind.len() && name.ends_with(kind)) {
        return Err(format!("`{name}` is not a unit: write its whole name, such as {name}.service"));
    }
    Ok(name)
}

/// The path of an archive, from the configuration's folder on; everything else is a name.
fn container(value: &Value) -> Option<String> {
    let text = value.string()?;
    let archive = [".tar", ".tar.gz", ".tgz"].iter().any(|end| text.ends_with(end));
    if archive && !text.contains("://") {
        return value.path().map(|path| path.to_string_lossy().into_owned());
    }
    value.parsed(words::word)
}

/// A program from elsewhere. All of its faults are told before it is left out.
fn tool(table: Table) -> Option<Tool> {
    let (url, sha256) = (table.parsed("url", download), table.parsed("sha256", sha256));
    for (key, missing) in [("url", !table.has("url")), ("sha256", !table.has("sha256"))] {
        if missing {
            table.fault(format!("a tool has no `{key}`: give it the URL and the SHA-256 of what lies there"));
        }
    }
    let to = table.parsed("to", folder).unwrap_or_else(|| Tool::FOLDER.to_owned());
    let files = table.list("files", |value| value.parsed(words::word)).unwrap_or_default();
    let (name, arch) = (table.parsed("name", file_name), table.parsed("arch", words::arch));
    table.finish();
    Some(Tool { url: url?, sha256: sha256?, arch, to, files, name })
}

fn download(text: &str) -> Result<String, String> {
    words::url(text, &["http", "https"])
}

fn sha256(text: &str) -> Result<String, String> {
    if text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(text.to_ascii_lowercase());
    }
    Err(format!("`{}` is not a SHA-256 sum: 64 hex digits, as sha256sum prints them", text.escape_debug()))
}

fn folder(text: &str) -> Result<String, String> {
    let path = words::word(text)?;
    if path.starts_with('/') && !path.split('/').any(|part| part == "..") {
        return Ok(path);
    }
    Err(format!("`{path}` is not a folder of the image: write the whole path, such as {}", Tool::FOLDER))
}

fn file_name(text: &str) -> Result<String, String> {
    let name = words::word(text)?;
    if name.contains('/') || name == "." || name == ".." {
        return Err(format!("`{name}` is not a file name: the folder stands in `to`"));
    }
    Ok(name)
}

fn ssh_key(line: &str) -> Result<String, String> {
    let line = words::text(line)?;
    let known = ["ssh-", "ecdsa-", "sk-ssh-", "sk-ecdsa-"];
    let fields = line.split_whitespace().count();
    if fields < 2 || !known.iter().any(|kind| line.starts_with(kind)) {
        return Err("is not an SSH public key: paste the whole line of the .pub file (ssh-ed25519 AAAA...)"
            .to_owned());
    }
    Ok(line)
}

fn kernel(value: &Value) -> Option<KernelSource> {
    match value.string()? {
        "debian" => Some(KernelSource::Debian),
        "source" => Some(KernelSource::Source),
        path if path.contains('/') => value.path().map(KernelSource::Path),
        other => {
            value.fault(format!(
                "`{other}` is not known: use debian, source, or a path with a `/` to a vmlinuz"
            ));
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_packages_and_units_are_checked() {
        assert!(package("firmware-bnx2x").is_ok() && package("libstdc++6").is_ok());
        for bad in ["", "a", "Telegraf", "-x", "a b", "a/b"] {
            assert!(package(bad).is_err(), "{bad}");
        }
        assert!(unit("telegraf.service").is_ok());
        for bad in ["telegraf", ".service", "a/b.service", ""] {
            assert!(unit(bad).is_err(), "{bad}");
        }
    }
}
