//! Tars as streams of members: no header can grow without bound.

use std::io::{self, Read};

use tar::{EntryType, Header, PaxExtensions};

/// Longest path or link target: Linux's own limit (`PATH_MAX`).
const LONGEST: usize = 4096;
/// Largest extended header.
const EXTENDED: u64 = 64 * 1024;
/// Most members: the largest packages and images have some hundred thousand.
const MOST: u64 = 1 << 20;

/// One member of a tar.
pub struct Member<'a> {
    /// Kind, mode, owner, time; what it says of names may be cut.
    pub header: &'a Header,
    /// Its path as it stands in the tar: it may lead anywhere.
    pub path: Vec<u8>,
    /// Where a link leads, as it stands in the tar.
    pub link: Option<Vec<u8>>,
    /// Bytes in it.
    pub size: u64,
    /// What is in it; what is not read is skipped.
    pub content: &'a mut dyn Read,
}

/// Why a walk ended early: the tar is broken (in words), or the visitor said so.
#[derive(Debug)]
pub enum Stop<E> {
    /// Damaged, or with something in it that is not read.
    Broken(String),
    /// What the visitor returned.
    Visitor(E),
}

impl<E> From<String> for Stop<E> {
    fn from(why: String) -> Self {
        Self::Broken(why)
    }
}

/// Shows each member of `tar` to `visit`, in order. Names from GNU long-name entries and pax headers (POSIX.1-2017,
/// pax, "pax Interchange Format") are put together.
///
/// # Errors
/// [`Stop`].
pub fn walk<E>(tar: impl Read, mut visit: impl FnMut(Member<'_>) -> Result<(), E>) -> Result<(), Stop<E>> {
    let mut archive = tar::Archive::new(tar);
    // Raw: whoever puts names together for us reads them whole, however long they are.
    let entries = archive.entries().map_err(|error| damaged(&error))?.raw(true);
    let mut extended = Extended::default();
    for (number, raw) in (0..).zip(entries) {
        let mut raw = raw.map_err(|error| damaged(&error))?;
        if number >= MOST {
            return Err(format!("it has more than {MOST} members").into());
        }
        let header = raw.header().clone();
        if extended.take_from(&header, &mut raw)? {
            continue;
        }
        let member = std::mem::take(&mut extended).member(&header, &mut raw)?;
        visit(member).map_err(Stop::Visitor)?;
    }
    if extended.is_empty() {
        Ok(())
    } else {
        Err("its tar ends after the name of a member".to_owned().into())
    }
}

fn damaged(error: &io::Error) -> String {
    format!("its tar is damaged: {error}")
}

/// Names for the next entry, from GNU long-name entries and pax headers before it.
#[derive(Default)]
struct Extended {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
}

impl Extended {
    const fn is_empty(&self) -> bool {
        self.path.is_none() && self.link.is_none()
    }

    /// Whether the entry only says something about the next one.
    fn take_from(&mut self, header: &Header, content: &mut dyn Read) -> Result<bool, String> {
        match header.entry_type() {
            EntryType::GNULongName => self.path = Some(long_name(header, content)?),
            EntryType::GNULongLink => self.link = Some(long_name(header, content)?),
            EntryType::XHeader => self.take_pax(&bounded(header, content)?)?,
            EntryType::XGlobalHeader => {}
            EntryType::GNUSparse => {
                return Err("it holds a sparse file, which is not read: pack it without --sparse".to_owned());
            }
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

    fn member<'a>(self, header: &'a Header, content: &'a mut dyn Read) -> Result<Member<'a>, String> {
        let path = self.path.unwrap_or_else(|| header.path_bytes().into_owned());
        let link = self.link.or_else(|| header.link_name_bytes().map(|name| name.into_owned()));
        let shown = || String::from_utf8_lossy(&path[..path.len().min(60)]).escape_debug().to_string();
        if path.len().max(link.as_ref().map_or(0, Vec::len)) > LONGEST {
            return Err(format!("`{}...` is a name of more than {LONGEST} bytes", shown()));
        }
        let size = header.entry_size().map_err(|error| format!("{}: {error}", shown()))?;
        Ok(Member { header, path, link, size, content })
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
    if size > EXTENDED {
        return Err(format!("an extended tar header of {size} bytes (at most {EXTENDED} are read)"));
    }
    let mut bytes = Vec::new();
    content.read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(kind: EntryType, name: &str, size: u64) -> Vec<u8> {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_size(size);
        header.set_cksum();
        header.as_bytes().to_vec()
    }

    /// Its members, or why not.
    fn seen(tar: &[u8]) -> Result<Vec<(String, u64)>, String> {
        let mut seen = Vec::new();
        let walked = walk(tar, |member| {
            let mut content = Vec::new();
            member.content.read_to_end(&mut content).map_err(|error| error.to_string())?;
            seen.push((String::from_utf8(member.path).unwrap(), content.len() as u64));
            Ok(())
        });
        match walked {
            Ok(()) => Ok(seen),
            Err(Stop::Broken(why) | Stop::Visitor(why)) => Err(why),
        }
    }

    fn padded(bytes: &[u8]) -> Vec<u8> {
        let mut bytes = bytes.to_vec();
        bytes.resize(bytes.len().next_multiple_of(512), 0);
        bytes
    }

    #[test]
    fn long_names_of_either_kind_belong_to_the_next_member() {
        let long = "a/".repeat(100) + "b";
        let record = format!("path={long}\n");
        let pax = format!("{} {record}", record.len() + 4);
        for (kind, text) in [(EntryType::GNULongName, format!("{long}\0")), (EntryType::XHeader, pax)] {
            let name = [block(kind, "x", text.len() as u64), padded(text.as_bytes())].concat();
            let file = [block(EntryType::Regular, "cut", 1), padded(b"1")].concat();
            assert_eq!(seen(&[&name[..], &file].concat()).unwrap(), [(long.clone(), 1)]);
            assert!(seen(&name).unwrap_err().contains("ends after the name"), "{kind:?}");
        }
    }

    #[test]
    fn what_an_archive_claims_is_not_believed_where_that_takes_memory() {
        for kind in [EntryType::GNULongName, EntryType::GNULongLink, EntryType::XHeader] {
            let claims = block(kind, "x", 1 << 40);
            assert!(seen(&claims).unwrap_err().contains("an extended tar header of 1099511627776 bytes"));
        }
        let name = [block(EntryType::GNULongName, "x", 5000), padded(&[b'a'; 5000])].concat();
        let named = [name, block(EntryType::Regular, "cut", 0)].concat();
        assert!(seen(&named).unwrap_err().contains("more than 4096 bytes"));
        let sparse = block(EntryType::GNUSparse, "x", 0);
        assert!(seen(&sparse).unwrap_err().contains("--sparse"));
        let record = b"24 size=99999999999999\n ";
        let pax = [block(EntryType::XHeader, "x", 24), padded(record)].concat();
        assert!(seen(&pax).unwrap_err().contains("pax header"));
    }

    #[test]
    fn a_member_that_claims_more_than_there_is_breaks_the_walk() {
        for size in [2000, 1 << 40, u64::MAX] {
            let tar = [block(EntryType::Regular, "big", size), padded(b"little")].concat();
            let error = seen(&tar).unwrap_err();
            assert!(
                error.contains("damaged") || error.contains("EOF") || error.contains("overflow"),
                "{error}"
            );
        }
    }
}
