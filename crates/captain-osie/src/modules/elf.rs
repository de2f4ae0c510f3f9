//! The little of ELF (gABI chapter 4) that kernel modules need: sections by name, and names of symbols.

/// A 64-bit little-endian object file; both architectures are that.
#[derive(Debug)]
pub(crate) struct Elf<'a> {
    data: &'a [u8],
    sections: Vec<Section>,
    /// Which of them holds the sections' names.
    names: usize,
}

#[derive(Debug)]
struct Section {
    name: u32,
    offset: usize,
    size: usize,
    link: usize,
}

const SECTION_HEADER: usize = 64;
const SYMBOL: usize = 24;

impl<'a> Elf<'a> {
    /// Reads the section table.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub(crate) fn parse(data: &'a [u8]) -> Result<Self, String> {
        if data.get(..6) != Some(b"\x7fELF\x02\x01") {
            return Err("not a 64-bit little-endian ELF file".to_owned());
        }
        let table = usize_at(data, 0x28, 8)?;
        let count = usize_at(data, 0x3c, 2)?;
        let names = usize_at(data, 0x3e, 2)?;
        let mut sections = Vec::with_capacity(count);
        for index in 0..count {
            let at = table.checked_add(index * SECTION_HEADER).ok_or("section table beyond the file")?;
            sections.push(Section {
                // Four bytes always fit.
                name: usize_at(data, at, 4)? as u32,
                offset: usize_at(data, at + 0x18, 8)?,
                size: usize_at(data, at + 0x20, 8)?,
                link: usize_at(data, at + 0x28, 4)?,
            });
        }
        if names >= count {
            return Err("it has no table of section names".to_owned());
        }
        Ok(Self { data, sections, names })
    }

    /// The content of a section.
    pub(crate) fn section(&self, name: &str) -> Option<&'a [u8]> {
        self.find(name).and_then(|section| self.content(section))
    }

    /// Names of all symbols.
    pub(crate) fn symbols(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let found = self.find(".symtab");
        let symbols = found.and_then(|section| self.content(section)).unwrap_or_default();
        let strings = found.and_then(|section| self.sections.get(section.link));
        let strings = strings.and_then(|section| self.content(section)).unwrap_or_default();
        symbols.chunks_exact(SYMBOL).filter_map(move |symbol| {
            let at = usize_at(symbol, 0, 4).ok()?;
            string_at(strings, at)
        })
    }

    fn find(&self, name: &str) -> Option<&Section> {
        let names = self.content(&self.sections[self.names])?;
        self.sections.iter().find(|section| string_at(names, section.name as usize) == Some(name.as_bytes()))
    }

    fn content(&self, section: &Section) -> Option<&'a [u8]> {
        self.data.get(section.offset..section.offset.checked_add(section.size)?)
    }
}

/// The unsigned number of `width` bytes at `offset`.
fn usize_at(data: &[u8], offset: usize, width: usize) -> Result<usize, String> {
    let end = offset.checked_add(width).ok_or("offset overflows")?;
    let bytes = data.get(offset..end).ok_or("it ends in the middle of a header")?;
    let mut wide = [0; 8];
    wide[..width].copy_from_slice(bytes);
    usize::try_from(u64::from_le_bytes(wide)).map_err(|error| error.to_string())
}

/// The string at `offset`, up to its NUL.
fn string_at(table: &[u8], offset: usize) -> Option<&[u8]> {
    let rest = table.get(offset..)?;
    rest.iter().position(|byte| *byte == 0).map(|end| &rest[..end])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::modules::testing::Module;

    #[test]
    fn sections_and_symbols_are_found_by_name() {
        let file = Module::new("x.ko").modinfo("license=GPL").exports("do_it").bytes();
        let elf = Elf::parse(&file).unwrap();
        assert_eq!(elf.section(".modinfo"), Some(&b"license=GPL\0"[..]));
        assert!(elf.section(".none").is_none());
        assert!(elf.symbols().any(|name| name == b"__ksymtab_do_it"));
    }

    #[test]
    fn a_damaged_file_is_an_error_or_empty_but_never_a_panic() {
        let file = Module::new("x.ko").modinfo("license=GPL").exports("do_it").bytes();
        assert!(Elf::parse(b"\x7fELF\x01\x01").is_err());
        for length in 0..file.len() {
            if let Ok(elf) = Elf::parse(&file[..length]) {
                let _ = (elf.section(".modinfo"), elf.symbols().count());
            }
        }
        for at in 0..file.len() {
            let mut file = file.clone();
            file[at] = 0xff;
            if let Ok(elf) = Elf::parse(&file) {
                let _ = (elf.section(".modinfo"), elf.symbols().count());
            }
        }
    }
}
