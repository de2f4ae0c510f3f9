//! `captaind summary`: what is in a built OSIE, and why.

use std::path::{Path, PathBuf};

use captain_model::Arch;
use captain_osie::{Summary, dropin};

use crate::cli::{SummaryArgs, WhichArgs};
use crate::exit::Failure;
use crate::{configuration, osies, paths};

pub(crate) fn run(args: &SummaryArgs) -> Result<(), Failure> {
    let (folder, name) = (folder(&args.which)?, &args.which.osie);
    let osies = folder.parent().unwrap_or(&folder);
    if let Some(added) = dropin::added(osies, name) {
        return Err(Failure::usage(format!(
            "`{name}` is {}'s, taken in from {}: what is in it only its maker knows (`captaind osie list`, \
             `captaind shell --osie {name}`)",
            added.kind, added.source
        )));
    }
    let summaries = args.arch.iter().map(|arch| read(&folder, *arch)).collect::<Result<Vec<_>, _>>()?;
    match args.json {
        true => println!("{}", serde_json::to_string_pretty(&summaries).map_err(Failure::failed)?),
        false => summaries.iter().for_each(|summary| print!("{summary}")),
    }
    Ok(())
}

fn read(folder: &Path, arch: Arch) -> Result<Summary, Failure> {
    if !osies::is_built(folder, arch) {
        return Err(Failure::usage(format!(
            "{} holds no OSIE for {arch}: `captaind build --arch {arch}` makes one, `captaind osie list` names those \
             that are there",
            folder.display()
        )));
    }
    Summary::read(folder, arch).map_err(osies::failure)
}

/// The folder of an OSIE: of the cache by name, any other with a slash.
pub(super) fn folder(which: &WhichArgs) -> Result<PathBuf, Failure> {
    if which.osie.contains('/') || matches!(which.osie.as_str(), "." | "..") {
        return Ok(which.osie.clone().into());
    }
    let loaded = configuration::load(&which.site)?;
    Ok(paths::osie(&loaded.cache_dir(&which.site.cache), &which.osie))
}
