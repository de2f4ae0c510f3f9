//! [`Transfer`]: one file on its way to one client. No socket, no clock: time is what the caller says it is.
//!
//! Blocks are kept until they are acknowledged, at most one window of them, and each is sent as soon as it was read.
//! An acknowledgement inside the window (RFC 7440 section 4) or, with windows, of the block before it means that
//! something was lost, or only that something came twice or late: everything after it is sent again unless a newer one
//! comes within a moment, and new blocks go out at once. In lock-step (window 1) a repeated
//! acknowledgement is never answered: RFC 1123 section 4.2.3.1, the Sorcerer's Apprentice.

use std::collections::VecDeque;
use std::time::Duration;

use crate::end::{End, Limits};
use crate::options::Terms;
use crate::patience::Patience;
use crate::wire::{self, Code, HEADER, Reply};

/// Least time between answers to the same complaint, before they become rarer still.
const COMPLAINT: Duration = Duration::from_micros(500);

/// What a brisk client has taken, and how fast it answers.
const BRISK_BYTES: u64 = 64 << 10;
const BRISK_ROUND_TRIP: Duration = Duration::from_millis(2);

#[derive(Debug, PartialEq, Eq)]
enum Phase {
    /// The OACK waits for its acknowledgement, block 0.
    Offering,
    Sending,
    Over(End),
}

/// The sending side of a read request, after the file was opened and the options were agreed.
#[derive(Debug)]
pub struct Transfer {
    terms: Terms,
    limits: Limits,
    phase: Phase,
    /// An OACK or ERROR, and whether it is to be sent now.
    control: (Vec<u8>, bool),
    /// Blocks as datagrams, from the first that is not acknowledged.
    window: VecDeque<Vec<u8>>,
    /// Number of the first of them; wraps from 65535 to 0.
    base: u16,
    /// How many of them need not be sent now.
    sent: usize,
    /// Buffers of acknowledged blocks.
    spare: Vec<Vec<u8>>,
    /// The last block is in the window or was acknowledged.
    ended: bool,
    /// Payload bytes that were acknowledged.
    bytes: u64,
    patience: Patience,
    sent_at: Duration,
    /// When the client last acknowledged something new.
    progress_at: Duration,
    /// What is out was sent more than once: its round trip says nothing.
    repeated: bool,
    /// Without progress: sent again after silence, sent again because the client said so, asked for again.
    attempts: u32,
    complaints: u32,
    begged: u32,
    /// An acknowledgement leaves it open whether something was lost: when all is sent again if no newer one came.
    doubt: Option<Duration>,
    /// The client acknowledged something, and acknowledged data.
    began: bool,
    got_data: bool,
    dismissed: bool,
    first_data_lost: u32,
}

impl Transfer {
    /// A transfer that begins at `now`, counted from any fixed moment.
    pub fn new(now: Duration, terms: Terms, limits: Limits) -> Self {
        let patience = Patience::new(terms.timeout);
        let (phase, control) = match &terms.offer {
            Some(offer) => (Phase::Offering, (offer.clone(), true)),
            None => (Phase::Sending, (Vec::new(), false)),
        };
        Self {
            terms,
            limits,
            phase,
            control,
            window: VecDeque::new(),
            base: 1,
            sent: 0,
            spare: Vec::new(),
            ended: false,
            bytes: 0,
            patience,
            sent_at: now,
            progress_at: now,
            repeated: false,
            attempts: 0,
            complaints: 0,
            begged: 0,
            doubt: None,
            began: false,
            got_data: false,
            dismissed: false,
            first_data_lost: 0,
        }
    }

    /// How it ended, if it did. The last datagram may still be waiting in [`Self::transmit`].
    pub fn end(&self) -> Option<&End> {
        match &self.phase {
            Phase::Over(end) => Some(end),
            Phase::Offering | Phase::Sending => None,
        }
    }

    /// Whether the client acknowledged anything: until then, an equal request is the same one sent again.
    pub fn has_begun(&self) -> bool {
        self.began
    }

    /// Whether the client ended it.
    pub(crate) fn is_dismissed(&self) -> bool {
        self.dismissed
    }

    /// Whether the client is there but the first blocks do not reach it: on tunnels, large ones never will.
    pub fn loses_first_data(&self) -> bool {
        self.first_data_lost >= 2
    }

