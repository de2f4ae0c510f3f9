//! [`Table`]: which transfers run, for whom, and what was learnt about clients.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

/// Signals that may wait for a transfer; more are lost, as datagrams are.
const QUEUE: usize = 64;
/// How long a client is given smaller blocks after large ones did not reach it.
const MEMORY: Duration = Duration::from_secs(3600);
/// Clients remembered: addresses can be forged.
const REMEMBERED: usize = 1024;

/// What the listener tells a running transfer.
#[derive(Debug)]
pub(crate) enum Signal {
    /// The same request came once more.
    Repeat,
    /// A datagram of its client came to the listening port (single-port mode).
    Datagram(Vec<u8>),
    /// Its client never answered, and others ask.
    Evict,
    /// The daemon ends.
    Stop,
}

/// One end of a conversation: the client's address and port, and our address that it asked.
pub(crate) type Key = (SocketAddrV4, Ipv4Addr);

/// The listener's hold on a transfer. Dropping it tells the transfer that another took its place.
struct Slot {
    number: u64,
    request: Vec<u8>,
    signals: mpsc::Sender<Signal>,
    begun: Arc<AtomicBool>,
}

/// All transfers of one engine.
pub(crate) struct Table {
    state: Mutex<State>,
    max_transfers: usize,
    max_per_client: usize,
}

#[derive(Default)]
struct State {
    slots: HashMap<Key, Slot>,
    running: usize,
    per_client: HashMap<Ipv4Addr, usize>,
    small: HashMap<Ipv4Addr, (u16, Instant)>,
    next: u64,
}

/// The right to run one transfer; given back when dropped.
pub(crate) struct Permit {
    table: Arc<Table>,
    key: Key,
    number: u64,
    /// What the listener says; its end means that the client began anew.
    pub(crate) signals: mpsc::Receiver<Signal>,
    begun: Arc<AtomicBool>,
}

/// What becomes of a request.
pub(crate) enum Admission {
    /// It is a transfer.
    New(Permit),
    /// There are too many.
    Refused(String),
}

impl Table {
    pub(crate) fn new(max_transfers: usize, max_per_client: usize) -> Arc<Self> {
        Arc::new(Self { state: Mutex::default(), max_transfers, max_per_client })
    }

    /// Whether it is the same request sent again, which its transfer is told then. It is until its client has
    /// acknowledged something; after that, and for any other request, the client began anew.
    pub(crate) fn repeats(&self, key: Key, request: &[u8]) -> bool {
        let state = self.lock();
        let same = |slot: &&Slot| slot.request == request && !slot.begun.load(Ordering::Relaxed);
        let Some(slot) = state.slots.get(&key).filter(same) else { return false };
        // A full queue loses it, as the network might have.
        let _ = slot.signals.try_send(Signal::Repeat);
        true
    }

    /// Decides on a request that is no repetition. A transfer from the same port ends (a power cycle, a ROM with fixed
    /// ports). Where there are as many as may be, the oldest one whose client never answered ends: it may be forged.
    pub(crate) fn admit(self: &Arc<Self>, key: Key, request: &[u8]) -> Admission {
        let mut state = self.lock();
        let mut freed = usize::from(state.slots.remove(&key).is_some());
        let client = state.per_client.get(key.0.ip()).copied().unwrap_or(0);
        if client >= self.max_per_client + freed {
            return Admission::Refused(format!("too many: you have {client} transfers already"));
        }
        if state.running == self.max_transfers && freed == 0 {
            freed = usize::from(state.evict());
        }
        if state.running >= self.max_transfers + freed {
            return Admission::Refused(format!("busy: {} transfers run already, try again", state.running));
        }
        Admission::New(self.enter(&mut state, key, request))
    }

    fn enter(self: &Arc<Self>, state: &mut State, key: Key, request: &[u8]) -> Permit {
        let (sender, signals) = mpsc::channel(QUEUE);
        let begun = Arc::new(AtomicBool::new(false));
        let number = state.next;
        state.next += 1;
        state.running += 1;
        *state.per_client.entry(*key.0.ip()).or_default() += 1;
        let slot = Slot { number, request: request.to_vec(), signals: sender, begun: begun.clone() };
        state.slots.insert(key, slot);
        Permit { table: self.clone(), key, number, signals, begun }
    }

