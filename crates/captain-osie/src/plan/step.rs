//! The steps of a build, and how each is told.

use std::fmt;
use std::path::PathBuf;

use captain_model::{Cmdline, Tool};
use serde::Serialize;

use crate::accounts::RootLogin;
use crate::containers::Container;
use crate::formats::OutputFormat;
use crate::manifest::PackageRef;
use crate::overlay::OverlaySource;
use crate::tools;

/// One piece of work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "step", rename_all = "kebab-case")]
pub enum Step {
    /// Download and verify.
    Fetch {
        /// The packages, sorted by name.
        packages: Vec<PackageRef>,
    },
    /// Put packages into the tree.
    Unpack {
        /// Names, in this order.
        packages: Vec<String>,
    },
    /// Take the kernel out of its package.
    Kernel {
        /// Its name.
        package: String,
    },
    /// Take a kernel that is not a package.
    LocalKernel {
        /// The vmlinuz, or a folder with it.
        path: PathBuf,
    },
    /// Choose kernel modules and write kmod's indices.
    Modules {
        /// Groups and names.
        wanted: Vec<String>,
    },
    /// Folders, device nodes, links: what maintainer scripts would have made.
    Skeleton,
    /// Put programs from elsewhere into the tree.
    Tools {
        /// Which.
        tools: Vec<Tool>,
    },
    /// Lay files over the tree.
    Overlay {
        /// Which.
        source: OverlaySource,
    },
    /// Let these keys log in as root by SSH.
    SshKeys {
        /// Lines of `authorized_keys`.
        keys: Vec<String>,
    },
    /// Put container images into the tree, each with a unit that runs it.
    Containers {
        /// Which.
        containers: Vec<Container>,
    },
    /// `/etc/passwd` and its kin, from the packages' sysusers.d.
    Accounts {
        /// How root may log in.
        root: RootLogin,
    },
    /// One file of all certificate authorities.
    Certificates,
    /// Enable units.
    Units {
        /// Those beyond what presets enable.
        services: Vec<String>,
    },
    /// Compress and write the image, the kernel and the manifest.
    Write {
        /// zstd's level.
        level: i32,
        /// File names.
        files: Vec<String>,
    },
    /// Pack kernel and initramfs into another form.
    Pack {
        /// Which.
        format: OutputFormat,
        /// File name.
        file: String,
        /// The kernel's arguments in it, where they are fixed.
        cmdline: Option<Cmdline>,
    },
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fetch { packages } => {
                let bytes: u64 = packages.iter().map(|package| package.size).sum();
                write!(f, "fetch and verify {} packages, {} MB", packages.len(), bytes / 1_000_000)
            }
            Self::Unpack { packages } => write!(f, "unpack {} packages", packages.len()),
            Self::Kernel { package } => write!(f, "take the kernel and its modules out of {package}"),
            Self::LocalKernel { path } => {
                write!(f, "take the kernel and its modules from {}", path.display())
            }
            Self::Modules { wanted } => write!(f, "choose modules ({}) and index them", wanted.join(", ")),
            Self::Skeleton => f.write_str("make folders, device nodes and links"),
            Self::Tools { tools } => {
                let names: Vec<_> = tools.iter().map(tools::file_name).collect();
                write!(f, "put in tools: {}", names.join(", "))
            }
            Self::Overlay { source: OverlaySource::Embedded } => {
                f.write_str("lay captaind's overlay over it")
            }
            Self::Overlay { source: OverlaySource::Folder(folder) } => {
                write!(f, "lay {} over it", folder.display())
            }
            Self::SshKeys { keys } => write!(f, "let {} keys log in by SSH", keys.len()),
            Self::Containers { containers } => {
                let names: Vec<_> = containers.iter().map(|container| container.source.as_str()).collect();
                write!(f, "put in containers: {}", names.join(", "))
            }
            Self::Accounts { root: RootLogin::Locked } => {
                f.write_str("make users and groups; root is locked")
            }
            Self::Accounts { root: RootLogin::Keys } => {
                f.write_str("make users and groups; root has keys only")
            }
            Self::Accounts { root: RootLogin::Open } => {
                f.write_str("make users and groups; root has no password")
            }
            Self::Certificates => f.write_str("bundle the certificate authorities"),
            Self::Units { services } if services.is_empty() => f.write_str("enable units as presets say"),
            Self::Units { services } => write!(f, "enable units as presets say, and {}", services.join(", ")),
            Self::Write { level, files } => write!(f, "write {} (zstd level {level})", files.join(" and ")),
            Self::Pack { format, file, cmdline: None } => write!(f, "pack them into {file} ({format})"),
            Self::Pack { format, file, cmdline: Some(line) } => {
                write!(f, "pack them into {file} ({format}) with `{line}`")
            }
        }
    }
}
