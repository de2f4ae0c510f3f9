//! What all components share: inventory, open files, events, leases, settled machines.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use arc_swap::{ArcSwap, ArcSwapOption};
use captain_boot::{ServerFacts, Templates};
use captain_dhcp::LeaseChange;
use captain_model::iso::IsoSource;
use captain_model::{
    Arch, BootPolicy, BootStage, DhcpMode, Event, EventKind, Firmware, Identity, Inventory, LocalBoot, Mac,
    UnknownMachines,
};

use tokio_util::sync::CancellationToken;

use crate::bus::Bus;
use crate::clock::now;
use crate::files::{Confined, Isos, ServedFile, Shelf};
use crate::leases::Leases;
use crate::net::arp;
use crate::once::Marks;
use crate::state::{Record, Writer};
use crate::syslog::Logs;
use crate::tickets::Tickets;
use crate::timeline::Boot;
use crate::{Settings, state};

/// How soon after its initramfs U-Boot asks for its kernel.
const LOADING: Duration = Duration::from_secs(60);

/// The running appliance, without its sockets.
#[derive(Debug)]
pub(crate) struct Appliance {
    /// As given, with the ports that were really opened.
    pub(crate) settings: Settings,
    /// Machines and profiles.
    pub(crate) inventory: ArcSwap<Inventory>,
    /// Scripts before they are filled in.
    pub(crate) templates: ArcSwap<Templates>,
    /// Open files.
    pub(crate) shelf: ArcSwap<Shelf>,
    /// The ISOs that machines are given.
    pub(crate) isos: Isos,
    /// The operator's folder of further files, where it is there.
    root: ArcSwapOption<Confined>,
    /// Events.
    pub(crate) bus: Bus,
    /// Who has which address.
    pub(crate) leases: Leases,
    /// Log lines of machines.
    pub(crate) logs: Logs,
    /// Proofs of boots.
    pub(crate) tickets: Tickets,
    /// When it began.
    pub(crate) started: Instant,
    /// What is being fetched or built; machines that need it wait.
    pub(crate) awaited: ArcSwapOption<String>,
    /// One at a time reads files and inventory anew.
    stocking: Mutex<()>,
    /// Somebody is about to.
    restocking: AtomicBool,
    /// Disk.
    pub(crate) state: Writer,
    /// Ends what would never end by itself, such as event streams.
    pub(crate) stopping: CancellationToken,
    /// The DHCP mode that is served in, and why.
    mode: ArcSwap<(DhcpMode, String)>,
    settled: RwLock<HashSet<Mac>>,
    /// Loads that use up `once`.
    pub(crate) marks: Marks,
}

impl Appliance {
    /// Puts the parts together.
    pub(crate) fn new(settings: Settings, loaded: state::Loaded, state: Writer) -> Self {
        let timeline = crate::timeline::Timeline::new(loaded.boots, loaded.next_boot);
        Self {
            inventory: ArcSwap::new(settings.inventory.clone()),
            templates: ArcSwap::from_pointee(settings.templates.clone()),
            isos: Isos::default(),
            root: ArcSwapOption::empty(),
            shelf: ArcSwap::from_pointee(Shelf::default()),
            bus: Bus::new(timeline),
            tickets: Tickets::new(loaded.key),
            started: Instant::now(),
            awaited: ArcSwapOption::empty(),
            stocking: Mutex::default(),
            restocking: AtomicBool::new(false),
            leases: Leases::new(loaded.leases, loaded.barred),
            logs: Logs::default(),
            mode: ArcSwap::from_pointee((settings.dhcp.mode, "configured".to_owned())),
            settings,
            state,
            stopping: CancellationToken::new(),
            settled: RwLock::new(loaded.settled),
            marks: Marks::default(),
        }
    }

