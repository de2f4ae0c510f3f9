//! .debs as streams: every packing, every kind of entry, every evil.

use std::io::Read;
use std::path::PathBuf;

use captain_debian::{Deb, Entry, EntryKind, Error};
use tar::EntryType;

use crate::debs::{Packing, add, ar, deb};

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, bytes: &[u8]) -> PathBuf {
        let path = self.0.path().join("evil_1.0_amd64.deb");
        std::fs::write(&path, bytes).unwrap();
        path
    }

    fn open(&self, bytes: &[u8]) -> Result<Deb, Error> {
        Deb::open(&self.write(bytes))
    }
}

/// What each entry is, and its content.
fn walk(deb: &Deb) -> Result<Vec<(String, EntryKind, Vec<u8>)>, Error> {
    let mut list = Vec::new();
    deb.walk(|entry: &mut Entry<'_>| {
        let mut content = Vec::new();
        entry.read_to_end(&mut content).map_err(|source| Error::Io { path: PathBuf::new(), source })?;
        list.push((entry.path.clone(), entry.kind.clone(), content));
        Ok::<_, Error>(())
    })?;
    Ok(list)
}

fn tree() -> tar::Builder<Vec<u8>> {
    let mut data = tar::Builder::new(Vec::new());
    add(&mut data, EntryType::Directory, "./", "", b"");
    add(&mut data, EntryType::Directory, "./usr/", "", b"");
    add(&mut data, EntryType::Regular, "./usr/file", "", b"content");
    add(&mut data, EntryType::Link, "./usr/hard", "./usr/file", b"");
    add(&mut data, EntryType::Symlink, "./usr/soft", "../../etc/x", b"");
    add(&mut data, EntryType::Char, "./tty", "", b"");
    add(&mut data, EntryType::Fifo, "./pipe", "", b"");
    data
}

#[test]
fn every_packing_yields_the_same_entries() {
    let folder = Folder::new();
    let is = |path: &str, kind, content: &[u8]| (path.to_owned(), kind, content.to_vec());
    for packing in [Packing::None, Packing::Gzip, Packing::Xz, Packing::Zstd] {
        let deb = folder.open(&deb("evil", packing, tree())).unwrap();
        let expected = [
            is("usr", EntryKind::Directory, b""),
            is("usr/file", EntryKind::File, b"content"),
            is("usr/hard", EntryKind::Hardlink("usr/file".into()), b""),
            is("usr/soft", EntryKind::Symlink("../../etc/x".into()), b""),
            is("tty", EntryKind::CharDevice { major: 4, minor: 64 }, b""),
            is("pipe", EntryKind::Fifo, b""),
        ];
        assert_eq!(walk(&deb).unwrap(), expected);
        assert_eq!(walk(&deb).unwrap(), expected, "a second walk begins anew");
    }
}

#[test]
fn modes_owners_and_times_are_kept() {
    let folder = Folder::new();
    let deb = folder.open(&deb("evil", Packing::Xz, tree())).unwrap();
    let mut seen = Vec::new();
    let walked = deb.walk(|entry| {
        seen.push((entry.mode, entry.uid, entry.gid, entry.mtime, entry.size));
        Ok::<_, Error>(())
    });
    walked.unwrap();
    assert_eq!(seen[..2], [(0o755, 7, 8, 1_700_000_000, 0), (0o4644, 7, 8, 1_700_000_000, 7)]);
}

#[test]
fn what_the_package_says_of_itself_is_read() {
    let folder = Folder::new();
    let control = folder.open(&deb("evil", Packing::Xz, tree())).unwrap().control().unwrap();
    assert_eq!(control.field("Version"), Some("1.0"));
    assert_eq!(control.conffiles(), ["etc/a.conf", "etc/b.conf"]);
    assert_eq!(control.scripts(), ["postinst"]);
    assert_eq!(control.triggers(), ["activate-noawait ldconfig"]);
}

#[test]
fn long_names_are_read_in_gnu_and_in_pax_form() {
    let long = format!("usr/{}/end", "d".repeat(300));
    let mut gnu = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(1);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    gnu.append_data(&mut header, &long, b"x".as_slice()).unwrap();
    let mut pax = tar::Builder::new(Vec::new());
    pax.append_pax_extensions([("path", long.as_bytes())]).unwrap();
    add(&mut pax, EntryType::Regular, "./short", "", b"x");
    let folder = Folder::new();
    for data in [gnu, pax] {
        let entries = walk(&folder.open(&deb("evil", Packing::Xz, data)).unwrap()).unwrap();
        assert_eq!(entries, [(long.clone(), EntryKind::File, b"x".to_vec())]);
    }
}

