//! The command line: one table that drives flags, help, man page and completions.

use std::net::Ipv4Addr;
use std::path::PathBuf;

use captain_model::{DhcpMode, Firmware, Mac};
use clap::{Args, Parser, Subcommand, ValueEnum};

mod api;
mod image;
mod lab;
mod osie;

pub(crate) use api::{ApiArgs, EventsArgs, LogsArgs};
pub(crate) use image::{ImageCommand, ImageImportArgs, ImageListArgs};
pub(crate) use lab::{LabArgs, LabFirmware, LabMedia};
pub(crate) use osie::{
    BuildArgs, BuilderName, CleanArgs, OsieAddArgs, OsieCommand, OsieListArgs, OsieRemoveArgs, PlanArgs,
    RecipeArgs, ShellArgs, SummaryArgs, WhichArgs,
};

/// A netboot appliance for bare metal in one daemon.
///
/// Machines on the network go from power-on to the Tinkerbell agent, running in memory: captaind answers
/// DHCP or ProxyDHCP, serves TFTP and HTTP, builds the in-memory OS (OSIE) they boot, and gives each its own
/// kernel command line.
#[derive(Debug, Parser)]
#[command(name = "captaind", version, propagate_version = true, max_term_width = 110)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the appliance; builds the default OSIE first where there is none
    #[command(after_help = SERVE_EXAMPLE)]
    Serve(ServeArgs),
    /// Build an OSIE: kernel, initramfs and a manifest of everything in them
    #[command(after_help = osie::BUILD_EXAMPLE)]
    Build(BuildArgs),
    /// What is in a built OSIE, and why: packages, sizes, units, kernel modules
    #[command(after_help = "Example: captaind summary --json | jq '.[].manifest.packages[].why'")]
    Summary(SummaryArgs),
    /// Open a shell in an OSIE's root, without root rights; it leaves nothing behind
    #[command(after_help = osie::SHELL_EXAMPLE)]
    Shell(ShellArgs),
    /// Remove what the cache no longer needs: by default downloads and drafts that no lock names
    #[command(after_help = osie::CLEAN_EXAMPLE)]
    Clean(CleanArgs),
    /// OSIEs: those that were built, and those of other makers
    #[command(subcommand)]
    Osie(OsieCommand),
    /// Print what `build` would do; touches nothing
    #[command(after_help = osie::PLAN_EXAMPLE)]
    Plan(PlanArgs),
    /// Boot virtual machines with real firmware in a private network on this box
    #[command(after_help = lab::EXAMPLE)]
    Lab(LabArgs),
    /// Validate the configuration: every fault with its line
    #[command(after_help = "Example: captaind check -c captaind.toml")]
    Check(CheckArgs),
    /// What would this machine be sent, and why
    #[command(after_help = EXPLAIN_EXAMPLE)]
    Explain(ExplainArgs),
    /// Container images that the built-in registry serves
    #[command(subcommand)]
    Image(ImageCommand),
    /// Ask the running daemon how it is
    #[command(after_help = "Example: captaind status --json")]
    Status(ApiArgs),
    /// Machines that the running daemon knows or has seen, and how far each booted
    #[command(after_help = "Example: captaind machines --server http://192.168.50.1:7080")]
    Machines(ApiArgs),
    /// What happened: DHCP replies, transfers, boot stages
    #[command(after_help = "Example: captaind events --follow")]
    Events(EventsArgs),
    /// Syslog messages that machines sent
    #[command(after_help = "Example: captaind logs 52:54:00:00:00:01")]
    Logs(LogsArgs),
    /// Print completions for a shell
    #[command(after_help = "Example: captaind completions bash > /etc/bash_completion.d/captaind")]
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page
    #[command(after_help = "Example: captaind man | man -l -")]
    Man,
}

const SERVE_EXAMPLE: &str = "\
Examples:
  captaind serve                               everything by default, on the interface with the default route
  captaind serve -i eth1 --mode dynamic        give out addresses on eth1
  captaind serve -i eth1 --mode auto-proxy     beside the network's own DHCP server";

const EXPLAIN_EXAMPLE: &str = "\
Examples:
  captaind explain 52:54:00:00:00:01 --firmware uefi --stage cmdline
  captaind explain --pcap boot.pcap            each DHCP packet of a capture, and what captaind would do
  captaind explain --pcap boot.pcap 52:54:00:00:00:01";

/// Which configuration.
#[derive(Args, Clone, Debug)]
pub(crate) struct ConfigArgs {
    /// Configuration file [default: ./captaind.toml, else /etc/captaind/captaind.toml, else none]
    #[arg(short, long, value_name = "FILE", env = "CAPTAIND_CONFIG")]
    pub(crate) config: Option<PathBuf>,
}

