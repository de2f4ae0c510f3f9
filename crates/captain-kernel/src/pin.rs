//! Exactly which inputs a kernel is built from.

use captain_debian::{Archive, Progress, Request, Sha256};
use captain_model::Recipe;
use captain_osie::kernel_config::Wanted;
use captain_osie::{BuildOptions, KernelInputs, KernelSources, PackageRef, Toolchain};

use crate::error::Error;
use crate::{Builder, Settings, host, image, source, stages};

/// The package that always depends on the suite's newest kernel sources.
const META: &str = "linux-source";

/// What a kernel for `options.arch` is built from today; what `kept` (the lock's) pins stays, where it is still what
/// `settings` ask for. Writes nothing but the archive's indices in the cache.
///
/// # Errors
/// Sources that cannot be read, an archive that does not verify, a machine without a compiler.
pub async fn pin(
    recipe: &Recipe,
    options: &BuildOptions,
    settings: &Settings,
    kept: Option<&KernelInputs>,
    progress: &dyn Progress,
) -> Result<KernelInputs, Error> {
    let wanted = wanted(options, settings)?;
    let builder = settings.builder.or(kept.map(|kept| Builder::of(&kept.toolchain))).unwrap_or_default();
    let kept_source = kept.map(|kept| kept.source.clone());
    let kept_tools = kept.map(|kept| kept.toolchain.packages()).filter(|packages| !packages.is_empty());
    let needs_source = settings.source.is_none() && kept_source.is_none();
    let needs_tools = builder == Builder::Container && kept_tools.is_none();
    let archive =
        if needs_source || needs_tools { Some(open(recipe, options, progress).await?) } else { None };
    let source = match (&settings.source, kept_source) {
        (Some(path), _) => source::given(path)?,
        (None, Some(kept)) => kept,
        (None, None) => KernelSources::Package(in_archive(archive.as_ref())?),
    };
    let config = Sha256::of(stages::config(&wanted).as_bytes());
    let built = kept.map(|kept| KernelInputs { source: source.clone(), config, ..kept.clone() });
    if let Some(built) =
        built.filter(|built| is_built(options, built) && builder == Builder::of(&built.toolchain))
    {
        return Ok(built);
    }
    let toolchain = match (builder, kept_tools) {
        (Builder::Host, _) => Toolchain::Host(host::toolchain(options.arch).await?),
        (Builder::Container, Some(packages)) => Toolchain::Packages(packages.to_vec()),
        (Builder::Container, None) => Toolchain::Packages(tools(archive.as_ref(), options)?),
    };
    Ok(KernelInputs { arch: options.arch, source, config, toolchain })
}

/// A kernel that is in the cache needs no compiler on this machine.
fn is_built(options: &BuildOptions, inputs: &KernelInputs) -> bool {
    crate::folder(&options.cache, inputs).is_dir()
}

/// The options that are asked for.
pub(crate) fn wanted(options: &BuildOptions, settings: &Settings) -> Result<Vec<Wanted>, Error> {
    Ok(settings.configs()?.merged(options.arch)?)
}

/// The archive as the building machine sees it: the compiler runs here, whatever it compiles for.
async fn open(recipe: &Recipe, options: &BuildOptions, progress: &dyn Progress) -> Result<Archive, Error> {
    let here = BuildOptions { arch: host::arch(), ..options.clone() };
    let plain = Recipe { firmware: Vec::new(), ..recipe.clone() };
    Ok(Archive::open(captain_osie::archive_options(&plain, &here)?, progress).await?)
}

fn in_archive(archive: Option<&Archive>) -> Result<PackageRef, Error> {
    let packages = resolve(archive, vec![META.to_owned()])?;
    let starts = format!("{META}-");
    let found = packages.into_iter().find(|package| package.name.starts_with(&starts));
    let missing = || captain_osie::Error::Malformed {
        file: META.to_owned(),
        why: "it does not depend on the sources of a kernel".to_owned(),
    };
    Ok(found.ok_or_else(missing)?)
}

fn tools(archive: Option<&Archive>, options: &BuildOptions) -> Result<Vec<PackageRef>, Error> {
    let mut wanted = image::PACKAGES.map(str::to_owned).to_vec();
    let prefix = stages::cross_prefix(host::arch(), options.arch);
    if !prefix.is_empty() {
        wanted.push(host::cross_package(prefix));
    }
    resolve(archive, wanted)
}

fn resolve(archive: Option<&Archive>, wanted: Vec<String>) -> Result<Vec<PackageRef>, Error> {
    // Callers open the archive exactly where they get here.
    let Some(archive) = archive else { return Ok(Vec::new()) };
    let resolution = archive.resolve(&Request::new(wanted).assume(image::ASSUMED))?;
    Ok(resolution.selected().map(PackageRef::of_selected).collect())
}
