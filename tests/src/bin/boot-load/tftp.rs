//! TFTP clients: all in one thread, and two calls to the kernel for each block or window, so that the server is what
//! is measured.

use std::collections::VecDeque;
use std::error::Error;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use mio::net::UdpSocket;
use mio::{Events, Interest, Poll, Token};

use super::{Sum, Task};

/// How long a client waits before it asks for the same again.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often it asks for the same before it gives up.
const TRIES: u32 = 8;
/// How often the clients are looked through for those that wait too long.
const LOOK: Duration = Duration::from_millis(250);
/// Larger than any datagram.
const DATAGRAM: usize = 65536;

const DATA: u16 = 3;
const ACK: u16 = 4;
const ERROR: u16 = 5;
const OACK: u16 = 6;

/// Loads the file once from each of `addresses`.
///
/// # Errors
/// A socket's.
pub(super) fn load(task: &Task, addresses: &[Ipv4Addr]) -> Result<Sum, Box<dyn Error>> {
    let poll = Poll::new()?;
    let mut clients = Vec::new();
    for (number, own) in addresses.iter().enumerate() {
        let mut client = Client::begin(task, *own)?;
        poll.registry().register(&mut client.socket, Token(number), Interest::READABLE)?;
        clients.push(client);
    }
    Crowd { poll, clients, pausing: VecDeque::new(), pause: task.pause, looked: Instant::now() }.run()
}

struct Crowd {
    poll: Poll,
    clients: Vec<Client>,
    /// Clients that are to acknowledge something later, and when.
    pausing: VecDeque<(Instant, usize)>,
    pause: Duration,
    looked: Instant,
}

impl Crowd {
    fn run(mut self) -> Result<Sum, Box<dyn Error>> {
        let (mut events, mut buffer) = (Events::with_capacity(1024), vec![0; DATAGRAM]);
        while self.clients.iter().any(|client| client.end.is_none()) {
            let wait = self.pausing.front().map(|(due, _)| due.saturating_duration_since(Instant::now()));
            self.poll.poll(&mut events, Some(wait.unwrap_or(LOOK).min(LOOK)))?;
            let now = Instant::now();
            for event in &events {
                let number = event.token().0;
                if self.clients[number].receive(&mut buffer)? {
                    self.answer(number, now)?;
                }
            }
            while let Some(&(due, number)) = self.pausing.front()
                && due <= now
            {
                self.pausing.pop_front();
                self.clients[number].send(now)?;
            }
            self.look(now)?;
        }
        Ok(self.clients.into_iter().fold(Sum::default(), |sum, client| match client.end {
            Some(Ok(())) => Sum { bytes: sum.bytes + client.bytes, ..sum },
            Some(Err(_)) | None => Sum { failed: sum.failed + 1, ..sum },
        }))
    }

    fn answer(&mut self, number: usize, now: Instant) -> io::Result<()> {
        if self.pause.is_zero() {
            return self.clients[number].send(now);
        }
        self.pausing.push_back((now + self.pause, number));
        Ok(())
    }

    fn look(&mut self, now: Instant) -> io::Result<()> {
        if now.duration_since(self.looked) < LOOK {
            return Ok(());
        }
        self.looked = now;
        let patience = PATIENCE + self.pause;
        for client in self.clients.iter_mut().filter(|client| client.end.is_none()) {
            if now.duration_since(client.sent) >= patience {
                client.again(now)?;
            }
        }
        Ok(())
    }
}

struct Client {
    socket: UdpSocket,
    /// Who answers; its port is known from its first datagram on.
    peer: SocketAddr,
    connected: bool,
    last: Vec<u8>,
    sent: Instant,
    tries: u32,
    block: usize,
    window: u16,
    expected: u16,
    since_ack: u16,
    bytes: u64,
    ended: bool,
    end: Option<Result<(), String>>,
}