#[test]
fn an_unsafe_path_stops_the_walk_and_is_named_with_the_package() {
    let folder = Folder::new();
    for (kind, path, link, why) in [
        (EntryType::Regular, "../etc/passwd", "", "`../etc/passwd` leads out of the root"),
        (EntryType::Regular, "./a/../../b", "", "`./a/../../b` leads out of the root"),
        (EntryType::Regular, "/etc/shadow", "", "`/etc/shadow` is absolute"),
        (EntryType::Link, "./usr/x", "../../x", "usr/x: path `../../x` leads out of the root"),
        (EntryType::Symlink, "./usr/x", "", "usr/x: a link without a target"),
        (EntryType::Regular, "", "", "an entry without a name"),
        (EntryType::GNUSparse, "./usr/x", "", "it holds a sparse file"),
    ] {
        let mut data = tar::Builder::new(Vec::new());
        add(&mut data, kind, path, link, b"");
        let error = walk(&folder.open(&deb("evil", Packing::Xz, data)).unwrap()).unwrap_err().to_string();
        assert!(error.contains("evil_1.0_amd64.deb") && error.contains(why), "{error}");
    }
}

#[test]
fn a_nul_in_a_pax_path_is_caught() {
    let mut data = tar::Builder::new(Vec::new());
    data.append_pax_extensions([("path", b"usr/a\0b".as_slice())]).unwrap();
    add(&mut data, EntryType::Regular, "./short", "", b"x");
    let folder = Folder::new();
    let error = walk(&folder.open(&deb("evil", Packing::Xz, data)).unwrap()).unwrap_err().to_string();
    assert!(error.contains("holds a NUL"), "{error}");
}

#[test]
fn a_header_without_bound_is_not_read() {
    let mut data = tar::Builder::new(Vec::new());
    add(&mut data, EntryType::GNULongName, "././@LongLink", "", &vec![b'a'; 100_000]);
    let folder = Folder::new();
    let error = walk(&folder.open(&deb("evil", Packing::Xz, data)).unwrap()).unwrap_err().to_string();
    assert!(error.contains("header of 100000 bytes"), "{error}");
}

#[test]
fn what_is_cut_off_or_no_package_is_an_error_with_its_name() {
    let folder = Folder::new();
    let whole = deb("evil", Packing::Xz, tree());
    for (bytes, why) in [
        (&b"MZ"[..], "does not begin as an ar archive"),
        (b"!<arch>\n", "not a .deb"),
        (&whole[..whole.len() - 10], "cut off"),
        (&whole[..100], "cut off"),
        (&ar(&[("debian-binary", b"3.0\n")]), "package format 3.0"),
        (&ar(&[("debian-binary", b"2.0\n")]), "it has no control.tar*"),
        (&ar(&[("debian-binary", b"2.0\n"), ("control.tar", b"")]), "it has no data.tar*"),
    ] {
        let error = folder.open(bytes).unwrap_err().to_string();
        assert!(error.contains("evil_1.0_amd64.deb") && error.contains(why), "{error}");
    }
}

#[test]
fn a_tar_that_ends_early_is_an_error() {
    let folder = Folder::new();
    let tar = tree().into_inner().unwrap();
    for data in [&Packing::Xz.pack(&tar)[..100], &Packing::Xz.pack(&tar[..1536])] {
        let bytes = ar(&[("debian-binary", b"2.0\n"), ("control.tar", b""), ("data.tar.xz", data)]);
        assert!(walk(&folder.open(&bytes).unwrap()).is_err());
    }
    let unknown = ar(&[("debian-binary", b"2.0\n"), ("control.tar", b""), ("data.tar.bz2", b"BZh")]);
    let error = walk(&folder.open(&unknown).unwrap()).unwrap_err().to_string();
    assert!(error.contains("data.tar.bz2 is packed in a way"), "{error}");
}

#[test]
fn the_visitors_own_error_comes_back() {
    #[derive(Debug)]
    struct Mine(String);
    impl From<Error> for Mine {
        fn from(error: Error) -> Self {
            Self(error.to_string())
        }
    }
    let folder = Folder::new();
    let deb = folder.open(&deb("evil", Packing::Xz, tree())).unwrap();
    let error = deb.walk(|entry| Err(Mine(format!("stop at {}", entry.path)))).unwrap_err();
    assert_eq!(error.0, "stop at usr");
}

/// Not a fuzzer, but every byte of a small package is wrong once, and every length is tried.
#[test]
fn a_damaged_package_is_an_error_or_harmless_and_never_a_panic() {
    let folder = Folder::new();
    let whole = deb("evil", Packing::None, tree());
    let mut refused = 0;
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x55;
        if at % 7 == 0 {
            bytes.truncate(at);
        }
        let outcome = folder.open(&bytes).and_then(|deb| deb.control().and_then(|_| walk(&deb)));
        refused += usize::from(outcome.is_err());
    }
    assert!(refused > whole.len() / 8, "{refused} of {}", whole.len());
}
