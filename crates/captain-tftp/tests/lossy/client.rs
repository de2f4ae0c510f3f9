//! A client over a real socket, driven by the receiver of the RFCs.

use std::net::SocketAddrV4;
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::time::{Instant, timeout};

use crate::receiver::{Manner, Receiver};

/// When it asks again, and says again what it has: ROMs wait for seconds, tests have no time.
const PATIENCE: Duration = Duration::from_millis(300);
/// How long it answers repeated last blocks (RFC 1350 section 6: "dallying").
const DALLY: Duration = Duration::from_millis(1000);
/// It asks so often.
const TRIES: usize = 20;

/// An ERROR: its code and text.
pub(crate) type Refusal = (u16, String);

pub(crate) struct Client {
    socket: UdpSocket,
    server: SocketAddrV4,
    manner: Manner,
    receiver: Receiver,
    /// The granted block size.
    block: usize,
    /// The first answer, where it is not an OACK.
    first: Option<Vec<u8>>,
    started: Instant,
}

impl Client {
    pub(crate) async fn new(server: SocketAddrV4, manner: Manner) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let receiver = Receiver::new(manner, 512, 1, PATIENCE);
        Self { socket, server, manner, receiver, block: 512, first: None, started: Instant::now() }
    }

    /// All of a file.
    pub(crate) async fn get(&mut self, file: &str, options: &str) -> Result<Vec<u8>, Refusal> {
        self.ask(file, options).await?;
        let got = self.rest().await?;
        self.dally().await;
        Ok(got)
    }

    /// Begins to read and stops answering after so many acknowledged blocks.
    pub(crate) async fn begin(&mut self, file: &str, options: &str, blocks: usize) {
        self.ask(file, options).await.unwrap();
        let enough = blocks * self.block;
        while self.receiver.got.len() < enough {
            self.step().await.unwrap();
        }
    }

    /// The ERROR that such a request gets.
    pub(crate) async fn refused(&mut self, request: &[u8]) -> Refusal {
        let answer = self.answer(request).await;
        assert_eq!(answer[1], 5, "no refusal: {answer:?}");
        error(&answer)
    }

    pub(crate) async fn error(&self, code: u8, text: &str) {
        self.say(&[&[0, 5, 0, code], text.as_bytes(), &[0]].concat()).await;
    }

    /// What still comes.
    pub(crate) async fn quiet(&mut self) -> Option<Vec<u8>> {
        // What was under way when it said so may still arrive.
        while self.hear(Duration::from_millis(50)).await.is_some() {}
        self.hear(Duration::from_millis(600)).await
    }

    /// Its socket is gone, as after a power cut.
    pub(crate) fn leave(self) {
        drop(self.socket);
    }

    /// Datagrams that a file of `size` bytes takes at least.
    pub(crate) fn least(&self, size: usize) -> usize {
        size / self.block + 1
    }

    /// Receives until the file is whole.
    pub(crate) async fn rest(&mut self) -> Result<Vec<u8>, Refusal> {
        while !self.receiver.done {
            self.step().await?;
        }
        Ok(std::mem::take(&mut self.receiver.got))
    }

    /// Asks until there is an answer, and takes the options that are granted.
    async fn ask(&mut self, file: &str, options: &str) -> Result<(), Refusal> {
        let request = format!("\0\x01{file}\0octet\0{}", options.replace(' ', "\0"));
        while self.hear(Duration::ZERO).await.is_some() {}
        let answer = self.answer(request.as_bytes()).await;
        let granted = match answer[1] {
            5 => return Err(error(&answer)),
            6 => std::str::from_utf8(&answer[2..]).unwrap().split('\0').collect(),
            _ => Vec::new(),
        };
        let value = |name: &str| {
            let at = granted.chunks(2).find(|pair| pair[0].eq_ignore_ascii_case(name))?;
            assert!(options.to_lowercase().contains(name), "`{name}` was granted and not asked for");
            at[1].parse::<usize>().ok()
        };
        let (block, window) = (value("blksize").unwrap_or(512), value("windowsize").unwrap_or(1));
        self.block = block;
        self.receiver = Receiver::new(self.manner, block, window, PATIENCE);
        self.first = Some(answer);
        Ok(())
    }

    async fn answer(&mut self, request: &[u8]) -> Vec<u8> {
        for _ in 0..TRIES {
            self.say(request).await;
            while let Some(answer) = self.hear(PATIENCE).await {
                // Blocks of a transfer before this one may still arrive.
                if answer[1] != 3 || answer[2..4] == [0, 1] {
                    return answer;
                }
            }
        }
        panic!("no answer to {TRIES} requests");
    }

    /// One datagram, or the time for it.
    async fn step(&mut self) -> Result<(), Refusal> {
        let wait = self.receiver.wake().saturating_sub(self.started.elapsed());
        let heard = match self.first.take() {
            Some(first) => Some(first),
            None => self.hear(wait.max(Duration::from_millis(1))).await,
        };
        let reply = match heard {
            Some(datagram) if datagram[1] == 5 => return Err(error(&datagram)),
            Some(datagram) => self.receiver.take(self.started.elapsed(), &datagram),
            None => self.receiver.timeout(self.started.elapsed()),
        };
        if let Some(reply) = reply {
            self.say(&reply).await;
        }
        Ok(())
    }

    async fn dally(&mut self) {
        while let Some(datagram) = self.hear(DALLY).await {
            if datagram[1] == 3
                && let Some(reply) = self.receiver.take(self.started.elapsed(), &datagram)
            {
                self.say(&reply).await;
            }
        }
    }

    async fn say(&self, datagram: &[u8]) {
        self.socket.send_to(datagram, self.server).await.unwrap();
    }

    async fn hear(&self, wait: Duration) -> Option<Vec<u8>> {
        let mut buffer = vec![0; 70_000];
        let (length, _) = timeout(wait, self.socket.recv_from(&mut buffer)).await.ok()?.unwrap();
        buffer.truncate(length);
        Some(buffer)
    }
}

fn error(datagram: &[u8]) -> Refusal {
    let text = String::from_utf8_lossy(&datagram[4..]).trim_end_matches('\0').to_owned();
    (u16::from_be_bytes([datagram[2], datagram[3]]), text)
}
