//! What one machine is told, with everything the appliance knows about it: the bridge to `captain-boot`.

use std::net::Ipv4Addr;

use captain_boot::{Facts, Via, cmdline, grub_cfg, iso_cmdline, local_script, masked, pxelinux_cfg, script};
use captain_model::{Arch, BootId, Mac};

use crate::appliance::Appliance;

/// A script, or why there is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// How to boot from us.
    Boot(String),
    /// It must not netboot: how to boot locally, where it is to be told.
    Local {
        /// The script.
        script: Option<String>,
        /// Why.
        why: String,
    },
    /// Its settings make no command line; the sentence says what to change.
    Broken(String),
}

/// The iPXE script of `mac`, which reaches us at `local` and says that its CPU is `arch`.
pub(crate) fn script_of(appliance: &Appliance, mac: Mac, arch: Option<Arch>, local: Ipv4Addr) -> Told {
    if let Some(why) = appliance.refusal(mac) {
        let way = appliance.inventory.load().identify(mac).local_boot();
        return Told::Local { script: local_script(way, &why), why };
    }
    let rendered =
        with_facts(appliance, mac, arch, local, Via::Ipxe, |facts| Ok(script(facts, &cmdline(facts)?)));
    rendered.map_or_else(Told::Broken, Told::Boot)
}

/// The GRUB configuration of `mac`.
///
/// # Errors
/// Why there is none, in one sentence.
pub(crate) fn grub_of(appliance: &Appliance, mac: Mac, local: Ipv4Addr) -> Result<String, String> {
    if let Some(why) = appliance.refusal(mac) {
        return Err(why);
    }
    with_facts(appliance, mac, None, local, Via::Grub, |facts| grub_cfg(facts, &cmdline(facts)?))
}

/// The configuration of `mac` for U-Boot and PXELINUX.
///
/// # Errors
/// Why there is none, in one sentence.
pub(crate) fn pxelinux_of(appliance: &Appliance, mac: Mac, local: Ipv4Addr) -> Result<String, String> {
    if let Some(why) = appliance.refusal(mac) {
        return Err(why);
    }
    with_facts(appliance, mac, None, local, Via::Grub, |facts| Ok(pxelinux_cfg(facts, &cmdline(facts)?)))
}

/// The kernel command line of `mac` as a file of its own: `cmdline.txt` of a Raspberry Pi.
///
/// # Errors
/// Why there is none, in one sentence.
pub(crate) fn cmdline_of(appliance: &Appliance, mac: Mac, local: Ipv4Addr) -> Result<String, String> {
    if let Some(why) = appliance.refusal(mac) {
        return Err(why);
    }
    with_facts(appliance, mac, None, local, Via::Grub, |facts| Ok(format!("{}\n", cmdline(facts)?)))
}

/// Boots are counted from 1.
const NO_BOOT: BootId = BootId(0);

/// What stands in an ISO for `mac` in the places of these lengths. It names no boot, only that it is
/// the machine: a controller reads it in many requests, which must all be answered from the same bytes.
///
/// # Errors
/// Why it cannot, in one sentence.
pub(crate) fn iso_patches_of(
    appliance: &Appliance,
    mac: Mac,
    local: Ipv4Addr,
    rooms: impl Iterator<Item = usize>,
) -> Result<Vec<Vec<u8>>, String> {
    with_facts(appliance, mac, None, local, Via::Iso, |facts| {
        let facts = Facts { boot: Some(appliance.tickets.of(NO_BOOT, mac)), ..*facts };
        let line = cmdline(&facts)?;
        rooms.map(|room| iso_cmdline(&facts, &line, room)).collect()
    })
}

/// The kernel command line of `mac`, secrets masked.
///
/// # Errors
/// Why there is none, in one sentence.
pub(crate) fn masked_cmdline_of(appliance: &Appliance, mac: Mac, local: Ipv4Addr) -> Result<String, String> {
    with_facts(appliance, mac, None, local, Via::Ipxe, |facts| Ok(masked(&cmdline(facts)?)))
}

fn with_facts<T>(
    appliance: &Appliance,
    mac: Mac,
    said: Option<Arch>,
    local: Ipv4Addr,
    via: Via,
    render: impl FnOnce(&Facts<'_>) -> Result<T, captain_boot::BootError>,
) -> Result<T, String> {
    let inventory = appliance.inventory.load();
    let identity = inventory.identify(mac);
    let boot = appliance.bus.latest_boot(mac);
    let listed = identity.machine().and_then(|machine| machine.arch);
    let learnt = boot.as_ref().and_then(|boot| boot.arch);
    let arch = listed.or(said).or(learnt).unwrap_or(Arch::Amd64);
    let server = appliance.facts(local);
    let boot = boot.map(|boot| appliance.tickets.of(boot.boot, mac));
    let facts = Facts { mac, identity, arch, boot, server: &server, via };
    render(&facts).map_err(|error| error.to_string())
}
