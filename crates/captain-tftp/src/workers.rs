//! [`Workers`]: the threads that transfers run on, each with a reactor of its own.
//!
//! On a runtime whose threads share their work, one thread learns of every datagram and wakes the others for what they
//! do next: in lock-step that is one more call to the kernel for each block, and dearer than the block. A transfer that
//! stays on one thread never wakes another.

use std::io;
use std::num::NonZero;
use std::thread;

use tokio::runtime::{Builder, Handle};
use tokio_util::sync::{CancellationToken, DropGuard};

/// One thread for each processor; they end when this is dropped, and with them the transfers that still run.
pub(crate) struct Workers {
    handles: Vec<Handle>,
    _end: DropGuard,
}

impl Workers {
    /// Starts them.
    ///
    /// # Errors
    /// The system gives no thread, or no descriptors for its reactor.
    pub(crate) fn start() -> io::Result<Self> {
        let end = CancellationToken::new();
        let count = thread::available_parallelism().map_or(1, NonZero::get);
        let handles = (0..count).map(|_| start_one(end.clone())).collect::<io::Result<_>>()?;
        Ok(Self { handles, _end: end.drop_guard() })
    }

    /// The one that has the least to do.
    pub(crate) fn idlest(&self) -> Handle {
        let idlest = self.handles.iter().min_by_key(|handle| handle.metrics().num_alive_tasks());
        idlest.cloned().unwrap_or_else(Handle::current)
    }
}

fn start_one(end: CancellationToken) -> io::Result<Handle> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let handle = runtime.handle().clone();
    let work = move || runtime.block_on(end.cancelled());
    thread::Builder::new().name("captaind-tftp".to_owned()).spawn(work)?;
    Ok(handle)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn transfers_are_spread_evenly_and_end_with_the_workers() {
        let workers = Workers::start().unwrap();
        let running = (0..3 * workers.handles.len())
            .map(|_| workers.idlest().spawn(std::future::pending::<()>()))
            .collect::<Vec<_>>();
        let tasks: Vec<_> = workers.handles.iter().map(|handle| handle.metrics().num_alive_tasks()).collect();
        assert_eq!(tasks, vec![3; tasks.len()]);
        drop(workers);
        for one in running {
            assert!(one.await.is_err_and(|error| error.is_cancelled()));
        }
    }
}
