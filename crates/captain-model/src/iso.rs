//! The placeholder that an ISO carries where its boot loader's configuration has the kernel's command line: what
//! builds an ISO puts it in, what serves one takes it out.

use std::fmt;
use std::path::PathBuf;

/// Bytes of the placeholder.
pub const PLACEHOLDER_SIZE: usize = 1024;

/// The placeholder that the ISOs of CaptainOS, Hook and captaind carry.
pub const PLACEHOLDER: &str = include_str!("iso-placeholder.txt");

const _: () = assert!(PLACEHOLDER.len() == PLACEHOLDER_SIZE);

/// Where an ISO comes from that machines are given.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum IsoSource {
    /// A file.
    File(PathBuf),
    /// Another HTTP server: `http://` or `https://`.
    Url(String),
}

impl fmt::Display for IsoSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Url(url) => f.write_str(url),
        }
    }
}
