//! What a build would do: a list of steps that can be printed, and that the builder executes as it stands.

mod request;
mod step;

use std::fmt;
use std::path::{Path, PathBuf};

use captain_debian::Mirrors;
use captain_model::{Arch, KernelSource, Recipe};
use serde::Serialize;

use crate::accounts::RootLogin;
use crate::builder::Builder;
use crate::containers::Container;
use crate::error::Error;
use crate::formats::{OutputFormat, media};
use crate::kernel_files::{self, KernelFiles, LocalKernel};
use crate::lock::Lock;
use crate::manifest::PackageRef;
use crate::modules::groups::Groups;
use crate::options::BuildOptions;
use crate::overlay::{Laid, OverlaySource};
use crate::tools;

pub use request::archive_options;
pub(crate) use request::{kernel_package, mirrors, request};
pub use step::Step;

/// Everything that a build needs to know; see [`plan`].
#[derive(Debug, Serialize)]
pub struct Plan {
    /// The recipe's name.
    pub name: String,
    /// Architecture of the image.
    pub arch: Arch,
    /// Debian suite.
    pub suite: String,
    /// Seconds since the epoch: no file of the image is younger.
    pub source_date: u64,
    /// What is done, in this order.
    pub steps: Vec<Step>,
    /// Exactly which inputs.
    #[serde(skip)]
    pub lock: Lock,
    /// The kernel, where it is not a package.
    #[serde(skip)]
    pub(crate) kernel: Option<PathBuf>,
    #[serde(skip)]
    pub(crate) overlays: Vec<OverlaySource>,
    #[serde(skip)]
    pub(crate) mirrors: Mirrors,
}

/// Plans the image that `recipe` describes and `lock` pins. Only the overlays, and a kernel that is no package, are
/// read anew: whoever works on them need not renew the lock.
///
/// # Errors
/// What is not supported; a lock of something else; an overlay that cannot be read.
pub fn plan(recipe: &Recipe, lock: &Lock, options: &BuildOptions) -> Result<Plan, Error> {
    options.check()?;
    check(recipe)?;
    if !lock.fits(recipe, options)? {
        return Err(Error::malformed("lock", format!("it is not of osie `{}` as it stands", recipe.name)));
    }
    let mut lock = lock.clone();
    lock.level = options.level;
    lock.builder = Some(Builder::ours());
    lock.overlay = overlay(recipe, options)?;
    lock.local_kernel = local_kernel(recipe, options)?;
    // Offline nothing is asked for: then a machine without apt will do.
    let mirrors = match mirrors(recipe) {
        Err(_) if options.offline => Mirrors::default(),
        mirrors => mirrors?,
    };
    Ok(Plan {
        name: recipe.name.clone(),
        arch: options.arch,
        suite: recipe.suite.clone(),
        source_date: lock.source_date,
        steps: steps(recipe, options, &lock)?,
        kernel: kernel_files::place(recipe, options).map(Path::to_owned),
        overlays: OverlaySource::all(recipe, options),
        lock,
        mirrors,
    })
}

/// Which kernel it is, where that is not a package: none yet where it is still to be built.
fn local_kernel(recipe: &Recipe, options: &BuildOptions) -> Result<Option<LocalKernel>, Error> {
    let Some(path) = kernel_files::place(recipe, options) else {
        return match recipe.kernel {
            KernelSource::Debian | KernelSource::Path(_) => Ok(None),
            KernelSource::Source => Err(Error::malformed("plan", "nobody said where the built kernel goes")),
        };
    };
    if recipe.kernel == KernelSource::Source && !path.exists() {
        return Ok(None);
    }
    Ok(Some(KernelFiles::find(path, options.arch)?.sums()?))
}

impl Plan {
    /// The packages that are fetched.
    pub(crate) fn fetched(&self) -> &[PackageRef] {
        let packages = self.steps.iter().find_map(|step| match step {
            Step::Fetch { packages } => Some(packages.as_slice()),
            _ => None,
        });
        packages.unwrap_or_default()
    }
}

/// Everything that the overlays lay down.
pub(crate) fn overlay(recipe: &Recipe, options: &BuildOptions) -> Result<Vec<Laid>, Error> {
    let mut laid = Vec::new();
    for source in OverlaySource::all(recipe, options) {
        laid.extend(Laid::of(&source.name(), &source.files()?));
    }
    Ok(laid)
}

