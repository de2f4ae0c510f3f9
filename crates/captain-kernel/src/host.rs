//! Compiling on this machine.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use captain_model::Arch;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::AsyncReadExt;
use tokio::process::Command;

use crate::bench::Bench;
use crate::error::Error;
use crate::journal::Journal;
use crate::stages::{Stage, cross_prefix};

/// Programs that the stages call, and the Debian package of each.
const PROGRAMS: [(&str, &str); 11] = [
    ("make", "make"),
    ("gcc", "gcc"),
    ("ld", "binutils"),
    ("bc", "bc"),
    ("flex", "flex"),
    ("bison", "bison"),
    ("perl", "perl"),
    ("tar", "tar"),
    ("xz", "xz-utils"),
    ("zstd", "zstd"),
    ("awk", "mawk"),
];

/// What arm64's vmlinuz.efi learns its length by, and its package.
const HEXDUMP: (&str, &str) = ("hexdump", "bsdextrautils");

/// A header that amd64's objtool is compiled with, and its package.
const LIBELF: (&str, &str) = ("/usr/include/libelf.h", "libelf-dev");

/// Comes before each command: one stream, so that warnings stand where they came up; and where captaind is killed, its
/// end of our standard input closes, and everything that was started goes too.
const PROLOGUE: &str = "exec 2>&1 3<&0 </dev/null; (cat <&3; kill -KILL 0) >/dev/null 2>&1 & exec 3<&-";

/// A folder of this machine.
pub(crate) struct Host {
    work: PathBuf,
}

/// The architecture of this machine.
pub(crate) fn arch() -> Arch {
    if cfg!(target_arch = "aarch64") { Arch::Arm64 } else { Arch::Amd64 }
}

/// What this machine compiles kernels for `arch` with: the first lines that compiler and linker say of themselves.
///
/// # Errors
/// [`Error::Tools`] with everything that is missing.
pub(crate) async fn toolchain(arch: Arch) -> Result<String, Error> {
    let prefix = cross_prefix(self::arch(), arch);
    let mut wanted: Vec<_> =
        PROGRAMS.map(|(program, package)| (program.to_owned(), package.to_owned())).to_vec();
    if !prefix.is_empty() {
        wanted.push((format!("{prefix}gcc"), cross_package(prefix)));
    }
    if arch == Arch::Arm64 {
        wanted.push((HEXDUMP.0.to_owned(), HEXDUMP.1.to_owned()));
    }
    let mut missing: Vec<_> = wanted.into_iter().filter(|(program, _)| !is_program(program)).collect();
    if arch == Arch::Amd64 && !Path::new(LIBELF.0).exists() {
        missing.push((LIBELF.0.to_owned(), LIBELF.1.to_owned()));
    }
    if !missing.is_empty() {
        let (missing, packages): (_, Vec<_>) = missing.into_iter().unzip();
        return Err(Error::Tools { missing, packages: packages.join(" ") });
    }
    let mut said = Vec::new();
    for program in ["gcc", "ld"] {
        let name = format!("{prefix}{program}");
        let output = Command::new(&name).arg("--version").output().await.map_err(Error::io(&name))?;
        said.push(String::from_utf8_lossy(&output.stdout).lines().next().unwrap_or_default().to_owned());
    }
    Ok(said.join("; "))
}

/// Debian's package with the compiler whose programs start with `prefix`.
pub(crate) fn cross_package(prefix: &str) -> String {
    format!("gcc-{}", prefix.trim_end_matches('-').replace('_', "-"))
}

fn is_program(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(name).is_file())
}

/// A shell and all that it started; they end when this is dropped before they have.
struct Group(Option<u32>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(id) = self.0.and_then(|id| i32::try_from(id).ok()) {
            // Who is gone needs no signal.
            let _ = killpg(Pid::from_raw(id), Signal::SIGKILL);
        }
    }
}

impl Host {
    /// An empty place to work in at `work`.
    pub(crate) fn open(work: &Path) -> Result<Self, Error> {
        if work.exists() {
            fs::remove_dir_all(work).map_err(Error::io(work))?;
        }
        fs::create_dir_all(work).map_err(Error::io(work))?;
        Ok(Self { work: std::path::absolute(work).map_err(Error::io(work))? })
    }
}

