//! The request parser: takes what firmware really sends, answers the rest with an ERROR instead of silence.

use thiserror::Error;

use crate::wire::{Code, split};

const READ: u16 = 1;
const WRITE: u16 = 2;

/// A read request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The file: `/` as separator, none in front, no `.` or `..` in it.
    pub file: String,
    /// How it is to be sent.
    pub mode: Mode,
    /// What else was asked for.
    pub options: Options,
}

/// How a file is sent. RFC 1350 section 1; `mail` is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// As it is.
    Octet,
    /// Line ends as CR LF, and CR as CR NUL (RFC 764).
    Netascii,
}

/// Options of a request that we know and whose values make sense. Others are as if not there (RFC 2347).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// `blksize` in bytes, 8 to 65464 (RFC 2348).
    pub block_size: Option<u16>,
    /// `windowsize` in blocks, at least 1 (RFC 7440).
    pub window_size: Option<u16>,
    /// `timeout` in seconds, at least 1 (RFC 2349).
    pub timeout: Option<u8>,
    /// `tsize` was there (RFC 2349); its value means nothing in a read request.
    pub size: bool,
}

/// Why a datagram is not a read request that can be served.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RequestError {
    /// Not a request at all: gets no answer, or two servers could answer each other for ever.
    #[error("not a request")]
    NotARequest,
    /// We only send files.
    #[error("files cannot be written here")]
    Write {
        /// Which one, as asked.
        file: String,
    },
    /// It does not end where it should, or names no file.
    #[error("malformed request: {0}")]
    Malformed(&'static str),
    /// `mail`, or no mode of TFTP.
    #[error("transfer mode `{0}` is not served, use octet")]
    Mode(String),
    /// The name leads out of what is served.
    #[error("`{0}` is outside of the served files")]
    Outside(String),
}

impl RequestError {
    /// The code of the ERROR that answers it; `None` where silence does.
    pub(crate) fn code(&self) -> Option<Code> {
        match self {
            Self::NotARequest => None,
            Self::Write { .. } | Self::Outside(_) => Some(Code::AccessViolation),
            Self::Malformed(_) | Self::Mode(_) => Some(Code::Illegal),
        }
    }

    /// The file that it was about, as far as that is known.
    pub(crate) fn file(&self) -> &str {
        match self {
            Self::Write { file } | Self::Outside(file) => file,
            Self::NotARequest | Self::Malformed(_) | Self::Mode(_) => "",
        }
    }
}

impl Request {
    /// Reads a datagram.
    ///
    /// # Errors
    /// [`RequestError`]; never panics, whatever the bytes are.
    pub fn parse(datagram: &[u8]) -> Result<Self, RequestError> {
        let (opcode, rest) = split(datagram).ok_or(RequestError::NotARequest)?;
        if !matches!(opcode, READ | WRITE) {
            return Err(RequestError::NotARequest);
        }
        let (name, rest) = word(rest).ok_or(RequestError::Malformed("the file name has no end"))?;
        let file = file_name(name);
        if opcode == WRITE {
            return Err(RequestError::Write { file: file.unwrap_or_default() });
        }
        // A mode that runs to the end of the datagram is taken: its NUL was forgotten.
        let (mode, rest) = word(rest).unwrap_or((rest, &[]));
        Ok(Self { file: file?, mode: parse_mode(mode)?, options: parse_options(rest) })
    }
}

/// The bytes up to the next NUL, and those after it.
fn word(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.iter().position(|byte| *byte == 0)?;
    Some((&bytes[..end], &bytes[end + 1..]))
}

/// Some UEFI builds leave 0xff behind the name (uninitialised flash); Windows' loaders write `\`.
fn file_name(bytes: &[u8]) -> Result<String, RequestError> {
    let end = bytes.iter().rposition(|byte| *byte != 0xff).map_or(0, |last| last + 1);
    let text = std::str::from_utf8(&bytes[..end])
        .map_err(|_| RequestError::Malformed("the file name is not UTF-8"))?;
    if text.chars().any(char::is_control) {
        return Err(RequestError::Malformed("the file name has control characters in it"));
    }
    let text = text.replace('\\', "/");
    let parts: Vec<_> = text.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    if parts.contains(&"..") {
        return Err(RequestError::Outside(text));
    }
    if parts.is_empty() { Err(RequestError::Malformed("it names no file")) } else { Ok(parts.join("/")) }
}

fn parse_mode(bytes: &[u8]) -> Result<Mode, RequestError> {
    match bytes.to_ascii_lowercase().as_slice() {
        b"octet" | b"binary" => Ok(Mode::Octet),
        b"netascii" => Ok(Mode::Netascii),
        other => Err(RequestError::Mode(String::from_utf8_lossy(&other[..other.len().min(16)]).into_owned())),
    }
}

/// Pairs up to whatever is no pair any more: NULs and garbage at the end are common (padding of ROMs).
fn parse_options(mut rest: &[u8]) -> Options {
    let mut options = Options::default();
    while let Some((name, after)) = word(rest)
        && !name.is_empty()
    {
        let (value, after) = word(after).unwrap_or((after, &[]));
        let number = std::str::from_utf8(value).ok().and_then(|text| text.trim().parse::<u64>().ok());
        set(&mut options, &name.to_ascii_lowercase(), number);
        rest = after;
    }
    options
}

