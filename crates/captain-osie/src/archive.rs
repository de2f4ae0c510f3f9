//! The tree as one initramfs: newc cpio (Documentation/driver-api/early-userspace/buffer-format.rst) in one zstd frame.

use std::collections::HashMap;
use std::io::{self, Write};
use std::sync::Arc;

use cpio::newc::{Builder, ModeFileType};

use crate::error::Error;
use crate::pool::Pool;
use crate::tree::{Content, Entry, Node, Tree};

/// How far back zstd looks, as a power of two: 64 MiB. containerd, its shim, runc and ctr are statically linked
/// and share a third of their code; measured, this saves 6 of 83 MB against the usual 8 MiB. The kernel holds
/// the window only while it unpacks, when nothing else runs yet; it takes up to 27.
pub(crate) const WINDOW_LOG: u32 = 26;
/// Files from this size on come last, so that large relatives lie within one window of each other.
const LARGE: u64 = 2 << 20;

/// How the image is written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Format {
    /// zstd's level.
    pub(crate) level: i32,
    /// No file is younger than this, seconds since the epoch.
    pub(crate) date: u64,
}

/// Writes the whole tree to `out`, compressed. Same tree, same format: same bytes, on however many cores.
///
/// # Errors
/// What `out` or the pool say; a file of 4 GiB or more.
pub(crate) fn write<W: Write>(tree: &Tree, pool: &Pool, format: Format, out: W) -> Result<W, Error> {
    let compress = |out| -> io::Result<zstd::Encoder<'static, W>> {
        let mut encoder = zstd::Encoder::new(out, format.level)?;
        // Any number of workers gives the same bytes, except for none.
        let workers = std::thread::available_parallelism().map_or(1, |count| count.get().min(64) as u32);
        encoder.multithread(workers)?;
        encoder.window_log(WINDOW_LOG)?;
        encoder.long_distance_matching(true)?;
        encoder.include_checksum(true)?;
        Ok(encoder)
    };
    let wrong = Error::io("initramfs");
    let encoder = match compress(out) {
        Ok(encoder) => encoder,
        Err(error) => return Err(wrong(error)),
    };
    let encoder = cpio(tree, pool, format.date, encoder)?;
    encoder.finish().map_err(Error::io("initramfs"))
}

/// Writes the tree as cpio.
fn cpio<W: Write>(tree: &Tree, pool: &Pool, date: u64, out: W) -> Result<W, Error> {
    let mut writer = Archive { out: NoFlush(out), pool, date, next: 1, links: links(tree) };
    let (mut large, small): (Vec<_>, Vec<_>) = tree.iter().partition(|(_, entry)| size(entry) >= LARGE);
    // By path they are already; sorting keeps that among equals.
    large.sort_by_key(|(_, entry)| size(entry));
    for (path, entry) in small.into_iter().chain(large) {
        writer.append(path, entry)?;
    }
    let out = cpio::newc::trailer(writer.out).map_err(Error::io("initramfs"))?;
    Ok(out.0)
}

fn size(entry: &Entry) -> u64 {
    match &entry.node {
        Node::File(content) => content.size(),
        Node::Directory
        | Node::Symlink(_)
        | Node::CharDevice { .. }
        | Node::BlockDevice { .. }
        | Node::Fifo => 0,
    }
}

/// For each content: its inode number once it has one, and how many paths are left that lead to it.
type Links = HashMap<*const Content, Inode>;

#[derive(Clone, Copy, Debug, Default)]
struct Inode {
    number: u32,
    links: u32,
    left: u32,
}

fn links(tree: &Tree) -> Links {
    let mut links = Links::new();
    for (_, entry) in tree.iter() {
        if let Node::File(content) = &entry.node {
            let inode = links.entry(Arc::as_ptr(content)).or_default();
            inode.links += 1;
            inode.left += 1;
        }
    }
    links
}

struct Archive<'a, W> {
    out: NoFlush<W>,
    pool: &'a Pool,
    date: u64,
    next: u32,
    links: Links,
}

