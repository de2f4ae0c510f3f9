//! What of a request's options is granted. RFC 2347: only what was asked, only what is meant.

use std::time::Duration;

use crate::request::{Mode, Options, Request};
use crate::wire;

/// Block size where nothing was agreed (RFC 1350).
const DEFAULT_BLOCK: u16 = 512;
/// Bytes that a window may hold: they stay in memory until they are acknowledged.
const WINDOW_BYTES: usize = 256 << 10;

/// The most that a client is granted.
#[derive(Clone, Copy, Debug)]
pub struct Caps {
    /// Block size in bytes.
    pub block_size: u16,
    /// Window in blocks.
    pub window_size: u16,
    /// Time before sending again that the client may choose: with more, its transfer would end before it was sent
    /// everything as often as it should be.
    pub timeout: Duration,
}

/// What was agreed for one transfer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Bytes per block.
    pub block_size: usize,
    /// Blocks per acknowledgement.
    pub window_size: usize,
    /// How long to wait before sending again, where the client chose it (RFC 2349).
    pub timeout: Option<Duration>,
    /// Whether the file's size was told.
    pub told_size: bool,
    /// The OACK that says so; `None` where nothing was agreed, and the transfer begins with block 1.
    pub offer: Option<Vec<u8>>,
}

impl Terms {
    /// Grants what `caps` allow. `size` is the file's, in bytes, where it is known; a netascii transfer has another
    /// one, which nobody knows before its end.
    pub fn agree(request: &Request, size: Option<u64>, caps: Caps) -> Self {
        let Options { block_size, window_size, timeout, size: asked } = request.options;
        let block = block_size.map(|wanted| wanted.min(caps.block_size.max(8)));
        let bytes = usize::from(block.unwrap_or(DEFAULT_BLOCK));
        let most = u16::try_from((WINDOW_BYTES / bytes).max(1)).unwrap_or(u16::MAX);
        let window = window_size.map(|wanted| wanted.min(caps.window_size.max(1)).min(most));
        let timeout = timeout.filter(|seconds| Duration::from_secs(u64::from(*seconds)) <= caps.timeout);
        let size = size.filter(|_| asked && request.mode == Mode::Octet);
        let granted = [
            block.map(|block| ("blksize", u64::from(block))),
            timeout.map(|seconds| ("timeout", u64::from(seconds))),
            size.map(|size| ("tsize", size)),
            window.map(|window| ("windowsize", u64::from(window))),
        ];
        let granted: Vec<_> = granted.into_iter().flatten().collect();
        Self {
            block_size: bytes,
            window_size: usize::from(window.unwrap_or(1)),
            timeout: timeout.map(|seconds| Duration::from_secs(u64::from(seconds))),
            told_size: size.is_some(),
            offer: (!granted.is_empty()).then(|| wire::oack(&granted)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAPS: Caps = Caps { block_size: 1468, window_size: 16, timeout: Duration::from_secs(20) };

    fn terms(options: &str, size: Option<u64>, caps: Caps) -> Terms {
        let request = Request::parse(format!("\0\x01x\0octet\0{options}").as_bytes()).unwrap();
        Terms::agree(&request, size, caps)
    }

    fn offered(options: &str) -> String {
        let offer = terms(options, Some(7000), CAPS).offer.unwrap_or_default();
        String::from_utf8(offer).unwrap().replace('\0', " ").replace('\u{6}', "").trim().to_owned()
    }

    #[test]
    fn only_what_was_asked_is_offered_and_never_more() {
        for (asked, want) in [
            ("", ""),
            ("tsize\x000\0", "tsize 7000"),
            ("blksize\x001432\0", "blksize 1432"),
            ("blksize\x008192\0", "blksize 1468"),
            ("blksize\x008\0", "blksize 8"),
            ("windowsize\x004\0", "windowsize 4"),
            ("windowsize\x00999\0", "windowsize 16"),
            ("timeout\x003\0", "timeout 3"),
            ("timeout\x0020\0tsize\x000\0", "timeout 20 tsize 7000"),
            ("timeout\x0021\0tsize\x000\0", "tsize 7000"),
            ("unknown\x001\0", ""),
            ("BlkSize\x001024\0TSIZE\x000\0", "blksize 1024 tsize 7000"),
        ] {
            assert_eq!(offered(asked), want, "{asked:?}");
        }
    }

    #[test]
    fn a_size_that_is_not_known_is_not_told() {
        assert_eq!(terms("tsize\x000\0", None, CAPS).offer, None);
        let request = Request::parse(b"\0\x01x\0netascii\0tsize\x000\0").unwrap();
        assert_eq!(Terms::agree(&request, Some(5), CAPS).offer, None);
    }

    #[test]
    fn a_window_never_holds_more_than_its_bytes() {
        let caps = Caps { block_size: 65464, window_size: 65535, ..CAPS };
        assert_eq!(terms("blksize\x0065464\0windowsize\x0065535\0", None, caps).window_size, 4);
        assert_eq!(terms("windowsize\x0065535\0", None, caps).window_size, 512);
    }
}
