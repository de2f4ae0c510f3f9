//! [`Engine`]: takes requests and drives a session for each.

use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::runtime::Handle;
use tokio::time::{sleep, timeout};
use tokio_util::task::TaskTracker;

use crate::config::EngineConfig;
use crate::finished::{Finished, Outcome};
use crate::handler::Reasons;
use crate::line::Line;
use crate::request::{Request, RequestError};
use crate::session::{Session, Shared};
use crate::socket;
use crate::table::{Admission, Table};
use crate::wire::{self, Code, Reply};
use crate::workers::Workers;

/// Requests are small; what is larger than this was never one.
const REQUEST_BUFFER: usize = 2048;
/// How long transfers that were told to stop may take to say so.
const FAREWELL: Duration = Duration::from_secs(1);

/// A TFTP server whose port is taken.
///
/// Binding is apart from serving because a daemon gives up its rights in between.
#[derive(Debug)]
pub struct Engine {
    config: EngineConfig,
    socket: std::net::UdpSocket,
    address: SocketAddrV4,
}

impl Engine {
    /// Takes the port.
    ///
    /// # Errors
    /// What the system says: the port is taken, the right to bind it is missing, there is no such interface.
    pub fn bind(config: EngineConfig) -> io::Result<Self> {
        let socket = socket::listen(config.listen, config.interface.as_deref())?;
        let port = socket.local_addr()?.port();
        let address = SocketAddrV4::new(*config.listen.ip(), port);
        Ok(Self { config, socket, address })
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddrV4 {
        self.address
    }

    /// Serves until `shutdown` is ready, then lets running transfers end for [`EngineConfig::drain`].
    ///
    /// Each request is opened on its own clone of `handler`. `events` is called once for each request that was
    /// answered; it must not block.
    ///
    /// # Errors
    /// When the socket cannot be used at all. What goes wrong with one client ends with that client.
    pub async fn run<H, E>(self, handler: H, events: E, shutdown: impl Future<Output = ()>) -> io::Result<()>
    where
        H: Reasons + Clone + 'static,
        E: Fn(Finished) + Send + Sync + 'static,
    {
        let table = Table::new(self.config.max_transfers, self.config.max_per_client);
        let (port, drain) = (self.address.port(), self.config.drain);
        let shared = Arc::new(Shared { config: self.config, table: table.clone() });
        let socket = Arc::new(UdpSocket::from_std(self.socket)?);
        let events = Arc::new(events);
        let (workers, tasks) = (Workers::start()?, TaskTracker::new());
        let mut listener = Listener { socket, shared, port, handler, events, workers, tasks, open: true };
        tokio::select! {
            never = listener.listen() => match never {},
            () = shutdown => {}
        }
        listener.open = false;
        listener.tasks.close();
        let tasks = listener.tasks.clone();
        // Still listening: in single-port mode the acknowledgements come here, and new requests get a refusal.
        tokio::select! {
            never = listener.listen() => match never {},
            _ = timeout(drain, tasks.wait()) => {}
        }
        table.stop();
        let _ = timeout(FAREWELL, tasks.wait()).await;
        Ok(())
    }
}

/// What `listen` would return.
enum Never {}

struct Listener<H, E> {
    socket: Arc<UdpSocket>,
    shared: Arc<Shared>,
    port: u16,
    handler: H,
    events: Arc<E>,
    workers: Workers,
    tasks: TaskTracker,
    /// New requests are taken.
    open: bool,
}

impl<H, E> Listener<H, E>
where
    H: Reasons + Clone + 'static,
    E: Fn(Finished) + Send + Sync + 'static,
{
    async fn listen(&mut self) -> Never {
        let mut buffer = vec![0; REQUEST_BUFFER];
        loop {
            match socket::receive(&self.socket, &mut buffer).await {
                Ok(arrival) => {
                    // A broadcast gets no answer, or every server of the network would give one.
                    if let Some(local) = arrival.local {
                        self.take(arrival.peer, local, &buffer[..arrival.length]).await;
                    }
                }
                // Out of memory or the like: it passes, and a server that ended would not come back.
                Err(_) => sleep(Duration::from_millis(10)).await,
            }
        }
    }

    async fn take(&mut self, peer: SocketAddrV4, local: Ipv4Addr, datagram: &[u8]) {
        match Request::parse(datagram) {
            Ok(_) if self.shared.table.repeats((peer, local), datagram) => {}
            Ok(request) if self.open => self.admit(peer, local, request, datagram).await,
            Ok(request) => self.refuse(peer, local, Code::Undefined, &request.file, "shutting down").await,
            Err(RequestError::NotARequest) => self.route(peer, local, datagram).await,
            Err(error) => {
                if let Some(code) = error.code() {
                    self.refuse(peer, local, code, error.file(), &error.to_string()).await;
                }
            }
        }
    }

    /// What is no request belongs to a transfer if all go by this port. Errors are never answered.
    async fn route(&self, peer: SocketAddrV4, local: Ipv4Addr, datagram: &[u8]) {
        let ours = self.shared.config.single_port;
        if ours
            && !self.shared.table.deliver((peer, local), datagram)
            && matches!(Reply::parse(datagram), Some(Reply::Ack(_)))
        {
            let answer = wire::error(Code::UnknownTransfer, "unknown transfer");
            let _ = socket::reply(&self.socket, local, peer, &answer).await;
        }
    }

    async fn admit(&self, peer: SocketAddrV4, local: Ipv4Addr, request: Request, datagram: &[u8]) {
        let permit = match self.shared.table.admit((peer, local), datagram) {
            Admission::New(permit) => permit,
            Admission::Refused(why) => {
                return self.refuse(peer, local, Code::Undefined, &request.file, &why).await;
            }
        };
        let worker = self.workers.idlest();
        let line = match self.line(peer, local, &worker) {
            Ok(line) => line,
            Err(error) => {
                let why = format!("no socket for this transfer: {error}");
                return self.refuse(peer, local, Code::Undefined, &request.file, &why).await;
            }
        };
        let (shared, local) = (self.shared.clone(), SocketAddrV4::new(local, self.port));
        let file = request.file.clone();
        let mut session = Session::new(shared, request, peer, local, permit, line);
        let (handler, events) = (self.handler.clone(), self.events.clone());
        let run = async move {
            loop {
                let outcome = session.run(handler.clone()).await;
                events(Finished { peer, local, file: file.clone(), outcome });
                if !session.is_asked_again() {
                    break;
                }
            }
        };
        self.tasks.spawn_on(run, &worker);
    }

    /// The way to a client, whose datagrams `worker` is told of if it is a way of its own.
    fn line(&self, peer: SocketAddrV4, local: Ipv4Addr, worker: &Handle) -> io::Result<Line> {
        let config = &self.shared.config;
        if config.single_port {
            return Ok(Line::shared(self.socket.clone(), local, peer));
        }
        let _there = worker.enter();
        Line::own(local, peer, config.interface.as_deref())
    }

    async fn refuse(&self, peer: SocketAddrV4, local: Ipv4Addr, code: Code, file: &str, why: &str) {
        // Lost or not: the client asks again.
        let _ = socket::reply(&self.socket, local, peer, &wire::error(code, why)).await;
        let local = SocketAddrV4::new(local, self.port);
        let outcome = Outcome::Refused { why: why.to_owned() };
        (self.events)(Finished { peer, local, file: file.to_owned(), outcome });
    }
}
