//! What a build would do: a list of steps that can be printed, and that the builder executes as it stands.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use captain_debian::archive::Options;
use captain_debian::{Mirrors, Request};
use captain_model::{Arch, Cmdline, KernelSource, Recipe, Shipped, Timestamp, Tool};
use serde::Serialize;

use crate::accounts::RootLogin;
use crate::builder::Builder;
use crate::containers::Container;
use crate::error::Error;
use crate::formats::{OutputFormat, media};
use crate::kernel_files::{self, KernelFiles, LocalKernel};
use crate::lists::Packages;
use crate::lock::Lock;
use crate::manifest::PackageRef;
use crate::modules::groups::Groups;
use crate::options::BuildOptions;
use crate::overlay::{Laid, OverlaySource};
use crate::tools;

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

/// One piece of work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "step", rename_all = "kebab-case")]
pub enum Step {
    /// Download and verify.
    Fetch {
        /// The packages, sorted by name.
        packages: Vec<PackageRef>,
    },
    /// Put packages into the tree.
    Unpack {
        /// Names, in this order.
        packages: Vec<String>,
    },
    /// Take the kernel out of its package.
    Kernel {
        /// Its name.
        package: String,
    },
    /// Take a kernel that is not a package.
    LocalKernel {
        /// The vmlinuz, or a folder with it.
        path: PathBuf,
    },
    /// Choose kernel modules and write kmod's indices.
    Modules {
        /// Groups and names.
        wanted: Vec<String>,
    },
    /// Folders, device nodes, links: what maintainer scripts would have made.
    Skeleton,
    /// Put programs from elsewhere into the tree.
    Tools {
        /// Which.
        tools: Vec<Tool>,
    },
    /// Lay files over the tree.
    Overlay {
        /// Which.
        source: OverlaySource,
    },
    /// Let these keys log in as root by SSH.
    SshKeys {
        /// Lines of `authorized_keys`.
        keys: Vec<String>,
    },
    /// Put container images into the tree, each with a unit that runs it.
    Containers {
        /// Which.
        containers: Vec<Container>,
    },
    /// `/etc/passwd` and its kin, from the packages' sysusers.d.
    Accounts {
        /// How root may log in.
        root: RootLogin,
    },
    /// One file of all certificate authorities.
    Certificates,
    /// Enable units.
    Units {
        /// Those beyond what presets enable.
        services: Vec<String>,
    },
    /// Compress and write the image, the kernel and the manifest.
    Write {
        /// zstd's level.
        level: i32,
        /// File names.
        files: Vec<String>,
    },
    /// Pack kernel and initramfs into another form.
    Pack {
        /// Which.
        format: OutputFormat,
        /// File name.
        file: String,
        /// The kernel's arguments in it, where they are fixed.
        cmdline: Option<Cmdline>,
    },
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

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fetch { packages } => {
                let bytes: u64 = packages.iter().map(|package| package.size).sum();
                write!(f, "fetch and verify {} packages, {} MB", packages.len(), bytes / 1_000_000)
            }
            Self::Unpack { packages } => write!(f, "unpack {} packages", packages.len()),
            Self::Kernel { package } => write!(f, "take the kernel and its modules out of {package}"),
            Self::LocalKernel { path } => {
                write!(f, "take the kernel and its modules from {}", path.display())
            }
            Self::Modules { wanted } => write!(f, "choose modules ({}) and index them", wanted.join(", ")),
            Self::Skeleton => f.write_str("make folders, device nodes and links"),
            Self::Tools { tools } => {
                let names: Vec<_> = tools.iter().map(tools::file_name).collect();
                write!(f, "put in tools: {}", names.join(", "))
            }
            Self::Overlay { source: OverlaySource::Embedded } => {
                f.write_str("lay captaind's overlay over it")
            }
            Self::Overlay { source: OverlaySource::Folder(folder) } => {
                write!(f, "lay {} over it", folder.display())
            }
            Self::SshKeys { keys } => write!(f, "let {} keys log in by SSH", keys.len()),
            Self::Containers { containers } => {
                let names: Vec<_> = containers.iter().map(|container| container.source.as_str()).collect();
                write!(f, "put in containers: {}", names.join(", "))
            }
            Self::Accounts { root: RootLogin::Locked } => {
                f.write_str("make users and groups; root is locked")
            }
            Self::Accounts { root: RootLogin::Keys } => {
                f.write_str("make users and groups; root has keys only")
            }
            Self::Accounts { root: RootLogin::Open } => {
                f.write_str("make users and groups; root has no password")
            }
            Self::Certificates => f.write_str("bundle the certificate authorities"),
            Self::Units { services } if services.is_empty() => f.write_str("enable units as presets say"),
            Self::Units { services } => write!(f, "enable units as presets say, and {}", services.join(", ")),
            Self::Write { level, files } => write!(f, "write {} (zstd level {level})", files.join(" and ")),
            Self::Pack { format, file, cmdline: None } => write!(f, "pack them into {file} ({format})"),
            Self::Pack { format, file, cmdline: Some(line) } => {
                write!(f, "pack them into {file} ({format}) with `{line}`")
            }
        }
    }
}
