//! A file's bytes as a response body: read as they are sent, one block in memory per client.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

use crate::files::blocks::Blocks;

/// Called once with the bytes that were taken, when the body ends or is dropped half-way.
pub(crate) type Finished = Box<dyn FnOnce(u64) + Send>;

/// Part of a file.
pub(crate) struct FileBody {
    blocks: Blocks,
    length: u64,
    finished: Option<Finished>,
}

impl FileBody {
    /// All that is left in `blocks`.
    pub(crate) fn new(blocks: Blocks, finished: Finished) -> Self {
        Self { length: blocks.left(), blocks, finished: Some(finished) }
    }
}

impl Body for FileBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let block = ready!(self.blocks.poll_block(context))?;
        Poll::Ready((!block.is_empty()).then(|| Ok(Frame::data(block))))
    }

    fn is_end_stream(&self) -> bool {
        self.blocks.left() == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.blocks.left())
    }
}

impl Drop for FileBody {
    fn drop(&mut self) {
        if let Some(finished) = self.finished.take() {
            finished(self.length - self.blocks.left());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::served::BLOCK;
    use http_body_util::BodyExt;
    use std::os::unix::fs::FileExt;
    use std::sync::{Arc, Mutex};

    #[tokio::test]
    async fn a_client_that_goes_away_is_counted_for_what_it_took() {
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(&vec![7; BLOCK * 3], 0).unwrap();
        let told = Arc::new(Mutex::new(None));
        let tell = told.clone();
        let finished = Box::new(move |bytes| *tell.lock().unwrap() = Some(bytes));
        let mut body = FileBody::new(Blocks::new(Arc::new(file), 0, BLOCK as u64 * 3), finished);
        body.frame().await.unwrap().unwrap();
        drop(body);
        assert_eq!(*told.lock().unwrap(), Some(BLOCK as u64));
    }
}
