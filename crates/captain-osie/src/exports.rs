//! Go programs without the symbols that they export to plug-ins.
//!
//! Debian links containerd, its shim and ctr so that Go plug-ins (`plugin.Open`) could use every function in them:
//! 18 MB of symbol tables in an image that has no plug-ins. Those tables are all that the first segment of such a
//! program holds; it is written anew with what the dynamic loader looks up, its imports. Every other byte stays as
//! and where it is in memory. gABI chapter 5 (program loading, dynamic linking); GNU hash as glibc's `dl-lookup.c`.

use std::collections::BTreeMap;
use std::ops::Range;

/// Tables smaller than this are left alone, bytes.
pub(crate) const WORTH: usize = 256 << 10;
const PAGE: usize = 4096;
const SYMBOL: usize = 24;
const RELOCATION: usize = 24;

const LOAD: u64 = 1;
const DYNAMIC: u64 = 2;

const STRTAB: u64 = 5;
const SYMTAB: u64 = 6;
const RELA: u64 = 7;
const RELASZ: u64 = 8;
const STRSZ: u64 = 10;
const JMPREL: u64 = 23;
const PLTRELSZ: u64 = 2;
const NEEDED: u64 = 1;
const GNU_HASH: u64 = 0x6fff_fef5;
const VERSYM: u64 = 0x6fff_fff0;
const VERNEED: u64 = 0x6fff_fffe;
const VERNEEDNUM: u64 = 0x6fff_ffff;
/// Tags of the dynamic section that name nothing in the first segment.
const ELSEWHERE: [u64; 19] = [
    3,
    RELASZ,
    9,
    11,
    12,
    13,
    20,
    21,
    24,
    25,
    26,
    27,
    28,
    30,
    0x6fff_fffb,
    0x6fff_fff9,
    STRSZ,
    VERNEEDNUM,
    PLTRELSZ,
];

/// What `program` is without its exports; nothing where it is no Go program of that kind, or of a form that this
/// does not know to the last table.
pub(crate) fn without(program: &[u8]) -> Option<Vec<u8>> {
    let elf = Program { data: program };
    let parts = elf.parts()?;
    let exports = parts.first.len().checked_sub(WORTH)?;
    let first = elf.first_segment(&parts)?;
    (first.bytes.len() < exports).then(|| elf.with(&parts, &first))?
}

struct Program<'a> {
    data: &'a [u8],
}

/// One program header.
#[derive(Clone, Copy, Debug)]
struct Segment {
    /// Where the header is.
    at: usize,
    kind: u64,
    offset: usize,
    address: u64,
    size: usize,
}

struct Parts {
    segments: Vec<Segment>,
    /// The first loaded segment, in the file.
    first: Range<usize>,
    /// Its address.
    base: u64,
    /// Tag -> value, and where the value is in the file.
    dynamic: BTreeMap<u64, (u64, usize)>,
    needed: Vec<(u64, usize)>,
    /// What comes before the tables: headers, notes, the loader's name.
    head: usize,
}

/// The first segment anew.
struct First {
    bytes: Vec<u8>,
    /// Tag -> address or size.
    moved: Vec<(u64, u64)>,
    /// Offsets of `NEEDED` names, in order.
    needed: Vec<u64>,
}

