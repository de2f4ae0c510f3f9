//! Getting an OSIE's files out of a folder, an archive or a download.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;

use captain_unpack::{Member, Stop};
use tar::EntryType;

use super::{AddedFile, names, wrong};
use crate::error::Error;
use crate::unpack;

/// Copies everything in `path` that belongs to an OSIE into the empty folder `to`.
pub(super) fn gather(path: &Path, shown: &str, to: &Path) -> Result<(), Error> {
    if path.is_dir() { folder(path, shown, to) } else { archive(path, shown, to) }
}

fn folder(path: &Path, shown: &str, to: &Path) -> Result<(), Error> {
    let root = path.canonicalize().map_err(Error::io(path))?;
    for name in names::files(path)? {
        let Some(place) = names::wanted(&name) else { continue };
        // Links within the folder are how some web servers keep a `current`; what leads out of it is not ours.
        let real = path.join(&name).canonicalize().map_err(Error::io(path.join(&name)))?;
        if !real.starts_with(&root) {
            return Err(wrong(shown, format!("{name} is a link that leads out of the folder")));
        }
        // Opening a pipe would wait for whoever writes to it.
        if !real.is_file() {
            return Err(wrong(shown, format!("{name} is not a file")));
        }
        put(&mut File::open(&real).map_err(Error::io(&real))?, shown, place, to)?;
    }
    Ok(())
}

fn archive(path: &Path, shown: &str, to: &Path) -> Result<(), Error> {
    let plain = unpack::bounded(path).map_err(Error::io(path))?;
    captain_unpack::walk(plain, |member| take(member, shown, to)).map_err(|stop| match stop {
        Stop::Broken(why) => damaged(shown, why),
        Stop::Visitor(error) => error,
    })
}

/// Keeps a member of an archive, if it belongs to an OSIE.
fn take(member: Member<'_>, shown: &str, to: &Path) -> Result<(), Error> {
    let inside = String::from_utf8_lossy(&member.path).into_owned();
    let parts: Vec<_> = inside.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    if inside.starts_with('/') || parts.contains(&"..") {
        return Err(wrong(shown, format!("its path {inside} leads out of it")));
    }
    let name = parts.join("/");
    let Some(place) = names::wanted(&name) else { return Ok(()) };
    match member.header.entry_type() {
        EntryType::Regular | EntryType::Continuous => put(member.content, shown, place, to),
        EntryType::Directory => Ok(()),
        _ => Err(wrong(shown, format!("{name} is a link or a device, not a file"))),
    }
}

fn put(content: &mut dyn Read, shown: &str, place: &str, to: &Path) -> Result<(), Error> {
    let target = to.join(place);
    if let Some(above) = target.parent() {
        fs::create_dir_all(above).map_err(Error::io(above))?;
    }
    let mut file = match File::create_new(&target) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            return Err(wrong(shown, format!("it holds {place} twice")));
        }
        created => created.map_err(Error::io(&target))?,
    };
    let mut buffer = vec![0; 256 * 1024];
    loop {
        let read = content.read(&mut buffer).map_err(|error| damaged(shown, error))?;
        if read == 0 {
            return Ok(());
        }
        file.write_all(&buffer[..read]).map_err(Error::io(&target))?;
    }
}

fn damaged(shown: &str, error: impl std::fmt::Display) -> Error {
    wrong(shown, format!("it is no archive, or a damaged one: {error}"))
}

/// Bytes of a list of sums that are read: a line takes some hundred.
const LONGEST_LIST: u64 = 1 << 20;

/// What lists of sums in `folder` tell, by file name.
pub(super) fn told_sums(folder: &Path) -> Result<BTreeMap<String, String>, Error> {
    let mut sums = BTreeMap::new();
    for list in names::files(folder)?.into_iter().filter(|name| names::is_list(name)) {
        let path = folder.join(&list);
        let mut text = String::new();
        let file = File::open(&path).map_err(Error::io(&path))?;
        file.take(LONGEST_LIST).read_to_string(&mut text).map_err(Error::io(&path))?;
        for line in text.lines() {
            let Some((sum, name)) = line.split_once(char::is_whitespace) else { continue };
            // sha512sums and the like are somebody else's.
            if sum.len() == 64 {
                let name = name.trim_start().trim_start_matches('*').trim_start_matches("./");
                sums.insert(name.to_owned(), sum.to_lowercase());
            }
        }
    }
    Ok(sums)
}

/// Takes away what is not kept.
pub(super) fn remove_others(folder: &Path, kept: &[AddedFile]) -> Result<(), Error> {
    for name in names::files(folder)? {
        if !kept.iter().any(|file| file.artifact.name == name) {
            let path = folder.join(&name);
            fs::remove_file(&path).map_err(Error::io(&path))?;
        }
    }
    Ok(())
}
