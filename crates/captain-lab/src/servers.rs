//! The servers of the lab: captaind itself, and dnsmasq where captaind serves beside another DHCP server.

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use captain_model::DhcpMode;
use nix::sched::{CloneFlags, setns};
use tokio::process::{Child, Command};

use crate::api;
use crate::child;
use crate::config;
use crate::error::LabError;
use crate::firmware::find_program;
use crate::network::{INTERFACE, NEIGHBOUR_INTERFACE, Network};
use crate::options::LabOptions;

/// How long the daemon may take to become ready.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server that runs; killed when dropped.
#[derive(Debug)]
pub(crate) struct Server {
    name: &'static str,
    child: Child,
    log: PathBuf,
}

impl Server {
    fn start(name: &'static str, mut command: Command, log: PathBuf) -> Result<Self, LabError> {
        let child = command.spawn().map_err(LabError::start(name))?;
        Ok(Self { name, child, log })
    }

    /// Waits until it ends, which it should not: the error to tell.
    pub(crate) async fn ended(&mut self) -> LabError {
        let status = match self.child.wait().await {
            Ok(status) => status.to_string(),
            Err(why) => why.to_string(),
        };
        LabError::Ended { name: self.name.to_owned(), status, last_words: self.last_words() }
    }

    fn last_words(&self) -> String {
        child::last_lines(&self.log, 15).join("\n")
    }
}

/// Whether captaind serves beside another DHCP server in this mode.
pub(crate) const fn has_neighbour(mode: DhcpMode) -> bool {
    match mode {
        DhcpMode::Proxy | DhcpMode::AutoProxy => true,
        DhcpMode::Auto | DhcpMode::Dynamic | DhcpMode::Reservation | DhcpMode::Disabled => false,
    }
}

/// dnsmasq's path.
///
/// # Errors
/// It is not installed.
pub(crate) fn dnsmasq() -> Result<PathBuf, LabError> {
    find_program("dnsmasq", "dnsmasq-base")
}

/// Starts the network's own DHCP server: addresses, and not a word about booting.
///
/// # Errors
/// dnsmasq is not installed or does not start.
pub(crate) fn neighbour(space: &OwnedFd, folder: &Path) -> Result<Server, LabError> {
    let mut command = child::command(&dnsmasq()?, folder, "dnsmasq.log")?;
    // --no-daemon also keeps dnsmasq from changing its user, which a user namespace of one user does not allow.
    command.args(["--no-daemon", "--conf-file=/dev/null", "--port=0", "--bind-interfaces", "--pid-file="]);
    command.args(["--no-ping", "--dhcp-authoritative", "--log-dhcp", "--dhcp-leasefile=dnsmasq.leases"]);
    command.arg(format!("--interface={NEIGHBOUR_INTERFACE}"));
    command.arg("--dhcp-range=192.168.50.100,192.168.50.199,1h");
    let space = space.try_clone().map_err(LabError::start("dnsmasq"))?;
    // SAFETY: between fork and exec this makes one system call and allocates nothing.
    unsafe {
        command.pre_exec(move || setns(space.as_fd(), CloneFlags::CLONE_NEWNET).map_err(Into::into));
    }
    Server::start("dnsmasq", command, folder.join("dnsmasq.log"))
}

/// Starts dnsmasq where the mode needs it.
///
/// # Errors
/// See [`neighbour`].
pub(crate) fn neighbour_of(network: &Network, folder: &Path) -> Result<Option<Server>, LabError> {
    network.neighbour().map(|space| neighbour(space, folder)).transpose()
}

/// Starts captaind with the lab's configuration and waits until it is ready.
///
/// # Errors
/// It does not start, ends, or is not ready in time.
pub(crate) async fn daemon(options: &LabOptions, folder: &Path) -> Result<Server, LabError> {
    let file = folder.join("captaind.toml");
    config::write(&config::merge(options), &file).map_err(LabError::file(&file))?;
    let mut command = child::command(&options.daemon, folder, "captaind.log")?;
    // The flags' twins in the environment were meant for the lab.
    for (name, _) in std::env::vars_os().filter(|(n, _)| n.to_string_lossy().starts_with("CAPTAIND_")) {
        command.env_remove(name);
    }
    command.env("NO_COLOR", "1");
    command.args(["serve", "--prepared", "-c"]).arg(&file).args([
        "-i",
        INTERFACE,
        "--mode",
        options.mode.name(),
    ]);
    command.arg("--state-dir").arg(folder.join("state")).arg("--cache-dir").arg(&options.cache_dir);
    let mut server = Server::start("captaind", command, folder.join("captaind.log"))?;
    let started = Instant::now();
    loop {
        tokio::select! {
            error = server.ended() => return Err(error),
            ready = api::is_ready() => match ready {
                true => return Ok(server),
                false if started.elapsed() > PATIENCE => {
                    let last_words = server.last_words();
                    return Err(LabError::NotReady { seconds: PATIENCE.as_secs(), last_words });
                }
                false => tokio::time::sleep(Duration::from_millis(100)).await,
            },
        }
    }
}