impl Bench for Host {
    async fn put(&self, name: &str, file: &Path) -> Result<(), Error> {
        let file = std::path::absolute(file).map_err(Error::io(file))?;
        std::os::unix::fs::symlink(&file, self.work.join(name)).map_err(Error::io(&file))
    }

    async fn run(&self, stage: &Stage, journal: &mut Journal) -> Result<(), Error> {
        let mut child = Command::new("sh")
            .args(["-e", "-c", &format!("{PROLOGUE}; {}", stage.command)])
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("LC_ALL", "C")
            .env("WORK", &self.work)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()
            .map_err(Error::io("sh"))?;
        let mut group = Group(child.id());
        // `wait` would close it.
        let life = child.stdin.take();
        let mut output = child.stdout.take();
        let mut buffer = vec![0; 1 << 16];
        while let Some(stream) = &mut output {
            match stream.read(&mut buffer).await.map_err(Error::io(&stage.name))? {
                0 => output = None,
                length => journal.note(&buffer[..length])?,
            }
        }
        let status = child.wait().await.map_err(Error::io("sh"))?;
        group.0 = None;
        drop(life);
        if status.success() { Ok(()) } else { Err(journal.failed(stage)) }
    }

    async fn read(&self, path: &str) -> Result<String, Error> {
        let path = self.work.join(path);
        fs::read_to_string(&path).map_err(Error::io(&path))
    }

    async fn collect(&self, to: &Path) -> Result<(), Error> {
        // Both lie in the cache: nothing is copied.
        fs::rename(self.work.join("out"), to).map_err(Error::io(to))
    }

    async fn close(self) -> Result<(), Error> {
        fs::remove_dir_all(&self.work).map_err(Error::io(&self.work))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_stage_runs_in_its_folder_without_the_callers_environment_and_its_failure_has_its_last_words() {
        let folder = tempfile::tempdir().unwrap();
        let host = Host::open(&folder.path().join("work")).unwrap();
        let log = folder.path().join("log");
        let mut journal = Journal::create(&log).unwrap();
        std::fs::write(folder.path().join("given"), "x").unwrap();
        host.put("source", &folder.path().join("given")).await.unwrap();
        let stage = |command: &str| Stage { name: "try".to_owned(), command: command.to_owned() };
        let fine = "cd \"$WORK\"; mkdir out; cat source > out/a; echo \"${HOME-none}\" >> out/a";
        host.run(&stage(fine), &mut journal).await.unwrap();
        assert_eq!(host.read("out/a").await.unwrap(), "xnone\n");
        let told = host.run(&stage("echo no such header >&2; false; echo on"), &mut journal).await;
        let told = told.unwrap_err().to_string();
        assert!(told.starts_with("try failed") && told.contains("no such header"), "{told}");
        assert!(!told.contains("on\n") && told.contains(&log.display().to_string()), "{told}");
        host.collect(&folder.path().join("to")).await.unwrap();
        assert!(folder.path().join("to/a").is_file());
        host.close().await.unwrap();
        assert!(!folder.path().join("work").exists());
    }

    #[tokio::test]
    async fn a_stage_that_is_given_up_takes_everything_with_it_that_it_started() {
        let folder = tempfile::tempdir().unwrap();
        let host = Host::open(&folder.path().join("work")).unwrap();
        let mut journal = Journal::create(&folder.path().join("log")).unwrap();
        let (begun, late) = (host.work.join("begun"), host.work.join("late"));
        let command = "cd \"$WORK\"; (touch begun; sleep 1; touch late) & wait".to_owned();
        let stage = Stage { name: "try".to_owned(), command };
        let compiling = host.run(&stage, &mut journal);
        let given_up = async {
            while !begun.exists() {
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
        };
        tokio::select! {
            done = compiling => panic!("it was to be given up: {done:?}"),
            () = given_up => {}
        }
        tokio::time::sleep(std::time::Duration::from_millis(1500)).await;
        assert!(!late.exists());
    }
}
