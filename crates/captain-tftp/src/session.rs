//! One request, from opening its file to its last acknowledgement: moves datagrams between a [`Transfer`], its
//! file and its client, and decides nothing about them.

use std::future::poll_fn;
use std::io;
use std::net::{SocketAddr, SocketAddrV4};
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use async_tftp::packet::Error as HandlerError;
use futures_lite::future::{poll_once, yield_now};
use tokio::time::{Instant, Sleep, sleep_until, timeout};

use crate::config::EngineConfig;
use crate::end::{End, Limits};
use crate::finished::Outcome;
use crate::handler::{Reasons, describe};
use crate::line::Line;
use crate::options::{Caps, Terms};
use crate::request::Request;
use crate::socket::largest_block;
use crate::source::Source;
use crate::table::{Permit, Signal, Table};
use crate::transfer::Transfer;
use crate::wire::{self, Reply};

/// RFC 1350's block: every way carries it.
const SMALLEST_BLOCK: u16 = 512;

/// Acknowledgements have 4 bytes, errors some text; what is longer is cut.
const LARGEST: usize = 516;

/// What all sessions of an engine share.
pub(crate) struct Shared {
    pub(crate) config: EngineConfig,
    pub(crate) table: Arc<Table>,
}

/// One request that was admitted.
pub(crate) struct Session {
    pub(crate) shared: Arc<Shared>,
    pub(crate) request: Request,
    pub(crate) peer: SocketAddrV4,
    pub(crate) local: SocketAddrV4,
    pub(crate) permit: Permit,
    pub(crate) line: Line,
    /// The request came once more.
    repeated: bool,
    /// The client ended the transfer.
    dismissed: bool,
    /// This is for a request that may have been meant for the transfer before.
    guessed: bool,
}

impl Session {
    pub(crate) fn new(
        shared: Arc<Shared>,
        request: Request,
        peer: SocketAddrV4,
        local: SocketAddrV4,
        permit: Permit,
        line: Line,
    ) -> Self {
        let (repeated, dismissed, guessed) = (false, false, false);
        Self { shared, request, peer, local, permit, line, repeated, dismissed, guessed }
    }

    /// After [`Self::run`]: whether it is to run once more. A client that ends a transfer with an error and asks for the
    /// same again may be heard in the other order, because the two come to different ports.
    pub(crate) fn is_asked_again(&mut self) -> bool {
        self.guessed = self.dismissed && self.permit.renew(self.repeated);
        (self.repeated, self.dismissed) = (false, false);
        self.guessed
    }

    /// Runs it to its end.
    pub(crate) async fn run<H: Reasons>(&mut self, handler: H) -> Outcome {
        let started = Instant::now();
        let (reader, size) = match self.open(handler).await {
            Ok(opened) => opened,
            Err(outcome) => return outcome,
        };
        let source = Source::new(reader, self.request.mode);
        let terms = Terms::agree(&self.request, size, self.caps());
        let limits = Limits { retries: self.shared.config.retries, idle: self.shared.config.idle };
        let now = started.elapsed();
        let transfer = Transfer::new(now, terms, limits);
        let mut exchange = Exchange { session: self, transfer, source, block: None, started, now };
        exchange.run().await;
        exchange.outcome()
    }

    /// Opens the file, on this request's own handler: a slow one keeps nobody else waiting.
    async fn open<H: Reasons>(&mut self, mut handler: H) -> Result<(H::Reader, Option<u64>), Outcome> {
        let peer = SocketAddr::V4(self.peer);
        let file = self.request.file.clone();
        let opened = {
            let open = timeout(self.shared.config.idle, handler.read_req_open(&peer, Path::new(&file)));
            tokio::pin!(open);
            loop {
                tokio::select! {
                    opened = &mut open => break opened,
                    signal = self.permit.signals.recv() => if let Some(why) = self.hear_early(signal) {
                        return Err(Outcome::Failed { why });
                    },
                }
            }
        };
        let (error, reason) = match opened {
            Ok(Ok(opened)) => return Ok(opened),
            Ok(Err(error)) => (error, handler.reason()),
            Err(_) => (HandlerError::Msg("the file could not be opened in time".to_owned()), None),
        };
        let (code, text) = describe(error);
        let why = reason.unwrap_or(text);
        // The client asks again if it is lost.
        let _ = self.line.send(&wire::raw_error(code, &why)).await;
        Err(Outcome::Refused { why })
    }

