//! The layers of an image as one tree of files.

use std::collections::BTreeMap;
use std::sync::Arc;

use captain_model::Arch as Cpu;
use captain_oci::{Digest, LayerFile, Store};
use tar::EntryType;

use crate::error::Error;
use crate::pool::Pool;
use crate::tree::{Content, Entry, Node, Tree};

/// All files of the image `digest`; links stay as they are and lead nowhere but into this tree.
///
/// # Errors
/// A layer that names something outside of the image; a hard link to nothing; the pool cannot be written.
pub(super) fn unpack(
    store: &Store,
    digest: &Digest,
    arch: Cpu,
    pool: &mut Pool,
    from: &Arc<str>,
) -> Result<Tree, Error> {
    let mut found = Found { pool, from, nodes: BTreeMap::new(), hard: BTreeMap::new(), failed: None };
    store.read_files(digest, arch, |file| {
        found.take(file);
        Ok(())
    })?;
    found.tree()
}

struct Found<'a> {
    pool: &'a mut Pool,
    from: &'a Arc<str>,
    nodes: BTreeMap<String, Entry>,
    /// Path -> the path whose content it shares.
    hard: BTreeMap<String, (String, Entry)>,
    failed: Option<Error>,
}

impl Found<'_> {
    fn take(&mut self, file: LayerFile<'_>) {
        if self.failed.is_none() {
            self.failed = self.try_take(file).err();
        }
    }

    fn try_take(&mut self, file: LayerFile<'_>) -> Result<(), Error> {
        let (path, header) = (file.path.to_owned(), file.header);
        let wrong = |error: std::io::Error| Error::malformed(&path, error);
        let number = |value: std::io::Result<u64>| {
            value.and_then(|value| u32::try_from(value).map_err(std::io::Error::other))
        };
        let mut entry = Entry {
            uid: number(header.uid()).map_err(wrong)?,
            gid: number(header.gid()).map_err(wrong)?,
            mtime: header.mtime().map_err(wrong)?,
            ..Entry::new(Node::Directory, header.mode().map_err(wrong)? & 0o7777, self.from)
        };
        match (header.entry_type(), file.link) {
            (EntryType::Directory, _) => {}
            (EntryType::Symlink, Some(target)) => entry.node = Node::Symlink(target),
            (EntryType::Link, Some(target)) => {
                let target = target.trim_start_matches("./").trim_start_matches('/').to_owned();
                self.nodes.remove(&path);
                self.hard.insert(path, (target, entry));
                return Ok(());
            }
            (EntryType::Regular | EntryType::Continuous, _) => {
                let span = self.pool.store(file.content).map_err(Error::io(&path))?;
                entry.node = Node::File(Arc::new(Content::Pooled(span)));
            }
            (EntryType::Fifo, _) => entry.node = Node::Fifo,
            // Devices are the machine's own: /dev is bound in.
            _ => return Ok(()),
        }
        // As tar does: of two entries for one path the later one stays.
        self.hard.remove(&path);
        self.nodes.insert(path, entry);
        Ok(())
    }

    /// Folders and links first: what is laid below a link goes where that leads, within the tree.
    fn tree(self) -> Result<Tree, Error> {
        self.failed.map_or(Ok(()), Err)?;
        let (first, later): (Vec<_>, Vec<_>) = self
            .nodes
            .into_iter()
            .partition(|(_, entry)| matches!(entry.node, Node::Directory | Node::Symlink(_)));
        let mut tree = Tree::default();
        for (path, entry) in first.into_iter().chain(later) {
            tree.insert(&path, entry)?;
        }
        for (path, (target, entry)) in self.hard {
            let content = tree.file(&target).cloned();
            let content = content.ok_or_else(|| {
                Error::malformed(&path, format!("a hard link to `{target}`, which is no file"))
            })?;
            tree.insert(&path, Entry { node: Node::File(content), ..entry })?;
        }
        Ok(tree)
    }
}
