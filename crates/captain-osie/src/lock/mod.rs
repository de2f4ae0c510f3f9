//! Exactly which inputs: what the first build of a recipe found, and every later one uses.
//!
//! A lock does not say where the inputs are from: the machine that builds has its own mirror. It pins each by
//! its SHA-256, so a build from a lock needs neither the archive's indices nor its signatures.

mod changes;
mod file;
#[cfg(test)]
pub(crate) mod testing;

use std::fs;
use std::path::{Path, PathBuf};

use captain_debian::{Archive, Progress, Release, Resolution, Sha256};
use captain_model::{Arch, KernelSource, Recipe};
use serde::{Deserialize, Serialize};

use crate::builder::Builder;
use crate::containers::{self, Container};
use crate::error::Error;
use crate::formats;
use crate::kernel_files::{self, KernelFiles, LocalKernel};
use crate::kernel_inputs::KernelInputs;
use crate::loaders;
use crate::manifest::PackageRef;
use crate::options::BuildOptions;
use crate::overlay::Laid;
use crate::plan::{archive_options, check, kernel_package, overlay, request};

pub use changes::Changes;
pub use file::LockFile;

/// Everything that goes into one image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lock {
    /// The recipe, without what differs between machines: mirror, keyring, and where overlays lie.
    pub recipe: Recipe,
    /// Architecture of the image.
    pub arch: Arch,
    /// Whether it is a debug image.
    pub debug: bool,
    /// The builder of the last image; `None`: one that did not say so yet.
    #[serde(default)]
    pub builder: Option<Builder>,
    /// SHA-256 of all that decides which packages are taken: the recipe and captaind's own lists.
    pub recipe_sha256: Sha256,
    /// zstd's level of the last build.
    pub level: i32,
    /// Seconds since the epoch: no file of the image is younger.
    pub source_date: u64,
    /// The release files that were verified when the lock was made.
    pub releases: Vec<Release>,
    /// Name of the package with the kernel, where it is one.
    pub kernel: Option<String>,
    /// Which kernel, where it is not a package.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub local_kernel: Option<LocalKernel>,
    /// What the kernel is built from, where captaind builds it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kernel_inputs: Option<KernelInputs>,
    /// The package with the boot loaders.
    pub loader: Option<PackageRef>,
    /// Packages from which ISOs and UKIs boot, sorted by name.
    #[serde(default)]
    pub media: Vec<PackageRef>,
    /// Packages, sorted by name.
    pub packages: Vec<PackageRef>,
    /// Files of overlays, in the order in which they are laid.
    pub overlay: Vec<Laid>,
    /// Container images, in the recipe's order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub containers: Vec<Container>,
}

/// Asks the archive which packages `recipe` comes to today. Writes nothing but the archive's indices in the cache.
///
/// # Errors
/// What is not supported, a package that does not exist or cannot be met, an archive that does not verify.
pub async fn lock(recipe: &Recipe, options: &BuildOptions, progress: &dyn Progress) -> Result<Lock, Error> {
    options.check()?;
    check(recipe)?;
    let archive = Archive::open(archive_options(recipe, options)?, progress).await?;
    let resolution = archive.resolve(&request(recipe, options)?)?;
    Ok(Lock {
        recipe: placeless(recipe),
        arch: options.arch,
        debug: options.debug,
        builder: Some(Builder::ours()),
        recipe_sha256: sum(recipe, options)?,
        level: options.level,
        source_date: source_date(&archive)?,
        releases: archive.releases().to_vec(),
        kernel: kernel(recipe, &resolution, options.arch)?,
        local_kernel: None,
        kernel_inputs: None,
        loader: loaders::in_archive(&archive)?,
        media: formats::in_archive(&archive, options.arch)?,
        packages: resolution.selected().map(PackageRef::of_selected).collect(),
        overlay: overlay(recipe, options)?,
        containers: containers::lock(recipe, options)?,
    })
}

/// The recipe as it is on every machine.
fn placeless(recipe: &Recipe) -> Recipe {
    let kernel = match &recipe.kernel {
        KernelSource::Path(_) => KernelSource::Path(PathBuf::new()),
        kernel => kernel.clone(),
    };
    let containers = recipe.containers.iter().map(|source| containers::placeless(source)).collect();
    Recipe { mirror: None, keyring: None, overlay: Vec::new(), containers, kernel, ..recipe.clone() }
}

fn sum(recipe: &Recipe, options: &BuildOptions) -> Result<Sha256, Error> {
    let request = request(recipe, options)?;
    let decides = (placeless(recipe), options.arch, options.debug, request.wanted, request.assumed);
    let text = serde_json::to_vec(&decides).map_err(|error| Error::malformed("recipe", error))?;
    Ok(Sha256::of(&text))
}

fn kernel(recipe: &Recipe, resolution: &Resolution, arch: Arch) -> Result<Option<String>, Error> {
    if recipe.kernel != KernelSource::Debian {
        return Ok(None);
    }
    let meta = kernel_package(arch);
    let mut names = resolution.packages().map(|package| &package.name);
    let kernel = names.find(|name| name.starts_with("linux-image-") && **name != meta);
    match kernel {
        Some(kernel) => Ok(Some(kernel.clone())),
        None => Err(Error::malformed(&meta, "it does not depend on a kernel")),
    }
}