    /// The ISO of `mac`: the configured one for all, else the one that was built with its OSIE.
    pub(crate) fn iso_of(&self, mac: Mac) -> Option<IsoSource> {
        let built = || {
            let inventory = self.inventory.load();
            let identity = inventory.identify(mac);
            let learnt = self.bus.latest_boot(mac).and_then(|boot| boot.arch);
            let arch = identity.machine().and_then(|machine| machine.arch).or(learnt).unwrap_or(Arch::Amd64);
            self.shelf.load().osie(&identity.profile().name)?.iso(arch).map(IsoSource::File)
        };
        self.settings.iso.clone().or_else(built)
    }

    /// The folder of further files, where there is one ([`crate::TftpSettings::root`]).
    /// One that was missing may be there by now.
    pub(crate) fn root(&self) -> Option<Arc<Confined>> {
        if self.root.load().is_none() {
            // Said when the configuration was taken.
            let _missing = self.open_root();
        }
        self.root.load_full()
    }

    /// Opens it anew: another folder may lie at its path since.
    fn open_root(&self) -> Result<(), String> {
        let Some(folder) = self.settings.tftp.as_ref().and_then(|tftp| tftp.root.as_ref()) else {
            return Ok(());
        };
        let opened = Confined::to(folder);
        let failed = |error: &_| format!("[tftp] root {} is not served: {error}", folder.display());
        let result = opened.as_ref().map(drop).map_err(failed);
        self.root.store(opened.ok().map(Arc::new));
        result
    }

    /// Publishes `event`, and keeps what follows from it.
    pub(crate) fn publish(&self, event: Event) {
        let mac = event.mac;
        let policy = mac.map_or(BootPolicy::Always, |mac| self.inventory.load().identify(mac).boot_policy());
        let consequences = self.bus.publish(event, policy);
        if let Some(boot) = consequences.boot {
            self.state.note(vec![Record::Boot(Box::new(boot))]);
        }
        if let Some(mac) = mac.filter(|_| consequences.settled) {
            self.settle(mac, true);
        }
    }

    /// Publishes that `kind` happened to `mac` now.
    pub(crate) fn tell(&self, mac: impl Into<Option<Mac>>, kind: EventKind) {
        self.publish(Event::new(now(), mac, kind));
    }

    /// Remembers which DHCP mode is served in.
    pub(crate) fn chose(&self, mode: DhcpMode, why: String) {
        self.mode.store(Arc::new((mode, why)));
    }

    /// The DHCP mode that is served in, and why.
    pub(crate) fn mode(&self) -> Arc<(DhcpMode, String)> {
        self.mode.load_full()
    }

    /// Marks the boot policy of `mac` as used up, or gives it back.
    pub(crate) fn settle(&self, mac: Mac, settled: bool) {
        let mut set = self.settled.write().unwrap_or_else(PoisonError::into_inner);
        let changed = if settled { set.insert(mac) } else { set.remove(&mac) };
        if changed || settled {
            self.state.note(vec![Record::Settled(mac, settled)]);
        }
    }

    /// Takes the mark of `mac` from the disk again, where it was made ahead of a load that came to nothing.
    pub(crate) fn unmark(&self, mac: Mac) {
        let set = self.settled.write().unwrap_or_else(PoisonError::into_inner);
        if !set.contains(&mac) {
            self.state.note(vec![Record::Settled(mac, false)]);
        }
    }

    /// Gives the machine of `mac` its boot policy back.
    pub(crate) fn rearm(&self, mac: Mac) {
        let macs =
            self.inventory.load().machine(mac).map_or_else(|| vec![mac], |machine| machine.macs.clone());
        for mac in macs {
            self.settle(mac, false);
        }
    }

    /// Whether `mac` has used up its `once` or `until-done`. All MACs of a machine count as one.
    pub(crate) fn settled(&self, mac: Mac) -> bool {
        let set = self.settled.read().unwrap_or_else(PoisonError::into_inner);
        match self.inventory.load().machine(mac) {
            Some(machine) => machine.macs.iter().any(|own| set.contains(own)),
            None => set.contains(&mac),
        }
    }

