//! Arguments of `captaind lab`.

use std::path::PathBuf;
use std::time::Duration;

use captain_model::BootStage;
use clap::{Args, ValueEnum};

use super::{ModeName, SiteArgs};

pub(super) const EXAMPLE: &str = "\
Examples:
  captaind lab                                 one BIOS machine, from power-on to the agent
  captaind lab --machines 2 --firmware bios --firmware uefi --firmware uefi-http --json
  captaind lab --agent-image tink-agent.tar    with a real agent image (docker save)
  captaind lab --media cd --firmware bios,uefi from the ISO that captaind has for each machine

The machines' MACs are 52:54:00:00:00:01, :02, ... in the order of --firmware, --machines of each: [[machine]]
tables of captaind.toml apply to them. The network, 192.168.50.0/24, is the lab's own; captaind is 192.168.50.1.";

#[derive(Args, Debug)]
pub(crate) struct LabArgs {
    #[command(flatten)]
    pub(crate) site: SiteArgs,
    /// Machines of each firmware
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=32))]
    pub(crate) machines: u8,
    /// Firmware of the machines; may be repeated [default: bios]
    #[arg(long, value_enum, value_delimiter = ',')]
    pub(crate) firmware: Vec<LabFirmware>,
    /// What the machines boot from
    #[arg(long, value_enum, default_value = "network")]
    pub(crate) media: LabMedia,
    /// The stage that every machine has to reach
    #[arg(long, value_name = "STAGE", default_value = "agent")]
    pub(crate) until: BootStage,
    /// How long the whole lab may take
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = duration)]
    pub(crate) timeout: Duration,
    /// Print the result as one JSON document
    #[arg(long)]
    pub(crate) json: bool,
    /// More kernel arguments for every machine
    #[arg(long, value_name = "ARGUMENTS")]
    pub(crate) append: Option<String>,
    /// DHCP mode; the proxy modes run dnsmasq as the network's DHCP server
    #[arg(long, value_enum, default_value = "dynamic")]
    pub(crate) mode: ModeName,
    /// Folder with vmlinuz-<arch> and initramfs-<arch> [default: the default OSIE, built where there is none]
    #[arg(long, value_name = "DIR")]
    pub(crate) osie: Option<PathBuf>,
    /// Image archive of a real agent (docker save, OCI layout) [default: a stand-in that reports back]
    #[arg(long, value_name = "FILE")]
    pub(crate) agent_image: Option<PathBuf>,
    /// Run the daemon without its registry, to see what a machine says that cannot pull its agent
    #[arg(long)]
    pub(crate) no_registry: bool,
    /// Memory of each machine, MiB
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u32).range(512..))]
    pub(crate) memory: Option<u32>,
    /// Machines that boot at the same time [default: one for each CPU, at least 2]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) parallel: Option<u16>,
    /// Write every frame on the lab's network to a capture file
    #[arg(long, value_name = "FILE")]
    pub(crate) pcap: Option<PathBuf>,
    /// Keep the run's folder (consoles, configuration, state) also when all went well
    #[arg(long)]
    pub(crate) keep: bool,
    /// The files are there: enter the private network (captaind starts itself with this)
    #[arg(long, hide = true)]
    pub(crate) prepared: bool,
}

/// Firmware of a lab machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LabFirmware {
    /// SeaBIOS with an iPXE option ROM
    Bios,
    /// OVMF, booting by PXE
    Uefi,
    /// OVMF, booting by HTTP
    UefiHttp,
    /// An arm64 machine: AAVMF, booting by PXE
    Arm64,
}

/// What lab machines boot from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LabMedia {
    /// Their network card
    Network,
    /// A CD: the ISO that captaind has for each, as virtual media of a management controller
    Cd,
    /// That ISO on a USB stick
    Usb,
}

fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|error| format!("{error}: write a time such as 90s or 10m"))
}
