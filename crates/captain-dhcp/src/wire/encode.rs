//! [`Response`] to bytes: option 53 first, option 82 last, never larger than the client allows.

use std::net::Ipv4Addr;

use captain_model::Mac;
use dhcproto::Encoder;
use dhcproto::v4::{MAGIC, OptionCode, encode_long_opt_bytes};
use thiserror::Error;

use super::option as code;

const SNAME_SIZE: usize = 64;
const FILE_SIZE: usize = 128;

/// A reply (or, for `explain`, a request) before it is bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Response {
    /// 1 for a request, 2 for a reply.
    pub(crate) op: u8,
    pub(crate) htype: u8,
    pub(crate) xid: u32,
    pub(crate) secs: u16,
    pub(crate) flags: u16,
    pub(crate) ciaddr: Ipv4Addr,
    pub(crate) yiaddr: Ipv4Addr,
    pub(crate) siaddr: Ipv4Addr,
    pub(crate) giaddr: Ipv4Addr,
    pub(crate) chaddr: [u8; 16],
    /// Without its NUL.
    pub(crate) sname: String,
    /// Without its NUL.
    pub(crate) file: String,
    pub(crate) options: Vec<ReplyOption>,
    /// Option 82 as the relay sent it.
    pub(crate) relay: Option<Vec<u8>>,
}

/// One option of a reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ReplyOption {
    pub(crate) code: u8,
    pub(crate) data: Vec<u8>,
    pub(crate) rank: Rank,
    /// Why it is there, for `explain`.
    pub(crate) why: String,
}

impl ReplyOption {
    /// Its place in the reply: the message type first, the important before the others.
    pub(crate) fn order(&self) -> (bool, Rank) {
        (self.code != code::MESSAGE_TYPE, if self.rank == Rank::Twice { Rank::Vital } else { self.rank })
    }
}

/// What goes first when space is short: the least important, which is the greatest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rank {
    /// The reply is wrong without it.
    Vital,
    /// A header field says the same.
    Twice,
    /// Asked for; the position in the client's list is its preference (RFC 2132 section 9.8).
    Asked(usize),
    /// Good to know.
    Extra,
}

/// How much space there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Room {
    /// Greatest UDP payload, bytes.
    pub(crate) limit: usize,
    /// Whether options may stand in `sname` and `file` where these are unused (option 52).
    pub(crate) overload: bool,
    /// Zeros after END up to this size: some relays and clients drop shorter replies (BOOTP's 300 bytes).
    pub(crate) pad: usize,
}

/// A reply as bytes, and what did not fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Encoded {
    pub(crate) payload: Vec<u8>,
    /// Codes of options left out for want of space.
    pub(crate) dropped: Vec<u8>,
}

/// Why a reply cannot be sent.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub(crate) enum EncodeError {
    /// A configured name is longer than its header field.
    #[error("{field} `{text}` has {} bytes and the DHCP header takes {limit}: use a shorter name", text.len())]
    TooLong { field: &'static str, text: String, limit: usize },
    /// Even without everything optional.
    #[error("the reply needs {size} bytes and may have {limit} (options 57 and 82)")]
    TooLarge { size: usize, limit: usize },
}

/// The bytes of `response`, within `room`.
///
/// # Errors
/// See [`EncodeError`]; nothing is ever cut short.
pub(crate) fn encode(mut response: Response, room: Room) -> Result<Encoded, EncodeError> {
    check(&response.sname, "server name", SNAME_SIZE)?;
    check(&response.file, "boot file name", FILE_SIZE)?;
    response.options.sort_by_key(ReplyOption::order);
    let mut dropped = Vec::new();
    loop {
        if let Some(areas) = layout(&response, room) {
            return Ok(Encoded { payload: write(&response, &areas, room.pad), dropped });
        }
        let least = response.options.iter().enumerate().max_by_key(|(at, option)| (option.rank, *at));
        match least {
            Some((at, option)) if option.rank != Rank::Vital => {
                dropped.push(option.code);
                response.options.remove(at);
            }
            _ => {
                return Err(EncodeError::TooLarge { size: size_of(&response), limit: room.limit });
            }
        }
    }
}

fn check(text: &str, field: &'static str, size: usize) -> Result<(), EncodeError> {
    // One byte is the NUL's: firmware reads these fields as C strings.
    let limit = size - 1;
    if text.len() > limit {
        return Err(EncodeError::TooLong { field, text: text.to_owned(), limit });
    }
    Ok(())
}

/// Where each option stands.
#[derive(Default)]
struct Areas {
    main: Vec<u8>,
    file: Option<Vec<u8>>,
    sname: Option<Vec<u8>>,
}

fn size_of(response: &Response) -> usize {
    let options: usize = response.options.iter().map(|option| tlv(option.code, &option.data).len()).sum();
    let relay = response.relay.as_ref().map_or(0, |raw| tlv(code::RELAY, raw).len());
    HEADER_SIZE + options + relay + 1
}

