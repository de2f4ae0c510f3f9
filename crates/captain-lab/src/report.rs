//! What came of a lab: one entry per machine.

use std::collections::BTreeMap;
use std::path::PathBuf;

use captain_model::{BootId, BootStage, Mac};
use serde::Serialize;

/// The outcome of a run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LabReport {
    /// Whether every machine reached the wanted stage.
    pub ok: bool,
    /// The machines, in the order of their MACs.
    pub machines: Vec<MachineReport>,
    /// The run's folder, where it was kept.
    pub folder: Option<PathBuf>,
}

impl LabReport {
    /// Whether every machine reached the wanted stage.
    pub const fn ok(&self) -> bool {
        self.ok
    }
}

/// The outcome of one machine.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MachineReport {
    /// Its address.
    pub mac: Mac,
    /// Its firmware.
    pub firmware: &'static str,
    /// The last stage it reached; none where nothing was heard of it.
    pub stage: Option<BootStage>,
    /// Whether it reached the wanted stage.
    pub ok: bool,
    /// The boot that counted.
    pub boot: Option<BootId>,
    /// Seconds from power-on to the wanted stage, or to the end of waiting.
    pub seconds: f64,
    /// Why it did not, where it did not.
    pub failed: Option<Failure>,
    /// What its agent reported.
    pub agent: Option<AgentReport>,
    /// Its stages and when they were reached.
    pub timeline: Vec<Reached>,
    /// Its serial console's log; gone with the folder where all went well and it was not kept.
    pub console: PathBuf,
}

/// Where and why a boot stopped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// The last stage it reached.
    pub stage: Option<BootStage>,
    /// Why it stopped, as far as it can be told.
    pub why: String,
    /// The last lines of its serial console.
    pub console: Vec<String>,
}

/// A stage, and when it was reached.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Reached {
    /// Which.
    pub stage: BootStage,
    /// Seconds from power-on.
    pub seconds: f64,
}

/// What the stand-in agent told about itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct AgentReport {
    /// The image it came out of (`TINK_WORKER_IMAGE`).
    pub image: Option<String>,
    /// The registry it would pull actions from (`DOCKER_REGISTRY`).
    pub registry: Option<String>,
    /// `WORKER_ID`.
    pub worker_id: Option<String>,
    /// `SYSLOG_HOST`.
    pub syslog_host: Option<String>,
    /// Its arguments.
    pub args: Vec<String>,
    /// Its environment, secrets as `***`.
    pub env: BTreeMap<String, String>,
}

impl AgentReport {
    /// The report of an agent with these arguments and this environment.
    pub fn new(args: Vec<String>, env: BTreeMap<String, String>) -> Self {
        let of = |key: &str| env.get(key).filter(|value| !value.is_empty()).cloned();
        Self {
            image: of("TINK_WORKER_IMAGE"),
            registry: of("DOCKER_REGISTRY"),
            worker_id: of("WORKER_ID"),
            syslog_host: of("SYSLOG_HOST"),
            args,
            env,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agents_settings_are_read_from_its_environment() {
        let env = [("WORKER_ID", "w1"), ("DOCKER_REGISTRY", ""), ("SYSLOG_HOST", "192.168.50.1")];
        let env = env.map(|(k, v)| (k.to_owned(), v.to_owned())).into_iter().collect();
        let report = AgentReport::new(vec!["-id".into()], env);
        assert_eq!(report.worker_id.as_deref(), Some("w1"));
        assert_eq!(report.registry, None, "an empty variable says nothing");
        assert_eq!(report.syslog_host.as_deref(), Some("192.168.50.1"));
    }
}
