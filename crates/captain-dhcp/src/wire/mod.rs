//! Bytes to [`Request`] and [`Response`] to bytes. Nothing outside this module names the codec crate.
//!
//! The codec's owned decoder stops at the first option it dislikes, keeps one value of option 93, joins
//! only neighbouring pieces of an option and panics on a hardware length above 16. So options are taken
//! raw, one by one, and only values that are whole get into a [`Request`].

mod decode;
mod encode;
pub(crate) mod option;
mod request;
mod suboptions;

pub(crate) use decode::decode;
pub(crate) use encode::{EncodeError, Rank, ReplyOption, Response, Room, encode};
pub(crate) use request::{Ipxe, Message, Relay, Request};
pub(crate) use suboptions::{Suboptions, push as push_suboption};
