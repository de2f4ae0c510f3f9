//! Pieces of a file as a response body: read as they are sent, one block in memory per client.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

use crate::files::Piece;
use crate::files::blocks::Blocks;

/// Called once with the bytes that were taken, when the body ends or is dropped half-way.
pub(crate) type Finished = Box<dyn FnOnce(u64) + Send>;

/// Some pieces of a file, one after the other.
pub(crate) struct FileBody {
    file: Arc<File>,
    pieces: VecDeque<Piece>,
    reading: Option<Blocks>,
    length: u64,
    left: u64,
    finished: Option<Finished>,
}

impl FileBody {
    /// All of `pieces`.
    pub(crate) fn new(file: Arc<File>, pieces: Vec<Piece>, finished: Finished) -> Self {
        let length = pieces.iter().map(Piece::length).sum();
        Self { file, pieces: pieces.into(), reading: None, length, left: length, finished: Some(finished) }
    }

    fn poll_bytes(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Bytes>> {
        loop {
            if let Some(blocks) = &mut self.reading {
                let block = ready!(blocks.poll_block(context))?;
                if !block.is_empty() {
                    return Poll::Ready(Ok(block));
                }
                self.reading = None;
            }
            match self.pieces.pop_front() {
                None => return Poll::Ready(Ok(Bytes::new())),
                Some(Piece::Bytes(bytes)) if bytes.is_empty() => {}
                Some(Piece::Bytes(bytes)) => return Poll::Ready(Ok(bytes)),
                Some(Piece::File(range)) => {
                    self.reading = Some(Blocks::new(self.file.clone(), range.start, range.end));
                }
            }
        }
    }
}

impl Body for FileBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let bytes = ready!(self.poll_bytes(context))?;
        self.left -= bytes.len() as u64;
        Poll::Ready((!bytes.is_empty()).then(|| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

impl Drop for FileBody {
    fn drop(&mut self) {
        if let Some(finished) = self.finished.take() {
            finished(self.length - self.left);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::served::BLOCK;
    use http_body_util::BodyExt;
    use std::os::unix::fs::FileExt;
    use std::sync::Mutex;

    fn file() -> Arc<File> {
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(&vec![7; BLOCK * 3], 0).unwrap();
        Arc::new(file)
    }

    #[tokio::test]
    async fn a_client_that_goes_away_is_counted_for_what_it_took() {
        let told = Arc::new(Mutex::new(None));
        let tell = told.clone();
        let finished = Box::new(move |bytes| *tell.lock().unwrap() = Some(bytes));
        let pieces = vec![Piece::Bytes(Bytes::from_static(b"head")), Piece::File(0..BLOCK as u64 * 3)];
        let mut body = FileBody::new(file(), pieces, finished);
        body.frame().await.unwrap().unwrap();
        body.frame().await.unwrap().unwrap();
        drop(body);
        assert_eq!(*told.lock().unwrap(), Some(BLOCK as u64 + 4));
    }

    #[tokio::test]
    async fn pieces_come_one_after_the_other_and_the_length_is_known_before() {
        let text = |text: &'static [u8]| Piece::Bytes(Bytes::from_static(text));
        let pieces = vec![text(b"a"), Piece::File(0..2), text(b""), Piece::File(5..6), text(b"z")];
        let body = FileBody::new(file(), pieces, Box::new(|_| {}));
        assert_eq!(body.size_hint().exact(), Some(5));
        assert_eq!(body.collect().await.unwrap().to_bytes(), b"a\x07\x07\x07z".as_slice());
    }
}
