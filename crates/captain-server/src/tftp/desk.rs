//! What a name stands for and who may have it, by TFTP and below `/tftp/` by HTTP alike: loaders, scripts that are made
//! for one machine, and the operator's own folder.

use std::fs::File;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use captain_model::{EventKind, Mac};

use super::names::{Wanted, mac_in, wanted};
use crate::appliance::{Appliance, v4};
use crate::clock::now;
use crate::files::{Osie, ServedFile};
use crate::http::readable;
use crate::tell::{Denied, cmdline_of, foreign, grub_of, pxelinux_of};

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asker {
    /// From where.
    pub(crate) remote: IpAddr,
    /// Which address of ours it is to call us by.
    pub(crate) local: Ipv4Addr,
    /// It is an operator looking: nothing is learnt from it, and no event tells of it.
    pub(crate) quiet: bool,
}

/// What a name stands for.
#[derive(Clone, Debug)]
pub(crate) enum Found {
    /// A loader, a kernel, an initramfs.
    Served(Arc<ServedFile>),
    /// Text that was made for this machine.
    Made(String),
    /// A file in the operator's folder.
    Own(Arc<File>),
}

/// The machine that asks for `name`: it says so, or it is known by its address.
pub(crate) fn machine_of(appliance: &Appliance, asker: Asker, name: &str) -> Option<Mac> {
    mac_in(name).or_else(|| appliance.who(asker.remote).filter(|_| !asker.quiet))
}

/// What `name` stands for.
///
/// # Errors
/// There is nothing of that name, or who asks may not have it.
pub(crate) fn open(appliance: &Arc<Appliance>, asker: Asker, name: &str) -> Result<Found, Denied> {
    if let (Some(mac), Some(address), false) = (mac_in(name), v4(asker.remote), asker.quiet) {
        appliance.leases.learn(address, mac, now());
    }
    let desk = Desk { appliance, asker, mac: machine_of(appliance, asker, name) };
    let shelf = appliance.shelf.load();
    let wanted = wanted(name, |loader| shelf.loader(loader).is_some());
    desk.check(&wanted)?;
    match wanted {
        Wanted::Loader(loader) => desk.served(shelf.loader(loader).ok_or_else(|| desk.absent(loader))?),
        Wanted::Osie { profile, file } => {
            let found = shelf.osie(&readable(profile)).and_then(|osie: &Osie| osie.file(file));
            found.map_or_else(|| desk.in_root(name), |file| desk.served(file))
        }
        Wanted::Autoexec => Ok(desk.autoexec(name)),
        Wanted::Grub(config) => desk.config(name, config.or(desk.mac), grub_of),
        Wanted::Pxelinux(mac) => desk.config(name, Some(mac), pxelinux_of),
        Wanted::Own { rest: "cmdline.txt" } => {
            desk.in_folder_or_root(name, "cmdline.txt").or_else(|why| desk.made(desk.mac, why, cmdline_of))
        }
        Wanted::Own { rest } => desk.in_folder_or_root(name, rest),
        Wanted::Other => desk.in_root(name),
    }
}

/// One request.
struct Desk<'a> {
    appliance: &'a Arc<Appliance>,
    asker: Asker,
    mac: Option<Mac>,
}

/// Makes a text for one machine.
type Make = fn(&Appliance, Mac, Ipv4Addr) -> Result<String, Denied>;

impl Desk<'_> {
    fn served(&self, file: &Arc<ServedFile>) -> Result<Found, Denied> {
        self.appliance
            .spoilt(file)
            .map_or_else(|| Ok(Found::Served(file.clone())), |why| Err(Denied::Awaited(why)))
    }

    /// The operator's own file of this name, else the one that `make` makes for `mac`.
    fn config(&self, name: &str, mac: Option<Mac>, make: Make) -> Result<Found, Denied> {
        self.in_root(name).or_else(|why| self.made(mac, why, make))
    }

    /// The operator's own, else ours. A machine that must not netboot, and gets iPXE to be switched off by it, gets ours:
    /// that asks what it may.
    fn autoexec(&self, name: &str) -> Found {
        let refused = self.mac.is_some_and(|mac| self.appliance.refusal(mac).is_some());
        let own = (!refused).then(|| self.in_folder_or_root(name, "autoexec.ipxe").ok()).flatten();
        own.unwrap_or_else(|| {
            let facts = self.appliance.facts(self.asker.local);
            Found::Made(self.appliance.templates.load().discover_script(&facts))
        })
    }

    fn made(&self, mac: Option<Mac>, nobody: Denied, make: Make) -> Result<Found, Denied> {
        make(self.appliance, mac.ok_or(nobody)?, self.asker.local).map(Found::Made)
    }

    /// `<serial>/start4.elf`: the file in a folder of that name, else the one that all such machines share.
    fn in_folder_or_root(&self, name: &str, rest: &str) -> Result<Found, Denied> {
        self.in_root(name).or_else(|_| self.in_root(rest))
    }

    /// A machine that must not netboot gets nothing, and is told why: what the operator has for all of them may install
    /// (cobbler#3329). Nobody gets another's password.
    fn check(&self, wanted: &Wanted<'_>) -> Result<(), Denied> {
        let Some(mac) = self.mac else { return Ok(()) };
        let personal = matches!(wanted, Wanted::Grub(_) | Wanted::Pxelinux(_) | Wanted::Own { .. });
        if let Some(other) = self.appliance.spies_on(mac, self.asker.remote).filter(|_| personal) {
            return Err(Denied::Refused(foreign(other, mac)));
        }
        let why = match wanted {
            Wanted::Loader(_) | Wanted::Autoexec => self.appliance.loader_refusal(mac),
            Wanted::Osie { .. } => self.appliance.refusal(mac).filter(|_| !self.appliance.is_loading(mac)),
            Wanted::Grub(_) | Wanted::Pxelinux(_) | Wanted::Own { .. } | Wanted::Other => {
                self.appliance.refusal(mac)
            }
        };
        let Some(why) = why else { return Ok(()) };
        if !self.asker.quiet {
            self.appliance.tell(mac, EventKind::NetbootRefused { why: why.clone() });
        }
        Err(Denied::Refused(why))
    }

    fn in_root(&self, name: &str) -> Result<Found, Denied> {
        let root = self.appliance.root().ok_or_else(|| self.absent(name))?;
        match root.open(name) {
            Ok(file) => Ok(Found::Own(Arc::new(file))),
            Err(error) => Err(self.nothing(format!("no file {name} ({error})"))),
        }
    }

    fn absent(&self, name: &str) -> Denied {
        self.nothing(format!("no file {name}"))
    }

    /// What is not here; while it may be on its way, that too.
    fn nothing(&self, what: String) -> Denied {
        match self.appliance.awaited.load_full() {
            Some(awaited) => Denied::Awaited(format!("{what}: {awaited}")),
            None => Denied::Absent(what),
        }
    }
}
