//! [`Lane`]: a second socket on a transfer's port, connected to its client.

use std::io;
use std::net::{SocketAddrV4, UdpSocket};
use std::os::fd::{AsRawFd, RawFd};
use std::task::{Context, Poll, ready};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::socket::{self, Target};

/// After looks in vain, at most so many answers are waited for without another look.
const WAITS: u8 = 63;

/// A socket that saves work with each datagram: the kernel looks up no route to the client, and the reactor learns of what
/// comes in only (with both directions, every block that leaves the network card wakes it for nothing).
///
/// As drivers of network cards do under load, it looks for itself as long as an answer is there when all other transfers
/// had their turn, and the reactor knows nothing of it. Where none is, the reactor tells when one comes.
pub(crate) struct Lane {
    /// The reactor's part. It ends before the socket does.
    watch: Option<AsyncFd<RawFd>>,
    socket: UdpSocket,
    /// How many answers the reactor is to tell of after the next look in vain, and how many of them are still to come.
    pause: u8,
    waits: u8,
}

impl Lane {
    /// Connects to `peer` from the port of `first`.
    pub(crate) fn open(
        first: &tokio::net::UdpSocket,
        peer: SocketAddrV4,
        interface: Option<&str>,
    ) -> io::Result<Self> {
        Ok(Self { watch: None, socket: socket::twin(first, peer, interface)?, pause: 1, waits: 0 })
    }

    /// Sends datagrams in one call, or fails with [`io::ErrorKind::WouldBlock`] where it would have to wait. Their lengths
    /// are as [`socket::send`] demands.
    pub(crate) fn send(&self, datagrams: &[&[u8]]) -> io::Result<usize> {
        let socket = &self.socket;
        socket::about_this_one(|| match datagrams {
            [one] => socket.send(one),
            several => socket::send_now(socket, Target::Connected, several),
        })
    }

    /// Whether [`Self::poll_receive`] looks for itself: others should have their turn before.
    pub(crate) fn looks(&self) -> bool {
        self.watch.is_none()
    }

    /// Takes a datagram. `None` says that the reactor takes no more sockets, and this lane is of no use.
    pub(crate) fn poll_receive(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<Option<io::Result<usize>>> {
        let watch = match &self.watch {
            Some(watch) => watch,
            None => match self.socket.recv(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    (self.waits, self.pause) = (self.pause, WAITS.min(self.pause * 2 + 1));
                    // SAFETY: the descriptor is the socket's, which neither gives it away nor ends before the watch does.
                    let watch = unsafe {
                        AsyncFd::register_with_interest(self.socket.as_raw_fd(), Interest::READABLE)
                    };
                    let Ok(watch) = watch else { return Poll::Ready(None) };
                    self.watch.insert(watch)
                }
                received => {
                    self.pause = 1;
                    return Poll::Ready(Some(received));
                }
            },
        };
        loop {
            let Ok(mut ready) = ready!(watch.poll_read_ready(context)) else { return Poll::Ready(None) };
            if let Ok(received) = ready.try_io(|_| self.socket.recv(buffer)) {
                return Poll::Ready(Some(received));
            }
        }
    }

    /// Says that nothing of use can be there before something was sent: the reactor tells when more comes, and a call that
    /// would find nothing is saved. What lies there all the same is found behind the next datagram, or by [`Self::left`].
    pub(crate) fn rest(&mut self) {
        match (&self.watch, self.waits.checked_sub(1)) {
            (None, _) => {}
            (Some(_), None) => self.watch = None,
            (Some(watch), Some(waits)) => {
                self.waits = waits;
                // This is how the reactor learns it; the error is ours.
                let _ = watch.try_io(Interest::READABLE, |_| Err::<(), _>(io::ErrorKind::WouldBlock.into()));
            }
        }
    }

    /// Takes a datagram that the reactor may not know of, if there is one.
    pub(crate) fn left(&self, buffer: &mut [u8]) -> Option<usize> {
        self.socket.recv(buffer).ok()
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
        tokio::time::timeout(Duration::from_millis(200), received).await.ok()?.unwrap().unwrap();
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
    async fn a_client_is_looked_for_as_long_as_its_answers_are_there_and_seldom_when_they_are_not() {
        let (client, mut lane) = pair();
        for _ in 0..100 {
            client.send(&[1]).unwrap();
            assert_eq!(poll_once(receive(&mut lane)).await, Some(Some(1)), "no look");
            lane.rest();
            assert!(lane.looks());
        }
        let mut looks = Vec::new();
        for number in 0..500 {
            looks.extend(lane.looks().then_some(number));
            assert!(poll_once(receive(&mut lane)).await.is_none());
            answer(&client, &mut lane, &[1]).await;
        }
        assert_eq!(looks, [0, 2, 6, 14, 30, 62, 126, 190, 254, 318, 382, 446]);
        while !lane.looks() {
            answer(&client, &mut lane, &[1]).await;
        }
        answer(&client, &mut lane, &[1]).await;
        assert!(poll_once(receive(&mut lane)).await.is_none());
        answer(&client, &mut lane, &[1]).await;
        answer(&client, &mut lane, &[1]).await;
        assert!(lane.looks(), "one answer that was there, and it looks as often as in the beginning");
    }
}
