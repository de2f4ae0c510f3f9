//! What one machine is told, with everything the appliance knows about it: the bridge to `captain-boot`.

use std::net::Ipv4Addr;

use captain_boot::{Facts, Via, cmdline, iso_cmdline, masked};
use captain_model::{Arch, BootId, Identity, Mac};
use thiserror::Error;

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
    /// What it needs is not there yet: how to ask again.
    Wait {
        /// The script.
        script: String,
        /// Why.
        why: String,
    },
    /// Its settings make no command line; the sentence says what to change.
    Broken(String),
}

/// Why a file is not given, each in one sentence.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(crate) enum Denied {
    /// The machine may not have it.
    #[error("{0}")]
    Refused(String),
    /// It is not here.
    #[error("{0}")]
    Absent(String),
    /// What it needs is being fetched or built.
    #[error("{0}")]
    Awaited(String),
    /// The machine's settings make no command line; the sentence says what to change.
    #[error("{0}")]
    Broken(String),
}

/// The iPXE script of `mac`, which reaches us at `local` and says that its CPU is `arch`.
pub(crate) fn script_of(appliance: &Appliance, mac: Mac, arch: Option<Arch>, local: Ipv4Addr) -> Told {
    let templates = appliance.templates.load();
    if let Some(why) = appliance.refusal(mac) {
        let way = appliance.inventory.load().identify(mac).local_boot();
        return Told::Local { script: templates.local_script(way, &why), why };
    }
    if let Some(why) = wait_for(appliance, mac, arch) {
        return Told::Wait { script: templates.wait_script(&appliance.facts(local), mac, &why), why };
    }
    let rendered = with_facts(appliance, mac, arch, local, Via::Ipxe, |facts| {
        Ok(templates.script(facts, &cmdline(facts)?))
    });
    rendered.map_or_else(Told::Broken, Told::Boot)
}

/// The GRUB configuration of `mac`.
///
/// # Errors
/// Why there is none.
pub(crate) fn grub_of(appliance: &Appliance, mac: Mac, local: Ipv4Addr) -> Result<String, Denied> {
    may_have(appliance, mac)?;
    with_facts(appliance, mac, None, local, Via::Grub, |facts| {
        appliance.templates.load().grub_cfg(facts, &cmdline(facts)?)
    })
    .map_err(Denied::Broken)
}

/// The configuration of `mac` for U-Boot and PXELINUX.
///
/// # Errors
/// Why there is none.
pub(crate) fn pxelinux_of(appliance: &Appliance, mac: Mac, local: Ipv4Addr) -> Result<String, Denied> {
    may_have(appliance, mac)?;
    with_facts(appliance, mac, None, local, Via::Grub, |facts| {
        Ok(appliance.templates.load().pxelinux_cfg(facts, &cmdline(facts)?))
    })
    .map_err(Denied::Broken)
}

/// The kernel command line of `mac` as a file of its own: `cmdline.txt` of a Raspberry Pi.
///
/// # Errors
/// Why there is none.
pub(crate) fn cmdline_of(appliance: &Appliance, mac: Mac, local: Ipv4Addr) -> Result<String, Denied> {
    may_have(appliance, mac)?;
    with_facts(appliance, mac, None, local, Via::Grub, |facts| Ok(format!("{}\n", cmdline(facts)?)))
        .map_err(Denied::Broken)
}

/// Whether `mac` may netboot, and what it needs for that is there.
///
/// # Errors
/// Why not.
fn may_have(appliance: &Appliance, mac: Mac) -> Result<(), Denied> {
    let refused = appliance.refusal(mac).map(Denied::Refused);
    refused.or_else(|| wait_for(appliance, mac, None).map(Denied::Awaited)).map_or(Ok(()), Err)
}

/// Why `mac`, which says that its CPU is `said`, has to wait.
fn wait_for(appliance: &Appliance, mac: Mac, said: Option<Arch>) -> Option<String> {
    let inventory = appliance.inventory.load();
    let identity = inventory.identify(mac);
    let arch = arch_of(appliance, identity, mac, said);
    appliance.wait_for(&identity.profile().name, arch)
}

/// The CPU of `mac`: as configured, as it says now, as it said when it asked by DHCP.
fn arch_of(appliance: &Appliance, identity: Identity<'_>, mac: Mac, said: Option<Arch>) -> Arch {
    let listed = identity.machine().and_then(|machine| machine.arch);
    let learnt = || appliance.bus.latest_boot(mac).and_then(|boot| boot.arch);
    listed.or(said).or_else(learnt).unwrap_or(Arch::Amd64)
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

/// Why who has the address of `other` is not told what is for `mac`.
pub(crate) fn foreign(other: Mac, mac: Mac) -> String {
    format!("this address belongs to {other}, not to {mac}")
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
    let arch = arch_of(appliance, identity, mac, said);
    let server = appliance.facts(local);
    let boot = boot.map(|boot| appliance.tickets.of(boot.boot, mac));
    let facts = Facts { mac, identity, arch, boot, server: &server, via };
    render(&facts).map_err(|error| error.to_string())
}
