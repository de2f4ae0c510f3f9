//! The ISO: BIOS by ISOLINUX, UEFI (Secure Boot too) by shim and GRUB. Both read their configuration from the disc,
//! where the placeholder for the kernel's command line stands in plain text.

use captain_model::Arch;
use captain_model::iso::{PLACEHOLDER, PLACEHOLDER_SIZE};

use super::hybrid::{CYLINDER, Places, boot_info, catalog, master_boot_record};
use super::iso9660::{Disc, File, SECTOR};
use super::media::{Media, efi_name};
use super::{Body, Source, fat};
use crate::error::Error;
use crate::output::Output;

/// Bytes for a command line: what the kernel takes (2047) but for `BOOT_IMAGE=/boot/vmlinuz
/// initrd=/boot/initramfs`, which ISOLINUX puts in front. The placeholder is the first 1024 of them, so that a
/// server that knows no more than those patches this ISO too.
const ROOM: usize = 1984;
/// Tinkerbell's own proxy reads pieces of 32 KiB and misses a placeholder that lies across two of them.
const PIECE: u64 = 32 << 10;

const ISOLINUX: &str = "isolinux/isolinux.bin";
const PARTITION: &str = "boot/efi.img";

/// Writes the ISO.
pub(super) fn write(source: &Source, media: &Media, mut out: Output) -> Result<Output, Error> {
    let (files, code) = files(source, media)?;
    let mut disc = Disc::layout("CAPTAIND", files, CYLINDER, source.date)?;
    disc.change(ISOLINUX, boot_info);
    let places = places(&disc)?;
    let record = master_boot_record(code.as_deref(), &places, source.date as u32);
    disc.write(&record, &catalog(&places), &mut out)?;
    Ok(out)
}

fn places(disc: &Disc) -> Result<Places, Error> {
    let partition =
        disc.place(PARTITION).ok_or_else(|| Error::malformed("the ISO", "it has no partition"))?;
    Ok(Places {
        isolinux: disc.place(ISOLINUX).map(|(sector, _)| sector),
        partition,
        sectors: disc.sectors(),
    })
}

/// The disc's files, and the code of its first sector where it starts by BIOS.
fn files(source: &Source, media: &Media) -> Result<(Vec<File>, Option<Vec<u8>>), Error> {
    let file = |path, body, alignment| File { path, body, alignment };
    let text = |path, text: String| file(path, Body::Bytes(text.into_bytes()), PIECE);
    let mut files = vec![
        // Where Debian's GRUB looks for the disc that it is on.
        text(".disk/info", format!("captaind OSIE, Linux {}\n", source.version)),
        text("boot/grub/grub.cfg", grub_cfg()),
    ];
    let mut code = None;
    if source.arch == Arch::Amd64 {
        let [isolinux, ldlinux, first] = media.bios()?;
        if isolinux.len() < 64 {
            return Err(Error::malformed(ISOLINUX, "it is not ISOLINUX"));
        }
        files.push(text("isolinux/isolinux.cfg", isolinux_cfg()));
        files.push(file(ISOLINUX, Body::Bytes(isolinux), SECTOR));
        files.push(file("isolinux/ldlinux.c32", Body::Bytes(ldlinux), SECTOR));
        code = Some(first);
    }
    files.push(file(PARTITION, Body::Bytes(partition(source, media)?), SECTOR));
    files.push(file("boot/vmlinuz", source.kernel.clone(), SECTOR));
    files.push(file("boot/initramfs", source.initramfs.clone(), SECTOR));
    Ok((files, code))
}

/// The EFI system partition: shim where firmware looks, GRUB where shim does.
fn partition(source: &Source, media: &Media) -> Result<Vec<u8>, Error> {
    let [shim, grub] = media.uefi(source.arch)?;
    let cpu = efi_name(source.arch).to_ascii_uppercase();
    let (first, second) = (format!("BOOT{cpu}.EFI"), format!("GRUB{cpu}.EFI"));
    fat::image(&[(&first, &shim), (&second, &grub)], source.date)
}

/// The placeholder, the spaces that are room for more, and one that stays.
fn room() -> String {
    PLACEHOLDER.to_owned() + &" ".repeat(ROOM - PLACEHOLDER_SIZE + 1)
}

fn grub_cfg() -> String {
    format!(
        "set timeout=0\nmenuentry 'captaind OSIE' {{\n  linux /boot/vmlinuz {}\n  initrd /boot/initramfs\n}}\n",
        room()
    )
}

fn isolinux_cfg() -> String {
    format!(
        "DEFAULT osie\nPROMPT 0\nTIMEOUT 1\nLABEL osie\n  KERNEL /boot/vmlinuz\n  INITRD /boot/initramfs\n  APPEND {}\n",
        room()
    )
}
