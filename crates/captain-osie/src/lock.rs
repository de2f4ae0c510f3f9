//! Exactly which inputs: what the first build of a recipe found, and every later one uses.
//!
//! A lock does not say where the inputs are from: the machine that builds has its own mirror. It pins each by
//! its SHA-256, so a build from a lock needs neither the archive's indices nor its signatures.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use captain_debian::{Archive, Progress, Release, Resolution, Sha256};
use captain_model::{Arch, KernelSource, Recipe};
use serde::{Deserialize, Serialize};

use crate::build::json;
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

/// The form of the file; another one is not read.
const VERSION: u32 = 1;

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

    /// What is new in this lock against `old`.
    pub fn changes_since(&self, old: &Self) -> Changes {
        let by_name = |lock: &Self| -> BTreeMap<String, PackageRef> {
            lock.everything().map(|package| (package.name.clone(), package.clone())).collect()
        };
        let (mut before, mut changes) = (by_name(old), Changes::default());
        for (name, package) in by_name(self) {
            match before.remove(&name) {
                None => changes.added.push(package),
                Some(was) if was.sha256 != package.sha256 => changes.replaced.push((was, package)),
                Some(_) => {}
            }
        }
        changes.removed = before.into_values().collect();
        changes.overlay = overlay_changes(&old.overlay, &self.overlay);
        changes.kernel = kernel_changes(old, self);
        changes.level = (old.level != self.level).then_some((old.level, self.level));
        let other = self.builder.as_ref().filter(|builder| !old.is_by(builder));
        changes.builder = other.map(|builder| (old.builder.clone(), builder.clone()));
        let is_new = |container: &&Container| !old.containers.contains(container);
        changes.containers = self.containers.iter().filter(is_new).cloned().collect();
        changes
    }
}

/// What is new of a kernel that is no package.
fn kernel_changes(old: &Lock, new: &Lock) -> Vec<String> {
    let (was, is) = (&old.kernel_inputs, &new.kernel_inputs);
    let mut changes: Vec<_> = was.iter().zip(is).flat_map(|(was, is)| is.changes_since(was)).collect();
    if let (Some(before), Some(now)) = (&old.local_kernel, &new.local_kernel)
        && before != now
    {
        changes.push(match is.is_some() && was == is {
            // Whoever has only the lock builds yet another one.
            true => format!(
                "{} of the same inputs has other bytes ({now}, was {before}): its compiler or sources do not give the \
                 same twice, so no other machine builds this image from the lock; give it a bundle (--bundle)",
                now.version
            ),
            false => format!("{now}, was {before}"),
        });
    }
    changes
}

/// Paths that are laid otherwise than before, sorted.
fn overlay_changes(old: &[Laid], new: &[Laid]) -> Vec<String> {
    let differs = |one: &[Laid], other: &[Laid]| -> Vec<String> {
        one.iter().filter(|laid| !other.contains(laid)).map(|laid| laid.path.clone()).collect()
    };
    let mut paths = differs(old, new);
    paths.append(&mut differs(new, old));
    paths.sort();
    paths.dedup();
    paths
}

/// The difference between two locks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Changes {
    /// Packages that were not there.
    pub added: Vec<PackageRef>,
    /// Packages that are no longer there.
    pub removed: Vec<PackageRef>,
    /// Packages of which another file is taken: before, now.
    pub replaced: Vec<(PackageRef, PackageRef)>,
    /// Files of overlays that are new, gone or different.
    pub overlay: Vec<String>,
    /// The builder before and the one now, where they make different images of the same inputs.
    pub builder: Option<(Option<Builder>, Builder)>,
    /// Container images that are new or of another digest.
    pub containers: Vec<Container>,
    /// What is new of a kernel that is no package, in words.
    pub kernel: Vec<String>,
    /// zstd's level before and now.
    pub level: Option<(i32, i32)>,
}

