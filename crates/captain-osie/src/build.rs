//! Executes a plan, step by step.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use captain_debian::{Deb, Fetched, Fetcher, Mirrors, Progress, Tuning};
use captain_model::{Artifact, Cmdline, Recipe, Tool};

use crate::accounts::{Accounts, RootLogin};
use crate::archive::{self, Format};
use crate::containers::{self, Container};
use crate::error::Error;
use crate::formats::{self, Body, Media, OutputFormat};
use crate::image::Image;
use crate::kernel_files::KernelFiles;
use crate::lists::{FOLDERS, links};
use crate::lock::Lock;
use crate::manifest::{Manifest, PackageRef};
use crate::modules::groups::Groups;
use crate::modules::tables::tables;
use crate::options::BuildOptions;
use crate::output::{gone, json, output};
use crate::overlay::OverlaySource;
use crate::plan::{Plan, Step, mirrors};
use crate::relay::blocking;
use crate::sizes::Sizes;
use crate::spdx;
use crate::tools;
use crate::tree::{Content, Entry, Node};

/// What the manifest calls files that this builder made itself.
const BUILDER: &str = "captaind";

/// Builds the planned image: `vmlinuz-ARCH`, `initramfs-ARCH` and `manifest-ARCH.json` (ARCH as Linux says it)
/// in the folder `out`. Each file appears whole or not at all. Same plan, same options: same bytes.
///
/// # Errors
/// Downloads, damaged packages, clashes between packages and overlays, unknown modules or units, a full disk.
pub async fn build(
    plan: &Plan,
    options: &BuildOptions,
    out: &Path,
    progress: &dyn Progress,
) -> Result<Manifest, Error> {
    options.check()?;
    fs::create_dir_all(out).map_err(Error::io(out))?;
    let tools = tools::wanted(&plan.lock.recipe, plan.arch);
    let tools = tools::fetch(&tools, options, progress).await?;
    let wanted = plan.fetched();
    let fetched = fetch(wanted, &plan.mirrors, options, progress).await?;
    let names = wanted.iter().map(|package| package.name.clone());
    let runner = Runner {
        image: Image::on(plan.lock.recipe.base, &options.cache)?,
        debs: names.zip(fetched).collect(),
        tools,
        out: out.to_owned(),
        manifest: empty_manifest(plan, options),
        lock: plan.lock.clone(),
        cache: options.cache.clone(),
        packed: Vec::new(),
    };
    let steps = plan.steps.clone();
    blocking(progress, move |progress| runner.run(&steps, progress)).await
}

/// Gets packages of a lock from the cache, or from the mirrors of `recipe`.
///
/// # Errors
/// Downloads; a package that the mirrors no longer have.
pub async fn fetch_packages(
    packages: &[PackageRef],
    recipe: &Recipe,
    options: &BuildOptions,
    progress: &dyn Progress,
) -> Result<Vec<Fetched>, Error> {
    let mirrors = if options.offline { Mirrors::default() } else { mirrors(recipe)? };
    fetch(packages, &mirrors, options, progress).await
}

/// Gets packages of a lock from the cache or from `mirrors`.
pub(crate) async fn fetch(
    packages: &[PackageRef],
    mirrors: &Mirrors,
    options: &BuildOptions,
    progress: &dyn Progress,
) -> Result<Vec<Fetched>, Error> {
    let fetcher = Fetcher::new(options.cache.join("debian"), options.offline, Tuning::default())?;
    let items: Vec<_> = packages.iter().map(|package| package.item(mirrors)).collect();
    fetcher.fetch(&items, progress).await.map_err(|error| match error {
        captain_debian::Error::Gone { url } => {
            match packages.iter().find(|package| url.ends_with(&package.path)) {
                Some(PackageRef { name, version, .. }) => {
                    Error::Gone { package: name.clone(), version: version.clone(), url }
                }
                None => captain_debian::Error::Gone { url }.into(),
            }
        }
        other => other.into(),
    })
}

