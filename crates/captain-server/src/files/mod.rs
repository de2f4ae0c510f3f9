//! Files that machines are given: opened once, named by content, read from disk as they are sent.

pub(crate) mod blocks;
pub(crate) mod confined;
pub(crate) mod content;
pub(crate) mod iso;
pub(crate) mod served;
pub(crate) mod shelf;
pub(crate) mod stamp;
pub(crate) mod upstream;

pub(crate) use confined::Confined;
pub(crate) use content::{Content, Piece, Source};
pub(crate) use iso::{Iso, IsoError, Isos};
pub(crate) use served::ServedFile;
pub(crate) use shelf::{Osie, Shelf};
pub(crate) use stamp::Stamp;
pub(crate) use upstream::UpstreamError;
