//! Programs from elsewhere than Debian: each known by its URL and its SHA-256, a file or an archive of files.

use std::collections::{BTreeSet, HashMap};
use std::fs::{self, File};
use std::io::{self, Cursor, Read};
use std::path::Path;
use std::sync::Arc;

use captain_debian::{Fetched, Fetcher, Item, Progress, Sha256, Tuning};
use captain_model::{Arch, Recipe, Tool};
use captain_unpack::{Member, Stop, decoder};
use tar::EntryType;

use crate::error::Error;
use crate::image::Image;
use crate::options::BuildOptions;
use crate::tree::{Content, Entry, Node};

/// A tar's first block.
const BLOCK: u64 = 512;

/// Those of the recipe that an image for `arch` gets.
pub(crate) fn wanted(recipe: &Recipe, arch: Arch) -> Vec<Tool> {
    recipe.tools.iter().filter(|tool| tool.arch.is_none_or(|only| only == arch)).cloned().collect()
}

/// The last part of its URL.
pub(crate) fn file_name(tool: &Tool) -> &str {
    let path = tool.url.split(['?', '#']).next().unwrap_or(&tool.url);
    path.rsplit('/').next().filter(|name| !name.is_empty()).unwrap_or("tool")
}

/// What to fetch.
///
/// # Errors
/// A sum that is none.
pub(crate) fn items(tools: &[Tool]) -> Result<Vec<Item>, Error> {
    let item = |tool: &Tool| {
        let sha256 = tool.sha256.parse().map_err(|why| wrong(tool, why))?;
        Ok(Item { name: file_name(tool).to_owned(), urls: vec![tool.url.clone()], size: None, sha256 })
    };
    tools.iter().map(item).collect()
}

/// Gets them from the cache or from where they say.
///
/// # Errors
/// Downloads; a file whose sum is another.
pub(crate) async fn fetch(
    tools: &[Tool],
    options: &BuildOptions,
    progress: &dyn Progress,
) -> Result<Vec<Fetched>, Error> {
    if tools.is_empty() {
        return Ok(Vec::new());
    }
    let fetcher = Fetcher::new(options.cache.join("debian"), options.offline, Tuning::default())?;
    fetcher.fetch(&items(tools)?, progress).await.map_err(|error| match error {
        captain_debian::Error::Tampered { url, expected, got } => Error::Tool {
            url,
            why: format!("expected {expected}, got {got}: not the file that was pinned; if its publisher vouches for this one, put its sum into the recipe"),
        },
        other => other.into(),
    })
}

/// Puts it into the image; how many files that were.
///
/// # Errors
/// The cached file was damaged; an archive that lacks a wanted file, or holds something that leads out of it.
pub(crate) fn add(tool: &Tool, fetched: &Fetched, image: &mut Image) -> Result<usize, Error> {
    check(fetched)?;
    let io = Error::io(&fetched.path);
    let (reader, is_tar) = open(&fetched.path).map_err(io)?;
    let mut placed =
        Placed { tool, image, from: format!("tool {}", file_name(tool)).into(), files: HashMap::new() };
    if is_tar { placed.archive(reader) } else { placed.plain(reader) }
}

/// It was hashed when it came; whoever puts it into an image hashes it again.
fn check(fetched: &Fetched) -> Result<(), Error> {
    let sum = File::open(&fetched.path).and_then(|mut file| Sha256::of_reader(&mut file));
    let got = sum.map_err(Error::io(&fetched.path))?;
    if got == fetched.sha256 {
        return Ok(());
    }
    fs::remove_file(&fetched.path).map_err(Error::io(&fetched.path))?;
    let (name, path, expected) = (fetched.name.clone(), fetched.path.clone(), fetched.sha256);
    Err(captain_debian::Error::Rotten { name, path, expected, got }.into())
}

/// What is in the file once it is decompressed, and whether that is a tar.
fn open(path: &Path) -> io::Result<(Box<dyn Read>, bool)> {
    let mut reader = decoder(File::open(path)?)?;
    let mut head = Vec::new();
    reader.by_ref().take(BLOCK).read_to_end(&mut head)?;
    let is_tar = head.get(257..262) == Some(b"ustar");
    Ok((Box::new(Cursor::new(head).chain(reader)), is_tar))
}

struct Placed<'a> {
    tool: &'a Tool,
    image: &'a mut Image,
    from: Arc<str>,
    /// Files of the archive, for hard links.
    files: HashMap<String, Arc<Content>>,
}

