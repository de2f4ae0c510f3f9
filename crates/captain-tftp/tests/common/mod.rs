//! What the tests over real sockets share: files in memory, our engine and stock async-tftp on the loopback, and a
//! client of bare datagrams.
#![allow(dead_code, unreachable_pub, missing_docs)]

use std::collections::HashMap;
use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::Path;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use captain_tftp::{Engine, EngineConfig, Finished, Handler, HandlerError, Reasons};
use futures_lite::AsyncRead;
use tokio::net::UdpSocket;
use tokio::time::{sleep, timeout};

pub fn content(size: usize) -> Vec<u8> {
    (0..size).map(|at| (at * 31 + at / 251) as u8).collect()
}

/// Files in memory. `slow` opens after a second, `broken` cannot be read, `stuck` never opens.
#[derive(Clone, Default)]
pub struct Files {
    pub files: Arc<HashMap<String, Arc<Vec<u8>>>>,
    /// Bytes read out of any file.
    pub read: Arc<AtomicUsize>,
    reason: Option<&'static str>,
}

impl Files {
    pub fn new(files: &[(&str, usize)]) -> Self {
        let files = files.iter().map(|(name, size)| ((*name).to_owned(), Arc::new(content(*size)))).collect();
        Self { files: Arc::new(files), ..Self::default() }
    }
}

pub struct Memory {
    bytes: Arc<Vec<u8>>,
    at: usize,
    read: Arc<AtomicUsize>,
    broken: bool,
}

impl AsyncRead for Memory {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<std::io::Result<usize>> {
        if self.broken && self.at > 0 {
            return Poll::Ready(Err(std::io::Error::other("disk on fire")));
        }
        let count = buffer.len().min(self.bytes.len() - self.at);
        buffer[..count].copy_from_slice(&self.bytes[self.at..self.at + count]);
        self.at += count;
        self.read.fetch_add(count, Ordering::Relaxed);
        Poll::Ready(Ok(count))
    }
}

impl Handler for Files {
    type Reader = Memory;
    type Writer = futures_lite::io::Sink;

    async fn read_req_open(
        &mut self,
        _: &SocketAddr,
        path: &Path,
    ) -> Result<(Memory, Option<u64>), HandlerError> {
        let name = path.to_str().unwrap_or_default();
        match name {
            "slow" => sleep(Duration::from_secs(1)).await,
            "stuck" => std::future::pending().await,
            "forbidden" => {
                self.reason = Some("not for you");
                return Err(HandlerError::PermissionDenied);
            }
            "unbuilt" => return Err(HandlerError::Msg("ask again".to_owned())),
            _ => {}
        }
        let bytes = self.files.get(name).cloned().ok_or(HandlerError::FileNotFound)?;
        let size = Some(bytes.len() as u64);
        Ok((Memory { bytes, at: 0, read: self.read.clone(), broken: name == "broken" }, size))
    }

    async fn write_req_open(
        &mut self,
        _: &SocketAddr,
        _: &Path,
        _: Option<u64>,
    ) -> Result<Self::Writer, HandlerError> {
        Err(HandlerError::PermissionDenied)
    }
}

impl Reasons for Files {
    fn reason(&mut self) -> Option<String> {
        self.reason.map(str::to_owned)
    }
}

pub struct Server {
    pub address: SocketAddrV4,
    pub finished: Arc<Mutex<Vec<Finished>>>,
    shutdown: Option<tokio::sync::oneshot::Sender<()>>,
    pub task: tokio::task::JoinHandle<std::io::Result<()>>,
}

impl Server {
    pub fn stop(&mut self) {
        self.shutdown.take();
    }

    /// Waits until so many requests are over.
    pub async fn finished(&self, count: usize) -> Vec<Finished> {
        for _ in 0..2000 {
            if self.finished.lock().unwrap().len() >= count {
                break;
            }
            sleep(Duration::from_millis(10)).await;
        }
        self.finished.lock().unwrap().clone()
    }
}

pub fn config() -> EngineConfig {
    EngineConfig { listen: SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0), ..EngineConfig::default() }
}

pub fn ours(files: &Files, config: EngineConfig) -> Server {
    let engine = Engine::bind(config).unwrap();
    let address = engine.local_addr();
    let finished: Arc<Mutex<Vec<Finished>>> = Arc::default();
    let (shutdown, over) = tokio::sync::oneshot::channel::<()>();
    let seen = finished.clone();
    let events = move |event| seen.lock().unwrap().push(event);
    let over = async move { drop(over.await) };
    let task = tokio::spawn(engine.run(files.clone(), events, over));
    Server { address, finished, shutdown: Some(shutdown), task }
}

