//! Which OSIEs the profiles need, and building those that are not there.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use captain_config::Config;
use captain_debian::Progress;
use captain_model::{Arch, Recipe};
use captain_osie::{BuildOptions, Error, Lock, LockFile, Manifest, Plan};

use crate::configuration::Loaded;
use crate::exit::Failure;
use crate::{engine_images, kernels, paths};

/// The recipe that a profile's `osie` names; `None` where it is a folder or URL with a finished OSIE.
pub(crate) fn recipe_of<'a>(config: &'a Config, osie: &str) -> Option<&'a Recipe> {
    config.recipes.get(osie)
}

/// The recipes that profiles name and whose image is not in the cache, or was built from another recipe or overlay,
/// or without one of the wanted formats.
pub(crate) fn missing<'a>(config: &'a Config, options: &BuildOptions) -> Result<Vec<&'a Recipe>, Failure> {
    let named: BTreeSet<_> = config.inventory.profiles().map(|profile| profile.osie.as_str()).collect();
    let mut missing = Vec::new();
    for recipe in named.into_iter().filter_map(|name| config.recipes.get(name)) {
        let folder = paths::osie(&options.cache, &recipe.name);
        let packed = captain_osie::formats_in(&folder, options.arch).is_superset(&options.formats);
        if !packed || !captain_osie::is_current(recipe, options, &folder).map_err(failure)? {
            missing.push(recipe);
        }
    }
    Ok(missing)
}

/// Whether `folder` holds an OSIE for `arch`.
pub(crate) fn is_built(folder: &Path, arch: Arch) -> bool {
    ["vmlinuz", "initramfs"].iter().all(|kind| folder.join(format!("{kind}-{}", arch.linux())).exists())
}

/// An OSIE to be built.
#[derive(Clone, Debug)]
pub(crate) struct Wish<'a> {
    pub(crate) recipe: &'a Recipe,
    /// How to build; `level` only counts where no lock says otherwise.
    pub(crate) options: BuildOptions,
    /// zstd's level, where the user names one.
    pub(crate) level: Option<i32>,
    /// The file that its lock is kept in.
    pub(crate) locks: PathBuf,
    /// Make a new lock even where the old one would do.
    pub(crate) update: bool,
    /// How a kernel is built, where the recipe wants one from source.
    pub(crate) kernel: captain_kernel::Settings,
}

/// What is built, and what was built the last time.
#[derive(Debug)]
pub(crate) struct Planned {
    pub(crate) plan: Plan,
    pub(crate) options: BuildOptions,
    /// The lock that was kept before.
    pub(crate) was: Option<Lock>,
}

/// Where locks are kept: beside the configuration that the recipe is from (`captaind.lock` for `captaind.toml`),
/// or where nothing is configured, with the built OSIE.
pub(crate) fn lock_file(config: Option<&Path>, cache: &Path, name: &str) -> PathBuf {
    match config {
        Some(path) => path.with_extension("lock"),
        None => paths::osie(cache, name).join("captaind.lock"),
    }
}

/// Plans from the lock that is kept, where it still fits the recipe, else from what the archive has today.
pub(crate) async fn plan(wish: &Wish<'_>, progress: &dyn Progress) -> Result<Planned, Failure> {
    let recipe = wish.recipe;
    let mut options = wish.options.clone();
    let was = LockFile::read(&wish.locks).map_err(failure)?.get(&recipe.name, &options).cloned();
    let fits = |lock: &Lock| lock.fits(recipe, &options);
    let kept = match &was {
        Some(lock) if !wish.update && fits(lock).map_err(failure)? => Some(lock.clone()),
        Some(_) | None => None,
    };
    let level = wish.level.or(was.as_ref().map(|lock| lock.level));
    options.level = level.unwrap_or(options.level);
    let mut lock = match kept {
        Some(lock) => lock,
        None => {
            engine_images::take(recipe, &options, progress).await?;
            captain_osie::lock(recipe, &options, progress).await.map_err(failure)?
        }
    };
    let pinned = was.as_ref().and_then(|was| was.kernel_inputs.as_ref());
    kernels::pin(wish, pinned, &mut lock, &mut options, progress).await?;
    let plan = captain_osie::plan(recipe, &lock, &options).map_err(failure)?;
    Ok(Planned { plan, options, was })
}

/// As [`plan`], with the kernel built where that is to be done: then the plan knows its sums.
pub(crate) async fn plan_with_kernel(wish: &Wish<'_>, progress: &dyn Progress) -> Result<Planned, Failure> {
    let mut planned = plan(wish, progress).await?;
    if kernels::build(wish, &planned.plan.lock, &planned.options, progress).await? {
        let (lock, options) = (&planned.plan.lock, &planned.options);
        planned.plan = captain_osie::plan(wish.recipe, lock, options).map_err(failure)?;
    }
    Ok(planned)
}

