//! What the lab knows of its machines' boots, from the daemon's events. No sockets, no clock: every
//! moment is a [`Duration`] since the lab began.

use std::collections::BTreeMap;
use std::time::Duration;

use captain_model::{BootId, BootStage, Event, EventKind, Mac};

use crate::firmware::LabFirmware;
use crate::report::{AgentReport, Failure, Reached};

/// What is waited for.
#[derive(Clone, Copy, Debug)]
pub struct Goal {
    /// The stage to reach.
    pub until: BootStage,
    /// Whether the agent is the stand-in, so that the last stage means its report.
    pub stand_in: bool,
}

/// One machine's boot, watched.
#[derive(Clone, Debug)]
pub struct Watched {
    /// Its firmware.
    pub firmware: LabFirmware,
    /// The boot that counts.
    pub boot: Option<BootId>,
    /// The stages of that boot.
    pub timeline: Vec<Reached>,
    /// What its agent reported.
    pub agent: Option<AgentReport>,
    /// How it went, once that is known.
    pub outcome: Option<Outcome>,
    power_on: Option<Duration>,
    last: Option<(Duration, String)>,
}

/// How a boot went.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// Seconds from power-on.
    pub seconds: f64,
    /// Why it failed, where it did.
    pub failed: Option<Failure>,
}

/// The machines of a lab.
#[derive(Debug)]
pub struct Watch {
    goal: Goal,
    machines: BTreeMap<Mac, Watched>,
}

impl Watch {
    /// Of these machines nothing is known yet.
    pub fn new(goal: Goal, roster: impl IntoIterator<Item = (Mac, LabFirmware)>) -> Self {
        let machines = roster.into_iter().map(|(mac, firmware)| (mac, Watched::new(firmware))).collect();
        Self { goal, machines }
    }

    /// Every machine, by its address.
    pub fn machines(&self) -> impl Iterator<Item = (Mac, &Watched)> {
        self.machines.iter().map(|(mac, watched)| (*mac, watched))
    }

    /// Whether nothing is waited for any more.
    pub fn is_over(&self) -> bool {
        self.machines.values().all(|machine| machine.outcome.is_some())
    }

    /// Whether nothing is waited for of this machine.
    pub fn is_done(&self, mac: Mac) -> bool {
        self.machines.get(&mac).is_none_or(|machine| machine.outcome.is_some())
    }

    /// A machine was switched on.
    pub fn power_on(&mut self, mac: Mac, now: Duration) {
        if let Some(machine) = self.machines.get_mut(&mac) {
            machine.power_on = Some(now);
        }
    }

    /// Takes an event of the daemon; what it says about the machine that is worth a line.
    pub fn event(&mut self, now: Duration, event: &Event) -> Option<String> {
        let machine = self.machines.get_mut(&event.mac?)?;
        if machine.outcome.is_some() {
            return None;
        }
        machine.last = Some((now, describe(&event.kind)));
        machine.follow(event.boot);
        match &event.kind {
            EventKind::Stage { stage } => {
                machine.reached(now, *stage);
                let enough = *stage >= self.goal.until;
                if enough && !(self.goal.until == BootStage::Agent && self.goal.stand_in) {
                    machine.end(now, None);
                }
                Some(stage.to_string())
            }
            EventKind::AgentStarted { args, env } => {
                machine.agent = Some(AgentReport::new(args.clone(), env.clone()));
                machine.reached(now, BootStage::Agent);
                machine.end(now, None);
                Some("agent reported".to_owned())
            }
            EventKind::Failed { stage, why } => {
                machine.end(now, Some((Some(*stage), why.clone())));
                Some(format!("failed after {stage}: {why}"))
            }
            EventKind::NetbootRefused { why } => {
                machine.end(now, Some((machine.stage(), format!("it may not netboot: {why}"))));
                Some(format!("refused: {why}"))
            }
            EventKind::Report { .. }
            | EventKind::TftpFailed { .. }
            | EventKind::LeaseDeclined { .. }
            | EventKind::AddressInUse { .. }
            | EventKind::Done => Some(describe(&event.kind)),
            EventKind::DhcpReply { .. }
            | EventKind::Ignored { .. }
            | EventKind::LeaseReleased { .. }
            | EventKind::DhcpMode { .. }
            | EventKind::TftpDone { .. }
            | EventKind::TftpProbe { .. }
            | EventKind::Http { .. } => None,
        }
    }

    /// A machine ended without having reached its goal.
    pub fn ended(&mut self, mac: Mac, now: Duration, why: &str) {
        if let Some(machine) = self.machines.get_mut(&mac).filter(|machine| machine.outcome.is_none()) {
            let why = format!("{why}; {}", machine.last_seen(now));
            machine.end(now, Some((machine.stage(), why)));
        }
    }

