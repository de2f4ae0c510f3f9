//! The DHCP ports: one socket per interface and port, with the interface and address of every datagram.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::os::fd::AsRawFd;
use std::sync::Arc;

use captain_dhcp::{Ingress, Port};
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, SockaddrIn, recvmsg, sendmsg, setsockopt, sockopt,
};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::unix::AsyncFd;

use super::open::Purpose;
use crate::{BindError, DhcpSettings, InterfaceSpec};

/// Larger than any DHCP datagram on Ethernet (RFC 2132 section 9.10 lets clients announce what they take).
pub(crate) const LARGEST: usize = 4096;
/// Bytes of datagrams that wait in the kernel, its own overhead of about three times their length included.
const RECEIVE_BUFFER: usize = 4 << 20;

/// One DHCP port on one interface.
#[derive(Debug)]
pub(crate) struct DhcpSocket {
    /// The interface it is bound to.
    pub(crate) interface: InterfaceSpec,
    /// Which of our two ports it is.
    pub(crate) port: Port,
    /// The socket, non-blocking.
    pub(crate) socket: UdpSocket,
}

/// A datagram and how it came.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival {
    /// Bytes in the buffer.
    pub(crate) length: usize,
    /// Sender.
    pub(crate) source: SocketAddrV4,
    /// Destination address in its IP header.
    pub(crate) destination: Ipv4Addr,
}

impl DhcpSocket {
    /// Opens `port` on `interface`.
    ///
    /// `SO_REUSEADDR` stays off unless [`DhcpSettings::share_port`] is set: a second DHCP server on this box is
    /// then noticed here and not by machines that get answers from two.
    ///
    /// # Errors
    /// The port is taken, or a capability is missing.
    pub(crate) fn open(
        interface: &InterfaceSpec,
        port: Port,
        settings: &DhcpSettings,
    ) -> Result<Self, BindError> {
        let number = match port {
            Port::Server => settings.port,
            Port::BootServer => settings.boot_server_port,
        };
        let purpose = Purpose { service: "DHCP", transport: "UDP", port: number };
        let socket = open(interface, number, settings.share_port).map_err(|error| purpose.failed(error))?;
        Ok(Self { interface: interface.clone(), port, socket })
    }

    /// The socket on the runtime's reactor.
    ///
    /// # Errors
    /// The reactor's.
    pub(crate) fn watch(self: &Arc<Self>) -> io::Result<AsyncFd<Arc<Self>>> {
        // SAFETY: the descriptor is a field of the shared value, never replaced, and closed only with the last
        // owner of that value, of which the reactor's entry is one.
        unsafe { AsyncFd::register(self.clone()) }.map_err(io::Error::from)
    }

    /// How `arrival` reached us.
    pub(crate) fn ingress(&self, arrival: Arrival) -> Ingress {
        self.interface.ingress(arrival.source, arrival.destination, self.port)
    }

    /// Takes one datagram.
    ///
    /// # Errors
    /// `WouldBlock` where none waits; otherwise the kernel's.
    pub(crate) fn receive(&self, buffer: &mut [u8]) -> io::Result<Arrival> {
        let mut slices = [IoSliceMut::new(buffer)];
        let mut control = nix::cmsg_space!(nix::libc::in_pktinfo);
        let fd = self.socket.as_raw_fd();
        let message = recvmsg::<SockaddrIn>(fd, &mut slices, Some(&mut control), MsgFlags::MSG_DONTWAIT)?;
        let source = message.address.map_or(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0), |address| {
            SocketAddrV4::new(address.ip(), address.port())
        });
        let destination = message.cmsgs()?.find_map(|part| match part {
            ControlMessageOwned::Ipv4PacketInfo(info) => {
                Some(Ipv4Addr::from(info.ipi_addr.s_addr.to_ne_bytes()))
            }
            _ => None,
        });
        let destination = destination.unwrap_or(Ipv4Addr::BROADCAST);
        Ok(Arrival { length: message.bytes, source, destination })
    }

    /// Sends `payload` out of the interface, from our address `from`.
    ///
    /// # Errors
    /// The kernel's.
    pub(crate) fn send(&self, from: Ipv4Addr, to: SocketAddrV4, payload: &[u8]) -> io::Result<()> {
        let info = nix::libc::in_pktinfo {
            ipi_ifindex: self.interface.index.cast_signed(),
            ipi_spec_dst: nix::libc::in_addr { s_addr: u32::from_ne_bytes(from.octets()) },
            ipi_addr: nix::libc::in_addr { s_addr: 0 },
        };
        let control = [ControlMessage::Ipv4PacketInfo(&info)];
        let fd = self.socket.as_raw_fd();
        sendmsg(fd, &[IoSlice::new(payload)], &control, MsgFlags::empty(), Some(&SockaddrIn::from(to)))?;
        Ok(())
    }
}

impl AsRawFd for DhcpSocket {
    fn as_raw_fd(&self) -> i32 {
        self.socket.as_raw_fd()
    }
}

fn open(interface: &InterfaceSpec, port: u16, share: bool) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_broadcast(true)?;
    socket.set_reuse_address(share)?;
    socket.bind_device(Some(interface.name.as_bytes()))?;
    setsockopt(&socket, sockopt::Ipv4PacketInfo, &true)?;
    // A rack that is switched on sends its DISCOVERs in one second: room for them while a commit runs.
    // Beyond the system's limit where we may (CAP_NET_ADMIN), else up to it.
    if setsockopt(&socket, sockopt::RcvBufForce, &RECEIVE_BUFFER).is_err() {
        socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
    }
    socket.bind(&SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, port).into())?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loopback() -> DhcpSocket {
        let settings = DhcpSettings { port: 0, ..DhcpSettings::default() };
        let lo = InterfaceSpec::find("lo", None).unwrap();
        DhcpSocket::open(&lo, Port::Server, &settings).unwrap()
    }

    #[test]
    fn a_datagram_comes_with_its_source_and_destination_and_is_answered_from_the_address_asked() {
        let server = loopback();
        let port = server.socket.local_addr().unwrap().port();
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        client.send_to(b"ask", ("127.0.0.9", port)).unwrap();
        let mut buffer = [0; 16];
        let arrival = server.receive(&mut buffer).unwrap();
        assert_eq!(&buffer[..arrival.length], b"ask");
        assert_eq!(arrival.destination, Ipv4Addr::new(127, 0, 0, 9));

        server.send(arrival.destination, arrival.source, b"answer").unwrap();
        let (length, from) = client.recv_from(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], b"answer");
        assert_eq!(from.to_string(), format!("127.0.0.9:{port}"));
    }

    #[test]
    fn a_second_server_on_the_port_is_noticed() {
        let first = loopback();
        let port = first.socket.local_addr().unwrap().port();
        let settings = DhcpSettings { port, ..DhcpSettings::default() };
        let error = DhcpSocket::open(&first.interface, Port::Server, &settings).unwrap_err();
        assert!(matches!(error, BindError::PortTaken { service: "DHCP", .. }), "{error}");
    }
}