const HEADER_SIZE: usize = 240;

/// Puts every option into the options field, or, where that is too small and it is allowed, some into the
/// unused header fields. `None` where it cannot be done.
fn layout(response: &Response, room: Room) -> Option<Areas> {
    if size_of(response) <= room.limit {
        let main = response.options.iter().flat_map(|option| tlv(option.code, &option.data)).collect();
        return Some(Areas { main, ..Areas::default() });
    }
    (room.overload && (response.file.is_empty() || response.sname.is_empty()))
        .then(|| overloaded(response, room.limit))
        .flatten()
}

fn overloaded(response: &Response, limit: usize) -> Option<Areas> {
    const OVERLOAD_SIZE: usize = 3;
    let relay = response.relay.as_ref().map_or(0, |raw| tlv(code::RELAY, raw).len());
    let main_room = limit.checked_sub(HEADER_SIZE + relay + OVERLOAD_SIZE + 1)?;
    let mut areas = Areas {
        main: Vec::new(),
        file: response.file.is_empty().then(Vec::new),
        sname: response.sname.is_empty().then(Vec::new),
    };
    for option in &response.options {
        let bytes = tlv(option.code, &option.data);
        // One byte of each field is END's.
        let places = [
            (Some(&mut areas.main), main_room),
            (areas.file.as_mut(), FILE_SIZE - 1),
            (areas.sname.as_mut(), SNAME_SIZE - 1),
        ];
        let place = places
            .into_iter()
            .filter_map(|(area, room)| Some((area?, room)))
            .find(|(area, room)| area.len() + bytes.len() <= *room);
        place?.0.extend(bytes);
    }
    let bits = u8::from(areas.file.as_ref().is_some_and(|area| !area.is_empty()))
        | u8::from(areas.sname.as_ref().is_some_and(|area| !area.is_empty())) << 1;
    // Behind option 53, which stays first.
    let at = areas.main.get(1).map_or(0, |length| usize::from(*length) + 2);
    areas.main.splice(at..at, [code::OVERLOAD, 1, bits]);
    Some(areas)
}

/// One option, split into pieces of at most 255 bytes (RFC 3396 section 6).
fn tlv(code: u8, data: &[u8]) -> Vec<u8> {
    if data.is_empty() {
        return vec![code, 0];
    }
    let mut bytes = Vec::new();
    // Writing to a Vec cannot fail: the codec's only error here is an overflow of usize.
    let written = encode_long_opt_bytes(OptionCode::from(code), data, &mut Encoder::new(&mut bytes));
    debug_assert!(written.is_ok());
    bytes
}

fn write(response: &Response, areas: &Areas, pad: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(pad.max(548));
    out.extend([response.op, response.htype, 6, 0]);
    out.extend(response.xid.to_be_bytes());
    out.extend(response.secs.to_be_bytes());
    out.extend(response.flags.to_be_bytes());
    for address in [response.ciaddr, response.yiaddr, response.siaddr, response.giaddr] {
        out.extend(address.octets());
    }
    out.extend(response.chaddr);
    field(&mut out, response.sname.as_bytes(), areas.sname.as_deref(), SNAME_SIZE);
    field(&mut out, response.file.as_bytes(), areas.file.as_deref(), FILE_SIZE);
    out.extend(MAGIC);
    out.extend(&areas.main);
    if let Some(raw) = &response.relay {
        out.extend(tlv(code::RELAY, raw));
    }
    out.push(255);
    if out.len() < pad {
        out.resize(pad, 0);
    }
    out
}

/// Writes a header field: its text, or the options in it and their END; zeros up to its size.
fn field(out: &mut Vec<u8>, text: &[u8], options: Option<&[u8]>, size: usize) {
    let end = out.len() + size;
    match options {
        Some(bytes) if !bytes.is_empty() => {
            out.extend(bytes);
            out.push(255);
        }
        Some(_) | None => out.extend(text),
    }
    out.resize(end, 0);
}

impl Response {
    /// A message with nothing in it but who it is about.
    pub(crate) fn new(op: u8, mac: Mac, xid: u32) -> Self {
        let mut chaddr = [0; 16];
        chaddr[..6].copy_from_slice(&mac.bytes());
        Self {
            op,
            htype: 1,
            xid,
            secs: 0,
            flags: 0,
            ciaddr: Ipv4Addr::UNSPECIFIED,
            yiaddr: Ipv4Addr::UNSPECIFIED,
            siaddr: Ipv4Addr::UNSPECIFIED,
            giaddr: Ipv4Addr::UNSPECIFIED,
            chaddr,
            sname: String::new(),
            file: String::new(),
            options: Vec::new(),
            relay: None,
        }
    }
}
