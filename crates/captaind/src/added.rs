//! What profiles that boot other makers' OSIEs are told on top of what the configuration says.

use std::collections::BTreeMap;
use std::path::Path;

use captain_model::{Cmdline, Inventory, Profile};
use captain_osie::dropin;

/// `inventory`, with the kernel arguments that each profile's OSIE needs in front of the profile's own. `osies` is
/// the cache's folder of OSIEs, `server` captaind's URL without a slash at the end.
pub(crate) fn with_arguments(inventory: &Inventory, osies: &Path, server: &str) -> Inventory {
    let profiles: BTreeMap<String, Profile> = inventory
        .profiles()
        .map(|profile| (profile.name.clone(), with_own(profile, osies, server)))
        .collect();
    Inventory::new(inventory.machines().to_vec(), profiles, inventory.unknown_machines())
}

fn with_own(profile: &Profile, osies: &Path, server: &str) -> Profile {
    let mut profile = profile.clone();
    let Some(added) = dropin::added(osies, &profile.osie) else { return profile };
    let arguments = added.arguments(server, &format!("{server}/osie/{}", profile.name));
    // Names of profiles and addresses hold nothing that a kernel argument cannot.
    let mut line = Cmdline::parse(&arguments).unwrap_or_default();
    line.extend(&profile.cmdline);
    profile.cmdline = line;
    profile
}

#[cfg(test)]
mod tests {
    use captain_model::UnknownMachines;

    use super::*;

    #[test]
    fn a_profile_that_boots_hook_has_hooks_arguments_before_its_own() {
        let osies = tempfile::tempdir().unwrap();
        std::fs::create_dir(osies.path().join("h")).unwrap();
        let list = r#"{"name": "h", "kind": "hook", "source": "x", "files": []}"#;
        std::fs::write(osies.path().join("h/osie.json"), list).unwrap();
        let hook = Profile { osie: "h".to_owned(), ..Profile::new("hook") };
        let profiles = [Profile::new("default"), hook].map(|profile| (profile.name.clone(), profile));
        let inventory = Inventory::new(Vec::new(), BTreeMap::from(profiles), UnknownMachines::Boot);
        let got = with_arguments(&inventory, osies.path(), "http://s");
        let line = |name: &str| got.profile(name).unwrap().cmdline.to_string();
        assert_eq!(line("hook"), "intel_iommu=on iommu=pt console=tty0 console=ttyS0,115200");
        assert_eq!(line("default"), "console=tty0 console=ttyS0,115200");
    }
}
