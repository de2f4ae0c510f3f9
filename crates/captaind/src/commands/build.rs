//! `captaind build` and `captaind plan`.

use std::path::Path;

use captain_debian::Progress;
use captain_model::{Arch, Cmdline, KernelSource, Profile, Recipe};
use captain_osie::{BuildOptions, Manifest, Sizes};

use crate::cli::{BuildArgs, PlanArgs, RecipeArgs};
use crate::configuration::{self, Loaded};
use crate::exit::Failure;
use crate::osies::{Planned, Wish};
use crate::{kernels, osies, paths, progress};

pub(crate) async fn build(args: &BuildArgs) -> Result<(), Failure> {
    let loaded = configuration::load(&args.recipe.site)?;
    let cache = loaded.cache_dir(&args.recipe.site.cache);
    let progress = progress::for_stderr();
    if let Some(file) = &args.from_bundle {
        let cmdline = cmdline(&loaded, &args.recipe)?;
        return from_bundle(args, file, (&cache, cmdline), progress.as_ref()).await;
    }
    let wanted = wanted(&loaded, &args.recipe)?;
    let wishes = wishes(&loaded, &wanted, &args.recipe, args.update);
    if let Some(file) = &args.bundle {
        return bundle(&wishes, file, progress.as_ref()).await;
    }
    let mut manifests = Vec::new();
    for wish in wishes {
        manifests.push(one(args, &wish, &cache, progress.as_ref()).await?);
    }
    print_manifests(args, &manifests)
}

/// Builds one OSIE and says what it has become.
async fn one(
    args: &BuildArgs,
    wish: &Wish<'_>,
    cache: &Path,
    progress: &dyn Progress,
) -> Result<Manifest, Failure> {
    let output = args.output.clone().unwrap_or_else(|| paths::osie(cache, &wish.recipe.name));
    let (manifest, planned) = osies::build(wish, &output, progress).await?;
    if args.json {
        return Ok(manifest);
    }
    print!("{}", summary(&manifest, &output));
    print!("{}", locked(&planned, &wish.locks));
    let sizes = output.join(format!("sizes-{}.json", manifest.arch.linux()));
    let sizes: Sizes = serde_json::from_slice(&std::fs::read(sizes)?).map_err(Failure::failed)?;
    print!("{sizes}");
    Ok(manifest)
}

fn print_manifests(args: &BuildArgs, manifests: &[Manifest]) -> Result<(), Failure> {
    if args.json {
        println!("{}", serde_json::to_string_pretty(manifests).map_err(Failure::failed)?);
    }
    Ok(())
}

/// Which lock it is, and what is new in it.
fn locked(planned: &Planned, locks: &Path) -> String {
    let Some(was) = &planned.was else {
        return format!("locked in {}\n", locks.display());
    };
    let changes = planned.plan.lock.changes_since(was);
    if changes.is_empty() {
        return format!(
            "as locked in {}, zstd level {} (--update takes newer packages, --level another level)\n",
            locks.display(),
            was.level
        );
    }
    format!("{} is renewed:\n{changes}", locks.display())
}

