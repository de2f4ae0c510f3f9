//! A file read block by block as somebody takes it: from the page cache at once, from disk on a thread.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::io::AsyncRead;
use tokio::task::JoinHandle;

use super::served::{BLOCK, LARGE_BLOCK};

/// The kernel's socket buffers take this much from us for a slow client too (`tcp_wmem` is 4 MiB at most).
const WARM: u64 = 8 << 20;
/// A client that is back for more within this time is quick.
const QUICK: Duration = Duration::from_millis(20);

/// What is left of a part of a file.
#[derive(Debug)]
pub(crate) struct Blocks {
    file: Arc<File>,
    start: u64,
    at: u64,
    /// When the last block was taken.
    taken: Option<Instant>,
    end: u64,
    reading: Option<JoinHandle<io::Result<Bytes>>>,
}

impl Blocks {
    /// The bytes of `file` from `start` to before `end`.
    pub(crate) fn new(file: Arc<File>, start: u64, end: u64) -> Self {
        Self { file, start, at: start, taken: None, end, reading: None }
    }

    /// Bytes not taken yet.
    pub(crate) fn left(&self) -> u64 {
        self.end - self.at
    }

    /// Large blocks for quick clients, of which there are few at one time; small ones for the others, of which
    /// there may be thousands.
    fn size(&self) -> usize {
        let quick = self.taken.is_some_and(|taken| taken.elapsed() < QUICK);
        if quick && self.at - self.start >= WARM { LARGE_BLOCK } else { BLOCK }
    }

