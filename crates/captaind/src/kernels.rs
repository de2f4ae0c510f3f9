//! The kernel of an OSIE that wants one built from source: pinned with the lock, built before the image.

use captain_debian::Progress;
use captain_kernel::{Error, Settings};
use captain_model::KernelSource;
use captain_osie::{BuildOptions, KernelInputs, Lock};

use crate::cli::{BuilderName, RecipeArgs};
use crate::exit::Failure;
use crate::osies::{self, Wish};

/// What the command line says about building kernels.
pub(crate) fn settings(args: &RecipeArgs) -> Settings {
    let builder = args.builder.map(|name| match name {
        BuilderName::Container => captain_kernel::Builder::Container,
        BuilderName::Host => captain_kernel::Builder::Host,
    });
    Settings { builder, source: args.kernel_src.clone(), configs: args.kernel_configs.clone() }
}

/// Names in `lock` what the kernel is built from, and in `options` the folder where it is or will be. Does nothing
/// for other kernels, and for one that a bundle brought.
pub(crate) async fn pin(
    wish: &Wish<'_>,
    was: Option<&KernelInputs>,
    lock: &mut Lock,
    options: &mut BuildOptions,
    progress: &dyn Progress,
) -> Result<(), Failure> {
    if wish.recipe.kernel != KernelSource::Source || options.kernel_dir.is_some() {
        return Ok(());
    }
    let kept = was.filter(|_| !wish.update);
    let pinned = captain_kernel::pin(wish.recipe, options, &wish.kernel, kept, progress).await;
    let inputs = pinned.map_err(failure)?;
    options.kernel_dir = Some(captain_kernel::folder(&options.cache, &inputs));
    lock.kernel_inputs = Some(inputs);
    Ok(())
}

/// Builds the kernel that `lock` pins, unless the cache has it; whether there was one to build.
pub(crate) async fn build(
    wish: &Wish<'_>,
    lock: &Lock,
    options: &BuildOptions,
    progress: &dyn Progress,
) -> Result<bool, Failure> {
    // A bundle brings the kernel itself.
    let Some(inputs) = lock.kernel_inputs.as_ref().filter(|_| wish.options.kernel_dir.is_none()) else {
        return Ok(false);
    };
    let built = captain_kernel::build(wish.recipe, options, &wish.kernel, inputs, progress).await;
    built.map(|_| true).map_err(failure)
}

/// 69 where there is no engine or compiler, 64 where the sources are not what they should be, else as for OSIEs.
pub(crate) fn failure(error: Error) -> Failure {
    match error {
        Error::Osie(error) => osies::failure(error),
        Error::NoEngine { .. } | Error::Tools { .. } => Failure::unavailable(error),
        Error::Source { .. } => Failure::usage(error),
        Error::Io { .. }
        | Error::Image { .. }
        | Error::Engine { .. }
        | Error::Config { .. }
        | Error::Stage { .. } => Failure::failed(error),
    }
}
