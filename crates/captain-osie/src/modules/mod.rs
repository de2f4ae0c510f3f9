//! Kernel modules: which of them an image gets, and the indices that kmod looks them up in.

pub(crate) mod elf;
pub(crate) mod groups;
pub(crate) mod index;
pub(crate) mod info;
pub(crate) mod tables;
#[cfg(test)]
pub(crate) mod testing;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;

use crate::error::Error;
use crate::modules::groups::Groups;
use crate::modules::info::Info;
use crate::pool::{Pool, Span};

/// The modules that a kernel package ships, by name (with underscores).
#[derive(Debug, Default)]
pub(crate) struct Shelf {
    /// The kernel's version: the folder below `usr/lib/modules`.
    pub(crate) version: String,
    modules: BTreeMap<String, Stored>,
    /// `modules.order`, `modules.builtin` and the like, by file name.
    pub(crate) lists: BTreeMap<String, Vec<u8>>,
}

/// A module as the package ships it.
#[derive(Clone, Debug)]
struct Stored {
    /// Path below the version's folder, without a suffix for compression.
    path: String,
    span: Span,
    packing: Packing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Packing {
    None,
    Xz,
    Zstd,
    Gzip,
}

/// A module that goes into the image.
#[derive(Debug)]
pub(crate) struct Chosen {
    /// Path below the version's folder: `kernel/fs/xfs/xfs.ko`.
    pub(crate) path: String,
    /// Uncompressed.
    pub(crate) content: Span,
    pub(crate) info: Info,
}

/// All modules that go into the image, by name.
pub(crate) type Selection = BTreeMap<String, Chosen>;

impl Shelf {
    /// Keeps what `usr/lib/modules/VERSION/PATH` holds; nothing for files that are no module or list.
    pub(crate) fn add(&mut self, path: &str, content: &mut dyn Read, pool: &mut Pool) -> std::io::Result<()> {
        if !path.contains('/') {
            let mut bytes = Vec::new();
            content.read_to_end(&mut bytes)?;
            self.lists.insert(path.to_owned(), bytes);
            return Ok(());
        }
        let Some((plain, packing)) = unpacked(path) else { return Ok(()) };
        let stored = Stored { path: plain.to_owned(), span: pool.store(content)?, packing };
        self.modules.insert(name_of(plain), stored);
        Ok(())
    }

    /// Whether there is anything.
    pub(crate) fn is_empty(&self) -> bool {
        self.modules.is_empty()
    }

    /// The modules of these groups (or names), and all that they depend on, uncompressed.
    ///
    /// # Errors
    /// [`Error::UnknownModule`] with similar names; a module that is damaged or misses another one.
    pub(crate) fn select(
        &self,
        wanted: &[String],
        groups: &Groups,
        pool: &mut Pool,
    ) -> Result<Selection, Error> {
        let mut queue = self.named(wanted, groups)?;
        let mut chosen = Selection::new();
        while let Some(name) = queue.pop_first() {
            let Some(stored) = self.modules.get(&name) else { continue };
            let module = self.choose(stored, pool)?;
            let needed = module.info.depends.iter().cloned();
            let soft = module.info.soft_names().filter(|name| self.modules.contains_key(name));
            let more: Vec<_> = needed.chain(soft).filter(|name| !chosen.contains_key(name)).collect();
            if let Some(missing) = more.iter().find(|name| !self.modules.contains_key(*name)) {
                return Err(Error::malformed(
                    &stored.path,
                    format!("it depends on `{missing}`, which is not in the package"),
                ));
            }
            queue.extend(more);
            chosen.insert(name, module);
        }
        Ok(chosen)
    }

    /// Names of modules that the words of a recipe stand for.
    fn named(&self, wanted: &[String], groups: &Groups) -> Result<BTreeSet<String>, Error> {
        let mut names = BTreeSet::new();
        for word in wanted {
            let before = names.len();
            if let Some(group) = groups.get(word) {
                let of_group = self.modules.iter().filter(|(_, stored)| group.takes(&stored.path));
                names.extend(of_group.map(|(name, _)| name.clone()));
                continue;
            }
            names.extend(self.modules.get_key_value(&info::name(word)).map(|(name, _)| name.clone()));
            if names.len() == before && !names.contains(&info::name(word)) && !self.is_builtin(word) {
                return Err(self.unknown(word, groups));
            }
        }
        Ok(names)
    }

    fn is_builtin(&self, word: &str) -> bool {
        self.builtin().any(|path| name_of(path) == info::name(word))
    }

    /// Paths of what is built into the kernel.
    pub(crate) fn builtin(&self) -> impl Iterator<Item = &str> {
        self.list("modules.builtin")
    }

    /// Paths of all modules in the order in which they should be tried.
    pub(crate) fn order(&self) -> impl Iterator<Item = &str> {
        self.list("modules.order")
    }

    fn list(&self, file: &str) -> impl Iterator<Item = &str> {
        let text = self.lists.get(file).and_then(|bytes| str::from_utf8(bytes).ok());
        text.unwrap_or_default().lines().filter(|line| !line.is_empty())
    }

    fn unknown(&self, word: &str, groups: &Groups) -> Error {
        let names = groups.names().map(str::to_owned).chain(self.modules.keys().cloned());
        let hint = groups::nearest(&info::name(word), names);
        let hint = if hint.is_empty() { String::new() } else { format!("; there is {}", hint.join(", ")) };
        Error::UnknownModule { name: word.to_owned(), kernel: self.version.clone(), hint }
    }

    fn choose(&self, stored: &Stored, pool: &mut Pool) -> Result<Chosen, Error> {
        let wrong = |why: String| Error::malformed(format!("module {}", stored.path), why);
        let packed = pool.read(stored.span).map_err(|error| wrong(error.to_string()))?;
        let module = unpack(packed, stored.packing).map_err(|error| wrong(error.to_string()))?;
        let info = Info::of(&module).map_err(wrong)?;
        let content = pool.store(&mut &module[..]).map_err(|error| wrong(error.to_string()))?;
        Ok(Chosen { path: stored.path.clone(), content, info })
    }
}

/// The path without the suffix of a compression, and that compression; nothing where it is no module.
fn unpacked(path: &str) -> Option<(&str, Packing)> {
    let known = [
        (".ko", Packing::None),
        (".ko.xz", Packing::Xz),
        (".ko.zst", Packing::Zstd),
        (".ko.gz", Packing::Gzip),
    ];
    let (suffix, packing) = known.into_iter().find(|(suffix, _)| path.ends_with(suffix))?;
    Some((&path[..path.len() - suffix.len() + ".ko".len()], packing))
}

fn unpack(packed: Vec<u8>, packing: Packing) -> std::io::Result<Vec<u8>> {
    let mut plain = Vec::with_capacity(packed.len() * 4);
    match packing {
        Packing::None => return Ok(packed),
        Packing::Xz => liblzma::read::XzDecoder::new(&packed[..]).read_to_end(&mut plain)?,
        Packing::Zstd => zstd::stream::read::Decoder::new(&packed[..])?.read_to_end(&mut plain)?,
        Packing::Gzip => flate2::read::GzDecoder::new(&packed[..]).read_to_end(&mut plain)?,
    };
    Ok(plain)
}

/// The name of the module at `path`: `kernel/drivers/net/virtio-net.ko` is `virtio_net`.
pub(crate) fn name_of(path: &str) -> String {
    let file = path.rsplit('/').next().unwrap_or(path);
    info::name(file.split_once(".ko").map_or(file, |(stem, _)| stem))
}