/// Keeps the lock of what was built. A folder that must not be written (a configuration that others own) is told,
/// not a failure: what was built is whole.
pub(crate) fn keep(locks: &Path, lock: &Lock) -> Result<(), Failure> {
    let mut file = LockFile::read(locks).map_err(failure)?;
    let before = file.clone();
    file.put(lock.clone());
    if file == before {
        return Ok(());
    }
    match file.write(locks) {
        Err(Error::Io { source, .. }) if is_forbidden(source.kind()) => {
            tracing::warn!("the lock is not kept in {}: {source}", locks.display());
            Ok(())
        }
        written => written.map_err(failure),
    }
}

fn is_forbidden(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem)
}

/// Plans and builds one OSIE into `output`, and keeps its lock.
pub(crate) async fn build(
    wish: &Wish<'_>,
    output: &Path,
    progress: &dyn Progress,
) -> Result<(Manifest, Planned), Failure> {
    let mut wish = wish.clone();
    wish.options.formats.extend(captain_osie::formats_in(output, wish.options.arch));
    let planned = plan_with_kernel(&wish, progress).await?;
    let built = captain_osie::build(&planned.plan, &planned.options, output, progress).await;
    let manifest = built.map_err(failure)?;
    keep(&wish.locks, &planned.plan.lock)?;
    Ok((manifest, planned))
}

/// 69 where the mirror is not available, 64 where the recipe asks for what there is not, else 1.
pub(crate) fn failure(error: captain_osie::Error) -> Failure {
    use captain_debian::Error as Archive;
    match error {
        Error::Gone { .. }
        | Error::Archive(Archive::Download { .. } | Archive::Gone { .. } | Archive::NoMirror { .. }) => {
            Failure::unavailable(error)
        }
        Error::UnknownModule { .. }
        | Error::UnknownUnit { .. }
        | Error::Kernel { .. }
        | Error::Unsupported { .. }
        | Error::Unvouched { .. }
        | Error::Level(_) => Failure::usage(error),
        _ => Failure::failed(error),
    }
}

/// Builds every OSIE that a profile names and the cache lacks, or has without one of the wanted formats.
pub(crate) async fn build_missing(
    loaded: &Loaded,
    options: &BuildOptions,
    progress: &dyn Progress,
) -> Result<(), Failure> {
    for recipe in missing(&loaded.config, options)? {
        build_into(loaded, &options.cache, recipe, options.clone(), progress).await?;
    }
    Ok(())
}

/// Builds the OSIE of `recipe` into the cache.
pub(crate) async fn build_into(
    loaded: &Loaded,
    cache: &Path,
    recipe: &Recipe,
    options: BuildOptions,
    progress: &dyn Progress,
) -> Result<(), Failure> {
    let wish = Wish {
        recipe,
        options,
        level: None,
        locks: lock_file(loaded.path.as_deref(), cache, &recipe.name),
        update: false,
        kernel: captain_kernel::Settings::default(),
    };
    build(&wish, &paths::osie(cache, &recipe.name), progress).await.map(drop)
}

/// Whether the boot loaders are there, or can be had without the mirror.
pub(crate) async fn has_loaders(loaded: &Loaded, cache: &Path) -> bool {
    let offline = BuildOptions { offline: true, ..BuildOptions::new(Arch::Amd64, cache) };
    take_loaders(loaded, offline, &captain_debian::NoProgress).await.is_ok()
}

/// The folder of boot loaders, fetched and verified where it is not there.
pub(crate) async fn loaders(
    loaded: &Loaded,
    cache: &Path,
    progress: &dyn Progress,
) -> Result<PathBuf, Failure> {
    take_loaders(loaded, BuildOptions::new(Arch::Amd64, cache), progress).await
}

async fn take_loaders(
    loaded: &Loaded,
    options: BuildOptions,
    progress: &dyn Progress,
) -> Result<PathBuf, Failure> {
    let recipe = loaded.config.recipes.get("default").cloned().unwrap_or_else(|| Recipe::new("default"));
    let locks =
        LockFile::read(&lock_file(loaded.path.as_deref(), &options.cache, &recipe.name)).map_err(failure)?;
    let lock = locks.get(&recipe.name, &options);
    captain_osie::loaders(&recipe, lock, &options, progress).await.map_err(failure)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_lies_beside_its_configuration_or_with_the_osie() {
        let cache = Path::new("/c");
        let beside = lock_file(Some(Path::new("/etc/captaind/captaind.toml")), cache, "default");
        assert_eq!(beside, Path::new("/etc/captaind/captaind.lock"));
        assert_eq!(lock_file(None, cache, "slim"), Path::new("/c/osie/slim/captaind.lock"));
    }
}
