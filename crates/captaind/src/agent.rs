//! The agent of machines for which nobody names one: the image called `tink-agent` in captaind's own registry.

use std::collections::BTreeMap;
use std::path::Path;

use captain_model::{AgentSettings, Inventory, Profile};
use captain_oci::{Reference, Store};

/// What the agent's image is called, wherever it comes from.
const NAME: &str = "tink-agent";

/// The image in the registry's folder that is called `tink-agent`: `latest`, or the only one there is.
pub(crate) fn own_image(images: &Path) -> Option<Reference> {
    if !images.join("index.json").exists() {
        return None;
    }
    let called_so = |reference: &Reference| reference.served().rsplit('/').next() == Some(NAME);
    let store = Store::open(images).ok()?;
    let all = store.images().ok()?.into_iter().map(|image| image.reference);
    let mut found: Vec<_> = all.filter(called_so).collect();
    let latest = found.iter().position(|reference| reference.tag() == "latest");
    match (latest, found.len()) {
        (Some(at), _) => Some(found.swap_remove(at)),
        (None, 1) => found.pop(),
        (None, _) => None,
    }
}

/// `inventory`, with `image` of `registry` (captaind's own, host:port) for every machine whose settings name
/// neither an image nor a registry.
pub(crate) fn with_own(inventory: &Inventory, image: &Reference, registry: &str) -> Inventory {
    let profiles: BTreeMap<String, Profile> = inventory
        .profiles()
        .map(|profile| (profile.name.clone(), with_image(profile, image, registry)))
        .collect();
    let machines = inventory.machines().iter().map(|machine| {
        let mut machine = machine.clone();
        let silent = inventory.profile_of(&machine).agent.image.is_none();
        if let (Some(own), None, true) = (&machine.agent.registry, &machine.agent.image, silent) {
            // What the OSIE takes where only a registry is named; the profile's new image must not go before it.
            machine.agent.image = Some(format!("{own}/{NAME}:latest"));
        }
        machine
    });
    Inventory::new(machines.collect(), profiles, inventory.unknown_machines())
}

fn with_image(profile: &Profile, image: &Reference, registry: &str) -> Profile {
    let mut profile = profile.clone();
    let AgentSettings { image: None, registry: None, .. } = &profile.agent else { return profile };
    profile.agent.image = Some(format!("{registry}/{}:{}", image.served(), image.tag()));
    let insecure = profile.agent.insecure_registries.get_or_insert_default();
    if !insecure.iter().any(|known| known == registry) {
        insecure.push(registry.to_owned());
    }
    profile
}

/// The profiles whose machines will find no agent to run.
pub(crate) fn without(inventory: &Inventory) -> Vec<&str> {
    let silent = |profile: &&Profile| profile.agent.image.is_none() && profile.agent.registry.is_none();
    inventory.profiles().filter(silent).map(|profile| profile.name.as_str()).collect()
}

#[cfg(test)]
mod tests {
    use captain_model::{Machine, UnknownMachines};
    use captain_oci::{Content, ImageFile, ImageSpec};

    use super::*;

    const REGISTRY: &str = "192.168.50.1:7080";

    fn store(names: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let file = ImageFile {
            path: "tink-agent".into(),
            mode: 0o755,
            content: Content::Bytes(b"agent".to_vec()),
            only: None,
        };
        let spec = ImageSpec {
            files: vec![file],
            platforms: vec![captain_model::Arch::Amd64],
            ..ImageSpec::default()
        };
        for name in names {
            store.assemble(&spec, &name.parse().unwrap()).unwrap();
        }
        folder
    }

    fn found(names: &[&str]) -> Option<String> {
        own_image(store(names).path()).map(|image| format!("{}:{}", image.served(), image.tag()))
    }

    #[test]
    fn the_latest_agent_is_taken_or_the_only_one() {
        assert_eq!(found(&[]), None);
        assert_eq!(found(&["scanner:1"]), None);
        assert_eq!(found(&["tink-agent:v1", "scanner:1"]).as_deref(), Some("tink-agent:v1"));
        assert_eq!(found(&["tink-agent:v1", "tink-agent:latest"]).as_deref(), Some("tink-agent:latest"));
        assert_eq!(found(&["tink-agent:v1", "tink-agent:v2"]), None, "nobody can tell which");
    }

    #[test]
    fn only_machines_for_which_nobody_names_an_agent_get_it() {
        let mac = |last| captain_model::Mac::new([2, 0, 0, 0, 0, last]);
        let mut other = Machine::new(mac(1));
        other.agent.registry = Some("r.example".into());
        let mut named = Profile::new("named");
        named.agent.image = Some("r.example/agent:1".into());
        let mut machine = Machine::new(mac(2));
        machine.profile = Some("named".into());
        let profiles = [("named".to_owned(), named)].into();
        let inventory = Inventory::new(vec![other, machine], profiles, UnknownMachines::Boot);
        let image: Reference = "tink-agent:v1".parse().unwrap();
        let inventory = with_own(&inventory, &image, REGISTRY);
        let agent = |last| inventory.identify(mac(last)).agent();
        assert_eq!(agent(9).image.as_deref(), Some("192.168.50.1:7080/tink-agent:v1"));
        assert_eq!(agent(9).insecure_registries, Some(vec![REGISTRY.to_owned()]));
        assert_eq!(agent(1).image.as_deref(), Some("r.example/tink-agent:latest"));
        assert_eq!(agent(2).image.as_deref(), Some("r.example/agent:1"));
        assert!(without(&inventory).is_empty());
        assert_eq!(without(&Inventory::empty()), ["default"]);
    }
}
