//! What a lab is asked to do.

use std::path::PathBuf;
use std::time::Duration;

use captain_model::{BootStage, Cmdline, DhcpMode, Mac};

use crate::firmware::LabFirmware;
use crate::media::Media;

/// One run of the lab.
#[derive(Clone, Debug)]
pub struct LabOptions {
    /// The captaind that is started inside: `serve` is run on it.
    pub daemon: PathBuf,
    /// Its cache, with the OSIEs, boot loaders and images that it serves.
    pub cache_dir: PathBuf,
    /// The user's captaind.toml; empty where there is none. See [`crate::config::merge`].
    pub config: toml::Table,
    /// The folder that relative paths in `config` start from.
    pub config_dir: PathBuf,
    /// How many machines of each firmware.
    pub machines: usize,
    /// Which firmware, in order; the machines' MACs follow this order.
    pub firmware: Vec<LabFirmware>,
    /// What the machines boot from.
    pub media: Media,
    /// The stage that every machine has to reach.
    pub until: BootStage,
    /// How long all of it may take.
    pub timeout: Duration,
    /// How captaind serves DHCP. In the proxy modes the lab has another DHCP server on its network (dnsmasq).
    pub mode: DhcpMode,
    /// Kernel arguments added to every profile.
    pub append: Cmdline,
    /// A folder with the OSIE to boot, instead of what the profiles name.
    pub osie: Option<PathBuf>,
    /// Whether captaind's own registry runs.
    pub registry: bool,
    /// Whether the agent is the lab's stand-in, which reports its flags and environment: then
    /// [`BootStage::Agent`] is reached by that report, and by the OSIE's word otherwise.
    pub stand_in: bool,
    /// Memory of each machine, MiB.
    pub memory_mib: u32,
    /// Processors of each machine.
    pub cpus: u32,
    /// How many machines may boot at the same time; as many as this box has processors, at least two,
    /// where nothing is said.
    pub parallel: Option<usize>,
    /// Where to write every frame of the network, in pcap format.
    pub pcap: Option<PathBuf>,
    /// Keep the run's folder (configuration, logs, consoles) also when all went well.
    pub keep: bool,
    /// Progress lines go to standard error, because standard output is to hold one JSON document.
    pub json: bool,
}

impl LabOptions {
    /// One BIOS and one UEFI machine, up to the agent.
    pub fn new(daemon: impl Into<PathBuf>, cache_dir: impl Into<PathBuf>) -> Self {
        Self {
            daemon: daemon.into(),
            cache_dir: cache_dir.into(),
            config: toml::Table::new(),
            config_dir: PathBuf::from("."),
            machines: 1,
            firmware: vec![LabFirmware::Bios, LabFirmware::Uefi],
            media: Media::Network,
            until: BootStage::Agent,
            timeout: Duration::from_secs(600),
            mode: DhcpMode::Dynamic,
            append: Cmdline::new(),
            osie: None,
            registry: true,
            stand_in: true,
            memory_mib: 2048,
            cpus: 1,
            parallel: None,
            pcap: None,
            keep: false,
            json: false,
        }
    }

    /// The machines: all of the first firmware, then all of the second, with MACs counted from
    /// `52:54:00:00:00:01`.
    pub fn roster(&self) -> Vec<(Mac, LabFirmware)> {
        let kinds = self.firmware.iter().flat_map(|kind| std::iter::repeat_n(*kind, self.machines));
        kinds.enumerate().map(|(at, kind)| (machine_mac(at), kind)).collect()
    }

    /// [`LabOptions::parallel`], or its default on this box.
    pub fn parallelism(&self) -> usize {
        let cpus = std::thread::available_parallelism().map_or(1, usize::from);
        self.parallel.unwrap_or(cpus.max(2)).max(1)
    }
}

/// The MAC of the machine at place `at` (from 0): QEMU's prefix and a count from 1.
pub fn machine_mac(at: usize) -> Mac {
    let number = (at as u32).wrapping_add(1).to_be_bytes();
    Mac::new([0x52, 0x54, 0, number[1], number[2], number[3]])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machines_are_counted_firmware_by_firmware() {
        let mut options = LabOptions::new("captaind", "cache");
        options.machines = 2;
        let roster: Vec<_> = options.roster().into_iter().map(|(mac, f)| format!("{mac} {f}")).collect();
        assert_eq!(
            roster,
            [
                "52:54:00:00:00:01 bios",
                "52:54:00:00:00:02 bios",
                "52:54:00:00:00:03 uefi",
                "52:54:00:00:00:04 uefi"
            ]
        );
        assert_eq!(machine_mac(255).to_string(), "52:54:00:00:01:00");
    }
}
