//! Opening a listening socket, and naming what is in the way.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, UdpSocket};

use socket2::{Domain, Protocol, Socket, Type};

use super::owner::holder_of;
use crate::BindError;

/// What a socket is for: how it is named in errors.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Purpose {
    /// `DHCP`, `HTTP`, ...
    pub(crate) service: &'static str,
    /// `UDP` or `TCP`.
    pub(crate) transport: &'static str,
    /// Port number.
    pub(crate) port: u16,
}

impl Purpose {
    /// The error that the kernel's `error` on this socket means.
    pub(crate) fn failed(self, error: io::Error) -> BindError {
        let Self { service, transport, port } = self;
        match error.kind() {
            io::ErrorKind::AddrInUse => {
                BindError::PortTaken { service, transport, port, holder: holder_of(transport, port) }
            }
            io::ErrorKind::PermissionDenied => BindError::Permission {
                what: format!("{service} port {transport} {port}"),
                capability: "CAP_NET_BIND_SERVICE",
            },
            _ => BindError::Io { what: format!("{service} port {transport} {port}"), source: error },
        }
    }
}

/// A listening, non-blocking TCP socket, on one network device only where one is given.
///
/// # Errors
/// The port is taken, or may not be bound.
pub(crate) fn tcp(
    service: &'static str,
    address: Ipv4Addr,
    port: u16,
    device: Option<&str>,
) -> Result<TcpListener, BindError> {
    let purpose = Purpose { service, transport: "TCP", port };
    let open = || -> io::Result<TcpListener> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
        // Connections of the daemon before a restart linger in TIME_WAIT; a listener is still noticed.
        socket.set_reuse_address(true)?;
        socket.bind_device(device.map(str::as_bytes))?;
        socket.bind(&SocketAddrV4::new(address, port).into())?;
        socket.listen(1024)?;
        socket.set_nonblocking(true)?;
        Ok(socket.into())
    };
    open().map_err(|error| purpose.failed(error))
}

/// A non-blocking UDP socket that nobody shares, on one network device only where one is given.
///
/// # Errors
/// The port is taken, or may not be bound.
pub(crate) fn udp(
    service: &'static str,
    address: Ipv4Addr,
    port: u16,
    device: Option<&str>,
) -> Result<UdpSocket, BindError> {
    let purpose = Purpose { service, transport: "UDP", port };
    let open = || -> io::Result<UdpSocket> {
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
        socket.bind_device(device.map(str::as_bytes))?;
        socket.bind(&SocketAddrV4::new(address, port).into())?;
        socket.set_nonblocking(true)?;
        Ok(socket.into())
    };
    open().map_err(|error| purpose.failed(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_names_the_service_the_port_and_the_holder() {
        let first = tcp("HTTP", Ipv4Addr::LOCALHOST, 0, None).unwrap();
        let port = first.local_addr().unwrap().port();
        let error = tcp("HTTP", Ipv4Addr::LOCALHOST, port, None).unwrap_err();
        let text = error.to_string();
        assert!(text.starts_with(&format!("HTTP port TCP {port} is taken by ")), "{text}");
        assert!(text.contains(&format!("(pid {})", std::process::id())), "{text}");
        assert_eq!(error.kind(), crate::BindErrorKind::Unavailable);
    }

    #[test]
    fn a_missing_right_names_the_capability() {
        let purpose = Purpose { service: "TFTP", transport: "UDP", port: 69 };
        let error = purpose.failed(io::ErrorKind::PermissionDenied.into());
        assert_eq!(error.kind(), crate::BindErrorKind::Permission);
        assert!(error.to_string().contains("setcap 'cap_net_bind_service+ep'"), "{error}");
    }
}
