//! The builder image: Debian packages laid over each other as one layer. No maintainer script runs; what theirs
//! would have done and a compiler needs is one link.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::path::Path;

use captain_debian::{Deb, Entry, EntryKind, Fetched};
use tar::{EntryType, Header};

use crate::error::Error;

/// What is asked for; the rest comes by dependency. The tools of an essential system are not dependencies.
pub(crate) const PACKAGES: [&str; 23] = [
    "base-files",
    "dash",
    "coreutils",
    "findutils",
    "grep",
    "sed",
    "mawk",
    "tar",
    "gzip",
    "xz-utils",
    "zstd",
    "diffutils",
    "make",
    "gcc",
    "libc6-dev",
    "bc",
    "flex",
    "bison",
    "perl",
    "libelf-dev",
    "libssl-dev",
    "kmod",
    // hexdump: arm64's vmlinuz.efi learns its length by it.
    "bsdextrautils",
];

/// What packages ask for and nobody calls here.
pub(crate) const ASSUMED: [&str; 4] = ["debconf", "dpkg", "install-info", "perl-openssl-defaults"];

/// Documents and translations: half of the files, none of them read.
const LEFT_OUT: [&str; 6] = [
    "usr/share/doc/",
    "usr/share/man/",
    "usr/share/info/",
    "usr/share/locale/",
    "usr/share/i18n/",
    "usr/lib/udev/",
];

/// Folders that are links in the image (base-files brings the links).
const MERGED: [&str; 4] = ["bin", "sbin", "lib", "lib64"];

/// Writes the image's one layer to `file`.
///
/// # Errors
/// A damaged package; a full disk.
pub(crate) fn write(debs: &[Fetched], file: &Path) -> Result<(), Error> {
    let out = File::create(file).map_err(Error::io(file))?;
    let tar = tar::Builder::new(BufWriter::with_capacity(1 << 20, out));
    let mut layer = Layer { tar, paths: HashSet::new() };
    for deb in debs {
        layer.lay(&deb.open()?)?;
    }
    layer.finish().and_then(|mut out| out.flush()).map_err(Error::io(file))
}

/// A layer in the making. Engines refuse one that names a path twice, and packages share their folders.
struct Layer<W: Write> {
    tar: tar::Builder<W>,
    paths: HashSet<String>,
}

impl<W: Write> Layer<W> {
    fn lay(&mut self, deb: &Deb) -> Result<(), Error> {
        deb.walk(|entry| {
            let Some(path) = place(entry) else { return Ok(()) };
            if !self.paths.insert(path.clone()) {
                return Ok(());
            }
            append(&mut self.tar, &path, entry).map_err(Error::io(&path))
        })
    }

    /// What maintainer scripts would have made, and the folder to work in.
    fn finish(mut self) -> io::Result<W> {
        if self.paths.insert("usr/bin/awk".to_owned()) {
            self.tar.append_link(&mut header(EntryType::Symlink, 0o777, 0), "usr/bin/awk", "mawk")?;
        }
        for (path, mode) in [("tmp", 0o1777), ("build", 0o755)] {
            if self.paths.insert(path.to_owned()) {
                self.tar.append_data(&mut header(EntryType::Directory, mode, 0), path, io::empty())?;
            }
        }
        self.tar.into_inner()
    }
}

/// Where an entry goes; nothing for what is left out.
fn place(entry: &Entry<'_>) -> Option<String> {
    let path = &entry.path;
    let whole = format!("{path}/");
    if LEFT_OUT.iter().any(|folder| whole.starts_with(folder)) {
        return None;
    }
    // A folder of that name would replace the link of the merged /usr.
    if entry.kind == EntryKind::Directory && MERGED.contains(&path.as_str()) {
        return None;
    }
    Some(merged(path))
}

/// `lib/x` is `usr/lib/x`.
fn merged(path: &str) -> String {
    match path.split_once('/') {
        Some((top, _)) if MERGED.contains(&top) => format!("usr/{path}"),
        _ => path.to_owned(),
    }
}

fn append(layer: &mut tar::Builder<impl Write>, path: &str, entry: &mut Entry<'_>) -> io::Result<()> {
    let (mode, size) = (entry.mode, entry.size);
    match entry.kind.clone() {
        EntryKind::Directory => {
            layer.append_data(&mut header(EntryType::Directory, mode, 0), path, io::empty())
        }
        EntryKind::File => {
            layer.append_data(&mut header(EntryType::Regular, mode, size), path, entry.by_ref())
        }
        EntryKind::Hardlink(target) => {
            layer.append_link(&mut header(EntryType::Link, mode, 0), path, merged(&target))
        }
        EntryKind::Symlink(target) => {
            layer.append_link(&mut header(EntryType::Symlink, 0o777, 0), path, target)
        }
        // The engine brings /dev.
        EntryKind::CharDevice { .. } | EntryKind::BlockDevice { .. } | EntryKind::Fifo => Ok(()),
    }
}

fn header(kind: EntryType, mode: u32, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_old_packages_put_beside_usr_goes_below_it() {
        for (path, placed) in
            [("lib/x/y", "usr/lib/x/y"), ("usr/lib/y", "usr/lib/y"), ("libx/y", "libx/y"), ("etc", "etc")]
        {
            assert_eq!(merged(path), placed);
        }
    }
}