impl Changes {
    /// Whether there is no difference.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl fmt::Display for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kb = |bytes: u64| bytes as f64 / 1e3;
        for package in &self.added {
            writeln!(f, "  + {} {} ({:.1} kB)", package.name, package.version, kb(package.size))?;
        }
        for package in &self.removed {
            writeln!(f, "  - {} {} ({:.1} kB)", package.name, package.version, kb(package.size))?;
        }
        for (was, is) in &self.replaced {
            let more = kb(is.size) - kb(was.size);
            writeln!(f, "  ~ {} {} -> {} ({more:+.1} kB)", is.name, was.version, is.version)?;
        }
        for container in &self.containers {
            writeln!(f, "  ~ container {} {}", container.source, container.digest)?;
        }
        self.overlay.iter().try_for_each(|path| writeln!(f, "  ~ /{path} (overlay)"))?;
        self.kernel.iter().try_for_each(|what| writeln!(f, "  ~ kernel: {what}"))?;
        if let Some((was, is)) = self.level {
            writeln!(f, "  ~ zstd level {was} -> {is}: same inputs, other bytes; later builds keep it")?;
        }
        let Some((was, is)) = &self.builder else { return Ok(()) };
        let was = was.as_ref().map_or_else(|| "an older captaind".to_owned(), Builder::to_string);
        writeln!(
            f,
            "  ~ builder {was} -> {is}: same inputs, other bytes; only the former builds the former image"
        )
    }
}

/// A file with locks: one for each recipe, architecture, and debug or not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockFile {
    version: u32,
    locks: Vec<Lock>,
}

impl Default for LockFile {
    fn default() -> Self {
        Self { version: VERSION, locks: Vec::new() }
    }
}

impl LockFile {
    /// Reads the file at `path`; where there is none, it holds no lock.
    ///
    /// # Errors
    /// It cannot be read, or is of another version.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let text = match fs::read(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(Error::io(path)(error)),
        };
        let wrong = |why: String| {
            Error::malformed(path.display().to_string(), format!("{why}: take it away to make a new lock"))
        };
        let file: Self = serde_json::from_slice(&text).map_err(|error| wrong(error.to_string()))?;
        if file.version != VERSION {
            return Err(wrong(format!("it is a lock of version {}, not {VERSION}", file.version)));
        }
        Ok(file)
    }

    /// The lock of the recipe `name`, whether it still fits that or not.
    pub fn get(&self, name: &str, options: &BuildOptions) -> Option<&Lock> {
        let key = (name, options.arch, options.debug);
        self.locks.iter().find(|lock| key_of(lock) == key)
    }

    /// Every lock.
    pub fn all(&self) -> impl Iterator<Item = &Lock> {
        self.locks.iter()
    }

    /// Puts `lock` in, in place of the one that it renews.
    pub fn put(&mut self, lock: Lock) {
        self.locks.retain(|old| key_of(old) != key_of(&lock));
        self.locks.push(lock);
        self.locks.sort_by(|a, b| key_of(a).cmp(&key_of(b)));
    }

    /// Writes it whole or not at all.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), Error> {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or_else(|| Path::new("."));
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        fs::create_dir_all(folder).map_err(Error::io(folder))?;
        json(folder, &name, self)
    }
}

fn key_of(lock: &Lock) -> (&str, Arch, bool) {
    (&lock.recipe.name, lock.arch, lock.debug)
}

#[cfg(test)]
pub(crate) mod testing {
    use super::*;

    pub(crate) fn package(name: &str, version: &str) -> PackageRef {
        let content = format!("{name} {version}");
        PackageRef {
            name: name.to_owned(),
            version: version.to_owned(),
            arch: "amd64".to_owned(),
            suite: "trixie".to_owned(),
            path: format!("pool/{name}_{version}_amd64.deb"),
            sha256: Sha256::of(content.as_bytes()),
            size: content.len() as u64,
            source: content,
            why: "wanted".to_owned(),
        }
    }

