//! Sockets: which of our addresses a datagram came to, and replies from that very address.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, SockaddrIn, recvmsg, sendmsg, setsockopt, sockopt,
};
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::io::Interest;
use tokio::net::UdpSocket;

/// A storm of requests after a power cut must fit while we are busy opening files.
const RECEIVE_BUFFER: usize = 1 << 20;
/// IPv4, UDP and TFTP headers: what a block cannot have of the MTU.
const HEADERS: u32 = 20 + 8 + 4;

/// A datagram's way to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Arrival {
    pub(crate) length: usize,
    pub(crate) peer: SocketAddrV4,
    /// Our address that it was sent to; `None` for a broadcast, which a TFTP server ignores (RFC 1123 section 4.2.2).
    pub(crate) local: Option<Ipv4Addr>,
}

/// Makes a socket bound to `address`, on `interface` only if one is given.
pub(crate) fn bind(address: SocketAddrV4, interface: Option<&str>) -> io::Result<std::net::UdpSocket> {
    let socket = unbound(interface)?;
    socket.bind(&address.into())?;
    Ok(socket.into())
}

fn unbound(interface: Option<&str>) -> io::Result<Socket> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    if let Some(interface) = interface {
        socket.bind_device(Some(interface.as_bytes()))?;
    }
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Makes the socket that takes requests: it learns which address each was sent to.
pub(crate) fn listen(address: SocketAddrV4, interface: Option<&str>) -> io::Result<std::net::UdpSocket> {
    let socket = bind(address, interface)?;
    setsockopt(&socket, sockopt::Ipv4PacketInfo, &true)?;
    // A smaller buffer than wished for is no reason not to serve.
    let _ = SockRef::from(&socket).set_recv_buffer_size(RECEIVE_BUFFER);
    Ok(socket)
}

/// Waits for a datagram.
pub(crate) async fn receive(socket: &UdpSocket, buffer: &mut [u8]) -> io::Result<Arrival> {
    socket.async_io(Interest::READABLE, || receive_now(socket.as_fd(), buffer)).await
}

fn receive_now(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<Arrival> {
    let mut space = nix::cmsg_space!(libc::in_pktinfo);
    let mut slices = [IoSliceMut::new(buffer)];
    let message =
        recvmsg::<SockaddrIn>(socket.as_raw_fd(), &mut slices, Some(&mut space), MsgFlags::empty())?;
    let peer = message.address.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))?;
    let local = message.cmsgs()?.find_map(|control| match control {
        ControlMessageOwned::Ipv4PacketInfo(info) => Some(info),
        _ => None,
    });
    // For a unicast datagram the address it was sent to is also the one to answer from.
    let local = local.filter(|info| info.ipi_addr.s_addr == info.ipi_spec_dst.s_addr);
    let local = local.map(|info| Ipv4Addr::from(u32::from_be(info.ipi_addr.s_addr)));
    Ok(Arrival { length: message.bytes, peer: SocketAddrV4::new(peer.ip(), peer.port()), local })
}

/// Makes a second socket on the port of `first`, connected to `peer`: from now on the kernel hands over what `peer` says
/// there, and everybody else's datagrams still come by `first`.
pub(crate) fn twin(
    first: &UdpSocket,
    peer: SocketAddrV4,
    interface: Option<&str>,
) -> io::Result<std::net::UdpSocket> {
    let address = first.local_addr()?;
    let first = SockRef::from(first);
    // Only now: a free port that was looked for with it might be another transfer's.
    first.set_reuse_address(true)?;
    let twin = || {
        let twin = unbound(interface)?;
        twin.set_reuse_address(true)?;
        twin.bind(&address.into())?;
        twin.connect(&peer.into())?;
        twin.set_reuse_address(false)?;
        Ok(twin.into())
    };
    let made = twin();
    first.set_reuse_address(false)?;
    made
}

/// Where a datagram goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// Where the socket is connected to.
    Connected,
    /// There, from the address that the socket is bound to.
    Peer(SocketAddrV4),
    /// There, from this address of ours.
    PeerFrom(SocketAddrV4, Ipv4Addr),
}

