//! All machines, all profiles, and the rule for machines that nobody listed.

use std::collections::{BTreeMap, HashMap};
use std::net::Ipv4Addr;

use crate::{AgentSettings, BootPolicy, LocalBoot, Mac, Machine, Profile, UnknownMachines};

/// All machines and profiles. Immutable: a reload makes a new one.
#[derive(Clone, Debug)]
pub struct Inventory {
    machines: Vec<Machine>,
    profiles: BTreeMap<String, Profile>,
    default_profile: Profile,
    unknown: UnknownMachines,
    by_mac: HashMap<Mac, usize>,
    by_address: HashMap<Ipv4Addr, usize>,
}

/// Who a MAC belongs to.
#[derive(Clone, Copy, Debug)]
pub enum Identity<'a> {
    /// A machine of the inventory and its profile.
    Known(&'a Machine, &'a Profile),
    /// Not listed; the default profile applies as far as [`UnknownMachines`] lets it.
    Unknown(&'a Profile),
}

impl Inventory {
    /// Indexes `machines` by MAC and fixed address. The default profile is `profiles["default"]`, or an empty one.
    /// Where two machines share a MAC the first has it: the configuration has refused that already.
    pub fn new(
        machines: Vec<Machine>,
        profiles: BTreeMap<String, Profile>,
        unknown: UnknownMachines,
    ) -> Self {
        let mut by_mac = HashMap::new();
        let mut by_address = HashMap::new();
        for (at, machine) in machines.iter().enumerate() {
            for mac in &machine.macs {
                by_mac.entry(*mac).or_insert(at);
            }
            if let Some(address) = machine.address {
                by_address.entry(address).or_insert(at);
            }
        }
        let default_profile =
            profiles.get(Profile::DEFAULT).cloned().unwrap_or_else(|| Profile::new(Profile::DEFAULT));
        Self { machines, profiles, default_profile, unknown, by_mac, by_address }
    }

    /// No machines, the default profile, and everyone boots.
    pub fn empty() -> Self {
        Self::new(Vec::new(), BTreeMap::new(), UnknownMachines::Boot)
    }

    /// Who `mac` is.
    pub fn identify(&self, mac: Mac) -> Identity<'_> {
        match self.machine(mac) {
            Some(machine) => Identity::Known(machine, self.profile_of(machine)),
            None => Identity::Unknown(&self.default_profile),
        }
    }

    /// The listed machine with this MAC.
    pub fn machine(&self, mac: Mac) -> Option<&Machine> {
        self.by_mac.get(&mac).map(|at| &self.machines[*at])
    }

    /// Whether both are cards of one machine.
    pub fn is_one(&self, mac: Mac, other: Mac) -> bool {
        mac == other || self.machine(mac).is_some_and(|machine| machine.macs.contains(&other))
    }

    /// The listed machine whose fixed address this is.
    pub fn machine_at(&self, address: Ipv4Addr) -> Option<&Machine> {
        self.by_address.get(&address).map(|at| &self.machines[*at])
    }

    /// The profile of `machine`; the default where it names none (or one that does not exist, which the
    /// configuration refuses).
    pub fn profile_of(&self, machine: &Machine) -> &Profile {
        machine.profile.as_ref().and_then(|name| self.profiles.get(name)).unwrap_or(&self.default_profile)
    }

    /// The profile called `name`; `default` always exists.
    pub fn profile(&self, name: &str) -> Option<&Profile> {
        self.profiles.get(name).or_else(|| (name == Profile::DEFAULT).then_some(&self.default_profile))
    }

    /// All machines, in the order of the configuration.
    pub fn machines(&self) -> &[Machine] {
        &self.machines
    }

    /// All profiles that a machine can end up with, by name; the default first where it is not listed.
    pub fn profiles(&self) -> impl Iterator<Item = &Profile> {
        let implied = (!self.profiles.contains_key(Profile::DEFAULT)).then_some(&self.default_profile);
        implied.into_iter().chain(self.profiles.values())
    }

    /// The rule for machines that are not listed.
    pub fn unknown_machines(&self) -> UnknownMachines {
        self.unknown
    }
}

impl<'a> Identity<'a> {
    /// The listed machine.
    pub fn machine(&self) -> Option<&'a Machine> {
        match self {
            Self::Known(machine, _) => Some(machine),
            Self::Unknown(_) => None,
        }
    }

    /// The profile that applies.
    pub fn profile(&self) -> &'a Profile {
        match self {
            Self::Known(_, profile) | Self::Unknown(profile) => profile,
        }
    }

    /// The agent settings in force: the machine's over the profile's.
    pub fn agent(&self) -> AgentSettings {
        match self {
            Self::Known(machine, profile) => machine.agent.over(&profile.agent),
            Self::Unknown(profile) => profile.agent.clone(),
        }
    }

    /// The boot policy in force; `netboot = false` is `Never`.
    pub fn boot_policy(&self) -> BootPolicy {
        match self {
            Self::Known(machine, _) if !machine.netboot => BootPolicy::Never,
            Self::Known(machine, profile) => machine.boot.unwrap_or(profile.boot),
            Self::Unknown(profile) => profile.boot,
        }
    }

    /// What the machine is told when it may not netboot.
    pub fn local_boot(&self) -> LocalBoot {
        self.machine().and_then(|machine| machine.local_boot).unwrap_or(self.profile().local_boot)
    }

    /// The boot loader that the machine or its profile names.
    pub fn loader(&self) -> Option<&'a str> {
        self.machine().and_then(|machine| machine.loader.as_deref()).or(self.profile().loader.as_deref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mac(last: u8) -> Mac {
        Mac::new([2, 0, 0, 0, 0, last])
    }

    #[test]
    fn a_machine_is_found_by_any_of_its_macs_and_falls_back_to_the_default_profile() {
        let mut machine = Machine::new(mac(1));
        machine.macs.push(mac(2));
        machine.profile = Some("rack".into());
        let profiles = BTreeMap::from([("rack".to_owned(), Profile::new("rack"))]);
        let inventory =
            Inventory::new(vec![machine, Machine::new(mac(3))], profiles, UnknownMachines::Ignore);
        assert_eq!(inventory.identify(mac(2)).profile().name, "rack");
        assert_eq!(inventory.identify(mac(3)).profile().name, "default");
        assert!(matches!(inventory.identify(mac(4)), Identity::Unknown(p) if p.name == "default"));
        assert_eq!(inventory.profiles().map(|p| p.name.as_str()).collect::<Vec<_>>(), ["default", "rack"]);
    }

    #[test]
    fn netboot_false_is_never_whatever_the_policy_says() {
        let mut machine = Machine::new(mac(1));
        machine.boot = Some(BootPolicy::Always);
        machine.netboot = false;
        let inventory = Inventory::new(vec![machine], BTreeMap::new(), UnknownMachines::Boot);
        assert_eq!(inventory.identify(mac(1)).boot_policy(), BootPolicy::Never);
        assert_eq!(inventory.identify(mac(9)).boot_policy(), BootPolicy::Always);
    }
}
