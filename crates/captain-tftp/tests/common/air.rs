//! A UDP path that loses, doubles and delays, between one client and a server on the loopback.
//!
//! What happens to a datagram depends on what it is, how often it was seen and a seed, never on when it came: the
//! same run, however slow the machine is.
#![allow(unreachable_pub, missing_docs)]

use std::collections::HashMap;
use std::net::{SocketAddr, SocketAddrV4};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::task::JoinHandle;

/// A kind of datagram, with its block number where it has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Of {
    /// A request.
    Ask,
    /// An acknowledgement of options.
    Oack,
    /// A block.
    Data(u16),
    /// An acknowledgement.
    Ack(u16),
    /// An ERROR, of either side.
    Error,
}

/// What becomes of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It never arrives.
    Lost,
    /// It arrives twice.
    Twice,
    /// It arrives so many milliseconds later, behind others that were sent after it.
    Late(u64),
    /// It arrives, and four more times, 20 ms apart.
    Again,
}

/// What happens to how many of the first datagrams of a kind.
pub type Rule = (Of, usize, Fate);

/// What happens to the others: percentages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weather {
    pub loss: u64,
    pub twice: u64,
    pub late: u64,
}

pub const CALM: Weather = Weather { loss: 0, twice: 0, late: 0 };

/// How often each datagram was sent.
pub type Seen = HashMap<Of, usize>;

/// The path.
pub struct Air {
    /// Where the client finds the server.
    pub front: SocketAddrV4,
    pub seen: Arc<Mutex<Seen>>,
    tasks: [JoinHandle<()>; 2],
}

impl Drop for Air {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl Air {
    pub async fn to(server: SocketAddrV4, rules: &'static [Rule], weather: Weather, seed: u64) -> Self {
        let bind = || async { Arc::new(UdpSocket::bind("127.0.0.1:0").await.unwrap()) };
        let (front, back) = (bind().await, bind().await);
        let SocketAddr::V4(address) = front.local_addr().unwrap() else { panic!("bound to IPv4") };
        let seen: Arc<Mutex<Seen>> = Arc::default();
        let judge = Arc::new(Judge { rules, weather, seed, seen: seen.clone() });
        // Who the client is, and which port the transfer goes by: both are learnt.
        let (client, transfer) = (Arc::new(Mutex::new(None)), Arc::new(Mutex::new(SocketAddr::V4(server))));
        let up = Way { from: front.clone(), by: back.clone(), judge: judge.clone() };
        let down = Way { from: back, by: front, judge };
        let (learnt, at) = (client.clone(), transfer.clone());
        let up = tokio::spawn(up.carry(move |kind, sender| {
            *learnt.lock().unwrap() = Some(sender);
            Some(if kind == Of::Ask { SocketAddr::V4(server) } else { *at.lock().unwrap() })
        }));
        let down = tokio::spawn(down.carry(move |_, sender| {
            *transfer.lock().unwrap() = sender;
            *client.lock().unwrap()
        }));
        Self { front: address, seen, tasks: [up, down] }
    }

    /// How often such a datagram was sent, whether or not it arrived.
    pub fn count(&self, kind: Of) -> usize {
        self.seen.lock().unwrap().get(&kind).copied().unwrap_or(0)
    }

    /// All blocks that were sent.
    pub fn blocks(&self) -> usize {
        let seen = self.seen.lock().unwrap();
        seen.iter().filter(|(kind, _)| matches!(kind, Of::Data(_))).map(|(_, count)| count).sum()
    }
}

/// One direction.
struct Way {
    from: Arc<UdpSocket>,
    by: Arc<UdpSocket>,
    judge: Arc<Judge>,
}

impl Way {
    /// `target` tells, for each datagram and its sender, where it goes.
    async fn carry(self, mut target: impl FnMut(Of, SocketAddr) -> Option<SocketAddr>) {
        let mut buffer = vec![0; 70_000];
        loop {
            let Ok((length, sender)) = self.from.recv_from(&mut buffer).await else { continue };
            let datagram = &buffer[..length];
            let Some(kind) = kind(datagram) else { continue };
            let Some(to) = target(kind, sender) else { continue };
            let copies = match self.judge.fate(kind) {
                None => 1,
                Some(Fate::Lost) => 0,
                Some(Fate::Twice) => 2,
                Some(Fate::Late(millis)) => {
                    self.send_later(millis, datagram, to);
                    0
                }
                Some(Fate::Again) => {
                    [20, 40, 60, 80].iter().for_each(|millis| self.send_later(*millis, datagram, to));
                    1
                }
            };
            for _ in 0..copies {
                drop(self.by.send_to(datagram, to).await);
            }
        }
    }

    fn send_later(&self, millis: u64, datagram: &[u8], to: SocketAddr) {
        let (by, late) = (self.by.clone(), datagram.to_vec());
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(millis)).await;
            drop(by.send_to(&late, to).await);
        });
    }
}

fn kind(datagram: &[u8]) -> Option<Of> {
    let number = u16::from_be_bytes([*datagram.get(2)?, *datagram.get(3)?]);
    match datagram[1] {
        1 | 2 => Some(Of::Ask),
        3 => Some(Of::Data(number)),
        4 => Some(Of::Ack(number)),
        5 => Some(Of::Error),
        6 => Some(Of::Oack),
        _ => None,
    }
}

struct Judge {
    rules: &'static [Rule],
    weather: Weather,
    seed: u64,
    seen: Arc<Mutex<Seen>>,
}

impl Judge {
    fn fate(&self, kind: Of) -> Option<Fate> {
        let time = {
            let mut seen = self.seen.lock().unwrap();
            let count = seen.entry(kind).or_default();
            *count += 1;
            *count
        };
        if let Some((.., fate)) = self.rules.iter().find(|(of, times, _)| *of == kind && time <= *times) {
            return Some(*fate);
        }
        let Weather { loss, twice, late } = self.weather;
        let dice = self.dice(kind, time);
        match dice % 100 {
            roll if roll < loss => Some(Fate::Lost),
            roll if roll < loss + twice => Some(Fate::Twice),
            roll if roll < loss + twice + late => Some(Fate::Late(2 + dice / 100 % 12)),
            _ => None,
        }
    }

    /// A number that only depends on what the datagram is: splitmix64.
    fn dice(&self, kind: Of, time: usize) -> u64 {
        let (word, number) = match kind {
            Of::Ask => (1, 0),
            Of::Data(number) => (3, number),
            Of::Ack(number) => (4, number),
            Of::Error => (5, 0),
            Of::Oack => (6, 0),
        };
        let mut mixed = (self.seed << 48) ^ (time as u64) << 24 ^ u64::from(number) << 4 ^ word;
        for factor in [0xbf58_476d_1ce4_e5b9, 0x94d0_49bb_1331_11eb] {
            mixed = mixed.wrapping_add(0x9e37_79b9_7f4a_7c15);
            mixed = (mixed ^ mixed >> 30).wrapping_mul(factor);
        }
        mixed ^ mixed >> 31
    }
}