/// Where files are kept.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct CacheArgs {
    /// Downloads, built OSIEs and images [default: /var/cache/captaind, or ~/.cache/captaind]
    #[arg(long, value_name = "DIR", env = "CAPTAIND_CACHE_DIR")]
    pub(crate) cache_dir: Option<PathBuf>,
}

/// Which configuration, and where files are kept: what nearly every command is told.
#[derive(Args, Clone, Debug)]
pub(crate) struct SiteArgs {
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
    #[command(flatten)]
    pub(crate) cache: CacheArgs,
}

#[derive(Args, Debug)]
pub(crate) struct ServeArgs {
    #[command(flatten)]
    pub(crate) site: SiteArgs,
    /// Interface to serve on; may be repeated [default: the one with the default route]
    #[arg(short, long, value_name = "IFACE", env = "CAPTAIND_INTERFACE", value_delimiter = ',')]
    pub(crate) interface: Vec<String>,
    /// DHCP mode
    #[arg(long, value_enum, env = "CAPTAIND_MODE")]
    pub(crate) mode: Option<ModeName>,
    /// Leases and history [default: /var/lib/captaind, or ~/.local/state/captaind]
    #[arg(long, value_name = "DIR", env = "CAPTAIND_STATE_DIR")]
    pub(crate) state_dir: Option<PathBuf>,
    /// Log lines as JSON
    #[arg(long, env = "CAPTAIND_JSON")]
    pub(crate) json: bool,
    /// The files are there: build nothing (the lab's daemon has no mirror)
    #[arg(long, hide = true)]
    pub(crate) prepared: bool,
}

#[derive(Args, Debug)]
pub(crate) struct CheckArgs {
    #[command(flatten)]
    pub(crate) site: SiteArgs,
    /// Print the faults as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args, Debug)]
pub(crate) struct ExplainArgs {
    #[command(flatten)]
    pub(crate) site: SiteArgs,
    /// The machine's MAC address, in any spelling; with --pcap, only its packets
    #[arg(required_unless_present = "pcap")]
    pub(crate) mac: Option<Mac>,
    /// Capture of a network (tcpdump -w): what would captaind do about each DHCP packet in it
    #[arg(long, value_name = "FILE", conflicts_with_all = ["firmware", "stage", "relay"])]
    pub(crate) pcap: Option<PathBuf>,
    /// Firmware that asks
    #[arg(long, default_value = "bios")]
    pub(crate) firmware: Firmware,
    /// Which part of the boot
    #[arg(long, value_enum, default_value = "all")]
    pub(crate) stage: ExplainStage,
    /// Address of the relay that forwards the request
    #[arg(long, value_name = "IP")]
    pub(crate) relay: Option<Ipv4Addr>,
    /// DHCP mode, instead of the configuration's
    #[arg(long, value_enum)]
    pub(crate) mode: Option<ModeName>,
    /// Print it as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// [`DhcpMode`] on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ModeName {
    Auto,
    Dynamic,
    Reservation,
    Proxy,
    AutoProxy,
    Disabled,
}

impl From<ModeName> for DhcpMode {
    fn from(name: ModeName) -> Self {
        match name {
            ModeName::Auto => Self::Auto,
            ModeName::Dynamic => Self::Dynamic,
            ModeName::Reservation => Self::Reservation,
            ModeName::Proxy => Self::Proxy,
            ModeName::AutoProxy => Self::AutoProxy,
            ModeName::Disabled => Self::Disabled,
        }
    }
}

/// What `explain` prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ExplainStage {
    /// The DHCP reply, option by option
    Dhcp,
    /// The boot script
    Script,
    /// The kernel command line
    Cmdline,
    /// All of them
    All,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_table_of_commands_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn explain_wants_a_machine_or_a_capture() {
        let parse = |words: &str| Cli::try_parse_from(words.split(' ')).is_ok();
        assert!(parse("captaind explain 525400000001 --firmware uefi"));
        assert!(parse("captaind explain --pcap x.pcap"));
        assert!(parse("captaind explain --pcap x.pcap 525400000001"));
        assert!(!parse("captaind explain"));
        assert!(!parse("captaind explain --pcap x.pcap --firmware uefi"));
    }

    #[test]
    fn every_command_shows_an_example() {
        fn walk(command: &clap::Command) {
            for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
                let groups = sub.has_subcommands();
                let example = sub.get_after_help().is_some_and(|help| help.to_string().contains("Example"));
                assert!(groups || example, "`{}` has no example", sub.get_name());
                walk(sub);
            }
        }
        walk(&Cli::command());
    }
}
