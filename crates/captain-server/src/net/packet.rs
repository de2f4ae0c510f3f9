//! Frames to a client that has no address yet, past the kernel's ARP (RFC 2131 section 4.1).

use std::io;
use std::mem;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use captain_model::Mac;
use socket2::{SockFilter, SockRef};
use tokio::io::unix::AsyncFd;

/// UDP port of DHCP clients.
const CLIENT_PORT: u16 = 68;
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

    /// A socket that sends IPv4 and receives UDP datagrams to the port of DHCP clients, whoever they are for.
    ///
    /// # Errors
    /// The process lacks `CAP_NET_RAW`.
    pub(crate) fn dhcp_client() -> io::Result<Self> {
        let socket = Self::new(IPV4, 0)?;
        // Filtered before it receives anything: a copy of all that a busy box gets would be dear.
        SockRef::from(&socket.fd).attach_filter(&to_udp_port(CLIENT_PORT))?;
        socket.receive_from_now()?;
        Ok(socket)
    }

    /// Begins to receive its `EtherType`, on all interfaces.
    fn receive_from_now(&self) -> io::Result<()> {
        // SAFETY: sockaddr_ll is plain old data, all-zero is a valid value.
        let mut on: libc::sockaddr_ll = unsafe { mem::zeroed() };
        on.sll_family = libc::AF_PACKET as u16;
        on.sll_protocol = self.ether_type.to_be();
        let length = mem::size_of::<libc::sockaddr_ll>() as libc::socklen_t;
        // SAFETY: `on` lives through the call and its length is its own.
        let failed = unsafe { libc::bind(self.fd.as_raw_fd(), (&raw const on).cast(), length) };
        if failed != 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
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

    /// One that sends nothing.
    #[cfg(test)]
    pub(crate) fn broken() -> Self {
        Self { fd: std::fs::File::open("/dev/null").unwrap().into(), ether_type: IPV4 }
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

/// Classic BPF (linux/filter.h) over an IPv4 packet: it passes where it is UDP to `port`, and its first fragment.
fn to_udp_port(port: u16) -> [SockFilter; 9] {
    use libc::{
        BPF_ABS, BPF_B, BPF_H, BPF_IND, BPF_JEQ, BPF_JMP, BPF_JSET, BPF_K, BPF_LD, BPF_LDX, BPF_MSH, BPF_RET,
    };
    let load = |what: u32, at| SockFilter::new((BPF_LD | what) as u16, 0, 0, at);
    let jump = |test: u32, then, otherwise, with| {
        SockFilter::new((BPF_JMP | test | BPF_K) as u16, then, otherwise, with)
    };
    let give = |bytes| SockFilter::new((BPF_RET | BPF_K) as u16, 0, 0, bytes);
    [
        load(BPF_B | BPF_ABS, 9),
        jump(BPF_JEQ, 0, 6, 17),
        load(BPF_H | BPF_ABS, 6),
        jump(BPF_JSET, 4, 0, 0x1fff),
        SockFilter::new((BPF_LDX | BPF_B | BPF_MSH) as u16, 0, 0, 0),
        load(BPF_H | BPF_IND, 2),
        jump(BPF_JEQ, 0, 1, u32::from(port)),
        give(u32::MAX),
        give(0),
    ]
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
    fn of_all_packets_only_those_to_dhcp_clients_are_received() {
        let Ok(socket) = PacketSocket::dhcp_client() else {
            return eprintln!("skipped: no CAP_NET_RAW here");
        };
        let sender = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let mut seen = Vec::new();
        for port in [67, 68, 69, 68] {
            // An earlier one may have been refused: nobody listens there.
            while sender.send_to(b"one", ("127.0.0.99", port)).is_err() {}
        }
        let mut buffer = [0; 64];
        while let Ok(length) = socket.receive(&mut buffer) {
            if buffer[16..20] == [127, 0, 0, 99] {
                seen.push((u16::from_be_bytes([buffer[22], buffer[23]]), length));
            }
        }
        assert_eq!(seen, [(68, 31), (68, 31)]);
    }

    #[test]
    fn the_checksum_of_the_example_of_rfc_1071() {
        assert_eq!(checksum(&[&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]]), !0xddf2);
    }
}