    /// Whether the client has answered all that it was sent.
    pub(crate) fn is_answered(&self) -> bool {
        self.phase == Phase::Sending && self.window.is_empty()
    }

    /// Whether the client has taken a lot already and answers fast.
    pub fn is_brisk(&self) -> bool {
        self.bytes >= BRISK_BYTES && self.patience.round_trip() <= BRISK_ROUND_TRIP
    }

    /// When [`Self::handle_timeout`] is due; `None` when it is over.
    pub fn deadline(&self) -> Option<Duration> {
        let idle = self.progress_at + self.limits.idle;
        let late = match self.phase {
            Phase::Over(_) => return None,
            // While blocks are still being read, the client cannot be late.
            Phase::Sending if self.wants_block() => None,
            Phase::Offering | Phase::Sending => Some(self.sent_at + self.patience.wait()),
        };
        [Some(idle), late, self.doubt].into_iter().flatten().min()
    }

    /// Whether one more block should be read and given to [`Self::supply`]. One is read while the OACK is out.
    pub fn wants_block(&self) -> bool {
        let room = match self.phase {
            Phase::Offering => 1,
            Phase::Sending => self.terms.window_size,
            Phase::Over(_) => 0,
        };
        !self.ended && self.window.len() < room
    }

    /// An empty block: payload is to be appended to it, up to [`Self::block_end`] bytes in all.
    pub fn buffer(&mut self) -> Vec<u8> {
        let mut buffer = self.spare.pop().unwrap_or_else(|| Vec::with_capacity(self.block_end()));
        buffer.clear();
        buffer.resize(HEADER, 0);
        buffer
    }

    /// Length of a full block with its header.
    pub fn block_end(&self) -> usize {
        HEADER + self.terms.block_size
    }

    /// Takes the next block. One that is not full is the last (RFC 1350 section 6), even if it is empty.
    pub fn supply(&mut self, mut block: Vec<u8>) {
        let ahead = u16::try_from(self.window.len()).unwrap_or(u16::MAX);
        wire::number_block(&mut block, self.base.wrapping_add(ahead));
        self.ended = block.len() < self.block_end();
        self.window.push_back(block);
    }

    /// Everything that is to be sent now, in order.
    pub fn transmit(&mut self, now: Duration) -> impl Iterator<Item = &[u8]> {
        let control = std::mem::take(&mut self.control.1);
        let from = match self.phase {
            Phase::Sending => std::mem::replace(&mut self.sent, self.window.len()),
            Phase::Offering | Phase::Over(_) => self.window.len(),
        };
        if control || from < self.window.len() {
            self.sent_at = now;
        }
        control
            .then_some(self.control.0.as_slice())
            .into_iter()
            .chain(self.window.range(from..).map(Vec::as_slice))
    }

    /// Takes a datagram of the client.
    pub fn handle(&mut self, now: Duration, datagram: &[u8]) {
        let Some(reply) = Reply::parse(datagram) else { return };
        match (&self.phase, reply) {
            (Phase::Over(_), _) => {}
            (_, Reply::Error { code, text }) => {
                self.dismissed = true;
                self.leave(format!("the client ended it with error {code}: {text}"));
            }
            (Phase::Offering, Reply::Ack(0)) => self.accepted(now),
            (Phase::Offering, Reply::Ack(_)) => {}
            (Phase::Sending, Reply::Ack(number)) => self.acknowledged(now, number),
        }
    }

    /// Tells that the deadline has come.
    pub fn handle_timeout(&mut self, now: Duration) {
        if self.deadline().is_none_or(|deadline| now < deadline) {
            return;
        }
        if now >= self.progress_at + self.limits.idle {
            let who =
                if self.wants_block() { "the file gave nothing" } else { "the client acknowledged nothing" };
            let seconds = self.limits.idle.as_secs();
            return self.abort(Code::Undefined as u16, &format!("{who} for {seconds} s"));
        }
        if self.doubt.is_some_and(|doubt| now >= doubt) {
            return self.rewind();
        }
        self.patience.back_off();
        self.attempts += 1;
        if self.attempts > self.limits.retries {
            return self.give_up();
        }
        self.count_first_data();
        self.rewind();
    }

    /// Tells that the same request came once more.
    pub fn handle_repeat(&mut self) {
        if self.began || self.begged >= self.limits.retries {
            return;
        }
        self.begged += 1;
        self.rewind();
    }

