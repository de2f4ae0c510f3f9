//! The way to the writing thread.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use tokio_util::sync::CancellationToken;

use super::keeper::{Job, Keeper, Trouble, Waits};
use super::{Record, Store};

/// Hands records to the writing thread.
#[derive(Debug)]
pub(crate) struct Writer {
    jobs: Mutex<Option<Sender<Job>>>,
    waiting: Arc<AtomicUsize>,
    trouble: Trouble,
    gone: CancellationToken,
    work: Mutex<Work>,
}

/// The writing thread, before, while and after it runs.
#[derive(Debug)]
enum Work {
    Ahead(Keeper),
    Running(JoinHandle<()>),
    Over,
}

impl Writer {
    /// A writer whose thread is not started: what is noted until then waits.
    pub(crate) fn new(store: Store) -> Self {
        let (jobs, queue) = channel();
        let trouble = Trouble::default();
        let work = Mutex::new(Work::Ahead(Keeper { store, queue, trouble: trouble.clone() }));
        let (waiting, gone) = (Arc::default(), CancellationToken::new());
        Self { jobs: Mutex::new(Some(jobs)), waiting, trouble, gone, work }
    }

    /// Starts the thread, where it was not started before. A thread keeps the capabilities that its maker has, so this
    /// comes after they were given up.
    ///
    /// # Errors
    /// The kernel gives no thread; nothing can be written then.
    pub(crate) fn start(&self) -> io::Result<()> {
        let mut work = self.work.lock().unwrap_or_else(PoisonError::into_inner);
        *work = match std::mem::replace(&mut *work, Work::Over) {
            Work::Ahead(keeper) => {
                let gone = self.gone.clone().drop_guard();
                let thread = std::thread::Builder::new().name("captaind-state".to_owned());
                Work::Running(thread.spawn(move || {
                    let _gone = gone;
                    keeper.run();
                })?)
            }
            other => other,
        };
        Ok(())
    }

    /// Writes `records` soon.
    pub(crate) fn note(&self, records: Vec<Record>) {
        self.send(Job { records, after: None, waits: Waits::in_line(&self.waiting) });
    }

    /// Writes `records`, then calls `after` on the writing thread with whether that worked. What did not work is tried
    /// again without another word.
    pub(crate) fn then(&self, records: Vec<Record>, after: impl FnOnce(bool) + Send + 'static) {
        self.send(Job { records, after: Some(Box::new(after)), waits: Waits::in_line(&self.waiting) });
    }

    /// Waits until everything that was noted before is on disk; whether it is.
    pub(crate) async fn flushed(&self) -> bool {
        self.kept(Vec::new()).await
    }

    /// Notes `records` at once; ready when they, and all that was noted before, are on disk: whether they are.
    pub(crate) fn kept(&self, records: Vec<Record>) -> impl Future<Output = bool> + use<> {
        let (tell, told) = tokio::sync::oneshot::channel();
        self.then(records, move |written| {
            // Who waited has gone away.
            let _nobody = tell.send(written);
        });
        async move { told.await.unwrap_or(false) }
    }

    /// Jobs that are not written yet.
    pub(crate) fn backlog(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Why nothing can be written now; `None` where it can.
    pub(crate) fn trouble(&self) -> Option<Arc<String>> {
        self.trouble.load_full()
    }

    /// Waits for the thread's end, which comes by [`Self::close`] or by a defect.
    pub(crate) async fn gone(&self) {
        self.gone.cancelled().await;
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

    /// Where nobody takes it any more it is dropped, and not waited for.
    fn send(&self, job: Job) {
        if let Some(jobs) = &*self.jobs.lock().unwrap_or_else(PoisonError::into_inner) {
            let _nobody = jobs.send(job);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::open;
    use super::*;
    use crate::testing::Disk;
    use captain_dhcp::LeaseChange;
    use captain_model::{Lease, Mac, Timestamp};
    use std::net::Ipv4Addr;
    use std::time::Duration;

    fn lease(last: u8) -> Record {
        Record::Lease(LeaseChange::Put(Lease {
            mac: Mac::new([2, 0, 0, 0, 0, last]),
            address: Ipv4Addr::new(192, 168, 50, last),
            expires: Timestamp::from_millis(1_000),
            client_id: None,
            hostname: None,
        }))
    }

    async fn soon(mut what: impl FnMut() -> bool) -> bool {
        for _ in 0..500 {
            if what() {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        false
    }

    #[test]
    fn what_follows_runs_after_the_record_is_on_disk_and_closing_writes_the_rest() {
        let folder = tempfile::tempdir().unwrap();
        let writer = Writer::new(open(folder.path()).unwrap().0);
        writer.start().unwrap();
        let (told, hear) = channel();
        for last in 0..100 {
            let told = told.clone();
            writer.then(vec![lease(last)], move |written| told.send((last, written)).unwrap());
        }
        writer.close();
        drop(told);
        assert_eq!(hear.iter().collect::<Vec<_>>(), (0..100).map(|n| (n, true)).collect::<Vec<_>>());
        assert_eq!(writer.backlog(), 0);
        assert_eq!(open(folder.path()).unwrap().1.leases.len(), 100);
    }

    #[tokio::test]
    async fn a_disk_that_refuses_for_a_while_costs_what_was_asked_meanwhile_and_loses_nothing() {
        let (folder, disk) = (tempfile::tempdir().unwrap(), Disk::default());
        let writer = Writer::new(Store::on(folder.path(), disk.clone()).unwrap());
        writer.start().unwrap();
        assert!(writer.kept(vec![lease(1)]).await);
        disk.fail(true);
        assert!(!writer.kept(vec![lease(2)]).await, "not written, so not said to be");
        assert!(!writer.flushed().await, "nor is what was noted before");
        assert!(writer.trouble().unwrap().contains("the disk is full"));
        (0..2000).for_each(|_| writer.note(vec![lease(3)]));
        assert!(soon(|| writer.backlog() == 0).await, "the disk may never come back");
        disk.fail(false);
        assert!(soon(|| writer.trouble().is_none()).await);
        assert!(writer.kept(vec![lease(4)]).await, "without a restart");
        writer.close();
        let leases = super::super::store::leases_on(disk);
        assert_eq!(leases, [1, 2, 3, 4].map(|last| Ipv4Addr::new(192, 168, 50, last)));
    }

    #[tokio::test]
    async fn a_single_failed_write_and_a_panic_in_the_database_are_not_even_noticed() {
        let (folder, disk) = (tempfile::tempdir().unwrap(), Disk::default());
        let writer = Writer::new(Store::on(folder.path(), disk.clone()).unwrap());
        writer.start().unwrap();
        for panics in [false, true] {
            disk.fail_once(panics);
            assert!(writer.kept(vec![lease(1)]).await, "panics: {panics}");
        }
        assert!(writer.trouble().is_none());
    }

    #[tokio::test]
    async fn the_end_of_the_thread_is_told_and_nobody_waits_for_it() {
        let folder = tempfile::tempdir().unwrap();
        let writer = Writer::new(open(folder.path()).unwrap().0);
        writer.then(vec![lease(1)], |_| panic!("a defect of the test"));
        (0..1000).for_each(|_| writer.note(vec![lease(2)]));
        writer.start().unwrap();
        tokio::time::timeout(Duration::from_secs(5), writer.gone()).await.unwrap();
        assert!(!writer.flushed().await);
        assert_eq!(writer.backlog(), 0);
    }
}
