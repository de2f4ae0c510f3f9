//! Many DHCP clients behind one relay, as fast as the server answers; writes down every address acknowledged.
//!
//! `dhcp-load RELAY SERVER CLIENTS MILLISECONDS SEED`: on standard output one `MAC ADDRESS` line per ACK. The relay's
//! address is this box's own, so that every answer is plain UDP to port 67 of it.

use std::collections::HashMap;
use std::error::Error;
use std::io::{self, BufWriter, Write};
use std::net::{Ipv4Addr, UdpSocket};
use std::time::{Duration, Instant};

use captain_tests::dhcp::{Dice, Message, kind, mac_text};

/// Clients that ask at one time.
const WINDOW: usize = 64;
/// After this long a client without an answer gives its place to another.
const PATIENCE: Duration = Duration::from_millis(300);

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [relay, server, clients, milliseconds, seed] = words.as_slice() else {
        return Err("usage: dhcp-load RELAY SERVER CLIENTS MILLISECONDS SEED".into());
    };
    let relay: Ipv4Addr = relay.parse()?;
    let socket = UdpSocket::bind((relay, 67))?;
    socket.connect((server.parse::<Ipv4Addr>()?, 67))?;
    socket.set_read_timeout(Some(Duration::from_millis(10)))?;
    let load = Load {
        socket,
        relay,
        clients: clients.parse()?,
        dice: Dice(seed.parse()?),
        next: 0,
        open: HashMap::new(),
        known: HashMap::new(),
        record: BufWriter::new(io::stdout()),
    };
    load.run(Duration::from_millis(milliseconds.parse()?))?;
    Ok(())
}

struct Load {
    socket: UdpSocket,
    relay: Ipv4Addr,
    clients: u64,
    dice: Dice,
    next: u32,
    /// Transactions without an answer, since when.
    open: HashMap<u32, Instant>,
    /// Addresses acknowledged so far.
    known: HashMap<[u8; 6], Ipv4Addr>,
    record: BufWriter<io::Stdout>,
}

impl Load {
    fn run(mut self, time: Duration) -> io::Result<()> {
        let end = Instant::now() + time;
        let mut buffer = [0; 2048];
        while Instant::now() < end {
            self.open.retain(|_, since| since.elapsed() < PATIENCE);
            while self.open.len() < WINDOW {
                self.begin();
            }
            // A server that was killed answers "connection refused": that is what this is for.
            if let Ok(length) = self.socket.recv(&mut buffer)
                && let Some(answer) = Message::decode(&buffer[..length])
            {
                self.take(&answer)?;
            }
        }
        self.record.flush()
    }

    /// Half of the clients with an address come back with it as after a reboot, all others begin anew.
    fn begin(&mut self) {
        let number = self.dice.below(self.clients) as u32;
        let mut mac = [2, 0xca, 0, 0, 0, 0];
        mac[2..].copy_from_slice(&number.to_be_bytes());
        match self.known.get(&mac).copied().filter(|_| self.dice.below(2) == 0) {
            Some(address) => self.send(mac, kind::REQUEST, &[(50, address.octets())]),
            None => self.send(mac, kind::DISCOVER, &[]),
        }
    }

    fn take(&mut self, answer: &Message) -> io::Result<()> {
        if self.open.remove(&answer.xid).is_none() {
            return Ok(());
        }
        match answer.kind() {
            kind::OFFER => {
                let server = answer.option(54).and_then(|value| value.try_into().ok());
                let server = server.ok_or_else(|| io::Error::other("an offer without option 54"))?;
                self.send(answer.mac, kind::REQUEST, &[(54, server), (50, answer.yiaddr.octets())]);
            }
            kind::ACK => {
                self.known.insert(answer.mac, answer.yiaddr);
                writeln!(self.record, "{} {}", mac_text(answer.mac), answer.yiaddr)?;
            }
            _ => {}
        }
        Ok(())
    }

    fn send(&mut self, mac: [u8; 6], kind: u8, options: &[(u8, [u8; 4])]) {
        self.next += 1;
        let mut message = Message::ask(kind, mac, self.next);
        message.giaddr = self.relay;
        for (code, value) in options {
            message = message.with(*code, value);
        }
        self.open.insert(self.next, Instant::now());
        // Lost is lost: the client's patience ends.
        let _lost = self.socket.send(&message.encode());
    }
}
