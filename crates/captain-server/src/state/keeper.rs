//! The writing thread. Whatever waits when it gets to it goes to disk in one commit (group commit). What the disk
//! refuses is kept and tried again, and until it is written nobody is told that anything is.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;

use super::unwritten::Unwritten;
use super::{Record, Store};

/// Records in one commit at most, so that the first of a flood does not wait for the last.
const LARGEST_COMMIT: usize = 1024;
/// When a commit carried this many records, the next one is worth waiting for: pages and `fdatasync` cost the same
/// for one record and for twenty.
const CROWD: usize = 4;
/// How long it waits then: unnoticed by a client that waits for seconds.
const LINGER: Duration = Duration::from_millis(3);
/// Between two tries while the disk refuses.
const AGAIN: Duration = Duration::from_millis(if cfg!(test) { 20 } else { 1000 });

/// What is done after the records are on disk (`true`) or could not be written (`false`).
pub(super) type After = Box<dyn FnOnce(bool) + Send>;

/// Some records on their way to disk.
pub(super) struct Job {
    /// What is written.
    pub(super) records: Vec<Record>,
    /// What follows.
    pub(super) after: Option<After>,
    /// It is counted as long as it is there.
    pub(super) waits: Waits,
}

impl Job {
    fn tell(self, written: bool) {
        let Self { after, waits, .. } = self;
        drop(waits);
        if let Some(after) = after {
            after(written);
        }
    }
}

/// One more waits, until this is dropped; also where the thread is gone.
#[derive(Debug)]
pub(super) struct Waits(Arc<AtomicUsize>);

impl Waits {
    /// One more.
    pub(super) fn in_line(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count.clone())
    }
}

impl Drop for Waits {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Why nothing can be written; empty while it can.
pub(super) type Trouble = Arc<ArcSwapOption<String>>;

/// What the thread owns.
#[derive(Debug)]
pub(super) struct Keeper {
    pub(super) store: Store,
    pub(super) queue: Receiver<Job>,
    pub(super) trouble: Trouble,
}

impl Keeper {
    /// Writes until nobody can note anything any more.
    pub(super) fn run(mut self) {
        let mut crowded = false;
        while let Ok(first) = self.queue.recv() {
            if crowded {
                std::thread::sleep(LINGER);
            }
            let (jobs, records) = self.batch(first);
            crowded = records.len() >= CROWD;
            let written = self.commit(&records);
            if let Err(why) = &written {
                tracing::error!("no address is acknowledged until this is put right: {why}");
                self.trouble.store(Some(Arc::new(why.clone())));
            }
            jobs.into_iter().for_each(|job| job.tell(written.is_ok()));
            if written.is_err() {
                self.outlast(records);
            }
        }
    }

    fn batch(&self, mut first: Job) -> (Vec<Job>, Vec<Record>) {
        let mut records = std::mem::take(&mut first.records);
        let mut jobs = vec![first];
        while records.len() < LARGEST_COMMIT
            && let Ok(mut next) = self.queue.try_recv()
        {
            records.append(&mut next.records);
            jobs.push(next);
        }
        (jobs, records)
    }

    /// Where there is nothing to write, what was noted before is on disk. A first failure only costs a file opened anew.
    fn commit(&mut self, records: &[Record]) -> Result<(), String> {
        if records.is_empty() {
            return Ok(());
        }
        let Err(first) = self.store.commit(records) else { return Ok(()) };
        tracing::warn!("{first}; once more, with the file opened anew");
        self.store.commit(records).map_err(|second| second.to_string())
    }

    /// Returns when the disk has taken everything, or nobody waits for that any more.
    fn outlast(&mut self, records: Vec<Record>) {
        let mut unwritten = Unwritten::default();
        unwritten.add(records);
        loop {
            let open = self.refuse_for(AGAIN, &mut unwritten);
            let records = unwritten.records();
            match self.store.commit(&records) {
                Ok(()) => {
                    self.trouble.store(None);
                    tracing::info!("the state can be written again, {} changes were late", records.len());
                    return;
                }
                Err(why) if !open => {
                    tracing::error!("{} changes are lost: {why}", records.len());
                    return;
                }
                Err(why) => self.trouble.store(Some(Arc::new(why.to_string()))),
            }
        }
    }

    /// Keeps what is noted for so long, and says that it is not written; whether more may come.
    fn refuse_for(&self, long: Duration, unwritten: &mut Unwritten) -> bool {
        let until = Instant::now() + long;
        loop {
            match self.queue.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(mut job) => {
                    unwritten.add(std::mem::take(&mut job.records));
                    job.tell(false);
                }
                Err(RecvTimeoutError::Timeout) => return true,
                Err(RecvTimeoutError::Disconnected) => return false,
            }
        }
    }
}
