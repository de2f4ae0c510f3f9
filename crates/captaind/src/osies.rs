//! Which OSIEs the profiles need, and building those that are not there.

use std::collections::BTreeSet;
use std::path::Path;

use captain_config::Config;
use captain_debian::Progress;
use captain_model::{Arch, Recipe};
use captain_osie::{BuildOptions, Manifest};

use crate::exit::Failure;
use crate::paths;

/// The recipe that a profile's `osie` names; `None` where it is a folder or URL with a finished OSIE.
pub(crate) fn recipe_of<'a>(config: &'a Config, osie: &str) -> Option<&'a Recipe> {
    config.recipes.get(osie)
}

/// The recipes that profiles name and that are not built for `arch` in the cache.
pub(crate) fn missing<'a>(config: &'a Config, cache: &Path, arch: Arch) -> Vec<&'a Recipe> {
    let named: BTreeSet<_> = config.inventory.profiles().map(|profile| profile.osie.as_str()).collect();
    named
        .into_iter()
        .filter_map(|name| config.recipes.get(name))
        .filter(|recipe| !is_built(&paths::osie(cache, &recipe.name), arch))
        .collect()
}

/// Whether `folder` holds an OSIE for `arch`.
pub(crate) fn is_built(folder: &Path, arch: Arch) -> bool {
    ["vmlinuz", "initramfs"].iter().all(|kind| folder.join(format!("{kind}-{}", arch.linux())).exists())
}

/// Plans and builds one OSIE into `output`.
pub(crate) async fn build(
    recipe: &Recipe,
    options: &BuildOptions,
    output: &Path,
    progress: &dyn Progress,
) -> Result<Manifest, Failure> {
    let plan = captain_osie::plan(recipe, options, progress).await.map_err(failure)?;
    captain_osie::build(&plan, options, output, progress).await.map_err(failure)
}

/// 69 where the mirror is not available, 64 where the recipe asks for what there is not, else 1.
pub(crate) fn failure(error: captain_osie::Error) -> Failure {
    use captain_debian::Error as Archive;
    use captain_osie::Error;
    match error {
        Error::Archive(Archive::Download { .. } | Archive::NoMirror { .. }) => Failure::unavailable(error),
        Error::UnknownModule { .. }
        | Error::UnknownUnit { .. }
        | Error::Unsupported { .. }
        | Error::Level(_) => Failure::usage(error),
        _ => Failure::failed(error),
    }
}

/// Builds every OSIE that a profile names and the cache lacks.
pub(crate) async fn build_missing(
    config: &Config,
    cache: &Path,
    progress: &dyn Progress,
) -> Result<(), Failure> {
    for recipe in missing(config, cache, Arch::Amd64) {
        let options = BuildOptions::new(Arch::Amd64, cache);
        build(recipe, &options, &paths::osie(cache, &recipe.name), progress).await?;
    }
    Ok(())
}

/// The folder of boot loaders, fetched and verified where it is not there.
pub(crate) async fn loaders(
    config: &Config,
    cache: &Path,
    progress: &dyn Progress,
) -> Result<std::path::PathBuf, Failure> {
    let recipe = config.recipes.get("default").cloned().unwrap_or_else(|| Recipe::new("default"));
    let options = BuildOptions::new(Arch::Amd64, cache);
    captain_osie::loaders(&recipe, &options, progress).await.map_err(failure)
}
