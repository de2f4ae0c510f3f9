//! Datagram to [`Request`]: every check that stands between a hostile packet and the rest of the server.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use captain_model::{Ignored, Mac};
use dhcproto::v4::borrowed;
use dhcproto::v4::{MAGIC, MessageType, Opcode};

use super::option as code;
use super::{Ipxe, Message, Relay, Request, Suboptions};

/// Header and cookie: what a message cannot be shorter than.
const HEADER: usize = 240;
/// In the cookie's place where a client that is older than options has none (RFC 951; dnsmasq asks for a cookie in DHCP
/// messages only).
const NO_OPTIONS: [u8; 4] = [0; 4];
const SNAME: std::ops::Range<usize> = 44..108;
const FILE: std::ops::Range<usize> = 108..236;
/// iPXE's feature codes (its `features.h`).
const IPXE_HTTP: u8 = 0x13;
const IPXE_BZIMAGE: u8 = 0x18;
const IPXE_EFI: u8 = 0x24;

/// Options by code, joined.
type Options = BTreeMap<u8, Vec<u8>>;

/// Reads one request.
///
/// # Errors
/// Why the datagram is none that this server has anything to do with.
pub(crate) fn decode(datagram: &[u8]) -> Result<Request, Ignored> {
    let malformed = |why: String| Ignored::Malformed(why);
    let message = borrowed::Message::new(datagram)
        .map_err(|_| malformed(format!("{} bytes, fewer than {HEADER}", datagram.len())))?;
    if message.opcode() != Opcode::BootRequest {
        return Err(Ignored::NotARequest);
    }
    let cookie = &datagram[236..HEADER];
    if cookie != MAGIC && cookie != NO_OPTIONS {
        return Err(malformed("no DHCP magic cookie".to_owned()));
    }
    // Everything else of the codec that looks at the hardware address trusts this length.
    if message.hlen() != 6 {
        return Err(malformed(format!("hardware address of {} bytes, not Ethernet's 6", message.hlen())));
    }
    let chaddr: [u8; 16] = datagram[28..44].try_into().map_err(|_| malformed("no chaddr".to_owned()))?;
    let mac = Mac::new([chaddr[0], chaddr[1], chaddr[2], chaddr[3], chaddr[4], chaddr[5]]);
    if !mac.is_unicast() {
        return Err(malformed(format!("hardware address {mac} is no station's")));
    }
    let options = if cookie == MAGIC { joined(datagram) } else { Options::new() };
    let kind = kind(&options)?;
    Ok(typed(&message, kind, mac, chaddr, datagram.len(), options))
}

/// All options, the pieces of one code joined wherever they stand (RFC 3396 section 7): first the options
/// field, then `file`, then `sname`, the latter two where option 52 says that they hold options.
fn joined(datagram: &[u8]) -> Options {
    let mut options = Options::new();
    collect(&datagram[HEADER..], &mut options);
    let overload = options.get(&code::OVERLOAD).and_then(|data| data.first().copied()).unwrap_or(0);
    if overload & 1 != 0 {
        collect(&datagram[FILE], &mut options);
    }
    if overload & 2 != 0 {
        collect(&datagram[SNAME], &mut options);
    }
    options
}

fn collect(area: &[u8], options: &mut Options) {
    // The codec's iterator looks for a second piece behind each option, and where that one is cut off loses the first.
    for (code, data) in Suboptions::padded(area) {
        options.entry(code).or_default().extend_from_slice(data);
    }
}

fn kind(options: &Options) -> Result<Message, Ignored> {
    let Some(value) = options.get(&code::MESSAGE_TYPE) else { return Ok(Message::Bootp) };
    let value = *value.first().ok_or_else(|| Ignored::Malformed("empty message type".to_owned()))?;
    match MessageType::from(value) {
        MessageType::Discover => Ok(Message::Discover),
        MessageType::Request => Ok(Message::Request),
        MessageType::Decline => Ok(Message::Decline),
        MessageType::Release => Ok(Message::Release),
        MessageType::Inform => Ok(Message::Inform),
        MessageType::Offer | MessageType::Ack | MessageType::Nak => Err(Ignored::NotARequest),
        // The codec's type, not ours: lease queries and whatever comes after them.
        _ => Err(Ignored::Malformed(format!("message type {value} is not served here"))),
    }
}

