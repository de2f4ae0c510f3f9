//! [`Source`]: a handler's reader, cut into blocks.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_lite::AsyncRead;

use crate::netascii;
use crate::request::Mode;

/// Bytes read from the file at a time: some blocks in one call, and not much for each of a thousand slow clients.
const CHUNK: usize = 8 << 10;
/// The same for a brisk client, of which there cannot be many at one time.
const BRISK_CHUNK: usize = 32 << 10;

/// The file of one transfer. What was read and not yet sent is at most one chunk, twice that for netascii.
pub(crate) struct Source<R> {
    reader: R,
    mode: Mode,
    chunk: usize,
    /// Read from the file; for netascii, before it was turned into that.
    buffer: Vec<u8>,
    /// Netascii only.
    text: Vec<u8>,
    /// What of the chunk was handed out, and how much of it there is.
    taken: usize,
    filled: usize,
    ended: bool,
}

impl<R: AsyncRead + Unpin> Source<R> {
    pub(crate) fn new(reader: R, mode: Mode) -> Self {
        Self {
            reader,
            mode,
            chunk: CHUNK,
            buffer: Vec::new(),
            text: Vec::new(),
            taken: 0,
            filled: 0,
            ended: false,
        }
    }

    /// Reads more at a time from now on.
    pub(crate) fn hasten(&mut self) {
        self.chunk = BRISK_CHUNK;
    }

    /// Appends to `block` until it has `end` bytes or the file has no more. Nothing is lost when the caller turns to
    /// something else in between: what was appended stays in `block`.
    pub(crate) fn poll_fill(
        &mut self,
        context: &mut Context<'_>,
        block: &mut Vec<u8>,
        end: usize,
    ) -> Poll<io::Result<()>> {
        while block.len() < end {
            let chunk = match self.mode {
                Mode::Octet => &self.buffer,
                Mode::Netascii => &self.text,
            };
            let left = &chunk[self.taken..self.filled];
            if !left.is_empty() {
                let count = left.len().min(end - block.len());
                block.extend_from_slice(&left[..count]);
                self.taken += count;
            } else if self.ended {
                break;
            } else {
                ready!(self.poll_chunk(context))?;
            }
        }
        Poll::Ready(Ok(()))
    }

    fn poll_chunk(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.buffer.resize(self.chunk, 0);
        let count = ready!(Pin::new(&mut self.reader).poll_read(context, &mut self.buffer))?;
        self.ended = count == 0;
        self.taken = 0;
        self.filled = match self.mode {
            Mode::Octet => count,
            Mode::Netascii => {
                self.text.clear();
                netascii::encode(&self.buffer[..count], &mut self.text);
                self.text.len()
            }
        };
        Poll::Ready(Ok(()))
    }
}
