//! Whether this box really runs machines on its processor (KVM), or has to emulate one.

use std::path::Path;
use std::time::Duration;

use tokio::process::Command;
use tokio::time::timeout;

use crate::child;
use crate::error::LabError;
use crate::probe;

/// How QEMU runs a machine's instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accel {
    /// On the processor.
    Kvm,
    /// By translation (TCG), one thread per virtual processor.
    Tcg,
}

/// How long a machine on KVM may take for a boot sector; a working one needs less than a second.
const PATIENCE: Duration = Duration::from_secs(5);

/// Exit status of QEMU after the guest wrote the probe's word to isa-debug-exit (QEMU hw/misc/debugexit.c).
const ALIVE: i32 = (probe::WORD as i32) << 1 | 1;

impl Accel {
    /// Starts a machine on KVM whose firmware switches it off with a word of its own. /dev/kvm's existence
    /// proves nothing: inside some virtual machines it opens, and guests then hang or die.
    ///
    /// # Errors
    /// The probe's firmware cannot be written to `folder`.
    pub async fn probe(qemu: &Path, folder: &Path) -> Result<Self, LabError> {
        if std::fs::OpenOptions::new().read(true).write(true).open("/dev/kvm").is_err() {
            return Ok(Self::Tcg);
        }
        let mut command = probe_command(qemu, folder)?;
        command.args(Self::Kvm.arguments("host"));
        let ended = timeout(PATIENCE, command.status()).await;
        let alive = matches!(&ended, Ok(Ok(status)) if status.code() == Some(ALIVE));
        tracing::debug!(?ended, alive, "KVM probe");
        Ok(if alive { Self::Kvm } else { Self::Tcg })
    }

    /// QEMU's arguments; `cpu` is the processor that is emulated.
    pub(crate) const fn arguments(self, cpu: &'static str) -> [&'static str; 4] {
        match self {
            Self::Kvm => ["-accel", "kvm", "-cpu", "host"],
            Self::Tcg => ["-accel", "tcg,thread=multi", "-cpu", cpu],
        }
    }
}

/// A machine whose firmware is the probe.
fn probe_command(qemu: &Path, folder: &Path) -> Result<Command, LabError> {
    let file = folder.join("probe.bin");
    std::fs::write(&file, probe::firmware()).map_err(LabError::file(&file))?;
    let mut command = child::command(qemu, folder, "probe.log")?;
    command.args(["-machine", "q35", "-m", "64", "-nodefaults", "-display", "none", "-bios", "probe.bin"]);
    command.args(["-device", "isa-debug-exit,iobase=0xf4,iosize=4"]);
    Ok(command)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::firmware::LabFirmware;

    #[tokio::test]
    async fn the_probe_ends_an_emulated_machine_with_its_word() {
        let Ok(qemu) = LabFirmware::Bios.emulator() else {
            return println!("skipped: no qemu-system-x86_64");
        };
        let folder = tempfile::tempdir().unwrap();
        let mut command = probe_command(&qemu, folder.path()).unwrap();
        command.args(Accel::Tcg.arguments("max"));
        let status = timeout(Duration::from_secs(60), command.status()).await.unwrap().unwrap();
        assert_eq!(status.code(), Some(ALIVE));
    }
}
