//! A file read block by block as somebody takes it: from the page cache at once, from disk on a thread.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::io::AsyncRead;
use tokio::task::JoinHandle;

use super::served::BLOCK;

/// What is left of a part of a file.
#[derive(Debug)]
pub(crate) struct Blocks {
    file: Arc<File>,
    at: u64,
    end: u64,
    reading: Option<JoinHandle<io::Result<Bytes>>>,
}

impl Blocks {
    /// The bytes of `file` from `start` to before `end`.
    pub(crate) fn new(file: Arc<File>, start: u64, end: u64) -> Self {
        Self { file, at: start, end, reading: None }
    }

    /// Bytes not taken yet.
    pub(crate) fn left(&self) -> u64 {
        self.end - self.at
    }

    /// The next block, of at most [`BLOCK`] bytes; empty at the end.
    ///
    /// # Errors
    /// The disk's, or `UnexpectedEof` where the file was cut short underneath.
    pub(crate) fn poll_block(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Bytes>> {
        let length = usize::try_from(self.left()).map_or(BLOCK, |left| left.min(BLOCK));
        if length == 0 {
            return Poll::Ready(Ok(Bytes::new()));
        }
        let block = ready!(self.poll_read_at(context, length))?;
        self.at += block.len() as u64;
        Poll::Ready(Ok(block))
    }

    fn poll_read_at(&mut self, context: &mut Context<'_>, length: usize) -> Poll<io::Result<Bytes>> {
        let at = self.at;
        if self.reading.is_none()
            && let Some(cached) = read_cached(&self.file, length, at)
        {
            return Poll::Ready(Ok(cached));
        }
        let file = &self.file;
        let reading = self.reading.get_or_insert_with(|| {
            let file = file.clone();
            tokio::task::spawn_blocking(move || read_waiting(&file, length, at))
        });
        let read = ready!(Pin::new(reading).poll(context));
        self.reading = None;
        Poll::Ready(read.unwrap_or_else(|error| Err(io::Error::other(error))))
    }
}

/// Reads without waiting for the disk (`RWF_NOWAIT`, preadv2(2)). `None` where it would have to.
fn read_cached(file: &File, length: usize, at: u64) -> Option<Bytes> {
    let mut buffer = vec![0; length];
    let slice = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: length };
    let offset = libc::c_long::try_from(at).ok()?;
    // SAFETY: one iovec over a live buffer of its length; the offset is split into low and high word, of which
    // 64-bit kernels use the low one.
    let got = unsafe {
        libc::syscall(libc::SYS_preadv2, file.as_raw_fd(), &raw const slice, 1, offset, 0, libc::RWF_NOWAIT)
    };
    let got = usize::try_from(got).ok().filter(|got| *got > 0)?;
    buffer.truncate(got);
    Some(buffer.into())
}

fn read_waiting(file: &File, length: usize, at: u64) -> io::Result<Bytes> {
    let mut buffer = vec![0; length];
    file.read_exact_at(&mut buffer, at)?;
    Ok(buffer.into())
}

/// Blocks as the byte stream that TFTP takes.
#[derive(Debug)]
pub(crate) struct Reader {
    blocks: Blocks,
    rest: Bytes,
}

impl Reader {
    /// Reads `blocks`.
    pub(crate) fn new(blocks: Blocks) -> Self {
        Self { blocks, rest: Bytes::new() }
    }
}

impl AsyncRead for Reader {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.rest.is_empty() {
            this.rest = ready!(this.blocks.poll_block(context))?;
        }
        let taken = this.rest.split_to(this.rest.len().min(buffer.len()));
        buffer[..taken.len()].copy_from_slice(&taken);
        Poll::Ready(Ok(taken.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::AsyncReadExt;

    fn blocks(content: &[u8], start: u64, end: u64) -> Blocks {
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(content, 0).unwrap();
        Blocks::new(Arc::new(file), start, end)
    }

    #[tokio::test]
    async fn the_bytes_asked_for_come_in_small_reads_too() {
        let content: Vec<u8> = (0..BLOCK * 2 + 77).map(|n| (n % 251) as u8).collect();
        let mut reader = Reader::new(blocks(&content, 5, content.len() as u64 - 3));
        let (mut got, mut buffer) = (Vec::new(), [0; 1468]);
        loop {
            match reader.read(&mut buffer).await.unwrap() {
                0 => break,
                length => got.extend_from_slice(&buffer[..length]),
            }
        }
        assert_eq!(got, content[5..content.len() - 3]);
    }

    #[tokio::test]
    async fn a_file_cut_short_underneath_ends_in_an_error_not_in_silence() {
        let mut reader = Reader::new(blocks(&[7; 10], 0, 20));
        assert!(reader.read_to_end(&mut Vec::new()).await.is_err());
    }
}
