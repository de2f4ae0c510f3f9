//! What the agent in the OSIE needs to know: Tinkerbell's names, captaind's types.

use crate::Secret;

/// Settings of the tink-agent. A machine's override its profile's, key by key (see [`AgentSettings::over`]).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AgentSettings {
    /// Image that holds the agent: `tink_worker_image`.
    pub image: Option<String>,
    /// Registry that actions are pulled from: `docker_registry`.
    pub registry: Option<String>,
    /// `registry_username`.
    pub registry_username: Option<String>,
    /// `registry_password`.
    pub registry_password: Option<Secret>,
    /// Registries spoken to over plain HTTP or with unknown certificates: `insecure_registries`.
    pub insecure_registries: Option<Vec<String>>,
    /// Tinkerbell server, host:port: `grpc_authority`.
    pub grpc_authority: Option<String>,
    /// `tinkerbell_tls`.
    pub tls: Option<bool>,
    /// `tinkerbell_insecure_tls`.
    pub insecure_tls: Option<bool>,
    /// Whether `syslog_host`/`syslog_port` are announced.
    pub syslog: Option<bool>,
    /// `syslog_host` of these machines, instead of the server's.
    pub syslog_host: Option<String>,
    /// `syslog_port` beside it.
    pub syslog_port: Option<u16>,
    /// `facility`.
    pub facility: Option<String>,
}

impl AgentSettings {
    /// These settings where they say something, `base`'s elsewhere.
    pub fn over(&self, base: &Self) -> Self {
        fn pick<T: Clone>(own: &Option<T>, base: &Option<T>) -> Option<T> {
            own.as_ref().or(base.as_ref()).cloned()
        }
        Self {
            image: pick(&self.image, &base.image),
            registry: pick(&self.registry, &base.registry),
            registry_username: pick(&self.registry_username, &base.registry_username),
            registry_password: pick(&self.registry_password, &base.registry_password),
            insecure_registries: pick(&self.insecure_registries, &base.insecure_registries),
            grpc_authority: pick(&self.grpc_authority, &base.grpc_authority),
            tls: pick(&self.tls, &base.tls),
            insecure_tls: pick(&self.insecure_tls, &base.insecure_tls),
            syslog: pick(&self.syslog, &base.syslog),
            syslog_host: pick(&self.syslog_host, &base.syslog_host),
            syslog_port: pick(&self.syslog_port, &base.syslog_port),
            facility: pick(&self.facility, &base.facility),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_overrides_its_profile_key_by_key() {
        let profile = AgentSettings {
            image: Some("r/agent:1".into()),
            tls: Some(true),
            registry_password: Some(Secret::new("p")),
            ..AgentSettings::default()
        };
        let machine =
            AgentSettings { tls: Some(false), facility: Some("lab".into()), ..AgentSettings::default() };
        let merged = machine.over(&profile);
        assert_eq!(merged.image.as_deref(), Some("r/agent:1"));
        assert_eq!(merged.tls, Some(false));
        assert_eq!(merged.facility.as_deref(), Some("lab"));
        assert_eq!(merged.registry_password, Some(Secret::new("p")));
    }
}
