//! One boot as the API, the dashboard and the state on disk show it.

use std::collections::BTreeMap;

use captain_model::{Arch, BootId, BootStage, Firmware, Mac, Timestamp};
use serde::{Deserialize, Serialize};

/// One attempt of one machine to boot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Boot {
    /// Its id, also on the kernel command line as `captain_boot=`.
    pub boot: BootId,
    /// Which machine.
    pub mac: Mac,
    /// The firmware that began it; iPXE only where nothing asked before iPXE did.
    pub firmware: Option<Firmware>,
    /// The machine's CPU as its firmware told it.
    pub arch: Option<Arch>,
    /// The furthest stage reached.
    pub stage: BootStage,
    /// Where and why it stopped; gone when it goes on after all.
    pub failed: Option<Failure>,
    /// When it was first heard of.
    pub started: Timestamp,
    /// When it was last heard of.
    pub touched: Timestamp,
    /// Every stage reached, in order of time.
    pub stages: Vec<Reached>,
    /// The agent's own words, where it gave them.
    pub agent: Option<AgentFacts>,
    /// Whether the OSIE reported that its work is done.
    #[serde(default)]
    pub done: bool,
}

/// A stage, and when it was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reached {
    /// Which.
    pub stage: BootStage,
    /// When.
    pub at: Timestamp,
}

/// Why a boot stopped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The last stage that was reached.
    pub stage: BootStage,
    /// What is known of the cause.
    pub why: String,
}

/// How the agent was started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentFacts {
    /// Arguments without the program's name.
    pub args: Vec<String>,
    /// Environment, secrets as `***`.
    pub env: BTreeMap<String, String>,
}

impl Boot {
    /// A boot that has just begun and reached nothing yet but its first sign of life, `stage`.
    pub(super) fn new(boot: BootId, mac: Mac, stage: BootStage, at: Timestamp) -> Self {
        Self {
            boot,
            mac,
            firmware: None,
            arch: None,
            stage,
            failed: None,
            started: at,
            touched: at,
            stages: Vec::new(),
            agent: None,
            done: false,
        }
    }

    /// Whether `stage` is new to this boot; it is then its furthest.
    pub(super) fn reach(&mut self, stage: BootStage, at: Timestamp) -> bool {
        if self.stages.iter().any(|reached| reached.stage >= stage) {
            return false;
        }
        self.stage = stage;
        self.failed = None;
        self.stages.push(Reached { stage, at });
        true
    }
}
