//! What a kernel module says about itself (`.modinfo`, see modinfo(8)).

use super::elf::Elf;

/// A module, as the indices need it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Info {
    /// Modules that it uses directly. Names have underscores.
    pub(crate) depends: Vec<String>,
    /// Device and service patterns that it answers to, as the module writes them.
    pub(crate) aliases: Vec<String>,
    /// `pre: a b post: c`.
    pub(crate) softdeps: Vec<String>,
    /// Names of modules that it may load by itself.
    pub(crate) weakdeps: Vec<String>,
    /// Symbols that it exports.
    pub(crate) exports: Vec<String>,
}

impl Info {
    /// Reads it out of a .ko.
    ///
    /// # Errors
    /// What is wrong with the file, in words.
    pub(crate) fn of(module: &[u8]) -> Result<Self, String> {
        let elf = Elf::parse(module)?;
        let modinfo = elf.section(".modinfo").ok_or("no .modinfo: it is not a kernel module")?;
        let mut info = Self::default();
        for (key, value) in pairs(modinfo) {
            match key {
                "depends" => info.depends.extend(value.split(',').filter(|name| !name.is_empty()).map(name)),
                "alias" => info.aliases.push(value.to_owned()),
                "softdep" => info.softdeps.push(value.to_owned()),
                "weakdep" => info.weakdeps.push(value.to_owned()),
                _ => {}
            }
        }
        let exported = elf.symbols().filter_map(|symbol| symbol.strip_prefix(b"__ksymtab_"));
        info.exports = exported.map(|symbol| String::from_utf8_lossy(symbol).into_owned()).collect();
        info.exports.sort_unstable();
        Ok(info)
    }

    /// Modules that its soft dependencies name.
    pub(crate) fn soft_names(&self) -> impl Iterator<Item = String> + '_ {
        let words = self.softdeps.iter().chain(&self.weakdeps).flat_map(|line| line.split_whitespace());
        words.filter(|word| !word.ends_with(':')).map(name)
    }
}

/// `key=value` strings, each with a NUL at its end.
pub(crate) fn pairs(modinfo: &[u8]) -> impl Iterator<Item = (&str, &str)> {
    let strings = modinfo.split(|byte| *byte == 0).filter_map(|bytes| str::from_utf8(bytes).ok());
    strings.filter_map(|text| text.split_once('='))
}

/// A module's name as the kernel spells it: with underscores.
pub(crate) fn name(text: &str) -> String {
    text.replace('-', "_")
}

/// Dashes become underscores, except in `[a-z]` (libkmod, `alias_normalize`).
pub(crate) fn normalise(alias: &str) -> String {
    let mut inside = false;
    let plain = |c: char| {
        match c {
            '[' => inside = true,
            ']' => inside = false,
            _ => {}
        }
        if c == '-' && !inside { '_' } else { c }
    };
    alias.chars().map(plain).collect()
}
