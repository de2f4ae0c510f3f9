//! Archives of strangers, read as streams: packages, layers of container images, OSIEs of other makers, programs.
//!
//! Nothing touches the disk, and nothing that an archive claims decides how much memory is taken: decompressors,
//! names and headers have bounds, and so has what a small file may unpack to ([`Bounded`]).

mod bounded;
mod packing;
mod tarball;

pub use bounded::{Bounded, Limit};
pub use packing::{Packing, decoder};
pub use tarball::{Member, Stop, walk};
