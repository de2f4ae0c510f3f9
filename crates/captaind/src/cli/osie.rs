//! Arguments of the commands that make OSIEs and look after them.

use std::path::PathBuf;

use captain_debian::Sha256;
use captain_model::Arch;
use captain_osie::OutputFormat;
use clap::{Args, Subcommand, ValueEnum};

use super::SiteArgs;

pub(super) const BUILD_EXAMPLE: &str = "\
Examples:
  captaind build -o out                        vmlinuz-x86_64, initramfs-x86_64 and their manifest in out/
  captaind build --profile rack --level 19     the OSIE that profile `rack` names, as small as it gets
  captaind build --profile slim                the shipped recipe with nothing that the agent does not need
  captaind build --arch amd64,arm64            for both, wherever it is built
  captaind build --kernel ./my-kernel          vmlinuz and lib/modules (or modules) of your own, from that folder
  captaind build --kernel source               compile the kernel in a container; --builder host does without one
  captaind build --update                      renew the lock and say which packages changed
  captaind build --format tar,uki,iso          also the archive of Hook's installations, a UKI, an ISO
  captaind build --bundle site.tar             lock and inputs, for `captaind build --from-bundle site.tar`";

pub(super) const PLAN_EXAMPLE: &str = "Example: captaind plan --json | jq -r '.[].steps[0].packages[].name'";

#[derive(Args, Clone, Debug)]
pub(crate) struct RecipeArgs {
    #[command(flatten)]
    pub(crate) site: SiteArgs,
    /// CPU architecture; may be repeated [default: amd64]
    #[arg(long, env = "CAPTAIND_ARCH", value_delimiter = ',')]
    pub(crate) arch: Vec<Arch>,
    /// Build the OSIE that this profile names, or the recipe of this name: default, slim, debug
    #[arg(long, value_name = "PROFILE", env = "CAPTAIND_PROFILE", default_value = "default")]
    pub(crate) profile: String,
    /// Kernel: debian, source, or a vmlinuz (or a folder with it) and its modules [default: what the recipe says]
    #[arg(long, value_name = "debian|source|PATH", env = "CAPTAIND_KERNEL")]
    pub(crate) kernel: Option<String>,
    /// Where a kernel from source is compiled [default: as locked, else container]
    #[arg(long, value_enum, env = "CAPTAIND_BUILDER")]
    pub(crate) builder: Option<BuilderName>,
    /// Sources of that kernel: a folder or a tarball [default: as locked, else the suite's linux-source package]
    #[arg(long, value_name = "PATH", env = "CAPTAIND_KERNEL_SRC")]
    pub(crate) kernel_src: Option<PathBuf>,
    /// Options of that kernel: a folder with *.config files in place of captaind's own
    #[arg(long, value_name = "DIR", env = "CAPTAIND_KERNEL_CONFIGS")]
    pub(crate) kernel_configs: Option<PathBuf>,
    /// zstd level; 19 for the smallest image, lower for a faster build
    #[arg(long, env = "CAPTAIND_LEVEL", value_parser = clap::value_parser!(i32).range(1..=22))]
    pub(crate) level: Option<i32>,
    /// Use only what the cache holds
    #[arg(long, env = "CAPTAIND_OFFLINE")]
    pub(crate) offline: bool,
    /// Debug image of any recipe: root on the consoles without a password, and tools, as in recipe `debug`
    #[arg(long, env = "CAPTAIND_DEBUG")]
    pub(crate) debug: bool,
    /// What to pack it into, beside kernel and initramfs; may be repeated
    #[arg(
        long,
        value_name = "FORMAT",
        env = "CAPTAIND_FORMAT",
        value_delimiter = ',',
        default_value = "initramfs"
    )]
    pub(crate) format: Vec<OutputFormat>,
    /// More kernel arguments in a UKI, after those of the profile
    #[arg(long, value_name = "ARGUMENTS", env = "CAPTAIND_CMDLINE")]
    pub(crate) cmdline: Option<String>,
}

/// Where kernels are compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum BuilderName {
    /// In a container (Docker or Podman; DOCKER_HOST is honoured), with Debian's compiler
    Container,
    /// On this machine, with its own compiler
    Host,
}

