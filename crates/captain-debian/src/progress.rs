//! How long work reports itself: the caller decides whether that is a bar, a log line or nothing.

/// Receives what the archive client (and the image builder on top of it) is doing.
pub trait Progress: Send + Sync {
    /// `task` starts. `total` is in the unit that [`Task::advance`] counts (bytes for downloads), where known.
    fn begin(&self, task: &str, total: Option<u64>) -> Box<dyn Task>;
}

/// One piece of work under way.
pub trait Task: Send + Sync {
    /// `by` more units are done.
    fn advance(&self, by: u64);
    /// How much it is in all, where that was not known when it began.
    fn total(&self, _total: u64) {}
    /// Where the work is now, for tasks that cannot be counted. Comes often; who tells it to a log leaves most out.
    fn at(&self, _place: &str) {}
    /// The task is over; `note` is one short sentence for the log.
    fn done(&self, note: &str);
}

/// Reports nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoProgress;

impl Progress for NoProgress {
    fn begin(&self, _task: &str, _total: Option<u64>) -> Box<dyn Task> {
        Box::new(Self)
    }
}

impl Task for NoProgress {
    fn advance(&self, _by: u64) {}
    fn done(&self, _note: &str) {}
}