fn empty_manifest(plan: &Plan, options: &BuildOptions) -> Manifest {
    Manifest {
        name: plan.name.clone(),
        arch: plan.arch,
        suite: plan.suite.clone(),
        source_date: plan.source_date,
        level: options.level,
        debug: options.is_debug(&plan.lock.recipe),
        kernel: String::new(),
        local_kernel: None,
        releases: plan.lock.releases.clone(),
        packages: plan.lock.packages.clone(),
        modules: Vec::new(),
        units: Vec::new(),
        overlay: Vec::new(),
        containers: plan.lock.containers.clone(),
        tools: tools::wanted(&plan.lock.recipe, plan.arch),
        outputs: Vec::new(),
    }
}

struct Runner {
    image: Image,
    debs: BTreeMap<String, Fetched>,
    /// In the plan's order.
    tools: Vec<Fetched>,
    out: PathBuf,
    manifest: Manifest,
    lock: Lock,
    cache: PathBuf,
    /// Formats beside kernel and initramfs, as they are written.
    packed: Vec<Artifact>,
}

impl Runner {
    fn run(mut self, steps: &[Step], progress: &dyn Progress) -> Result<Manifest, Error> {
        for step in steps {
            // Fetching is done: see `build`.
            if !matches!(step, Step::Fetch { .. }) {
                self.step(step, progress)?;
            }
        }
        self.finish()
    }

    /// The manifest with everything that was written.
    fn finish(mut self) -> Result<Manifest, Error> {
        if !self.packed.is_empty() {
            self.manifest.outputs.append(&mut self.packed);
            self.write_manifest()?;
        }
        Ok(self.manifest)
    }

    fn step(&mut self, step: &Step, progress: &dyn Progress) -> Result<(), Error> {
        let task = progress.begin(&step.to_string(), None);
        let note = match step {
            Step::Fetch { .. } => String::new(),
            Step::Unpack { packages } => self.unpack(packages)?,
            Step::Kernel { package } => self.kernel(package)?,
            Step::LocalKernel { path } => self.local_kernel(path)?,
            Step::Modules { wanted } => self.modules(wanted)?,
            Step::Skeleton => self.skeleton()?,
            Step::Tools { tools } => self.tools(tools)?,
            Step::Overlay { source } => self.overlay(source)?,
            Step::SshKeys { keys } => self.ssh_keys(keys)?,
            Step::Containers { containers } => self.containers(containers)?,
            Step::Accounts { root } => self.accounts(*root)?,
            Step::Certificates => self.certificates()?,
            Step::Units { services } => self.units(services)?,
            Step::Write { level, .. } => self.write(*level)?,
            Step::Pack { format, file, cmdline } => {
                self.pack(*format, file, cmdline.clone().unwrap_or_default())?
            }
        };
        task.done(&note);
        Ok(())
    }

    fn deb(&self, package: &str) -> Result<Deb, Error> {
        let fetched = self.debs.get(package);
        let fetched = fetched.ok_or_else(|| {
            Error::malformed("plan", format!("package {package} is unpacked but not fetched"))
        })?;
        Ok(fetched.open()?)
    }

    fn unpack(&mut self, packages: &[String]) -> Result<String, Error> {
        for package in packages {
            let deb = self.deb(package)?;
            self.image.unpack(&deb, package)?;
        }
        Ok(format!("{} paths", self.image.tree.iter().count()))
    }

    fn kernel(&mut self, package: &str) -> Result<String, Error> {
        let deb = self.deb(package)?;
        self.image.take_kernel(&deb, package)?;
        self.manifest.kernel.clone_from(&self.image.shelf.version);
        Ok(self.manifest.kernel.clone())
    }

    fn local_kernel(&mut self, path: &Path) -> Result<String, Error> {
        let files = KernelFiles::find(path, self.lock.arch)?;
        // What was planned is what is built, also where somebody works on the kernel meanwhile.
        let sums = files.sums()?;
        if self.lock.local_kernel.as_ref() != Some(&sums) {
            let why = "it is another one than when this build began: begin anew".to_owned();
            return Err(Error::Kernel { path: path.to_owned(), why });
        }
        files.take(&mut self.image)?;
        self.manifest.kernel.clone_from(&self.image.shelf.version);
        self.manifest.local_kernel = Some(sums);
        let note = if files.config.is_some() { "" } else { " (no configuration beside it to check)" };
        Ok(format!("{}{note}", self.manifest.kernel))
    }

