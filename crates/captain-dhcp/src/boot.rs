//! What a netboot client is told to load: policy first, then the operator's own words, then the recipes.

use std::net::Ipv4Addr;

use captain_model::{Arch, BootPolicy, Firmware, Identity, Ignored, LocalBoot, Mac, UnknownMachines};

use crate::recipe::{Recipe, default_loader};
use crate::who::Netboot;
use crate::wire::Request;
use crate::{Ingress, Settings, World};

/// The name that a machine asks for in vain which must not netboot, so that its screen shows why (smee's word).
pub(crate) const NOT_ALLOWED: &str = "netboot-not-allowed";

/// What the reply says about booting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Boot {
    /// Nothing: no netboot client, or there is nothing for it.
    Nothing,
    /// This.
    Load(Load),
    /// Not even an address: the firmware is to time out and go on.
    Silence(Ignored),
}

/// A boot file and how it is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Load {
    /// How this firmware is told; `None` for the operator's own words, which stand alone.
    pub(crate) recipe: Option<&'static Recipe>,
    /// Option 60 of the reply.
    pub(crate) class: Option<&'static str>,
    /// `siaddr`.
    pub(crate) server: Ipv4Addr,
    /// Option 67 and, where it fits, `file`.
    pub(crate) file: Option<String>,
    /// Option 43 sub-option 116.
    pub(crate) vlan: Option<u16>,
    /// Why this file.
    pub(crate) why: String,
}

/// What [`choose`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Choice {
    /// What is said.
    pub(crate) boot: Boot,
    /// Why the machine does not get what it asked for: a `NetbootRefused` event.
    pub(crate) refused: Option<String>,
    /// The architecture that no loader of ours runs on, and why.
    pub(crate) unsupported: Option<String>,
}

impl Choice {
    const fn of(boot: Boot) -> Self {
        Self { boot, refused: None, unsupported: None }
    }
}

/// All that the choice depends on.
pub(crate) struct Asked<'a> {
    pub(crate) settings: &'a Settings,
    pub(crate) world: &'a World<'a>,
    pub(crate) ingress: Ingress,
    pub(crate) request: &'a Request,
    pub(crate) identity: Identity<'a>,
    pub(crate) netboot: Option<&'a Netboot>,
    /// Whether another server gives the addresses, so that firmware must see from option 60 what ours is.
    pub(crate) beside: bool,
}

/// Chooses what to say about booting.
pub(crate) fn choose(asked: &Asked<'_>) -> Choice {
    let Some(netboot) = asked.netboot else { return asked.plain() };
    if asked.identity.machine().is_none() && asked.world.inventory.unknown_machines() != UnknownMachines::Boot
    {
        return refused(
            Boot::Nothing,
            "it is not in the inventory, and unknown machines get an address only",
        );
    }
    if let Some(why) = asked.forbidden() {
        return asked.local_boot(netboot, &why);
    }
    if let Some(boot) = asked.verbatim(Some(netboot)) {
        return Choice::of(boot);
    }
    asked.netboot_file(netboot)
}

fn refused(boot: Boot, why: impl Into<String>) -> Choice {
    Choice { boot, refused: Some(why.into()), unsupported: None }
}

