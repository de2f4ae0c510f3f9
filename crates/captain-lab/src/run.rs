//! A lab from its network to its report.

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::time::Instant;

use captain_model::{Arch, Event, Mac};
use tempfile::TempDir;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, oneshot};

use crate::accel::Accel;
use crate::api;
use crate::child;
use crate::error::LabError;
use crate::firmware::LabFirmware;
use crate::machine::{self, Hardware, Machine};
use crate::network::Network;
use crate::options::LabOptions;
use crate::report::{LabReport, MachineReport};
use crate::servers::{self, Server};
use crate::watch::{Goal, Watch};

/// Lines of a failed machine's serial console in its report.
const CONSOLE_LINES: usize = 8;

/// Runs a lab: its network, the daemon in it, the machines; returns when each machine has reached the wanted
/// stage or failed. Call [`crate::enter_namespace`] before.
///
/// # Errors
/// The lab itself could not run. Its folder with all logs is then kept, except after an interruption.
pub async fn run(options: LabOptions) -> Result<LabReport, LabError> {
    check_programs(&options)?;
    let mut stop = Stop::listen()?;
    let folder = run_folder()?;
    let result = tokio::select! {
        result = boot_all(&options, folder.path()) => result,
        () = stop.asked() => Err(LabError::Interrupted),
    };
    let all_well = match &result {
        Ok(report) => report.ok(),
        Err(error) => matches!(error, LabError::Interrupted),
    };
    let kept = (options.keep || !all_well).then(|| folder.keep());
    if let Some(folder) = &kept {
        say(&options, &format!("the lab's configuration, logs and consoles are in {}", folder.display()));
    }
    result.map(|report| LabReport { folder: kept, ..report })
}

/// What is not installed is told before anything is started.
fn check_programs(options: &LabOptions) -> Result<(), LabError> {
    for firmware in &options.firmware {
        firmware.emulator()?;
        firmware.flash()?;
    }
    if servers::has_neighbour(options.mode) {
        servers::dnsmasq()?;
    }
    Ok(())
}

/// A folder that a daemon can enter which gave up root.
fn run_folder() -> Result<TempDir, LabError> {
    use std::os::unix::fs::PermissionsExt;
    tempfile::Builder::new()
        .prefix("captaind-lab-")
        .permissions(std::fs::Permissions::from_mode(0o755))
        .tempdir()
        .map_err(LabError::file(std::env::temp_dir()))
}

async fn boot_all(options: &LabOptions, folder: &Path) -> Result<LabReport, LabError> {
    let neighbour = servers::has_neighbour(options.mode);
    let network = Network::start(&folder.join("switch"), neighbour, options.pcap.as_deref()).await?;
    let accel = accel(options, folder).await?;
    let mut dnsmasq = servers::neighbour_of(&network, folder)?;
    let mut daemon = servers::daemon(options, folder).await?;
    let (events, follower) = api::follow_events().await?;
    let hardware = Hardware {
        memory_mib: options.memory_mib,
        cpus: options.cpus,
        accel,
        folder: folder.to_owned(),
        socket: network.socket().to_owned(),
        media: options.media,
    };
    let lab = Lab::new(options, hardware);
    let watch = tokio::select! {
        watch = lab.run(events) => watch,
        error = ended(&mut daemon, dnsmasq.as_mut()) => Err(error),
    };
    follower.abort();
    Ok(report(&watch?, folder))
}

/// KVM where it can be used and a machine is there that could run on it.
async fn accel(options: &LabOptions, folder: &Path) -> Result<Accel, LabError> {
    let (pcs, others): (Vec<LabFirmware>, Vec<LabFirmware>) =
        options.firmware.iter().partition(|firmware| firmware.arch() == Arch::Amd64);
    let accel = match pcs.first() {
        Some(pc) => Accel::probe(&pc.emulator()?, folder).await?,
        None => Accel::Tcg,
    };
    let how = match (accel, others.is_empty()) {
        (Accel::Kvm, true) => "on KVM",
        (Accel::Kvm, false) => "on KVM, those of other architectures under software emulation",
        (Accel::Tcg, _) if pcs.is_empty() => "under software emulation (KVM is only used for PCs)",
        (Accel::Tcg, _) => "under software emulation (KVM cannot be used here)",
    };
    let (count, parallel) = (options.roster().len(), options.parallelism());
    say(options, &format!("{count} machines {how}, {parallel} at a time"));
    Ok(accel)
}

async fn ended(daemon: &mut Server, neighbour: Option<&mut Server>) -> LabError {
    let neighbour = async {
        match neighbour {
            Some(server) => server.ended().await,
            None => std::future::pending().await,
        }
    };
    tokio::select! { error = daemon.ended() => error, error = neighbour => error }
}

/// The machines: those that wait for their turn, and those that are switched on.
struct Lab<'a> {
    options: &'a LabOptions,
    hardware: Hardware,
    watch: Watch,
    waiting: VecDeque<(Mac, LabFirmware)>,
    running: BTreeMap<Mac, oneshot::Sender<()>>,
    ended: (mpsc::UnboundedSender<End>, mpsc::UnboundedReceiver<End>),
    began: Instant,
}

