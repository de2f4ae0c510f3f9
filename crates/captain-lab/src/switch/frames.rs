//! Framing of QEMU's `-netdev stream`: each Ethernet frame with its length before it, 4 bytes, big-endian
//! (QEMU net/stream.c, `net_stream_receive` and `net_fill_rstate`).

use std::io::{self, Read};

use thiserror::Error;

/// Longest frame that QEMU's own reader accepts (`NET_BUFSIZE`).
const LONGEST: usize = 4096 + 65536;

/// A length that no frame can have: the stream is out of step for good.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("the peer announced a frame of {0} bytes")]
pub struct BrokenStream(pub usize);

/// Takes frames out of a byte stream.
#[derive(Debug)]
pub struct Frames {
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

impl Default for Frames {
    fn default() -> Self {
        Self { buffer: vec![0; 4 * LONGEST], start: 0, end: 0 }
    }
}

impl Frames {
    /// Reads once from `source`; the number of bytes read, 0 at its end.
    ///
    /// # Errors
    /// Those of `source`.
    pub fn read_from(&mut self, source: &mut impl Read) -> io::Result<usize> {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        let count = source.read(&mut self.buffer[self.end..])?;
        self.end += count;
        Ok(count)
    }

    /// The next whole frame, if one has arrived.
    ///
    /// # Errors
    /// The stream is out of step.
    pub fn next_frame(&mut self) -> Result<Option<&[u8]>, BrokenStream> {
        let waiting = &self.buffer[self.start..self.end];
        let Some((head, rest)) = waiting.split_first_chunk::<4>() else { return Ok(None) };
        let length = u32::from_be_bytes(*head) as usize;
        if length > LONGEST {
            return Err(BrokenStream(length));
        }
        if rest.len() < length {
            return Ok(None);
        }
        let at = self.start + 4;
        self.start = at + length;
        Ok(Some(&self.buffer[at..at + length]))
    }
}

/// What goes before `frame` on the stream.
pub fn frame_header(frame: &[u8]) -> [u8; 4] {
    (frame.len() as u32).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(frames: &[&[u8]]) -> Vec<u8> {
        frames.iter().flat_map(|f| [&frame_header(f), *f].concat()).collect()
    }

    fn drain(frames: &mut Frames) -> Vec<Vec<u8>> {
        let mut out = Vec::new();
        while let Some(frame) = frames.next_frame().unwrap() {
            out.push(frame.to_vec());
        }
        out
    }

    #[test]
    fn frames_come_out_however_the_stream_is_cut() {
        let sent: [&[u8]; 3] = [b"one", &[7; 1514], b""];
        let bytes = stream(&sent);
        for step in [1, 3, 4, 5, 1000, bytes.len()] {
            let mut frames = Frames::default();
            let mut got = Vec::new();
            for mut piece in bytes.chunks(step) {
                frames.read_from(&mut piece).unwrap();
                got.extend(drain(&mut frames));
            }
            assert_eq!(got, sent, "in steps of {step}");
        }
    }

    #[test]
    fn an_impossible_length_breaks_the_stream_and_the_longest_does_not() {
        let mut frames = Frames::default();
        frames.read_from(&mut [0, 1, 0x10, 1].as_slice()).unwrap();
        assert_eq!(frames.next_frame(), Err(BrokenStream(LONGEST + 1)));

        let long = stream(&[&vec![9; LONGEST]]);
        let mut frames = Frames::default();
        let mut rest = long.as_slice();
        while frames.read_from(&mut rest).unwrap() > 0 {}
        assert_eq!(drain(&mut frames), [vec![9; LONGEST]]);
    }
}
