//! Options as people read them.

use std::net::Ipv4Addr;

use crate::wire::{Suboptions, option as code};

/// How an option's bytes are read.
enum Form {
    Addresses,
    Text,
    Seconds,
    MessageType,
    Pxe,
    Encapsulated,
    Bytes,
}

/// Code, name and form of every option that a reply can carry.
const OPTIONS: [(u8, &str, Form); 23] = [
    (code::MASK, "subnet mask", Form::Addresses),
    (code::ROUTER, "router", Form::Addresses),
    (code::DNS, "name servers", Form::Addresses),
    (code::LOG_SERVER, "log server", Form::Addresses),
    (code::HOST_NAME, "host name", Form::Text),
    (code::DOMAIN, "domain", Form::Text),
    (code::BROADCAST, "broadcast address", Form::Addresses),
    (code::NTP, "time servers", Form::Addresses),
    (code::VENDOR, "vendor options", Form::Pxe),
    (code::LEASE_TIME, "lease time", Form::Seconds),
    (code::MESSAGE_TYPE, "message type", Form::MessageType),
    (code::SERVER_ID, "server identifier", Form::Addresses),
    (code::TEXT, "message", Form::Text),
    (code::RENEWAL, "renewal time", Form::Seconds),
    (code::REBINDING, "rebinding time", Form::Seconds),
    (code::VENDOR_CLASS, "vendor class", Form::Text),
    (code::CLIENT_ID, "client identifier", Form::Bytes),
    (code::TFTP_SERVER, "TFTP server name", Form::Text),
    (code::BOOT_FILE, "boot file name", Form::Text),
    (code::UUID, "machine identifier", Form::Bytes),
    (code::SEARCH, "domain search", Form::Bytes),
    (code::ROUTES, "classless routes", Form::Bytes),
    (code::IPXE, "iPXE options", Form::Encapsulated),
];

/// The option's name.
pub(crate) fn name(wanted: u8) -> &'static str {
    let known = OPTIONS.iter().find(|(code, ..)| *code == wanted).map(|(_, name, _)| *name);
    known.unwrap_or(if wanted == code::RELAY { "relay information" } else { "option" })
}

/// The option's value.
pub(crate) fn value(wanted: u8, data: &[u8]) -> String {
    let form = OPTIONS.iter().find(|(code, ..)| *code == wanted).map_or(&Form::Bytes, |(.., form)| form);
    match form {
        Form::Addresses => addresses(data),
        Form::Text => text(data),
        Form::Seconds => data
            .first_chunk::<4>()
            .map_or_else(|| hex(data), |bytes| format!("{} s", u32::from_be_bytes(*bytes))),
        Form::MessageType => message_type(data),
        Form::Pxe => list(Suboptions::padded(data).map(|(code, value)| pxe(code, value))),
        Form::Encapsulated => {
            list(Suboptions::padded(data).map(|(code, value)| format!("{code}={}", hex(value))))
        }
        Form::Bytes => hex(data),
    }
}

fn addresses(data: &[u8]) -> String {
    list(data.as_chunks::<4>().0.iter().map(|bytes| Ipv4Addr::from(*bytes).to_string()))
}

fn text(data: &[u8]) -> String {
    let data = data.strip_suffix(&[0]).unwrap_or(data);
    String::from_utf8_lossy(data).escape_debug().to_string()
}

fn message_type(data: &[u8]) -> String {
    match data.first() {
        Some(2) => "OFFER".to_owned(),
        Some(5) => "ACK".to_owned(),
        Some(6) => "NAK".to_owned(),
        Some(_) | None => hex(data),
    }
}

/// PXE 2.1 table 2-1, and 116, the VLAN.
fn pxe(code: u8, value: &[u8]) -> String {
    match code {
        6 => format!("discovery control={}", hex(value)),
        9 => format!("menu={}", text(value)),
        10 => format!("prompt={}", text(value)),
        116 => format!("vlan={}", text(value)),
        _ => format!("{code}={}", hex(value)),
    }
}

fn hex(data: &[u8]) -> String {
    data.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn list(parts: impl Iterator<Item = String>) -> String {
    parts.collect::<Vec<_>>().join(", ")
}