    /// The time is up: what is waited for has failed.
    pub fn give_up(&mut self, now: Duration) {
        for machine in self.machines.values_mut().filter(|machine| machine.outcome.is_none()) {
            let why = match machine.power_on {
                None => "it was not switched on: the time was up before its turn".to_owned(),
                Some(_) => format!("the time was up; {}", machine.last_seen(now)),
            };
            machine.end(now, Some((machine.stage(), why)));
        }
    }

    /// Adds what the serial console last showed to a machine's failure.
    pub fn add_console(&mut self, mac: Mac, lines: Vec<String>) {
        let outcome = self.machines.get_mut(&mac).and_then(|machine| machine.outcome.as_mut());
        if let Some(failed) = outcome.and_then(|outcome| outcome.failed.as_mut()) {
            failed.console = lines;
        }
    }
}

impl Watched {
    fn new(firmware: LabFirmware) -> Self {
        Self {
            firmware,
            boot: None,
            timeline: Vec::new(),
            agent: None,
            outcome: None,
            power_on: None,
            last: None,
        }
    }

    /// The last stage that was reached.
    pub fn stage(&self) -> Option<BootStage> {
        self.timeline.iter().map(|reached| reached.stage).max()
    }

    /// A new boot starts a new timeline.
    fn follow(&mut self, boot: Option<BootId>) {
        if boot.is_some() && boot != self.boot {
            if self.boot.is_some() {
                self.timeline.clear();
            }
            self.boot = boot;
        }
    }

    fn reached(&mut self, now: Duration, stage: BootStage) {
        if self.timeline.iter().all(|reached| reached.stage != stage) {
            self.timeline.push(Reached { stage, seconds: self.seconds(now) });
        }
    }

    fn end(&mut self, now: Duration, failed: Option<(Option<BootStage>, String)>) {
        let failed = failed.map(|(stage, why)| Failure { stage, why, console: Vec::new() });
        self.outcome = Some(Outcome { seconds: self.seconds(now), failed });
    }

    /// From power-on, in steps of a millisecond.
    fn seconds(&self, now: Duration) -> f64 {
        let since = now.saturating_sub(self.power_on.unwrap_or(now));
        (since.as_secs_f64() * 1000.0).round() / 1000.0
    }

    fn last_seen(&self, now: Duration) -> String {
        let stage = match self.stage() {
            Some(stage) => format!("the last stage it reached was `{stage}`"),
            None => "it reached no stage".to_owned(),
        };
        match &self.last {
            Some((at, what)) => {
                format!("{stage}, last heard of {:.0} s ago: {what}", now.saturating_sub(*at).as_secs_f64())
            }
            None => format!("{stage}, nothing was heard of it"),
        }
    }
}

