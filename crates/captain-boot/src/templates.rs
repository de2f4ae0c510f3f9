//! The scripts: which there are, what each may be filled with, and filling them.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use captain_model::{Cmdline, LocalBoot, Mac};

use crate::template::Template;
use crate::{BootError, Facts, ServerFacts, TemplateError, grub, ipxe};

/// Tries that a script gives itself for kernel, initramfs and start, and for the script itself.
const RETRIES: &str = "10";
/// Seconds between two tries.
const DELAY: &str = "3";
/// Seconds until a machine asks again for what is being built.
const WAIT: &str = "10";
/// Tries for an address where a script has to configure the network itself: each takes iPXE 10 s and more, and
/// spanning tree keeps a port silent for 30 to 50 s (ipxe#1337, xcat-core#1638).
const DHCP_RETRIES: &str = "10";

#[derive(rust_embed::Embed)]
#[folder = "../../ipxe-scripts"]
struct Embedded;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Boot,
    Discover,
    Wait,
    LocalExit,
    LocalSanboot,
    LocalPoweroff,
    Grub,
    Pxelinux,
}

impl Kind {
    const ALL: [Self; 8] = [
        Self::Boot,
        Self::Discover,
        Self::Wait,
        Self::LocalExit,
        Self::LocalSanboot,
        Self::LocalPoweroff,
        Self::Grub,
        Self::Pxelinux,
    ];

    const fn file(self) -> &'static str {
        match self {
            Self::Boot => "boot.ipxe",
            Self::Discover => "discover.ipxe",
            Self::Wait => "wait.ipxe",
            Self::LocalExit => "local-exit.ipxe",
            Self::LocalSanboot => "local-sanboot.ipxe",
            Self::LocalPoweroff => "local-poweroff.ipxe",
            Self::Grub => "grub.cfg",
            Self::Pxelinux => "pxelinux.cfg",
        }
    }

    const fn placeholders(self) -> &'static [&'static str] {
        match self {
            Self::Boot => &[
                "machine",
                "mac",
                "profile",
                "arch",
                "boot",
                "http_base",
                "syslog_host",
                "kernel_name",
                "kernel_url",
                "initrd_name",
                "initrd_url",
                "cmdline",
                "retries",
                "delay",
            ],
            Self::Discover => &["http_base", "retries", "dhcp_retries", "delay"],
            Self::Wait => &["why", "http_base", "mac", "retries", "wait"],
            Self::LocalExit | Self::LocalSanboot | Self::LocalPoweroff => &["why"],
            Self::Grub => &["title", "host", "port", "kernel_path", "initrd_path", "cmdline"],
            Self::Pxelinux => &["title", "kernel_path", "initrd_path", "cmdline"],
        }
    }

    fn parse(self, text: &str) -> Result<Template, TemplateError> {
        let file = self.file();
        if file.ends_with(".ipxe") && text.lines().next().map(str::trim_end) != Some("#!ipxe") {
            return Err(TemplateError::NoMagic { file });
        }
        Template::parse(file, text, self.placeholders())
    }
}

/// A checked set of script templates.
#[derive(Clone, Debug)]
pub struct Templates {
    by_kind: BTreeMap<Kind, Template>,
}

static EMBEDDED: LazyLock<Templates> = LazyLock::new(|| {
    let load = |kind: Kind| {
        let file =
            Embedded::get(kind.file()).expect("every kind's file is in ipxe-scripts/: a test reads them");
        let text = std::str::from_utf8(&file.data).expect("ipxe-scripts/ is text: a test reads them");
        (kind, kind.parse(text).expect("ipxe-scripts/ uses known placeholders: a test loads them"))
    };
    Templates { by_kind: Kind::ALL.into_iter().map(load).collect() }
});

