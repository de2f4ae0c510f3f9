//! What outlives a crash: leases, used-up boot policies, the last boots. One redb file, one writing thread.

mod store;
mod writer;

pub(crate) use store::{Loaded, Record, Store};
pub(crate) use writer::Writer;
