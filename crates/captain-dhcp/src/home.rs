//! Which of our addresses speaks to a client that broadcast on a wire with several subnets.

use captain_model::Identity;

use crate::table::{Client, Table};
use crate::wire::Request;
use crate::{Home, Ingress, Port, Settings};

/// `ingress`, as if the client had asked the address of ours that is in its own subnet: the one it names as its
/// server, or that of the address it asks for, has fixed, or had before; else the interface's first one.
pub(crate) fn of(
    settings: &Settings,
    table: &Table,
    ingress: Ingress,
    request: &Request,
    identity: Identity<'_>,
) -> Ingress {
    let direct = !request.relayed() && ingress.port == Port::Server;
    // Who wrote to one address of ours is answered by that one.
    if !direct || ingress.destination == ingress.local {
        return ingress;
    }
    let homes = || settings.homes.iter().filter(|home| home.interface == ingress.interface);
    let named = homes().find(|home| request.server_id == Some(home.address));
    if request.server_id.is_some() {
        return named.map_or(ingress, |home| moved(ingress, home));
    }
    let client = Client { mac: request.mac, id: request.client_id.clone() };
    let fixed = identity.machine().and_then(|machine| machine.address);
    let own = Some(request.ciaddr).filter(|address| !address.is_unspecified());
    let had = table.of(&client, false);
    // Where one of these lies in the interface's first subnet, that one it is.
    let known = fixed.into_iter().chain(own).chain(had).chain(request.requested);
    let first = settings.subnets.iter().find(|subnet| subnet.network.contains(&ingress.local));
    for address in known {
        if first.is_some_and(|subnet| subnet.network.contains(&address)) {
            return ingress;
        }
        if let Some(home) = homes().find(|home| home.network.contains(&address)) {
            return moved(ingress, home);
        }
    }
    ingress
}

const fn moved(ingress: Ingress, home: &Home) -> Ingress {
    Ingress { local: home.address, ..ingress }
}
