//! An image in the making: the tree, the pool behind it, and how packages and overlays get into it.

use std::collections::HashMap;
use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use captain_debian::{Deb, EntryKind};
use captain_model::Shipped;

use crate::error::Error;
use crate::exports;
use crate::kernel_config::{self, Demand};
use crate::lists;
use crate::modules::Shelf;
use crate::overlay::{Laid, OverlayFile};
use crate::pool::{Pool, Span};
use crate::rules::Rules;
use crate::tree::{Content, Entry, Node, Tree};

/// A root file system and what belongs to it.
#[derive(Debug)]
pub(crate) struct Image {
    pub(crate) tree: Tree,
    pub(crate) pool: Pool,
    pub(crate) shelf: Shelf,
    /// The kernel, which goes out beside the image.
    pub(crate) vmlinuz: Option<Vec<u8>>,
    rules: Rules,
}

impl Image {
    #[cfg(test)]
    pub(crate) fn new(scratch: &Path) -> Result<Self, Error> {
        Self::on(Shipped::Default, scratch)
    }

    /// An empty one on top of `base`, with its pool in `scratch`.
    ///
    /// # Errors
    /// The pool cannot be made.
    pub(crate) fn on(base: Shipped, scratch: &Path) -> Result<Self, Error> {
        Ok(Self {
            tree: Tree::default(),
            pool: Pool::new(scratch)?,
            shelf: Shelf::default(),
            vmlinuz: None,
            rules: lists::dropped(base)?,
        })
    }

    /// Unpacks a package, without what the drop list leaves out.
    ///
    /// # Errors
    /// A damaged package, or one that clashes with what is there.
    pub(crate) fn unpack(&mut self, deb: &Deb, package: &str) -> Result<(), Error> {
        let from: Arc<str> = package.into();
        let mut files: HashMap<String, Arc<Content>> = HashMap::new();
        deb.walk(|entry| {
            if entry.path.is_empty() || self.rules.drop(&entry.path) {
                return Ok(());
            }
            let node = match entry.kind.clone() {
                EntryKind::Directory => Node::Directory,
                EntryKind::File => {
                    let span = self.store(entry).map_err(Error::io(entry.path.clone()))?;
                    let content = Arc::new(Content::Pooled(span));
                    files.insert(entry.path.clone(), content.clone());
                    Node::File(content)
                }
                EntryKind::Hardlink(target) => match files.get(&target) {
                    Some(content) => Node::File(content.clone()),
                    None => return Ok(()),
                },
                EntryKind::Symlink(target) => Node::Symlink(target),
                EntryKind::CharDevice { major, minor } => Node::CharDevice { major, minor },
                EntryKind::BlockDevice { major, minor } => Node::BlockDevice { major, minor },
                EntryKind::Fifo => Node::Fifo,
            };
            let laid = Entry {
                node,
                mode: entry.mode,
                uid: entry.uid,
                gid: entry.gid,
                mtime: entry.mtime,
                from: from.clone(),
            };
            self.tree.insert(&entry.path, laid)
        })
    }

    /// Keeps a file; a large program without what only plug-ins would need of it.
    fn store(&mut self, entry: &mut captain_debian::Entry<'_>) -> std::io::Result<Span> {
        let program = entry.mode & 0o111 != 0
            && ["usr/bin/", "usr/sbin/"].iter().any(|bin| entry.path.starts_with(bin));
        if !program || entry.size < exports::WORTH as u64 {
            return self.pool.store(entry);
        }
        let mut whole = Vec::new();
        entry.read_to_end(&mut whole)?;
        let trimmed = exports::without(&whole);
        self.pool.store(&mut trimmed.as_deref().unwrap_or(&whole))
    }

    /// Takes the kernel and its modules out of a kernel package; nothing of it gets into the tree yet.
    ///
    /// # Errors
    /// A damaged package, or none with a kernel in it.
    pub(crate) fn take_kernel(&mut self, deb: &Deb, package: &str) -> Result<(), Error> {
        deb.walk(|entry| {
            if entry.kind != EntryKind::File {
                return Ok::<_, Error>(());
            }
            if entry.path.starts_with("boot/vmlinuz-") {
                let mut kernel = Vec::new();
                std::io::Read::read_to_end(entry, &mut kernel).map_err(Error::io(&entry.path))?;
                self.vmlinuz = Some(kernel);
                return Ok(());
            }
            if let Some(version) = entry.path.strip_prefix("boot/config-").map(str::to_owned) {
                let mut config = String::new();
                std::io::Read::read_to_string(entry, &mut config).map_err(Error::io(&entry.path))?;
                return kernel_config::check(&version, &config, Demand::Everything);
            }
            let path = entry.path.clone();
            let below = path.strip_prefix("usr/").unwrap_or(&path).strip_prefix("lib/modules/");
            let Some((version, file)) = below.and_then(|below| below.split_once('/')) else {
                return Ok(());
            };
            version.clone_into(&mut self.shelf.version);
            self.shelf.add(file, entry, &mut self.pool).map_err(Error::io(&entry.path))
        })?;
        if self.vmlinuz.is_none() || self.shelf.is_empty() {
            return Err(Error::malformed(package, "it holds no kernel with modules"));
        }
        Ok(())
    }

    /// Lays an overlay's files over what is there.
    ///
    /// # Errors
    /// They clash with it.
    pub(crate) fn lay(&mut self, name: &str, files: Vec<OverlayFile>) -> Result<Vec<Laid>, Error> {
        let from: Arc<str> = name.into();
        let laid = Laid::of(name, &files);
        for OverlayFile { path, node, mode } in files {
            // A folder of the overlay is only the way to its files: /root keeps its own mode.
            let is_there = |entry: &Entry| matches!(entry.node, Node::Directory);
            if matches!(node, Node::Directory) && self.tree.get(&path).is_some_and(is_there) {
                continue;
            }
            self.tree.insert(&path, Entry::new(node, mode, &from))?;
        }
        Ok(laid)
    }

    /// Writes a file that the builder makes, unless an overlay already brought one.
    ///
    /// # Errors
    /// The path is a folder.
    pub(crate) fn derive(
        &mut self,
        path: &str,
        mode: u32,
        bytes: impl Into<Vec<u8>>,
        from: &str,
    ) -> Result<(), Error> {
        if self.tree.get(path).is_some_and(|entry| entry.from.starts_with(crate::overlay::NAME)) {
            return Ok(());
        }
        self.tree.write(path, mode, bytes, &from.into())
    }

    /// A file's bytes.
    ///
    /// # Errors
    /// The pool cannot be read.
    pub(crate) fn bytes(&self, content: &Content) -> Result<Vec<u8>, Error> {
        match content {
            Content::Bytes(bytes) => Ok(bytes.clone()),
            Content::Pooled(span) => self.pool.read(*span).map_err(Error::io("the builder's pool")),
        }
    }

    /// The text of the file that `path` leads to.
    ///
    /// # Errors
    /// The pool cannot be read.
    pub(crate) fn text(&self, path: &str) -> Result<Option<String>, Error> {
        let Some(content) = self.tree.file(path) else { return Ok(None) };
        Ok(Some(String::from_utf8_lossy(&self.bytes(content)?).into_owned()))
    }
}

/// Permission bits that do not depend on who checked the file out with which umask: executable or not.
pub(crate) fn plain_mode(metadata: &fs::Metadata) -> u32 {
    if metadata.permissions().mode() & 0o100 == 0 { 0o644 } else { 0o755 }
}