impl Placed<'_> {
    fn plain(&mut self, mut reader: impl Read) -> Result<usize, Error> {
        if !self.tool.files.is_empty() {
            return Err(wrong(
                self.tool,
                "it is no archive to take `files` of: leave them out, `name` says what it is called"
                    .to_owned(),
            ));
        }
        let bare = |name: &str| {
            let end = [".gz", ".xz", ".zst"].iter().find_map(|end| name.strip_suffix(end));
            end.unwrap_or(name).to_owned()
        };
        let name = self.tool.name.clone().unwrap_or_else(|| bare(file_name(self.tool)));
        let content = self.store(&mut reader)?;
        self.lay(&name, Node::File(content), 0o755)?;
        Ok(1)
    }

    fn archive(&mut self, reader: impl Read) -> Result<usize, Error> {
        let tool = self.tool;
        let (mut found, mut count) = (BTreeSet::new(), 0);
        let walked = captain_unpack::walk(reader, |member| {
            if let Some(path) = self.take(member)? {
                found.insert(path);
                count += 1;
            }
            Ok(())
        });
        walked.map_err(|stop| match stop {
            Stop::Broken(why) => wrong(tool, why),
            Stop::Visitor(error) => error,
        })?;
        match tool.files.iter().find(|file| !found.contains(plain(file).as_str())) {
            Some(lost) => Err(wrong(tool, format!("it holds no `{lost}`; it holds {}", self.holds()))),
            None => Ok(count),
        }
    }

    /// Its path, where it goes into the image.
    fn take(&mut self, member: Member<'_>) -> Result<Option<String>, Error> {
        let tool = self.tool;
        let path = inside(tool, &member.path)?;
        let mode = member.header.mode().map_err(|error| wrong(tool, error.to_string()))?;
        let link = member.link.map(|link| String::from_utf8_lossy(&link).into_owned());
        let node = match (member.header.entry_type(), link) {
            (EntryType::Regular | EntryType::Continuous, _) => {
                let content = self.store(member.content)?;
                self.files.insert(path.clone(), content.clone());
                Node::File(content)
            }
            (EntryType::Link, Some(target)) => Node::File(self.linked(&path, &target)?),
            (EntryType::Symlink, Some(target)) => Node::Symlink(target),
            _ => return Ok(None),
        };
        let Some(name) = self.place(&path) else { return Ok(None) };
        self.lay(&name, node, if mode & 0o100 == 0 { 0o644 } else { 0o755 })?;
        Ok(Some(path))
    }

    /// Where an archive's file goes: the wanted ones into the folder itself, or everything as it lies.
    fn place(&self, path: &str) -> Option<String> {
        if self.tool.files.is_empty() {
            return Some(path.to_owned());
        }
        let wanted = self.tool.files.iter().any(|file| plain(file) == path);
        wanted.then(|| path.rsplit('/').next().unwrap_or(path).to_owned())
    }

    fn linked(&self, path: &str, target: &str) -> Result<Arc<Content>, Error> {
        let content = self.files.get(&inside(self.tool, target.as_bytes())?).cloned();
        content.ok_or_else(|| {
            wrong(self.tool, format!("its `{path}` is a hard link to `{target}`, which is no file of it"))
        })
    }

    fn store(&mut self, reader: &mut dyn Read) -> Result<Arc<Content>, Error> {
        let span = self.image.pool.store(reader).map_err(|error| wrong(self.tool, error.to_string()))?;
        Ok(Arc::new(Content::Pooled(span)))
    }

    fn lay(&mut self, name: &str, node: Node, mode: u32) -> Result<(), Error> {
        let path = format!("{}/{name}", self.tool.to.trim_matches('/'));
        self.image.tree.insert(path.trim_start_matches('/'), Entry::new(node, mode, &self.from))
    }

    fn holds(&self) -> String {
        let mut names: Vec<_> = self.files.keys().map(String::as_str).collect();
        names.sort_unstable();
        let more = if names.len() > 8 { ", ..." } else { "" };
        names.truncate(8);
        names.join(", ") + more
    }
}

/// `./a//b` is `a/b`.
fn plain(path: &str) -> String {
    let parts: Vec<_> = path.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    parts.join("/")
}

fn inside(tool: &Tool, path: &[u8]) -> Result<String, Error> {
    let path = String::from_utf8_lossy(path);
    if path.starts_with('/') || path.split('/').any(|part| part == "..") {
        return Err(wrong(tool, format!("its `{path}` leads out of it")));
    }
    Ok(plain(&path))
}

fn wrong(tool: &Tool, why: String) -> Error {
    Error::Tool { url: tool.url.clone(), why }
}

#[cfg(test)]
#[path = "tools_tests.rs"]
mod tests;
