//! One kernel, from its inputs to a folder of the cache.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use captain_debian::Progress;
use captain_model::Recipe;
use captain_osie::kernel_config::{self, Wanted};
use captain_osie::{BuildOptions, KernelInputs, KernelSources, Toolchain};

use crate::bench::Bench;
use crate::container::{self, Container};
use crate::engine::Engine;
use crate::error::Error;
use crate::host::{self, Host};
use crate::journal::Journal;
use crate::stages::{self, Stage};
use crate::{Settings, image, pin, source};

/// The builder image's name in the engine.
const IMAGE: &str = "captaind-kernel-builder";

/// The folder with the kernel of these inputs, whether it is there yet or not: `vmlinuz`, `config`,
/// `lib/modules/VERSION`.
pub fn folder(cache: &Path, inputs: &KernelInputs) -> PathBuf {
    cache.join("kernel").join(&inputs.key(stages::VERSION).to_string()[..16])
}

/// Builds the kernel of `inputs` (from [`pin`](crate::pin())) unless the cache has it; the folder appears whole or
/// not at all.
///
/// # Errors
/// [`Error::NoEngine`], [`Error::Config`] with every option that did not survive, [`Error::Stage`] with the
/// compiler's last words, downloads, a full disk.
pub async fn build(
    recipe: &Recipe,
    options: &BuildOptions,
    settings: &Settings,
    inputs: &KernelInputs,
    progress: &dyn Progress,
) -> Result<PathBuf, Error> {
    let target = folder(&options.cache, inputs);
    let above = options.cache.join("kernel");
    fs::create_dir_all(&above).map_err(Error::io(&above))?;
    sweep(&above);
    let _turn = turn(&target.with_extension("lock")).await?;
    if target.is_dir() {
        progress.begin("build the kernel", None).done(&format!("it is in the cache: {}", target.display()));
        return Ok(target);
    }
    let scratch = Scratch::new(target.with_extension("work"))?;
    let job = Job { recipe, options, settings, inputs, progress, scratch: &scratch.0, target: &target };
    job.run().await?;
    Ok(target)
}

/// Two builds of one kernel would work in one folder: the second waits, and finds the first one's.
async fn turn(path: &Path) -> Result<File, Error> {
    let path = path.to_owned();
    let locked = tokio::task::spawn_blocking(move || {
        let file = File::create(&path).map_err(Error::io(&path))?;
        file.lock().map_err(Error::io(&path))?;
        Ok(file)
    });
    locked.await.map_err(|error| Error::io("kernel lock")(std::io::Error::other(error)))?
}

/// A folder for one build, which goes with this value: also where the build is given up half way.
struct Scratch(PathBuf);

impl Scratch {
    fn new(folder: PathBuf) -> Result<Self, Error> {
        if folder.exists() {
            fs::remove_dir_all(&folder).map_err(Error::io(&folder))?;
        }
        fs::create_dir_all(&folder).map_err(Error::io(&folder))?;
        Ok(Self(folder))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be taken away now goes with the next build's sweep.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Takes away what builds that were killed have left of other kernels: whose turn is still taken works.
fn sweep(above: &Path) {
    for entry in fs::read_dir(above).into_iter().flatten().flatten() {
        let folder = entry.path();
        if folder.extension().is_none_or(|end| end != "work") {
            continue;
        }
        let Ok(turn) = File::create(folder.with_extension("lock")) else { continue };
        if turn.try_lock().is_ok() {
            let _ = fs::remove_dir_all(&folder);
        }
    }
}

struct Job<'a> {
    recipe: &'a Recipe,
    options: &'a BuildOptions,
    settings: &'a Settings,
    inputs: &'a KernelInputs,
    progress: &'a dyn Progress,
    scratch: &'a Path,
    target: &'a Path,
}

impl Job<'_> {
    async fn run(&self) -> Result<(), Error> {
        match &self.inputs.toolchain {
            Toolchain::Host(_) => self.on(Host::open(&self.scratch.join("host"))?).await,
            Toolchain::Packages(_) => self.on(self.container().await?).await,
        }
    }

    /// Does the work, and takes the place down whether that went well or not.
    async fn on(&self, bench: impl Bench) -> Result<(), Error> {
        let done = self.work(&bench).await;
        let closed = bench.close().await;
        done.and(closed)
    }

