//! Machines and the profiles they boot by.

use std::net::Ipv4Addr;

use crate::{AgentSettings, Arch, BootPolicy, Cmdline, LocalBoot, Mac};

/// One physical or virtual box, known by its MAC(s).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    /// All its addresses; never empty. The first is its name in the API and its default worker id.
    pub macs: Vec<Mac>,
    /// The operator's name for it.
    pub name: Option<String>,
    /// Fixed lease.
    pub address: Option<Ipv4Addr>,
    /// Name of its profile; `default` where none is given.
    pub profile: Option<String>,
    /// CPU, where the firmware's word is not to be trusted.
    pub arch: Option<Arch>,
    /// Whether it may netboot at all.
    pub netboot: bool,
    /// 802.1Q id of its provisioning network: `vlan_id=`, and option 43 sub-option 116.
    pub vlan: Option<u16>,
    /// `worker_id`; the MAC where none is given.
    pub worker_id: Option<String>,
    /// Boot loader file, instead of the firmware's default.
    pub loader: Option<String>,
    /// Overrides the profile's policy.
    pub boot: Option<BootPolicy>,
    /// Overrides the profile's local boot way.
    pub local_boot: Option<LocalBoot>,
    /// `ipam=`: static network settings for the OSIE.
    pub ipam: Option<String>,
    /// Option 66/siaddr verbatim, instead of everything captaind would say.
    pub next_server: Option<Ipv4Addr>,
    /// Option 67/file verbatim, instead of everything captaind would say.
    pub filename: Option<String>,
    /// Own kernel arguments; they come last and win.
    pub cmdline: Cmdline,
    /// Overrides the profile's agent settings, key by key.
    pub agent: AgentSettings,
}

impl Machine {
    /// A machine with this address and nothing said about it.
    pub fn new(mac: Mac) -> Self {
        Self {
            macs: vec![mac],
            name: None,
            address: None,
            profile: None,
            arch: None,
            netboot: true,
            vlan: None,
            worker_id: None,
            loader: None,
            boot: None,
            local_boot: None,
            ipam: None,
            next_server: None,
            filename: None,
            cmdline: Cmdline::new(),
            agent: AgentSettings::default(),
        }
    }

    /// Its first address.
    pub fn mac(&self) -> Mac {
        self.macs[0]
    }
}

/// A named recipe of a boot: which Osie, which kernel arguments, which agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// Its name; `default` applies where a machine names none.
    pub name: String,
    /// A built OSIE's name, or a folder or URL with `vmlinuz-<arch>` and `initramfs-<arch>`.
    pub osie: String,
    /// Kernel arguments that come first.
    pub cmdline: Cmdline,
    /// When its machines may netboot.
    pub boot: BootPolicy,
    /// What its machines are told when they may not.
    pub local_boot: LocalBoot,
    /// Boot loader file, instead of the firmware's default.
    pub loader: Option<String>,
    /// The agent.
    pub agent: AgentSettings,
}

impl Profile {
    /// The name of the profile that applies where a machine names none.
    pub const DEFAULT: &'static str = "default";
    /// Kernel arguments where a profile lists none: the first screen and the first serial port.
    pub const DEFAULT_CMDLINE: [&'static str; 2] = ["console=tty0", "console=ttyS0,115200"];

    /// A profile of this name with nothing configured.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            osie: "default".to_owned(),
            cmdline: Cmdline::parse(Self::DEFAULT_CMDLINE).unwrap_or_default(),
            boot: BootPolicy::default(),
            local_boot: LocalBoot::default(),
            loader: None,
            agent: AgentSettings::default(),
        }
    }
}