/// Writes lock and inputs; builds nothing.
async fn bundle(wishes: &[Wish<'_>], file: &Path, progress: &dyn Progress) -> Result<(), Failure> {
    let [wish] = wishes else {
        return Err(Failure::usage("a bundle is for one architecture: name one --arch"));
    };
    let planned = osies::plan_with_kernel(wish, progress).await?;
    let artifact = captain_osie::bundle(&planned.plan, &planned.options, file, progress).await;
    let artifact = artifact.map_err(osies::failure)?;
    osies::keep(&wish.locks, &planned.plan.lock)?;
    print!("{}", locked(&planned, &wish.locks));
    println!("  {:>6.1} MB  {}  {}", artifact.size as f64 / 1e6, &artifact.sha256[..16], file.display());
    Ok(())
}

/// Builds what a bundle holds: its recipe, its lock, its inputs, and no network. What a UKI starts its kernel with is
/// none of those: it is said here, as in any other build.
async fn from_bundle(
    args: &BuildArgs,
    file: &Path,
    (cache, cmdline): (&Path, Cmdline),
    progress: &dyn Progress,
) -> Result<(), Failure> {
    let unbundled = captain_osie::unbundle(file, cache, progress).await.map_err(osies::failure)?;
    let (lock, recipe) = (unbundled.lock, unbundled.recipe);
    let locks = osies::lock_file(None, cache, &recipe.name);
    osies::keep(&locks, &lock)?;
    let options = BuildOptions {
        level: lock.level,
        offline: true,
        debug: lock.debug,
        overlay_dir: Some(unbundled.overlay_dir),
        kernel_dir: unbundled.kernel_dir,
        formats: args.recipe.format.iter().copied().collect(),
        cmdline,
        ..BuildOptions::new(lock.arch, cache)
    };
    let kernel = kernels::settings(&args.recipe);
    let wish = Wish { recipe: &recipe, options, level: args.recipe.level, locks, update: false, kernel };
    let manifest = one(args, &wish, cache, progress).await?;
    print_manifests(args, &[manifest])
}

pub(crate) async fn plan(args: &PlanArgs) -> Result<(), Failure> {
    let loaded = configuration::load(&args.recipe.site)?;
    let progress = progress::for_stderr();
    let wanted = wanted(&loaded, &args.recipe)?;
    let mut plans = Vec::new();
    for wish in wishes(&loaded, &wanted, &args.recipe, args.update) {
        let planned = osies::plan(&wish, progress.as_ref()).await?;
        if args.json {
            plans.push(planned.plan);
            continue;
        }
        print!("{}", planned.plan);
        if let Some(was) = &planned.was {
            print!("{}", planned.plan.lock.changes_since(was));
        }
    }
    if args.json {
        println!("{}", serde_json::to_string_pretty(&plans).map_err(Failure::failed)?);
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

/// What is asked for: a recipe with what the command line says otherwise.
struct Wanted {
    recipe: Recipe,
    /// What a UKI starts its kernel with: nobody can tell it more later.
    cmdline: Cmdline,
}

fn wanted(loaded: &Loaded, args: &RecipeArgs) -> Result<Wanted, Failure> {
    let mut recipe = match loaded.config.inventory.profile(&args.profile) {
        Some(profile) => recipe_of(loaded, profile)?.clone(),
        // `--profile slim` without a profile of that name means the recipe.
        None => recipe_called(loaded, &args.profile)?.clone(),
    };
    if let Some(kernel) = &args.kernel {
        recipe.kernel = kernel_source(kernel)?;
    }
    Ok(Wanted { recipe, cmdline: cmdline(loaded, args)? })
}

fn kernel_source(text: &str) -> Result<KernelSource, Failure> {
    match text {
        "debian" => Ok(KernelSource::Debian),
        "source" => Ok(KernelSource::Source),
        path if path.contains('/') => Ok(KernelSource::Path(std::path::absolute(path)?)),
        other => Err(Failure::usage(format!(
            "kernel `{other}` is not known: use debian, source, or a path with a `/` to a vmlinuz or its folder"
        ))),
    }
}

fn recipe_called<'a>(loaded: &'a Loaded, name: &str) -> Result<&'a Recipe, Failure> {
    let config = &loaded.config;
    config.recipes.get(name).ok_or_else(|| {
        let profiles: Vec<_> = config.inventory.profiles().map(|p| p.name.as_str()).collect();
        let recipes: Vec<_> = config.recipes.keys().map(String::as_str).collect();
        Failure::usage(format!(
            "there is no profile and no recipe `{name}`; profiles: {}; recipes: {}",
            profiles.join(", "),
            recipes.join(", ")
        ))
    })
}

fn recipe_of<'a>(loaded: &'a Loaded, profile: &Profile) -> Result<&'a Recipe, Failure> {
    osies::recipe_of(&loaded.config, &profile.osie).ok_or_else(|| {
        Failure::usage(format!(
            "profile `{}` boots the finished OSIE `{}`: there is nothing to build (name an [osie.NAME] table)",
            profile.name, profile.osie
        ))
    })
}

/// One for each architecture.
fn wishes<'a>(loaded: &Loaded, wanted: &'a Wanted, args: &RecipeArgs, update: bool) -> Vec<Wish<'a>> {
    let recipe = &wanted.recipe;
    let cache = loaded.cache_dir(&args.site.cache);
    let locks = osies::lock_file(loaded.path.as_deref(), &cache, &recipe.name);
    let mut archs = if args.arch.is_empty() { vec![Arch::Amd64] } else { args.arch.clone() };
    archs.sort_unstable();
    archs.dedup();
    let wish = |arch| {
        let options = BuildOptions {
            offline: args.offline,
            debug: args.debug,
            formats: args.format.iter().copied().collect(),
            cmdline: wanted.cmdline.clone(),
            ..BuildOptions::new(arch, &cache)
        };
        let kernel = kernels::settings(args);
        Wish { recipe, options, level: args.level, locks: locks.clone(), update, kernel }
    };
    archs.into_iter().map(wish).collect()
}

/// The kernel arguments of the profile, if there is one, with those of `--cmdline` after them.
fn cmdline(loaded: &Loaded, args: &RecipeArgs) -> Result<Cmdline, Failure> {
    let profile = loaded.config.inventory.profile(&args.profile);
    let mut line = profile.map_or_else(Cmdline::new, |profile| profile.cmdline.clone());
    line.extend(&Cmdline::parse_line(args.cmdline.as_deref().unwrap_or("")).map_err(Failure::usage)?);
    Ok(line)
}
