//! `captaind build` and `captaind plan`.

use std::path::Path;

use captain_model::{Arch, Recipe};
use captain_osie::{BuildOptions, Manifest};

use crate::cli::{BuildArgs, PlanArgs, RecipeArgs};
use crate::configuration::{self, Loaded};
use crate::exit::Failure;
use crate::{osies, paths, progress};

pub(crate) async fn build(args: &BuildArgs) -> Result<(), Failure> {
    let loaded = configuration::load(&args.recipe.config)?;
    let recipe = recipe(&loaded, &args.recipe)?;
    let cache = loaded.cache_dir(&args.recipe.cache);
    let output = args.output.clone().unwrap_or_else(|| paths::osie(&cache, &recipe.name));
    let progress = progress::for_stderr();
    let mut manifests = Vec::new();
    for options in options(&args.recipe, &cache) {
        let manifest = osies::build(recipe, &options, &output, progress.as_ref()).await?;
        if !args.json {
            print!("{}", summary(&manifest, &output));
        }
        manifests.push(manifest);
    }
    if args.json {
        println!("{}", serde_json::to_string_pretty(&manifests).map_err(Failure::failed)?);
    }
    Ok(())
}

pub(crate) async fn plan(args: &PlanArgs) -> Result<(), Failure> {
    let loaded = configuration::load(&args.recipe.config)?;
    let recipe = recipe(&loaded, &args.recipe)?;
    let cache = loaded.cache_dir(&args.recipe.cache);
    let progress = progress::for_stderr();
    for options in options(&args.recipe, &cache) {
        let plan = captain_osie::plan(recipe, &options, progress.as_ref()).await.map_err(osies::failure)?;
        if args.json {
            println!("{}", serde_json::to_string_pretty(&plan).map_err(Failure::failed)?);
        } else {
            print!("{plan}");
        }
    }
    Ok(())
}

/// What was built, for a person: the kernel, the files and their sizes.
fn summary(manifest: &Manifest, folder: &Path) -> String {
    let head = format!(
        "OSIE `{}` ({}, {}): kernel {}, {} packages, {} kernel modules\n",
        manifest.name,
        manifest.suite,
        manifest.arch,
        manifest.kernel,
        manifest.packages.len(),
        manifest.modules.len()
    );
    manifest.outputs.iter().fold(head, |text, file| {
        let path = folder.join(&file.name);
        text + &format!("  {:>6.1} MB  {}  {}\n", file.size as f64 / 1e6, &file.sha256[..16], path.display())
    })
}

fn recipe<'a>(loaded: &'a Loaded, args: &RecipeArgs) -> Result<&'a Recipe, Failure> {
    let name = &args.profile;
    let profile = loaded.config.inventory.profile(name).ok_or_else(|| {
        let known: Vec<_> = loaded.config.inventory.profiles().map(|p| p.name.as_str()).collect();
        Failure::usage(format!("there is no profile `{name}`; configured are: {}", known.join(", ")))
    })?;
    osies::recipe_of(&loaded.config, &profile.osie).ok_or_else(|| {
        Failure::usage(format!(
            "profile `{name}` boots the finished OSIE `{}`: there is nothing to build (name an [osie.NAME] table)",
            profile.osie
        ))
    })
}

fn options(args: &RecipeArgs, cache: &Path) -> Vec<BuildOptions> {
    let archs = if args.arch.is_empty() { vec![Arch::Amd64] } else { args.arch.clone() };
    archs
        .into_iter()
        .map(|arch| {
            let mut options = BuildOptions::new(arch, cache);
            options.level = args.level.unwrap_or(options.level);
            options.offline = args.offline;
            options.debug = args.debug;
            options
        })
        .collect()
}