    async fn work(&self, bench: &impl Bench) -> Result<(), Error> {
        let wanted = pin::wanted(self.options, self.settings)?;
        let source = self.source().await?;
        let config = self.scratch.join("wanted.config");
        fs::write(&config, stages::config(&wanted)).map_err(Error::io(&config))?;
        bench.put("source", &source).await?;
        bench.put("wanted.config", &config).await?;
        let mut journal = Journal::create(&self.target.with_extension("log"))?;
        let arch = self.options.arch;
        for stage in stages::configure(host::arch(), arch, wanted.len()) {
            self.stage(bench, &stage, &mut journal).await?;
        }
        survived(&wanted, &bench.read("out/config").await?)?;
        for stage in stages::compile(host::arch(), arch) {
            self.stage(bench, &stage, &mut journal).await?;
        }
        let out = self.scratch.join("out");
        bench.collect(&out).await?;
        fs::rename(&out, self.target).map_err(Error::io(self.target))
    }

    async fn stage(&self, bench: &impl Bench, stage: &Stage, journal: &mut Journal) -> Result<(), Error> {
        journal.begin(self.progress.begin(&stage.name, None));
        let done = bench.run(stage, journal).await;
        journal.end(if done.is_ok() { "" } else { "failed" });
        done
    }

    /// The sources as one file that `tar` unpacks.
    async fn source(&self) -> Result<PathBuf, Error> {
        let scratch = self.scratch.to_owned();
        match (&self.inputs.source, &self.settings.source) {
            (KernelSources::Package(package), _) => {
                let deb = self.fetch(std::slice::from_ref(package)).await?.remove(0);
                blocking(move || source::extract(&deb.open()?, &scratch)).await
            }
            (KernelSources::Given { .. }, Some(path)) => {
                let path = path.clone();
                blocking(move || source::tarball(&path, &scratch)).await
            }
            (KernelSources::Given { name, .. }, None) => Err(Error::Source {
                path: name.into(),
                why: "the lock names it, and it is not in the cache: say with --kernel-src where it lies, or take \
                      Debian's with --update"
                    .to_owned(),
            }),
        }
    }

    async fn fetch(
        &self,
        packages: &[captain_osie::PackageRef],
    ) -> Result<Vec<captain_debian::Fetched>, Error> {
        let here = BuildOptions { arch: host::arch(), ..self.options.clone() };
        Ok(captain_osie::fetch_packages(packages, self.recipe, &here, self.progress).await?)
    }

    /// A container of the builder image, which is made of the toolchain's packages where the engine lacks it.
    async fn container(&self) -> Result<Container, Error> {
        let engine = Engine::connect(Engine::FOR_KERNELS).await?;
        let tag = self.inputs.toolchain.sum().to_string()[..16].to_owned();
        let name = format!("{IMAGE}:{tag}");
        if !container::has_image(&engine, &name).await {
            let debs = self.fetch(self.inputs.toolchain.packages()).await?;
            let task = self.progress.begin(&format!("make the builder image {name}"), None);
            let layer = self.scratch.join("layer.tar");
            let place = layer.clone();
            blocking(move || image::write(&debs, &place)).await?;
            container::import(&engine, &name, &layer).await?;
            fs::remove_file(&layer).map_err(Error::io(&layer))?;
            task.done(&format!("{} packages", self.inputs.toolchain.packages().len()));
        }
        let key = self.inputs.key(stages::VERSION).to_string();
        // Users with a cache each may share an engine.
        let container = format!("captaind-kernel-{}-{}", &key[..16], std::process::id());
        Container::start(engine, &name, &container, self.scratch).await
    }
}

/// Kconfig drops silently what it does not know and what depends on something that is off.
fn survived(wanted: &[Wanted], config: &str) -> Result<(), Error> {
    let lost = kernel_config::unmet(wanted, config);
    if lost.is_empty() { Ok(()) } else { Err(Error::Config { lost }) }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| Error::io("a worker")(std::io::Error::other(error)))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_build_left_goes_and_what_another_works_in_stays() {
        let cache = tempfile::tempdir().unwrap();
        for name in ["killed.work/out", "busy.work/out", "kernel/lib"] {
            fs::create_dir_all(cache.path().join(name)).unwrap();
        }
        let busy = File::create(cache.path().join("busy.lock")).unwrap();
        busy.lock().unwrap();
        sweep(cache.path());
        for (name, there) in [("killed.work", false), ("busy.work", true), ("kernel/lib", true)] {
            assert_eq!(cache.path().join(name).exists(), there, "{name}");
        }
    }

    #[test]
    fn a_scratch_folder_starts_empty_and_goes_with_its_build() {
        let cache = tempfile::tempdir().unwrap();
        let place = cache.path().join("x.work");
        fs::create_dir_all(place.join("old")).unwrap();
        let scratch = Scratch::new(place.clone()).unwrap();
        assert_eq!(fs::read_dir(&place).unwrap().count(), 0);
        drop(scratch);
        assert!(!place.exists());
    }
}
