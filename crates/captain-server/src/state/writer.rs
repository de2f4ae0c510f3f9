//! The thread that writes: whatever waits when it gets to it goes to disk in one commit (group commit).

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::{Record, Store};

/// What is done after the records are on disk (`true`) or could not be written (`false`).
type After = Box<dyn FnOnce(bool) + Send>;

struct Job {
    records: Vec<Record>,
    after: Option<After>,
}

/// Hands records to the writing thread.
#[derive(Debug)]
pub(crate) struct Writer {
    jobs: Mutex<Option<Sender<Job>>>,
    waiting: Arc<AtomicUsize>,
    work: Mutex<Work>,
}

/// The writing thread, before, while and after it runs.
#[derive(Debug)]
enum Work {
    Ahead(Store, Receiver<Job>),
    Running(JoinHandle<()>),
    Over,
}

/// Records in one commit at most, so that the first of a flood does not wait for the last.
const LARGEST_COMMIT: usize = 1024;
/// When a commit carried this many records, the next one is worth waiting for: pages and `fdatasync` cost the same
/// for one record and for twenty.
const CROWD: usize = 4;
/// How long it waits then: unnoticed by a client that waits for seconds.
const LINGER: Duration = Duration::from_millis(3);

impl Writer {
    /// A writer whose thread is not started: what is noted until then waits.
    pub(crate) fn new(store: Store) -> Self {
        let (jobs, queue) = channel();
        let work = Mutex::new(Work::Ahead(store, queue));
        Self { jobs: Mutex::new(Some(jobs)), waiting: Arc::default(), work }
    }

    /// Starts the thread, where it was not started before. A thread keeps the capabilities that its maker has, so this
    /// comes after they were given up.
    ///
    /// # Errors
    /// The kernel gives no thread; nothing can be written then.
    pub(crate) fn start(&self) -> io::Result<()> {
        let mut work = self.work.lock().unwrap_or_else(PoisonError::into_inner);
        *work = match std::mem::replace(&mut *work, Work::Over) {
            Work::Ahead(store, queue) => {
                let counter = self.waiting.clone();
                let thread = std::thread::Builder::new().name("captaind-state".to_owned());
                Work::Running(thread.spawn(move || write_until_closed(&store, &queue, &counter))?)
            }
            other => other,
        };
        Ok(())
    }

    /// Writes `records` soon.
    pub(crate) fn note(&self, records: Vec<Record>) {
        self.send(Job { records, after: None });
    }

    /// Writes `records`, then calls `after` on the writing thread with whether that worked.
    pub(crate) fn then(&self, records: Vec<Record>, after: impl FnOnce(bool) + Send + 'static) {
        self.send(Job { records, after: Some(Box::new(after)) });
    }

    /// Waits until everything that was noted before is on disk; whether the last commit worked.
    pub(crate) async fn flushed(&self) -> bool {
        let (tell, told) = tokio::sync::oneshot::channel();
        self.then(Vec::new(), move |written| {
            // Who waited has gone away.
            let _nobody = tell.send(written);
        });
        told.await.unwrap_or(false)
    }

    /// Jobs that are not written yet.
    pub(crate) fn backlog(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Writes what waits and ends the thread. What is noted later is lost.
    pub(crate) fn close(&self) {
        drop(self.jobs.lock().unwrap_or_else(PoisonError::into_inner).take());
        let mut work = self.work.lock().unwrap_or_else(PoisonError::into_inner);
        if let Work::Running(thread) = std::mem::replace(&mut *work, Work::Over)
            && thread.join().is_err()
        {
            tracing::error!("the state writer panicked");
        }
    }

    fn send(&self, job: Job) {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        if jobs.as_ref().is_none_or(|jobs| jobs.send(job).is_err()) {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

fn write_until_closed(store: &Store, queue: &Receiver<Job>, waiting: &AtomicUsize) {
    let (mut crowded, mut written) = (false, true);
    while let Ok(first) = queue.recv() {
        if crowded {
            std::thread::sleep(LINGER);
        }
        let mut records = first.records;
        let mut after: Vec<Option<After>> = vec![first.after];
        while records.len() < LARGEST_COMMIT
            && let Ok(next) = queue.try_recv()
        {
            records.extend(next.records);
            after.push(next.after);
        }
        crowded = records.len() >= CROWD;
        // Where there is nothing to write, what was noted before is what is asked about.
        if !records.is_empty() {
            written = commit(store, &records);
        }
        waiting.fetch_sub(after.len(), Ordering::Relaxed);
        for after in after.into_iter().flatten() {
            after(written);
        }
    }
}

fn commit(store: &Store, records: &[Record]) -> bool {
    match store.commit(records) {
        Ok(()) => true,
        Err(error) => {
            tracing::error!("the state cannot be written, so no address is acknowledged: {error}");
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use captain_model::Mac;

    #[test]
    fn what_follows_runs_after_the_record_is_on_disk_and_closing_writes_the_rest() {
        let folder = tempfile::tempdir().unwrap();
        let (store, _) = Store::open(folder.path()).unwrap();
        let writer = Writer::new(store);
        writer.start().unwrap();
        let (told, hear) = channel();
        for last in 0..100 {
            let told = told.clone();
            let mac = Mac::new([2, 0, 0, 0, 0, last]);
            writer.then(vec![Record::Settled(mac, true)], move |written| {
                told.send((last, written)).unwrap();
            });
        }
        writer.close();
        drop(told);
        assert_eq!(hear.iter().collect::<Vec<_>>(), (0..100).map(|n| (n, true)).collect::<Vec<_>>());
        assert_eq!(writer.backlog(), 0);
        let (_, loaded) = Store::open(folder.path()).unwrap();
        assert_eq!(loaded.settled.len(), 100);
    }
}
