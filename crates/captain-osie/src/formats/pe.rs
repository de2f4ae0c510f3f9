//! More sections for an EFI program (PE32+; "PE Format" of Microsoft, section numbers of 2024).
//!
//! Only what systemd's stub needs: its headers have room for further sections, and no signature covers it yet.

use std::io::{self, Write};

use super::body::{Body, align, zeros};
use crate::error::Error;

/// One row of the section table, bytes.
const ROW: usize = 40;
/// Initialized data that can be read.
const DATA: u32 = 0x4000_0040;

/// A section to be added.
#[derive(Debug)]
pub(super) struct Section {
    /// At most 8 bytes: `.linux`.
    pub(super) name: &'static str,
    pub(super) body: Body,
    /// Bytes in memory, where that is more than the content.
    pub(super) memory: u64,
}

/// A program with its new sections, ready to be written.
#[derive(Debug)]
pub(super) struct Program {
    /// The old program, with its headers brought up to date.
    head: Vec<u8>,
    /// Contents with the offsets where they start.
    parts: Vec<(u64, Body)>,
    size: u64,
}

/// Fields of the headers, by their place in the file.
struct Headers {
    /// The COFF header (section 3.3).
    coff: usize,
    /// The optional header (section 3.4).
    optional: usize,
    /// The section table (section 4).
    table: usize,
    sections: usize,
    section_alignment: u64,
    file_alignment: u64,
}

fn wrong(why: impl ToString) -> Error {
    Error::malformed("the EFI stub", why)
}

fn u16_at(bytes: &[u8], at: usize) -> Result<u16, Error> {
    let field = bytes.get(at..at + 2).and_then(|field| field.try_into().ok());
    field.map(u16::from_le_bytes).ok_or_else(|| wrong("it ends within its headers"))
}

fn u32_at(bytes: &[u8], at: usize) -> Result<u32, Error> {
    let field = bytes.get(at..at + 4).and_then(|field| field.try_into().ok());
    field.map(u32::from_le_bytes).ok_or_else(|| wrong("it ends within its headers"))
}

fn put_u32(bytes: &mut [u8], at: usize, value: u32) {
    bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
}

fn small(value: u64) -> Result<u32, Error> {
    u32::try_from(value).map_err(|_| wrong("it would be larger than the 4 GiB that an EFI program can have"))
}

impl Headers {
    fn of(program: &[u8], machine: u16) -> Result<Self, Error> {
        let coff = u32_at(program, 0x3c)? as usize + 4;
        if !program.starts_with(b"MZ") || program.get(coff.wrapping_sub(4)..coff) != Some(b"PE\0\0") {
            return Err(wrong("it is no EFI program"));
        }
        let found = u16_at(program, coff)?;
        if found != machine {
            return Err(wrong(format!("it is for machine type {found:#x}, not {machine:#x}")));
        }
        let optional = coff + 20;
        if u16_at(program, optional)? != 0x20b {
            return Err(wrong("it is no 64-bit program"));
        }
        let table = optional + usize::from(u16_at(program, coff + 16)?);
        let alignment = |at| Ok::<_, Error>(u64::from(u32_at(program, optional + at)?).max(1));
        Ok(Self {
            coff,
            optional,
            table,
            sections: usize::from(u16_at(program, coff + 2)?),
            section_alignment: alignment(32)?,
            file_alignment: alignment(36)?,
        })
    }

    fn row(&self, number: usize) -> usize {
        self.table + number * ROW
    }

    /// Whether `more` rows fit between the table and what follows the headers.
    fn has_room(&self, program: &[u8], more: usize) -> Result<bool, Error> {
        let mut first = u64::from(u32_at(program, self.optional + 60)?);
        for number in 0..self.sections {
            let at = u64::from(u32_at(program, self.row(number) + 20)?);
            if at > 0 {
                first = first.min(at);
            }
        }
        Ok(self.row(self.sections + more) as u64 <= first)
    }

