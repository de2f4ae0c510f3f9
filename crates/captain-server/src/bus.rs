//! The one stream of events: timeline, history, log, metrics and listeners are views of it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use captain_model::{BootPolicy, Event, Mac, Timestamp};
use tokio::sync::broadcast;

use crate::log;
use crate::metrics::Counters;
use crate::timeline::{Boot, Timeline};

/// Events kept for those who come later.
pub(crate) const HISTORY: usize = 4096;

/// Takes events and hands them on. Publishing never waits for a listener: one that is slow loses the oldest.
#[derive(Debug)]
pub(crate) struct Bus {
    inner: Mutex<Inner>,
    listeners: broadcast::Sender<Arc<Event>>,
    counters: Counters,
}

#[derive(Debug)]
struct Inner {
    timeline: Timeline,
    history: VecDeque<Arc<Event>>,
}

/// What the publisher has to see to.
#[derive(Debug, Default)]
pub(crate) struct Consequences {
    /// The boot that changed.
    pub(crate) boot: Option<Boot>,
    /// Whether the machine has now used up its boot policy.
    pub(crate) settled: bool,
}

impl Bus {
    /// A bus that goes on with `timeline`.
    pub(crate) fn new(timeline: Timeline) -> Self {
        let inner = Mutex::new(Inner { timeline, history: VecDeque::with_capacity(HISTORY) });
        Self { inner, listeners: broadcast::channel(HISTORY).0, counters: Counters::default() }
    }

    /// Publishes `event` and all that follows from it, in order.
    pub(crate) fn publish(&self, event: Event, policy: BootPolicy) -> Consequences {
        let mut inner = self.lock();
        let observed = inner.timeline.observe(event, policy);
        for event in observed.events {
            log::line(&event);
            self.counters.count(&event.kind);
            let event = Arc::new(event);
            if inner.history.len() == HISTORY {
                inner.history.pop_front();
            }
            inner.history.push_back(event.clone());
            // No listener is no fault.
            let _unheard = self.listeners.send(event);
        }
        Consequences { boot: observed.changed, settled: observed.settled }
    }

    /// What happened after `since`, as far as it is remembered, and everything from now on, without a gap.
    pub(crate) fn follow(&self, since: Timestamp) -> (Vec<Arc<Event>>, broadcast::Receiver<Arc<Event>>) {
        let inner = self.lock();
        let past = inner.history.iter().filter(|event| event.at > since).cloned().collect();
        (past, self.listeners.subscribe())
    }

    /// Reads the timeline.
    pub(crate) fn timeline<T>(&self, read: impl FnOnce(&Timeline) -> T) -> T {
        read(&self.lock().timeline)
    }

    /// The latest boot of `mac`.
    pub(crate) fn latest_boot(&self, mac: Mac) -> Option<Boot> {
        self.timeline(|timeline| timeline.latest(mac).cloned())
    }

    /// Counters of all events so far.
    pub(crate) const fn counters(&self) -> &Counters {
        &self.counters
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use captain_model::{BootStage, EventKind};

    fn report(at: u64, step: &str) -> Event {
        let kind = EventKind::Report { step: step.into(), detail: String::new() };
        Event::new(Timestamp::from_millis(at), Mac::new([2, 0, 0, 0, 0, 1]), kind)
    }

    #[test]
    fn a_listener_gets_the_past_and_the_future_without_gap_or_double() {
        let bus = Bus::new(Timeline::new([], 1));
        bus.publish(report(1, "userland"), BootPolicy::Always);
        bus.publish(report(2, "agent-pull"), BootPolicy::Always);
        let (past, mut future) = bus.follow(Timestamp::from_millis(1));
        bus.publish(report(3, "agent"), BootPolicy::Always);
        assert_eq!(past.len(), 1);
        assert_eq!(future.try_recv().unwrap().at, Timestamp::from_millis(3));
        let stage = EventKind::Stage { stage: BootStage::Agent };
        assert_eq!(future.try_recv().unwrap().kind, stage);
        assert!(future.try_recv().is_err());
    }

    #[test]
    fn history_is_bounded_and_a_sleeping_listener_stops_nobody() {
        let bus = Bus::new(Timeline::new([], 1));
        let (_, _asleep) = bus.follow(Timestamp::default());
        for at in 1..=HISTORY as u64 + 10 {
            bus.publish(Event::new(Timestamp::from_millis(at), None, EventKind::Done), BootPolicy::Always);
        }
        assert_eq!(bus.follow(Timestamp::default()).0.len(), HISTORY);
    }
}