    /// What is heard while the file is being opened; why that ends it.
    fn hear_early(&mut self, signal: Option<Signal>) -> Option<String> {
        match signal {
            // The client is impatient.
            Some(Signal::Repeat) => {
                self.repeated = true;
                None
            }
            Some(Signal::Datagram(datagram)) => match Reply::parse(&datagram)? {
                Reply::Error { code, text } => {
                    self.dismissed = true;
                    Some(format!("the client ended it with error {code}: {text}"))
                }
                // It talks before there is anything to talk about.
                Reply::Ack(_) => None,
            },
            Some(Signal::Evict) => Some(EVICTED.to_owned()),
            Some(Signal::Stop) => Some(STOPPED.to_owned()),
            None => Some(REPLACED.to_owned()),
        }
    }

    /// The most that this client is granted: by configuration, by the way's MTU, by what was seen of it before.
    fn caps(&self) -> Caps {
        let config = &self.shared.config;
        let mut block_size = config.block_size.min(self.shared.table.block_cap(*self.peer.ip()));
        if self.request.options.block_size.is_some_and(|wanted| wanted > SMALLEST_BLOCK) {
            let way = largest_block(*self.local.ip(), self.peer, config.interface.as_deref());
            block_size = block_size.min(way.unwrap_or(u16::MAX).max(SMALLEST_BLOCK));
        }
        Caps { block_size, window_size: config.window_size, timeout: config.idle / (config.retries + 1) }
    }
}

const REPLACED: &str = "the client began anew";
const EVICTED: &str = "others ask, and the client never answered";
const STOPPED: &str = "the server is shutting down";

/// A session whose file is open.
struct Exchange<'a, R> {
    session: &'a mut Session,
    transfer: Transfer,
    source: Source<R>,
    /// The block that is being read.
    block: Option<Vec<u8>>,
    started: Instant,
    /// Since then, when something happened last: one look at the clock for each answer and what is sent upon it.
    now: Duration,
}

