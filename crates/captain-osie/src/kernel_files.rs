//! A kernel that is not a Debian package: somebody's own, or one that captaind built. A vmlinuz and, beside it, its
//! modules and configuration.

use std::fmt;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use captain_debian::Sha256;
use captain_model::{Arch, KernelSource, Recipe};
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::image::Image;
use crate::kernel_config::{self, Demand};
use crate::kernel_header::{self, Header};
use crate::options::BuildOptions;

/// Exactly which kernel, by content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LocalKernel {
    /// As `uname -r` says it.
    pub version: String,
    /// SHA-256 of the vmlinuz.
    pub vmlinuz: Sha256,
    /// SHA-256 over path and SHA-256 of every file below the modules' folder, sorted by path.
    pub modules: Sha256,
}

impl fmt::Display for LocalKernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let short = |sum: &Sha256| sum.to_string()[..16].to_owned();
        write!(f, "{} (vmlinuz {}, modules {})", self.version, short(&self.vmlinuz), short(&self.modules))
    }
}

/// Where its parts lie.
#[derive(Debug)]
pub(crate) struct KernelFiles {
    version: String,
    pub(crate) vmlinuz: PathBuf,
    /// `modules.dep`, `kernel/...`: none where everything is built in.
    modules: Option<PathBuf>,
    pub(crate) config: Option<PathBuf>,
}

/// The file or folder with the kernel of `recipe`, where that is not a package.
pub(crate) fn place<'a>(recipe: &'a Recipe, options: &'a BuildOptions) -> Option<&'a Path> {
    match &recipe.kernel {
        KernelSource::Debian => None,
        KernelSource::Source => options.kernel_dir.as_deref(),
        KernelSource::Path(path) => Some(options.kernel_dir.as_deref().unwrap_or(path)),
    }
}

impl KernelFiles {
    /// Finds the kernel for `arch` at `path`: the vmlinuz itself, or a folder with it.
    ///
    /// # Errors
    /// [`Error::Kernel`]: there is none, it is of another architecture, or has no modules of its version.
    pub(crate) fn find(path: &Path, arch: Arch) -> Result<Self, Error> {
        let wrong = |why: String| Error::Kernel { path: path.to_owned(), why };
        let (vmlinuz, header) = if path.is_dir() { in_folder(path, arch)? } else { single(path, arch)? };
        let near = near(&vmlinuz, path);
        let version = header.version;
        let (version, modules) = modules(&near, version).map_err(wrong)?;
        let mut configs = vec![near[0].join(format!("config-{version}"))];
        configs.extend(["config", ".config"].map(|name| near[0].join(name)));
        configs.extend(modules.iter().flat_map(|m| [m.join("config"), m.join("build/.config")]));
        let config = configs.into_iter().find(|config| config.is_file());
        Ok(Self { version, vmlinuz, modules, config })
    }

    /// Its sums.
    ///
    /// # Errors
    /// It cannot be read.
    pub(crate) fn sums(&self) -> Result<LocalKernel, Error> {
        let vmlinuz = fs::read(&self.vmlinuz).map_err(Error::io(&self.vmlinuz))?;
        let mut list = String::new();
        for (path, place) in self.module_files()? {
            let sum = Sha256::of(&fs::read(&place).map_err(Error::io(&place))?);
            list += &format!("{sum}  {path}\n");
        }
        let version = self.version.clone();
        Ok(LocalKernel { version, vmlinuz: Sha256::of(&vmlinuz), modules: Sha256::of(list.as_bytes()) })
    }

    /// Every file of its modules, by path below the version's folder, sorted.
    pub(crate) fn module_files(&self) -> Result<Vec<(String, PathBuf)>, Error> {
        let mut files = Vec::new();
        if let Some(folder) = &self.modules {
            walk(folder, "", &mut files)?;
        }
        files.sort_unstable();
        Ok(files)
    }

    /// All its parts, each with the path at which [`Self::find`] finds it again in another folder.
    pub(crate) fn parts(&self) -> Result<Vec<(String, PathBuf)>, Error> {
        let mut parts = vec![("vmlinuz".to_owned(), self.vmlinuz.clone())];
        parts.extend(self.config.iter().map(|config| ("config".to_owned(), config.clone())));
        let modules = self.module_files()?.into_iter();
        parts.extend(modules.map(|(path, place)| (format!("lib/modules/{}/{path}", self.version), place)));
        Ok(parts)
    }

    /// Puts kernel and modules where those of a package would be.
    ///
    /// # Errors
    /// [`Error::KernelConfig`] where its configuration is there and lacks something; files that cannot be read.
    pub(crate) fn take(&self, image: &mut Image) -> Result<(), Error> {
        if let Some(config) = &self.config {
            let text = fs::read_to_string(config).map_err(Error::io(config))?;
            kernel_config::check(&self.version, &text, Demand::Running)?;
        }
        image.vmlinuz = Some(fs::read(&self.vmlinuz).map_err(Error::io(&self.vmlinuz))?);
        image.shelf.version.clone_from(&self.version);
        for (path, place) in self.module_files()? {
            let mut file = File::open(&place).map_err(Error::io(&place))?;
            image.shelf.add(&path, &mut file, &mut image.pool).map_err(Error::io(&place))?;
        }
        Ok(())
    }
}

