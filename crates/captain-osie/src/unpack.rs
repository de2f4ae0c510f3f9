//! Reading an initramfs: whatever it is packed with, member by member.

use std::collections::HashMap;
use std::fs::{self, File, Permissions};
use std::io::{self, BufRead, BufReader, Read};
use std::ops::ControlFlow;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Component, Path, PathBuf};

use cpio::newc;

/// Largest window of zstd that the kernel takes (128 MiB).
const WINDOW_LOG: u32 = 27;
/// Kinds of files (inode(7)).
const FOLDER: u32 = 0o040_000;
const REGULAR: u32 = 0o100_000;
const SYMLINK: u32 = 0o120_000;

/// What an initramfs holds, unpacked: by zstd, gzip, xz, or as it is.
///
/// # Errors
/// It cannot be read.
pub(crate) fn decoder<'a>(packed: impl Read + 'a) -> io::Result<Box<dyn Read + 'a>> {
    let mut packed = BufReader::with_capacity(256 * 1024, packed);
    Ok(match packed.fill_buf()? {
        [0x28, 0xb5, 0x2f, 0xfd, ..] => {
            let mut decoder = zstd::Decoder::with_buffer(packed)?;
            decoder.window_log_max(WINDOW_LOG)?;
            Box::new(decoder)
        }
        [0x1f, 0x8b, ..] => Box::new(flate2::bufread::MultiGzDecoder::new(packed)),
        [0xfd, b'7', b'z', b'X', b'Z', ..] => Box::new(liblzma::bufread::XzDecoder::new(packed)),
        _ => Box::new(packed),
    })
}

/// As [`decoder`] of the file at `path`, for files of strangers: one that unpacks to far more than it is, as no OSIE
/// does (its parts are packed already), is an error.
///
/// # Errors
/// It cannot be read.
pub(crate) fn bounded(path: &Path) -> io::Result<Bounded<Box<dyn Read>>> {
    let file = File::open(path)?;
    let left = LEAST + MOST * file.metadata()?.len();
    Ok(Bounded { inner: decoder(file)?, left })
}

/// What a file of any size may unpack to, bytes; and how much more for each of its own.
const LEAST: u64 = 64 << 20;
const MOST: u64 = 20;

/// Reads so many bytes and fails at the next.
pub(crate) struct Bounded<R> {
    inner: R,
    left: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.left = self.left.checked_sub(read as u64).ok_or_else(|| {
            io::Error::other(format!("it unpacks to more than {MOST} times its size, as no OSIE does"))
        })?;
        Ok(read)
    }
}

/// Shows each member of the cpio `plain` to `visit`, until that has seen enough or the archive ends.
///
/// # Errors
/// It is damaged, or `visit` failed.
pub(crate) fn walk(
    plain: impl Read,
    mut visit: impl FnMut(&newc::Entry, &mut dyn Read) -> io::Result<ControlFlow<()>>,
) -> io::Result<()> {
    let mut rest = plain;
    loop {
        let mut reader = newc::Reader::new(rest)?;
        if reader.entry().is_trailer() {
            return Ok(());
        }
        let entry = reader.entry().clone();
        if visit(&entry, &mut reader)?.is_break() {
            return Ok(());
        }
        rest = reader.finish()?;
    }
}

/// Unpacks the initramfs `packed` into the folder `root`, without owners and devices, which need root's rights.
/// Links are made as they stand: call it where `root` is the root folder of the process, or trust the image.
///
/// # Errors
/// The image is damaged; a path that leads out of `root`; a full disk.
pub fn unpack(packed: impl Read, root: &Path) -> io::Result<()> {
    let mut linked: HashMap<u32, Vec<PathBuf>> = HashMap::new();
    walk(decoder(packed)?, |entry, content| {
        let path = place(root, entry.name())?;
        let mode = entry.mode();
        match mode & 0o170_000 {
            FOLDER => {
                fs::create_dir_all(&path)?;
                // A folder that is a mount of somebody else's stays as it is.
                let _ = fs::set_permissions(&path, Permissions::from_mode(mode & 0o7777 | 0o700));
            }
            REGULAR if entry.nlink() > 1 && entry.file_size() == 0 => {
                linked.entry(entry.ino()).or_default().push(path);
            }
            REGULAR => {
                let mut file = File::create(&path)?;
                io::copy(content, &mut file)?;
                file.set_permissions(Permissions::from_mode(mode & 0o7777))?;
                for other in linked.remove(&entry.ino()).unwrap_or_default() {
                    fs::hard_link(&path, other)?;
                }
            }
            SYMLINK => {
                let mut target = String::new();
                content.read_to_string(&mut target)?;
                symlink(target, &path)?;
            }
            _ => {}
        }
        Ok(ControlFlow::Continue(()))
    })
}

