//! The classic pcap file format: what tcpdump and Wireshark read
//! (draft-ietf-opsawg-pcap, link type 1: Ethernet, microseconds).

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::time::Duration;

/// A capture that is being written.
#[derive(Debug)]
pub struct PcapFile<W: Write = BufWriter<File>> {
    out: W,
}

impl PcapFile {
    /// Starts the capture file `path`, over whatever was there.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn create(path: &Path) -> io::Result<Self> {
        Self::new(BufWriter::with_capacity(1 << 20, File::create(path)?))
    }
}

impl<W: Write> PcapFile<W> {
    /// Starts a capture on `out`.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn new(mut out: W) -> io::Result<Self> {
        let fields: [u32; 6] = [0xa1b2_c3d4, u32::from_le_bytes([2, 0, 4, 0]), 0, 0, 1 << 18, 1];
        for field in fields {
            out.write_all(&field.to_le_bytes())?;
        }
        Ok(Self { out })
    }

    /// Adds `frame`, seen at `at` (since the Unix epoch).
    ///
    /// # Errors
    /// Those of the output.
    pub fn write(&mut self, at: Duration, frame: &[u8]) -> io::Result<()> {
        let length = frame.len() as u32;
        for field in [at.as_secs() as u32, at.subsec_micros(), length, length] {
            self.out.write_all(&field.to_le_bytes())?;
        }
        self.out.write_all(frame)
    }

    /// Makes what was added visible to readers of the file.
    ///
    /// # Errors
    /// Those of the output.
    pub fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_capture_holds_header_and_frames_in_little_endian() {
        let mut pcap = PcapFile::new(Vec::new()).unwrap();
        pcap.write(Duration::new(5, 7_000), b"abc").unwrap();
        let mut want =
            vec![0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 1, 0, 0, 0];
        want.extend([5, 0, 0, 0, 7, 0, 0, 0, 3, 0, 0, 0, 3, 0, 0, 0]);
        want.extend(b"abc");
        assert_eq!(pcap.out, want);
    }
}