fn single(path: &Path, arch: Arch) -> Result<(PathBuf, Header), Error> {
    let image = fs::read(path).map_err(Error::io(path))?;
    let wrong = |why: String| Error::Kernel { path: path.to_owned(), why };
    let header = kernel_header::read(&image).map_err(wrong)?;
    if header.arch != arch {
        return Err(wrong(format!("it is a kernel for {}, not for {arch}", header.arch)));
    }
    Ok((path.to_owned(), header))
}

/// The one kernel for `arch` in `folder` or its `boot`.
fn in_folder(folder: &Path, arch: Arch) -> Result<(PathBuf, Header), Error> {
    let mut found = Vec::new();
    for place in [folder.to_owned(), folder.join("boot")].into_iter().filter(|place| place.is_dir()) {
        for entry in fs::read_dir(&place).map_err(Error::io(&place))? {
            let path = entry.map_err(Error::io(&place))?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let named = ["vmlinuz", "bzImage", "Image"].iter().any(|start| name.starts_with(start));
            if named && path.is_file() {
                // A folder may hold a kernel for each architecture.
                found.extend(single(&path, arch).ok());
            }
        }
    }
    let names: Vec<_> = found.iter().map(|(path, _)| path.display().to_string()).collect();
    let why = match (found.pop(), found.is_empty()) {
        (Some(only), true) => return Ok(only),
        (None, _) => format!("it holds no vmlinuz* that is a kernel for {arch}"),
        (Some(_), false) => format!("it holds several kernels, name one of them: {}", names.join(", ")),
    };
    Err(Error::Kernel { path: folder.to_owned(), why })
}

/// Folders in which the parts of the kernel at `vmlinuz` are looked for; `/boot/vmlinuz` has its modules in
/// `/lib/modules`.
fn near(vmlinuz: &Path, path: &Path) -> Vec<PathBuf> {
    let parent = |path: &Path| path.parent().map_or_else(|| PathBuf::from("."), Path::to_owned);
    let beside = parent(vmlinuz);
    let mut near = vec![beside.clone()];
    if beside.file_name().is_some_and(|name| name == "boot") {
        near.push(parent(&beside));
    }
    if path.is_dir() && !near.contains(&path.to_owned()) {
        near.push(path.to_owned());
    }
    near
}

/// The version of the kernel and the folder with its modules.
fn modules(near: &[PathBuf], version: Option<String>) -> Result<(String, Option<PathBuf>), String> {
    let places: Vec<_> =
        near.iter().flat_map(|n| ["lib/modules", "usr/lib/modules", "modules"].map(|p| n.join(p))).collect();
    let Some(place) = places.iter().find(|place| place.is_dir()) else {
        let tried: Vec<_> = places.iter().map(|place| place.display().to_string()).collect();
        return Err(format!(
            "its modules are not beside it (looked for {}): put them there, or make an empty folder `modules` \
             where everything is built in",
            tried.join(", ")
        ));
    };
    let versions = folders(place);
    match version {
        Some(version) if versions.contains(&version) => Ok((version.clone(), Some(place.join(version)))),
        Some(version) if is_modules(place) => Ok((version, Some(place.clone()))),
        Some(version) if versions.is_empty() => Ok((version, None)),
        Some(version) => Err(format!(
            "it is version {version}, but {} holds modules of {}",
            place.display(),
            versions.join(", ")
        )),
        None => match &versions[..] {
            [only] => Ok((only.clone(), Some(place.join(only)))),
            _ => Err(format!(
                "it does not tell its version, so {} must hold one folder named by that",
                place.display()
            )),
        },
    }
}

/// Whether the modules lie in `folder` itself.
fn is_modules(folder: &Path) -> bool {
    folder.join("kernel").is_dir() || folder.join("modules.order").is_file()
}

fn folders(place: &Path) -> Vec<String> {
    let entries = fs::read_dir(place).into_iter().flatten().flatten();
    let folders = entries.filter(|entry| entry.path().is_dir());
    let mut names: Vec<_> = folders.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort_unstable();
    names
}

/// Files below `folder`. Links are left out: `build` and `source` lead to where the kernel was made.
fn walk(folder: &Path, below: &str, files: &mut Vec<(String, PathBuf)>) -> Result<(), Error> {
    for entry in fs::read_dir(folder).map_err(Error::io(folder))? {
        let entry = entry.map_err(Error::io(folder))?;
        let (place, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
        let path = if below.is_empty() { name } else { format!("{below}/{name}") };
        let kind = entry.file_type().map_err(Error::io(&place))?;
        if kind.is_dir() {
            walk(&place, &path, files)?;
        } else if kind.is_file() {
            files.push((path, place));
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "kernel_files_tests.rs"]
mod tests;
