//! How a disc starts: El Torito's catalog for virtual media, a master boot record for USB sticks.

use super::iso9660::SECTOR;

/// Disk sectors in a disc's sector.
const BLOCKS: u64 = SECTOR / 512;
/// What isohybrid makes its cylinders of: 64 heads of 32 sectors.
pub(super) const CYLINDER: u64 = 64 * 32 * 512;
/// The platforms of El Torito (specification 1.0, section 2.1; UEFI 2.10 section 13.3.2.1).
const X86: u8 = 0;
const EFI: u8 = 0xef;

/// Where the boot programs lie.
#[derive(Clone, Copy, Debug)]
pub(super) struct Places {
    /// Sector of ISOLINUX, where the disc boots by BIOS.
    pub(super) isolinux: Option<u64>,
    /// Sector and bytes of the EFI system partition.
    pub(super) partition: (u64, u64),
    /// Sectors of the whole disc.
    pub(super) sectors: u64,
}

/// El Torito's boot catalog (section 2): BIOS first where there is one, then UEFI.
pub(super) fn catalog(places: &Places) -> Vec<u8> {
    let (sector, size) = places.partition;
    let efi = entry(sector, size.div_ceil(512));
    let Some(isolinux) = places.isolinux else {
        return [validation(EFI), efi].concat();
    };
    let mut header = vec![0x91, EFI, 1, 0];
    header.resize(32, 0);
    // Four disk sectors are what every BIOS loads; ISOLINUX fetches the rest of itself.
    [validation(X86), entry(isolinux, 4), header, efi].concat()
}

fn validation(platform: u8) -> Vec<u8> {
    let mut entry = vec![1, platform];
    entry.resize(32, 0);
    entry[30..].copy_from_slice(&[0x55, 0xaa]);
    let words = entry.as_chunks::<2>().0.iter().map(|word| u16::from_le_bytes(*word));
    let sum = words.fold(0u16, u16::wrapping_add);
    entry[28..30].copy_from_slice(&sum.wrapping_neg().to_le_bytes());
    entry
}

/// Bootable, without emulation.
fn entry(sector: u64, blocks: u64) -> Vec<u8> {
    let mut entry = vec![0x88, 0, 0, 0, 0, 0];
    entry.extend(u16::try_from(blocks).unwrap_or(u16::MAX).to_le_bytes());
    entry.extend((sector as u32).to_le_bytes());
    entry.resize(32, 0);
    entry
}

/// ISOLINUX wants to be told in itself where it lies (its boot info table, at byte 8).
pub(super) fn boot_info(isolinux: &mut [u8], sector: u64) {
    let words = isolinux[64..].chunks(4).map(|word| {
        let mut whole = [0; 4];
        whole[..word.len()].copy_from_slice(word);
        u32::from_le_bytes(whole)
    });
    let sum = words.fold(0u32, u32::wrapping_add);
    let length = isolinux.len() as u32;
    for (at, value) in [(8, 16), (12, sector as u32), (16, length), (20, sum)] {
        isolinux[at..at + 4].copy_from_slice(&value.to_le_bytes());
    }
    isolinux[24..64].fill(0);
}

/// The first sector: `code` (isohybrid's, where there is one), where ISOLINUX lies, and two partitions: the whole
/// disc, which some BIOSes want to see active, and the EFI system partition. The first has no type, so that UEFI
/// does not take the table for a broken one because they overlap.
pub(super) fn master_boot_record(code: Option<&[u8]>, places: &Places, id: u32) -> Vec<u8> {
    let mut record = vec![0; 512];
    if let (Some(code), Some(isolinux)) = (code, places.isolinux) {
        let length = code.len().min(432);
        record[..length].copy_from_slice(&code[..length]);
        record[432..440].copy_from_slice(&(isolinux * BLOCKS).to_le_bytes());
        partition(&mut record[446..462], (0x80, 0), 0, places.sectors * BLOCKS);
    }
    record[440..444].copy_from_slice(&id.to_le_bytes());
    let (sector, size) = places.partition;
    partition(&mut record[462..478], (0, EFI), sector * BLOCKS, size.div_ceil(512));
    record[510..].copy_from_slice(&[0x55, 0xaa]);
    record
}

/// A row of the table; places are told as block numbers only.
fn partition(row: &mut [u8], (active, kind): (u8, u8), start: u64, blocks: u64) {
    row[0] = active;
    row[1..4].copy_from_slice(&[0xfe, 0xff, 0xff]);
    row[4] = kind;
    row[5..8].copy_from_slice(&[0xfe, 0xff, 0xff]);
    row[8..12].copy_from_slice(&(start as u32).to_le_bytes());
    row[12..16].copy_from_slice(&(blocks as u32).to_le_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACES: Places = Places { isolinux: Some(40), partition: (100, 4_000_000), sectors: 4096 };

    #[test]
    fn the_catalog_offers_bios_and_uefi_and_sums_to_zero() {
        let catalog = catalog(&PLACES);
        let words = catalog[..32].as_chunks::<2>().0.iter().map(|word| u16::from_le_bytes(*word));
        assert_eq!(words.fold(0u16, u16::wrapping_add), 0);
        assert_eq!((catalog[0], catalog[1]), (1, X86));
        assert_eq!(&catalog[32..44], [0x88, 0, 0, 0, 0, 0, 4, 0, 40, 0, 0, 0]);
        assert_eq!(&catalog[64..68], [0x91, EFI, 1, 0]);
        // 4,000,000 bytes are 7813 blocks.
        assert_eq!(&catalog[96..108], [0x88, 0, 0, 0, 0, 0, 0x85, 0x1e, 100, 0, 0, 0]);
        let uefi_only = super::catalog(&Places { isolinux: None, ..PLACES });
        assert_eq!((uefi_only.len(), uefi_only[1]), (64, EFI));
    }

    #[test]
    fn isolinux_is_told_its_place_length_and_sum() {
        let mut program = vec![1; 71];
        boot_info(&mut program, 40);
        let word =
            |at: usize| u32::from_le_bytes([program[at], program[at + 1], program[at + 2], program[at + 3]]);
        assert_eq!([8, 12, 16, 20].map(word), [16, 40, 71, 0x0202_0202 - 0x0100_0000]);
        assert!(program[24..64].iter().all(|byte| *byte == 0) && program[..8] == [1; 8]);
    }

    #[test]
    fn a_stick_starts_by_bios_code_and_by_the_efi_partition() {
        let record = master_boot_record(Some(&[9; 432]), &PLACES, 0xabcd);
        assert_eq!((record[431], record[432], record[440]), (9, 160, 0xcd));
        assert_eq!((record[446], record[450], record[462 + 4]), (0x80, 0, EFI));
        assert_eq!(record[462 + 8..462 + 12], 400u32.to_le_bytes());
        assert_eq!(record[510..], [0x55, 0xaa]);
        let plain = master_boot_record(None, &Places { isolinux: None, ..PLACES }, 0);
        assert!(plain[..462].iter().all(|byte| *byte == 0) && plain[466] == EFI);
    }
}
