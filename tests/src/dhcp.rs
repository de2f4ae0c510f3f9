//! DHCP messages (RFC 2131) as a test's client or relay writes and reads them, by hand and on purpose apart from
//! the product's own codec.

use std::net::Ipv4Addr;

/// Value of option 53: which message it is.
pub mod kind {
    /// DHCPDISCOVER.
    pub const DISCOVER: u8 = 1;
    /// DHCPOFFER.
    pub const OFFER: u8 = 2;
    /// DHCPREQUEST.
    pub const REQUEST: u8 = 3;
    /// DHCPACK.
    pub const ACK: u8 = 5;
    /// DHCPNAK.
    pub const NAK: u8 = 6;
    /// DHCPRELEASE.
    pub const RELEASE: u8 = 7;
    /// DHCPINFORM.
    pub const INFORM: u8 = 8;
}

const COOKIE: [u8; 4] = [99, 130, 83, 99];
const OPTIONS: usize = 240;

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// 1 asks, 2 answers.
    pub op: u8,
    /// Transaction.
    pub xid: u32,
    /// Bit 15: answer by broadcast.
    pub flags: u16,
    /// The client's address, where it has one.
    pub ciaddr: Ipv4Addr,
    /// The address it is given.
    pub yiaddr: Ipv4Addr,
    /// The next server.
    pub siaddr: Ipv4Addr,
    /// The relay's address.
    pub giaddr: Ipv4Addr,
    /// The client's card.
    pub mac: [u8; 6],
    /// Options in order, without padding and END.
    pub options: Vec<(u8, Vec<u8>)>,
}

impl Message {
    /// What a client with this card asks.
    pub fn ask(kind: u8, mac: [u8; 6], xid: u32) -> Self {
        let none = Ipv4Addr::UNSPECIFIED;
        Self {
            op: 1,
            xid,
            flags: 0,
            ciaddr: none,
            yiaddr: none,
            siaddr: none,
            giaddr: none,
            mac,
            options: vec![(53, vec![kind])],
        }
    }

    /// The same with one more option.
    #[must_use]
    pub fn with(mut self, code: u8, value: &[u8]) -> Self {
        self.options.push((code, value.to_vec()));
        self
    }

    /// The value of an option.
    pub fn option(&self, code: u8) -> Option<&[u8]> {
        self.options.iter().find(|(own, _)| *own == code).map(|(_, value)| value.as_slice())
    }

    /// Option 53; 0 where it is missing.
    pub fn kind(&self) -> u8 {
        self.option(53).and_then(|value| value.first().copied()).unwrap_or(0)
    }

    /// Its bytes, padded to the 300 of BOOTP.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![self.op, 1, 6, 0];
        bytes.extend(self.xid.to_be_bytes());
        bytes.extend([0, 0]);
        bytes.extend(self.flags.to_be_bytes());
        for address in [self.ciaddr, self.yiaddr, self.siaddr, self.giaddr] {
            bytes.extend(address.octets());
        }
        bytes.extend(self.mac);
        bytes.resize(OPTIONS - COOKIE.len(), 0);
        bytes.extend(COOKIE);
        for (code, value) in &self.options {
            bytes.extend([*code, u8::try_from(value.len()).expect("an option of a test is short")]);
            bytes.extend(value);
        }
        bytes.push(255);
        bytes.resize(bytes.len().max(300), 0);
        bytes
    }

    /// Reads one; `None` where it is none.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        if bytes.get(OPTIONS - COOKIE.len()..OPTIONS)? != COOKIE {
            return None;
        }
        let address =
            |at: usize| Ipv4Addr::from(<[u8; 4]>::try_from(&bytes[at..at + 4]).expect("four bytes"));
        Some(Self {
            op: bytes[0],
            xid: u32::from_be_bytes(bytes[4..8].try_into().ok()?),
            flags: u16::from_be_bytes([bytes[10], bytes[11]]),
            ciaddr: address(12),
            yiaddr: address(16),
            siaddr: address(20),
            giaddr: address(24),
            mac: bytes[28..34].try_into().ok()?,
            options: options(&bytes[OPTIONS..])?,
        })
    }
}

fn options(mut rest: &[u8]) -> Option<Vec<(u8, Vec<u8>)>> {
    let mut found = Vec::new();
    loop {
        match *rest.first()? {
            255 => return Some(found),
            0 => rest = &rest[1..],
            code => {
                let end = 2 + usize::from(*rest.get(1)?);
                found.push((code, rest.get(2..end)?.to_vec()));
                rest = &rest[end..];
            }
        }
    }
}

/// A MAC in the usual notation.
pub fn mac_text(mac: [u8; 6]) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}

/// Numbers that look random and follow from a seed (SplitMix64).
#[derive(Clone, Debug)]
pub struct Dice(pub u64);

impl Dice {
    /// A number below `limit`.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_reads_as_it_was_written_and_a_cut_one_does_not_read() {
        let mut message = Message::ask(kind::REQUEST, [2, 0, 0, 0, 0, 1], 7).with(50, &[10, 0, 0, 9]);
        message.giaddr = Ipv4Addr::new(10, 0, 0, 2);
        message.flags = 0x8000;
        let bytes = message.encode();
        assert_eq!(bytes.len(), 300);
        assert_eq!(Message::decode(&bytes), Some(message));
        assert_eq!(Message::decode(&bytes[..245]), None);
    }
}
