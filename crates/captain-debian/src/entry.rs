//! One thing in a package's tree, with a path that is safe to use.

use std::io::{self, Read};

/// A file, folder, link or device of a package. Reading it yields a file's content.
pub struct Entry<'a> {
    /// Path below the root: no leading slash or `./`, no `..`, no empty part.
    pub path: String,
    /// What it is.
    pub kind: EntryKind,
    /// Permission bits, with set-id and sticky bits (`0o7777`).
    pub mode: u32,
    /// Owner's number.
    pub uid: u32,
    /// Group's number.
    pub gid: u32,
    /// Last change, seconds since the epoch.
    pub mtime: u64,
    /// Content's size in bytes; 0 for everything but files.
    pub size: u64,
    pub(crate) content: &'a mut dyn Read,
}

/// What an [`Entry`] is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// A folder.
    Directory,
    /// A regular file.
    File,
    /// Another name of the file at this path (made safe like [`Entry::path`]), which came before it.
    Hardlink(String),
    /// A symbolic link to this target, as the package wrote it: it may be absolute or hold `..`.
    Symlink(String),
    /// A character device.
    CharDevice {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A block device.
    BlockDevice {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A named pipe.
    Fifo,
}

impl Read for Entry<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.content.read(buffer)
    }
}

/// The safe form of a path in a tar; empty for the root itself.
///
/// # Errors
/// Why it cannot be used, in words.
pub(crate) fn safe_path(bytes: &[u8]) -> Result<String, String> {
    let shown = || String::from_utf8_lossy(bytes).escape_debug().to_string();
    let Ok(text) = std::str::from_utf8(bytes) else {
        return Err(format!("path `{}` is not UTF-8", shown()));
    };
    if text.contains('\0') {
        return Err(format!("path `{}` holds a NUL", shown()));
    }
    if text.starts_with('/') {
        return Err(format!("path `{}` is absolute", shown()));
    }
    let parts: Vec<_> = text.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    if parts.contains(&"..") {
        return Err(format!("path `{}` leads out of the root", shown()));
    }
    Ok(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_made_plain() {
        for (raw, safe) in [
            ("./usr/bin/x", "usr/bin/x"),
            ("usr/bin/", "usr/bin"),
            ("./", ""),
            (".", ""),
            ("a//b/./c", "a/b/c"),
            ("..a/b..", "..a/b.."),
        ] {
            assert_eq!(safe_path(raw.as_bytes()), Ok(safe.to_owned()), "{raw}");
        }
    }

    #[test]
    fn paths_that_leave_the_root_are_named() {
        for (raw, why) in [
            (&b"/etc/passwd"[..], "absolute"),
            (b"./../x", "leads out"),
            (b"a/..", "leads out"),
            (b"a\0b", "NUL"),
            (b"a\xff", "UTF-8"),
        ] {
            assert!(safe_path(raw).unwrap_err().contains(why), "{raw:?}");
        }
    }
}
