//! What of a connection's answers lies in files. hyper moves bytes in memory and nothing else, so a body gives it
//! stand-ins: bytes of one block that nobody reads. Each stands for a segment that waits in the connection's lane,
//! in the same order, and [`super::sendfile`] sends the segment where a stand-in comes by.

use std::collections::VecDeque;
use std::fs::File;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, OnceLock, PoisonError};

use bytes::Bytes;

/// Bytes of a file that one stand-in stands for, at most.
pub(crate) const SEGMENT: usize = 2 << 20;

/// Zeroes that are never read and never written, so no page of them is ever in memory.
static STAND_IN: LazyLock<Bytes> = LazyLock::new(|| vec![0; SEGMENT].into());

/// Called once with the bytes that went out, when nothing of a body is left or it was given up half-way.
pub(crate) type Finished = Box<dyn FnOnce(u64) + Send + Sync>;

/// Counts the bytes of one body that went out; tells of it when the body and all its segments are gone.
pub(crate) struct Tally {
    bytes: AtomicU64,
    finished: Option<Finished>,
}

impl Tally {
    /// Nothing went out yet.
    pub(crate) fn new(finished: Finished) -> Arc<Self> {
        Arc::new(Self { bytes: AtomicU64::new(0), finished: Some(finished) })
    }

    /// So many more.
    pub(crate) fn add(&self, bytes: usize) {
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

impl Drop for Tally {
    fn drop(&mut self) {
        if let Some(finished) = self.finished.take() {
            finished(*self.bytes.get_mut());
        }
    }
}

/// Some bytes of a file that are to go out.
pub(crate) struct Segment {
    /// What is read.
    pub(crate) file: Arc<File>,
    /// From where.
    pub(crate) at: u64,
    /// How much, at most [`SEGMENT`].
    pub(crate) length: usize,
    /// Where it is counted.
    pub(crate) tally: Arc<Tally>,
}

/// The segments of one connection, in the order of their stand-ins.
#[derive(Clone, Default)]
pub(crate) struct Lane(Arc<Mutex<VecDeque<Segment>>>);

impl Lane {
    /// Queues `segment`; gives what stands for it.
    pub(crate) fn push(&self, segment: Segment) -> Bytes {
        let stand_in = STAND_IN.slice(..segment.length);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push_back(segment);
        stand_in
    }

    /// What is left of the first segment: `send` sends from a file, from an offset, so many bytes at most, and gives
    /// how many went out. `None` when no segment waits.
    pub(crate) fn send_first<E>(
        &self,
        send: impl FnOnce(&File, u64, usize) -> Result<usize, E>,
    ) -> Option<Result<usize, E>> {
        let mut segments = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let first = segments.front_mut()?;
        let sent = send(&first.file, first.at, first.length).map(|sent| sent.min(first.length));
        if let Ok(sent) = sent {
            first.tally.add(sent);
            first.at += sent as u64;
            first.length -= sent;
            if first.length == 0 {
                segments.pop_front();
            }
        }
        Some(sent)
    }
}

/// Whether `bytes` are a stand-in, or the rest of one: by where they lie, for what they are says nothing.
pub(crate) fn stands_in(bytes: &[u8]) -> bool {
    STAND_IN.as_ptr_range().contains(&bytes.as_ptr())
}

/// Goes with a response whose body can use a lane; the connection, if it has one, puts it in.
pub(crate) type Slot = Arc<OnceLock<Lane>>;

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;

    #[test]
    fn segments_leave_in_order_and_are_counted_when_the_last_is_gone() {
        let told = Arc::new(Mutex::new(None));
        let tell = told.clone();
        let tally = Tally::new(Box::new(move |bytes| *tell.lock().unwrap() = Some(bytes)));
        let (lane, file) = (Lane::default(), Arc::new(tempfile::tempfile().unwrap()));
        for at in [100, 0] {
            let segment = Segment { file: file.clone(), at, length: 10, tally: tally.clone() };
            assert!(stands_in(&lane.push(segment)[3..]));
        }
        drop(tally);
        let mut asked = Vec::new();
        for most in [4, 100, 7] {
            lane.send_first(|_, at, length| {
                asked.push((at, length));
                Ok::<_, Infallible>(length.min(most))
            });
        }
        assert_eq!(asked, [(100, 10), (104, 6), (0, 10)]);
        assert_eq!(*told.lock().unwrap(), None);
        drop(lane);
        assert_eq!(*told.lock().unwrap(), Some(17), "what never went out is not counted");
        assert!(!stands_in(&[0; 8]));
    }
}
