//! One virtual machine: QEMU with real firmware, an empty disk and a network card on the lab's switch.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use captain_model::{Arch, Mac};
use tokio::process::Child;

use crate::accel::Accel;
use crate::child;
use crate::error::LabError;
use crate::firmware::LabFirmware;
use crate::media::Media;

/// Size of a machine's disk; it is a hole until something is written.
const DISK: u64 = 1 << 30;

/// What every machine of a lab has in common.
#[derive(Clone, Debug)]
pub struct Hardware {
    /// Memory, MiB.
    pub memory_mib: u32,
    /// Processors.
    pub cpus: u32,
    /// How a PC's are run. Other architectures are always emulated.
    pub accel: Accel,
    /// The run's folder: disks, consoles and logs.
    pub folder: PathBuf,
    /// The switch's socket.
    pub socket: PathBuf,
    /// What they boot from.
    pub media: Media,
}

/// A machine that is switched on. Dropping it switches it off.
#[derive(Debug)]
pub struct Machine {
    qemu: Child,
    log: PathBuf,
}

impl Machine {
    /// Switches a machine on.
    ///
    /// # Errors
    /// QEMU or the firmware is not installed, or the run's folder cannot be written.
    pub fn start(mac: Mac, firmware: LabFirmware, hardware: &Hardware) -> Result<Self, LabError> {
        let qemu = firmware.emulator()?;
        let folder = &hardware.folder;
        let disk = folder.join(file_name(mac, "disk"));
        File::create(&disk).and_then(|file| file.set_len(DISK)).map_err(LabError::file(&disk))?;
        let flash = firmware.flash()?;
        if let Some((_, variables)) = &flash {
            let own = folder.join(file_name(mac, "vars"));
            let bytes = fs::read(variables).map_err(LabError::file(variables))?;
            fs::write(&own, bytes).map_err(LabError::file(&own))?;
        }
        let log = file_name(mac, "qemu.log");
        let mut command = child::command(&qemu, folder, &log)?;
        command.args(arguments(mac, firmware, hardware, flash.as_ref().map(|(code, _)| code.as_path())));
        let qemu = command.spawn().map_err(LabError::start(qemu.display().to_string()))?;
        Ok(Self { qemu, log: folder.join(log) })
    }

    /// Waits until the machine switches itself off or resets, and says what QEMU had to say about it.
    pub async fn ended(&mut self) -> String {
        let status = match self.qemu.wait().await {
            Ok(status) => status.to_string(),
            Err(why) => why.to_string(),
        };
        let said = child::last_lines(&self.log, 3).join("; ");
        let said = if said.is_empty() { String::new() } else { format!(": {said}") };
        format!("the machine reset or switched itself off ({status}){said}")
    }

    /// Switches it off.
    pub async fn stop(mut self) {
        let _ = self.qemu.kill().await;
    }
}

/// Where the machine's serial console is written.
pub fn console(folder: &Path, mac: Mac) -> PathBuf {
    folder.join(file_name(mac, "console.log"))
}

fn file_name(mac: Mac, what: &str) -> String {
    format!("{}.{what}", mac.dashed())
}

/// QEMU's command line. It runs in the run's folder, so that paths are short and hold no comma.
fn arguments(mac: Mac, firmware: LabFirmware, hardware: &Hardware, code: Option<&Path>) -> Vec<String> {
    let row = firmware.row();
    let mut all = Vec::new();
    let mut add = |option: &str, value: String| all.extend([option.to_owned(), value]);
    add("-name", mac.to_string());
    // graphics=off: SeaBIOS and its option ROMs speak on the serial port.
    add("-machine", format!("{},graphics=off", row.machine));
    add("-m", hardware.memory_mib.to_string());
    add("-smp", hardware.cpus.to_string());
    add("-uuid", uuid(mac));
    add("-display", "none".into());
    add("-monitor", "none".into());
    add("-serial", format!("file:{}", file_name(mac, "console.log")));
    if let Some(code) = code {
        add("-drive", format!("if=pflash,unit=0,format=raw,readonly=on,file={}", code.display()));
        add("-drive", format!("if=pflash,unit=1,format=raw,file={}", file_name(mac, "vars")));
    }
    let socket = hardware.socket.strip_prefix(&hardware.folder).unwrap_or(&hardware.socket).display();
    add("-netdev", format!("stream,id=n0,server=off,addr.type=unix,addr.path={socket}"));
    let rom = row.romfile.map(|file| format!(",romfile={file}")).unwrap_or_default();
    let first = if hardware.media == Media::Network { ",bootindex=1" } else { "" };
    add("-device", format!("virtio-net-pci,netdev=n0,mac={mac}{first}{rom}"));
    add("-device", "virtio-rng-pci".into());
    let disk = file_name(mac, "disk");
    add("-drive", format!("if=none,id=d0,format=raw,cache=unsafe,discard=unmap,file={disk}"));
    add("-device", "virtio-blk-pci,drive=d0".into());
    all.extend(hardware.media.arguments(&file_name(mac, "iso")));
    let accel = if row.arch == Arch::Amd64 { hardware.accel } else { Accel::Tcg };
    all.extend(accel.arguments(row.cpu).map(str::to_owned));
    // A machine that resets has failed: it would only start the same boot again.
    all.extend(["-nodefaults", "-no-reboot"].map(str::to_owned));
    all.extend(row.extra.iter().map(|argument| (*argument).to_owned()));
    all
}

/// A system UUID that is the same for the same machine, so that option 97 is.
fn uuid(mac: Mac) -> String {
    let [a, b, c, d, e, f] = mac.bytes();
    format!("c0ffee00-1ab0-4000-8000-{a:02x}{b:02x}{c:02x}{d:02x}{e:02x}{f:02x}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::machine_mac;

    fn line(firmware: LabFirmware) -> String {
        line_from(firmware, Media::Network)
    }

    fn line_from(firmware: LabFirmware, media: Media) -> String {
        let hardware = Hardware {
            memory_mib: 1536,
            cpus: 2,
            accel: Accel::Tcg,
            folder: "/tmp/run".into(),
            socket: "/tmp/run/switch".into(),
            media,
        };
        arguments(machine_mac(0), firmware, &hardware, firmware.row().flash.map(|_| Path::new("CODE.fd")))
            .join(" ")
    }

    #[test]
    fn a_bios_machine_keeps_the_cards_rom_and_a_uefi_machine_has_flash_instead() {
        let bios = line(LabFirmware::Bios);
        assert!(!bios.contains("pflash") && !bios.contains("romfile"), "{bios}");
        let uefi = line(LabFirmware::Uefi);
        assert!(
            uefi.contains("readonly=on,file=CODE.fd") && uefi.contains("bootindex=1,romfile= "),
            "{uefi}"
        );
        for text in [bios, uefi] {
            assert!(
                text.contains("addr.path=switch -device virtio-net-pci,netdev=n0,mac=52:54:00:00:00:01"),
                "{text}"
            );
            assert!(
                text.contains("-m 1536 -smp 2")
                    && text.contains("-uuid c0ffee00-1ab0-4000-8000-525400000001")
            );
        }
    }

    #[test]
    fn a_machine_with_media_starts_from_that_and_not_from_its_card() {
        for (media, device) in
            [(Media::Cd, "scsi-cd,drive=m0,bootindex=1"), (Media::Usb, "usb-storage,drive=m0,")]
        {
            let text = line_from(LabFirmware::Uefi, media);
            assert!(text.contains(device) && text.contains("file=52-54-00-00-00-01.iso"), "{text}");
            assert_eq!(text.matches("bootindex").count(), 1, "{text}");
        }
    }
}