    /// A lock of the recipe `test`; its packages hold `NAME VERSION`.
    pub(crate) fn lock() -> Lock {
        let recipe = Recipe::new("test");
        let options = BuildOptions::new(Arch::Amd64, "/nowhere");
        Lock {
            builder: Some(Builder::ours()),
            recipe_sha256: sum(&recipe, &options).unwrap(),
            recipe,
            arch: Arch::Amd64,
            debug: false,
            level: 3,
            source_date: 1_700_000_000,
            releases: Vec::new(),
            kernel: Some("linux-image-6".to_owned()),
            local_kernel: None,
            kernel_inputs: None,
            loader: Some(package("ipxe", "1")),
            media: vec![package("shim-signed", "1")],
            packages: vec![package("bash", "5"), package("linux-image-6", "6")],
            overlay: Vec::new(),
            containers: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::testing::{lock, package};
    use super::*;
    use crate::kernel_inputs::{KernelSources, Toolchain};

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

    #[test]
    fn changes_name_packages_versions_sizes_and_overlay_files() {
        let (old, mut new) = (lock(), lock());
        assert!(new.changes_since(&old).is_empty());
        new.packages = vec![package("bash", "5.1"), package("zstd", "1")];
        new.overlay = Laid::of("overlay x", &[]);
        let laid = Laid { path: "etc/x".into(), sha256: Sha256::of(b""), mode: 0o644, from: "x".into() };
        new.overlay.push(laid);
        let text = new.changes_since(&old).to_string();
        assert_eq!(
            text,
            "  + zstd 1 (0.0 kB)\n  - linux-image-6 6 (0.0 kB)\n  ~ bash 5 -> 5.1 (+0.0 kB)\n  ~ /etc/x (overlay)\n"
        );
    }

    #[test]
    fn a_kernel_of_the_same_inputs_with_other_bytes_and_another_level_are_told_with_the_way_out() {
        let kernel = |bytes: &[u8]| LocalKernel {
            version: "6.12".to_owned(),
            vmlinuz: Sha256::of(bytes),
            modules: Sha256::of(b""),
        };
        let inputs = KernelInputs {
            arch: Arch::Amd64,
            source: KernelSources::Package(package("linux-source-6.12", "6.12")),
            config: Sha256::of(b""),
            toolchain: Toolchain::Host("gcc 14".to_owned()),
        };
        let built = |bytes, inputs: &KernelInputs| Lock {
            local_kernel: Some(kernel(bytes)),
            kernel_inputs: Some(inputs.clone()),
            ..lock()
        };
        let old = built(b"one", &inputs);
        assert!(built(b"one", &inputs).changes_since(&old).is_empty());
        let told = built(b"two", &inputs).changes_since(&old).to_string();
        assert!(
            told.contains("6.12 of the same inputs has other bytes") && told.contains("--bundle"),
            "{told}"
        );
        let other = KernelInputs { config: Sha256::of(b"CONFIG_NET=y"), ..inputs.clone() };
        let told = built(b"two", &other).changes_since(&old).to_string();
        assert!(told.contains("other options") && !told.contains("same inputs"), "{told}");
        let told = Lock { level: 19, ..old.clone() }.changes_since(&old).to_string();
        assert!(told.starts_with("  ~ zstd level 3 -> 19: same inputs, other bytes"), "{told}");
    }

    #[test]
    fn a_lock_of_another_builder_keeps_its_packages_and_the_change_is_told() {
        let older = Lock { builder: None, ..lock() };
        let recipe = Recipe::new("test");
        assert!(older.fits(&recipe, &options()).unwrap(), "an update of captaind renews no package");
        let changes = lock().changes_since(&older);
        assert!(!changes.is_empty());
        let text = changes.to_string();
        assert!(text.starts_with("  ~ builder an older captaind -> captaind "), "{text}");
        assert!(lock().changes_since(&lock()).is_empty());
    }

    #[test]
    fn a_lock_file_holds_one_lock_for_each_recipe_and_architecture_in_one_order() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("captaind.lock");
        assert_eq!(LockFile::read(&path).unwrap(), LockFile::default());
        let arm = Lock { arch: Arch::Arm64, ..lock() };
        let renewed = Lock { source_date: 1, ..lock() };
        let mut file = LockFile::default();
        for lock in [arm.clone(), lock(), renewed.clone()] {
            file.put(lock);
        }
        file.write(&path).unwrap();
        let read = LockFile::read(&path).unwrap();
        assert_eq!(read.locks, [renewed.clone(), arm]);
        assert_eq!(read.get("test", &options()), Some(&renewed));
        assert_eq!(read.get("other", &options()), None);
    }

    #[test]
    fn a_lock_file_that_cannot_be_read_says_which_and_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("captaind.lock");
        for text in ["{", r#"{"version": 2, "locks": []}"#] {
            fs::write(&path, text).unwrap();
            let error = LockFile::read(&path).unwrap_err().to_string();
            assert!(error.contains("captaind.lock") && error.contains("take it away"), "{error}");
        }
    }
}
