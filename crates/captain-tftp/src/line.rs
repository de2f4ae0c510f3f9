//! [`Line`]: the way to one client, by a port of its own (RFC 1350 section 4) or by the listening one.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::net::UdpSocket;

use crate::lane::Lane;
use crate::socket::{self, Target};
use crate::wire::{self, Code};

/// Strangers that one transfer answers: an attacker must not make it talk for ever.
const STRANGERS: u32 = 8;

/// Datagrams in one call to the kernel, and bytes of them: UDP_SEGMENT takes no more.
const BATCH: usize = 64;
const BATCH_BYTES: usize = 60_000;

/// Where a transfer's datagrams go.
pub(crate) struct Line {
    peer: SocketAddrV4,
    way: Way,
    /// Several datagrams go in one call; until the kernel says that this device cannot.
    batches: bool,
}

enum Way {
    /// Its own port, on the address that was asked. Not connected, so that a stranger can be told off.
    Own { socket: UdpSocket, lane: Second, strangers: u32 },
    /// The listening port; what comes in is handed over by the listener.
    Shared { socket: Arc<UdpSocket>, local: Ipv4Addr },
}

/// The second socket on a transfer's port.
enum Second {
    NotYet,
    Open(Lane),
    /// No descriptor was left, or the like.
    Never,
}

impl Line {
    pub(crate) fn own(local: Ipv4Addr, peer: SocketAddrV4, interface: Option<&str>) -> io::Result<Self> {
        let socket = UdpSocket::from_std(socket::bind(SocketAddrV4::new(local, 0), interface)?)?;
        Ok(Self { peer, way: Way::Own { socket, lane: Second::NotYet, strangers: 0 }, batches: true })
    }

    pub(crate) fn shared(socket: Arc<UdpSocket>, local: Ipv4Addr, peer: SocketAddrV4) -> Self {
        Self { peer, way: Way::Shared { socket, local }, batches: true }
    }

    /// Makes all that follows cheaper, for one more descriptor: worth it where much follows.
    pub(crate) fn hasten(&mut self, interface: Option<&str>) {
        if let Way::Own { socket, lane: lane @ Second::NotYet, .. } = &mut self.way {
            *lane = Lane::open(socket, self.peer, interface).map_or(Second::Never, Second::Open);
        }
    }

    /// Sends one datagram.
    pub(crate) async fn send(&self, datagram: &[u8]) -> io::Result<()> {
        // Nearly always at once, and then without the ado of a batch.
        let sent = match &self.way {
            Way::Own { lane: Second::Open(lane), .. } => lane.send(&[datagram]),
            Way::Own { socket, .. } => socket.try_send_to(datagram, self.peer.into()),
            Way::Shared { .. } => Err(io::ErrorKind::WouldBlock.into()),
        };
        match sent {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.send_batch(&[datagram]).await,
            sent => sent.map(drop),
        }
    }

    /// Sends datagrams in order, as many at a time as the kernel takes. The first error is returned, but the others
    /// are tried nonetheless.
    pub(crate) async fn send_all(&mut self, mut datagrams: &[&[u8]]) -> io::Result<()> {
        let mut result = Ok(());
        while !datagrams.is_empty() {
            let (batch, rest) = datagrams.split_at(if self.batches { alike(datagrams) } else { 1 });
            let sent = self.send_batch(batch).await;
            if sent.is_err() && batch.len() > 1 {
                self.batches = false;
                continue;
            }
            result = result.and(sent);
            datagrams = rest;
        }
        result
    }

    async fn send_batch(&self, batch: &[&[u8]]) -> io::Result<()> {
        if let Way::Own { lane: Second::Open(lane), .. } = &self.way {
            match lane.send(batch) {
                // The first socket tells when there is room.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                sent => return sent.map(drop),
            }
        }
        match &self.way {
            Way::Own { socket, .. } => socket::send(socket, Target::Peer(self.peer), batch).await,
            Way::Shared { socket, local } => {
                socket::send(socket, Target::PeerFrom(self.peer, *local), batch).await
            }
        }
    }

