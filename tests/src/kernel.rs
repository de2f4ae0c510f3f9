//! Kernels from source in tests: a container engine of one's own, and sources that compile in a second.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::{Finished, cache, captaind};

/// A container engine without networks, in a folder of its own, that ends with this value.
#[derive(Debug)]
pub struct Engine {
    daemon: Child,
    folder: tempfile::TempDir,
}

impl Engine {
    /// Starts a Docker engine and waits until it listens.
    ///
    /// # Panics
    /// Without the package docker.io, or without root.
    pub fn start() -> Self {
        let engine = Self::spawn(|at| {
            let mut dockerd = Command::new("dockerd");
            dockerd.args(["--storage-driver=vfs", "--iptables=false", "--ip6tables=false", "--bridge=none"]);
            dockerd.args(["-H", &format!("unix://{}", at("sock")), "--data-root", &at("data")]);
            dockerd.args(["--exec-root", &at("exec"), "--pidfile", &at("pid")]);
            dockerd
        });
        engine.until("it listens", || engine.log().contains("API listen"));
        engine
    }

    /// Starts Podman's server, which speaks Docker's language, and waits until it answers.
    ///
    /// # Panics
    /// Without the packages podman, runc and docker.io (whose command asks), or without root.
    pub fn podman() -> Self {
        let engine = Self::spawn(|at| {
            // Its own defaults ask for more files and processes than every root may have, and crun for one kind of cgroups.
            let limits = "[containers]\ndefault_ulimits = [\"nofile=1024:1024\", \"nproc=4096:4096\"]\n";
            let settings = format!("{limits}[engine]\nruntime = \"runc\"\n");
            fs::write(at("conf"), settings).expect("a configuration");
            let mut podman = Command::new("podman");
            podman.env("CONTAINERS_CONF", at("conf")).args(["--root", &at("data"), "--runroot", &at("exec")]);
            podman.args(["--tmpdir", &at("state"), "--events-backend=file", "--storage-driver=vfs"]);
            podman.args(["--cgroup-manager=cgroupfs", "system", "service", "--time=0"]);
            podman.arg(format!("unix://{}", at("sock")));
            podman
        });
        engine.until("it answers", || engine.docker(&["version"]).contains("Podman Engine"));
        engine
    }

    /// Starts what `command` makes of paths in the engine's folder.
    fn spawn(command: impl FnOnce(&dyn Fn(&str) -> String) -> Command) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut command = command(&|name| folder.path().join(name).display().to_string());
        let log = fs::File::create(folder.path().join("log")).expect("a log");
        let daemon = command.stdout(Stdio::null()).stderr(log).spawn();
        Self { daemon: daemon.expect("the engine starts: its packages are there, and we are root"), folder }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// What goes into `DOCKER_HOST`.
    pub fn host(&self) -> String {
        format!("unix://{}", self.folder.path().join("sock").display())
    }

    /// What `docker` prints for these arguments.
    ///
    /// # Panics
    /// Without Docker's command.
    pub fn docker(&self, arguments: &[&str]) -> String {
        let output = Command::new("docker").args(["-H", &self.host()]).args(arguments).output();
        String::from_utf8_lossy(&output.expect("docker starts").stdout).into_owned()
    }

    /// Waits for something that the engine does.
    ///
    /// # Panics
    /// After a minute.
    pub fn until(&self, what: &str, is_so: impl Fn() -> bool) {
        let begun = Instant::now();
        while !is_so() {
            assert!(begun.elapsed() < Duration::from_secs(60), "never: {what}\n{}", self.log());
            std::thread::sleep(Duration::from_millis(200));
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // SIGTERM: the engine takes its containerd and its mounts down.
        let _ = Command::new("kill").arg(self.daemon.id().to_string()).status();
        let _ = self.daemon.wait();
        // Podman's minders of commands that ended stay for five minutes.
        let minders = Command::new("pgrep").args(["-f", &self.folder.path().display().to_string()]).output();
        let minders = minders.map(|found| String::from_utf8_lossy(&found.stdout).into_owned());
        for process in minders.unwrap_or_default().lines() {
            let _ = Command::new("kill").arg(process).status();
        }
    }
}

/// `captaind` in `folder`, with this `DOCKER_HOST` and the tests' cache of packages, but kernels of its own.
///
/// # Panics
/// Where `folder` cannot be written.
pub fn command(folder: &Path, docker: &str, arguments: &[&str]) -> Command {
    let own = folder.join("cache");
    fs::create_dir_all(&own).expect("a folder");
    for shared in ["debian", "loaders"] {
        fs::create_dir_all(cache().join(shared)).expect("a folder");
        // There after the first call.
        let _ = std::os::unix::fs::symlink(cache().join(shared), own.join(shared));
    }
    let mut command = Command::new(captaind());
    command.args(arguments).current_dir(folder).stdin(Stdio::null());
    command.env("CAPTAIND_CACHE_DIR", &own).env("DOCKER_HOST", docker);
    command
}

/// Runs it.
///
/// # Panics
/// Where it cannot be started.
pub fn run(folder: &Path, docker: &str, arguments: &[&str]) -> Finished {
    Finished::of(command(folder, docker, arguments).output().expect("captaind starts"))
}

/// The least that builds like a kernel: a program that was compiled by the compiler at hand writes a boot header with
/// the day, and the path that it was compiled at. A file `lose` loses an option, `broken` does not compile,
/// `endless` never ends.
///
/// # Panics
/// Where `folder` cannot be written.
pub fn small_source(folder: &Path) {
    fs::create_dir_all(folder.join("arch/x86/boot")).expect("a folder");
    let makefile = "\
olddefconfig:
\tif [ -f lose ]; then sed -i /CONFIG_OVERLAY_FS/d .config; fi
bzImage:
\tif [ -f broken ]; then echo 'writer.c:7: no such header' >&2; exit 2; fi
\t$(CROSS_COMPILE)gcc $(KCFLAGS) -DSTAMP='\"$(KBUILD_BUILD_TIMESTAMP)\"' -o writer $(CURDIR)/writer.c
\t./writer > arch/x86/boot/bzImage
modules:
\techo '  CC [M]  drivers/net/small.o'
\tif [ -f endless ]; then sleep 3600; fi
modules_install:
\tmkdir -p $(INSTALL_MOD_PATH)/lib/modules/6.12.0-small
\techo kernel/fs/overlayfs/overlay.ko > $(INSTALL_MOD_PATH)/lib/modules/6.12.0-small/modules.builtin
\tln -s /nowhere $(INSTALL_MOD_PATH)/lib/modules/6.12.0-small/build
";
    let writer = "\
#include <stdio.h>
#include <string.h>
int main(void) {
    static char image[0x400];
    memcpy(image + 0x202, \"HdrS\\x0f\\x02\", 6);
    image[0x20f] = 1;
    image[0x236] = 1;
    strcpy(image + 0x300, \"6.12.0-small \" STAMP \" \" __FILE__);
    return fwrite(image, sizeof image, 1, stdout) != 1;
}
";
    for (name, text) in [("Kconfig", ""), ("Makefile", makefile), ("writer.c", writer)] {
        fs::write(folder.join(name), text).expect("a file");
    }
}