    fn modules(&mut self, wanted: &[String]) -> Result<String, Error> {
        let image = &mut self.image;
        let chosen = image.shelf.select(wanted, &Groups::ours()?, &mut image.pool)?;
        let folder = format!("usr/lib/modules/{}", image.shelf.version);
        let from = format!("linux {}", image.shelf.version).into();
        for module in chosen.values() {
            let node = Node::File(Content::Pooled(module.content).into());
            image.tree.insert(&format!("{folder}/{}", module.path), Entry::new(node, 0o644, &from))?;
        }
        for (name, bytes) in tables(&chosen, &image.shelf) {
            image.tree.write(&format!("{folder}/{name}"), 0o644, bytes, &from)?;
        }
        let bytes: u64 = chosen.values().map(|module| module.content.size()).sum();
        self.manifest.modules = chosen.into_keys().collect();
        Ok(format!("{} modules, {} MB", self.manifest.modules.len(), bytes / 1_000_000))
    }

    fn skeleton(&mut self) -> Result<String, Error> {
        let from = BUILDER.into();
        let tree = &mut self.image.tree;
        for (path, mode) in FOLDERS {
            tree.folder(path, mode, &from)?;
        }
        for (path, minor, major, mode) in [("dev/console", 1, 5, 0o600), ("dev/null", 3, 1, 0o666)] {
            tree.insert(path, Entry::new(Node::CharDevice { major, minor }, mode, &from))?;
        }
        for (path, target) in links() {
            tree.link(path, target, &from)?;
        }
        Ok(String::new())
    }

    fn tools(&mut self, tools: &[Tool]) -> Result<String, Error> {
        let mut files = 0;
        for (tool, fetched) in tools.iter().zip(&self.tools) {
            files += tools::add(tool, fetched, &mut self.image)?;
        }
        Ok(format!("{files} files"))
    }

    fn overlay(&mut self, source: &OverlaySource) -> Result<String, Error> {
        let laid = self.image.lay(&source.name(), source.files()?)?;
        let note = format!("{} files", laid.len());
        self.manifest.overlay.extend(laid);
        Ok(note)
    }

    fn ssh_keys(&mut self, keys: &[String]) -> Result<String, Error> {
        let from = BUILDER.into();
        let tree = &mut self.image.tree;
        tree.folder("root/.ssh", 0o700, &from)?;
        tree.write("root/.ssh/authorized_keys", 0o600, keys.join("\n") + "\n", &from)?;
        // Host keys are made at boot: every machine has its own.
        let unit =
            "[Service]\nExecStartPre=\nExecStartPre=/usr/bin/ssh-keygen -A\nExecStartPre=/usr/sbin/sshd -t\n";
        tree.write("etc/systemd/system/ssh.service.d/captain.conf", 0o644, unit, &from)?;
        let settings = "Include /etc/ssh/sshd_config.d/*.conf\nUsePAM no\nPasswordAuthentication no\nPermitRootLogin prohibit-password\n";
        tree.write("etc/ssh/sshd_config", 0o644, settings, &from)?;
        Ok(String::new())
    }

    fn containers(&mut self, containers: &[Container]) -> Result<String, Error> {
        for container in containers {
            containers::add(container, &mut self.image, self.lock.arch, &self.cache)?;
        }
        Ok(format!("{} images", containers.len()))
    }

    fn accounts(&mut self, root: RootLogin) -> Result<String, Error> {
        let image = &mut self.image;
        let paths: Vec<_> = ["usr/lib/sysusers.d", "etc/sysusers.d"]
            .into_iter()
            .flat_map(|folder| image.tree.below(folder))
            .map(|(path, _)| path.to_owned())
            .filter(|path| path.ends_with(".conf"))
            .collect();
        let mut files = BTreeMap::new();
        for path in &paths {
            // As for all of systemd's folders: a file in /etc replaces one of the same name in /usr.
            let name = path.rsplit('/').next().unwrap_or(path);
            files.insert(name, image.text(path)?.unwrap_or_default());
        }
        let accounts = Accounts::read(files.iter().map(|(name, text)| (*name, text.as_str())))?;
        image.derive("etc/passwd", 0o644, accounts.passwd(), BUILDER)?;
        image.derive("etc/group", 0o644, accounts.group(), BUILDER)?;
        image.derive("etc/shadow", 0o600, accounts.shadow(root), BUILDER)?;
        image.derive("etc/gshadow", 0o600, accounts.gshadow(), BUILDER)?;
        Ok(format!("{} users", accounts.passwd().lines().count()))
    }