    /// Ends it from our side with an ERROR to the client.
    pub fn abort(&mut self, code: u16, why: &str) {
        if self.end().is_none() {
            self.control = (wire::raw_error(code, why), true);
            self.fail(why.to_owned());
        }
    }

    /// Ends it without a word: the client is elsewhere by now.
    pub fn abandon(&mut self, why: &str) {
        if self.end().is_none() {
            self.leave(why.to_owned());
        }
    }

    /// The client wants no more: where it was told the size and took nothing, that was what it wanted.
    fn leave(&mut self, why: String) {
        if self.terms.told_size && !self.got_data {
            self.finish(End::Probe);
        } else {
            self.fail(why);
        }
    }

    fn accepted(&mut self, now: Duration) {
        self.measure(now);
        self.progress(now);
        self.phase = Phase::Sending;
        self.repeated = false;
    }

    fn acknowledged(&mut self, now: Duration, number: u16) {
        // 0 is the block before the window; what lies beyond it was never sent.
        match usize::from(number.wrapping_sub(self.base).wrapping_add(1)) {
            0 => self.missed(now),
            count if count <= self.window.len() => self.advance(now, count),
            _ => {}
        }
    }

    fn advance(&mut self, now: Duration, count: usize) {
        // Only the last block's acknowledgement answers what was sent last.
        if count == self.window.len() {
            self.measure(now);
        }
        self.progress(now);
        self.got_data = true;
        for block in self.window.drain(..count) {
            self.bytes += (block.len() - HEADER) as u64;
            self.spare.push(block);
        }
        self.base = self.base.wrapping_add(u16::try_from(count).unwrap_or(u16::MAX));
        self.sent = self.sent.saturating_sub(count);
        if self.window.is_empty() {
            self.repeated = false;
            if self.ended {
                self.finish(End::Complete { bytes: self.bytes });
            }
        } else {
            self.doubt = Some(now + self.patience.moment());
        }
    }

    /// The client has nothing of this window. In lock-step that is an old acknowledgement, or one sent twice; it may be
    /// with windows too, if it comes before what was sent last can have been answered.
    fn missed(&mut self, now: Duration) {
        if self.terms.window_size == 1 || self.window.is_empty() {
            return;
        }
        if self.is_news(now) {
            if now.saturating_sub(self.sent_at) >= self.patience.wait() / 2 {
                self.count_first_data();
            }
            self.complaints += 1;
            self.rewind();
        } else if self.complaints == 0 {
            self.complaints = 1;
            self.doubt.get_or_insert(self.sent_at + self.patience.overdue());
        }
    }

    /// Whether an acknowledgement can be an answer to what was sent last, and not to what went before it. Some clients
    /// acknowledge each block that they cannot use: whoever complains again is answered less and less often.
    fn is_news(&self, now: Duration) -> bool {
        let round_trip = self.patience.round_trip();
        let quiet = match self.complaints {
            0 => round_trip,
            count => round_trip.max(COMPLAINT) * (1 << count.min(16)),
        };
        now.saturating_sub(self.sent_at) >= quiet.min(self.patience.wait())
    }

    fn measure(&mut self, now: Duration) {
        let round_trip = now.saturating_sub(self.sent_at);
        if self.repeated { self.patience.guessed(round_trip) } else { self.patience.measured(round_trip) }
    }

    fn progress(&mut self, now: Duration) {
        self.progress_at = now;
        self.began = true;
        self.attempts = 0;
        self.complaints = 0;
        self.doubt = None;
    }

    fn count_first_data(&mut self) {
        if self.phase == Phase::Sending && !self.got_data {
            self.first_data_lost += 1;
        }
    }

    fn give_up(&mut self) {
        let what = match (&self.phase, self.ended) {
            (Phase::Offering, _) => "the options were never acknowledged".to_owned(),
            (_, true) if self.window.len() <= 1 => "the last block was never acknowledged".to_owned(),
            _ => format!("block {} was never acknowledged", self.base),
        };
        self.abort(Code::Undefined as u16, &what);
    }

    fn rewind(&mut self) {
        self.repeated = true;
        self.doubt = None;
        self.sent = 0;
        self.control.1 = self.phase == Phase::Offering;
    }

    fn fail(&mut self, why: String) {
        self.finish(End::Failed { why });
    }

    fn finish(&mut self, end: End) {
        self.phase = Phase::Over(end);
        self.window.clear();
    }
}
