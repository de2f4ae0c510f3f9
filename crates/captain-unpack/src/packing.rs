//! Decompression with bounded memory.

use std::io::{self, BufRead, BufReader, Read};

use liblzma::bufread::XzDecoder;
use liblzma::stream::{CONCATENATED, Stream};

/// Largest window of zstd: 128 MiB, what the kernel and `zstd -d` take.
const WINDOW_LOG: u32 = 27;
/// Memory that one xz stream may take: `xz -9` needs 65 MiB, with several times that as margin.
const XZ_MEMORY: u64 = 1 << 30;

/// What a file is packed by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    /// Nothing.
    None,
    /// gzip (RFC 1952).
    Gzip,
    /// xz (.xz file format 1.2).
    Xz,
    /// Zstandard (RFC 8878).
    Zstd,
}

impl Packing {
    /// Known by the first bytes of a file.
    pub fn of(head: &[u8]) -> Self {
        match head {
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Self::Zstd,
            [0x1f, 0x8b, ..] => Self::Gzip,
            [0xfd, b'7', b'z', b'X', b'Z', ..] => Self::Xz,
            _ => Self::None,
        }
    }

    /// Unpacks `packed`; streams that follow one another are one.
    ///
    /// # Errors
    /// The decompressor cannot be set up.
    pub fn decoder<'a>(self, packed: impl BufRead + 'a) -> io::Result<Box<dyn Read + 'a>> {
        Ok(match self {
            Self::None => Box::new(packed),
            Self::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(packed)),
            Self::Xz => {
                let stream = Stream::new_stream_decoder(XZ_MEMORY, CONCATENATED)?;
                Box::new(XzDecoder::new_stream(packed, stream))
            }
            Self::Zstd => {
                let mut decoder = zstd::Decoder::with_buffer(packed)?;
                decoder.window_log_max(WINDOW_LOG)?;
                Box::new(decoder)
            }
        })
    }
}

/// Unpacks `packed`, by whatever its first bytes say.
///
/// # Errors
/// It cannot be read.
pub fn decoder<'a>(packed: impl Read + 'a) -> io::Result<Box<dyn Read + 'a>> {
    let mut packed = BufReader::with_capacity(256 * 1024, packed);
    Packing::of(packed.fill_buf()?).decoder(packed)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_file_is_unpacked_by_its_first_bytes_and_streams_in_a_row_are_one() {
        let text = b"some text, and some text".repeat(10);
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&text).unwrap();
        let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 1);
        xz.write_all(&text).unwrap();
        let zstd = zstd::encode_all(&text[..], 1).unwrap();
        let all = [(Packing::Gzip, gzip.finish()), (Packing::Xz, xz.finish()), (Packing::Zstd, Ok(zstd))];
        for (packing, packed) in all.map(|(packing, packed)| (packing, packed.unwrap())) {
            assert_eq!(Packing::of(&packed), packing);
            let mut plain = Vec::new();
            decoder(&packed.repeat(2)[..]).unwrap().read_to_end(&mut plain).unwrap();
            assert!(plain == text.repeat(2), "{packing:?}");
        }
        let mut plain = Vec::new();
        decoder(&text[..]).unwrap().read_to_end(&mut plain).unwrap();
        assert!(plain == text);
    }

    #[test]
    fn a_window_larger_than_any_machine_unpacks_is_refused_before_it_is_taken() {
        // RFC 8878 section 3.1.1: magic, a frame header with a window of 2 GiB, an empty last block.
        let zstd = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 21 << 3, 0x01, 0x00, 0x00];
        let error = decoder(&zstd[..]).unwrap().read_to_end(&mut Vec::new()).unwrap_err();
        assert!(error.to_string().contains("memory"), "{error}");
        // The block header of a small file (xz file format section 3.1), with a dictionary of 1.5 GiB (section 5.3.1).
        let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 0);
        xz.write_all(b"x").unwrap();
        let mut packed = xz.finish().unwrap();
        let end = 12 + usize::from(packed[12]) * 4;
        packed[16] = 37;
        let mut sum = flate2::Crc::new();
        sum.update(&packed[12..end]);
        packed[end..end + 4].copy_from_slice(&sum.sum().to_le_bytes());
        let error = decoder(&packed[..]).unwrap().read_to_end(&mut Vec::new()).unwrap_err();
        assert!(error.to_string().contains("memory"), "{error}");
    }
}
