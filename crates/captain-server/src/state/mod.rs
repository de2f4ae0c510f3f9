//! What outlives a crash: leases and the last boots in one redb file, used-up boot policies in a file of their own. One
//! writing thread.

mod keeper;
mod open;
mod settled;
mod store;
mod unwritten;
mod writer;

pub(crate) use open::open;
pub(crate) use store::{Loaded, Record, Store};
pub(crate) use writer::Writer;