impl<R: futures_lite::AsyncRead + Unpin> Exchange<'_, R> {
    async fn run(&mut self) {
        let sleep = sleep_until(self.started);
        tokio::pin!(sleep);
        let mut buffer = [0; LARGEST];
        loop {
            self.read_ahead().await;
            self.transmit().await;
            if self.transfer.end().is_some() {
                return;
            }
            if self.session.line.looks() {
                yield_now().await;
            }
            poll_fn(|context| self.poll_step(context, &mut buffer, sleep.as_mut())).await;
            self.take_note();
        }
    }

    /// Ready when something happened and the transfer knows. A flood of datagrams must neither keep the listener's word
    /// from us nor stop the clock.
    fn poll_step(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut [u8],
        mut sleep: Pin<&mut Sleep>,
    ) -> Poll<()> {
        if let Poll::Ready(signal) = self.session.permit.signals.poll_recv(context) {
            self.heed(signal);
            return Poll::Ready(());
        }
        if let Poll::Ready(received) = self.session.line.poll_receive(context, buffer) {
            self.now = self.started.elapsed();
            // An error here is an ICMP message about some datagram: a lost one, then.
            if let Ok(Some(datagram)) = received {
                self.transfer.handle(self.now, datagram);
            }
            self.transfer.handle_timeout(self.now);
            if self.transfer.is_answered() {
                self.session.line.rest();
            }
            return Poll::Ready(());
        }
        if self.transfer.wants_block()
            && let Poll::Ready(filled) = self.poll_block(context)
        {
            self.now = self.started.elapsed();
            self.supply(filled);
            return Poll::Ready(());
        }
        self.arm(sleep.as_mut());
        ready!(sleep.poll(context));
        self.now = self.started.elapsed();
        if let Some(datagram) = self.session.line.left(buffer) {
            self.transfer.handle(self.now, datagram);
        }
        self.transfer.handle_timeout(self.now);
        Poll::Ready(())
    }

    fn heed(&mut self, signal: Option<Signal>) {
        self.now = self.started.elapsed();
        match signal {
            Some(Signal::Datagram(datagram)) => self.transfer.handle(self.now, &datagram),
            Some(Signal::Repeat) => {
                self.session.repeated = true;
                self.transfer.handle_repeat();
            }
            Some(Signal::Evict) => self.transfer.abandon(EVICTED),
            Some(Signal::Stop) => self.transfer.abort(0, STOPPED),
            None => self.transfer.abandon(REPLACED),
        }
    }

    fn poll_block(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let end = self.transfer.block_end();
        let block = self.block.get_or_insert_with(|| self.transfer.buffer());
        self.source.poll_fill(context, block, end)
    }

    /// Reads as many blocks as are wanted and can be had without waiting.
    async fn read_ahead(&mut self) {
        while self.transfer.wants_block() {
            match poll_once(poll_fn(|context| self.poll_block(context))).await {
                Some(filled) => self.supply(filled),
                None => return,
            }
        }
    }

    fn supply(&mut self, filled: io::Result<()>) {
        match (filled, self.block.take()) {
            (Ok(()), Some(block)) => self.transfer.supply(block),
            (Ok(()), None) => {}
            (Err(error), _) => self.transfer.abort(0, &format!("the file cannot be read: {error}")),
        }
    }

    async fn transmit(&mut self) {
        // Anything but its size is passing: no route, no neighbour, a full queue. The datagrams count as lost.
        let sent = self.send().await;
        if sent.is_err_and(|error| error.raw_os_error() == Some(libc::EMSGSIZE)) {
            self.shrink();
            self.transfer.abort(0, "blocks of this size do not reach you, ask again");
            let _ = self.send().await;
        }
    }

    async fn send(&mut self) -> io::Result<()> {
        let line = &mut self.session.line;
        let mut datagrams = self.transfer.transmit(self.now);
        match (datagrams.next(), datagrams.next()) {
            (None, _) => Ok(()),
            (Some(one), None) => line.send(one).await,
            (Some(one), Some(other)) => {
                let all: Vec<_> = [one, other].into_iter().chain(datagrams).collect();
                line.send_all(&all).await
            }
        }
    }

    /// The timer is set again only where it would come too late: a transfer moves its deadline with every block.
    fn arm(&self, mut sleep: Pin<&mut Sleep>) {
        if let Some(deadline) = self.transfer.deadline() {
            let deadline = self.started + deadline;
            if sleep.is_elapsed() || deadline < sleep.deadline() {
                sleep.as_mut().reset(deadline);
            }
        }
    }

    fn take_note(&mut self) {
        if self.transfer.has_begun() {
            self.session.permit.begin();
            self.session.repeated = false;
        }
        self.session.dismissed = self.transfer.is_dismissed();
        if self.transfer.is_brisk() {
            self.session.line.hasten(self.session.shared.config.interface.as_deref());
            self.source.hasten();
        }
        if self.transfer.loses_first_data() && self.transfer.end().is_none() {
            self.shrink();
        }
    }

    fn shrink(&self) {
        let block = self.transfer.block_end() - wire::HEADER;
        if block > usize::from(SMALLEST_BLOCK) {
            self.session.shared.table.shrink(*self.session.peer.ip(), block);
        }
    }

    fn outcome(self) -> Outcome {
        match self.transfer.end() {
            Some(End::Complete { bytes }) => {
                if self.transfer.loses_first_data() {
                    self.session.shared.table.forgive(*self.session.peer.ip());
                }
                let millis = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
                Outcome::Sent { bytes: *bytes, millis }
            }
            Some(End::Probe) => Outcome::Probe,
            Some(End::Failed { .. }) if self.session.guessed && !self.transfer.has_begun() => Outcome::Probe,
            Some(End::Failed { why }) => Outcome::Failed { why: why.clone() },
            None => Outcome::Failed { why: "the transfer was left".to_owned() },
        }
    }
}