/// `SOURCE_DATE_EPOCH`, or the date of the newest release file.
fn source_date(archive: &Archive) -> Result<u64, Error> {
    match std::env::var("SOURCE_DATE_EPOCH") {
        Ok(text) => text.parse().map_err(|_| {
            Error::malformed("SOURCE_DATE_EPOCH", format!("`{text}` is not a number of seconds"))
        }),
        Err(_) => {
            Ok(archive.releases().iter().map(|release| release.date.as_millis() / 1000).max().unwrap_or(0))
        }
    }
}

/// Whether `folder` holds the image that `recipe` describes today: built from a lock that still fits it, by
/// rules as ours, with the overlays' files as they are now. A debug image counts too: somebody made it on purpose.
///
/// # Errors
/// An overlay or a kernel that cannot be read.
pub fn is_current(recipe: &Recipe, options: &BuildOptions, folder: &Path) -> Result<bool, Error> {
    let file = |kind: &str, end: &str| folder.join(format!("{kind}-{}{end}", options.arch.linux()));
    let whole = file("vmlinuz", "").exists() && file("initramfs", "").exists();
    let lock = fs::read(file("lock", ".json")).ok();
    let Some(lock) = lock.and_then(|text| serde_json::from_slice::<Lock>(&text).ok()).filter(|_| whole)
    else {
        return Ok(false);
    };
    let options = BuildOptions { debug: lock.debug, ..options.clone() };
    let kernel = match kernel_files::place(recipe, &options) {
        Some(path) => Some(KernelFiles::find(path, options.arch)?.sums()?),
        // One that captaind built is named by what it was built from: see the caller.
        None => lock.local_kernel.clone(),
    };
    let same = lock.local_kernel == kernel && lock.overlay == overlay(recipe, &options)?;
    Ok(same && lock.is_by(&Builder::ours()) && lock.fits(recipe, &options)?)
}

impl Lock {
    /// Whether it is a lock of this recipe as it stands.
    ///
    /// # Errors
    /// captaind's own lists are damaged.
    pub fn fits(&self, recipe: &Recipe, options: &BuildOptions) -> Result<bool, Error> {
        Ok(self.recipe_sha256 == sum(recipe, options)?)
    }

    /// Whether its last image was made by a builder like `builder`.
    fn is_by(&self, builder: &Builder) -> bool {
        self.builder.as_ref().is_some_and(|own| own.agrees_with(builder))
    }

    /// Every package that it names; those that only a kernel is built from, too.
    pub(crate) fn everything(&self) -> impl Iterator<Item = &PackageRef> {
        let kernel = self.kernel_inputs.iter().flat_map(KernelInputs::packages);
        kernel.chain(self.inputs())
    }

    /// Every package that the image and its formats are made of.
    pub(crate) fn inputs(&self) -> impl Iterator<Item = &PackageRef> {
        self.packages.iter().chain(&self.loader).chain(&self.media)
    }
}

#[cfg(test)]
mod tests {
    use super::testing::lock;
    use super::*;
    use crate::output::json;

    fn options() -> BuildOptions {
        BuildOptions::new(Arch::Amd64, "/nowhere")
    }

    #[test]
    fn an_image_is_current_until_its_recipe_or_an_overlay_changes() {
        let (folder, mine) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::write(mine.path().join("motd"), "one").unwrap();
        let mut recipe = Recipe::new("default");
        recipe.overlay = vec![mine.path().to_owned()];
        let options = options();
        let current = |recipe: &Recipe| is_current(recipe, &options, folder.path()).unwrap();
        let mut built = lock();
        built.recipe_sha256 = sum(&recipe, &options).unwrap();
        built.overlay = overlay(&recipe, &options).unwrap();
        let arch = options.arch.linux();
        json(folder.path(), &format!("lock-{arch}.json"), &built).unwrap();
        assert!(!current(&recipe), "there is no image");
        for kind in ["vmlinuz", "initramfs"] {
            fs::write(folder.path().join(format!("{kind}-{arch}")), kind).unwrap();
        }
        assert!(current(&recipe));
        assert!(!current(&Recipe { packages: vec!["telegraf".to_owned()], ..recipe.clone() }));
        let others = Builder { rules_sha256: Sha256::of(b"other rules"), ..Builder::ours() };
        for builder in [None, Some(others)] {
            let lock = Lock { builder, ..built.clone() };
            json(folder.path(), &format!("lock-{arch}.json"), &lock).unwrap();
            assert!(!current(&recipe), "another builder made it: {:?}", lock.builder);
        }
        json(folder.path(), &format!("lock-{arch}.json"), &built).unwrap();
        assert!(current(&recipe));
        fs::write(mine.path().join("motd"), "two").unwrap();
        assert!(!current(&recipe), "an overlay's file changed");
    }

    #[test]
    fn a_lock_fits_its_recipe_wherever_that_is_built_and_no_other() {
        let recipe = Recipe::new("test");
        let elsewhere = Recipe {
            mirror: Some("http://mirror.example/debian".to_owned()),
            overlay: vec!["/somewhere".into()],
            ..recipe.clone()
        };
        assert!(lock().fits(&recipe, &options()).unwrap());
        assert!(lock().fits(&elsewhere, &BuildOptions { level: 19, ..options() }).unwrap());
        let more = Recipe { packages: vec!["telegraf".to_owned()], ..recipe.clone() };
        assert!(!lock().fits(&more, &options()).unwrap());
        assert!(!lock().fits(&recipe, &BuildOptions { debug: true, ..options() }).unwrap());
        assert!(!lock().fits(&recipe, &BuildOptions { arch: Arch::Arm64, ..options() }).unwrap());
    }
}
