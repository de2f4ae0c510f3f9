//! A small ISO 9660 file system with Rock Ridge names (ECMA-119; IEEE P1282 RRIP 1.10).
//!
//! A layout is made first, so that files can be told where they lie; then it is written in one go.

use std::collections::BTreeMap;
use std::io::{self, Write};

use super::body::{Body, align, zeros};
use crate::calendar::Calendar;
use crate::error::Error;

/// Bytes of a logical sector.
pub(super) const SECTOR: u64 = 2048;
/// First sector of the volume descriptors: what is before is the system's (section 6.2.1).
const DESCRIPTORS: u64 = 16;
/// Sector of El Torito's boot record volume descriptor, which must be this one.
const BOOT_RECORD: u64 = 17;
const BOOT_CATALOG: u64 = 19;
const PATH_TABLES: [u64; 2] = [20, 21];
const FIRST_FOLDER: u64 = 22;

/// A file on the disc.
#[derive(Debug)]
pub(super) struct File {
    /// Path from the root, without a slash before it: `boot/grub/grub.cfg`.
    pub(super) path: &'static str,
    pub(super) body: Body,
    /// It begins at a multiple of this many bytes.
    pub(super) alignment: u64,
}

/// A disc in which everything has its place.
#[derive(Debug)]
pub(super) struct Disc {
    files: Vec<(File, u64)>,
    /// Folders by path with their sectors; the root is the empty path.
    folders: BTreeMap<String, u64>,
    date: Calendar,
    label: &'static str,
    /// Sectors of the whole.
    sectors: u64,
}

fn wrong(why: impl ToString) -> Error {
    Error::malformed("the ISO", why)
}

impl Disc {
    /// Gives every file its place, in their order. The whole is a multiple of `unit` bytes long.
    ///
    /// # Errors
    /// A file of 4 GiB or more.
    pub(super) fn layout(label: &'static str, files: Vec<File>, unit: u64, date: u64) -> Result<Self, Error> {
        let mut folders = BTreeMap::from([(String::new(), 0)]);
        for file in &files {
            let ends = file.path.match_indices('/').map(|(at, _)| at);
            folders.extend(ends.map(|end| (file.path[..end].to_owned(), 0)));
        }
        for (sector, place) in (FIRST_FOLDER..).zip(folders.values_mut()) {
            *place = sector;
        }
        let mut at = FIRST_FOLDER + folders.len() as u64;
        let mut placed = Vec::new();
        for file in files {
            if u32::try_from(file.body.size()).is_err() {
                return Err(wrong(format!("{} is larger than 4 GiB", file.path)));
            }
            at = align(at, file.alignment.div_ceil(SECTOR));
            let sectors = file.body.size().div_ceil(SECTOR);
            placed.push((file, at));
            at += sectors;
        }
        let sectors = align(at * SECTOR, unit) / SECTOR;
        Ok(Self { files: placed, folders, date: Calendar::of(date), label, sectors })
    }

    /// First sector and bytes of the file at `path`.
    pub(super) fn place(&self, path: &str) -> Option<(u64, u64)> {
        let found = self.files.iter().find(|(file, _)| file.path == path);
        found.map(|(file, sector)| (*sector, file.body.size()))
    }

    /// Sectors of the whole.
    pub(super) fn sectors(&self) -> u64 {
        self.sectors
    }

    /// Replaces the content of the file at `path` by what `change` makes of it, which is as long.
    pub(super) fn change(&mut self, path: &str, change: impl FnOnce(&mut [u8], u64)) {
        let found = self.files.iter_mut().find(|(file, _)| file.path == path);
        if let Some((File { body: Body::Bytes(bytes), .. }, sector)) = found {
            change(bytes, *sector);
        }
    }

