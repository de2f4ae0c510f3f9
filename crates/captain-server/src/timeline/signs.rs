//! What an event says about a boot, before it is known which boot: pure reading of names.

use captain_model::{Arch, BootStage, EventKind, Firmware};

/// What one event means for the boot of its machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Sign {
    /// Firmware asked for an address or a boot server.
    Asked { firmware: Firmware, arch: Option<Arch> },
    /// A file that ends a stage was handed out in full, or the OSIE said how far it is.
    Reached(BootStage),
    /// The agent told how it was started.
    Agent,
    /// The OSIE's work is done.
    Done,
    /// Something the machine needs did not work.
    Trouble { needed_for: BootStage, why: String },
    /// The OSIE gave up.
    GaveUp { why: String },
    /// Nothing that moves a boot.
    Nothing,
}

/// Reads `kind`.
pub(super) fn read(kind: &EventKind) -> Sign {
    match kind {
        EventKind::DhcpReply { firmware: Some(firmware), arch, message, .. } if message != "nak" => {
            Sign::Asked { firmware: *firmware, arch: *arch }
        }
        EventKind::TftpDone { file, .. } => stage_of(file).map_or(Sign::Nothing, Sign::Reached),
        EventKind::TftpFailed { file, why } => trouble(file, format!("TFTP {file}: {why}")),
        EventKind::Http { path, status, complete, method, .. } => http(method, path, *status, *complete),
        EventKind::Report { step, detail } => report(step, detail),
        EventKind::AgentStarted { .. } => Sign::Agent,
        EventKind::DhcpReply { .. }
        | EventKind::Ignored { .. }
        | EventKind::LeaseReleased { .. }
        | EventKind::LeaseDeclined { .. }
        | EventKind::AddressInUse { .. }
        | EventKind::DhcpMode { .. }
        | EventKind::NetbootRefused { .. }
        | EventKind::TftpProbe { .. }
        | EventKind::Stage { .. }
        | EventKind::Failed { .. }
        | EventKind::Done => Sign::Nothing,
    }
}

fn http(method: &str, path: &str, status: u16, complete: bool) -> Sign {
    match status {
        // 302: the profile's OSIE is on another server, where nobody sees whether it is loaded.
        200..=299 | 302 if complete => stage_of(path).map_or(Sign::Nothing, Sign::Reached),
        404 | 500..=599 => trouble(path, format!("{method} {path} was answered {status}")),
        _ => Sign::Nothing,
    }
}

fn trouble(file: &str, why: String) -> Sign {
    stage_of(file).map_or(Sign::Nothing, |needed_for| Sign::Trouble { needed_for, why })
}

fn report(step: &str, detail: &str) -> Sign {
    match step {
        "userland" => Sign::Reached(BootStage::Userland),
        "agent" => Sign::Reached(BootStage::Agent),
        "done" => Sign::Done,
        "failed" => Sign::GaveUp { why: detail.to_owned() },
        // Any other word is the OSIE's own: shown, but no stage.
        _ => Sign::Nothing,
    }
}

/// The stage that is reached when `file` (a TFTP name or an HTTP path) has been handed out.
///
/// `autoexec.ipxe` is none: iPXE asks for it before it has an address, and it may hold no script of the machine.
pub(crate) fn stage_of(file: &str) -> Option<BootStage> {
    let name = file.rsplit('/').next().unwrap_or(file);
    let starts = |prefix: &str| name.starts_with(prefix);
    if name == "auto.ipxe" || starts("grub.cfg") || file.contains("pxelinux.cfg/01-") {
        Some(BootStage::Script)
    } else if starts("vmlinuz") {
        Some(BootStage::Kernel)
    } else if starts("initramfs") {
        Some(BootStage::Initramfs)
    } else if [".efi", ".kpxe", ".kkpxe", ".pxe", ".lkrn", ".0"].iter().any(|end| name.ends_with(end)) {
        Some(BootStage::Loader)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_file_tells_the_stage_it_ends() {
        for (file, stage) in [
            ("52:54:00:00:00:01/snponly.efi", Some(BootStage::Loader)),
            ("undionly.kpxe", Some(BootStage::Loader)),
            ("/ipxe/script/52:54:00:00:00:01/auto.ipxe", Some(BootStage::Script)),
            ("grub/grub.cfg-01-52-54-00-00-00-01", Some(BootStage::Script)),
            ("pxelinux.cfg/01-52-54-00-00-00-01", Some(BootStage::Script)),
            ("/tftp/pxelinux.cfg/default", None),
            ("/osie/default/vmlinuz-x86_64", Some(BootStage::Kernel)),
            ("/artifact/ab/initramfs-aarch64", Some(BootStage::Initramfs)),
            ("52:54:00:00:00:01/autoexec.ipxe", None),
            ("/v2/library/agent/manifests/latest", None),
        ] {
            assert_eq!(stage_of(file), stage, "{file}");
        }
    }

    #[test]
    fn a_broken_off_download_reaches_nothing() {
        let http = |complete, status| {
            read(&EventKind::Http {
                method: "GET".into(),
                path: "/osie/default/vmlinuz-x86_64".into(),
                status,
                bytes: 7,
                millis: 1,
                complete,
            })
        };
        assert_eq!(http(false, 200), Sign::Nothing);
        assert_eq!(http(true, 200), Sign::Reached(BootStage::Kernel));
        assert_eq!(http(true, 304), Sign::Nothing);
        assert_eq!(http(true, 302), Sign::Reached(BootStage::Kernel));
        assert!(matches!(http(true, 404), Sign::Trouble { needed_for: BootStage::Kernel, .. }));
    }
}
