//! [`Inbox`]: what came in for one transfer and was not looked at yet.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::task::{Context, Poll, ready};

use tokio::io::Interest;
use tokio::net::UdpSocket;

/// Acknowledgements have 4 bytes, errors some text.
const LARGEST: usize = 516;
/// Datagrams read in one call. In lock-step there is one; that no second came with it says that nothing waits, which
/// would take a further call to find out.
const ROOM: usize = 2;

/// Room for some datagrams and who sent them.
pub(crate) struct Inbox {
    bytes: [[u8; LARGEST]; ROOM],
    heads: [(SocketAddrV4, usize); ROOM],
    next: usize,
    count: usize,
}

impl Inbox {
    /// Nothing came in yet.
    pub(crate) fn new() -> Self {
        let nobody = (SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0), 0);
        Self { bytes: [[0; LARGEST]; ROOM], heads: [nobody; ROOM], next: 0, count: 0 }
    }

    /// The next datagram of `socket`, and who sent it.
    ///
    /// # Errors
    /// The socket's.
    pub(crate) fn poll_next(
        &mut self,
        context: &mut Context<'_>,
        socket: &UdpSocket,
    ) -> Poll<io::Result<(SocketAddrV4, &[u8])>> {
        while self.next == self.count {
            ready!(socket.poll_recv_ready(context))?;
            match socket.try_io(Interest::READABLE, || self.fill(socket.as_fd())) {
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Poll::Ready(Err(error)),
                Ok(()) | Err(_) => {}
            }
        }
        let (from, length) = self.heads[self.next];
        self.next += 1;
        Poll::Ready(Ok((from, &self.bytes[self.next - 1][..length])))
    }

    /// Takes what waits. `WouldBlock` when that was all: the socket is not asked again before something comes.
    fn fill(&mut self, socket: BorrowedFd<'_>) -> io::Result<()> {
        (self.next, self.count) = (0, 0);
        self.count = receive(socket, &mut self.bytes, &mut self.heads)?;
        if self.count < ROOM { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
    }
}

/// Reads datagrams without waiting; gives how many. Longer ones are cut.
fn receive(
    socket: BorrowedFd<'_>,
    bytes: &mut [[u8; LARGEST]; ROOM],
    heads: &mut [(SocketAddrV4, usize); ROOM],
) -> io::Result<usize> {
    let mut names = [libc::sockaddr_in {
        sin_family: 0,
        sin_port: 0,
        sin_addr: libc::in_addr { s_addr: 0 },
        sin_zero: [0; 8],
    }; ROOM];
    let mut slices =
        bytes.each_mut().map(|room| libc::iovec { iov_base: room.as_mut_ptr().cast(), iov_len: LARGEST });
    // SAFETY: null pointers and zero lengths are what an empty message header is made of.
    let mut headers: [libc::mmsghdr; ROOM] = unsafe { std::mem::zeroed() };
    for ((header, name), slice) in headers.iter_mut().zip(&mut names).zip(&mut slices) {
        header.msg_hdr.msg_name = (&raw mut *name).cast();
        header.msg_hdr.msg_namelen = size_of::<libc::sockaddr_in>() as libc::socklen_t;
        header.msg_hdr.msg_iov = slice;
        header.msg_hdr.msg_iovlen = 1;
    }
    // SAFETY: ROOM headers, each with one live buffer of the length it says and room for an IPv4 address, which is what
    // an IPv4 socket gives; all outlive the call. The socket does not block, so neither does this.
    let got = unsafe {
        libc::recvmmsg(socket.as_raw_fd(), headers.as_mut_ptr(), ROOM as u32, 0, std::ptr::null_mut())
    };
    let got = usize::try_from(got).map_err(|_| io::Error::last_os_error())?;
    for ((head, header), name) in heads.iter_mut().zip(&headers).zip(&names) {
        let address = Ipv4Addr::from(u32::from_be(name.sin_addr.s_addr));
        *head = (SocketAddrV4::new(address, u16::from_be(name.sin_port)), header.msg_len as usize);
    }
    Ok(got)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use std::time::Duration;
    use tokio::time::timeout;

    async fn next(inbox: &mut Inbox, socket: &UdpSocket) -> (SocketAddrV4, Vec<u8>) {
        let next =
            poll_fn(|context| inbox.poll_next(context, socket).map_ok(|(from, got)| (from, got.to_vec())));
        timeout(Duration::from_secs(5), next).await.expect("what waits is read").unwrap()
    }

    #[tokio::test]
    async fn datagrams_come_out_in_order_with_their_senders_however_many_wait() {
        let ours = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let theirs = [0, 1].map(|_| std::net::UdpSocket::bind("127.0.0.1:0").unwrap());
        let mut inbox = Inbox::new();
        for waiting in 1..=5_u8 {
            for number in 0..waiting {
                let sender = &theirs[usize::from(number % 2)];
                sender.send_to(&[number, waiting], ours.local_addr().unwrap()).unwrap();
            }
            for number in 0..waiting {
                let (from, datagram) = next(&mut inbox, &ours).await;
                assert_eq!(datagram, [number, waiting]);
                assert_eq!(
                    std::net::SocketAddr::V4(from),
                    theirs[usize::from(number % 2)].local_addr().unwrap()
                );
            }
        }
        theirs[0].send_to(&[7; LARGEST + 9], ours.local_addr().unwrap()).unwrap();
        assert_eq!(next(&mut inbox, &ours).await.1, [7; LARGEST]);
    }
}