    /// The next datagram that came by this way, if it is the client's. Others are told that they are wrong here, and
    /// change nothing for it (RFC 1350 section 4). On the listening port nothing ever comes this way.
    pub(crate) fn poll_receive<'a>(
        &mut self,
        context: &mut Context<'_>,
        buffer: &'a mut [u8],
    ) -> Poll<io::Result<Option<&'a [u8]>>> {
        let Way::Own { socket, lane, strangers } = &mut self.way else { return Poll::Pending };
        if let Second::Open(open) = lane {
            match open.poll_receive(context, buffer) {
                Poll::Ready(Some(taken)) => return Poll::Ready(taken.map(|length| Some(&buffer[..length]))),
                Poll::Ready(None) => *lane = Second::Never,
                Poll::Pending => {}
            }
        }
        let (length, from) = ready!(poll_take(context, socket, buffer))?;
        if from == SocketAddr::V4(self.peer) {
            return Poll::Ready(Ok(Some(&buffer[..length])));
        }
        *strangers += 1;
        if *strangers <= STRANGERS {
            // Lost or not, the stranger is on its own.
            let _ = socket.try_send_to(&wire::error(Code::UnknownTransfer, "unknown transfer"), from);
        }
        Poll::Ready(Ok(None))
    }

    /// Whether others should have their turn before the next [`Self::poll_receive`]: see [`Lane::looks`].
    pub(crate) fn looks(&self) -> bool {
        matches!(&self.way, Way::Own { lane: Second::Open(lane), .. } if lane.looks())
    }

    /// Says that the client has answered all that it was sent: see [`Lane::rest`].
    pub(crate) fn rest(&mut self) {
        if let Way::Own { lane: Second::Open(lane), .. } = &mut self.way {
            lane.rest();
        }
    }

    /// A datagram of the client that came unnoticed: see [`Lane::left`].
    pub(crate) fn left<'a>(&self, buffer: &'a mut [u8]) -> Option<&'a [u8]> {
        let Way::Own { lane: Second::Open(lane), .. } = &self.way else { return None };
        lane.left(buffer).map(|length| &buffer[..length])
    }
}

/// Takes a datagram. One call more than there are datagrams is made before the reactor is asked, and that is cheaper than
/// one recvmmsg(2) with room for two.
fn poll_take(
    context: &mut Context<'_>,
    socket: &UdpSocket,
    buffer: &mut [u8],
) -> Poll<io::Result<(usize, SocketAddr)>> {
    loop {
        ready!(socket.poll_recv_ready(context))?;
        match socket.try_recv_from(buffer) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            taken => return Poll::Ready(taken),
        }
    }
}

/// How many of the first datagrams can go in one call: equal in length, the last may be shorter.
fn alike(datagrams: &[&[u8]]) -> usize {
    let Some(length) = datagrams.first().map(|first| first.len()) else { return 0 };
    let most = (BATCH_BYTES / length.max(1)).clamp(1, BATCH).min(datagrams.len());
    match datagrams[..most].iter().position(|datagram| datagram.len() != length) {
        Some(other) if datagrams[other].len() < length => other + 1,
        Some(other) => other,
        None => most,
    }
}

#[cfg(test)]
mod tests {
    use super::alike;

    #[test]
    fn datagrams_go_together_while_they_are_equal_and_the_last_may_be_shorter() {
        let (long, short) = ([0_u8; 1000], [0_u8; 10]);
        let (long, short) = (&long[..], &short[..]);
        for (datagrams, want) in [
            (&[][..], 0),
            (&[long], 1),
            (&[long, long, long], 3),
            (&[long, long, short], 3),
            (&[long, short, long], 2),
            (&[short, long, long], 1),
            (&[long; 100], 60),
            (&[short; 100], 64),
        ] {
            assert_eq!(alike(datagrams), want);
        }
    }
}
