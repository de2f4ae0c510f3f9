//! The receiving side, written by the RFCs, without a socket or a clock.
#![allow(unreachable_pub, missing_docs)]

use std::time::Duration;

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Manner {
    /// Acknowledges a gap once, and again after some silence.
    Plain,
    /// Acknowledges every block out of order.
    Chatty,
    /// Acknowledges every block whatever the window is.
    EveryBlock,
    /// Never says anything again by itself: many ROMs.
    Passive,
}

/// The receiving side of RFC 1350 and RFC 7440.
pub struct Receiver {
    manner: Manner,
    block: usize,
    window: usize,
    pub got: Vec<u8>,
    last: u16,
    since: usize,
    gap: bool,
    pub done: bool,
    patience: Duration,
    quiet_since: Duration,
}

impl Receiver {
    /// A client that was granted blocks of `block` bytes and windows of `window` blocks, and says again what it has
    /// after `patience`.
    pub fn new(manner: Manner, block: usize, window: usize, patience: Duration) -> Self {
        Self {
            manner,
            block,
            window,
            got: Vec::new(),
            last: 0,
            since: 0,
            gap: false,
            done: false,
            patience,
            quiet_since: Duration::ZERO,
        }
    }

    fn ack(&mut self) -> Option<Vec<u8>> {
        self.since = 0;
        Some([&[0, 4][..], &self.last.to_be_bytes()].concat())
    }

    /// Takes a datagram of the server; what comes back is to be sent.
    pub fn take(&mut self, now: Duration, datagram: &[u8]) -> Option<Vec<u8>> {
        self.quiet_since = now;
        if datagram[1] == 6 {
            return if self.last == 0 && self.got.is_empty() { self.ack() } else { None };
        }
        assert_eq!(datagram[1], 3, "a datagram that the client cannot use: {datagram:?}");
        let number = u16::from_be_bytes([datagram[2], datagram[3]]);
        if self.done {
            return if number == self.last { self.ack() } else { None };
        }
        if number == self.last.wrapping_add(1) {
            self.last = number;
            self.gap = false;
            self.got.extend_from_slice(&datagram[4..]);
            self.since += 1;
            self.done = datagram.len() - 4 < self.block;
            let due = self.done || self.since >= self.window || self.manner == Manner::EveryBlock;
            return if due { self.ack() } else { None };
        }
        let first = !std::mem::replace(&mut self.gap, true);
        let old = self.last.wrapping_sub(number) < 0x8000;
        match self.manner {
            // Lock-step: an old block means that its acknowledgement was lost.
            _ if self.window == 1 => {
                if old {
                    self.ack()
                } else {
                    None
                }
            }
            Manner::Chatty => self.ack(),
            Manner::Plain | Manner::EveryBlock | Manner::Passive => {
                if first {
                    self.ack()
                } else {
                    None
                }
            }
        }
    }

    /// When [`Self::timeout`] is due.
    pub fn wake(&self) -> Duration {
        self.quiet_since + self.patience
    }

    /// Tells the time; what comes back is to be sent.
    pub fn timeout(&mut self, now: Duration) -> Option<Vec<u8>> {
        if self.manner == Manner::Passive || self.done || now < self.wake() {
            return None;
        }
        self.quiet_since = now;
        self.ack()
    }
}
