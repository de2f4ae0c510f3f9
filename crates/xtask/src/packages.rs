//! Debian packages that a chore needs, installed where they are missing.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

/// A file that shows a package is there, and the package.
type Needed = (&'static str, &'static str);

/// What `captaind lab` runs.
pub(crate) const LAB: &[Needed] = &[
    ("/usr/bin/qemu-system-x86_64", "qemu-system-x86"),
    ("/usr/share/OVMF/OVMF_CODE_4M.fd", "ovmf"),
    ("/usr/share/seabios/bios-256k.bin", "seabios"),
    ("/usr/lib/ipxe/qemu/pxe-virtio.rom", "ipxe-qemu"),
];

/// What its machines of another architecture run on.
pub(crate) const ARM64: &[Needed] = &[
    ("/usr/bin/qemu-system-aarch64", "qemu-system-arm"),
    ("/usr/share/AAVMF/AAVMF_CODE.fd", "qemu-efi-aarch64"),
];

/// What the tests run beside that: real peers.
pub(crate) const PEERS: &[Needed] = &[
    ("/usr/sbin/dnsmasq", "dnsmasq-base"),
    ("/bin/busybox", "busybox-static"),
    ("/sbin/dhclient", "isc-dhcp-client"),
    ("/usr/sbin/ip", "iproute2"),
    ("/usr/bin/unshare", "util-linux"),
    ("/usr/bin/curl", "curl"),
    ("/usr/sbin/kea-dhcp4", "kea-dhcp4-server"),
    ("/usr/bin/containerd", "containerd"),
    ("/usr/bin/atftp", "atftp"),
    ("/usr/bin/tftp", "tftp-hpa"),
];

/// What compiles a kernel with `--builder host`.
pub(crate) const COMPILER: &[Needed] = &[
    ("/usr/bin/make", "make"),
    ("/usr/bin/gcc", "gcc"),
    ("/usr/bin/bc", "bc"),
    ("/usr/bin/flex", "flex"),
    ("/usr/bin/bison", "bison"),
    ("/usr/bin/zstd", "zstd"),
    ("/usr/bin/hexdump", "bsdextrautils"),
    ("/usr/include/libelf.h", "libelf-dev"),
];

/// The container engines that `cargo xtask kernel` starts.
pub(crate) const ENGINE: &[Needed] =
    &[("/usr/sbin/dockerd", "docker.io"), ("/usr/bin/podman", "podman"), ("/usr/sbin/runc", "runc")];

/// Installs those of the `needed` lists whose file is not there.
pub(crate) fn ensure(needed: &[&[Needed]], install: bool) -> Result<()> {
    let all = needed.iter().copied().flatten();
    let missing: Vec<_> =
        all.filter(|(file, _)| !Path::new(file).exists()).map(|(_, package)| *package).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let list = missing.join(" ");
    if !install {
        bail!("missing Debian packages: {list}; install them with: apt-get install {list}");
    }
    eprintln!("installing Debian packages: {list}");
    apt(&["update", "-q"])?;
    let mut words = vec!["install", "-y", "-q", "--no-install-recommends"];
    words.extend(missing);
    apt(&words)
}

fn apt(words: &[&str]) -> Result<()> {
    // Root runs apt itself, others through sudo, which asks.
    let root = std::fs::metadata("/proc/self").is_ok_and(|me| std::os::unix::fs::MetadataExt::uid(&me) == 0);
    let mut command = if root { Command::new("apt-get") } else { Command::new("sudo") };
    if !root {
        command.arg("apt-get");
    }
    let status = command
        .args(words)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .status()
        .context("apt-get cannot be started: the chores install Debian packages")?;
    if !status.success() {
        bail!("apt-get {} failed ({status})", words.join(" "));
    }
    Ok(())
}
