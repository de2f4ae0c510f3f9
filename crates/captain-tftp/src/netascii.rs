//! Netascii: line ends of the network. RFC 764, as RFC 1350 section 1 refers to it.

/// Turns local text into netascii: LF becomes CR LF, CR becomes CR NUL.
pub(crate) fn encode(text: &[u8], out: &mut Vec<u8>) {
    for byte in text {
        match byte {
            b'\n' => out.extend_from_slice(b"\r\n"),
            b'\r' => out.extend_from_slice(b"\r\0"),
            other => out.push(*other),
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn line_ends_are_those_of_the_network() {
        let mut out = Vec::new();
        super::encode(b"a\nb\rc\r\n", &mut out);
        assert_eq!(out, b"a\r\nb\r\0c\r\0\r\n");
    }
}