/// Whether `recipe` can be built as it stands.
pub fn check(recipe: &Recipe) -> Result<(), Error> {
    let unsupported = |what: String| Err(Error::Unsupported { what });
    match recipe.overlay.iter().find(|folder| !folder.is_dir()) {
        Some(folder) => {
            unsupported(format!("osie `{}`: overlay {} is not a folder", recipe.name, folder.display()))
        }
        None => Ok(()),
    }
}

/// Packages of the image, and those that its formats boot from.
fn fetched(options: &BuildOptions, lock: &Lock) -> Result<Vec<PackageRef>, Error> {
    let mut packages = lock.packages.clone();
    for package in media::locked(lock, options.formats.iter())? {
        if !packages.iter().any(|other| other.sha256 == package.sha256) {
            packages.push(package);
        }
    }
    Ok(packages)
}

fn steps(recipe: &Recipe, options: &BuildOptions, lock: &Lock) -> Result<Vec<Step>, Error> {
    let meta = kernel_package(options.arch);
    let (first, others): (Vec<_>, Vec<_>) = lock
        .packages
        .iter()
        .map(|package| package.name.clone())
        .filter(|name| Some(name) != lock.kernel.as_ref() && *name != meta)
        // Its links (/lib is usr/lib) have to be there before anything that goes through them.
        .partition(|name| name == "base-files");
    let mut modules = vec![Groups::BASE.to_owned()];
    modules.extend(recipe.modules.iter().cloned());
    let mut steps = vec![
        Step::Fetch { packages: fetched(options, lock)? },
        Step::Unpack { packages: first.into_iter().chain(others).collect() },
    ];
    steps.extend(lock.kernel.clone().map(|package| Step::Kernel { package }));
    let path = kernel_files::place(recipe, options).map(Path::to_owned);
    steps.extend(path.map(|path| Step::LocalKernel { path }));
    steps.extend([Step::Modules { wanted: modules }, Step::Skeleton]);
    let tools = tools::wanted(recipe, options.arch);
    if !tools.is_empty() {
        steps.push(Step::Tools { tools });
    }
    steps.extend(OverlaySource::all(recipe, options).into_iter().map(|source| Step::Overlay { source }));
    let mut services = recipe.services.clone();
    if !recipe.ssh_authorized_keys.is_empty() {
        steps.push(Step::SshKeys { keys: recipe.ssh_authorized_keys.clone() });
        services.push("ssh.service".to_owned());
    }
    if !lock.containers.is_empty() {
        services.extend(lock.containers.iter().map(Container::unit));
        steps.push(Step::Containers { containers: lock.containers.clone() });
    }
    let debug = options.is_debug(recipe);
    if debug {
        services.push("captain-shell.service".to_owned());
    }
    let arch = options.arch.linux();
    steps.extend([
        Step::Accounts { root: root_login(recipe, debug) },
        Step::Certificates,
        Step::Units { services },
        Step::Write {
            level: options.level,
            files: ["vmlinuz", "initramfs"].map(|file| format!("{file}-{arch}")).to_vec(),
        },
    ]);
    // Kernel and initramfs are written already.
    let formats = options.formats.iter().filter(|format| **format != OutputFormat::Initramfs);
    steps.extend(formats.map(|format| Step::Pack {
        format: *format,
        file: format.file(options.arch),
        cmdline: (*format == OutputFormat::Uki).then(|| options.cmdline.clone()),
    }));
    Ok(steps)
}

fn root_login(recipe: &Recipe, debug: bool) -> RootLogin {
    match (debug, recipe.ssh_authorized_keys.is_empty()) {
        (true, _) => RootLogin::Open,
        (false, false) => RootLogin::Keys,
        (false, true) => RootLogin::Locked,
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "osie {} for {} from Debian {}, source date {}",
            self.name, self.arch, self.suite, self.source_date
        )?;
        for (number, step) in (1..).zip(&self.steps) {
            writeln!(f, "{number:3}. {step}")?;
            if let Step::Fetch { packages } = step {
                for package in packages {
                    writeln!(f, "       {} {} ({})", package.name, package.version, package.why)?;
                }
            }
        }
        Ok(())
    }
}
