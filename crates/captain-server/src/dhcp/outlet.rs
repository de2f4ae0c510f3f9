//! Where replies leave: the socket they came in on, or a frame to a client that has no address yet.

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;

use captain_dhcp::{Destination, Port, Reply};
use captain_model::Mac;

use crate::net::packet::{PacketSocket, ipv4_udp};
use crate::net::udp::DhcpSocket;

/// Sends replies; usable from any thread.
#[derive(Debug)]
pub(crate) struct Outlet {
    sockets: HashMap<(u32, u16), Arc<DhcpSocket>>,
    frames: Option<PacketSocket>,
}

impl Outlet {
    /// Sends through `sockets`, and `frames` where there is one.
    pub(crate) fn new(sockets: Vec<Arc<DhcpSocket>>, frames: Option<PacketSocket>) -> Self {
        let keyed =
            sockets.into_iter().map(|socket| ((socket.interface.index, socket.port.number()), socket));
        Self { sockets: keyed.collect(), frames }
    }

    /// Sends each reply. One that cannot be sent is as good as lost on the wire: the client asks again.
    pub(crate) fn send_all(&self, replies: &[Reply]) {
        for reply in replies {
            if let Err(error) = self.send(reply) {
                tracing::warn!("a DHCP reply to {:?} was not sent: {error}", reply.to);
            }
        }
    }

    fn send(&self, reply: &Reply) -> io::Result<()> {
        match reply.to {
            Destination::Unicast(to) => self.by_socket(reply, to),
            Destination::Broadcast { port } => {
                self.by_socket(reply, SocketAddrV4::new(Ipv4Addr::BROADCAST, port))
            }
            Destination::Hardware { mac, address, port } => {
                match self.by_frame(reply, mac, SocketAddrV4::new(address, port)) {
                    Ok(()) => Ok(()),
                    // RFC 2131 section 4.1: where unicasting cannot be done, broadcast is right.
                    Err(_) => self.by_socket(reply, SocketAddrV4::new(Ipv4Addr::BROADCAST, port)),
                }
            }
        }
    }

    fn by_frame(&self, reply: &Reply, mac: Mac, to: SocketAddrV4) -> io::Result<()> {
        let frames = self.frames.as_ref().ok_or(io::ErrorKind::Unsupported)?;
        let packet = ipv4_udp(SocketAddrV4::new(reply.from, reply.from_port), to, &reply.payload);
        frames.send(reply.interface, mac, &packet)
    }

    fn by_socket(&self, reply: &Reply, to: SocketAddrV4) -> io::Result<()> {
        let by_port = self.sockets.get(&(reply.interface, reply.from_port));
        let socket = by_port.or_else(|| self.sockets.get(&(reply.interface, Port::Server.number())));
        let socket =
            socket.ok_or_else(|| io::Error::other(format!("no socket on interface {}", reply.interface)))?;
        socket.send(reply.from, to, &reply.payload)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DhcpSettings, InterfaceSpec};
    use std::net::UdpSocket;
    use std::time::Duration;

    fn outlet() -> (Outlet, InterfaceSpec) {
        let lo = InterfaceSpec::find("lo", None).unwrap();
        let settings = DhcpSettings { port: 0, ..DhcpSettings::default() };
        let socket = DhcpSocket::open(&lo, Port::Server, &settings).unwrap();
        (Outlet::new(vec![Arc::new(socket)], None), lo)
    }

    #[test]
    fn a_unicast_reply_arrives_from_the_address_the_core_names() {
        let (outlet, lo) = outlet();
        let relay = UdpSocket::bind("127.0.0.1:0").unwrap();
        let std::net::SocketAddr::V4(to) = relay.local_addr().unwrap() else { panic!("IPv4 only") };
        let from = Ipv4Addr::new(127, 0, 0, 7);
        let payload = b"reply".to_vec();
        outlet.send_all(&[Reply {
            interface: lo.index,
            from,
            from_port: 67,
            to: Destination::Unicast(to),
            payload,
        }]);
        let mut buffer = [0; 16];
        let (length, source) = relay.recv_from(&mut buffer).unwrap();
        assert_eq!((&buffer[..length], source.ip()), (b"reply".as_slice(), from.into()));
    }

    #[test]
    fn a_reply_that_cannot_leave_as_a_frame_is_broadcast() {
        let (mut outlet, lo) = outlet();
        outlet.frames = Some(PacketSocket::broken());
        let client = UdpSocket::bind("0.0.0.0:0").unwrap();
        client.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let port = client.local_addr().unwrap().port();
        let to = Destination::Hardware {
            mac: Mac::new([2, 0, 0, 0, 0, 1]),
            address: Ipv4Addr::new(127, 0, 0, 99),
            port,
        };
        let payload = b"offer".to_vec();
        outlet.send_all(&[Reply { interface: lo.index, from: lo.address, from_port: 67, to, payload }]);
        let mut buffer = [0; 16];
        assert_eq!(client.recv(&mut buffer).unwrap(), 5);
    }

    #[test]
    fn an_interface_without_socket_is_an_error_and_no_panic() {
        let (outlet, _) = outlet();
        let to = Destination::Hardware {
            mac: Mac::new([2, 0, 0, 0, 0, 1]),
            address: Ipv4Addr::LOCALHOST,
            port: 68,
        };
        let reply = Reply { interface: 9999, from: Ipv4Addr::LOCALHOST, from_port: 67, to, payload: vec![] };
        assert!(outlet.send(&reply).is_err());
    }
}
