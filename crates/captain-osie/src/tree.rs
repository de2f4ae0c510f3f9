//! The root file system in the making: what lies at which path, whoever brought it.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::error::Error;
use crate::pool::Span;

/// Symbolic links that are followed before a path counts as a loop, as in Linux (`MAXSYMLINKS`).
const MOST_LINKS: usize = 40;

/// Where a file's bytes are. Paths that share one content by [`Arc`] are hard links of each other.
#[derive(Debug)]
pub(crate) enum Content {
    /// In the pool.
    Pooled(Span),
    /// Here.
    Bytes(Vec<u8>),
}

impl Content {
    /// Bytes.
    pub(crate) fn size(&self) -> u64 {
        match self {
            Self::Pooled(span) => span.size(),
            Self::Bytes(bytes) => bytes.len() as u64,
        }
    }
}

/// What lies at a path.
#[derive(Clone, Debug)]
pub(crate) enum Node {
    Directory,
    File(Arc<Content>),
    Symlink(String),
    CharDevice { major: u32, minor: u32 },
    BlockDevice { major: u32, minor: u32 },
    Fifo,
}

impl Node {
    pub(crate) fn file(bytes: impl Into<Vec<u8>>) -> Self {
        Self::File(Arc::new(Content::Bytes(bytes.into())))
    }

    const fn kind(&self) -> &'static str {
        match self {
            Self::Directory => "folder",
            Self::File(_) => "file",
            Self::Symlink(_) => "link",
            Self::CharDevice { .. } | Self::BlockDevice { .. } => "device",
            Self::Fifo => "pipe",
        }
    }
}

/// A node with what the file system says about it.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) node: Node,
    /// Permission bits with set-id and sticky bits.
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// Seconds since the epoch.
    pub(crate) mtime: u64,
    /// Package or overlay.
    pub(crate) from: Arc<str>,
}

impl Entry {
    /// Root's, of the time 0; the archive writer gives it the image's date.
    pub(crate) fn new(node: Node, mode: u32, from: &Arc<str>) -> Self {
        Self { node, mode, uid: 0, gid: 0, mtime: u64::MAX, from: from.clone() }
    }
}

/// A root file system: paths without leading slash, in the order of their bytes.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    entries: BTreeMap<String, Entry>,
}

impl Tree {
    /// Lays `entry` at `path`, through the links on the way (`lib/x` becomes `usr/lib/x` where `/lib` is a link).
    /// Later ones replace earlier ones, but no folder a file, nor a file a folder.
    pub(crate) fn insert(&mut self, path: &str, entry: Entry) -> Result<(), Error> {
        let place = self.resolve_parent(path, &entry.from)?;
        self.add_parents(&place, &entry)?;
        if let Some(old) = self.entries.get(&place) {
            let (was, is) = (matches!(old.node, Node::Directory), matches!(entry.node, Node::Directory));
            let onto_link = is && matches!(old.node, Node::Symlink(_));
            if onto_link && self.follow(&place).is_some_and(|target| self.is_directory(&target)) {
                return Ok(());
            }
            if was != is {
                return Err(clash(&place, old, &entry));
            }
        }
        self.entries.insert(place, entry);
        Ok(())
    }

    /// A file with these bytes, root's.
    pub(crate) fn write(
        &mut self,
        path: &str,
        mode: u32,
        bytes: impl Into<Vec<u8>>,
        from: &Arc<str>,
    ) -> Result<(), Error> {
        self.insert(path, Entry::new(Node::file(bytes), mode, from))
    }

    /// A symbolic link.
    pub(crate) fn link(&mut self, path: &str, target: &str, from: &Arc<str>) -> Result<(), Error> {
        self.insert(path, Entry::new(Node::Symlink(target.to_owned()), 0o777, from))
    }

    /// A folder.
    pub(crate) fn folder(&mut self, path: &str, mode: u32, from: &Arc<str>) -> Result<(), Error> {
        self.insert(path, Entry::new(Node::Directory, mode, from))
    }

    /// Lays all of `other` below `path`, as it is: its links keep leading within it once it is somebody's root.
    pub(crate) fn graft(&mut self, path: &str, other: Self, from: &Arc<str>) -> Result<(), Error> {
        self.folder(path, 0o755, from)?;
        let root = self.resolve(path, true).unwrap_or_default();
        self.entries
            .extend(other.entries.into_iter().map(|(below, entry)| (format!("{root}/{below}"), entry)));
        Ok(())
    }

    /// What lies at `path` itself; links above it are followed.
    pub(crate) fn get(&self, path: &str) -> Option<&Entry> {
        let place = self.resolve(path, false)?;
        self.entries.get(&place)
    }

    /// The file that `path` leads to, through links.
    pub(crate) fn file(&self, path: &str) -> Option<&Arc<Content>> {
        match &self.entries.get(&self.resolve(path, true)?)?.node {
            Node::File(content) => Some(content),
            Node::Directory
            | Node::Symlink(_)
            | Node::CharDevice { .. }
            | Node::BlockDevice { .. }
            | Node::Fifo => None,
        }
    }