    /// Hands a datagram to the transfer it belongs to; false if there is none.
    pub(crate) fn deliver(&self, key: Key, datagram: &[u8]) -> bool {
        match self.lock().slots.get(&key) {
            // As above: a full queue is loss.
            Some(slot) => slot.signals.try_send(Signal::Datagram(datagram.to_vec())).map_or(true, |()| true),
            None => false,
        }
    }

    /// Ends every transfer.
    pub(crate) fn stop(&self) {
        for (_, slot) in self.lock().slots.drain() {
            let _ = slot.signals.try_send(Signal::Stop);
        }
    }

    /// The largest block that is known to reach this client.
    pub(crate) fn block_cap(&self, client: Ipv4Addr) -> u16 {
        let mut state = self.lock();
        match state.small.get(&client) {
            Some((cap, until)) if *until > Instant::now() => *cap,
            Some(_) => {
                state.small.remove(&client);
                u16::MAX
            }
            None => u16::MAX,
        }
    }

    /// Blocks of `size` bytes do not reach this client: its next transfer gets smaller ones.
    pub(crate) fn shrink(&self, client: Ipv4Addr, size: usize) {
        let mut state = self.lock();
        let cap = if size > 1024 { 1024 } else { 512 };
        if state.small.len() < REMEMBERED || state.small.contains_key(&client) {
            state.small.insert(client, (cap, Instant::now() + MEMORY));
        }
    }

    /// They do after all; it was only slow.
    pub(crate) fn forgive(&self, client: Ipv4Addr) {
        self.lock().small.remove(&client);
    }

    /// A panic of a handler must not end the engine: the maps are whole between any two lines.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Ends the oldest transfer whose client has not answered.
    fn evict(&mut self) -> bool {
        let silent = self.slots.iter().filter(|(_, slot)| !slot.begun.load(Ordering::Relaxed));
        let Some(key) = silent.min_by_key(|(_, slot)| slot.number).map(|(key, _)| *key) else { return false };
        if let Some(slot) = self.slots.remove(&key) {
            let _ = slot.signals.try_send(Signal::Evict);
        }
        true
    }
}

impl Permit {
    /// After the client ended the transfer: whether it asked for the same once more since (`heeded` says that we know), by
    /// which it cannot have meant the transfer that it ended. If so, the permit is good for one more, else nothing more
    /// comes for this one.
    pub(crate) fn renew(&mut self, heeded: bool) -> bool {
        let mut state = self.table.lock();
        let ours = state.slots.get(&self.key).is_some_and(|slot| slot.number == self.number);
        let mut waiting = std::iter::from_fn(|| self.signals.try_recv().ok());
        let again = waiting.any(|signal| matches!(signal, Signal::Repeat)) || heeded;
        if ours && again {
            self.begun.store(false, Ordering::Relaxed);
        } else if ours {
            state.slots.remove(&self.key);
        }
        ours && again
    }

