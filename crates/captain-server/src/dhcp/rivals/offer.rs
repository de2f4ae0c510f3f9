//! The question and the answer: a DHCPDISCOVER as a client would send it, and another server's OFFER.

use std::net::{Ipv4Addr, SocketAddrV4};

use captain_model::Mac;

use crate::net::packet::ipv4_udp;

/// Offset of the options in a DHCP message, behind the magic cookie (RFC 2131 section 2).
const OPTIONS: usize = 240;
const COOKIE: [u8; 4] = [99, 130, 83, 99];

/// Another server's offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Offer {
    pub(super) server: Ipv4Addr,
    /// It says `PXEClient` in option 60 and nothing in option 43.
    claims_pxe: bool,
}

impl Offer {
    /// Why no addresses are given out; and what UEFI machines would stop at (FOGProject/fog-docs#188).
    pub(super) fn why(self) -> String {
        let mut why = format!("DHCP server {} answers on this network", self.server);
        if self.claims_pxe {
            why += "; it sends option 60 (PXEClient) itself, so that UEFI machines ask it on port 4011 for what to boot \
                    and stop there: take option 60 away on that server";
        }
        why
    }
}

/// A DHCPDISCOVER that asks for a broadcast reply, and for options 43 and 60 where the server has them.
pub(super) fn discover(mac: Mac, xid: u32) -> Vec<u8> {
    let mut message = vec![0; OPTIONS];
    message[..4].copy_from_slice(&[1, 1, 6, 0]);
    message[4..8].copy_from_slice(&xid.to_be_bytes());
    message[10] = 0x80;
    message[28..34].copy_from_slice(&mac.bytes());
    message[236..].copy_from_slice(&COOKIE);
    message.extend([53, 1, 1, 55, 5, 1, 3, 6, 43, 60, 255]);
    message.resize(300, 0);
    let from = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 68);
    ipv4_udp(from, SocketAddrV4::new(Ipv4Addr::BROADCAST, 67), &message)
}

/// The offer of an address in `packet` (IPv4); its server is the one of option 54, else the source.
pub(super) fn read(packet: &[u8], xid: u32) -> Option<Offer> {
    let header = usize::from(*packet.first()? & 15) * 4;
    let datagram = packet.get(header..)?;
    let is_reply = packet.first()? >> 4 == 4 && *packet.get(9)? == 17 && datagram.get(2..4)? == [0, 68];
    let message = datagram.get(8..)?;
    let yours = message.get(16..20)?;
    let matches = message.first() == Some(&2) && message.get(4..8)? == xid.to_be_bytes() && yours != [0; 4];
    if !is_reply || !matches || message.get(236..OPTIONS)? != COOKIE || option(message, 53)? != [2] {
        return None;
    }
    let source: [u8; 4] = packet.get(12..16)?.try_into().ok()?;
    let named = option(message, 54).and_then(|value| <[u8; 4]>::try_from(value).ok());
    let pxe = option(message, 60).is_some_and(|class| class.starts_with(b"PXEClient"));
    let claims_pxe = pxe && option(message, 43).is_none();
    Some(Offer { server: named.unwrap_or(source).into(), claims_pxe })
}

fn option(message: &[u8], wanted: u8) -> Option<&[u8]> {
    let mut rest = message.get(OPTIONS..)?;
    loop {
        match *rest.first()? {
            255 => return None,
            0 => rest = &rest[1..],
            code => {
                let length = usize::from(*rest.get(1)?);
                let value = rest.get(2..2 + length)?;
                if code == wanted {
                    return Some(value);
                }
                rest = &rest[2 + length..];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(xid: u32, kind: u8, yours: [u8; 4], options: &[u8]) -> Vec<u8> {
        let mut message = vec![0; OPTIONS];
        message[0] = 2;
        message[4..8].copy_from_slice(&xid.to_be_bytes());
        message[16..20].copy_from_slice(&yours);
        message[236..].copy_from_slice(&COOKIE);
        message.extend([0, 53, 1, kind]);
        message.extend(options);
        message.push(255);
        let from = SocketAddrV4::new(Ipv4Addr::new(192, 0, 2, 1), 67);
        ipv4_udp(from, SocketAddrV4::new(Ipv4Addr::BROADCAST, 68), &message)
    }

    #[test]
    fn an_offer_of_an_address_names_its_server() {
        let yours = [192, 0, 2, 50];
        let plain = |last| Some(Offer { server: Ipv4Addr::new(192, 0, 2, last), claims_pxe: false });
        assert_eq!(read(&reply(7, 2, yours, &[54, 4, 192, 0, 2, 3]), 7), plain(3));
        assert_eq!(read(&reply(7, 2, yours, &[]), 7), plain(1));
        assert_eq!(read(&reply(8, 2, yours, &[]), 7), None, "another client's");
        assert_eq!(read(&reply(7, 5, yours, &[]), 7), None, "an ACK");
        assert_eq!(read(&reply(7, 2, [0; 4], &[]), 7), None, "a ProxyDHCP server gives no addresses");
        assert_eq!(read(&discover(Mac::new([2, 0, 0, 0, 0, 1]), 7), 7), None, "our own question");
    }

    #[test]
    fn a_server_that_calls_itself_pxe_and_is_none_is_told_of() {
        let why = |options: &[u8]| read(&reply(7, 2, [1; 4], options), 7).unwrap().why();
        let class = b"\x3c\x09PXEClient";
        assert!(why(class).contains("take option 60 away"), "{}", why(class));
        let complete = [&class[..], &[43, 3, 6, 1, 8]].concat();
        for fine in [&[][..], &complete, b"\x3c\x04MSFT"] {
            assert!(!why(fine).contains("option 60"), "{}", why(fine));
        }
    }

    #[test]
    fn no_packet_breaks_the_reader() {
        let whole = reply(7, 2, [1; 4], &[54, 4, 1, 2, 3, 4]);
        for length in 0..whole.len() {
            read(&whole[..length], 7);
        }
        for at in 0..whole.len() {
            let mut broken = whole.clone();
            broken[at] = 0xff;
            read(&broken, 7);
        }
    }
}
