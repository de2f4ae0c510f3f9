//! One boot of one machine: its stages, and whether it may happen at all.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Identifies one boot attempt of one machine; unique within a state directory. Shown as `b` and hex digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BootId(pub u64);

impl fmt::Display for BootId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "b{:x}", self.0)
    }
}

impl std::str::FromStr for BootId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.strip_prefix('b')
            .and_then(|hex| u64::from_str_radix(hex, 16).ok())
            .map(Self)
            .ok_or_else(|| format!("`{text}` is not a boot id (such as b1f)"))
    }
}

impl Serialize for BootId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for BootId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A boot's id with a proof of it, as its machine is told it (`captain_boot=`): who knows the proof was told so.
/// Shown as `b1f-0123456789abcdef`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BootTicket {
    /// Which boot; 0 where what the machine was told does not belong to one of its boots (an ISO).
    pub boot: BootId,
    /// The proof.
    pub proof: u64,
}

impl fmt::Display for BootTicket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{:016x}", self.boot, self.proof)
    }
}

impl std::str::FromStr for BootTicket {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once('-').and_then(|(boot, proof)| {
            Some(Self { boot: boot.parse().ok()?, proof: u64::from_str_radix(proof, 16).ok()? })
        });
        parts.ok_or_else(|| format!("`{text}` is not a boot ticket (such as b1f-0123456789abcdef)"))
    }
}

/// How far a boot has come. Ordered: a later stage is greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BootStage {
    /// The firmware asked for an address or a boot server.
    Dhcp,
    /// The boot loader was fetched.
    Loader,
    /// The machine's script was fetched.
    Script,
    /// The kernel was fetched.
    Kernel,
    /// The initramfs was fetched.
    Initramfs,
    /// systemd in the OSIE is up and has an address.
    Userland,
    /// The agent runs.
    Agent,
}

impl BootStage {
    /// Every stage, in order.
    pub const ALL: [Self; 7] =
        [Self::Dhcp, Self::Loader, Self::Script, Self::Kernel, Self::Initramfs, Self::Userland, Self::Agent];

    /// The name in configuration, JSON and on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Dhcp => "dhcp",
            Self::Loader => "loader",
            Self::Script => "script",
            Self::Kernel => "kernel",
            Self::Initramfs => "initramfs",
            Self::Userland => "userland",
            Self::Agent => "agent",
        }
    }
}

impl fmt::Display for BootStage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl std::str::FromStr for BootStage {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|stage| stage.name() == text).ok_or_else(|| {
            let names: Vec<_> = Self::ALL.iter().map(|stage| stage.name()).collect();
            format!("`{text}` is not a boot stage: use one of {}", names.join(", "))
        })
    }
}

/// When a machine may netboot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BootPolicy {
    /// Every time it asks.
    #[default]
    Always,
    /// One boot, counted when its initramfs was handed out.
    Once,
    /// Until the OSIE reported `done`.
    UntilDone,
    /// Not at all.
    Never,
}

/// What a machine is told that must not netboot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LocalBoot {
    /// iPXE exits with an error, so that the firmware tries its next boot device.
    #[default]
    Exit,
    /// iPXE boots the first disk (`sanboot --no-describe --drive 0x80`).
    Sanboot,
    /// No answer at all, so that the firmware times out and goes on.
    Silence,
    /// The machine is switched off.
    Poweroff,
}
