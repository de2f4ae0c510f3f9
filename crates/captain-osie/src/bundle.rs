//! A lock with all its inputs in one tar, for a place without a network.
//!
//! `lock.json` comes first, then `overlay/NUMBER/NAME/...`, `kernel/...` where that is no package,
//! `containers/DIGEST`, `tools/SHA256`, then `packages/FILE.deb`. Everything in it is checked
//! against the lock on the way in, so a bundle is as trustworthy as its `lock.json`.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Component, Path, PathBuf};

use captain_debian::{Fetched, Fetcher, Item, Mirrors, Progress, Sha256, Tuning};
use captain_model::{Artifact, Recipe};
use tar::{EntryType, Header};

use crate::build::fetch;
use crate::containers;
use crate::error::Error;
use crate::kernel_files::KernelFiles;
use crate::lock::Lock;
use crate::manifest::PackageRef;
use crate::options::BuildOptions;
use crate::output::output;
use crate::overlay::OverlayFile;
use crate::plan::{Plan, overlay};
use crate::relay::blocking;
use crate::tools;
use crate::tree::{Content, Node};

const LOCK: &str = "lock.json";
const OVERLAY: &str = "overlay";
const PACKAGES: &str = "packages";
const KERNEL: &str = "kernel";
const CONTAINERS: &str = "containers";
const TOOLS: &str = "tools";
/// A lock is some 100 kB.
const LARGEST_LOCK: u64 = 64 << 20;

/// Writes the planned image's lock and inputs to `file`. Same plan: same bytes.
///
/// # Errors
/// Downloads; a full disk.
pub async fn bundle(
    plan: &Plan,
    options: &BuildOptions,
    file: &Path,
    progress: &dyn Progress,
) -> Result<Artifact, Error> {
    let packages: Vec<_> = plan.lock.inputs().cloned().collect();
    let fetched = fetch(&packages, &plan.mirrors, options, progress).await?;
    let mut overlays = Vec::new();
    for source in &plan.overlays {
        let name = source.name();
        let name = name.split_once(' ').map_or(name.as_str(), |(_, name)| name).to_owned();
        overlays.push((name, source.files()?));
    }
    let kernel = match &plan.kernel {
        Some(path) => KernelFiles::find(path, plan.arch)?.parts()?,
        None => Vec::new(),
    };
    let contents = containers::contents(&plan.lock, &options.cache)?;
    let contents = contents.into_iter().map(|(digest, place)| (digest.hex(), place));
    let wanted = tools::wanted(&plan.lock.recipe, plan.arch);
    let tools = tools::fetch(&wanted, options, progress).await?;
    let tools = tools.into_iter().map(|tool| (tool.sha256.to_string(), tool.path));
    let parts = below(KERNEL, kernel).chain(below(CONTAINERS, contents)).chain(below(TOOLS, tools));
    let parts: Vec<_> = parts.collect();
    let (lock, file) = (plan.lock.clone(), file.to_owned());
    blocking(progress, move |progress| {
        let task = progress.begin(&format!("write {}", file.display()), None);
        let artifact = write_file(&lock, &overlays, &parts, &fetched, &file)?;
        task.done(&format!("{:.1} MB", artifact.size as f64 / 1e6));
        Ok(artifact)
    })
    .await
}

type Overlays = [(String, Vec<OverlayFile>)];
/// Paths in the bundle, and the files that go there.
type Parts = [(String, PathBuf)];

/// The same files in a folder of the bundle.
fn below(
    folder: &str,
    files: impl IntoIterator<Item = (String, PathBuf)>,
) -> impl Iterator<Item = (String, PathBuf)> {
    files.into_iter().map(move |(path, place)| (format!("{folder}/{path}"), place))
}

fn write_file(
    lock: &Lock,
    overlays: &Overlays,
    parts: &Parts,
    debs: &[Fetched],
    file: &Path,
) -> Result<Artifact, Error> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or_else(|| Path::new("."));
    fs::create_dir_all(folder).map_err(Error::io(folder))?;
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    output(folder, &name, |out| {
        let mut tar = tar::Builder::new(out);
        write(lock, overlays, parts, debs, &mut tar)?;
        tar.into_inner().map_err(Error::io(file))
    })
}

