//! `captaind osie`: what lies in the cache to be booted.

use std::path::{Path, PathBuf};

use captain_debian::{Fetcher, Tuning};
use captain_model::Arch;
use captain_osie::dropin::{self, Added, Origin};

use crate::cli::{OsieAddArgs, OsieCommand, OsieListArgs, OsieRemoveArgs, SiteArgs};
use crate::configuration;
use crate::exit::Failure;
use crate::{osies, progress};

pub(crate) async fn run(command: &OsieCommand) -> Result<(), Failure> {
    match command {
        OsieCommand::Add(args) => add(args).await,
        OsieCommand::List(args) => list(args),
        OsieCommand::Remove(args) => remove(args),
    }
}

/// Where OSIEs lie. The configuration may name the one that is only about to be added: its other faults are for
/// `captaind check`.
fn folder(site: &SiteArgs) -> PathBuf {
    let (loaded, cache) = (configuration::read(site).ok(), &site.cache);
    loaded
        .map_or_else(|| configuration::cache_dir(cache, None), |loaded| loaded.cache_dir(cache))
        .join("osie")
}

async fn add(args: &OsieAddArgs) -> Result<(), Failure> {
    let origin = match (args.sha256, args.source.contains("://")) {
        (sha256, true) => Origin::Url { url: args.source.clone(), sha256 },
        (Some(_), false) => {
            return Err(Failure::usage("--sha256 is for URLs; an archive here is taken as it is"));
        }
        (None, false) => Origin::Path(args.source.clone().into()),
    };
    let loaded = configuration::read(&args.site).ok();
    let recipes = loaded.map(|loaded| loaded.config.recipes).unwrap_or_default();
    if recipes.contains_key(&args.name) || args.name == "default" {
        return Err(Failure::usage(format!(
            "`{}` is the name of a recipe, which captaind builds: take another name",
            args.name
        )));
    }
    let osies = folder(&args.site);
    let progress = progress::for_stderr();
    let fetcher = Fetcher::new(osies.with_file_name("debian"), false, Tuning::default());
    let fetcher = fetcher.map_err(Failure::failed)?;
    let added = dropin::add(&args.name, &origin, &osies, &fetcher, progress.as_ref()).await;
    let added = added.map_err(osies::failure)?;
    if args.json {
        println!("{}", serde_json::to_string_pretty(&added).map_err(Failure::failed)?);
        return Ok(());
    }
    print!("{}", told(&added, &osies));
    println!("to boot it: [profile.default] osie = \"{}\" in captaind.toml", added.name);
    Ok(())
}

fn told(added: &Added, osies: &Path) -> String {
    let head = format!("OSIE `{}`: {} from {}\n", added.name, added.kind, added.source);
    added.files.iter().fold(head, |text, file| {
        let path = osies.join(&added.name).join(&file.artifact.name);
        let (size, sum) = (file.artifact.size as f64 / 1e6, &file.artifact.sha256[..16]);
        let was = if file.was == file.artifact.name { String::new() } else { format!(" (was {})", file.was) };
        text + &format!("  {size:>6.1} MB  {sum}  {}{was}\n", path.display())
    })
}

/// One OSIE in the cache.
#[derive(serde::Serialize)]
struct Row {
    name: String,
    kind: String,
    arches: Vec<Arch>,
    bytes: u64,
    source: Option<String>,
}

fn rows(osies: &Path) -> Vec<Row> {
    let entries = std::fs::read_dir(osies).into_iter().flatten().flatten();
    let mut rows: Vec<_> = entries.filter_map(|entry| row(osies, entry.file_name().to_str()?)).collect();
    rows.sort_by(|a, b| a.name.cmp(&b.name));
    rows
}

fn row(osies: &Path, name: &str) -> Option<Row> {
    let folder = osies.join(name);
    let added = dropin::added(osies, name);
    let arches: Vec<_> = Arch::ALL.into_iter().filter(|arch| osies::is_built(&folder, *arch)).collect();
    if arches.is_empty() || name.starts_with('.') {
        return None;
    }
    let files = std::fs::read_dir(&folder).into_iter().flatten().flatten();
    Some(Row {
        name: name.to_owned(),
        kind: added.as_ref().map_or_else(|| "built".to_owned(), |added| added.kind.to_string()),
        arches,
        bytes: files.filter_map(|file| Some(file.metadata().ok()?.len())).sum(),
        source: added.map(|added| added.source),
    })
}

fn list(args: &OsieListArgs) -> Result<(), Failure> {
    let rows = rows(&folder(&args.site));
    if args.json {
        println!("{}", serde_json::to_string_pretty(&rows).map_err(Failure::failed)?);
        return Ok(());
    }
    if rows.is_empty() {
        println!("no OSIE is here: `captaind build` makes one, `captaind osie add` takes one in");
    }
    for row in rows {
        let arches: Vec<_> = row.arches.iter().map(|arch| arch.to_string()).collect();
        let source = row.source.map(|source| format!("  from {source}")).unwrap_or_default();
        println!(
            "{:16} {:13} {:12} {:>7.1} MB{source}",
            row.name,
            row.kind,
            arches.join(","),
            row.bytes as f64 / 1e6
        );
    }
    Ok(())
}

fn remove(args: &OsieRemoveArgs) -> Result<(), Failure> {
    let osies = folder(&args.site);
    if row(&osies, &args.name).is_none() || args.name.contains('/') {
        return Err(Failure::usage(format!(
            "there is no OSIE `{}`: `captaind osie list` names them",
            args.name
        )));
    }
    let loaded = configuration::read(&args.site).ok();
    let boots = |profile: &&captain_model::Profile| profile.osie == args.name;
    let added = dropin::added(&osies, &args.name).is_some();
    if added
        && let Some(profile) = loaded.iter().flat_map(|loaded| loaded.config.inventory.profiles()).find(boots)
    {
        return Err(Failure::usage(format!(
            "profile `{}` boots `{}`: name another osie there first",
            profile.name, args.name
        )));
    }
    std::fs::remove_dir_all(osies.join(&args.name))?;
    println!("removed {}", osies.join(&args.name).display());
    Ok(())
}
