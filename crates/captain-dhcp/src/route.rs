//! Where a reply goes (RFC 2131 section 4.1, RFC 8357).

use std::net::{Ipv4Addr, SocketAddrV4};

use crate::decide::Decision;
use crate::wire::Request;
use crate::{Destination, Ingress, Port};

const SERVER_PORT: u16 = 67;
const CLIENT_PORT: u16 = 68;

/// Where the answer to `request` goes; `yiaddr` is the address given in it, or 0.
pub(crate) fn destination(
    request: &Request,
    ingress: Ingress,
    decision: &Decision,
    yiaddr: Ipv4Addr,
) -> Destination {
    if ingress.port == Port::BootServer {
        return to_asker(request, ingress.source);
    }
    if request.relayed() {
        return Destination::Unicast(SocketAddrV4::new(request.giaddr, relay_port(request, ingress)));
    }
    let nak = matches!(decision, Decision::Nak(_));
    if !nak && !request.ciaddr.is_unspecified() {
        return Destination::Unicast(SocketAddrV4::new(request.ciaddr, CLIENT_PORT));
    }
    // A proxy offer gives no address that the client could be reached at.
    if nak || request.wants_broadcast() || yiaddr.is_unspecified() {
        return Destination::Broadcast { port: CLIENT_PORT };
    }
    Destination::Hardware { mac: request.mac, address: yiaddr, port: CLIENT_PORT }
}

/// A client of port 4011 has an address and waits at the port it asked from (PXE 2.1 section 2.2.4); one that says
/// nowhere what its address is can be reached by broadcast alone.
fn to_asker(request: &Request, source: SocketAddrV4) -> Destination {
    let known = [*source.ip(), request.ciaddr].into_iter().find(|address| !address.is_unspecified());
    known.map_or(Destination::Broadcast { port: source.port() }, |address| {
        Destination::Unicast(SocketAddrV4::new(address, source.port()))
    })
}

/// 67, or the port the relay sent from where it says that it listens there.
fn relay_port(request: &Request, ingress: Ingress) -> u16 {
    let own = request.trusted_relay().is_some_and(|relay| relay.source_port);
    if own { ingress.source.port() } else { SERVER_PORT }
}