fn write<W: Write>(
    lock: &Lock,
    overlays: &Overlays,
    parts: &Parts,
    debs: &[Fetched],
    tar: &mut tar::Builder<W>,
) -> Result<(), Error> {
    let text = serde_json::to_vec_pretty(lock).map_err(|error| Error::malformed(LOCK, error))?;
    let header = |kind, mode, size| header(kind, mode, size, lock.source_date);
    let mut add = |mut header: Header, path: &str, content: &mut dyn Read| {
        tar.append_data(&mut header, path, content).map_err(Error::io(path))
    };
    add(header(EntryType::Regular, 0o644, text.len() as u64), LOCK, &mut &text[..])?;
    for (number, (name, files)) in overlays.iter().enumerate() {
        let root = format!("{OVERLAY}/{number}/{name}");
        add(header(EntryType::Directory, 0o755, 0), &root, &mut io::empty())?;
        for OverlayFile { path, node, mode } in files {
            let path = format!("{root}/{path}");
            match node {
                Node::Directory => add(header(EntryType::Directory, *mode, 0), &path, &mut io::empty())?,
                Node::File(content) => {
                    let Content::Bytes(bytes) = &**content else { continue };
                    add(header(EntryType::Regular, *mode, bytes.len() as u64), &path, &mut &bytes[..])?;
                }
                Node::Symlink(target) => {
                    let mut link = header(EntryType::Symlink, 0o777, 0);
                    link.set_link_name_literal(target).map_err(Error::io(&path))?;
                    add(link, &path, &mut io::empty())?;
                }
                // Overlays are read from folders, which holds none of them.
                Node::CharDevice { .. } | Node::BlockDevice { .. } | Node::Fifo => {}
            }
        }
    }
    for (path, place) in parts {
        let mut file = File::open(place).map_err(Error::io(place))?;
        let size = file.metadata().map_err(Error::io(place))?.len();
        add(header(EntryType::Regular, 0o644, size), path, &mut file)?;
    }
    for deb in debs {
        let mut file = File::open(&deb.path).map_err(Error::io(&deb.path))?;
        let path = format!("{PACKAGES}/{}", deb.name);
        add(header(EntryType::Regular, 0o644, deb.size), &path, &mut file)?;
    }
    Ok(())
}

fn header(kind: EntryType, mode: u32, size: u64, date: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size);
    header.set_mtime(date);
    header.set_uid(0);
    header.set_gid(0);
    header
}

/// What a bundle holds, unpacked into the cache.
#[derive(Clone, Debug)]
pub struct Unbundled {
    /// Exactly which inputs; all of them are in the cache now.
    pub lock: Lock,
    /// The recipe; its overlays are those of the bundle.
    pub recipe: Recipe,
    /// What stands for captaind's own overlay.
    pub overlay_dir: PathBuf,
    /// The kernel, where it is not a package.
    pub kernel_dir: Option<PathBuf>,
}

/// Takes the bundle at `file` into `cache`: packages among the downloads, overlays into a folder of their own.
///
/// # Errors
/// No bundle; one that lacks what its lock names, or holds something else.
pub async fn unbundle(file: &Path, cache: &Path, progress: &dyn Progress) -> Result<Unbundled, Error> {
    let (file, cache) = (file.to_owned(), cache.to_owned());
    blocking(progress, move |progress| {
        let task = progress.begin(&format!("take in {}", file.display()), None);
        let unbundled = Reader { file: &file, cache: &cache }.read()?;
        task.done(&format!("{} packages", unbundled.lock.packages.len()));
        Ok(unbundled)
    })
    .await
}

struct Reader<'a> {
    file: &'a Path,
    cache: &'a Path,
}

