//! Every machine's boots, told from the events: which boot an event belongs to, and which stage it reaches.
//!
//! Pure: events carry their time, and what is to be done outside comes back in [`Observed`].

mod boot;
mod signs;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use captain_model::{Arch, BootId, BootPolicy, BootStage, Event, EventKind, Firmware, Mac, Timestamp};

pub use boot::{AgentFacts, Boot, Failure, Reached};
use signs::Sign;
pub(crate) use signs::stage_of;

/// Boots kept per machine; older ones are forgotten.
pub const KEPT_PER_MACHINE: usize = 8;
/// Machines whose boots are kept; for one more, the one that was heard of longest ago is forgotten. Anybody on the
/// network can make up MACs.
pub const KEPT_MACHINES: usize = 8192;
/// Firmware that asks again after this long without any other sign of life was switched off in between.
const QUIET: Duration = Duration::from_secs(120);
/// iPXE asks for an address again and again in one boot (`autoexec.ipxe`, then the loader's own script, then
/// a retry): only after this long since its script was fetched is it a new boot.
const IPXE_AGAIN: Duration = Duration::from_secs(20);

/// The boots of all machines.
#[derive(Debug)]
pub struct Timeline {
    boots: BTreeMap<Mac, VecDeque<Boot>>,
    next: u64,
}

/// What follows from one event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observed {
    /// The event with its boot filled in, then the stages and failures that follow from it.
    pub events: Vec<Event>,
    /// The boot that changed, as it is now.
    pub changed: Option<Boot>,
    /// Whether the machine has now used up its `once` or `until-done`.
    pub settled: bool,
}

impl Timeline {
    /// A timeline that remembers `boots` from before and numbers new ones from `next`.
    pub fn new(boots: impl IntoIterator<Item = Boot>, next: u64) -> Self {
        let mut timeline = Self { boots: BTreeMap::new(), next };
        let mut all: Vec<Boot> = boots.into_iter().collect();
        all.sort_by_key(|boot| boot.boot);
        for boot in all {
            timeline.next = timeline.next.max(boot.boot.0 + 1);
            timeline.keep(boot);
        }
        timeline
    }

    /// Takes one event of a machine with this `policy`.
    pub fn observe(&mut self, mut event: Event, policy: BootPolicy) -> Observed {
        let Some(mac) = event.mac else { return Observed { events: vec![event], ..Observed::default() } };
        let sign = signs::read(&event.kind);
        if self.begins_a_boot(mac, &event, &sign) {
            self.begin(mac, &sign, event.at);
        }
        let Some(boot) = self.boot_of(mac, event.boot) else {
            return unattached(event, &sign, policy);
        };
        let mut before = boot.clone();
        before.touched = event.at;
        boot.touched = event.at;
        event.boot = Some(boot.boot);
        let derived = apply(boot, &sign, &event);
        let changed = (*boot != before).then(|| boot.clone());
        let settled = settles(policy, &sign);
        let follow = derived.into_iter().map(|kind| Event { kind, ..event.clone() });
        let events = std::iter::once(event.clone()).chain(follow).collect();
        Observed { events, changed, settled }
    }

    /// All boots that are remembered, oldest first.
    pub fn boots(&self) -> Vec<&Boot> {
        let mut all: Vec<&Boot> = self.boots.values().flatten().collect();
        all.sort_by_key(|boot| boot.boot);
        all
    }

    /// The latest boot of `mac`.
    pub fn latest(&self, mac: Mac) -> Option<&Boot> {
        self.boots.get(&mac)?.back()
    }

    /// Machines that booted.
    pub fn machines(&self) -> impl Iterator<Item = Mac> {
        self.boots.keys().copied()
    }

    fn begins_a_boot(&self, mac: Mac, event: &Event, sign: &Sign) -> bool {
        let current = self.latest(mac);
        match sign {
            Sign::Asked { firmware, .. } => current.is_none_or(|boot| asks_anew(boot, *firmware, event.at)),
            Sign::Reached(stage) => match current {
                None => true,
                // The OSIE names its boot; it never goes back a stage.
                Some(_) if *stage >= BootStage::Kernel => false,
                Some(boot) => boot.stage > *stage && boot.stage > BootStage::Script,
            },
            Sign::Agent => current.is_none(),
            Sign::Done | Sign::Trouble { .. } | Sign::GaveUp { .. } | Sign::Nothing => false,
        }
    }

    fn begin(&mut self, mac: Mac, sign: &Sign, at: Timestamp) {
        let stage = match sign {
            Sign::Reached(stage) => *stage,
            Sign::Agent => BootStage::Agent,
            Sign::Asked { .. } | Sign::Done | Sign::Trouble { .. } | Sign::GaveUp { .. } | Sign::Nothing => {
                BootStage::Dhcp
            }
        };
        let boot = Boot::new(BootId(self.next), mac, stage, at);
        self.next += 1;
        self.keep(boot);
    }

