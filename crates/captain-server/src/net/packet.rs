//! Frames to a client that has no address yet, past the kernel's ARP (RFC 2131 section 4.1).

use std::io;
use std::mem;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use captain_model::Mac;
use tokio::io::unix::AsyncFd;

/// EtherType of IPv4.
const IPV4: u16 = 0x0800;

/// An `AF_PACKET` socket that the kernel puts Ethernet headers on.
#[derive(Debug)]
pub(crate) struct PacketSocket {
    fd: OwnedFd,
    ether_type: u16,
}

impl PacketSocket {
    /// A socket that only sends IPv4.
    ///
    /// # Errors
    /// The process lacks `CAP_NET_RAW`.
    pub(crate) fn ipv4_sender() -> io::Result<Self> {
        // Protocol 0: nothing is delivered to this socket.
        Self::new(IPV4, 0)
    }

    /// A socket that sends IPv4 and receives all of it.
    ///
    /// # Errors
    /// The process lacks `CAP_NET_RAW`.
    pub(crate) fn ipv4() -> io::Result<Self> {
        Self::of(IPV4)
    }

    /// A socket that sends and receives `ether_type` on all interfaces.
    ///
    /// # Errors
    /// The process lacks `CAP_NET_RAW`.
    pub(crate) fn of(ether_type: u16) -> io::Result<Self> {
        Self::new(ether_type, ether_type)
    }

    fn new(ether_type: u16, receive: u16) -> io::Result<Self> {
        let kind = libc::SOCK_DGRAM | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
        // SAFETY: socket() takes no pointers; a non-negative result is a descriptor that nobody else owns.
        let fd = unsafe {
            let fd = libc::socket(libc::AF_PACKET, kind, i32::from(receive.to_be()));
            if fd < 0 {
                return Err(io::Error::last_os_error());
            }
            OwnedFd::from_raw_fd(fd)
        };
        Ok(Self { fd, ether_type })
    }

    /// The socket on the runtime's reactor.
    ///
    /// # Errors
    /// The reactor's.
    pub(crate) fn watch(self) -> io::Result<AsyncFd<Self>> {
        // SAFETY: the descriptor is owned by the value, never replaced, and closed only when it is dropped.
        unsafe { AsyncFd::register(self) }.map_err(io::Error::from)
    }

    /// Sends `payload` to `mac` out of the interface with this index.
    ///
    /// # Errors
    /// The kernel's.
    pub(crate) fn send(&self, interface: u32, mac: Mac, payload: &[u8]) -> io::Result<()> {
        // SAFETY: sockaddr_ll is plain old data, all-zero is a valid value.
        let mut to: libc::sockaddr_ll = unsafe { mem::zeroed() };
        to.sll_family = libc::AF_PACKET as u16;
        to.sll_protocol = self.ether_type.to_be();
        to.sll_ifindex = interface.cast_signed();
        to.sll_halen = 6;
        to.sll_addr[..6].copy_from_slice(&mac.bytes());
        let length = mem::size_of::<libc::sockaddr_ll>() as libc::socklen_t;
        // SAFETY: payload and `to` live through the call and their lengths are theirs.
        let sent = unsafe {
            let data = payload.as_ptr().cast();
            libc::sendto(self.fd.as_raw_fd(), data, payload.len(), 0, (&raw const to).cast(), length)
        };
        if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// Takes one payload.
    ///
    /// # Errors
    /// `WouldBlock` where none waits; otherwise the kernel's.
    pub(crate) fn receive(&self, buffer: &mut [u8]) -> io::Result<usize> {
        // SAFETY: the buffer lives through the call and its length is its own.
        let got = unsafe {
            libc::recv(self.fd.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len(), libc::MSG_DONTWAIT)
        };
        usize::try_from(got).map_err(|_| io::Error::last_os_error())
    }
}

impl AsRawFd for PacketSocket {
    fn as_raw_fd(&self) -> i32 {
        self.fd.as_raw_fd()
    }
}

/// An IPv4 packet with one UDP datagram in it (RFC 791, RFC 768), checksums filled in.
pub(crate) fn ipv4_udp(from: SocketAddrV4, to: SocketAddrV4, payload: &[u8]) -> Vec<u8> {
    let udp_length = u16::try_from(payload.len() + 8).unwrap_or(u16::MAX);
    let mut packet = Vec::with_capacity(28 + payload.len());
    packet.extend([0x45, 0x10]);
    packet.extend((udp_length + 20).to_be_bytes());
    packet.extend([0, 0, 0x40, 0, 64, 17, 0, 0]);
    packet.extend(from.ip().octets());
    packet.extend(to.ip().octets());
    let header = checksum(&[&packet]);
    packet[10..12].copy_from_slice(&header.to_be_bytes());
    packet.extend(from.port().to_be_bytes());
    packet.extend(to.port().to_be_bytes());
    packet.extend(udp_length.to_be_bytes());
    packet.extend([0, 0]);
    packet.extend(payload);
    let sum = udp_checksum(*from.ip(), *to.ip(), udp_length, &packet[20..]);
    packet[26..28].copy_from_slice(&sum.to_be_bytes());
    packet
}

/// Zero means "no checksum" in UDP over IPv4, so that a computed zero is sent as all ones.
fn udp_checksum(from: Ipv4Addr, to: Ipv4Addr, length: u16, datagram: &[u8]) -> u16 {
    let length = length.to_be_bytes();
    let pseudo = [from.octets().as_slice(), &to.octets(), &[0, 17], &length].concat();
    match checksum(&[&pseudo, datagram]) {
        0 => 0xffff,
        sum => sum,
    }
}

/// The internet checksum (RFC 1071) over parts, all but the last of even length.
pub(super) fn checksum(parts: &[&[u8]]) -> u16 {
    let words = parts.iter().flat_map(|part| part.chunks(2));
    let mut sum: u32 =
        words.map(|pair| u32::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]))).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_checksums_of_a_packet_verify() {
        let from = SocketAddrV4::new(Ipv4Addr::new(192, 168, 50, 1), 67);
        let to = SocketAddrV4::new(Ipv4Addr::new(192, 168, 50, 100), 68);
        let packet = ipv4_udp(from, to, b"odd");
        assert_eq!(packet.len(), 31);
        assert_eq!(checksum(&[&packet[..20]]), 0, "RFC 1071: a header with its checksum sums to zero");
        let pseudo = [&packet[12..20], &[0, 17], &packet[24..26]].concat();
        assert_eq!(checksum(&[&pseudo, &packet[20..]]), 0);
        assert_eq!(packet[9], 17);
        assert_eq!(u16::from_be_bytes([packet[2], packet[3]]), 31);
    }

    #[test]
    fn the_checksum_of_the_example_of_rfc_1071() {
        assert_eq!(checksum(&[&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]]), !0xddf2);
    }
}