    /// Writes the disc: `system` (at most 32 KiB), the descriptors, `catalog` (one sector), folders and files.
    ///
    /// # Errors
    /// The disk's; a folder with more files than fit in one sector.
    pub(super) fn write(&self, system: &[u8], catalog: &[u8], out: &mut impl Write) -> Result<(), Error> {
        let mut sheet = Sheet { out, at: 0 };
        let mut put = |sector: u64, bytes: &[u8]| sheet.put(sector, &Body::Bytes(bytes.to_vec()));
        put(0, system).map_err(Error::io("the ISO"))?;
        put(DESCRIPTORS, &self.primary()).map_err(Error::io("the ISO"))?;
        put(BOOT_RECORD, &boot_record()).map_err(Error::io("the ISO"))?;
        put(DESCRIPTORS + 2, b"\xffCD001\x01").map_err(Error::io("the ISO"))?;
        put(BOOT_CATALOG, catalog).map_err(Error::io("the ISO"))?;
        for (sector, little) in PATH_TABLES.into_iter().zip([true, false]) {
            put(sector, &self.path_table(little)).map_err(Error::io("the ISO"))?;
        }
        for (path, sector) in &self.folders {
            put(*sector, &self.folder(path)?).map_err(Error::io("the ISO"))?;
        }
        for (file, sector) in &self.files {
            sheet.put(*sector, &file.body).map_err(Error::io(file.path))?;
        }
        sheet.until(self.sectors).map_err(Error::io("the ISO"))
    }

    /// Section 8.4.
    fn primary(&self) -> Vec<u8> {
        let mut field = vec![0; SECTOR as usize];
        let mut put = |at: usize, bytes: &[u8]| field[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, b"\x01CD001\x01");
        put(8, &[b' '; 32]);
        put(40, &[b' '; 32]);
        put(40, self.label.as_bytes());
        put(80, &both(self.sectors));
        put(120, &both_short(1));
        put(124, &both_short(1));
        put(128, &both_short(SECTOR as u16));
        put(132, &both(self.path_table(true).len() as u64));
        put(140, &(PATH_TABLES[0] as u32).to_le_bytes());
        put(148, &(PATH_TABLES[1] as u32).to_be_bytes());
        put(156, &self.record(b"\0", self.folders[""], SECTOR, true, &[]));
        put(190, &[b' '; 623]);
        put(190 + 3 * 128, b"CAPTAIND");
        let Calendar { year, month, day, hour, minute, second } = self.date;
        let date = format!("{year:04}{month:02}{day:02}{hour:02}{minute:02}{second:02}00\0");
        put(813, date.as_bytes());
        put(830, date.as_bytes());
        put(847, b"0000000000000000\0");
        put(864, b"0000000000000000\0");
        put(881, &[1]);
        field
    }

    /// Folders by depth, then by their parents, then by name (section 6.9.1); each with its number from 1.
    fn in_path_order(&self) -> Vec<(&str, u64)> {
        let mut order: Vec<_> = self.folders.iter().map(|(path, sector)| (path.as_str(), *sector)).collect();
        let depth = |path: &str| if path.is_empty() { 0 } else { 1 + path.matches('/').count() };
        order.sort_by(|(a, _), (b, _)| (depth(a), a).cmp(&(depth(b), b)));
        order
    }

    /// Section 9.4.
    fn path_table(&self, little: bool) -> Vec<u8> {
        let order = self.in_path_order();
        let mut table = Vec::new();
        for (path, sector) in &order {
            let (parent, name) = split(path);
            let number = order.iter().position(|(other, _)| *other == parent).unwrap_or(0) as u16 + 1;
            let name = if path.is_empty() { vec![0] } else { plain(name).into_bytes() };
            let sector = *sector as u32;
            table.extend([name.len() as u8, 0]);
            table.extend(if little { sector.to_le_bytes() } else { sector.to_be_bytes() });
            table.extend(if little { number.to_le_bytes() } else { number.to_be_bytes() });
            table.extend_from_slice(&name);
            if name.len() % 2 == 1 {
                table.push(0);
            }
        }
        table
    }

    /// One folder's records: itself, its parent, and what is in it, sorted by plain name.
    fn folder(&self, path: &str) -> Result<Vec<u8>, Error> {
        let parent = if path.is_empty() { "" } else { split(path).0 };
        let own =
            if path.is_empty() { [shared_use(), posix(true), extension()].concat() } else { posix(true) };
        let mut sector = self.record(b"\0", self.folders[path], SECTOR, true, &own);
        sector.extend(self.record(b"\x01", self.folders[parent], SECTOR, true, &posix(true)));
        let mut rows = BTreeMap::new();
        for (folder, at) in self.folders.iter().filter(|(folder, _)| !folder.is_empty()) {
            let (above, name) = split(folder);
            if above == path {
                rows.insert(plain(name), (name, *at, SECTOR, true));
            }
        }
        for (file, at) in &self.files {
            let (above, name) = split(file.path);
            if above == path {
                rows.insert(format!("{};1", dotted(name)), (name, *at, file.body.size(), false));
            }
        }
        for (identifier, (name, at, size, is_folder)) in rows {
            let extra = [posix(is_folder), posix_name(name)].concat();
            sector.extend(self.record(identifier.as_bytes(), at, size, is_folder, &extra));
        }
        match sector.len() as u64 <= SECTOR {
            true => Ok(sector),
            false => Err(wrong(format!("/{path} has too many files"))),
        }
    }

