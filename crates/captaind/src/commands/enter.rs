//! `captaind shell`: a shell in an OSIE's root.
//!
//! The image is unpacked into memory of a mount namespace of its own, so that nothing is left when the shell ends,
//! however it ends; a user namespace makes its user root in there.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use captain_model::Arch;
use nix::mount::{MsFlags, mount};
use nix::sched::CloneFlags;
use nix::unistd::{chdir, chroot};

use super::summary::folder;
use crate::cli::ShellArgs;
use crate::exit::Failure;
use crate::osies;

/// Where the root is built: a folder that every machine has. Only this process sees what is mounted there.
const ROOT: &str = "/tmp";

/// Needs a process with one thread.
pub(crate) fn run(args: &ShellArgs) -> Result<(), Failure> {
    let folder = folder(&args.which)?;
    let initramfs = folder.join(format!("initramfs-{}", own(&folder)?.linux()));
    let file = File::open(&initramfs).map_err(|error| failed(&initramfs, error))?;
    captain_lab::enter_own(CloneFlags::CLONE_NEWNS).map_err(Failure::permission)?;
    build_root().map_err(|error| failed(Path::new(ROOT), error))?;
    // From here on no link of the image leads out of it.
    captain_osie::unpack(file, Path::new("/")).map_err(|error| failed(&initramfs, error))?;
    let shell = ["/bin/bash".to_owned(), "-l".to_owned()];
    let words = if args.command.is_empty() { &shell[..] } else { &args.command };
    let error = command(words).exec();
    Err(Failure::failed(format!("{}: {error}", words[0])))
}

/// This machine's architecture, for which there must be an image.
fn own(folder: &Path) -> Result<Arch, Failure> {
    let own = Arch::ALL.into_iter().find(|arch| arch.linux() == std::env::consts::ARCH);
    let built = |arch: &Arch| osies::is_built(folder, *arch);
    match (own.filter(built), Arch::ALL.into_iter().find(built)) {
        (Some(own), _) => Ok(own),
        (None, Some(other)) => Err(Failure::usage(format!(
            "the OSIE in {} is for {other}, and this machine is {}: only an OSIE of the machine's own architecture \
             can be entered (`captaind build` it, or look into it with `captaind summary --arch {other}`)",
            folder.display(),
            std::env::consts::ARCH
        ))),
        (None, None) => Err(Failure::usage(format!(
            "{} holds no OSIE: `captaind build` makes one, `captaind osie list` names those that are there",
            folder.display()
        ))),
    }
}

fn failed(path: &Path, error: impl std::fmt::Display) -> Failure {
    Failure::failed(format!("{}: {error}", path.display()))
}

/// Mounts memory with the kernel's own file systems in it, and makes it the root.
fn build_root() -> std::io::Result<()> {
    let none = None::<&str>;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)?;
    mount(Some("tmpfs"), ROOT, Some("tmpfs"), MsFlags::empty(), Some("mode=0755,size=90%"))?;
    for name in ["proc", "sys", "dev"] {
        let target = Path::new(ROOT).join(name);
        fs::create_dir(&target)?;
        mount(Some(&*Path::new("/").join(name)), &target, none, MsFlags::MS_BIND | MsFlags::MS_REC, none)?;
    }
    chroot(ROOT)?;
    chdir("/")?;
    Ok(())
}

fn command(words: &[String]) -> Command {
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).env_clear();
    command.env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin").env("HOME", "/root");
    if let Some(term) = std::env::var_os("TERM") {
        command.env("TERM", term);
    }
    command
}
