//! TFTP for firmware: one transfer as a state machine, and the loop that drives many.
//!
//! Files come through `async-tftp`'s [`Handler`] trait, so what serves files knows nothing of this engine ([`Reasons`]
//! adds what its errors cannot say); its engine is not used, because boot firmware breaks it (the differential tests of
//! this crate show how).
//! [`Transfer`] is pure: datagrams and time go in, datagrams and a deadline come out. [`Engine`] owns the sockets.
//!
//! RFC 1350 (TFTP), 1123 section 4.2 (what 1350 got wrong), 2347 (options), 2348 (blksize), 2349 (timeout, tsize),
//! 7440 (windowsize).

mod config;
mod end;
mod engine;
mod finished;
mod handler;
mod lane;
mod line;
mod netascii;
mod options;
mod patience;
mod request;
mod session;
mod socket;
mod source;
mod table;
mod transfer;
mod wire;
mod workers;

pub use async_tftp::packet::Error as HandlerError;
pub use async_tftp::server::Handler;
pub use config::EngineConfig;
pub use end::{End, Limits};
pub use engine::Engine;
pub use finished::{Finished, Outcome};
pub use handler::Reasons;
pub use options::{Caps, Terms};
pub use request::{Mode, Options, Request, RequestError};
pub use transfer::Transfer;