/// One line about an event.
fn describe(kind: &EventKind) -> String {
    match kind {
        EventKind::DhcpReply { message, address, file, .. } => {
            let address = address.map(|a| format!(" {a}")).unwrap_or_default();
            let file = file.as_ref().map(|f| format!(", boot file {f}")).unwrap_or_default();
            format!("DHCP {message}{address}{file}")
        }
        EventKind::Ignored { why } => format!("got no answer: {why}"),
        EventKind::LeaseReleased { address } => format!("gave {address} back"),
        EventKind::LeaseDeclined { address } => format!("found {address} in use"),
        EventKind::AddressInUse { address, .. } => format!("its address {address} is in use"),
        EventKind::DhcpMode { mode, why } => format!("DHCP mode {mode}: {why}"),
        EventKind::NetbootRefused { why } => format!("may not netboot: {why}"),
        EventKind::TftpDone { file, bytes, .. } => format!("TFTP {file}, {bytes} bytes"),
        EventKind::TftpProbe { file } => format!("TFTP asked for the size of {file}"),
        EventKind::TftpFailed { file, why } => format!("TFTP {file} failed: {why}"),
        EventKind::Http { method, path, status, .. } => format!("{method} {path}: {status}"),
        EventKind::Stage { stage } => stage.to_string(),
        EventKind::Report { step, detail } if detail.is_empty() => step.clone(),
        EventKind::Report { step, detail } => format!("{step}: {detail}"),
        EventKind::AgentStarted { .. } => "agent reported".to_owned(),
        EventKind::Failed { stage, why } => format!("failed after {stage}: {why}"),
        EventKind::Done => "done".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use captain_model::Timestamp;

    use super::*;
    use crate::options::machine_mac;

    const GOAL: Goal = Goal { until: BootStage::Agent, stand_in: true };

    fn watch(goal: Goal) -> (Watch, Mac) {
        let mac = machine_mac(0);
        let mut watch = Watch::new(goal, [(mac, LabFirmware::Bios)]);
        watch.power_on(mac, Duration::from_secs(2));
        (watch, mac)
    }

    fn tell(watch: &mut Watch, second: u64, boot: u64, kind: EventKind) -> Option<String> {
        let event =
            Event { boot: Some(BootId(boot)), ..Event::new(Timestamp::default(), machine_mac(0), kind) };
        watch.event(Duration::from_secs(second), &event)
    }

    fn outcome(watch: &Watch) -> Outcome {
        watch.machines().next().unwrap().1.outcome.clone().unwrap()
    }

    #[test]
    fn a_stand_in_has_to_report_and_a_real_agent_has_to_start() {
        let stage = EventKind::Stage { stage: BootStage::Agent };
        let (mut watch_real, _) = watch(Goal { stand_in: false, ..GOAL });
        tell(&mut watch_real, 12, 1, stage.clone());
        assert!(watch_real.is_over());

        let (mut watch, _) = watch(GOAL);
        tell(&mut watch, 12, 1, stage);
        assert!(!watch.is_over(), "the report is still to come");
        let env = [("WORKER_ID".to_owned(), "w".to_owned())].into();
        tell(&mut watch, 13, 1, EventKind::AgentStarted { args: vec![], env });
        assert_eq!(outcome(&watch), Outcome { seconds: 11.0, failed: None });
        let machine = watch.machines().next().unwrap().1;
        assert_eq!(machine.agent.as_ref().unwrap().worker_id.as_deref(), Some("w"));
        assert_eq!(machine.timeline, [Reached { stage: BootStage::Agent, seconds: 10.0 }]);
    }

    #[test]
    fn a_later_stage_than_the_wanted_one_is_enough() {
        let (mut watch, mac) = watch(Goal { until: BootStage::Script, ..GOAL });
        tell(&mut watch, 3, 1, EventKind::Stage { stage: BootStage::Loader });
        assert!(!watch.is_done(mac));
        tell(&mut watch, 4, 1, EventKind::Stage { stage: BootStage::Kernel });
        assert!(watch.is_done(mac));
    }

    #[test]
    fn a_failure_says_stage_and_reason() {
        let (mut watch, mac) = watch(GOAL);
        tell(&mut watch, 3, 1, EventKind::Stage { stage: BootStage::Userland });
        let why = "the registry refuses".to_owned();
        let line = tell(&mut watch, 9, 1, EventKind::Failed { stage: BootStage::Userland, why: why.clone() });
        assert_eq!(line.as_deref(), Some("failed after userland: the registry refuses"));
        watch.add_console(mac, vec!["last line".into()]);
        let failed = outcome(&watch).failed.unwrap();
        assert_eq!((failed.stage, failed.why), (Some(BootStage::Userland), why));
        assert_eq!(failed.console, ["last line"]);
    }

    #[test]
    fn when_the_time_is_up_each_machine_says_what_was_last_seen_of_it() {
        let (mut watch, _) = watch(GOAL);
        tell(&mut watch, 3, 1, EventKind::Stage { stage: BootStage::Script });
        let path = "/osie/default/vmlinuz-x86_64".to_owned();
        let http =
            EventKind::Http { method: "GET".into(), path, status: 404, bytes: 0, millis: 1, complete: true };
        assert_eq!(tell(&mut watch, 5, 1, http), None);
        watch.give_up(Duration::from_secs(62));
        assert_eq!(
            outcome(&watch).failed.unwrap().why,
            "the time was up; the last stage it reached was `script`, \
             last heard of 57 s ago: GET /osie/default/vmlinuz-x86_64: 404"
        );
    }

    #[test]
    fn a_machine_whose_turn_did_not_come_and_one_that_switched_itself_off_are_told_apart() {
        let macs = [machine_mac(0), machine_mac(1)];
        let mut watch = Watch::new(GOAL, macs.map(|mac| (mac, LabFirmware::Uefi)));
        watch.power_on(macs[0], Duration::ZERO);
        watch.ended(macs[0], Duration::from_secs(1), "the machine reset");
        watch.give_up(Duration::from_secs(9));
        let whys: Vec<_> = watch
            .machines()
            .map(|(_, machine)| machine.outcome.clone().unwrap().failed.unwrap().why)
            .collect();
        assert_eq!(whys[0], "the machine reset; it reached no stage, nothing was heard of it");
        assert!(whys[1].starts_with("it was not switched on"), "{whys:?}");
    }

    #[test]
    fn a_second_boot_starts_a_new_timeline() {
        let (mut watch, _) = watch(GOAL);
        tell(&mut watch, 3, 1, EventKind::Stage { stage: BootStage::Kernel });
        tell(&mut watch, 8, 2, EventKind::Stage { stage: BootStage::Dhcp });
        let machine = watch.machines().next().unwrap().1;
        assert_eq!((machine.boot, machine.stage()), (Some(BootId(2)), Some(BootStage::Dhcp)));
    }
}