impl<W: Write> Archive<'_, W> {
    fn append(&mut self, path: &str, entry: &Entry) -> Result<(), Error> {
        let mtime = u32::try_from(entry.mtime.min(self.date)).unwrap_or(u32::MAX);
        let header = Builder::new(path).mode(entry.mode).uid(entry.uid).gid(entry.gid).mtime(mtime);
        let written = match &entry.node {
            Node::File(content) => self.file(header, content),
            Node::Symlink(target) => {
                let header = header.set_mode_file_type(ModeFileType::Symlink);
                self.plain(header, target.as_bytes())
            }
            Node::Directory => self.plain(header.nlink(2).set_mode_file_type(ModeFileType::Directory), &[]),
            Node::Fifo => self.plain(header.set_mode_file_type(ModeFileType::Fifo), &[]),
            Node::CharDevice { major, minor } => self.plain(
                header.rdev_major(*major).rdev_minor(*minor).set_mode_file_type(ModeFileType::Char),
                &[],
            ),
            Node::BlockDevice { major, minor } => self.plain(
                header.rdev_major(*major).rdev_minor(*minor).set_mode_file_type(ModeFileType::Block),
                &[],
            ),
        };
        written.map_err(Error::io(format!("/{path} in the initramfs")))
    }

    /// Hard links share a number, and the last of them carries the data.
    fn file(&mut self, header: Builder, content: &Arc<Content>) -> io::Result<()> {
        let header = header.set_mode_file_type(ModeFileType::Regular);
        let next = self.next;
        let inode = self.links.entry(Arc::as_ptr(content)).or_default();
        if inode.number == 0 {
            inode.number = next;
            self.next += 1;
        }
        inode.left = inode.left.saturating_sub(1);
        let Inode { number, links, left } = *inode;
        let header = header.ino(number).nlink(links);
        if left > 0 {
            return header.write(&mut self.out, 0).finish().map(drop);
        }
        let size = u32::try_from(content.size())
            .map_err(|_| io::Error::other("cpio has no files of 4 GiB and more"))?;
        let mut writer = Exactly { out: header.write(&mut self.out, size), left: size };
        match &**content {
            Content::Bytes(bytes) => writer.write_all(bytes)?,
            Content::Pooled(span) => self.pool.copy(*span, &mut writer)?,
        }
        writer.finish()
    }

    fn plain(&mut self, header: Builder, data: &[u8]) -> io::Result<()> {
        let number = self.next;
        self.next += 1;
        let size = u32::try_from(data.len()).map_err(io::Error::other)?;
        let mut writer = header.ino(number).write(&mut self.out, size);
        writer.write_all(data)?;
        writer.finish().map(drop)
    }
}

/// cpio's writer ends a file that is too short without a word; this one does not.
struct Exactly<W: Write> {
    out: cpio::newc::Writer<W>,
    left: u32,
}

impl<W: Write> Exactly<W> {
    fn finish(self) -> io::Result<()> {
        if self.left > 0 {
            return Err(io::Error::other(format!("{} bytes are missing", self.left)));
        }
        self.out.finish().map(drop)
    }
}

impl<W: Write> Write for Exactly<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        // More than is left cannot be written: cpio's writer refuses it.
        self.left -= written as u32;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// cpio's writer flushes after every file that needs padding, which would end a zstd block each time and
/// double the image.
struct NoFlush<W>(W);