/// The first of equal options counts: RFC 2347 allows each but once.
fn set(options: &mut Options, name: &[u8], number: Option<u64>) {
    let Some(number) = number else { return };
    match name {
        // More than 65464 cannot be had, and the server may always give less.
        b"blksize" if number >= 8 => {
            options.block_size.get_or_insert(u16::try_from(number).unwrap_or(u16::MAX).min(65464));
        }
        b"windowsize" if number >= 1 => {
            options.window_size.get_or_insert(u16::try_from(number).unwrap_or(u16::MAX));
        }
        b"timeout" if (1..=255).contains(&number) => {
            options.timeout = options.timeout.or(u8::try_from(number).ok());
        }
        b"tsize" => options.size = true,
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Request, RequestError> {
        Request::parse(format!("\0\x01{text}").as_bytes())
    }

    fn file(name: &str) -> Result<String, RequestError> {
        read(&format!("{name}\0octet\0")).map(|request| request.file)
    }

    #[test]
    fn file_names_come_out_in_one_spelling() {
        for (asked, want) in [
            ("undionly.kpxe", "undionly.kpxe"),
            ("/undionly.kpxe", "undionly.kpxe"),
            ("//a//b/./c", "a/b/c"),
            ("\\boot\\x64\\wdsnbp.com", "boot/x64/wdsnbp.com"),
            ("pxelinux.cfg/01-52-54-00-00-00-01", "pxelinux.cfg/01-52-54-00-00-00-01"),
            ("a b", "a b"),
            ("caf\u{e9}", "caf\u{e9}"),
            ("...", "..."),
        ] {
            assert_eq!(file(asked).as_deref(), Ok(want), "{asked}");
        }
    }

    #[test]
    fn trailing_ff_bytes_are_not_part_of_the_name() {
        let request = Request::parse(b"\0\x01grubx64.efi\xff\xff\0octet\0").unwrap();
        assert_eq!(request.file, "grubx64.efi");
    }

    #[test]
    fn names_that_cannot_be_served_are_refused_by_kind() {
        for name in ["../x", "a/../../x", "..\\x", "a\\..\\b"] {
            assert!(matches!(file(name), Err(RequestError::Outside(_))), "{name}");
        }
        for name in ["", "/", "./", "a\nb", "a\x1b"] {
            assert!(matches!(file(name), Err(RequestError::Malformed(_))), "{name}");
        }
        let latin = Request::parse(b"\0\x01caf\xe9s\0octet\0");
        assert_eq!(latin, Err(RequestError::Malformed("the file name is not UTF-8")));
    }

    #[test]
    fn modes_are_told_apart_in_any_case_and_with_their_nul_forgotten() {
        for (text, want) in [
            ("x\0octet\0", Ok(Mode::Octet)),
            ("x\0OCTET\0", Ok(Mode::Octet)),
            ("x\0NetAscii\0", Ok(Mode::Netascii)),
            ("x\0octet", Ok(Mode::Octet)),
            ("x\0mail\0", Err(RequestError::Mode("mail".to_owned()))),
            ("x\0", Err(RequestError::Mode(String::new()))),
            ("x", Err(RequestError::Malformed("the file name has no end"))),
        ] {
            assert_eq!(read(text).map(|request| request.mode), want, "{text:?}");
        }
    }

    #[test]
    fn options_are_read_in_any_case_and_up_to_the_first_thing_that_is_none() {
        let some = |block: Option<u16>, window: Option<u16>, timeout: Option<u8>, size| Options {
            block_size: block,
            window_size: window,
            timeout,
            size,
        };
        for (text, want) in [
            ("", some(None, None, None, false)),
            ("blksize\x001468\0", some(Some(1468), None, None, false)),
            ("BLKSIZE\x001468\0TSize\x000\0", some(Some(1468), None, None, true)),
            ("blksize\x001468", some(Some(1468), None, None, false)),
            ("blksize\x001468\0\0", some(Some(1468), None, None, false)),
            ("blksize\x001468\0\0\0garbage", some(Some(1468), None, None, false)),
            ("blksize\x001468\0tsize", some(Some(1468), None, None, false)),
            ("blksize\x007\0", some(None, None, None, false)),
            ("blksize\x0099999\0", some(Some(65464), None, None, false)),
            ("blksize\0many\0tsize\x000\0", some(None, None, None, true)),
            ("blksize\x00512\0blksize\x001024\0", some(Some(512), None, None, false)),
            ("windowsize\x000\0", some(None, None, None, false)),
            ("windowsize\x0065535\0", some(None, Some(65535), None, false)),
            ("timeout\x00255\0", some(None, None, Some(255), false)),
            ("timeout\x00256\0", some(None, None, None, false)),
            ("timeout\x000\0", some(None, None, None, false)),
            ("multicast\0\0blksize\x00512\0", some(Some(512), None, None, false)),
            ("utimeout\x00100\0", some(None, None, None, false)),
        ] {
            assert_eq!(read(&format!("x\0octet\0{text}")).unwrap().options, want, "{text:?}");
        }
    }

    #[test]
    fn writes_are_told_from_reads_and_everything_else_is_no_request() {
        let write = Request::parse(b"\0\x02/x\0octet\0");
        assert_eq!(write, Err(RequestError::Write { file: "x".to_owned() }));
        for datagram in
            [&b""[..], b"\0", b"\0\x03\0\x01", b"\0\x04\0\x01", b"\0\x05\0\0\0", b"\x01\0x\0octet\0"]
        {
            assert_eq!(Request::parse(datagram), Err(RequestError::NotARequest), "{datagram:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_the_parser_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..600)) {
            let _ = Request::parse(&bytes);
            let _ = crate::wire::Reply::parse(&bytes);
        }

        #[test]
        fn what_is_parsed_is_always_inside(bytes in "[\\x00-\\x7f./\\\\]{0,80}") {
            if let Ok(request) = read(&bytes) {
                proptest::prop_assert!(!request.file.is_empty() && !request.file.starts_with('/'));
                let outside = |part: &str| matches!(part, "" | "." | "..") || part.contains('\\');
                proptest::prop_assert!(!request.file.split('/').any(outside));
            }
        }
    }
}