    /// Why `mac` may not netboot; `None` where it may.
    pub(crate) fn refusal(&self, mac: Mac) -> Option<String> {
        let inventory = self.inventory.load();
        let identity = inventory.identify(mac);
        if let Identity::Unknown(_) = identity {
            match inventory.unknown_machines() {
                UnknownMachines::Boot => {}
                UnknownMachines::LeaseOnly | UnknownMachines::Ignore => {
                    return Some(format!("{mac} is not in the inventory, and only listed machines netboot"));
                }
            }
        }
        match identity.boot_policy() {
            BootPolicy::Always => None,
            BootPolicy::Once if self.settled(mac) => {
                Some(format!("{mac} has booted once, as its policy says"))
            }
            BootPolicy::UntilDone if self.settled(mac) => Some(format!("{mac} has reported that it is done")),
            BootPolicy::Once | BootPolicy::UntilDone => None,
            BootPolicy::Never => Some(format!("netboot is switched off for {mac}")),
        }
    }

    /// Whether `mac` is in the middle of the one boot that it may have: older U-Boot (`boot/pxe_utils.c`) fetches
    /// the initramfs, which uses up `once`, ahead of the kernel.
    pub(crate) fn is_loading(&self, mac: Mac) -> bool {
        let once = self.inventory.load().identify(mac).boot_policy() == BootPolicy::Once;
        let loads = |boot: &Boot| {
            boot.firmware == Some(Firmware::UBoot)
                && boot.stage == BootStage::Initramfs
                && now().since(boot.touched) < LOADING
        };
        once && self.bus.latest_boot(mac).as_ref().is_some_and(loads)
    }

    /// Why `mac` may not have a boot loader; `None` where it may. A machine that iPXE is to switch off or to start
    /// from its disk needs iPXE for that, whose script then says so.
    pub(crate) fn loader_refusal(&self, mac: Mac) -> Option<String> {
        let why = self.refusal(mac)?;
        let inventory = self.inventory.load();
        let identity = inventory.identify(mac);
        let stranger = identity.machine().is_none() && inventory.unknown_machines() != UnknownMachines::Boot;
        match identity.local_boot() {
            LocalBoot::Sanboot | LocalBoot::Poweroff if !stranger => None,
            LocalBoot::Sanboot | LocalBoot::Poweroff | LocalBoot::Exit | LocalBoot::Silence => Some(why),
        }
    }

    /// Why a machine of `profile` with this CPU has to wait; `None` where its OSIE is there, or nothing is awaited.
    pub(crate) fn wait_for(&self, profile: &str, arch: Arch) -> Option<String> {
        let awaited = self.awaited.load_full()?;
        let there = self.shelf.load().osie(profile).is_some_and(|osie| osie.has(arch));
        (!there).then(|| (*awaited).clone())
    }

    /// The other machine that `remote` belongs to by its lease, where it asks or speaks as `mac`.
    pub(crate) fn speaks_for_another(&self, mac: Mac, remote: IpAddr) -> Option<Mac> {
        let holder = self.leases.holder(v4(remote)?, now())?;
        (!self.inventory.load().is_one(mac, holder)).then_some(holder)
    }

    /// Whether who is at `remote` is the machine of `mac`, by its lease or, where others give the addresses, by the
    /// kernel's ARP table.
    pub(crate) fn speaks_for_itself(&self, mac: Mac, remote: IpAddr) -> bool {
        let Some(address) = v4(remote) else { return false };
        let holder = self.leases.holder(address, now()).or_else(|| arp::neighbour(address));
        holder.is_some_and(|holder| self.inventory.load().is_one(mac, holder))
    }

    /// The other machine that asks for what `mac` is told, where that holds a password: by its lease, or by the kernel's
    /// ARP table where it is on a wire of ours (elsewhere that names a router). Without a password nothing is refused: a
    /// machine with two cards may ask by the other one.
    pub(crate) fn spies_on(&self, mac: Mac, remote: IpAddr) -> Option<Mac> {
        let inventory = self.inventory.load();
        inventory.identify(mac).agent().registry_password?;
        let address = v4(remote)?;
        let holder = self.leases.holder(address, now()).or_else(|| self.on_wire(address))?;
        (!inventory.is_one(mac, holder)).then_some(holder)
    }