impl Reader<'_> {
    fn wrong(&self, why: impl ToString) -> Error {
        Error::malformed(self.file.display().to_string(), why)
    }

    fn read(&self) -> Result<Unbundled, Error> {
        let file = File::open(self.file).map_err(Error::io(self.file))?;
        let mut archive = tar::Archive::new(io::BufReader::with_capacity(1 << 18, file));
        let mut entries = archive.entries().map_err(Error::io(self.file))?;
        let first = entries.next().transpose().map_err(|error| self.wrong(error))?;
        let first = first.filter(|entry| *entry.path_bytes() == *LOCK.as_bytes());
        let first = first.ok_or_else(|| self.wrong(format!("no bundle: it does not begin with {LOCK}")))?;
        let mut text = Vec::new();
        first.take(LARGEST_LOCK).read_to_end(&mut text).map_err(Error::io(self.file))?;
        let lock: Lock = serde_json::from_slice(&text).map_err(|error| self.wrong(error))?;
        let place = self.cache.join("bundle").join(&Sha256::of(&text).to_string()[..16]);
        if place.exists() {
            fs::remove_dir_all(&place).map_err(Error::io(&place))?;
        }
        fs::create_dir_all(&place).map_err(Error::io(&place))?;
        let fetcher = Fetcher::new(self.cache.join("debian"), true, Tuning::default())?;
        let mut missing: Vec<_> = lock.inputs().collect();
        let tools = tools::items(&tools::wanted(&lock.recipe, lock.arch))?;
        for entry in entries {
            let entry = entry.map_err(|error| self.wrong(error))?;
            self.entry(entry, &place, &fetcher, &mut missing, &tools)?;
        }
        if let Some(tool) = tools.iter().find(|tool| fetcher.found(tool).is_err()) {
            return Err(self.wrong(format!("it lacks {}, which its lock names", tool.name)));
        }
        if let Some(package) = missing.first() {
            return Err(self.wrong(format!("it lacks {}, which its lock names", package.file_name())));
        }
        containers::contents(&lock, self.cache).map_err(|error| self.wrong(error))?;
        self.unbundled(lock, &place)
    }

    fn entry(
        &self,
        mut entry: tar::Entry<'_, impl Read>,
        place: &Path,
        fetcher: &Fetcher,
        missing: &mut Vec<&PackageRef>,
        tools: &[Item],
    ) -> Result<(), Error> {
        let path = entry.path().map_err(|error| self.wrong(error))?.into_owned();
        if !path.components().all(|part| matches!(part, Component::Normal(_))) {
            return Err(self.wrong(format!("its path {} leads out of it", path.display())));
        }
        if path.starts_with(OVERLAY) || path.starts_with(KERNEL) {
            return self.loose_file(&mut entry, place, &path);
        }
        if let Ok(name) = path.strip_prefix(CONTAINERS) {
            return containers::take_in(&name.to_string_lossy(), &mut entry, self.cache);
        }
        let name = path.strip_prefix(TOOLS).ok().and_then(Path::to_str);
        if let Some(tool) = tools.iter().find(|tool| Some(&*tool.sha256.to_string()) == name) {
            fetcher.put(tool, &mut entry)?;
            return Ok(());
        }
        let name = path.strip_prefix(PACKAGES).ok().and_then(Path::to_str);
        let at = missing.iter().position(|package| Some(package.file_name()) == name);
        let at = at.ok_or_else(|| {
            self.wrong(format!("it holds {}, which its lock does not name", path.display()))
        })?;
        fetcher.put(&missing.swap_remove(at).item(&Mirrors::default()), &mut entry)?;
        Ok(())
    }

    /// Links are made, never followed: what lies at or above `path` must be a folder that this bundle made.
    fn loose_file(
        &self,
        entry: &mut tar::Entry<'_, impl Read>,
        place: &Path,
        path: &Path,
    ) -> Result<(), Error> {
        let (mut above, target) = (place.to_owned(), place.join(path));
        for part in path.parent().into_iter().flat_map(Path::components) {
            above.push(part);
            if above.is_symlink() {
                return Err(self.wrong(format!("its path {} leads through a link", path.display())));
            }
        }
        fs::create_dir_all(&above).map_err(Error::io(&above))?;
        let made = match entry.header().entry_type() {
            EntryType::Directory => fs::create_dir(&target),
            EntryType::Symlink => match entry.link_name() {
                Ok(Some(link)) => symlink(link, &target),
                _ => Err(io::Error::other("a link that leads nowhere")),
            },
            EntryType::Regular => File::create_new(&target).and_then(|mut file| {
                io::copy(entry, &mut file)?;
                let mode = if entry.header().mode()? & 0o100 == 0 { 0o644 } else { 0o755 };
                file.set_permissions(fs::Permissions::from_mode(mode))
            }),
            _ => Err(io::Error::other("it is no file, folder or link")),
        };
        made.map_err(Error::io(&target))
    }

    fn unbundled(&self, lock: Lock, place: &Path) -> Result<Unbundled, Error> {
        let mut folders = Vec::new();
        for number in 0.. {
            let above = place.join(OVERLAY).join(number.to_string());
            let Ok(mut entries) = fs::read_dir(&above) else { break };
            let only = entries.next().transpose().map_err(Error::io(&above))?;
            let only = only.ok_or_else(|| self.wrong(format!("its overlay {number} is empty")))?;
            folders.push(only.path());
        }
        if folders.is_empty() {
            return Err(self.wrong("it holds no overlay"));
        }
        let overlay_dir = folders.remove(0);
        let kernel_dir = self.kernel(&lock, place)?;
        let recipe = Recipe { overlay: folders, ..lock.recipe.clone() };
        let options = BuildOptions {
            overlay_dir: Some(overlay_dir.clone()),
            debug: lock.debug,
            ..BuildOptions::new(lock.arch, self.cache)
        };
        if overlay(&recipe, &options)? != lock.overlay {
            return Err(self.wrong("its overlays are not those that its lock names"));
        }
        Ok(Unbundled { lock, recipe, overlay_dir, kernel_dir })
    }

    /// The folder with the kernel, where the lock names one that is no package.
    fn kernel(&self, lock: &Lock, place: &Path) -> Result<Option<PathBuf>, Error> {
        let Some(wanted) = &lock.local_kernel else { return Ok(None) };
        let folder = place.join(KERNEL);
        if KernelFiles::find(&folder, lock.arch)?.sums()? != *wanted {
            return Err(self.wrong("its kernel is not the one that its lock names"));
        }
        Ok(Some(folder))
    }
}

#[cfg(test)]
#[path = "bundle_tests.rs"]
mod tests;
