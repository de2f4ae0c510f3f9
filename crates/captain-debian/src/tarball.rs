//! The tars inside a .deb as a stream: nothing touches the disk, no header can grow without bound.

use std::io::{self, BufReader, Read};

use tar::{EntryType, Header, PaxExtensions};

use crate::entry::{Entry, EntryKind, safe_path};

/// Longest path or link target, and largest extended header. Linux's own limit of a path is 4096.
const LONGEST: u64 = 64 * 1024;
/// Memory that one xz stream may take: `xz -9` needs 65 MiB, with several times that as margin.
const XZ_MEMORY: u64 = 1 << 30;

/// Unpacks what is packed in the way that the end of `name` tells: `data.tar.xz`, `Packages.gz`, `data.tar`.
pub(crate) fn decoder<'a>(name: &str, packed: impl Read + 'a) -> Result<Box<dyn Read + 'a>, String> {
    let packed = BufReader::with_capacity(128 * 1024, packed);
    let file = name.rsplit('/').next().unwrap_or(name);
    match file.rsplit_once('.').map_or("tar", |(_, ending)| ending) {
        "tar" => Ok(Box::new(packed)),
        "gz" => Ok(Box::new(flate2::bufread::MultiGzDecoder::new(packed))),
        "xz" => Ok(Box::new(xz(packed).map_err(|error| error.to_string())?)),
        "zst" => {
            let decoder = zstd::Decoder::with_buffer(packed).and_then(|mut decoder| {
                // 128 MiB: what `zstd -d` takes by default.
                decoder.window_log_max(27)?;
                Ok(decoder)
            });
            Ok(Box::new(decoder.map_err(|error| error.to_string())?))
        }
        _ => Err(format!("{name} is packed in a way that is not known (xz, zst, gz and none are)")),
    }
}

/// An xz decoder with bounded memory; streams that follow one another are one.
pub(crate) fn xz<R: io::BufRead>(packed: R) -> io::Result<liblzma::bufread::XzDecoder<R>> {
    let stream = liblzma::stream::Stream::new_stream_decoder(XZ_MEMORY, liblzma::stream::CONCATENATED)?;
    Ok(liblzma::bufread::XzDecoder::new_stream(packed, stream))
}

/// Why a walk ended early: the tar is broken (in words), or the visitor said so.
pub(crate) enum Stop<E> {
    Broken(String),
    Visitor(E),
}

impl<E> From<String> for Stop<E> {
    fn from(why: String) -> Self {
        Self::Broken(why)
    }
}

/// Names for the next entry, from GNU long-name entries and pax headers before it.
#[derive(Default)]
struct Extended {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
}

/// Shows each entry of `tar` to `visit`, in order; the root folder itself is left out.
pub(crate) fn walk<E>(
    tar: impl Read,
    mut visit: impl FnMut(&mut Entry<'_>) -> Result<(), E>,
) -> Result<(), Stop<E>> {
    let mut archive = tar::Archive::new(tar);
    let entries = archive.entries().map_err(|error| error.to_string())?.raw(true);
    let mut extended = Extended::default();
    for raw in entries {
        let mut raw = raw.map_err(|error| format!("its tar is damaged: {error}"))?;
        let header = raw.header().clone();
        if extended.take_from(&header, &mut raw)? {
            continue;
        }
        let Extended { path, link } = std::mem::take(&mut extended);
        let path = safe_path(&path.unwrap_or_else(|| header.path_bytes().into_owned()))?;
        let Some(mut entry) = entry(&header, path, link, &mut raw)? else { continue };
        visit(&mut entry).map_err(Stop::Visitor)?;
    }
    Ok(())
}

impl Extended {
    /// Whether the entry only says something about the next one.
    fn take_from(&mut self, header: &Header, content: &mut dyn Read) -> Result<bool, String> {
        match header.entry_type() {
            EntryType::GNULongName => self.path = Some(long_name(header, content)?),
            EntryType::GNULongLink => self.link = Some(long_name(header, content)?),
            EntryType::XHeader => self.take_pax(&bounded(header, content)?)?,
            EntryType::XGlobalHeader => {}
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn take_pax(&mut self, text: &[u8]) -> Result<(), String> {
        for extension in PaxExtensions::new(text) {
            let extension = extension.map_err(|error| format!("a pax header is damaged: {error}"))?;
            match extension.key_bytes() {
                b"path" => self.path = Some(extension.value_bytes().to_vec()),
                b"linkpath" => self.link = Some(extension.value_bytes().to_vec()),
                b"size" => return Err("a pax header gives another size, which is not supported".to_owned()),
                _ => {}
            }
        }
        Ok(())
    }
}

fn long_name(header: &Header, content: &mut dyn Read) -> Result<Vec<u8>, String> {
    let mut name = bounded(header, content)?;
    if name.last() == Some(&0) {
        name.pop();
    }
    Ok(name)
}

fn bounded(header: &Header, content: &mut dyn Read) -> Result<Vec<u8>, String> {
    let size = header.entry_size().map_err(|error| error.to_string())?;
    if size > LONGEST {
        return Err(format!("an extended tar header of {size} bytes (at most {LONGEST} are read)"));
    }
    let mut bytes = Vec::new();
    content.read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    Ok(bytes)
}

fn entry<'a>(
    header: &Header,
    path: String,
    link: Option<Vec<u8>>,
    content: &'a mut dyn Read,
) -> Result<Option<Entry<'a>>, String> {
    let kind = kind(header, &path, link).map_err(|why| format!("{path}: {why}"))?;
    if path.is_empty() {
        return if kind == EntryKind::Directory { Ok(None) } else { Err("an entry without a name".into()) };
    }
    let wrong = |error: io::Error| format!("{path}: {error}");
    let number =
        |value: u64| u32::try_from(value).map_err(|_| format!("{path}: owner {value} is out of range"));
    let size = if kind == EntryKind::File { header.entry_size().map_err(wrong)? } else { 0 };
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
    let target = || match link.clone().or_else(|| header.link_name_bytes().map(|name| name.into_owned())) {
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