    /// Everything, parents before children.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Entry)> {
        self.entries.iter().map(|(path, entry)| (path.as_str(), entry))
    }

    /// Everything below the folder `path`.
    pub(crate) fn below<'a>(&'a self, path: &str) -> impl Iterator<Item = (&'a str, &'a Entry)> + use<'a> {
        let start = format!("{path}/");
        let range = self.entries.range(start.clone()..);
        range
            .take_while(move |(path, _)| path.starts_with(&start))
            .map(|(path, entry)| (path.as_str(), entry))
    }

    fn is_directory(&self, path: &str) -> bool {
        path.is_empty() || self.entries.get(path).is_some_and(|entry| matches!(entry.node, Node::Directory))
    }

    /// Where the link at `path` leads in the end.
    fn follow(&self, path: &str) -> Option<String> {
        self.resolve(path, true)
    }

    fn resolve_parent(&self, path: &str, from: &Arc<str>) -> Result<String, Error> {
        let wrong =
            |why: &str| Error::Path { path: path.to_owned(), from: from.to_string(), why: why.to_owned() };
        if path.is_empty() || path.split('/').any(|part| matches!(part, "" | "." | "..")) {
            return Err(wrong("not a plain path below the root"));
        }
        self.resolve(path, false).ok_or_else(|| wrong("the links on the way lead in a circle"))
    }

    /// `path` with the links in its parents followed, and its own if `last`. Nothing for a circle.
    fn resolve(&self, path: &str, last: bool) -> Option<String> {
        let mut left: Vec<String> = path.split('/').rev().map(str::to_owned).collect();
        let mut done: Vec<String> = Vec::new();
        let mut links = 0;
        while let Some(part) = left.pop() {
            match part.as_str() {
                "" | "." => continue,
                ".." => {
                    done.pop();
                    continue;
                }
                _ => done.push(part),
            }
            if left.is_empty() && !last {
                break;
            }
            let Some(Entry { node: Node::Symlink(target), .. }) = self.entries.get(&done.join("/")) else {
                continue;
            };
            links += 1;
            if links > MOST_LINKS {
                return None;
            }
            done.pop();
            if target.starts_with('/') {
                done.clear();
            }
            left.extend(target.split('/').rev().map(str::to_owned));
        }
        Some(done.join("/"))
    }

    fn add_parents(&mut self, path: &str, entry: &Entry) -> Result<(), Error> {
        for (at, _) in path.match_indices('/') {
            let parent = &path[..at];
            match self.entries.get(parent) {
                None => {
                    let folder = Entry::new(Node::Directory, 0o755, &entry.from);
                    self.entries.insert(parent.to_owned(), folder);
                }
                Some(Entry { node: Node::Directory, .. }) => {}
                Some(old) => {
                    let folder = Entry::new(Node::Directory, 0o755, &entry.from);
                    return Err(clash(parent, old, &folder));
                }
            }
        }
        Ok(())
    }
}

fn clash(path: &str, old: &Entry, new: &Entry) -> Error {
    Error::Clash {
        path: path.to_owned(),
        old: old.node.kind(),
        before: old.from.to_string(),
        new: new.node.kind(),
        after: new.from.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(name: &str) -> Arc<str> {
        Arc::from(name)
    }

    fn bytes<'a>(tree: &'a Tree, path: &str) -> Option<&'a [u8]> {
        tree.file(path).map(|content| match &**content {
            Content::Bytes(bytes) => bytes.as_slice(),
            Content::Pooled(_) => panic!("not in the pool"),
        })
    }

    #[test]
    fn later_files_replace_earlier_ones() {
        let mut tree = Tree::default();
        tree.write("etc/x", 0o644, *b"old", &from("a")).unwrap();
        tree.write("etc/x", 0o600, *b"new", &from("b")).unwrap();
        assert_eq!(bytes(&tree, "etc/x"), Some(&b"new"[..]));
        assert_eq!(tree.get("etc/x").unwrap().mode, 0o600);
        assert_eq!(tree.iter().map(|(path, _)| path).collect::<Vec<_>>(), ["etc", "etc/x"]);
    }

    #[test]
    fn paths_go_through_links_to_folders() {
        let mut tree = Tree::default();
        tree.folder("usr/lib", 0o755, &from("base")).unwrap();
        tree.link("lib", "usr/lib", &from("base")).unwrap();
        tree.link("abs", "/usr/lib", &from("base")).unwrap();
        tree.folder("lib", 0o755, &from("p")).unwrap();
        tree.write("lib/x", 0o644, *b"x", &from("p")).unwrap();
        tree.write("abs/y", 0o644, *b"y", &from("p")).unwrap();
        tree.link("usr/lib/z", "../lib/x", &from("p")).unwrap();
        let paths: Vec<_> = tree.iter().map(|(path, _)| path).collect();
        assert_eq!(paths, ["abs", "lib", "usr", "usr/lib", "usr/lib/x", "usr/lib/y", "usr/lib/z"]);
        assert_eq!(bytes(&tree, "lib/z"), Some(&b"x"[..]));
    }

    #[test]
    fn a_file_and_a_folder_at_one_path_are_an_error_that_names_both_sides() {
        let mut tree = Tree::default();
        tree.write("opt/x", 0o644, *b"", &from("first")).unwrap();
        let error = tree.folder("opt/x", 0o755, &from("second")).unwrap_err().to_string();
        assert!(error.contains("file in first") && error.contains("folder in second"), "{error}");
        assert!(tree.write("opt/x/y", 0o644, *b"", &from("third")).is_err());
        assert!(tree.write("opt", 0o644, *b"", &from("fourth")).is_err());
    }

    #[test]
    fn nothing_leaves_the_root() {
        let mut tree = Tree::default();
        for path in ["../x", "a/../../x", "/x", "", "a//b", "a/./b"] {
            assert!(tree.write(path, 0o644, *b"", &from("evil")).is_err(), "{path}");
        }
        tree.link("up", "../../..", &from("evil")).unwrap();
        tree.write("up/x", 0o644, *b"", &from("evil")).unwrap();
        assert!(tree.get("x").is_some(), "`..` at the root is the root");
    }

    #[test]
    fn a_circle_of_links_is_an_error() {
        let mut tree = Tree::default();
        tree.link("a", "b", &from("x")).unwrap();
        tree.link("b", "a", &from("x")).unwrap();
        assert!(tree.write("a/file", 0o644, *b"", &from("x")).is_err());
    }
}
