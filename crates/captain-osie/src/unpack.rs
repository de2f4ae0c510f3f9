//! Reading an initramfs: whatever it is packed with, member by member.

use std::collections::HashMap;
use std::fs::{self, File, Permissions};
use std::io::{self, Cursor, Read};
use std::ops::ControlFlow;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Component, Path, PathBuf};

use captain_unpack::{Bounded, Limit, decoder};
use cpio::newc;

/// Kinds of files (inode(7)).
const FOLDER: u32 = 0o040_000;
const REGULAR: u32 = 0o100_000;
const SYMLINK: u32 = 0o120_000;
/// Longest name and link target: Linux's own limit (`PATH_MAX`), the zero byte at the end of a name counted.
const LONGEST: u64 = 4096;
/// What an OSIE's files may unpack to: their parts are packed already.
const LIMIT: Limit = Limit { least: 64 << 20, ratio: 20 };

/// As [`decoder`] of the file at `path`, for files of strangers: one that unpacks to far more than it is, as no OSIE
/// does, is an error.
///
/// # Errors
/// It cannot be read.
pub(crate) fn bounded(path: &Path) -> io::Result<Bounded<Box<dyn Read>>> {
    let file = File::open(path)?;
    let packed = file.metadata()?.len();
    Ok(LIMIT.of(decoder(file)?, packed))
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
        let mut reader = newc::Reader::new(with_short_name(rest)?)?;
        if reader.entry().is_trailer() {
            return Ok(());
        }
        let entry = reader.entry().clone();
        if visit(&entry, &mut reader)?.is_break() {
            return Ok(());
        }
        rest = reader.finish()?.into_inner().1;
    }
}

/// Bytes of a member's header, and where in it the length of its name stands (cpio(5), "New ASCII Format").
const HEADER: usize = 110;
const NAME: std::ops::Range<usize> = 94..102;

/// The member that `rest` begins with, unless it claims a name that no file has: whoever reads it next takes the
/// memory for that before a byte of the name is there.
fn with_short_name<R: Read>(mut rest: R) -> io::Result<io::Chain<Cursor<[u8; HEADER]>, R>> {
    let mut header = [0; HEADER];
    rest.read_exact(&mut header)?;
    let digits = std::str::from_utf8(&header[NAME]).ok();
    match digits.and_then(|digits| u64::from_str_radix(digits, 16).ok()) {
        Some(length) if length <= LONGEST => Ok(Cursor::new(header).chain(rest)),
        Some(length) => Err(io::Error::other(format!("a member claims a name of {length} bytes"))),
        None => Err(io::Error::other("the length of a member's name is no number")),
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
                if u64::from(entry.file_size()) > LONGEST {
                    return Err(io::Error::other(format!(
                        "{} is a link of {} bytes",
                        entry.name(),
                        entry.file_size()
                    )));
                }
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

    #[test]
    fn a_member_that_claims_a_name_of_4_gib_is_refused_before_that_is_taken() {
        let mut plain = archive();
        for (claim, why) in
            [("ffffffff", "a name of 4294967295 bytes"), ("00001001", "4097"), ("zzzzzzzz", "no number")]
        {
            plain[NAME].copy_from_slice(claim.as_bytes());
            let error = walk(&plain[..], |_, _| Ok(ControlFlow::Continue(()))).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
    }
}
