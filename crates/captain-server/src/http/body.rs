//! Pieces of a file as a response body: handed to the connection where it sends files itself, else read as they are
//! sent, one block in memory per client.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::stream::BoxStream;
use hyper::body::{Body, Frame, SizeHint};

use super::lane::{Finished, Lane, SEGMENT, Segment, Slot, Tally};
use crate::files::blocks::{Blocks, Warmth};
use crate::files::{Piece, Source};
use crate::once::{Held, not_kept};

/// Some pieces of a file, one after the other.
pub(crate) struct FileBody {
    source: Source,
    pieces: VecDeque<Piece>,
    reading: Option<Reading>,
    left: u64,
    slot: Slot,
    tally: Arc<Tally>,
    held: Option<(usize, Held)>,
}

/// The part of the file that is on its way.
enum Reading {
    /// Through our memory.
    Blocks(Blocks),
    /// As segments.
    Segments { file: Arc<File>, lane: Lane, rest: Range<u64>, warmth: Warmth },
    /// From another server.
    Upstream(BoxStream<'static, io::Result<Bytes>>),
}

impl FileBody {
    /// All of `pieces`; by the lane of whichever connection puts its own into [`Self::slot`].
    pub(crate) fn new(source: Source, pieces: Vec<Piece>, finished: Finished) -> Self {
        let left = pieces.iter().map(Piece::length).sum();
        let (slot, tally) = (Slot::default(), Tally::new(finished));
        Self { source, pieces: pieces.into(), reading: None, left, slot, tally, held: None }
    }

    /// The last `pieces` are held back until `held` is ready, and never come where it says so.
    pub(crate) fn holding(self, pieces: usize, held: Held) -> Self {
        Self { held: Some((pieces, held)), ..self }
    }

    /// Where a connection that sends files puts its lane.
    pub(crate) fn slot(&self) -> Slot {
        self.slot.clone()
    }

    fn poll_bytes(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Bytes>> {
        loop {
            let bytes = ready!(self.poll_reading(context))?;
            if !bytes.is_empty() {
                return Poll::Ready(Ok(bytes));
            }
            if let Some((pieces, held)) = &mut self.held
                && self.pieces.len() <= *pieces
            {
                if !ready!(held.as_mut().poll(context)) {
                    return Poll::Ready(Err(not_kept()));
                }
                self.held = None;
            }
            match self.pieces.pop_front() {
                None => return Poll::Ready(Ok(Bytes::new())),
                Some(Piece::Bytes(bytes)) if bytes.is_empty() => {}
                Some(Piece::Bytes(bytes)) => {
                    self.tally.add(bytes.len());
                    return Poll::Ready(Ok(bytes));
                }
                Some(Piece::File(range)) => self.reading = Some(self.begin(range)),
            }
        }
    }

    fn begin(&self, range: Range<u64>) -> Reading {
        match (&self.source, self.slot.get()) {
            (Source::File(file), Some(lane)) => {
                let warmth = Warmth::new(file.clone());
                Reading::Segments { file: file.clone(), lane: lane.clone(), rest: range, warmth }
            }
            (Source::File(file), None) => Reading::Blocks(Blocks::new(file.clone(), range.start, range.end)),
            (Source::Upstream(upstream), _) => Reading::Upstream(upstream.read(range)),
        }
    }

    /// The next bytes of the part that is on its way; empty where there is none.
    fn poll_reading(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Bytes>> {
        match &mut self.reading {
            None => Poll::Ready(Ok(Bytes::new())),
            Some(Reading::Blocks(blocks)) => {
                let block = ready!(blocks.poll_block(context))?;
                self.tally.add(block.len());
                Poll::Ready(Ok(block))
            }
            Some(Reading::Segments { rest, .. }) if rest.is_empty() => Poll::Ready(Ok(Bytes::new())),
            Some(Reading::Upstream(stream)) => loop {
                match ready!(stream.as_mut().poll_next(context)).transpose()? {
                    Some(bytes) if bytes.is_empty() => {}
                    next => {
                        let bytes = next.unwrap_or_default();
                        self.tally.add(bytes.len());
                        return Poll::Ready(Ok(bytes));
                    }
                }
            },
            Some(Reading::Segments { file, lane, rest, warmth }) => {
                let (at, left) = (rest.start, rest.end - rest.start);
                let length = usize::try_from(left).map_or(SEGMENT, |left| left.min(SEGMENT));
                ready!(warmth.poll_warm(context, at, length))?;
                rest.start += length as u64;
                let (file, tally) = (file.clone(), self.tally.clone());
                Poll::Ready(Ok(lane.push(Segment { file, at, length, tally })))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::served::BLOCK;
    use crate::http::lane::stands_in;
    use http_body_util::BodyExt;
    use std::os::unix::fs::FileExt;
    use std::sync::Mutex;

    fn file() -> Source {
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(&vec![7; BLOCK * 3], 0).unwrap();
        Source::File(Arc::new(file))
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

    #[tokio::test]
    async fn a_connection_that_sends_files_is_given_segments_and_counts_what_it_sent() {
        let told = Arc::new(Mutex::new(None));
        let tell = told.clone();
        let finished = Box::new(move |bytes| *tell.lock().unwrap() = Some(bytes));
        let head = Piece::Bytes(Bytes::from_static(b"head"));
        let mut body = FileBody::new(file(), vec![head, Piece::File(3..BLOCK as u64)], finished);
        let lane = Lane::default();
        assert!(body.slot().set(lane.clone()).is_ok());
        let mut next = async || body.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(next().await, b"head".as_slice());
        let stand_in = next().await;
        assert!(stands_in(&stand_in) && stand_in.len() == BLOCK - 3);
        assert!(body.is_end_stream());
        drop(body);
        assert_eq!(*told.lock().unwrap(), None, "it was not sent yet");
        let sent = lane.send_first(|_, at, length| Ok::<_, io::Error>((at == 3) as usize * length));
        assert!(matches!(sent, Some(Ok(sent)) if sent == BLOCK - 3));
        assert_eq!(*told.lock().unwrap(), Some(BLOCK as u64 + 1));
    }
}