impl Templates {
    /// Those of `ipxe-scripts/`, from the binary.
    pub fn embedded() -> &'static Self {
        &EMBEDDED
    }

    /// The embedded ones, with those in `files` (file name to text) in their place.
    ///
    /// # Errors
    /// A file that is not one of the templates, or a placeholder that its template has no value for.
    pub fn from_map<K: AsRef<str>, V: AsRef<str>>(
        files: impl IntoIterator<Item = (K, V)>,
    ) -> Result<Self, TemplateError> {
        let mut templates = Self::embedded().clone();
        for (file, text) in files {
            let file = file.as_ref();
            let kind = Kind::ALL.into_iter().find(|kind| kind.file() == file).ok_or_else(|| {
                TemplateError::UnknownFile { file: file.to_owned(), known: Self::files().join(", ") }
            })?;
            templates.by_kind.insert(kind, kind.parse(text.as_ref())?);
        }
        Ok(templates)
    }

    /// The file names of all templates.
    pub fn files() -> Vec<&'static str> {
        Kind::ALL.into_iter().map(Kind::file).collect()
    }

    /// The iPXE script that boots this machine: kernel and initramfs over HTTP, with retries.
    pub fn script(&self, facts: &Facts, cmdline: &Cmdline) -> String {
        let base = &facts.server.http_base;
        self.render(Kind::Boot, |name| match name {
            "machine" => ipxe::text(&facts.who()),
            "mac" => facts.mac.to_string(),
            "profile" => ipxe::text(&facts.profile().name),
            "arch" => facts.arch.linux().to_owned(),
            "boot" => facts.boot.map_or_else(|| "-".to_owned(), |ticket| ticket.boot.to_string()),
            "http_base" => base.clone(),
            "syslog_host" => facts.syslog().map(|(host, _)| host).unwrap_or_default(),
            "kernel_name" => facts.kernel_name(),
            "kernel_url" => facts.kernel_url(),
            "initrd_name" => facts.initrd_name(),
            "initrd_url" => facts.initrd_url(),
            "cmdline" => ipxe::arguments(&cmdline.to_string()),
            other => constant(other),
        })
    }

    /// The iPXE script for a machine that must not netboot, saying `why`; none where it is to get no answer.
    pub fn local_script(&self, way: LocalBoot, why: &str) -> Option<String> {
        let kind = match way {
            LocalBoot::Exit => Kind::LocalExit,
            LocalBoot::Sanboot => Kind::LocalSanboot,
            LocalBoot::Poweroff => Kind::LocalPoweroff,
            LocalBoot::Silence => return None,
        };
        Some(self.render(kind, |name| if name == "why" { ipxe::text(why) } else { constant(name) }))
    }

    /// The iPXE script for a machine that is not known by its address: it says its MAC and its CPU
    /// (`?arch=${buildarch}`, see [`crate::arch_of_buildarch`]) and goes on with its own script.
    pub fn discover_script(&self, server: &ServerFacts) -> String {
        self.render(Kind::Discover, |name| match name {
            "http_base" => server.http_base.clone(),
            other => constant(other),
        })
    }

    /// The iPXE script for `mac`, whose OSIE is not there yet, saying `why`: it asks again.
    pub fn wait_script(&self, server: &ServerFacts, mac: Mac, why: &str) -> String {
        self.render(Kind::Wait, |name| match name {
            "why" => ipxe::text(why),
            "http_base" => server.http_base.clone(),
            "mac" => mac.to_string(),
            other => constant(other),
        })
    }

    /// The GRUB configuration that boots this machine, over HTTP or else TFTP.
    ///
    /// # Errors
    /// An argument that GRUB would change on the way.
    pub fn grub_cfg(&self, facts: &Facts, cmdline: &Cmdline) -> Result<String, BootError> {
        let arguments = grub::arguments(facts, cmdline)?;
        let (host, port) = grub::authority(&facts.server.http_base);
        Ok(self.render(Kind::Grub, |name| match name {
            "title" => grub::text(&format!(
                "captaind: {} boots profile {} ({})",
                facts.who(),
                facts.profile().name,
                facts.arch.linux()
            )),
            "host" => host.to_owned(),
            "port" => port.to_owned(),
            "kernel_path" => facts.kernel_path(),
            "initrd_path" => facts.initrd_path(),
            "cmdline" => arguments.clone(),
            other => constant(other),
        }))
    }

    /// The configuration that boots this machine by U-Boot's `pxe` command or by PXELINUX: both take the rest of the
    /// line behind `APPEND` as it is, and a path that begins with `/` from the root of the TFTP server.
    pub fn pxelinux_cfg(&self, facts: &Facts, cmdline: &Cmdline) -> String {
        self.render(Kind::Pxelinux, |name| match name {
            "title" => format!("captaind: {} boots {}", facts.mac, ipxe::text(&facts.profile().name)),
            "kernel_path" => facts.kernel_path(),
            "initrd_path" => facts.initrd_path(),
            "cmdline" => cmdline.to_string(),
            other => constant(other),
        })
    }

    fn render(&self, kind: Kind, value: impl Fn(&'static str) -> String) -> String {
        self.by_kind.get(&kind).map(|template| template.render(value)).unwrap_or_default()
    }
}

/// What does not depend on the machine. The names were checked at load, so no other comes here.
fn constant(name: &str) -> String {
    match name {
        "retries" => RETRIES,
        "dhcp_retries" => DHCP_RETRIES,
        "delay" => DELAY,
        "wait" => WAIT,
        _ => "",
    }
    .to_owned()
}
