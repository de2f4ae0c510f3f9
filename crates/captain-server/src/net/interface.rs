//! Interfaces of this machine: by name, or the one with the default route.

use std::fs;
use std::net::Ipv4Addr;

use captain_model::Mac;
use ipnet::Ipv4Net;
use nix::ifaddrs::{InterfaceAddress, getifaddrs};
use nix::net::if_::{InterfaceFlags, if_nametoindex};

use crate::{BindError, InterfaceSpec};

impl InterfaceSpec {
    /// The interface called `name`, with its first IPv4 address, or with `address` where that is given (a
    /// virtual address needs not be configured on it).
    ///
    /// # Errors
    /// No such interface, or it has no IPv4 address.
    pub fn find(name: &str, address: Option<Ipv4Addr>) -> Result<Self, BindError> {
        let index = if_nametoindex(name).map_err(|_| missing(name))?;
        let own = addresses(name);
        let pick = match address {
            Some(wanted) => own.iter().find(|net| net.contains(&wanted)).map(|net| (wanted, *net)),
            None => own.first().map(|net| (net.addr(), *net)),
        };
        let fallback = address.and_then(|wanted| Ipv4Net::new(wanted, 32).ok().map(|net| (wanted, net)));
        let (address, net) =
            pick.or(fallback).ok_or_else(|| BindError::NoAddress { name: name.to_owned() })?;
        let further = own.into_iter().filter(|other| other.addr() != address && !net.contains(&other.addr()));
        let further = further.collect();
        Ok(Self { name: name.to_owned(), index, address, network: net.trunc(), further })
    }

    /// The interface with the default route (`/proc/net/route`).
    ///
    /// # Errors
    /// There is no default route, or its interface has no IPv4 address.
    pub fn of_default_route() -> Result<Self, BindError> {
        let table = fs::read_to_string("/proc/net/route").unwrap_or_default();
        let name = default_route(&table).ok_or_else(|| missing("(the one with the default route)"))?;
        Self::find(name, None)
    }
}

/// Checks that there is an interface called `name`.
///
/// # Errors
/// There is none; the error lists those that exist.
pub(crate) fn must_exist(name: &str) -> Result<(), BindError> {
    if_nametoindex(name).map(drop).map_err(|_| missing(name))
}

fn missing(name: &str) -> BindError {
    BindError::NoInterface { name: name.to_owned(), existing: names() }
}

/// Names of all interfaces, in the kernel's order.
pub fn names() -> Vec<String> {
    nix::net::if_::if_nameindex()
        .map(|list| list.iter().map(|one| one.name().to_string_lossy().into_owned()).collect())
        .unwrap_or_default()
}

fn addresses(name: &str) -> Vec<Ipv4Net> {
    let all = getifaddrs().into_iter().flatten();
    all.filter(|entry| entry.interface_name == name).filter_map(|entry| network_of(&entry)).collect()
}

fn network_of(entry: &InterfaceAddress) -> Option<Ipv4Net> {
    let address = entry.address.as_ref()?.as_sockaddr_in()?.ip();
    let mask = entry.netmask.as_ref()?.as_sockaddr_in()?.ip();
    Ipv4Net::with_netmask(address, mask).ok()
}

/// The hardware address of an interface. Not from `/sys`, which shows another network namespace's interfaces
/// until it is mounted anew.
pub(crate) fn mac_of(name: &str) -> Option<Mac> {
    let entries = getifaddrs().into_iter().flatten().filter(|entry| entry.interface_name == name);
    entries.filter_map(|entry| entry.address?.as_link_addr()?.addr()).map(Mac::new).next()
}

/// The names of the interfaces that are up and have a carrier.
pub(crate) fn running() -> Vec<String> {
    let running = |entry: &InterfaceAddress| entry.flags.contains(InterfaceFlags::IFF_RUNNING);
    getifaddrs().into_iter().flatten().filter(running).map(|entry| entry.interface_name).collect()
}

/// The interface of the default route with the lowest metric.
fn default_route(table: &str) -> Option<&str> {
    let routes = table.lines().skip(1).filter_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (name, destination, metric, mask) =
            (*fields.first()?, *fields.get(1)?, fields.get(6)?.parse::<u32>().ok()?, *fields.get(7)?);
        (destination == "00000000" && mask == "00000000").then_some((metric, name))
    });
    routes.min().map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_route_with_the_lowest_metric_wins() {
        let table = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n\
            wlan0\t00000000\t0101A8C0\t0003\t0\t0\t600\t00000000\t0\t0\t0\n\
            eth1\t0032A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n\
            eth0\t00000000\t0101A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n";
        assert_eq!(default_route(table), Some("eth0"));
        assert_eq!(default_route("Iface\n"), None);
    }

    #[test]
    fn the_loopback_interface_is_found_with_its_network() {
        let lo = InterfaceSpec::find("lo", None).unwrap();
        assert_eq!(mac_of("lo"), Some(Mac::new([0; 6])));
        assert_eq!((lo.address, lo.network.to_string()), (Ipv4Addr::LOCALHOST, "127.0.0.0/8".to_owned()));
    }

    #[test]
    fn a_missing_interface_is_told_with_those_that_exist() {
        let error = InterfaceSpec::find("nosuch0", None).unwrap_err();
        assert_eq!(error.kind(), crate::BindErrorKind::Unavailable);
        assert!(error.to_string().contains("`nosuch0`; this machine has: lo"), "{error}");
    }
}
