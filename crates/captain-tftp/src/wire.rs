//! Datagrams of a running transfer, and those that we send. RFC 1350 section 5 and appendix.

/// TFTP error codes (RFC 1350 appendix, RFC 2347).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub(crate) enum Code {
    Undefined = 0,
    AccessViolation = 2,
    Illegal = 4,
    UnknownTransfer = 5,
}

const DATA: u16 = 3;
const ACK: u16 = 4;
const ERROR: u16 = 5;
const OACK: u16 = 6;

/// Bytes in front of a block's payload.
pub(crate) const HEADER: usize = 4;
/// Longest error text that we send or remember.
const TEXT_LIMIT: usize = 200;

/// What a client says during a transfer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    Ack(u16),
    Error { code: u16, text: String },
}

impl Reply {
    /// `None` for what does not belong into a read transfer. Bytes after an acknowledgement are tolerated: Ethernet
    /// pads short frames, and some ROMs count the padding in.
    pub(crate) fn parse(datagram: &[u8]) -> Option<Self> {
        let (opcode, rest) = split(datagram)?;
        let (number, rest) = split(rest)?;
        match opcode {
            ACK => Some(Self::Ack(number)),
            ERROR => Some(Self::Error { code: number, text: printable(rest) }),
            _ => None,
        }
    }
}

/// Splits off a number in network byte order.
pub(crate) fn split(bytes: &[u8]) -> Option<(u16, &[u8])> {
    let (number, rest) = bytes.split_first_chunk::<2>()?;
    Some((u16::from_be_bytes(*number), rest))
}

/// Text of a stranger up to its NUL, fit for a log line.
fn printable(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    let text = String::from_utf8_lossy(&bytes[..end.min(TEXT_LIMIT)]);
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect::<String>().trim().to_owned()
}

/// Writes the header of block `number` into the space kept for it.
pub(crate) fn number_block(datagram: &mut [u8], number: u16) {
    datagram[..2].copy_from_slice(&DATA.to_be_bytes());
    datagram[2..HEADER].copy_from_slice(&number.to_be_bytes());
}

/// An ERROR datagram.
pub(crate) fn error(code: Code, text: &str) -> Vec<u8> {
    raw_error(code as u16, text)
}

/// An ERROR datagram with any code.
pub(crate) fn raw_error(code: u16, text: &str) -> Vec<u8> {
    let mut datagram = [ERROR.to_be_bytes(), code.to_be_bytes()].concat();
    let kept =
        text.char_indices().map(|(at, c)| at + c.len_utf8()).take_while(|end| *end <= TEXT_LIMIT).last();
    datagram.extend(text.as_bytes()[..kept.unwrap_or(0)].iter().filter(|byte| **byte != 0));
    datagram.push(0);
    datagram
}

/// An OACK datagram (RFC 2347).
pub(crate) fn oack(options: &[(&str, u64)]) -> Vec<u8> {
    let mut datagram = OACK.to_be_bytes().to_vec();
    for (name, value) in options {
        datagram.extend_from_slice(name.as_bytes());
        datagram.push(0);
        datagram.extend_from_slice(value.to_string().as_bytes());
        datagram.push(0);
    }
    datagram
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn acknowledgements_and_errors_are_read_with_whatever_follows_them() {
        assert_eq!(Reply::parse(b"\0\x04\x01\x02"), Some(Reply::Ack(258)));
        assert_eq!(Reply::parse(b"\0\x04\0\x01\0\0\0\0\0\0"), Some(Reply::Ack(1)));
        let error = |code, text: &str| Some(Reply::Error { code, text: text.to_owned() });
        assert_eq!(Reply::parse(b"\0\x05\0\x08User aborted\0"), error(8, "User aborted"));
        assert_eq!(Reply::parse(b"\0\x05\0\0no end"), error(0, "no end"));
        assert_eq!(Reply::parse(b"\0\x05\0\0"), error(0, ""));
        assert_eq!(Reply::parse(b"\0\x05\0\0a\nb\x1b[1m\xff\0"), error(0, "a b [1m\u{fffd}"));
        for datagram in [&b""[..], b"\0", b"\0\x04", b"\0\x04\0", b"\0\x03\0\x01", b"\0\x01a\0octet\0"] {
            assert_eq!(Reply::parse(datagram), None, "{datagram:?}");
        }
    }

    #[test]
    fn error_texts_end_with_one_nul_and_are_cut_between_characters() {
        assert_eq!(error(Code::Illegal, "no"), b"\0\x05\0\x04no\0");
        assert_eq!(error(Code::Illegal, "n\0o"), b"\0\x05\0\x04no\0");
        let long = error(Code::Undefined, &"\u{20ac}".repeat(100));
        assert_eq!(long.len(), HEADER + 198 + 1);
    }
}
