//! What one machine is told: its kernel command line, its iPXE script, its GRUB configuration, its ISO patch.
//!
//! Everything is a function of [`Facts`]; no file is read and no socket opened. The scripts' texts are the
//! templates in `ipxe-scripts/`, embedded in the binary; [`Templates::from_map`] takes others.

mod cmdline;
mod error;
mod facts;
mod grub;
mod ipxe;
mod iso;
mod template;
mod templates;

pub use cmdline::{cmdline, masked};
pub use error::{BootError, TemplateError};
pub use facts::{Facts, ServerFacts, Via, arch_of_buildarch};
pub use iso::{ISO_PATCH_SIZE, ISO_PLACEHOLDER, IsoRoom, IsoSearch, iso_cmdline};
pub use templates::Templates;

use captain_model::{Cmdline, LocalBoot, Mac};

/// [`Templates::script`] with the embedded templates.
pub fn script(facts: &Facts, cmdline: &Cmdline) -> String {
    Templates::embedded().script(facts, cmdline)
}

/// [`Templates::local_script`] with the embedded templates.
pub fn local_script(way: LocalBoot, why: &str) -> Option<String> {
    Templates::embedded().local_script(way, why)
}

/// [`Templates::discover_script`] with the embedded templates.
pub fn discover_script(server: &ServerFacts) -> String {
    Templates::embedded().discover_script(server)
}

/// [`Templates::wait_script`] with the embedded templates.
pub fn wait_script(server: &ServerFacts, mac: Mac, why: &str) -> String {
    Templates::embedded().wait_script(server, mac, why)
}

/// [`Templates::grub_cfg`] with the embedded templates.
///
/// # Errors
/// See [`Templates::grub_cfg`].
pub fn grub_cfg(facts: &Facts, cmdline: &Cmdline) -> Result<String, BootError> {
    Templates::embedded().grub_cfg(facts, cmdline)
}

/// [`Templates::pxelinux_cfg`] with the embedded templates.
pub fn pxelinux_cfg(facts: &Facts, cmdline: &Cmdline) -> String {
    Templates::embedded().pxelinux_cfg(facts, cmdline)
}

#[cfg(test)]
mod tests;