    /// The first address in memory that no section uses.
    fn end(&self, program: &[u8]) -> Result<u64, Error> {
        let mut end = 0;
        for number in 0..self.sections {
            let row = self.row(number);
            let (size, address) = (u32_at(program, row + 8)?, u32_at(program, row + 12)?);
            end = end.max(u64::from(size) + u64::from(address));
        }
        Ok(end)
    }

    fn check(&self, program: &[u8], sections: &[Section]) -> Result<(), Error> {
        if !self.has_room(program, sections.len())? {
            return Err(wrong(format!("its headers have no room for {} more sections", sections.len())));
        }
        // Directory 4 is the certificate table (section 3.4.3): what it covers must not change.
        let directories = u32_at(program, self.optional + 108)?;
        if directories > 4 && u32_at(program, self.optional + 112 + 4 * 8 + 4)? != 0 {
            return Err(wrong("it is signed: take the one without a signature, and sign the whole"));
        }
        for number in 0..self.sections {
            let row = self.row(number);
            let name = program.get(row..row + 8).ok_or_else(|| wrong("it ends within its headers"))?;
            if let Some(section) = sections.iter().find(|section| *name == padded(section.name)) {
                return Err(wrong(format!("it has a section {} already", section.name)));
            }
        }
        Ok(())
    }
}

fn padded(name: &str) -> [u8; 8] {
    let mut field = [0; 8];
    for (to, from) in field.iter_mut().zip(name.bytes()) {
        *to = from;
    }
    field
}

/// `program`, which is for `machine`, with `sections` behind its own, in this order in memory and in the file.
///
/// # Errors
/// It is no such program, is signed, has no room for them in its headers, or would grow too large.
pub(super) fn append(program: &[u8], machine: u16, sections: Vec<Section>) -> Result<Program, Error> {
    let headers = Headers::of(program, machine)?;
    headers.check(program, &sections)?;
    let mut head = program.to_vec();
    let mut at = align(program.len() as u64, headers.file_alignment);
    let mut address = align(headers.end(program)?, headers.section_alignment);
    let (mut parts, mut data) = (Vec::new(), u64::from(u32_at(program, headers.optional + 8)?));
    let count = headers.sections + sections.len();
    for (number, section) in (headers.sections..).zip(sections) {
        let memory = section.memory.max(section.body.size()).max(1);
        let in_file = align(section.body.size(), headers.file_alignment);
        let row = headers.row(number);
        head[row..row + ROW].fill(0);
        head[row..row + 8].copy_from_slice(&padded(section.name));
        for (field, value) in [(8, memory), (12, address), (16, in_file), (20, at)] {
            put_u32(&mut head, row + field, small(value)?);
        }
        put_u32(&mut head, row + 36, DATA);
        parts.push((at, section.body));
        at += in_file;
        data += in_file;
        address = align(address + memory, headers.section_alignment);
    }
    let count = u16::try_from(count).map_err(|_| wrong("it has too many sections"))?;
    head[headers.coff + 2..headers.coff + 4].copy_from_slice(&count.to_le_bytes());
    put_u32(&mut head, headers.optional + 8, small(data)?);
    put_u32(&mut head, headers.optional + 56, small(address)?);
    // The checksum is for drivers of Windows; zero means that there is none.
    put_u32(&mut head, headers.optional + 64, 0);
    Ok(Program { head, parts, size: at })
}

impl Program {
    /// Writes it.
    pub(super) fn write(&self, out: &mut impl Write) -> io::Result<()> {
        out.write_all(&self.head)?;
        let mut at = self.head.len() as u64;
        for (start, body) in &self.parts {
            zeros(out, start - at)?;
            body.copy(out)?;
            at = start + body.size();
        }
        zeros(out, self.size - at)
    }
}

#[cfg(test)]
#[path = "pe_tests.rs"]
mod tests;