    /// From now on, an equal request is a new one.
    pub(crate) fn begin(&self) {
        self.begun.store(true, Ordering::Relaxed);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut state = self.table.lock();
        state.running -= 1;
        if let Some(count) = state.per_client.get_mut(self.key.0.ip()) {
            *count -= 1;
            if *count == 0 {
                state.per_client.remove(self.key.0.ip());
            }
        }
        if state.slots.get(&self.key).is_some_and(|slot| slot.number == self.number) {
            state.slots.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(host: u8, port: u16) -> Key {
        (SocketAddrV4::new(Ipv4Addr::new(192, 0, 2, host), port), Ipv4Addr::LOCALHOST)
    }

    fn new(admission: Admission) -> Permit {
        match admission {
            Admission::New(permit) => permit,
            Admission::Refused(why) => panic!("{why}"),
        }
    }

    #[test]
    fn an_equal_request_is_the_same_until_the_client_acknowledged_something() {
        let table = Table::new(8, 8);
        let mut first = new(table.admit(key(1, 1), b"a"));
        assert!(table.repeats(key(1, 1), b"a"));
        assert!(matches!(first.signals.try_recv(), Ok(Signal::Repeat)));
        assert!(!table.repeats(key(1, 1), b"b"));
        first.begin();
        assert!(!table.repeats(key(1, 1), b"a"));
        let _second = new(table.admit(key(1, 1), b"a"));
        assert!(matches!(first.signals.try_recv(), Err(mpsc::error::TryRecvError::Disconnected)));
        drop(first);
        assert!(table.deliver(key(1, 1), b"x"), "the end of the old one leaves the new one in place");
    }

    #[test]
    fn another_request_from_the_same_port_takes_the_place_even_at_the_cap() {
        let table = Table::new(1, 1);
        let _first = new(table.admit(key(1, 1), b"a"));
        let _second = new(table.admit(key(1, 1), b"b"));
    }

    #[test]
    fn caps_hold_per_client_and_in_all_and_are_freed_again() {
        let table = Table::new(3, 2);
        let first = new(table.admit(key(1, 1), b"a"));
        let second = new(table.admit(key(1, 2), b"a"));
        assert!(matches!(table.admit(key(1, 3), b"a"), Admission::Refused(why) if why.contains("too many")));
        let third = new(table.admit(key(2, 1), b"a"));
        for permit in [&first, &second, &third] {
            permit.begin();
        }
        assert!(matches!(table.admit(key(3, 1), b"a"), Admission::Refused(why) if why.contains("busy")));
        drop(first);
        let _fourth = new(table.admit(key(3, 1), b"a"));
    }

    #[test]
    fn where_all_is_taken_the_oldest_whose_client_never_answered_goes_and_one_at_a_time() {
        let table = Table::new(3, 3);
        let first = new(table.admit(key(1, 1), b"a"));
        first.begin();
        let mut second = new(table.admit(key(1, 2), b"a"));
        let mut third = new(table.admit(key(1, 3), b"a"));
        let _fourth = new(table.admit(key(2, 1), b"a"));
        assert!(matches!(second.signals.try_recv(), Ok(Signal::Evict)));
        assert!(matches!(table.admit(key(3, 1), b"a"), Admission::Refused(why) if why.contains("busy")));
        assert!(third.signals.try_recv().is_err(), "the one before has not gone yet");
        drop(second);
        let _fifth = new(table.admit(key(3, 1), b"a"));
        assert!(matches!(third.signals.try_recv(), Ok(Signal::Evict)));
    }

    #[test]
    fn a_client_that_ends_a_transfer_and_asks_for_the_same_gets_it() {
        let table = Table::new(8, 8);
        let mut permit = new(table.admit(key(1, 1), b"a"));
        assert!(table.repeats(key(1, 1), b"a"));
        assert!(permit.renew(false), "it waits in the queue");
        assert!(permit.renew(true), "it was heeded before");
        permit.begin();
        assert!(permit.renew(true));
        assert!(table.repeats(key(1, 1), b"a"), "it has not begun again");
        assert!(permit.renew(false));
        assert!(!permit.renew(false));
        assert!(!table.repeats(key(1, 1), b"a"), "it is over");
        let _next = new(table.admit(key(1, 1), b"a"));
        assert!(!permit.renew(true), "another has its place");
        assert!(table.deliver(key(1, 1), b"x"));
    }

    #[test]
    fn blocks_shrink_in_two_steps_and_grow_back_when_forgiven() {
        let table = Table::new(1, 1);
        let client = Ipv4Addr::LOCALHOST;
        assert_eq!(table.block_cap(client), u16::MAX);
        table.shrink(client, 1468);
        assert_eq!(table.block_cap(client), 1024);
        table.shrink(client, 1024);
        assert_eq!(table.block_cap(client), 512);
        table.forgive(client);
        assert_eq!(table.block_cap(client), u16::MAX);
    }
}
