//! `captaind lab`: prepare with this box's network, then start over inside a private one.
//!
//! What needs the package mirror (the OSIE, the boot loaders) is made first. Then the same command is executed
//! again with `--prepared`: a fresh process with one thread, as entering a user namespace demands.

use std::collections::BTreeSet;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};

use captain_lab::{LabError, LabOptions, STAND_IN_AGENT};
use captain_model::{Arch, Cmdline, DhcpMode};
use captain_oci::{Content, ImageFile, ImageSpec, Reference, Store};
use captain_osie::{BuildOptions, OutputFormat};

use crate::cli::{LabArgs, LabFirmware, LabMedia};
use crate::configuration::{self, Loaded};
use crate::exit::Failure;
use crate::{osies, paths, progress};

pub(crate) fn run(args: &LabArgs) -> Result<(), Failure> {
    if args.prepared {
        return inside(args);
    }
    let loaded = configuration::load(&args.site)?;
    prepare(args, &loaded)?;
    let error = std::process::Command::new(std::env::current_exe()?)
        .args(std::env::args_os().skip(1))
        .arg("--prepared")
        .exec();
    Err(Failure::failed(format!("cannot start over: {error}")))
}

/// The lab's own cache: OSIEs and loaders shared with `serve`, images apart, so that its stand-in agent never
/// takes the place of a real image.
fn lab_cache(cache: &Path) -> PathBuf {
    cache.join("lab")
}

fn prepare(args: &LabArgs, loaded: &Loaded) -> Result<(), Failure> {
    let cache = loaded.cache_dir(&args.site.cache);
    crate::runtime()?.block_on(prepare_files(args, loaded, &cache))?;
    let lab = lab_cache(&cache);
    share(&lab, &cache, "osie")?;
    share(&lab, &cache, "loaders")?;
    put_agent(args, loaded, &lab)
}

async fn prepare_files(args: &LabArgs, loaded: &Loaded, cache: &Path) -> Result<(), Failure> {
    let progress = progress::for_stderr();
    osies::loaders(loaded, cache, progress.as_ref()).await?;
    let formats = formats(args);
    for arch in archs(args) {
        let options = BuildOptions { formats: formats.clone(), ..BuildOptions::new(arch, cache) };
        let whole = |folder: &Path| {
            osies::is_built(folder, arch) && captain_osie::formats_in(folder, arch).is_superset(&formats)
        };
        match &args.osie {
            Some(folder) if whole(folder) => {}
            Some(folder) => return Err(no_osie(folder, arch, !formats.is_empty())),
            None => osies::build_missing(loaded, &options, progress.as_ref()).await?,
        }
    }
    Ok(())
}

/// What the machines boot beside kernel and initramfs.
fn formats(args: &LabArgs) -> BTreeSet<OutputFormat> {
    match args.media {
        LabMedia::Network => BTreeSet::new(),
        LabMedia::Cd | LabMedia::Usb => BTreeSet::from([OutputFormat::Iso]),
    }
}

/// The architectures of the lab's machines.
fn archs(args: &LabArgs) -> BTreeSet<Arch> {
    firmware(args).into_iter().map(captain_lab::LabFirmware::arch).collect()
}

fn no_osie(folder: &Path, arch: Arch, iso: bool) -> Failure {
    let (folder, linux) = (folder.display(), arch.linux());
    let (file, format) =
        if iso { (format!(", or no osie-{linux}.iso"), " --format iso") } else { (String::new(), "") };
    Failure::usage(format!(
        "{folder} holds no vmlinuz-{linux} and initramfs-{linux}{file}: make them with `captaind build --arch \
         {arch}{format} -o {folder}`"
    ))
}

/// Makes `lab/name` a link to the cache's own folder.
fn share(lab: &Path, cache: &Path, name: &str) -> Result<(), Failure> {
    std::fs::create_dir_all(lab)?;
    std::fs::create_dir_all(cache.join(name))?;
    match std::os::unix::fs::symlink(Path::new("..").join(name), lab.join(name)) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(error.into()),
        _ => Ok(()),
    }
}