/// Sends one datagram to `peer` from our address `local`, by the socket that took the request.
pub(crate) async fn reply(
    socket: &UdpSocket,
    local: Ipv4Addr,
    peer: SocketAddrV4,
    datagram: &[u8],
) -> io::Result<()> {
    send(socket, Target::PeerFrom(peer, local), &[datagram]).await
}

/// Sends datagrams in one call. All must have the same length, but for the last, which may be shorter: the kernel, or the
/// card, cuts them apart (UDP_SEGMENT).
pub(crate) async fn send(socket: &UdpSocket, target: Target, datagrams: &[&[u8]]) -> io::Result<()> {
    let send = || send_now(socket, target, datagrams);
    socket.async_io(Interest::WRITABLE, || about_this_one(send)).await.map(drop)
}

/// The same, without waiting for room.
pub(crate) fn send_now(socket: &impl AsRawFd, target: Target, datagrams: &[&[u8]]) -> io::Result<usize> {
    let (peer, local) = match target {
        Target::Connected => (None, None),
        Target::Peer(peer) => (Some(peer), None),
        Target::PeerFrom(peer, local) => (Some(peer), Some(local)),
    };
    let source = local.map(|local| libc::in_pktinfo {
        ipi_ifindex: 0,
        ipi_spec_dst: libc::in_addr { s_addr: u32::from(local).to_be() },
        ipi_addr: libc::in_addr { s_addr: 0 },
    });
    let size = datagrams.first().and_then(|first| u16::try_from(first.len()).ok()).unwrap_or(u16::MAX);
    let source = source.as_ref().map(ControlMessage::Ipv4PacketInfo);
    let cut = (datagrams.len() > 1).then_some(ControlMessage::UdpGsoSegments(&size));
    let control: Vec<_> = source.into_iter().chain(cut).collect();
    let slices: Vec<_> = datagrams.iter().map(|datagram| IoSlice::new(datagram)).collect();
    let peer = peer.map(SockaddrIn::from);
    Ok(sendmsg(socket.as_raw_fd(), &slices, &control, MsgFlags::empty(), peer.as_ref())?)
}

/// A connected socket may complain of an earlier datagram, which an ICMP message was about: then this one was not even
/// tried.
pub(crate) fn about_this_one(send: impl Fn() -> io::Result<usize>) -> io::Result<usize> {
    match send() {
        Err(error) if error.kind() != io::ErrorKind::WouldBlock => send(),
        sent => sent,
    }
}

/// The largest block that reaches `peer` from `local` in one piece, by the MTU of the way there as the kernel knows it.
pub(crate) fn largest_block(local: Ipv4Addr, peer: SocketAddrV4, interface: Option<&str>) -> Option<u16> {
    let socket = bind(SocketAddrV4::new(local, 0), interface).ok()?;
    socket.connect(peer).ok()?;
    let mut mtu: libc::c_int = 0;
    let mut length = libc::socklen_t::try_from(size_of::<libc::c_int>()).ok()?;
    // SAFETY: `mtu` is a c_int and `length` says so; the kernel writes at most that much.
    let failed = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_IP,
            libc::IP_MTU,
            (&raw mut mtu).cast(),
            &raw mut length,
        )
    };
    let room = u32::try_from(mtu).ok().filter(|_| failed == 0)?.saturating_sub(HEADERS);
    Some(u16::try_from(room).unwrap_or(u16::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_block_of_the_loopback_is_its_mtu_less_the_headers() {
        let mtu = std::fs::read_to_string("/sys/class/net/lo/mtu").unwrap();
        // No IPv4 datagram has more than 65535 bytes, whatever the interface could carry.
        let want = mtu.trim().parse::<u32>().unwrap().min(65535) - HEADERS;
        let largest = largest_block(Ipv4Addr::LOCALHOST, SocketAddrV4::new(Ipv4Addr::LOCALHOST, 9), None);
        assert_eq!(largest.map(u32::from), Some(want));
    }
}
