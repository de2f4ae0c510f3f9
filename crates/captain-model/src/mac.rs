//! Ethernet hardware addresses, in every spelling that operators and firmware use.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A 48-bit Ethernet address. Shown as lower-case hex with colons, the form Tinkerbell uses.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Mac([u8; 6]);

/// The text is not a MAC address.
#[derive(Debug, Error, PartialEq, Eq)]
#[error(
    "`{0}` is not a MAC address: write six hex bytes as 52:54:00:00:00:01, 52-54-00-00-00-01, 5254.0000.0001 or 525400000001"
)]
pub struct MacError(pub String);

impl Mac {
    /// The address of these six bytes.
    pub const fn new(bytes: [u8; 6]) -> Self {
        Self(bytes)
    }

    /// The six bytes, in wire order.
    pub const fn bytes(self) -> [u8; 6] {
        self.0
    }

    /// The spelling with dashes that PXELINUX file names use: `52-54-00-00-00-01`.
    pub fn dashed(self) -> String {
        self.to_string().replace(':', "-")
    }

    /// The organisation (OUI) part: the first three bytes.
    pub const fn oui(self) -> [u8; 3] {
        [self.0[0], self.0[1], self.0[2]]
    }

    /// Whether this can be the address of one station: not zero and not a group address.
    pub const fn is_unicast(self) -> bool {
        self.0[0] & 1 == 0 && !matches!(self.0, [0, 0, 0, 0, 0, 0])
    }
}

impl FromStr for Mac {
    type Err = MacError;

    fn from_str(text: &str) -> Result<Self, MacError> {
        parse(text).map(Self).ok_or_else(|| MacError(text.to_owned()))
    }
}

fn parse(text: &str) -> Option<[u8; 6]> {
    let (group, separator) = match text.len() {
        12 => (12, None),
        14 => (4, Some(b'.')),
        17 => (2, Some(text.as_bytes()[2]).filter(|c| matches!(c, b':' | b'-'))),
        _ => return None,
    };
    if text.len() == 17 && separator.is_none() {
        return None;
    }
    let mut digits = Vec::with_capacity(12);
    for (at, byte) in text.bytes().enumerate() {
        if separator.is_some() && at % (group + 1) == group {
            (Some(byte) == separator).then_some(())?;
        } else {
            digits.push(char::from(byte).to_digit(16)? as u8);
        }
    }
    let mut bytes = [0; 6];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = pair[0] << 4 | pair[1];
    }
    Some(bytes)
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl TryFrom<String> for Mac {
    type Error = MacError;

    fn try_from(text: String) -> Result<Self, MacError> {
        text.parse()
    }
}

impl From<Mac> for String {
    fn from(mac: Mac) -> Self {
        mac.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_is_the_same_address() {
        let want = Mac::new([0x52, 0x54, 0, 0xab, 0xcd, 0xef]);
        for text in [
            "52:54:00:ab:cd:ef",
            "52:54:00:AB:CD:EF",
            "52-54-00-ab-cd-ef",
            "5254.00ab.cdef",
            "525400abcdef",
            "525400ABCDEF",
        ] {
            assert_eq!(text.parse(), Ok(want), "{text}");
        }
        assert_eq!(want.to_string(), "52:54:00:ab:cd:ef");
        assert_eq!(want.dashed(), "52-54-00-ab-cd-ef");
    }

    #[test]
    fn what_is_not_an_address_is_named() {
        for text in [
            "",
            "52",
            "52:54:00:ab:cd",
            "52:54:00:ab:cd:e",
            "52:54:00:ab:cd:eg",
            "52:54-00:ab:cd:ef",
            "52 54 00 ab cd ef",
            "525400abcdéf",
            "5254:00ab:cdef",
            "52:54:00:ab:cd:ef:01",
        ] {
            assert_eq!(text.parse::<Mac>(), Err(MacError(text.to_owned())), "{text}");
        }
    }

    #[test]
    fn group_and_zero_addresses_are_not_stations() {
        assert!(!Mac::new([0; 6]).is_unicast());
        assert!(!Mac::new([0xff; 6]).is_unicast());
        assert!(Mac::new([2, 0, 0, 0, 0, 1]).is_unicast());
    }
}