impl Program<'_> {
    fn number(&self, at: usize, width: usize) -> Option<u64> {
        let mut wide = [0; 8];
        wide[..width].copy_from_slice(self.data.get(at..at.checked_add(width)?)?);
        Some(u64::from_le_bytes(wide))
    }

    fn place(&self, at: usize, width: usize) -> Option<usize> {
        usize::try_from(self.number(at, width)?).ok()
    }

    fn parts(&self) -> Option<Parts> {
        (self.data.get(..6)? == b"\x7fELF\x02\x01").then_some(())?;
        let (table, count) = (self.place(0x20, 8)?, self.place(0x38, 2)?);
        let segment = |number: usize| {
            let at = table.checked_add(number * 56)?;
            let place = |offset, width| self.place(at + offset, width);
            Some(Segment {
                at,
                kind: self.number(at, 4)?,
                offset: place(8, 8)?,
                address: self.number(at + 16, 8)?,
                size: place(32, 8)?,
            })
        };
        let segments = (0..count).map(segment).collect::<Option<Vec<_>>>()?;
        let first = segments.iter().find(|segment| segment.kind == LOAD).filter(|it| it.offset == 0)?;
        let dynamic = segments.iter().find(|segment| segment.kind == DYNAMIC)?;
        let go = self.data.get(..first.size.min(PAGE))?.windows(4).any(|word| word == b"Go\0\0");
        let (mut tags, mut needed) = (BTreeMap::new(), Vec::new());
        for at in (dynamic.offset..dynamic.offset.checked_add(dynamic.size)?).step_by(16) {
            let (tag, value) = (self.number(at, 8)?, self.number(at + 8, 8)?);
            match tag {
                0 => break,
                NEEDED => needed.push((value, at + 8)),
                _ => drop(tags.insert(tag, (value, at + 8))),
            }
        }
        let tables = [GNU_HASH, SYMTAB, STRTAB, VERSYM, VERNEED, RELA, JMPREL];
        let starts = tables.iter().map(|tag| self.offset(first, tags.get(tag)?.0));
        let starts = starts.collect::<Option<Vec<_>>>()?;
        // Nothing may point into what is written anew but what is known here.
        let known = tags.keys().all(|tag| tables.contains(tag) || ELSEWHERE.contains(tag));
        let head = *starts.iter().min()?;
        let others = segments.iter().filter(|it| it.kind != LOAD && it.offset < first.size);
        let inside = others.map(|it| it.offset + it.size).all(|end| end <= head);
        (go && known && inside).then(|| Parts {
            first: 0..first.size,
            base: first.address,
            dynamic: tags,
            needed,
            head,
            segments: segments.clone(),
        })
    }

    /// Where `address` of the segment lies in the file.
    fn offset(&self, segment: &Segment, address: u64) -> Option<usize> {
        let at = usize::try_from(address.checked_sub(segment.address)?).ok()?;
        (at < segment.size).then_some(segment.offset + at)
    }

    fn first_segment(&self, parts: &Parts) -> Option<First> {
        let value = |tag| parts.dynamic.get(&tag).map(|(value, _)| *value);
        let place = |tag| usize::try_from(value(tag)?.checked_sub(parts.base)?).ok();
        let size = |tag| usize::try_from(value(tag)?).ok();
        let relocations: Vec<_> = [(RELA, RELASZ), (JMPREL, PLTRELSZ)]
            .into_iter()
            .map(|(at, length)| {
                Some((at, self.data.get(place(at)?..place(at)?.checked_add(size(length)?)?)?))
            })
            .collect::<Option<_>>()?;
        let mut tables = Imports {
            program: self,
            symbols: place(SYMTAB)?,
            strings: place(STRTAB)?,
            versions: place(VERSYM)?,
            numbers: BTreeMap::from([(0, 0)]),
            names: vec![0],
            table: vec![0; SYMBOL],
            versym: vec![0; 2],
        };
        let mut anew = Vec::new();
        for (tag, bytes) in &relocations {
            anew.push((*tag, tables.relocations(bytes)?));
        }
        let verneed = tables.verneed(place(VERNEED)?, value(VERNEEDNUM)?)?;
        let needed = parts.needed.iter().map(|(name, _)| tables.name(usize::try_from(*name).ok()?));
        let needed = needed.collect::<Option<Vec<_>>>()?;
        let mut bytes = self.data.get(..parts.head)?.to_vec();
        let mut moved = vec![(STRSZ, tables.names.len() as u64)];
        let symbols = tables.numbers.len() as u32;
        for (tag, table) in [
            (GNU_HASH, empty_hash(symbols)),
            (SYMTAB, tables.table),
            (STRTAB, tables.names),
            (VERSYM, tables.versym),
            (VERNEED, verneed),
        ]
        .into_iter()
        .chain(anew)
        {
            bytes.resize(bytes.len().next_multiple_of(8), 0);
            moved.push((tag, parts.base + bytes.len() as u64));
            bytes.extend(table);
        }
        Some(First { bytes, moved, needed })
    }

    /// The program with `first` in place of its first segment; the others move down in the file, not in memory.
    fn with(&self, parts: &Parts, first: &First) -> Option<Vec<u8>> {
        let next = parts.segments.iter().filter(|it| it.kind == LOAD && it.offset > 0);
        let next = next.map(|segment| segment.offset).min()?;
        let end = parts.segments.iter().map(|it| it.offset + it.size).max()?;
        let shift = (next / PAGE * PAGE).checked_sub(first.bytes.len().next_multiple_of(PAGE))?;
        // Pages of every size that Linux has on these architectures still fall together.
        let shift = shift / (64 << 10) * (64 << 10);
        let mut out = self.data.get(..end)?.to_vec();
        for (tag, value) in &first.moved {
            put(&mut out, parts.dynamic.get(tag)?.1, *value)?;
        }
        for ((_, at), value) in parts.needed.iter().zip(&first.needed) {
            put(&mut out, *at, *value)?;
        }
        let mut head = first.bytes.clone();
        for segment in &parts.segments {
            if segment.kind == LOAD && segment.offset == 0 {
                put(&mut head, segment.at + 32, first.bytes.len() as u64)?;
                put(&mut head, segment.at + 40, first.bytes.len() as u64)?;
            } else if segment.offset >= next {
                put(&mut head, segment.at + 8, (segment.offset - shift) as u64)?;
            }
        }
        // The table of sections is for debuggers; it would be wrong now.
        head.get_mut(0x28..0x30)?.fill(0);
        head.get_mut(0x3c..0x40)?.fill(0);
        head.resize(next - shift, 0);
        head.extend_from_slice(&out[next..]);
        Some(head)
    }
}