    /// Who is at `address`: by lease, by fixed address, by the kernel's ARP table where it is on a wire of ours, and only
    /// then by what was asked for from there a short while ago: an address has another holder by and by, and anybody
    /// may send a request in its name.
    pub(crate) fn who(&self, address: IpAddr) -> Option<Mac> {
        let address = v4(address)?;
        let listed = || self.inventory.load().machine_at(address).map(captain_model::Machine::mac);
        let ours = self.leases.holder(address, now()).or_else(listed);
        let seen = || self.leases.seen(address, now());
        ours.or_else(|| self.on_wire(address)).or_else(seen).or_else(|| arp::neighbour(address))
    }

    /// Whom the kernel's ARP table has at `address`, where that is on a wire of ours: elsewhere it names a router, which
    /// stands for every machine behind it.
    fn on_wire(&self, address: Ipv4Addr) -> Option<Mac> {
        let near = self.settings.interfaces.iter().any(|interface| interface.is_near(address));
        near.then(|| arp::neighbour(address)).flatten()
    }

    /// Whether machines are to ask our registry first for every image.
    fn mirrors(&self) -> bool {
        self.settings.registry_mirror && self.settings.images_dir.is_some()
    }

    /// What machines that reach us at `local` are told about us.
    pub(crate) fn facts(&self, local: Ipv4Addr) -> ServerFacts {
        let syslog = &self.settings.syslog;
        let host = syslog.host.clone().or_else(|| syslog.receive.then(|| local.to_string()));
        ServerFacts {
            http_base: format!("http://{local}:{}", self.settings.http_port),
            syslog: host.map(|host| (host, syslog.port)),
            registry_mirror: self.mirrors().then(|| format!("{local}:{}", self.settings.http_port)),
        }
    }

    /// Follows the DHCP core's lease table in memory.
    pub(crate) fn follow_leases(&self, changes: &[LeaseChange]) {
        self.leases.apply(changes);
    }

    /// Opens everything that machines are given; says what is missing.
    pub(crate) fn stock(&self) -> Vec<String> {
        let _turn = self.stocking.lock().unwrap_or_else(PoisonError::into_inner);
        self.take(self.inventory.load_full())
    }

    /// Why `file` cannot be given just now: somebody wrote over it. All files are looked at again, on a thread.
    pub(crate) fn spoilt(self: &Arc<Self>, file: &ServedFile) -> Option<String> {
        if file.is_whole() {
            return None;
        }
        if !self.restocking.swap(true, Ordering::SeqCst) {
            let this = self.clone();
            tokio::task::spawn_blocking(move || {
                // What changes from here on is for the next one.
                this.restocking.store(false, Ordering::SeqCst);
                this.stock();
            });
        }
        Some(format!("{} was written over and is being read anew: ask again", file.artifact.name))
    }

    /// Takes a new inventory and looks at all files again; says what is missing. A request sees the old one or the
    /// new one, never half.
    pub(crate) fn reload(&self, inventory: Arc<Inventory>) -> Vec<String> {
        let _turn = self.stocking.lock().unwrap_or_else(PoisonError::into_inner);
        self.take(inventory)
    }

    fn take(&self, inventory: Arc<Inventory>) -> Vec<String> {
        let shelf = Shelf::stock(&self.settings, &inventory);
        let missing = shelf.missing().to_vec();
        if let Err(sentence) = self.open_root() {
            tracing::warn!("{sentence}");
        }
        for sentence in missing.iter().filter(|_| self.awaited.load().is_none()) {
            tracing::warn!("{sentence}");
        }
        self.shelf.store(Arc::new(shelf));
        self.inventory.store(inventory);
        missing
    }
}

/// The IPv4 address in `address`, mapped ones too.
pub(crate) fn v4(address: IpAddr) -> Option<Ipv4Addr> {
    match address {
        IpAddr::V4(address) => Some(address),
        IpAddr::V6(address) => address.to_ipv4_mapped(),
    }
}