impl Asked<'_> {
    /// What a client gets that does not say what it boots by: the operator's own words or nothing.
    fn plain(&self) -> Choice {
        match (self.verbatim(None), self.forbidden()) {
            (Some(_), Some(why)) => refused(Boot::Nothing, why),
            (boot, _) => Choice::of(boot.unwrap_or(Boot::Nothing)),
        }
    }

    /// Why the machine may not netboot.
    fn forbidden(&self) -> Option<String> {
        let settled = || self.macs().iter().any(|mac| (self.world.settled)(*mac));
        match self.identity.boot_policy() {
            BootPolicy::Always => None,
            BootPolicy::Never => {
                Some("netboot is off for this machine (`netboot = false` or `boot = \"never\"`)".to_owned())
            }
            BootPolicy::Once => settled().then(|| "it has had its one boot (`boot = \"once\"`)".to_owned()),
            BootPolicy::UntilDone => {
                settled().then(|| "its work is done (`boot = \"until-done\"`)".to_owned())
            }
        }
    }

    /// A machine with several cards is settled under whichever of them it booted by.
    fn macs(&self) -> &[Mac] {
        self.identity.machine().map_or(std::slice::from_ref(&self.request.mac), |machine| &machine.macs)
    }

    /// The operator's `next_server` and `filename`, said as they are. Beside another DHCP server firmware
    /// listens only to offers of its own class, so there the recipe's form is kept.
    fn verbatim(&self, netboot: Option<&Netboot>) -> Option<Boot> {
        let machine = self.identity.machine()?;
        if machine.next_server.is_none() && machine.filename.is_none() {
            return None;
        }
        let form = netboot.filter(|_| self.beside);
        Some(Boot::Load(Load {
            recipe: form.map(|netboot| Recipe::of(netboot.firmware)),
            class: form.map(class),
            server: machine.next_server.unwrap_or(self.ingress.local),
            file: machine.filename.clone(),
            vlan: None,
            why: "the machine's `next_server` and `filename`".to_owned(),
        }))
    }

    /// What a machine gets that must not netboot.
    fn local_boot(&self, netboot: &Netboot, why: &str) -> Choice {
        let choice = match self.identity.local_boot() {
            LocalBoot::Silence => Choice::of(Boot::Silence(Ignored::Refused(why.to_owned()))),
            // The script says how to go on.
            LocalBoot::Exit | LocalBoot::Sanboot | LocalBoot::Poweroff if netboot.scripts => {
                self.load(netboot, self.script(), format!("its script will say: {why}"))
            }
            LocalBoot::Exit => self.load(netboot, self.not_allowed(netboot), why.to_owned()),
            // To start a disk or to switch off it needs iPXE, which then asks for its script.
            LocalBoot::Sanboot | LocalBoot::Poweroff => self.netboot_file(netboot),
        };
        Choice { refused: Some(why.to_owned()), ..choice }
    }

    /// The file of a machine that may netboot.
    fn netboot_file(&self, netboot: &Netboot) -> Choice {
        if netboot.scripts {
            return self.load(netboot, self.script(), "iPXE that can fetch its script".to_owned());
        }
        let Some((loader, whose)) = self.loader(netboot) else { return self.no_loader(netboot) };
        if !(self.world.loaders)(&loader) {
            if let Some(why) = self.world.awaited {
                return refused(Boot::Silence(Ignored::Refused(why.to_owned())), why);
            }
            let why = format!(
                "boot loader `{loader}` ({whose}) is not in the loaders folder: put it there or set `loader`"
            );
            return refused(Boot::Nothing, why);
        }
        if let Some(why) = self.out_of_reach(netboot.firmware) {
            return refused(Boot::Nothing, why);
        }
        let file = match netboot.firmware {
            Firmware::UefiHttp => self.http_url(&loader),
            // iPXE takes a bare name as relative to where it came from, so it gets all of it.
            Firmware::Ipxe => self.tftp_url(&loader),
            Firmware::Bios | Firmware::Uefi | Firmware::RaspberryPi | Firmware::UBoot => loader,
        };
        self.load(netboot, file, whose)
    }

    /// Why the firmware cannot fetch from us: of TFTP servers that are told by address alone, it asks port 69.
    fn out_of_reach(&self, firmware: Firmware) -> Option<String> {
        match (firmware, self.settings.tftp_port) {
            (Firmware::UefiHttp, _) | (_, Some(69)) | (Firmware::Ipxe, Some(_)) => None,
            (_, None) => Some(format!("{firmware} loads by TFTP, which is off: set `[tftp] enabled = true`")),
            (_, Some(port)) => {
                Some(format!("{firmware} asks TFTP's port 69 and ours is {port}: leave `[tftp] port` at 69"))
            }
        }
    }

    /// The loader's name, and who chose it.
    fn loader(&self, netboot: &Netboot) -> Option<(String, String)> {
        if let Some(loader) = self.identity.loader() {
            return Some((loader.to_owned(), "the machine's or its profile's `loader`".to_owned()));
        }
        let arch = self.arch(netboot)?;
        let loader = default_loader(netboot.platform, arch)?;
        Some((loader.to_owned(), format!("the default for {} on {arch}", netboot.platform)))
    }

    /// The CPU: the operator's word, else the firmware's.
    fn arch(&self, netboot: &Netboot) -> Option<Arch> {
        self.identity.machine().and_then(|machine| machine.arch).or(netboot.arch)
    }

    fn no_loader(&self, netboot: &Netboot) -> Choice {
        match (netboot.firmware, &netboot.unsupported) {
            // Its ROM names its files itself; it wants to know the server.
            (Firmware::RaspberryPi, _) => match self.out_of_reach(netboot.firmware) {
                Some(why) => refused(Boot::Nothing, why),
                None => Choice::of(Boot::Load(
                    self.told(netboot, "a Raspberry Pi names its files itself".to_owned()),
                )),
            },
            (_, Some(arch)) => Choice {
                unsupported: Some(arch.clone()),
                ..refused(Boot::Nothing, format!("no boot loader for architecture {arch}"))
            },
            (firmware, None) => {
                let arch = self.arch(netboot).map_or("unknown CPU", Arch::debian);
                refused(
                    Boot::Nothing,
                    format!("no boot loader for {firmware} on {arch}: set `loader` for the machine"),
                )
            }
        }
    }

    fn load(&self, netboot: &Netboot, file: String, why: String) -> Choice {
        if file.len() > Recipe::of(netboot.firmware).longest {
            let why = format!(
                "boot file name of {} bytes is too long for {}: `{file}`",
                file.len(),
                netboot.firmware
            );
            return refused(Boot::Nothing, why);
        }
        Choice::of(Boot::Load(Load { file: Some(file), ..self.told(netboot, why) }))
    }

    fn told(&self, netboot: &Netboot, why: String) -> Load {
        Load {
            recipe: Some(Recipe::of(netboot.firmware)),
            class: Some(class(netboot)),
            server: self.ingress.local,
            file: None,
            vlan: self.identity.machine().and_then(|machine| machine.vlan),
            why,
        }
    }

    fn script(&self) -> String {
        let (local, port, mac) = (self.ingress.local, self.settings.http_port, self.request.mac);
        format!("http://{local}:{port}/ipxe/script/{mac}/auto.ipxe")
    }

    fn http_url(&self, file: &str) -> String {
        let (local, port, mac) = (self.ingress.local, self.settings.http_port, self.request.mac);
        format!("http://{local}:{port}/ipxe/binary/{mac}/{file}")
    }

    fn tftp_url(&self, file: &str) -> String {
        let (local, mac) = (self.ingress.local, self.request.mac);
        match self.settings.tftp_port {
            Some(port) if port != 69 => format!("tftp://{local}:{port}/{mac}/{file}"),
            _ => format!("tftp://{local}/{mac}/{file}"),
        }
    }

    fn not_allowed(&self, netboot: &Netboot) -> String {
        match netboot.firmware {
            Firmware::UefiHttp => self.http_url(NOT_ALLOWED),
            Firmware::Ipxe => self.tftp_url(NOT_ALLOWED),
            Firmware::Bios | Firmware::Uefi | Firmware::RaspberryPi | Firmware::UBoot => {
                format!("{}/{NOT_ALLOWED}", self.request.mac)
            }
        }
    }
}

/// Option 60 of the reply: the client's own kind, without which firmware does not listen.
const fn class(netboot: &Netboot) -> &'static str {
    if netboot.http { "HTTPClient" } else { "PXEClient" }
}