impl<W: Write> Write for NoFlush<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn tree() -> Tree {
        let from: Arc<str> = "test".into();
        let mut tree = Tree::default();
        tree.folder("dev", 0o755, &from).unwrap();
        let console = Node::CharDevice { major: 5, minor: 1 };
        tree.insert("dev/console", Entry::new(console, 0o600, &from)).unwrap();
        tree.write("etc/x", 0o640, *b"hello", &from).unwrap();
        let shared = Node::File(Arc::new(Content::Bytes(b"shared".to_vec())));
        tree.insert("usr/b", Entry { mtime: 7, ..Entry::new(shared.clone(), 0o755, &from) }).unwrap();
        tree.insert("usr/a", Entry { uid: 3, ..Entry::new(shared, 0o755, &from) }).unwrap();
        tree.link("lib", "usr/lib", &from).unwrap();
        tree
    }

    /// Name, mode, inode, links, mtime, content of each member.
    fn members(archive: &[u8]) -> Vec<(String, u32, u32, u32, u32, Vec<u8>)> {
        let (mut list, mut rest) = (Vec::new(), archive);
        loop {
            let mut reader = cpio::newc::Reader::new(rest).unwrap();
            if reader.entry().is_trailer() {
                return list;
            }
            let mut data = Vec::new();
            reader.read_to_end(&mut data).unwrap();
            let entry = reader.entry();
            let (name, mode) = (entry.name().to_owned(), entry.mode());
            list.push((name, mode, entry.ino(), entry.nlink(), entry.mtime(), data));
            rest = reader.finish().unwrap();
        }
    }

    fn pool() -> (tempfile::TempDir, Pool) {
        let folder = tempfile::tempdir().unwrap();
        let pool = Pool::new(folder.path()).unwrap();
        (folder, pool)
    }

    #[test]
    fn what_goes_in_comes_out_with_modes_devices_links_and_clamped_times() {
        let (_folder, pool) = pool();
        let bytes = cpio(&tree(), &pool, 1000, Vec::new()).unwrap();
        let members = members(&bytes);
        let names: Vec<_> = members.iter().map(|member| member.0.as_str()).collect();
        assert_eq!(names, ["dev", "dev/console", "etc", "etc/x", "lib", "usr", "usr/a", "usr/b"]);
        assert_eq!(members[0].1, 0o040_755);
        assert_eq!(members[1].1, 0o020_600);
        assert_eq!((members[3].1, &members[3].5[..]), (0o100_640, &b"hello"[..]));
        assert_eq!((members[4].1, &members[4].5[..]), (0o120_777, &b"usr/lib"[..]));
        assert_eq!((members[3].4, members[7].4), (1000, 7));
        let (a, b) = (&members[6], &members[7]);
        assert_eq!((a.2, a.3, &a.5[..]), (b.2, 2, &b""[..]), "the first link carries no data");
        assert_eq!(&b.5[..], b"shared");
    }

    #[test]
    fn the_image_is_one_frame_that_the_kernel_accepts_and_always_the_same() {
        let (_folder, pool) = pool();
        let format = Format { level: 3, date: 1000 };
        let one = write(&tree(), &pool, format, Vec::new()).unwrap();
        let two = write(&tree(), &pool, format, Vec::new()).unwrap();
        assert_eq!(one, two);
        assert_eq!(one[..4], [0x28, 0xb5, 0x2f, 0xfd]);
        let mut decoder = zstd::Decoder::new(&one[..]).unwrap().single_frame();
        decoder.window_log_max(WINDOW_LOG).unwrap();
        let mut plain = Vec::new();
        decoder.read_to_end(&mut plain).unwrap();
        assert_eq!(plain, cpio(&tree(), &pool, 1000, Vec::new()).unwrap());
    }

    #[test]
    fn the_archive_is_written_as_it_was_when_assembly_was_last_raised() {
        let (_folder, pool) = pool();
        let bytes = write(&tree(), &pool, Format { level: 3, date: 1000 }, Vec::new()).unwrap();
        let sum = captain_debian::Sha256::of(&bytes).to_string();
        assert_eq!(
            sum, "4a9bb5ff8676337fa138f900ec707f190481a90c08753826d05922a27f7e1427",
            "same tree, other bytes: raise ASSEMBLY in builder.rs"
        );
    }

    #[test]
    fn a_file_that_turns_out_short_is_an_error() {
        let header = Builder::new("x").set_mode_file_type(ModeFileType::Regular);
        let mut out = Exactly { out: header.write(Vec::new(), 10), left: 10 };
        out.write_all(b"abc").unwrap();
        assert!(out.finish().is_err());
    }
}
