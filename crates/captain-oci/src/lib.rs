//! Container images on disk, and the read-only registry that machines pull them from.
//!
//! [`Store`] holds content by its SHA-256 and names for it. Images come in by [`Store::import`] (archives of
//! `docker save`, OCI image layouts) or [`Store::assemble`] (a list of files); [`router`] serves them as
//! OCI distribution specification 1.1 has it, without ever taking one over the network.

mod assemble;
mod batch;
mod digest;
mod document;
mod error;
mod import;
mod layers;
mod name;
mod registry;
mod running;
mod store;

pub use assemble::{Content, ImageFile, ImageSpec};
pub use digest::Digest;
pub use error::Error;
pub use import::Imported;
pub use layers::LayerFile;
pub use name::Reference;
pub use registry::router;
pub use running::Running;
pub use store::{Image, Store};