/// A machine is off: it was asked to, or it said why.
type End = (Mac, Option<String>);

impl<'a> Lab<'a> {
    fn new(options: &'a LabOptions, hardware: Hardware) -> Self {
        let goal = Goal { until: options.until, stand_in: options.stand_in };
        Self {
            options,
            hardware,
            watch: Watch::new(goal, options.roster()),
            waiting: options.roster().into(),
            running: BTreeMap::new(),
            ended: mpsc::unbounded_channel(),
            began: Instant::now(),
        }
    }

    /// Until nothing is waited for any more, or the time is up.
    async fn run(mut self, mut events: mpsc::Receiver<Event>) -> Result<Watch, LabError> {
        let deadline = tokio::time::sleep(self.options.timeout);
        tokio::pin!(deadline);
        while !(self.watch.is_over() && self.running.is_empty()) {
            self.fill_up().await?;
            tokio::select! {
                Some(event) = events.recv() => self.event(&event),
                Some((mac, why)) = self.ended.1.recv() => self.machine_ended(mac, why),
                () = &mut deadline, if !self.watch.is_over() => self.give_up(),
            }
        }
        Ok(self.watch)
    }

    /// Switches machines on while there is room.
    async fn fill_up(&mut self) -> Result<(), LabError> {
        while self.running.len() < self.options.parallelism()
            && let Some((mac, firmware)) = self.waiting.pop_front()
        {
            self.hardware.media.fetch(mac, &self.hardware.folder).await?;
            let mut machine = Machine::start(mac, firmware, &self.hardware)?;
            let (off, switched_off) = oneshot::channel();
            let ended = self.ended.0.clone();
            tokio::spawn(async move {
                let why = tokio::select! {
                    why = machine.ended() => Some(why),
                    _ = switched_off => None,
                };
                machine.stop().await;
                let _ = ended.send((mac, why));
            });
            self.running.insert(mac, off);
            self.watch.power_on(mac, self.began.elapsed());
            self.tell(mac, "power on");
        }
        Ok(())
    }

    fn event(&mut self, event: &Event) {
        let line = self.watch.event(self.began.elapsed(), event);
        if let (Some(mac), Some(line)) = (event.mac, line) {
            self.tell(mac, &line);
            self.switch_off_if_done(mac);
        }
    }

    fn machine_ended(&mut self, mac: Mac, why: Option<String>) {
        self.running.remove(&mac);
        if let Some(why) = why.filter(|_| !self.watch.is_done(mac)) {
            self.tell(mac, &why);
            self.watch.ended(mac, self.began.elapsed(), &why);
        }
        let lines = child::last_lines(&machine::console(&self.hardware.folder, mac), CONSOLE_LINES);
        self.watch.add_console(mac, lines);
    }

    fn give_up(&mut self) {
        self.waiting.clear();
        self.watch.give_up(self.began.elapsed());
        let late: Vec<Mac> = self.running.keys().copied().collect();
        for mac in late {
            self.tell(mac, "the time is up");
            self.switch_off_if_done(mac);
        }
    }

    /// A machine that is done makes room for others.
    fn switch_off_if_done(&mut self, mac: Mac) {
        if self.watch.is_done(mac)
            && let Some(running) = self.running.get_mut(&mac)
        {
            let (used_up, _) = oneshot::channel();
            let _ = std::mem::replace(running, used_up).send(());
        }
    }

    fn tell(&self, mac: Mac, what: &str) {
        let firmware = self.watch.machines().find(|(of, _)| *of == mac).map(|(_, machine)| machine.firmware);
        let firmware = firmware.map_or("", LabFirmware::name);
        let now = self.began.elapsed().as_secs_f64();
        say(self.options, &format!("[{now:5.1}s] {mac} {firmware:9} {what}"));
    }
}

fn report(watch: &Watch, folder: &Path) -> LabReport {
    let machines: Vec<_> = watch
        .machines()
        .map(|(mac, machine)| {
            let failed = machine.outcome.as_ref().and_then(|outcome| outcome.failed.clone());
            MachineReport {
                mac,
                firmware: machine.firmware.name(),
                stage: machine.stage(),
                ok: machine.outcome.is_some() && failed.is_none(),
                boot: machine.boot,
                seconds: machine.outcome.as_ref().map_or(0.0, |outcome| outcome.seconds),
                failed,
                agent: machine.agent.clone(),
                timeline: machine.timeline.clone(),
                console: machine::console(folder, mac),
            }
        })
        .collect();
    LabReport { ok: machines.iter().all(|machine| machine.ok), machines, folder: None }
}

fn say(options: &LabOptions, line: &str) {
    if options.json { eprintln!("{line}") } else { println!("{line}") }
}

/// Ctrl-C and SIGTERM.
struct Stop {
    interrupt: Signal,
    terminate: Signal,
}

impl Stop {
    fn listen() -> Result<Self, LabError> {
        let of = |kind| signal(kind).map_err(|e| LabError::network("listen for signals", e));
        Ok(Self { interrupt: of(SignalKind::interrupt())?, terminate: of(SignalKind::terminate())? })
    }

    async fn asked(&mut self) {
        tokio::select! { _ = self.interrupt.recv() => (), _ = self.terminate.recv() => () }
    }
}