/// Symbols, their names and versions, as relocations ask for them.
struct Imports<'a> {
    program: &'a Program<'a>,
    symbols: usize,
    strings: usize,
    versions: usize,
    /// Old number -> new one.
    numbers: BTreeMap<u64, u64>,
    names: Vec<u8>,
    table: Vec<u8>,
    versym: Vec<u8>,
}

impl Imports<'_> {
    fn relocations(&mut self, bytes: &[u8]) -> Option<Vec<u8>> {
        let mut anew = bytes.to_vec();
        for entry in anew.chunks_exact_mut(RELOCATION) {
            let info = u64::from_le_bytes(entry[8..16].try_into().ok()?);
            let number = self.number(info >> 32)?;
            put(entry, 8, number << 32 | info & 0xffff_ffff)?;
        }
        Some(anew)
    }

    /// The new number of a symbol. One that the program defines itself would have to be found by others: not here.
    fn number(&mut self, old: u64) -> Option<u64> {
        if let Some(number) = self.numbers.get(&old) {
            return Some(*number);
        }
        let at = self.symbols.checked_add(usize::try_from(old).ok()?.checked_mul(SYMBOL)?)?;
        let mut symbol = self.program.data.get(at..at + SYMBOL)?.to_vec();
        (symbol[6..8] == [0, 0]).then_some(())?;
        let name = self.name(u32::from_le_bytes(symbol[..4].try_into().ok()?) as usize)?;
        symbol[..4].copy_from_slice(&u32::try_from(name).ok()?.to_le_bytes());
        let version = self.versions + usize::try_from(old).ok()? * 2;
        self.versym.extend_from_slice(self.program.data.get(version..version + 2)?);
        self.table.extend(symbol);
        let number = self.numbers.len() as u64;
        self.numbers.insert(old, number);
        Some(number)
    }

    /// Where the name at `old` is among the new names.
    fn name(&mut self, old: usize) -> Option<u64> {
        let rest = self.program.data.get(self.strings.checked_add(old)?..)?;
        let end = rest.iter().position(|byte| *byte == 0)?;
        let at = self.names.len() as u64;
        self.names.extend_from_slice(&rest[..=end]);
        Some(at)
    }

    /// The versions that are asked of libraries: the same records with the new places of their names.
    fn verneed(&mut self, start: usize, count: u64) -> Option<Vec<u8>> {
        let (mut anew, mut at) = (Vec::new(), start);
        for left in (0..count).rev() {
            let mut record = self.program.data.get(at..at + 16)?.to_vec();
            let (versions, name) = (self.program.place(at + 2, 2)?, self.program.place(at + 4, 4)?);
            let (mut aux, next) = (at + self.program.place(at + 8, 4)?, self.program.place(at + 12, 4)?);
            put4(&mut record, 4, self.name(name)?)?;
            put4(&mut record, 8, 16)?;
            put4(&mut record, 12, if left == 0 { 0 } else { 16 + 16 * versions as u64 })?;
            anew.extend(record);
            for left in (0..versions).rev() {
                let mut record = self.program.data.get(aux..aux + 16)?.to_vec();
                let name = self.program.place(aux + 8, 4)?;
                put4(&mut record, 8, self.name(name)?)?;
                aux += self.program.place(aux + 12, 4)?;
                put4(&mut record, 12, if left == 0 { 0 } else { 16 })?;
                anew.extend(record);
            }
            at += next;
        }
        Some(anew)
    }
}

/// A GNU hash table in which nothing is found: one empty bucket, one word of bloom filter without a bit.
fn empty_hash(symbols: u32) -> Vec<u8> {
    let words = [1, symbols, 1, 0, 0, 0, 0];
    words.into_iter().flat_map(u32::to_le_bytes).collect()
}

fn put(bytes: &mut [u8], at: usize, value: u64) -> Option<()> {
    bytes.get_mut(at..at + 8)?.copy_from_slice(&value.to_le_bytes());
    Some(())
}

fn put4(bytes: &mut [u8], at: usize, value: u64) -> Option<()> {
    bytes.get_mut(at..at + 4)?.copy_from_slice(&u32::try_from(value).ok()?.to_le_bytes());
    Some(())
}

#[cfg(test)]
#[path = "exports_tests.rs"]
mod tests;