    /// A directory record (section 9.1) with what Rock Ridge adds.
    fn record(&self, name: &[u8], sector: u64, size: u64, is_folder: bool, extra: &[u8]) -> Vec<u8> {
        let padding = usize::from(name.len().is_multiple_of(2));
        let length = 33 + name.len() + padding + extra.len();
        let mut record = vec![(length + length % 2) as u8, 0];
        record.extend(both(sector));
        record.extend(both(size));
        record.extend(self.date.record());
        record.extend([if is_folder { 2 } else { 0 }, 0, 0]);
        record.extend(both_short(1));
        record.push(name.len() as u8);
        record.extend_from_slice(name);
        record.extend(std::iter::repeat_n(0, padding));
        record.extend_from_slice(extra);
        record.extend(std::iter::repeat_n(0, length % 2));
        record
    }
}

/// Bytes put at sectors, in order, with zeros between them.
struct Sheet<'a, W> {
    out: &'a mut W,
    at: u64,
}

impl<W: Write> Sheet<'_, W> {
    fn put(&mut self, sector: u64, body: &Body) -> io::Result<()> {
        self.until(sector)?;
        body.copy(self.out)?;
        self.at += body.size();
        Ok(())
    }

    fn until(&mut self, sector: u64) -> io::Result<()> {
        let start = sector * SECTOR;
        let gap = start.checked_sub(self.at).ok_or_else(|| io::Error::other("two files overlap"))?;
        self.at = start;
        zeros(self.out, gap)
    }
}

/// El Torito section 2.0.
fn boot_record() -> Vec<u8> {
    let mut field = b"\0CD001\x01EL TORITO SPECIFICATION".to_vec();
    field.resize(71, 0);
    field.extend((BOOT_CATALOG as u32).to_le_bytes());
    field
}

fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}

/// A folder's name in the letters of section 7.4.1.
fn plain(name: &str) -> String {
    let letter = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
    name.chars().map(letter).collect()
}

/// A file's name: these letters, and one dot.
fn dotted(name: &str) -> String {
    let (stem, ending) = name.rsplit_once('.').unwrap_or((name, ""));
    format!("{}.{}", plain(stem), plain(ending))
}

/// A number in both orders (section 7.3.3). Every number here was checked to fit, or is a count of sectors.
fn both(value: u64) -> [u8; 8] {
    let [a, b, c, d] = (value as u32).to_le_bytes();
    [a, b, c, d, d, c, b, a]
}

fn both_short(value: u16) -> [u8; 4] {
    let [a, b] = value.to_le_bytes();
    [a, b, b, a]
}

/// SUSP 5.3: names follow in every record.
fn shared_use() -> Vec<u8> {
    b"SP\x07\x01\xbe\xef\0".to_vec()
}

/// SUSP 5.5: what follows is Rock Ridge.
fn extension() -> Vec<u8> {
    [&b"ER\x12\x01\x0a\0\0\x01"[..], b"RRIP_1991A"].concat()
}

/// RRIP 4.1.1: mode, links, owner, group.
fn posix(is_folder: bool) -> Vec<u8> {
    let (mode, links) = if is_folder { (0o040_555, 2) } else { (0o100_444, 1) };
    let numbers = [mode, links, 0, 0].map(both).concat();
    [&b"PX\x24\x01"[..], &numbers].concat()
}

/// RRIP 4.1.4.
fn posix_name(name: &str) -> Vec<u8> {
    [&[b'N', b'M', 5 + name.len() as u8, 1, 0], name.as_bytes()].concat()
}

#[cfg(test)]
#[path = "iso9660_tests.rs"]
mod tests;
