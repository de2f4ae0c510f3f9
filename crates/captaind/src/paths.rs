//! Where files are kept when nobody says otherwise.

use std::path::PathBuf;

/// Downloads, built OSIEs, boot loaders, images. Everything in it can be made again.
pub(crate) fn default_cache() -> PathBuf {
    system_or_user("/var/cache/captaind", "XDG_CACHE_HOME", ".cache")
}

/// Leases and history.
pub(crate) fn default_state() -> PathBuf {
    system_or_user("/var/lib/captaind", "XDG_STATE_HOME", ".local/state")
}

/// The files in which the daemon keeps leases and history, and who used up `once` or `until-done`.
pub(crate) fn state_files(state: &std::path::Path) -> [PathBuf; 2] {
    ["captaind.redb", "settled"].map(|name| state.join(name))
}

/// Root uses the system's folder, everyone else the XDG base directory.
fn system_or_user(system: &str, variable: &str, below_home: &str) -> PathBuf {
    if nix::unistd::geteuid().is_root() {
        return system.into();
    }
    let base = std::env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute());
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_else(|| "/tmp".into())).join(below_home);
    base.unwrap_or_else(home).join("captaind")
}

/// Built OSIE `name`: `vmlinuz-<arch>`, `initramfs-<arch>`, `manifest-<arch>.json`.
pub(crate) fn osie(cache: &std::path::Path, name: &str) -> PathBuf {
    cache.join("osie").join(name)
}

/// Images that the registry serves.
pub(crate) fn images(cache: &std::path::Path) -> PathBuf {
    cache.join("images")
}