    /// The next block; empty at the end.
    ///
    /// # Errors
    /// The disk's, or `UnexpectedEof` where the file was cut short underneath.
    pub(crate) fn poll_block(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Bytes>> {
        let size = self.size();
        let length = usize::try_from(self.left()).map_or(size, |left| left.min(size));
        if length == 0 {
            return Poll::Ready(Ok(Bytes::new()));
        }
        let block = ready!(self.poll_read_at(context, length))?;
        self.at += block.len() as u64;
        self.taken = Some(Instant::now());
        Poll::Ready(Ok(block))
    }

    fn poll_read_at(&mut self, context: &mut Context<'_>, length: usize) -> Poll<io::Result<Bytes>> {
        let at = self.at;
        if self.reading.is_none() {
            let mut buffer = vec![0; length];
            if let Some(got) = read_cached(&self.file, &mut buffer, at) {
                buffer.truncate(got);
                return Poll::Ready(Ok(buffer.into()));
            }
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

/// Reads without waiting for the disk (`RWF_NOWAIT`, preadv2(2)); at least one byte. `None` where it would have to.
fn read_cached(file: &File, buffer: &mut [u8], at: u64) -> Option<usize> {
    let slice = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    let offset = libc::c_long::try_from(at).ok()?;
    // SAFETY: one iovec over a live buffer of its length; the offset is split into low and high word, of which 64-bit
    // kernels use the low one.
    let got = unsafe {
        libc::syscall(libc::SYS_preadv2, file.as_raw_fd(), &raw const slice, 1, offset, 0, libc::RWF_NOWAIT)
    };
    usize::try_from(got).ok().filter(|got| *got > 0)
}

fn read_waiting(file: &File, length: usize, at: u64) -> io::Result<Bytes> {
    let mut buffer = vec![0; length];
    file.read_exact_at(&mut buffer, at)?;
    Ok(buffer.into())
}

/// Parts of a file brought into the page cache, before a thread that must not wait for the disk sends them from there.
#[derive(Debug)]
pub(crate) struct Warmth {
    file: Arc<File>,
    reading: Option<JoinHandle<io::Result<()>>>,
}

impl Warmth {
    /// Knows nothing of `file` yet.
    pub(crate) fn new(file: Arc<File>) -> Self {
        Self { file, reading: None }
    }

    /// Ready when `length` bytes from `at` are in the page cache, as far as their two ends tell: the kernel reads ahead,
    /// and forgets what was not used for long. Where one is missing in between, the sending thread waits for the disk.
    ///
    /// # Errors
    /// The disk's, or `UnexpectedEof` where the file was cut short underneath.
    pub(crate) fn poll_warm(
        &mut self,
        context: &mut Context<'_>,
        at: u64,
        length: usize,
    ) -> Poll<io::Result<()>> {
        let last = at + (length as u64).saturating_sub(1);
        if self.reading.is_none()
            && [at, last].into_iter().all(|at| read_cached(&self.file, &mut [0], at).is_some())
        {
            return Poll::Ready(Ok(()));
        }
        let reading = self.reading.get_or_insert_with(|| {
            let file = self.file.clone();
            tokio::task::spawn_blocking(move || warm(&file, at, length))
        });
        let read = ready!(Pin::new(reading).poll(context));
        self.reading = None;
        Poll::Ready(read.unwrap_or_else(|error| Err(io::Error::other(error))))
    }
}

fn warm(file: &File, at: u64, length: usize) -> io::Result<()> {
    let mut buffer = vec![0; length.min(LARGE_BLOCK)];
    let mut done = 0;
    while done < length {
        let piece = buffer.len().min(length - done);
        file.read_exact_at(&mut buffer[..piece], at + done as u64)?;
        done += piece;
    }
    Ok(())
}

/// A file as the byte stream that TFTP takes: read into the taker's own memory.
#[derive(Debug)]
pub(crate) struct Reader {
    file: Arc<File>,
    at: u64,
    end: u64,
    reading: Option<JoinHandle<io::Result<Bytes>>>,
}

impl Reader {
    /// Reads the bytes of `file` from `start` to before `end`.
    pub(crate) fn new(file: Arc<File>, start: u64, end: u64) -> Self {
        Self { file, at: start, end, reading: None }
    }

    fn poll_bytes(&mut self, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        if self.reading.is_none()
            && let Some(got) = read_cached(&self.file, buffer, self.at)
        {
            return Poll::Ready(Ok(got));
        }
        let reading = self.reading.get_or_insert_with(|| {
            let (file, length, at) = (self.file.clone(), buffer.len(), self.at);
            tokio::task::spawn_blocking(move || read_waiting(&file, length, at))
        });
        let read = ready!(Pin::new(reading).poll(context));
        self.reading = None;
        let bytes = read.unwrap_or_else(|error| Err(io::Error::other(error)))?;
        // Whoever came back with less room gets the rest next time, by then from the page cache.
        let got = bytes.len().min(buffer.len());
        buffer[..got].copy_from_slice(&bytes[..got]);
        Poll::Ready(Ok(got))
    }
}

impl AsyncRead for Reader {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let length = usize::try_from(this.end - this.at).map_or(buffer.len(), |left| left.min(buffer.len()));
        if length == 0 {
            return Poll::Ready(Ok(0));
        }
        let got = ready!(this.poll_bytes(context, &mut buffer[..length]))?;
        this.at += got as u64;
        Poll::Ready(Ok(got))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::AsyncReadExt;

    fn reader(content: &[u8], start: u64, end: u64) -> Reader {
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(content, 0).unwrap();
        Reader::new(Arc::new(file), start, end)
    }

    #[tokio::test]
    async fn the_bytes_asked_for_come_in_small_reads_too() {
        let content: Vec<u8> = (0..BLOCK * 2 + 77).map(|n| (n % 251) as u8).collect();
        let mut reader = reader(&content, 5, content.len() as u64 - 3);
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
    async fn a_quick_client_gets_large_blocks_and_a_slow_one_small_ones_again() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(4 * WARM).unwrap();
        let mut blocks = Blocks::new(Arc::new(file), 0, 4 * WARM);
        let mut next =
            async || std::future::poll_fn(|context| blocks.poll_block(context)).await.unwrap().len();
        assert!(next().await <= BLOCK);
        let mut largest = 0;
        for _ in 0..=WARM / BLOCK as u64 {
            largest = largest.max(next().await);
        }
        assert_eq!(largest, LARGE_BLOCK);
        tokio::time::sleep(QUICK).await;
        assert!(next().await <= BLOCK);
    }

    #[tokio::test]
    async fn a_file_cut_short_underneath_ends_in_an_error_not_in_silence() {
        let mut reader = reader(&[7; 10], 0, 20);
        assert!(reader.read_to_end(&mut Vec::new()).await.is_err());
    }
}
