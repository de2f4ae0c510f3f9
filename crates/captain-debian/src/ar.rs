//! The outer shell of a .deb: a Unix `ar` archive (deb(5)), read without moving a file position.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;

const MAGIC: &[u8] = b"!<arch>\n";
const HEADER: usize = 60;

/// One file in the archive: where its bytes lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) name: String,
    pub(crate) start: u64,
    pub(crate) size: u64,
}

/// The members of `file`, in order. Says in words what is wrong with it.
pub(crate) fn members(file: &File) -> Result<Vec<Member>, String> {
    let end = file.metadata().map_err(|error| error.to_string())?.len();
    let mut magic = [0; MAGIC.len()];
    if file.read_exact_at(&mut magic, 0).is_err() || magic != *MAGIC {
        return Err("it does not begin as an ar archive".to_owned());
    }
    let mut members = Vec::new();
    let mut at = MAGIC.len() as u64;
    while at < end {
        let member = member(file, at, end)?;
        // Members begin at even offsets.
        at = member.start + member.size + member.size % 2;
        members.push(member);
        if members.len() > 64 {
            return Err("it has more members than a package can have".to_owned());
        }
    }
    Ok(members)
}

fn member(file: &File, at: u64, end: u64) -> Result<Member, String> {
    let mut header = [0; HEADER];
    file.read_exact_at(&mut header, at)
        .map_err(|_| format!("it ends inside an ar header, at byte {at}: the file is cut off"))?;
    let wrong = || format!("no ar header at byte {at}");
    let text = std::str::from_utf8(&header).map_err(|_| wrong())?;
    if &text[58..] != "`\n" {
        return Err(wrong());
    }
    let size: u64 = text[48..58].trim_end().parse().map_err(|_| wrong())?;
    let name = text[..16].trim_end().trim_end_matches('/').to_owned();
    let start = at + HEADER as u64;
    if size > end - start {
        return Err(format!("member {name} of {size} bytes does not fit: the file is cut off"));
    }
    Ok(Member { name, start, size })
}

/// Reads one member; several can be read at the same time.
pub(crate) struct Section<'a> {
    file: &'a File,
    at: u64,
    end: u64,
}

impl<'a> Section<'a> {
    pub(crate) const fn new(file: &'a File, member: &Member) -> Self {
        Self { file, at: member.start, end: member.start + member.size }
    }
}

impl Read for Section<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let want = usize::try_from(self.end - self.at).unwrap_or(usize::MAX).min(buffer.len());
        let read = self.file.read_at(&mut buffer[..want], self.at)?;
        if read == 0 && want > 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.at += read as u64;
        Ok(read)
    }
}
