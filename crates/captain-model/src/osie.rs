//! Words of the image builder that the configuration and the servers share.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::firmware::Arch;

/// A recipe that captaind ships; every recipe goes on top of one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Shipped {
    /// What CaptainOS holds.
    #[default]
    Default,
    /// Nothing that the agent does not need.
    Slim,
    /// As `default`, with root on the console, tools to look around, and sshd where there are keys.
    Debug,
}

impl Shipped {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Default, Self::Slim, Self::Debug];

    /// Its name, which is that of the recipe where the user adds nothing.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Slim => "slim",
            Self::Debug => "debug",
        }
    }

    /// The shipped recipe of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|shipped| shipped.name() == name)
    }

    /// Its groups of kernel modules.
    pub const fn modules(self) -> &'static [&'static str] {
        match self {
            Self::Default | Self::Debug => &["net", "storage", "usb", "virtio", "fs", "netfilter", "ipmi"],
            Self::Slim => &["slim"],
        }
    }
}

/// What is wanted in an OSIE: one `[osie.NAME]` table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recipe {
    /// Its name: `default` is what a profile names that names nothing.
    pub name: String,
    /// The shipped recipe that it goes on top of.
    #[serde(default)]
    pub base: Shipped,
    /// Debian suite.
    pub suite: String,
    /// Archive to fetch from; the mirror of the host's apt where none is given.
    pub mirror: Option<String>,
    /// OpenPGP keyring that the archive's signature must verify against; the host's Debian keyring by default.
    pub keyring: Option<PathBuf>,
    /// Packages on top of the base set.
    pub packages: Vec<String>,
    /// Packages with hardware firmware blobs (component non-free-firmware).
    pub firmware: Vec<String>,
    /// Groups of kernel modules, or single names.
    pub modules: Vec<String>,
    /// Folders laid over the root, in order.
    pub overlay: Vec<PathBuf>,
    /// Units to enable.
    pub services: Vec<String>,
    /// Container images put into the OSIE and run as services.
    pub containers: Vec<String>,
    /// Programs from elsewhere than Debian.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<Tool>,
    /// Keys that may log in by SSH; any makes it a debug image with sshd.
    pub ssh_authorized_keys: Vec<String>,
    /// Where the kernel comes from.
    pub kernel: KernelSource,
}

/// Where an OSIE's kernel comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KernelSource {
    /// Debian's signed `linux-image`.
    #[default]
    Debian,
    /// Built from source with `kernel-configs/`.
    Source,
    /// A given vmlinuz (with its modules beside it).
    Path(PathBuf),
}

impl Recipe {
    /// The recipe of this name with nothing configured: the shipped one, or another one like `default`.
    pub fn new(name: impl Into<String>) -> Self {
        let name = name.into();
        let base = Shipped::named(&name).unwrap_or_default();
        Self::on(base, name)
    }

    /// A recipe of this name that adds nothing to `base`.
    pub fn on(base: Shipped, name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            base,
            suite: "trixie".to_owned(),
            mirror: None,
            keyring: None,
            packages: Vec::new(),
            firmware: Vec::new(),
            modules: base.modules().iter().map(|&group| group.to_owned()).collect(),
            overlay: Vec::new(),
            services: Vec::new(),
            containers: Vec::new(),
            tools: Vec::new(),
            ssh_authorized_keys: Vec::new(),
            kernel: KernelSource::Debian,
        }
    }
}

/// A program from elsewhere than Debian, pinned by its content: a file, or an archive of files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tool {
    /// Where it is to be had.
    pub url: String,
    /// SHA-256 of what lies there: 64 hex digits.
    pub sha256: String,
    /// The only architecture whose images get it; `None`: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arch: Option<Arch>,
    /// Folder of the image that it goes into.
    pub to: String,
    /// What to take of an archive, as paths in it; everything where there is none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<String>,
    /// What a file that is no archive is called; the last part of its URL otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

impl Tool {
    /// Where tools go that say nothing of it.
    pub const FOLDER: &str = "/usr/local/bin";
}

/// An immutable served file, named by its content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifact {
    /// File name, such as `vmlinuz-x86_64`.
    pub name: String,
    /// SHA-256 of the content, lower-case hex.
    pub sha256: String,
    /// Bytes.
    pub size: u64,
}