/// Puts the agent's image into the lab's registry, under every name that the configuration uses for it.
fn put_agent(args: &LabArgs, loaded: &Loaded, lab: &Path) -> Result<(), Failure> {
    let store = Store::open(paths::images(lab)).map_err(Failure::failed)?;
    let table = configuration::table(loaded.path.as_deref())?;
    for name in captain_lab::image_references(&table) {
        let name = name.to_string();
        match &args.agent_image {
            Some(file) => drop(store.import(file, Some(&name)).map_err(Failure::failed)?),
            None => drop(store.assemble(&stand_in(), &reference(&name)?).map_err(Failure::failed)?),
        }
    }
    Ok(())
}

fn reference(name: &str) -> Result<Reference, Failure> {
    name.parse().map_err(|error| Failure::usage(format!("agent image `{name}`: {error}")))
}

/// An image that holds the lab's stand-in agent where a real image holds tink-agent.
fn stand_in() -> ImageSpec {
    let agent = ImageFile {
        path: "usr/bin/tink-agent".to_owned(),
        mode: 0o755,
        content: Content::Bytes(STAND_IN_AGENT.as_bytes().to_vec()),
        only: None,
    };
    ImageSpec {
        files: vec![agent],
        platforms: Arch::ALL.to_vec(),
        entrypoint: vec!["/usr/bin/tink-agent".to_owned()],
        ..ImageSpec::default()
    }
}

/// In the fresh process: enter the namespace, then run.
fn inside(args: &LabArgs) -> Result<(), Failure> {
    let loaded = configuration::load(&args.site)?;
    let options = options(args, &loaded)?;
    captain_lab::enter_namespace().map_err(failure)?;
    let report = crate::runtime()?.block_on(captain_lab::run(options)).map_err(failure)?;
    if args.json {
        println!("{}", serde_json::to_string_pretty(&report).map_err(Failure::failed)?);
    }
    if report.ok() { Ok(()) } else { Err(Failure::told()) }
}

fn failure(error: LabError) -> Failure {
    match error {
        LabError::NamespaceNotAllowed { .. } => Failure::permission(error),
        LabError::ProgramMissing { .. } | LabError::FirmwareMissing { .. } => Failure::unavailable(error),
        other => Failure::failed(other),
    }
}

fn options(args: &LabArgs, loaded: &Loaded) -> Result<LabOptions, Failure> {
    let cache = lab_cache(&loaded.cache_dir(&args.site.cache));
    let mut options = LabOptions::new(std::env::current_exe()?, std::path::absolute(cache)?);
    options.config = configuration::table(loaded.path.as_deref())?;
    let folder = loaded.path.as_deref().and_then(Path::parent).unwrap_or(Path::new(""));
    options.config_dir =
        std::path::absolute(if folder.as_os_str().is_empty() { Path::new(".") } else { folder })?;
    options.machines = usize::from(args.machines);
    options.firmware = firmware(args);
    options.media = match args.media {
        LabMedia::Network => captain_lab::Media::Network,
        LabMedia::Cd => captain_lab::Media::Cd,
        LabMedia::Usb => captain_lab::Media::Usb,
    };
    options.until = args.until;
    options.timeout = args.timeout;
    options.mode = DhcpMode::from(args.mode);
    options.append = Cmdline::parse_line(args.append.as_deref().unwrap_or("")).map_err(Failure::usage)?;
    options.osie = args.osie.as_deref().map(std::path::absolute).transpose()?;
    options.registry = !args.no_registry;
    options.stand_in = args.agent_image.is_none();
    options.memory_mib = args.memory.unwrap_or(options.memory_mib);
    options.parallel = args.parallel.map(usize::from);
    options.pcap.clone_from(&args.pcap);
    options.keep = args.keep;
    options.json = args.json;
    Ok(options)
}

fn firmware(args: &LabArgs) -> Vec<captain_lab::LabFirmware> {
    let wanted = if args.firmware.is_empty() { &[LabFirmware::Bios][..] } else { &args.firmware };
    wanted
        .iter()
        .map(|firmware| match firmware {
            LabFirmware::Bios => captain_lab::LabFirmware::Bios,
            LabFirmware::Uefi => captain_lab::LabFirmware::Uefi,
            LabFirmware::UefiHttp => captain_lab::LabFirmware::UefiHttp,
            LabFirmware::Arm64 => captain_lab::LabFirmware::Arm64,
        })
        .collect()
}
