//! [`Lane`]: a second socket on a transfer's port, connected to its client.

use std::io;
use std::mem::take;
use std::net::{SocketAddrV4, UdpSocket};
use std::task::{Context, Poll, ready};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::socket::{self, Target};

/// After looks in vain, at most so many answers are waited for without a look whether they are there already.
const WAITS: u8 = 63;

/// A socket that saves work with each datagram: the kernel looks up no route to the client, and the reactor is told of
/// what comes in only. With both directions, every block that leaves the network card wakes it for nothing.
pub(crate) struct Lane {
    socket: AsyncFd<UdpSocket>,
    /// How many answers are to be waited for after the next look in vain, and how many of them are still to come.
    pause: u8,
    waits: u8,
    /// A look is due, although the reactor told of nothing.
    looks: bool,
}

impl Lane {
    /// Connects to `peer` from the port of `first`, on the runtime that this is called on.
    pub(crate) fn open(
        first: &tokio::net::UdpSocket,
        peer: SocketAddrV4,
        interface: Option<&str>,
    ) -> io::Result<Self> {
        let socket = socket::twin(first, peer, interface)?;
        // SAFETY: the socket owns its descriptor, and has the same one until it is dropped.
        let socket = unsafe { AsyncFd::register_with_interest(socket, Interest::READABLE) }?;
        Ok(Self { socket, pause: 1, waits: 0, looks: false })
    }

    /// Sends datagrams in one call, or fails with [`io::ErrorKind::WouldBlock`] where it would have to wait. Their lengths
    /// are as [`socket::send`] demands.
    pub(crate) fn send(&self, datagrams: &[&[u8]]) -> io::Result<usize> {
        let socket = self.socket.get_ref();
        socket::about_this_one(|| match datagrams {
            [one] => socket.send(one),
            several => socket::send_now(socket, Target::Connected, several),
        })
    }

    /// Takes a datagram.
    pub(crate) fn poll_receive(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        loop {
            let mut ready = ready!(self.socket.poll_read_ready(context))?;
            let received = ready.try_io(|socket| socket.get_ref().recv(buffer));
            if take(&mut self.looks) {
                (self.waits, self.pause) = match received {
                    Ok(_) => (0, 1),
                    Err(_) => (self.pause, WAITS.min(self.pause * 2 + 1)),
                };
            }
            if let Ok(received) = received {
                return Poll::Ready(received);
            }
        }
    }

    /// Says that nothing of use can be there before something was sent: the reactor tells when more comes, and a call that
    /// would find nothing is saved. What lies there all the same is found behind the next datagram, or by [`Self::left`].
    /// A client that answers at once is looked for nevertheless: now and then, and as long as it is found.
    pub(crate) fn rest(&mut self) {
        let Some(waits) = self.waits.checked_sub(1) else {
            self.looks = true;
            return;
        };
        self.waits = waits;
        // This is how the reactor learns it; the error is ours.
        let _ = self.socket.try_io(Interest::READABLE, |_| Err::<(), _>(io::ErrorKind::WouldBlock.into()));
    }

    /// Takes a datagram that the reactor may not know of, if there is one.
    pub(crate) fn left(&self, buffer: &mut [u8]) -> Option<usize> {
        self.socket.get_ref().recv(buffer).ok()
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::net::{Ipv4Addr, SocketAddr};
    use std::time::Duration;

    use futures_lite::future::poll_once;

    use super::*;

    /// A client, and a lane to it.
    fn pair() -> (UdpSocket, Lane) {
        let local = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0);
        let first = tokio::net::UdpSocket::from_std(socket::bind(local, None).unwrap()).unwrap();
        let client = UdpSocket::bind(local).unwrap();
        client.connect(first.local_addr().unwrap()).unwrap();
        let SocketAddr::V4(peer) = client.local_addr().unwrap() else { panic!("not IPv4") };
        let lane = Lane::open(&first, peer, None).unwrap();
        (client, lane)
    }

    async fn receive(lane: &mut Lane) -> Option<u8> {
        let mut buffer = [0; 4];
        let received = poll_fn(|context| lane.poll_receive(context, &mut buffer));
        tokio::time::timeout(Duration::from_millis(200), received).await.ok()?.unwrap();
        Some(buffer[0])
    }

    /// Sends these numbers, takes the first, and says that nothing else of use can be there.
    async fn answer(client: &UdpSocket, lane: &mut Lane, numbers: &[u8]) {
        for number in numbers {
            client.send(&[*number]).unwrap();
        }
        assert_eq!(receive(lane).await, numbers.first().copied());
        lane.rest();
    }

    #[tokio::test]
    async fn what_lies_behind_an_answer_is_found_behind_the_next_one_or_asked_for() {
        let (client, mut lane) = pair();
        answer(&client, &mut lane, &[1]).await;
        assert_eq!(receive(&mut lane).await, None);
        answer(&client, &mut lane, &[2, 3]).await;
        assert_eq!(receive(&mut lane).await, None, "it looks although it rests");
        client.send(&[4]).unwrap();
        assert_eq!(receive(&mut lane).await, Some(3));
        assert_eq!(receive(&mut lane).await, Some(4));
        assert_eq!(receive(&mut lane).await, None);
        lane.waits = 1;
        answer(&client, &mut lane, &[5, 6]).await;
        let mut buffer = [0; 4];
        assert_eq!(lane.left(&mut buffer), Some(1));
        assert_eq!((buffer[0], lane.left(&mut buffer)), (6, None));
    }

    #[tokio::test]
    async fn a_client_is_looked_for_as_long_as_it_answers_at_once_and_seldom_when_it_does_not() {
        let (client, mut lane) = pair();
        for _ in 0..100 {
            answer(&client, &mut lane, &[1, 2]).await;
            assert_eq!(receive(&mut lane).await, Some(2), "no look");
        }
        let mut looks = Vec::new();
        for number in 0..500 {
            answer(&client, &mut lane, &[1]).await;
            looks.extend(lane.looks.then_some(number));
            assert!(poll_once(receive(&mut lane)).await.is_none());
        }
        assert_eq!(looks, [0, 2, 6, 14, 30, 62, 126, 190, 254, 318, 382, 446]);
    }
}