/// Stock async-tftp with its defaults.
pub async fn stock(files: &Files) -> SocketAddrV4 {
    let builder = async_tftp::server::TftpServerBuilder::with_handler(files.clone());
    let server = builder.bind("127.0.0.1:0".parse().unwrap()).build().await.unwrap();
    let SocketAddr::V4(address) = server.listen_addr().unwrap() else { panic!("not IPv4") };
    tokio::spawn(async move { drop(server.serve().await) });
    address
}

/// A client of bare datagrams.
pub struct Raw {
    pub socket: UdpSocket,
    pub server: SocketAddrV4,
    /// Where the last datagram came from: the transfer's own port.
    pub transfer: SocketAddr,
}

impl Raw {
    pub async fn new(server: SocketAddrV4) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        Self { socket, server, transfer: server.into() }
    }

    pub async fn ask(&self, request: &[u8]) {
        self.socket.send_to(request, self.server).await.unwrap();
    }

    pub async fn read(&self, file: &str, options: &str) {
        let options = options.replace(' ', "\0");
        self.ask(format!("\0\x01{file}\0octet\0{options}").as_bytes()).await;
    }

    pub async fn say(&self, datagram: &[u8]) {
        self.socket.send_to(datagram, self.transfer).await.unwrap();
    }

    pub async fn ack(&self, number: u16) {
        self.say(&[&[0, 4][..], &number.to_be_bytes()].concat()).await;
    }

    /// The next datagram, if one comes in that time.
    pub async fn hear_for(&mut self, millis: u64) -> Option<Vec<u8>> {
        let mut buffer = vec![0; 70_000];
        let heard = timeout(Duration::from_millis(millis), self.socket.recv_from(&mut buffer)).await.ok()?;
        let (length, from) = heard.unwrap();
        self.transfer = from;
        buffer.truncate(length);
        Some(buffer)
    }

    pub async fn hear(&mut self) -> Vec<u8> {
        self.hear_for(3000).await.expect("an answer")
    }

    /// Everything that comes until it is quiet for so long.
    pub async fn hear_all(&mut self, quiet: u64) -> Vec<Vec<u8>> {
        let mut heard = Vec::new();
        while let Some(datagram) = self.hear_for(quiet).await {
            heard.push(datagram);
        }
        heard
    }

    /// Receives the rest of a file, whose next block is `next`; acknowledges every `window` blocks.
    pub async fn fetch(&mut self, block: usize, window: usize) -> Vec<u8> {
        let (mut got, mut next, mut since) = (Vec::new(), 1_u16, 0);
        loop {
            let datagram = self.hear().await;
            assert_eq!(datagram[1], 3, "{:?}", String::from_utf8_lossy(&datagram));
            if u16::from_be_bytes([datagram[2], datagram[3]]) != next {
                continue;
            }
            got.extend_from_slice(&datagram[4..]);
            let last = datagram.len() - 4 < block;
            since += 1;
            if last || since == window {
                self.ack(next).await;
                since = 0;
            }
            if last {
                return got;
            }
            next = next.wrapping_add(1);
        }
    }
}

/// Block number of a DATA datagram; 0 for an OACK; -1 - code for an ERROR.
pub fn kind(datagram: &[u8]) -> i32 {
    let number = i32::from(u16::from_be_bytes([datagram[2], datagram[3]]));
    match datagram[1] {
        3 => number,
        6 => 0,
        _ => -1 - number,
    }
}

pub async fn within<T>(seconds: u64, what: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(seconds), what).await.expect("in time")
}

/// Tells the copy of a test that it runs in a network namespace of its own.
const INSIDE: &str = "CAPTAIN_TFTP_ALONE";

/// True inside a copy of the test `name` that runs in a network namespace of its own, prepared by `script`. Outside, runs
/// that copy and is false; where there are no namespaces, says so.
pub fn alone(name: &str, script: &str) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    let script = format!("{script} && exec \"$0\" --exact {name}");
    let inside = std::process::Command::new("unshare")
        .args(["-rn", "sh", "-c", &script])
        .arg(std::env::current_exe().unwrap())
        .env(INSIDE, "1")
        .output();
    match inside {
        Err(error) => eprintln!("skipped: {error}"),
        Ok(inside) => {
            let said = String::from_utf8_lossy(&inside.stderr);
            if said.contains("unshare failed") {
                eprintln!("skipped: {said}");
            } else {
                assert!(inside.status.success(), "{said} {}", String::from_utf8_lossy(&inside.stdout));
            }
        }
    }
    false
}
