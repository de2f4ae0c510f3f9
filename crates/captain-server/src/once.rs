//! `boot = "once"`: its mark is on disk before the machine has all that it needs to start. A crash at any moment
//! costs it this one boot at most, and never gives it a second; a load that breaks off takes the mark away again.

use std::collections::HashMap;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::{Context, Poll, ready};

use captain_model::{BootPolicy, BootStage, Mac};
use futures_util::future::BoxFuture;
use futures_util::io::AsyncRead;

use crate::appliance::Appliance;
use crate::state::Record;
use crate::timeline::stage_of;

/// Last bytes of a file that wait for the mark.
pub(crate) const TAIL: u64 = 4096;

/// Loads of each machine that have their mark and are not over.
pub(crate) type Marks = Mutex<HashMap<Mac, usize>>;

/// A mark that is taken away again when this is dropped, unless the machine has used up its policy by then.
#[derive(Debug)]
pub(crate) struct Mark {
    appliance: Arc<Appliance>,
    mac: Mac,
}

/// Where a mark is kept until it is known how the load ended.
pub(crate) type Kept = Arc<OnceLock<Mark>>;

/// Ready when the mark is on disk; `false` where it cannot be.
pub(crate) type Held = BoxFuture<'static, bool>;

impl Mark {
    /// Marks `mac`; none where the mark cannot be kept.
    pub(crate) async fn of(appliance: Arc<Appliance>, mac: Mac) -> Option<Self> {
        let written = {
            let mut marks = appliance.marks.lock().unwrap_or_else(PoisonError::into_inner);
            *marks.entry(mac).or_default() += 1;
            appliance.state.kept(vec![Record::Settled(mac, true)])
        };
        let mark = Self { appliance: appliance.clone(), mac };
        written.await.then_some(mark)
    }
}

impl Drop for Mark {
    fn drop(&mut self) {
        let mut marks = self.appliance.marks.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = marks.get_mut(&self.mac) {
            *count -= 1;
            if *count == 0 {
                marks.remove(&self.mac);
                self.appliance.unmark(self.mac);
            }
        }
    }
}

/// What holds back the end of `file`, where that is what `mac` has to wait for; the mark goes to `kept`.
pub(crate) fn hold(appliance: &Arc<Appliance>, mac: Option<Mac>, file: &str, kept: &Kept) -> Option<Held> {
    let mac = mac.filter(|mac| is_all_it_needs(appliance, *mac, file))?;
    let (appliance, kept) = (appliance.clone(), kept.clone());
    Some(Box::pin(async move {
        match Mark::of(appliance, mac).await {
            // One load, one mark.
            Some(mark) => kept.set(mark).is_ok(),
            None => false,
        }
    }))
}

/// Whether `file` is the last that `mac` loads in the one boot that it may have.
pub(crate) fn is_all_it_needs(appliance: &Appliance, mac: Mac, file: &str) -> bool {
    let once = || appliance.inventory.load().identify(mac).boot_policy() == BootPolicy::Once;
    stage_of(file) == Some(BootStage::Initramfs) && once()
}

/// What who is kept waiting in vain is told.
pub(crate) fn not_kept() -> io::Error {
    io::Error::other("its one boot cannot be noted: the state cannot be written")
}

/// A reader whose last bytes are held back.
pub(crate) struct HeldReader<R> {
    inner: R,
    left: u64,
    held: Option<Held>,
}

impl<R> HeldReader<R> {
    /// `inner`, which gives `size` bytes.
    pub(crate) fn new(inner: R, size: u64, held: Option<Held>) -> Self {
        Self { inner, left: size, held }
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for HeldReader<R> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let mut most = buffer.len();
        if let Some(held) = &mut this.held {
            if this.left > TAIL {
                most = most.min(usize::try_from(this.left - TAIL).unwrap_or(most));
            } else if ready!(held.as_mut().poll(context)) {
                this.held = None;
            } else {
                return Poll::Ready(Err(not_kept()));
            }
        }
        let got = ready!(Pin::new(&mut this.inner).poll_read(context, &mut buffer[..most]))?;
        this.left = this.left.saturating_sub(got as u64);
        Poll::Ready(Ok(got))
    }
}
