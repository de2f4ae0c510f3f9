//! A small FAT16 file system: the EFI system partition of an ISO (Microsoft's FAT specification 1.03; UEFI 2.10
//! section 13.3). Two folders, a few files with short names, every byte decided by its input.

use crate::calendar::Calendar;
use crate::error::Error;

const SECTOR: usize = 512;
const RESERVED: usize = 1;
const FATS: usize = 2;
const ROOT_ENTRIES: usize = 512;
const ENTRY: usize = 32;
/// Fewer clusters are FAT12, more are FAT32, whatever the label says (section 3.5).
const FEWEST: usize = 4085;
const MOST: usize = 65_524;
const END_OF_CHAIN: u16 = 0xffff;
const FOLDER: u8 = 0x10;
const ARCHIVE: u8 = 0x20;

/// A file system with `files` (short names in upper case: `BOOTX64.EFI`) in its folder `/EFI/BOOT`.
///
/// # Errors
/// They are larger than FAT16 can hold with clusters of one sector, 32 MiB.
pub(super) fn image(files: &[(&str, &[u8])], date: u64) -> Result<Vec<u8>, Error> {
    let clusters = |bytes: usize| bytes.div_ceil(SECTOR);
    // One cluster for each of the two folders.
    let used = 2 + files.iter().map(|(_, content)| clusters(content.len())).sum::<usize>();
    if used > MOST {
        return Err(Error::malformed("the EFI system partition", "its boot loaders are larger than 32 MiB"));
    }
    let count = used.max(FEWEST + 16);
    let fat_sectors = ((count + 2) * 2).div_ceil(SECTOR);
    let data = RESERVED + FATS * fat_sectors + ROOT_ENTRIES * ENTRY / SECTOR;
    let mut volume = Volume {
        bytes: vec![0; (data + count) * SECTOR],
        fat: vec![0xfff8, END_OF_CHAIN],
        data,
        stamp: Calendar::of(date).dos(),
    };
    volume.boot_sector(fat_sectors, data + count, date);
    volume.folders(files);
    volume.write_fats(fat_sectors);
    Ok(volume.bytes)
}

struct Volume {
    bytes: Vec<u8>,
    /// One number for each cluster: the next of its chain.
    fat: Vec<u16>,
    /// Sector of cluster 2, the first.
    data: usize,
    /// Date and time of every entry.
    stamp: (u16, u16),
}

impl Volume {
    fn put(&mut self, at: usize, bytes: &[u8]) {
        self.bytes[at..at + bytes.len()].copy_from_slice(bytes);
    }

    /// Section 3.1. The numbers are bounded by `MOST`.
    fn boot_sector(&mut self, fat_sectors: usize, sectors: usize, date: u64) {
        let short = |value: usize| (value as u16).to_le_bytes();
        self.put(0, &[0xeb, 0x3c, 0x90]);
        self.put(3, b"CAPTAIND");
        self.put(11, &short(SECTOR));
        self.put(13, &[1]);
        self.put(14, &short(RESERVED));
        self.put(16, &[FATS as u8]);
        self.put(17, &short(ROOT_ENTRIES));
        self.put(21, &[0xf8]);
        self.put(22, &short(fat_sectors));
        self.put(24, &short(32));
        self.put(26, &short(64));
        match u16::try_from(sectors) {
            Ok(few) => self.put(19, &few.to_le_bytes()),
            Err(_) => self.put(32, &(sectors as u32).to_le_bytes()),
        }
        self.put(36, &[0x80, 0, 0x29]);
        self.put(39, &(date as u32).to_le_bytes());
        self.put(43, b"CAPTAIND   FAT16   ");
        self.put(510, &[0x55, 0xaa]);
    }

    fn offset(&self, cluster: u16) -> usize {
        (self.data + usize::from(cluster) - 2) * SECTOR
    }

    /// The next free clusters, as a chain; the first one's number.
    fn take(&mut self, count: usize) -> u16 {
        let first = self.fat.len() as u16;
        for left in (0..count).rev() {
            let next = self.fat.len() as u16 + 1;
            self.fat.push(if left == 0 { END_OF_CHAIN } else { next });
        }
        first
    }

