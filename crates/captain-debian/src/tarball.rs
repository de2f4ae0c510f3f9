//! The tars inside a .deb as a stream: members with safe paths, of the kinds that a package can hold.

use std::io::{self, BufReader, Read};

use captain_unpack::{Member, Packing, Stop};
use tar::{EntryType, Header};

use crate::entry::{Entry, EntryKind, safe_path};

/// Unpacks what is packed in the way that the end of `name` tells: `data.tar.xz`, `Packages.gz`, `data.tar`.
pub(crate) fn decoder<'a>(name: &str, packed: impl Read + 'a) -> Result<Box<dyn Read + 'a>, String> {
    let file = name.rsplit('/').next().unwrap_or(name);
    let packing = match file.rsplit_once('.').map_or("tar", |(_, ending)| ending) {
        "tar" => Packing::None,
        "gz" => Packing::Gzip,
        "xz" => Packing::Xz,
        "zst" => Packing::Zstd,
        _ => {
            return Err(format!("{name} is packed in a way that is not known (xz, zst, gz and none are)"));
        }
    };
    let packed = BufReader::with_capacity(128 * 1024, packed);
    packing.decoder(packed).map_err(|error| error.to_string())
}

/// Shows each entry of `tar` to `visit`, in order; the root folder itself is left out.
pub(crate) fn walk<E>(
    tar: impl Read,
    mut visit: impl FnMut(&mut Entry<'_>) -> Result<(), E>,
) -> Result<(), Stop<E>> {
    let walked = captain_unpack::walk(tar, |member| match entry(member).map_err(Stop::Broken)? {
        Some(mut entry) => visit(&mut entry).map_err(Stop::Visitor),
        None => Ok(()),
    });
    walked.map_err(|stop| match stop {
        Stop::Broken(why) => Stop::Broken(why),
        Stop::Visitor(stop) => stop,
    })
}

fn entry(member: Member<'_>) -> Result<Option<Entry<'_>>, String> {
    let Member { header, link, content, .. } = member;
    let path = safe_path(&member.path)?;
    let kind = kind(header, &path, link).map_err(|why| format!("{path}: {why}"))?;
    if path.is_empty() {
        return if kind == EntryKind::Directory { Ok(None) } else { Err("an entry without a name".into()) };
    }
    let wrong = |error: io::Error| format!("{path}: {error}");
    let number =
        |value: u64| u32::try_from(value).map_err(|_| format!("{path}: owner {value} is out of range"));
    let size = if kind == EntryKind::File { member.size } else { 0 };
    Ok(Some(Entry {
        mode: header.mode().map_err(wrong)? & 0o7777,
        uid: number(header.uid().map_err(wrong)?)?,
        gid: number(header.gid().map_err(wrong)?)?,
        mtime: header.mtime().map_err(wrong)?,
        size,
        kind,
        path,
        content,
    }))
}

fn kind(header: &Header, path: &str, link: Option<Vec<u8>>) -> Result<EntryKind, String> {
    let target = || match link.clone() {
        Some(target) if !target.is_empty() => Ok(target),
        _ => Err("a link without a target".to_owned()),
    };
    let device = || {
        let number = |value: io::Result<Option<u32>>| {
            value.ok().flatten().ok_or_else(|| "a device without numbers".to_owned())
        };
        Ok::<_, String>((number(header.device_major())?, number(header.device_minor())?))
    };
    match header.entry_type() {
        // Old tars mark a folder only by a slash at its end; `path` has lost it.
        EntryType::Regular if header.path_bytes().ends_with(b"/") => Ok(EntryKind::Directory),
        EntryType::Regular | EntryType::Continuous => Ok(EntryKind::File),
        EntryType::Directory => Ok(EntryKind::Directory),
        EntryType::Link => safe_path(&target()?).map(EntryKind::Hardlink),
        EntryType::Symlink => symlink_target(target()?).map(EntryKind::Symlink),
        EntryType::Char => device().map(|(major, minor)| EntryKind::CharDevice { major, minor }),
        EntryType::Block => device().map(|(major, minor)| EntryKind::BlockDevice { major, minor }),
        EntryType::Fifo => Ok(EntryKind::Fifo),
        other => Err(format!(
            "`{path}` is of tar type {:?}, which a package cannot hold",
            char::from(other.as_byte())
        )),
    }
}

fn symlink_target(bytes: Vec<u8>) -> Result<String, String> {
    let text = String::from_utf8(bytes).map_err(|_| "its link target is not UTF-8".to_owned())?;
    if text.contains('\0') {
        return Err("its link target holds a NUL".to_owned());
    }
    Ok(text)
}
