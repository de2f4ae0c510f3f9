//! Kernel modules for tests: the smallest ELF files that have what the builder reads.

use crate::modules::Shelf;
use crate::pool::Pool;

/// A module in the making.
pub(crate) struct Module {
    path: String,
    modinfo: Vec<u8>,
    exports: Vec<String>,
}

impl Module {
    pub(crate) fn new(path: &str) -> Self {
        Self { path: path.to_owned(), modinfo: Vec::new(), exports: Vec::new() }
    }

    /// Adds a string of `.modinfo`.
    pub(crate) fn modinfo(mut self, line: &str) -> Self {
        self.modinfo.extend(line.as_bytes());
        self.modinfo.push(0);
        self
    }

    /// Exports a symbol.
    pub(crate) fn exports(mut self, symbol: &str) -> Self {
        self.exports.push(symbol.to_owned());
        self
    }

    /// The file: header, four sections, their table.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let (mut strings, mut symbols) = (vec![0], vec![0; 24]);
        for export in &self.exports {
            let mut symbol = (strings.len() as u32).to_le_bytes().to_vec();
            symbol.resize(24, 0);
            symbols.extend(symbol);
            strings.extend(format!("__ksymtab_{export}\0").bytes());
        }
        let names = b"\0.modinfo\0.symtab\0.strtab\0.shstrtab\0".to_vec();
        let sections = [(1, &self.modinfo, 0), (10, &symbols, 3), (18, &strings, 0), (26, &names, 0)];
        let mut file = vec![0; 64];
        let mut table = vec![0; 64];
        for (name, content, link) in sections {
            let mut header = vec![0; 64];
            header[..4].copy_from_slice(&u32::to_le_bytes(name));
            header[0x18..0x20].copy_from_slice(&(file.len() as u64).to_le_bytes());
            header[0x20..0x28].copy_from_slice(&(content.len() as u64).to_le_bytes());
            header[0x28..0x2c].copy_from_slice(&u32::to_le_bytes(link));
            file.extend(content);
            table.extend(header);
        }
        let at = file.len() as u64;
        file.extend(table);
        file[..6].copy_from_slice(b"\x7fELF\x02\x01");
        file[0x28..0x30].copy_from_slice(&at.to_le_bytes());
        file[0x3c..0x3e].copy_from_slice(&5_u16.to_le_bytes());
        file[0x3e..0x40].copy_from_slice(&4_u16.to_le_bytes());
        file
    }
}

/// A shelf with these modules; every other one compressed as Debian does it.
pub(crate) fn shelf(modules: &[Module], builtin: &[&str], pool: &mut Pool) -> Shelf {
    let mut shelf = Shelf { version: "6.0.0".to_owned(), ..Shelf::default() };
    for (number, module) in modules.iter().enumerate() {
        let (mut path, mut bytes) = (module.path.clone(), module.bytes());
        if number % 2 == 0 {
            path += ".xz";
            let mut packed = Vec::new();
            let mut encoder = liblzma::read::XzEncoder::new(&bytes[..], 1);
            std::io::Read::read_to_end(&mut encoder, &mut packed).unwrap();
            bytes = packed;
        }
        shelf.add(&path, &mut &bytes[..], pool).unwrap();
    }
    shelf.add("modules.builtin", &mut builtin.join("\n").as_bytes(), pool).unwrap();
    shelf
}
