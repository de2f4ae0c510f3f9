//! [`Line`]: the way to one client, by a port of its own (RFC 1350 section 4) or by the listening one.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::Arc;

use tokio::net::UdpSocket;

use crate::socket;
use crate::wire::{self, Code};

/// Strangers that one transfer answers: an attacker must not make it talk for ever.
const STRANGERS: u32 = 8;

/// Where a transfer's datagrams go.
pub(crate) struct Line {
    peer: SocketAddrV4,
    way: Way,
}

enum Way {
    /// Its own port, on the address that was asked. Not connected, so that a stranger can be told off.
    Own { socket: UdpSocket, strangers: u32 },
    /// The listening port; what comes in is handed over by the listener.
    Shared { socket: Arc<UdpSocket>, local: Ipv4Addr },
}

impl Line {
    pub(crate) fn own(local: Ipv4Addr, peer: SocketAddrV4, interface: Option<&str>) -> io::Result<Self> {
        let socket = UdpSocket::from_std(socket::bind(SocketAddrV4::new(local, 0), interface)?)?;
        Ok(Self { peer, way: Way::Own { socket, strangers: 0 } })
    }

    pub(crate) fn shared(socket: Arc<UdpSocket>, local: Ipv4Addr, peer: SocketAddrV4) -> Self {
        Self { peer, way: Way::Shared { socket, local } }
    }

    /// Sends one datagram.
    pub(crate) async fn send(&self, datagram: &[u8]) -> io::Result<()> {
        match &self.way {
            Way::Own { socket, .. } => socket.send_to(datagram, SocketAddr::V4(self.peer)).await.map(drop),
            Way::Shared { socket, local } => socket::reply(socket, *local, self.peer, datagram).await,
        }
    }

    /// Waits for a datagram of the client. Others are told that they are wrong here, and change nothing for it
    /// (RFC 1350 section 4). On the listening port nothing ever comes this way.
    pub(crate) async fn receive(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.way {
            Way::Shared { .. } => std::future::pending().await,
            Way::Own { socket, strangers } => loop {
                let (length, from) = socket.recv_from(buffer).await?;
                if from == SocketAddr::V4(self.peer) {
                    return Ok(length);
                }
                *strangers += 1;
                if *strangers <= STRANGERS {
                    // Lost or not, the stranger is on its own.
                    let _ = socket.try_send_to(&wire::error(Code::UnknownTransfer, "unknown transfer"), from);
                }
            },
        }
    }
}
