//! What is asked of the archive for a recipe.

use std::path::Path;
use std::time::SystemTime;

use captain_debian::archive::Options;
use captain_debian::{Mirrors, Request};
use captain_model::{Arch, KernelSource, Recipe, Shipped, Timestamp};

use crate::error::Error;
use crate::lists::Packages;
use crate::options::BuildOptions;

/// The recipe's mirror, or those of this machine's apt.
pub(crate) fn mirrors(recipe: &Recipe) -> Result<Mirrors, Error> {
    Ok(match &recipe.mirror {
        Some(url) => Mirrors::explicit(url),
        None => Mirrors::of_apt(Path::new("/etc/apt"))?,
    })
}

/// How the archive of `recipe` is opened: its mirror or this machine's, its keyring, today.
///
/// # Errors
/// This machine's apt names no mirror and the recipe neither.
pub fn archive_options(recipe: &Recipe, options: &BuildOptions) -> Result<Options, Error> {
    let mirrors = mirrors(recipe)?;
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let now = Timestamp::from_millis(u64::try_from(now.as_millis()).unwrap_or(u64::MAX));
    let mut wanted = Options::new(mirrors, &recipe.suite, options.arch, options.cache.join("debian"), now);
    if !recipe.firmware.is_empty() {
        wanted.components.push("non-free-firmware".to_owned());
    }
    wanted.keyring.clone_from(&recipe.keyring);
    wanted.offline = options.offline;
    Ok(wanted)
}

pub(crate) fn request(recipe: &Recipe, options: &BuildOptions) -> Result<Request, Error> {
    let lists = Packages::ours()?;
    let mut wanted = lists.wanted(recipe.base, options.is_debug(recipe));
    if recipe.kernel == KernelSource::Debian {
        wanted.push(kernel_package(options.arch));
    }
    if !recipe.ssh_authorized_keys.is_empty() {
        wanted.extend_from_slice(lists.section("ssh"));
    }
    wanted.extend(recipe.packages.iter().chain(&recipe.firmware).cloned());
    // Whoever asks for a package by name gets it, even where others are told that it is there.
    let bare = recipe.base == Shipped::Slim && recipe.packages.is_empty() && !options.debug;
    let slim = if bare { lists.section("slim-assumed") } else { &[] };
    let assumed = lists.section("assumed").iter().filter(|name| !recipe.packages.contains(name));
    Ok(Request::new(wanted).assume(assumed.chain(slim)))
}

/// The package that always depends on the newest kernel.
pub(crate) fn kernel_package(arch: Arch) -> String {
    format!("linux-image-{}", arch.debian())
}
