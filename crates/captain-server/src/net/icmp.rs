//! ICMP echo: is an address beyond a router in use (RFC 2131 section 2.2, RFC 792)?

use std::io::{self, Read};
use std::mem::size_of_val;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsRawFd, RawFd};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::unix::AsyncFd;

use super::packet::checksum;

const ECHO_REPLY: u8 = 0;
const ECHO: u8 = 8;
/// Lets through nothing but echo replies (raw(7), `ICMP_FILTER`).
static ONLY_REPLIES: u32 = !(1 << ECHO_REPLY);
const ICMP_FILTER: libc::c_int = 1;

/// A raw ICMP socket.
#[derive(Debug)]
pub(crate) struct EchoSocket {
    socket: Socket,
    /// Tells our echoes from those of other programs on this box.
    id: u16,
}

impl EchoSocket {
    /// Opens it.
    ///
    /// # Errors
    /// The process lacks `CAP_NET_RAW`.
    pub(crate) fn open() -> io::Result<Self> {
        let socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::ICMPV4))?;
        socket.set_nonblocking(true)?;
        let length = size_of_val(&ONLY_REPLIES) as libc::socklen_t;
        // SAFETY: the value lives through the call and its length is its own.
        let failed = unsafe {
            let value = (&raw const ONLY_REPLIES).cast();
            libc::setsockopt(socket.as_raw_fd(), libc::SOL_RAW, ICMP_FILTER, value, length)
        };
        if failed != 0 {
            return Err(io::Error::last_os_error());
        }
        let [low, high, ..] = std::process::id().to_le_bytes();
        Ok(Self { socket, id: u16::from_le_bytes([low, high]) })
    }

    /// The socket on the runtime's reactor.
    ///
    /// # Errors
    /// The reactor's.
    pub(crate) fn watch(self) -> io::Result<AsyncFd<Self>> {
        // SAFETY: the descriptor is owned by the value, never replaced, and closed only when it is dropped.
        unsafe { AsyncFd::register(self) }.map_err(io::Error::from)
    }

    /// Asks whether somebody is at `address`.
    ///
    /// # Errors
    /// The kernel's: no route, for one.
    pub(crate) fn send(&self, address: Ipv4Addr) -> io::Result<()> {
        let to = SocketAddrV4::new(address, 0).into();
        self.socket.send_to(&echo(self.id), &to).map(drop)
    }

    /// Who answered; `None` for what is no answer to us.
    ///
    /// # Errors
    /// `WouldBlock` where none waits; otherwise the kernel's.
    pub(crate) fn receive(&self) -> io::Result<Option<Ipv4Addr>> {
        let mut buffer = [0; 128];
        let length = (&self.socket).read(&mut buffer)?;
        Ok(answer(&buffer[..length], self.id))
    }
}

impl AsRawFd for EchoSocket {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

fn echo(id: u16) -> Vec<u8> {
    let mut packet = vec![ECHO, 0, 0, 0];
    packet.extend(id.to_be_bytes());
    packet.extend([0, 1]);
    packet.extend(b"captaind");
    let sum = checksum(&[&packet]);
    packet[2..4].copy_from_slice(&sum.to_be_bytes());
    packet
}

/// The sender of an echo reply to `id`, from an IPv4 packet as a raw socket gives it.
fn answer(packet: &[u8], id: u16) -> Option<Ipv4Addr> {
    let header = usize::from(packet.first()? & 0xf) * 4;
    let icmp = packet.get(header..header + 8)?;
    let ours = icmp[0] == ECHO_REPLY && icmp[4..6] == id.to_be_bytes();
    let source = <[u8; 4]>::try_from(packet.get(12..16)?).ok()?;
    ours.then_some(source.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(kind: u8, id: u16) -> Vec<u8> {
        let mut packet = vec![0x45, 0, 0, 36, 0, 0, 0, 0, 64, 1, 0, 0, 10, 7, 0, 9, 10, 0, 0, 1];
        packet.extend([kind, 0, 0, 0]);
        packet.extend(id.to_be_bytes());
        packet.extend([0, 1]);
        packet
    }

    #[test]
    fn only_a_reply_to_our_own_echo_names_a_holder() {
        assert_eq!(answer(&reply(0, 7), 7), Some(Ipv4Addr::new(10, 7, 0, 9)));
        assert_eq!(answer(&reply(0, 8), 7), None, "another program's");
        assert_eq!(answer(&reply(8, 7), 7), None, "an echo itself");
        assert_eq!(answer(&reply(0, 7)[..27], 7), None, "cut short");
        assert_eq!(answer(&[0x4f; 20], 7), None, "a header longer than the packet");
        assert_eq!(answer(&[], 7), None);
    }

    #[test]
    fn an_echo_has_a_checksum_that_verifies() {
        assert_eq!(checksum(&[&echo(0x1234)]), 0, "RFC 1071");
    }

    #[tokio::test]
    async fn who_is_there_answers() {
        let Ok(socket) = EchoSocket::open() else { return eprintln!("skipped: no CAP_NET_RAW here") };
        let socket = socket.watch().unwrap();
        let wanted = Ipv4Addr::new(127, 0, 0, 9);
        socket.get_ref().send(wanted).unwrap();
        let heard = async {
            loop {
                let mut ready = socket.readable().await.unwrap();
                if let Ok(Ok(Some(from))) = ready.try_io(|socket| socket.get_ref().receive()) {
                    return from;
                }
            }
        };
        assert_eq!(tokio::time::timeout(std::time::Duration::from_secs(5), heard).await.unwrap(), wanted);
    }
}