impl Client {
    fn begin(task: &Task, own: Ipv4Addr) -> io::Result<Self> {
        let socket = UdpSocket::bind((own, 0).into())?;
        let last = request(task);
        let mut client = Self {
            socket,
            peer: task.server.into(),
            connected: false,
            last,
            sent: Instant::now(),
            tries: 0,
            block: 512,
            window: 1,
            expected: 1,
            since_ack: 0,
            bytes: 0,
            ended: false,
            end: None,
        };
        client.send(Instant::now())?;
        Ok(client)
    }

    /// Reads until there is something to acknowledge (`true`), or nothing more to read. What is left then is not new,
    /// and comes to light with the next datagram.
    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<bool> {
        while self.end.is_none() {
            let received = match self.connected {
                true => self.socket.recv(buffer).map(|length| (length, self.peer)),
                false => self.socket.recv_from(buffer),
            };
            let (length, from) = match received {
                Ok(received) => received,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                // An ICMP message: the server is gone, or not there yet.
                Err(_) => continue,
            };
            if self.take(&buffer[..length]) {
                if !self.connected {
                    self.peer = from;
                    self.socket.connect(from)?;
                    self.connected = true;
                }
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether there is something to acknowledge now.
    fn take(&mut self, datagram: &[u8]) -> bool {
        let Some((head, payload)) = datagram.split_first_chunk::<4>() else { return false };
        let (opcode, number) =
            (u16::from_be_bytes([head[0], head[1]]), u16::from_be_bytes([head[2], head[3]]));
        match opcode {
            OACK if self.bytes == 0 => {
                (self.block, self.window) = granted(&datagram[2..]);
                self.last = ack(0);
                true
            }
            DATA if number == self.expected => {
                self.tries = 0;
                self.bytes += payload.len() as u64;
                self.ended = payload.len() < self.block;
                self.last = ack(number);
                self.expected = number.wrapping_add(1);
                self.since_ack += 1;
                self.ended || self.since_ack >= self.window
            }
            // A gap in a window: say where it begins, once per window.
            DATA => self.since_ack > 0,
            ERROR => {
                self.fail(&String::from_utf8_lossy(payload));
                false
            }
            _ => false,
        }
    }

    fn send(&mut self, now: Instant) -> io::Result<()> {
        self.since_ack = 0;
        self.sent = now;
        let sent = match self.connected {
            true => self.socket.send(&self.last),
            false => self.socket.send_to(&self.last, self.peer),
        };
        if self.ended {
            self.end = Some(Ok(()));
        }
        match sent {
            // Lost, then: it is sent again.
            Err(error) if error.kind() != io::ErrorKind::ConnectionRefused && !self.ended => Err(error),
            _ => Ok(()),
        }
    }

    fn again(&mut self, now: Instant) -> io::Result<()> {
        self.tries += 1;
        if self.tries > TRIES {
            self.fail(&format!("no answer after block {}", self.expected.wrapping_sub(1)));
            return Ok(());
        }
        self.send(now)
    }

    fn fail(&mut self, why: &str) {
        eprintln!("a client failed: {why}");
        self.end = Some(Err(why.to_owned()));
    }
}

/// What a client asks for.
pub(super) fn request(task: &Task) -> Vec<u8> {
    let block = task.block.to_string();
    let mut request =
        [b"\0\x01", task.file.as_bytes(), b"\0octet\0blksize\0", block.as_bytes(), b"\0"].concat();
    if task.window > 1 {
        request.extend([b"windowsize\0", task.window.to_string().as_bytes(), b"\0"].concat());
    }
    request
}

fn ack(block: u16) -> Vec<u8> {
    [ACK.to_be_bytes(), block.to_be_bytes()].concat()
}

/// Block and window size of an OACK.
fn granted(options: &[u8]) -> (usize, u16) {
    let words: Vec<_> = options.split(|byte| *byte == 0).map(String::from_utf8_lossy).collect();
    let value = |name: &str| {
        let at = words.iter().position(|word| word.eq_ignore_ascii_case(name))?;
        words.get(at + 1)?.parse().ok()
    };
    (value("blksize").unwrap_or(512), value("windowsize").and_then(|size| size.try_into().ok()).unwrap_or(1))
}