#[derive(Args, Debug)]
pub(crate) struct BuildArgs {
    #[command(flatten)]
    pub(crate) recipe: RecipeArgs,
    /// Where the image goes [default: the cache, where `serve` looks for it]
    #[arg(short, long, value_name = "DIR", env = "CAPTAIND_OUTPUT")]
    pub(crate) output: Option<PathBuf>,
    /// Renew the lock: take the packages that the mirror has now, and print what changed
    #[arg(long, env = "CAPTAIND_UPDATE", conflicts_with = "from_bundle")]
    pub(crate) update: bool,
    /// Write the lock and all inputs to a file for a place without a network, and build nothing
    #[arg(long, value_name = "FILE", conflicts_with = "from_bundle")]
    pub(crate) bundle: Option<PathBuf>,
    /// Build what is in a bundle, without a network
    #[arg(long, value_name = "FILE", conflicts_with_all = ["arch", "debug"])]
    pub(crate) from_bundle: Option<PathBuf>,
    /// Print the manifest as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args, Debug)]
pub(crate) struct PlanArgs {
    #[command(flatten)]
    pub(crate) recipe: RecipeArgs,
    /// Plan with the packages that the mirror has now, and print what `build --update` would change
    #[arg(long, env = "CAPTAIND_UPDATE")]
    pub(crate) update: bool,
    /// Print the plan as JSON: a list, with one plan for each architecture
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum OsieCommand {
    /// Take in the artifacts of CaptainOS, Hook, classic OSIE, or your own: profiles boot them by this name
    #[command(after_help = ADD_EXAMPLE)]
    Add(OsieAddArgs),
    /// List the OSIEs in the cache
    #[command(after_help = "Example: captaind osie list --json")]
    List(OsieListArgs),
    /// Remove an OSIE from the cache
    #[command(after_help = "Example: captaind osie remove hook")]
    Remove(OsieRemoveArgs),
}

const ADD_EXAMPLE: &str = "\
Examples:
  captaind osie add hook hook_x86_64.tar.gz
  captaind osie add captainos ./out
  captaind osie add hook https://example.org/hook_x86_64.tar.gz --sha256 3f5a...

Then, in captaind.toml: [profile.default] osie = \"hook\". The kernel arguments that it needs are added by captaind.";

#[derive(Args, Debug)]
pub(crate) struct OsieAddArgs {
    #[command(flatten)]
    pub(crate) site: SiteArgs,
    /// What profiles call it
    pub(crate) name: String,
    /// Folder, archive (tar; also packed by gzip, zstd, xz), or URL of an archive
    pub(crate) source: String,
    /// What the archive at a URL must be; without it you are told what it is, and nothing is taken in
    #[arg(long, value_name = "SHA256", env = "CAPTAIND_SHA256")]
    pub(crate) sha256: Option<Sha256>,
    /// Print what was taken in as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args, Debug)]
pub(crate) struct OsieListArgs {
    #[command(flatten)]
    pub(crate) site: SiteArgs,
    /// Print the list as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args, Debug)]
pub(crate) struct OsieRemoveArgs {
    #[command(flatten)]
    pub(crate) site: SiteArgs,
    /// Its name
    pub(crate) name: String,
}

/// Which OSIE.
#[derive(Args, Debug)]
pub(crate) struct WhichArgs {
    #[command(flatten)]
    pub(crate) site: SiteArgs,
    /// Name of an OSIE in the cache, or a folder with one (written with a `/`)
    #[arg(long, value_name = "NAME|DIR", env = "CAPTAIND_OSIE", default_value = "default")]
    pub(crate) osie: String,
}

#[derive(Args, Debug)]
pub(crate) struct SummaryArgs {
    #[command(flatten)]
    pub(crate) which: WhichArgs,
    /// CPU architecture; may be repeated
    #[arg(long, env = "CAPTAIND_ARCH", value_delimiter = ',', default_value = "amd64")]
    pub(crate) arch: Vec<Arch>,
    /// Print it as JSON: a list, with one document for each architecture
    #[arg(long)]
    pub(crate) json: bool,
}

pub(super) const SHELL_EXAMPLE: &str = "\
Examples:
  captaind shell                               look around in the default OSIE
  captaind shell --osie slim -- systemctl list-unit-files --state=enabled";

#[derive(Args, Debug)]
pub(crate) struct ShellArgs {
    #[command(flatten)]
    pub(crate) which: WhichArgs,
    /// What to run instead of a shell
    #[arg(last = true, value_name = "CMD")]
    pub(crate) command: Vec<String>,
}

pub(super) const CLEAN_EXAMPLE: &str = "\
Examples:
  captaind clean --dry-run                     what would go, and how much that is
  captaind clean --downloads --osies           also what locks still name, and every built OSIE

Leases and history (the state folder), locks beside a configuration, and images of the registry always stay.";

#[derive(Args, Debug)]
pub(crate) struct CleanArgs {
    #[command(flatten)]
    pub(crate) site: SiteArgs,
    /// The state folder, should it lie in the cache: it stays
    #[arg(long, value_name = "DIR", env = "CAPTAIND_STATE_DIR")]
    pub(crate) state_dir: Option<PathBuf>,
    /// All downloads, built and added OSIEs, compiled kernels, and boot loaders
    #[arg(long, env = "CAPTAIND_ALL")]
    pub(crate) all: bool,
    /// All downloads
    #[arg(long, env = "CAPTAIND_DOWNLOADS")]
    pub(crate) downloads: bool,
    /// All OSIEs that were built
    #[arg(long, env = "CAPTAIND_OSIES")]
    pub(crate) osies: bool,
    /// Only say what would go
    #[arg(long, env = "CAPTAIND_DRY_RUN")]
    pub(crate) dry_run: bool,
    /// Print what goes as JSON
    #[arg(long)]
    pub(crate) json: bool,
}