    fn certificates(&mut self) -> Result<String, Error> {
        let image = &mut self.image;
        let folders = ["usr/share/ca-certificates", "usr/local/share/ca-certificates"];
        let paths =
            folders.into_iter().flat_map(|folder| image.tree.below(folder)).map(|(path, _)| path.to_owned());
        let paths: Vec<_> = paths.filter(|path| path.ends_with(".crt")).collect();
        let mut bundle = String::new();
        for path in &paths {
            bundle += image.text(path)?.unwrap_or_default().trim_end();
            bundle.push('\n');
        }
        image.derive("etc/ssl/certs/ca-certificates.crt", 0o644, bundle, BUILDER)?;
        Ok(format!("{} certificates", paths.len()))
    }

    fn units(&mut self, services: &[String]) -> Result<String, Error> {
        self.manifest.units = crate::units::enable(&mut self.image, services, BUILDER)?;
        Ok(format!("{} units", self.manifest.units.len()))
    }

    fn write(&mut self, level: i32) -> Result<String, Error> {
        let arch = self.lock.arch.linux();
        let (image, format) = (&self.image, Format { level, date: self.lock.source_date });
        // Without its lock an image counts as old: who dies between two files leaves nothing that looks current.
        gone(&self.out.join(format!("lock-{arch}.json")))?;
        let kernel = image.vmlinuz.as_deref().ok_or_else(|| Error::malformed("plan", "it has no kernel"))?;
        let initramfs = output(&self.out, &format!("initramfs-{arch}"), |file| {
            archive::write(&image.tree, &image.pool, format, file)
        })?;
        let vmlinuz = output(&self.out, &format!("vmlinuz-{arch}"), |mut file| {
            file.write_all(kernel).map_err(Error::io("vmlinuz"))?;
            Ok(file)
        })?;
        let note = format!("{:.1} MB", initramfs.size as f64 / 1e6);
        self.manifest.outputs = vec![vmlinuz, initramfs];
        self.write_manifest()?;
        json(&self.out, &format!("lock-{arch}.json"), &self.lock)?;
        json(&self.out, &format!("sizes-{arch}.json"), &Sizes::of(&image.tree))?;
        json(&self.out, &format!("sbom-{arch}.spdx.json"), &spdx::document(&self.manifest))?;
        Ok(note)
    }

    fn write_manifest(&self) -> Result<(), Error> {
        json(&self.out, &format!("manifest-{}.json", self.lock.arch.linux()), &self.manifest)
    }

    /// Packs what [`Self::write`] wrote.
    fn pack(&mut self, format: OutputFormat, file: &str, cmdline: Cmdline) -> Result<String, Error> {
        let [kernel, initramfs] = &self.manifest.outputs[..] else {
            return Err(Error::malformed("plan", "it packs an image before that is written"));
        };
        let source = formats::Source {
            arch: self.lock.arch,
            date: self.lock.source_date,
            kernel: Body::file(&self.out.join(&kernel.name))?,
            initramfs: Body::file(&self.out.join(&initramfs.name))?,
            sums: [kernel.sha256.clone(), initramfs.sha256.clone()],
            version: self.image.shelf.version.clone(),
            os_release: self.image.text("etc/os-release")?.unwrap_or_default(),
            cmdline,
        };
        let media = Media(self.debs.clone());
        let packed = output(&self.out, file, |out| formats::write(format, &source, &media, out))?;
        let note = format!("{:.1} MB", packed.size as f64 / 1e6);
        self.packed.push(packed);
        Ok(note)
    }
}

#[cfg(test)]
#[path = "build_tests.rs"]
mod tests;