fn typed(
    message: &borrowed::Message<'_>,
    kind: Message,
    mac: Mac,
    chaddr: [u8; 16],
    size: usize,
    mut options: Options,
) -> Request {
    Request {
        message: kind,
        htype: message.htype().into(),
        xid: message.xid(),
        secs: message.secs(),
        flags: message.flags().into(),
        ciaddr: message.ciaddr(),
        giaddr: message.giaddr(),
        mac,
        chaddr,
        size,
        requested: address(&options, code::REQUESTED),
        server_id: address(&options, code::SERVER_ID),
        max_size: options.get(&code::MAX_SIZE).and_then(|data| word(data)),
        user_classes: options.get(&code::USER_CLASS).map(|data| user_classes(data)).unwrap_or_default(),
        archs: options.get(&code::ARCH).map(|data| words(data)).unwrap_or_default(),
        ipxe: options.get(&code::IPXE).map(|data| ipxe(data)),
        subnet: address(&options, code::SUBNET),
        hostname: options.get(&code::HOST_NAME).and_then(|data| printable(data)),
        boot_item: options.get(&code::VENDOR).and_then(|data| boot_item(data)),
        relay: options.remove(&code::RELAY).map(relay),
        parameters: options.remove(&code::PARAMETERS),
        vendor_class: options.remove(&code::VENDOR_CLASS).unwrap_or_default(),
        client_id: options.remove(&code::CLIENT_ID).filter(|id| !id.is_empty()),
        uuid: options.remove(&code::UUID).filter(|id| !id.is_empty()),
    }
}

fn address(options: &Options, code: u8) -> Option<Ipv4Addr> {
    options.get(&code).and_then(|data| first_address(data)).filter(|address| !address.is_unspecified())
}

fn first_address(data: &[u8]) -> Option<Ipv4Addr> {
    data.first_chunk::<4>().map(|bytes| Ipv4Addr::from(*bytes))
}

fn word(data: &[u8]) -> Option<u16> {
    data.first_chunk::<2>().map(|bytes| u16::from_be_bytes(*bytes))
}

fn words(data: &[u8]) -> Vec<u16> {
    data.chunks_exact(2).filter_map(word).collect()
}

/// Option 77 read both ways: as length-prefixed classes (RFC 3004) where the lengths add up, and whole,
/// because iPXE and gPXE send bare text (ipxe#1374).
fn user_classes(data: &[u8]) -> Vec<Vec<u8>> {
    let mut classes = Vec::new();
    let mut rest = data;
    while let Some((&length, tail)) = rest.split_first() {
        let Some((class, tail)) = tail.split_at_checked(usize::from(length)) else { break };
        classes.push(class.to_vec());
        rest = tail;
    }
    if !rest.is_empty() {
        classes.clear();
    }
    classes.push(data.to_vec());
    classes
}

fn ipxe(data: &[u8]) -> Ipxe {
    let on = |feature| {
        Suboptions::padded(data).find(feature).is_some_and(|value| value.first().is_some_and(|v| *v != 0))
    };
    Ipxe { http: on(IPXE_HTTP), bzimage: on(IPXE_BZIMAGE), efi: on(IPXE_EFI) }
}

fn relay(raw: Vec<u8>) -> Relay {
    let find = |code| Suboptions::plain(&raw).find(code);
    let link = find(5).and_then(first_address).filter(|address| !address.is_unspecified());
    let server = find(11).and_then(first_address).filter(|address| !address.is_unspecified());
    let source_port = find(19).is_some();
    Relay { link, server, source_port, raw }
}

/// PXE 2.1 table 2-1, tag 71: type and layer, two bytes each.
fn boot_item(data: &[u8]) -> Option<[u8; 4]> {
    Suboptions::padded(data).find(71)?.first_chunk::<4>().copied()
}

/// Host names come in any charset; only what can stand in a log and a zone file is kept.
fn printable(data: &[u8]) -> Option<String> {
    let text: Vec<u8> = data.iter().copied().take_while(|byte| *byte != 0).collect();
    let text = String::from_utf8(text).ok()?;
    (!text.is_empty() && !text.chars().any(char::is_control)).then_some(text)
}