fn place(root: &Path, name: &str) -> io::Result<PathBuf> {
    let parts =
        Path::new(name).components().filter(|part| !matches!(part, Component::CurDir | Component::RootDir));
    let mut path = root.to_owned();
    for part in parts {
        let Component::Normal(part) = part else {
            return Err(io::Error::other(format!("its path {name} leads out of it")));
        };
        path.push(part);
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn archive() -> Vec<u8> {
        let mut out = Vec::new();
        for (name, content) in [("a", &b"one"[..]), ("usr/b", b"two")] {
            let mut writer = newc::Builder::new(name).write(&mut out, content.len() as u32);
            writer.write_all(content).unwrap();
            writer.finish().unwrap();
        }
        newc::trailer(&mut out).unwrap();
        out
    }

    fn names(packed: &[u8]) -> Vec<String> {
        let mut names = Vec::new();
        walk(decoder(packed).unwrap(), |entry, _| {
            names.push(entry.name().to_owned());
            Ok(ControlFlow::Continue(()))
        })
        .unwrap();
        names
    }

    #[test]
    fn members_are_read_whatever_the_archive_is_packed_with() {
        let plain = archive();
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&plain).unwrap();
        let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 1);
        xz.write_all(&plain).unwrap();
        let zstd = zstd::encode_all(&plain[..], 1).unwrap();
        for packed in [plain, gzip.finish().unwrap(), xz.finish().unwrap(), zstd] {
            assert_eq!(names(&packed), ["a", "usr/b"]);
        }
    }

    #[test]
    fn folders_links_and_hard_links_are_made_and_a_path_that_leads_out_is_refused() {
        let mut out = Vec::new();
        let mut put = |name: &str, mode: u32, (ino, nlink): (u32, u32), content: &[u8]| {
            let header = newc::Builder::new(name).mode(mode).ino(ino).nlink(nlink);
            let mut writer = header.write(&mut out, content.len() as u32);
            writer.write_all(content).unwrap();
            writer.finish().unwrap();
        };
        put("bin", FOLDER | 0o755, (1, 2), b"");
        put("bin/a", REGULAR | 0o755, (2, 2), b"");
        put("bin/b", REGULAR | 0o755, (2, 2), b"program");
        put("sbin", SYMLINK | 0o777, (3, 1), b"bin");
        let mut good = out.clone();
        newc::trailer(&mut good).unwrap();
        let folder = tempfile::tempdir().unwrap();
        unpack(&good[..], folder.path()).unwrap();
        assert_eq!(fs::read(folder.path().join("bin/a")).unwrap(), b"program");
        assert_eq!(fs::metadata(folder.path().join("sbin/b")).unwrap().permissions().mode() & 0o7777, 0o755);
        let mut bad = Vec::new();
        newc::Builder::new("../evil").mode(REGULAR | 0o644).write(&mut bad, 0).finish().unwrap();
        newc::trailer(&mut bad).unwrap();
        let error = unpack(&bad[..], folder.path()).unwrap_err().to_string();
        assert!(error.contains("../evil leads out"), "{error}");
    }

    #[test]
    fn a_visitor_that_has_seen_enough_ends_it_and_damage_is_an_error() {
        let (plain, mut seen) = (archive(), 0);
        walk(&plain[..], |_, _| {
            seen += 1;
            Ok(ControlFlow::Break(()))
        })
        .unwrap();
        assert_eq!(seen, 1);
        assert!(walk(&plain[..plain.len() / 2], |_, _| Ok(ControlFlow::Continue(()))).is_err());
    }
}