    fn keep(&mut self, boot: Boot) {
        if self.boots.len() >= KEPT_MACHINES && !self.boots.contains_key(&boot.mac) {
            self.forget_the_quietest();
        }
        let own = self.boots.entry(boot.mac).or_default();
        own.push_back(boot);
        if own.len() > KEPT_PER_MACHINE {
            own.pop_front();
        }
    }

    fn forget_the_quietest(&mut self) {
        let heard = |boots: &VecDeque<Boot>| boots.back().map(|boot| boot.touched);
        let quietest = self.boots.iter().min_by_key(|(_, boots)| heard(boots)).map(|(mac, _)| *mac);
        if let Some(mac) = quietest {
            self.boots.remove(&mac);
        }
    }

    /// The boot called `id` of `mac` where it is remembered, else its latest.
    fn boot_of(&mut self, mac: Mac, id: Option<BootId>) -> Option<&mut Boot> {
        let own = self.boots.get_mut(&mac)?;
        let at = own.iter().position(|boot| Some(boot.boot) == id).unwrap_or(own.len() - 1);
        own.get_mut(at)
    }
}

/// Whether `firmware` asking now means that the machine of `boot` has started over.
fn asks_anew(boot: &Boot, firmware: Firmware, now: Timestamp) -> bool {
    let quiet = now.since(boot.touched);
    match firmware {
        // iPXE follows the firmware's own ROM within one boot, or is the ROM.
        Firmware::Ipxe => match boot.stage {
            BootStage::Dhcp | BootStage::Loader => quiet > QUIET,
            BootStage::Script => quiet > IPXE_AGAIN,
            BootStage::Kernel | BootStage::Initramfs | BootStage::Userland | BootStage::Agent => true,
        },
        Firmware::Bios | Firmware::Uefi | Firmware::UefiHttp | Firmware::RaspberryPi | Firmware::UBoot => {
            boot.stage > BootStage::Dhcp || quiet > QUIET
        }
    }
}

/// An event of a machine of which no boot is remembered. `done` counts all the same.
fn unattached(mut event: Event, sign: &Sign, policy: BootPolicy) -> Observed {
    event.boot = None;
    let derived = if *sign == Sign::Done { vec![EventKind::Done] } else { Vec::new() };
    let settled = settles(policy, sign);
    let follow = derived.into_iter().map(|kind| Event { kind, ..event.clone() });
    let events = std::iter::once(event.clone()).chain(follow).collect();
    Observed { events, changed: None, settled }
}

/// Changes `boot` by `sign`; gives the events that follow.
fn apply(boot: &mut Boot, sign: &Sign, event: &Event) -> Vec<EventKind> {
    match sign {
        Sign::Asked { firmware, arch } => {
            learn_firmware(boot, *firmware, *arch);
            reach(boot, BootStage::Dhcp, event.at)
        }
        Sign::Reached(stage) => reach(boot, *stage, event.at),
        Sign::Agent => {
            if let EventKind::AgentStarted { args, env } = &event.kind {
                boot.agent = Some(AgentFacts { args: args.clone(), env: env.clone() });
            }
            reach(boot, BootStage::Agent, event.at)
        }
        Sign::Done => {
            boot.done = true;
            vec![EventKind::Done]
        }
        // What was reached already is not undone by a later miss (a second NIC, a retry by another name).
        Sign::Trouble { needed_for, .. } if boot.stage >= *needed_for => Vec::new(),
        Sign::Trouble { why, .. } | Sign::GaveUp { why } => fail(boot, why),
        Sign::Nothing => Vec::new(),
    }
}

fn learn_firmware(boot: &mut Boot, firmware: Firmware, arch: Option<Arch>) {
    if firmware != Firmware::Ipxe || boot.firmware.is_none() {
        boot.firmware = Some(firmware);
    }
    boot.arch = arch.or(boot.arch);
}

fn reach(boot: &mut Boot, stage: BootStage, at: Timestamp) -> Vec<EventKind> {
    if boot.reach(stage, at) { vec![EventKind::Stage { stage }] } else { Vec::new() }
}

fn fail(boot: &mut Boot, why: &str) -> Vec<EventKind> {
    let failure = Failure { stage: boot.stage, why: why.to_owned() };
    if boot.failed.as_ref() == Some(&failure) {
        return Vec::new();
    }
    boot.failed = Some(failure.clone());
    vec![EventKind::Failed { stage: failure.stage, why: failure.why }]
}

/// By what was seen, not by what is new to the boot: a second boot of an ISO names no other boot than the first.
fn settles(policy: BootPolicy, sign: &Sign) -> bool {
    match policy {
        // An ISO, or another server's files, are not seen being loaded: what runs of them speaks for itself.
        BootPolicy::Once => match sign {
            Sign::Reached(stage) => *stage >= BootStage::Initramfs,
            Sign::Agent => true,
            Sign::Asked { .. } | Sign::Done | Sign::Trouble { .. } | Sign::GaveUp { .. } | Sign::Nothing => {
                false
            }
        },
        BootPolicy::UntilDone => *sign == Sign::Done,
        BootPolicy::Always | BootPolicy::Never => false,
    }
}
