//! A plain connection that sends files by sendfile(2): their bytes go from the page cache to the network card and
//! are never in our memory, however many clients take them.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use nix::errno::Errno;
use nix::sys::sendfile::sendfile64;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;

use super::lane::{Lane, stands_in};

/// A connection and what of its answers lies in files.
pub(crate) struct Sendfile {
    stream: TcpStream,
    lane: Lane,
}

impl Sendfile {
    /// Sends what is put into `lane` where its stand-ins are written.
    pub(crate) fn new(stream: TcpStream, lane: Lane) -> Self {
        Self { stream, lane }
    }

    /// Sends something of the first segment, at most `most` bytes.
    fn poll_segment(&self, context: &mut Context<'_>, most: usize) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.stream.poll_write_ready(context))?;
            let sent = self.stream.try_io(Interest::WRITABLE, || self.send_segment(most));
            match sent {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                sent => return Poll::Ready(sent),
            }
        }
    }

    fn send_segment(&self, most: usize) -> io::Result<usize> {
        let sent = self.lane.send_first(|file, at, length| {
            let mut at = i64::try_from(at).map_err(|_| Errno::EOVERFLOW)?;
            sendfile64(&self.stream, file, Some(&mut at), length.min(most))
        });
        match sent {
            Some(Ok(0)) => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file was cut short")),
            Some(sent) => Ok(sent?),
            None => Err(io::Error::other("a stand-in stands for nothing")),
        }
    }
}

impl AsyncWrite for Sendfile {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(context, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let begin = slices.iter().position(|slice| !slice.is_empty()).unwrap_or(0);
        let slices = &slices[begin..];
        let own = slices.iter().take_while(|slice| !stands_in(slice)).count();
        match slices.first() {
            Some(stand_in) if own == 0 => this.poll_segment(context, stand_in.len()),
            _ => Pin::new(&mut this.stream).poll_write_vectored(context, &slices[..own]),
        }
    }

    fn is_write_vectored(&self) -> bool {
        // hyper copies what it writes into a buffer of its own otherwise, and a copy of a stand-in is nothing.
        true
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}

impl AsyncRead for Sendfile {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(context, buffer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::lane::{SEGMENT, Segment, Tally};
    use std::fs::File;
    use std::os::unix::fs::FileExt;
    use std::sync::Arc;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    async fn pair() -> (Sendfile, TcpStream, Lane) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let theirs = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let lane = Lane::default();
        (Sendfile::new(listener.accept().await.unwrap().0, lane.clone()), theirs, lane)
    }

    fn segment(file: &Arc<File>, at: u64, length: usize) -> Segment {
        Segment { file: file.clone(), at, length, tally: Tally::new(Box::new(|_| {})) }
    }

    #[tokio::test]
    async fn bytes_and_files_arrive_in_the_order_in_which_they_were_written() {
        let content: Vec<u8> = (0..SEGMENT + 5).map(|n| (n % 251) as u8).collect();
        let file = Arc::new(tempfile::tempfile().unwrap());
        file.write_all_at(&content, 0).unwrap();
        let (mut ours, mut theirs, lane) = pair().await;
        let reader = tokio::spawn(async move {
            let mut got = Vec::new();
            theirs.read_to_end(&mut got).await.map(|_| got)
        });
        let (first, second) = (lane.push(segment(&file, 5, SEGMENT)), lane.push(segment(&file, 1, 3)));
        let mut written = [
            IoSlice::new(b""),
            IoSlice::new(b"head"),
            IoSlice::new(&first),
            IoSlice::new(b"between"),
            IoSlice::new(&second),
            IoSlice::new(b"end"),
        ];
        let mut left = written.as_mut_slice();
        while !left.is_empty() {
            let sent = ours.write_vectored(left).await.unwrap();
            IoSlice::advance_slices(&mut left, sent);
        }
        drop(ours);
        let want = [b"head", &content[5..], b"between", &content[1..4], b"end"].concat();
        assert!(reader.await.unwrap().unwrap() == want);
    }

    #[tokio::test]
    async fn a_file_cut_short_underneath_and_a_stand_in_for_nothing_break_the_connection() {
        let file = Arc::new(tempfile::tempfile().unwrap());
        let (mut ours, _theirs, lane) = pair().await;
        let stand_in = lane.push(segment(&file, 0, 10));
        assert_eq!(ours.write(&stand_in).await.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        let (mut other, _theirs, _lane) = pair().await;
        assert_eq!(other.write(&stand_in).await.unwrap_err().kind(), io::ErrorKind::Other);
    }
}
