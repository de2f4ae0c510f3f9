//! An appliance for tests: on the loopback interface, on free ports, in a folder of its own.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;

use captain_model::{DhcpMode, Inventory, Machine, Profile, UnknownMachines};
use tempfile::TempDir;

use crate::{InterfaceSpec, Settings, SyslogSettings, TftpSettings};

/// What the kernel and the initramfs of the test OSIE hold.
pub(crate) const KERNEL: &[u8] = b"kernel of the test";
pub(crate) const INITRAMFS: &[u8] = b"initramfs of the test";
/// What every loader holds.
pub(crate) const LOADER: &[u8] = b"loader of the test";

/// Settings on loopback with loaders and an OSIE in a folder that lives as long as the first value.
pub(crate) fn settings(machines: Vec<Machine>, unknown: UnknownMachines) -> (TempDir, Settings) {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in [
        ("loaders/undionly.kpxe", LOADER),
        ("loaders/snponly.efi", LOADER),
        ("osie/default/vmlinuz-x86_64", KERNEL),
        ("osie/default/initramfs-x86_64", INITRAMFS),
    ] {
        put(&folder.path().join(name), content);
    }
    let profiles = BTreeMap::from([("default".to_owned(), Profile::new("default"))]);
    let inventory = Arc::new(Inventory::new(machines, profiles, unknown));
    let mut settings = Settings::new(folder.path().join("state"), folder.path(), inventory);
    settings.interfaces = vec![InterfaceSpec::find("lo", None).unwrap()];
    settings.listen = Ipv4Addr::LOCALHOST;
    settings.http_port = 0;
    settings.dhcp.mode = DhcpMode::Disabled;
    settings.tftp = Some(TftpSettings { port: 0, ..TftpSettings::default() });
    settings.syslog = SyslogSettings { port: 0, ..SyslogSettings::default() };
    (folder, settings)
}

/// Writes a file and the folders above it.
pub(crate) fn put(path: &Path, content: &[u8]) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, content).unwrap();
}