    fn folders(&mut self, files: &[(&str, &[u8])]) {
        let (efi, boot) = (self.take(1), self.take(1));
        let root = (RESERVED + FATS * (self.data - RESERVED - ROOT_ENTRIES * ENTRY / SECTOR) / FATS) * SECTOR;
        let of_root = [self.entry("EFI", FOLDER, efi, 0)];
        let of_efi = [
            self.entry(".", FOLDER, efi, 0),
            self.entry("..", FOLDER, 0, 0),
            self.entry("BOOT", FOLDER, boot, 0),
        ];
        let mut of_boot = vec![self.entry(".", FOLDER, boot, 0), self.entry("..", FOLDER, efi, 0)];
        for (name, content) in files {
            let cluster = self.take(content.len().div_ceil(SECTOR));
            self.put(self.offset(cluster), content);
            of_boot.push(self.entry(name, ARCHIVE, cluster, content.len() as u32));
        }
        self.put(root, &of_root.concat());
        self.put(self.offset(efi), &of_efi.concat());
        self.put(self.offset(boot), &of_boot.concat());
    }

    /// A row of a folder (section 6).
    fn entry(&self, name: &str, attributes: u8, cluster: u16, size: u32) -> [u8; ENTRY] {
        let mut row = [0; ENTRY];
        row[..11].fill(b' ');
        let (stem, ending) = match name {
            "." | ".." => (name, ""),
            _ => name.split_once('.').unwrap_or((name, "")),
        };
        for (to, from) in row[..8].iter_mut().zip(stem.bytes()) {
            *to = from;
        }
        for (to, from) in row[8..11].iter_mut().zip(ending.bytes()) {
            *to = from;
        }
        row[11] = attributes;
        let (date, time) = self.stamp;
        for (at, value) in [(14, time), (16, date), (18, date), (22, time), (24, date), (26, cluster)] {
            row[at..at + 2].copy_from_slice(&value.to_le_bytes());
        }
        row[28..].copy_from_slice(&size.to_le_bytes());
        row
    }

    fn write_fats(&mut self, fat_sectors: usize) {
        let table: Vec<u8> = self.fat.iter().flat_map(|next| next.to_le_bytes()).collect();
        for number in 0..FATS {
            self.put((RESERVED + number * fat_sectors) * SECTOR, &table);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn short(bytes: &[u8], at: usize) -> usize {
        usize::from(u16::from_le_bytes([bytes[at], bytes[at + 1]]))
    }

    /// Follows a path as firmware does: folder by folder, cluster by cluster.
    fn read(image: &[u8], path: &[&str]) -> Option<Vec<u8>> {
        let fat_sectors = short(image, 22);
        let root = (1 + 2 * fat_sectors) * SECTOR;
        let data = root + short(image, 17) * ENTRY;
        let chain = |mut cluster: usize| {
            let mut content = Vec::new();
            while (2..0xfff8).contains(&cluster) {
                content.extend_from_slice(&image[data + (cluster - 2) * SECTOR..][..SECTOR]);
                cluster = short(image, SECTOR + cluster * 2);
            }
            content
        };
        let mut folder = image[root..data].to_vec();
        for name in path {
            let rows = folder.as_chunks::<ENTRY>().0;
            let row = *rows.iter().find(|row| row[..11] == short_name(name))?;
            let size = u32::from_le_bytes([row[28], row[29], row[30], row[31]]) as usize;
            folder = chain(short(&row, 26));
            if row[11] == ARCHIVE {
                folder.truncate(size);
            }
        }
        Some(folder)
    }

    fn short_name(name: &str) -> [u8; 11] {
        let (stem, ending) = name.split_once('.').unwrap_or((name, ""));
        format!("{stem:8}{ending:3}").into_bytes().try_into().unwrap()
    }

    #[test]
    fn files_are_found_whole_where_firmware_looks_for_them() {
        let (large, small) = (vec![5; 3_000_001], vec![6; 512]);
        let files = [("BOOTX64.EFI", &large[..]), ("GRUBX64.EFI", &small[..])];
        let image = image(&files, 1_700_000_000).unwrap();
        assert_eq!(read(&image, &["EFI", "BOOT", "BOOTX64.EFI"]).unwrap(), large);
        assert_eq!(read(&image, &["EFI", "BOOT", "GRUBX64.EFI"]).unwrap(), small);
        assert_eq!(read(&image, &["EFI", "BOOT", "SHIM.EFI"]), None);
        let sectors = short(&image, 19);
        assert_eq!(image.len(), sectors * SECTOR);
        assert_eq!(image[SECTOR..][..1000], image[SECTOR * (1 + short(&image, 22))..][..1000]);
    }

    #[test]
    fn a_small_one_still_has_the_clusters_that_make_it_fat16() {
        let image = image(&[("A.EFI", b"x")], 0).unwrap();
        let data = 1 + 2 * short(&image, 22) + 32;
        let clusters = image.len() / SECTOR - data;
        assert!((FEWEST..=MOST).contains(&clusters), "{clusters}");
        assert!(super::image(&[("A.EFI", &vec![0; 34 << 20])], 0).is_err());
    }
}
