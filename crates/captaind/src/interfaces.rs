//! Which interface to serve on, and the subnet that follows from it where none is configured.

use std::net::{IpAddr, Ipv4Addr};

use captain_model::Subnet;
use ipnet::Ipv4Net;

/// An interface of this box that can be served on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Interface {
    pub(crate) name: String,
    pub(crate) index: u32,
    pub(crate) address: Ipv4Addr,
    pub(crate) network: Ipv4Net,
    /// Further addresses of this box on it, each with its network's prefix.
    pub(crate) further: Vec<Ipv4Net>,
}

/// All IPv4 addresses of all interfaces, each as one interface.
pub(crate) fn all() -> std::io::Result<Vec<Interface>> {
    let addresses = if_addrs::get_if_addrs()?;
    Ok(addresses
        .into_iter()
        .filter_map(|interface| {
            let if_addrs::IfAddr::V4(v4) = &interface.addr else { return None };
            let prefix = ipnet::ipv4_mask_to_prefix(v4.netmask).ok()?;
            let network = Ipv4Net::new(v4.ip, prefix).ok()?;
            let index = interface.index?;
            Some(Interface { name: interface.name, index, address: v4.ip, network, further: Vec::new() })
        })
        .collect())
}

/// The name of the interface with the default route, from the text of `/proc/net/route`.
pub(crate) fn with_default_route(routes: &str) -> Option<(String, Ipv4Addr)> {
    routes
        .lines()
        .skip(1)
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            let (name, destination, gateway) = (words.next()?, words.next()?, words.next()?);
            let metric: u32 = words.nth(3)?.parse().ok()?;
            let mask = words.next()?;
            let gateway = Ipv4Addr::from(u32::from_str_radix(gateway, 16).ok()?.swap_bytes());
            (destination == "00000000" && mask == "00000000").then(|| (metric, name.to_owned(), gateway))
        })
        .min_by_key(|(metric, ..)| *metric)
        .map(|(_, name, gateway)| (name, gateway))
}

/// The subnet of an interface where the configuration has none: the second half of its network (at most
/// 100 addresses, from .100 in a /24), routed by the box's own gateway where that is in it.
pub(crate) fn implied_subnet(interface: &Interface, gateway: Option<Ipv4Addr>, dns: Vec<Ipv4Addr>) -> Subnet {
    let network = interface.network.trunc();
    let (first, last) = (u32::from(network.network()), u32::from(network.broadcast()));
    let size = last - first + 1;
    let low = if size >= 256 { first + 100 } else { first + size / 2 };
    let high = (low + 99).min(last.saturating_sub(1));
    let router = gateway.filter(|gateway| network.contains(gateway)).unwrap_or(interface.address);
    Subnet {
        network,
        range: (low < high).then(|| (Ipv4Addr::from(low), Ipv4Addr::from(high))),
        router: Some(router),
        dns,
        ntp: Vec::new(),
        domain: None,
        lease_time: Subnet::DEFAULT_LEASE,
        client_id_first: false,
    }
}

/// IPv4 name servers in the text of `/etc/resolv.conf` that other machines can reach: not the loopback ones.
pub(crate) fn name_servers(resolv_conf: &str) -> Vec<Ipv4Addr> {
    let servers = resolv_conf.lines().filter_map(|line| line.trim().strip_prefix("nameserver"));
    servers
        .filter_map(|rest| rest.trim().parse::<IpAddr>().ok())
        .filter_map(|address| match address {
            IpAddr::V4(v4) if !v4.is_loopback() => Some(v4),
            IpAddr::V4(_) | IpAddr::V6(_) => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_route_with_the_lowest_metric_wins() {
        let routes = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n\
            wlan0\t00000000\t0101A8C0\t0003\t0\t0\t600\t00000000\t0\t0\t0\n\
            eth1\t00000000\t0132A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n\
            eth1\t0032A8C0\t00000000\t0001\t0\t0\t100\t00FFFFFF\t0\t0\t0\n";
        let want = ("eth1".to_owned(), Ipv4Addr::new(192, 168, 50, 1));
        assert_eq!(with_default_route(routes), Some(want));
        assert_eq!(with_default_route("Iface\n"), None);
    }

    fn interface(address: &str) -> Interface {
        let network: Ipv4Net = address.parse().unwrap();
        Interface { name: "eth1".into(), index: 2, address: network.addr(), network, further: Vec::new() }
    }

    #[test]
    fn an_implied_subnet_has_a_range_inside_the_interface_network() {
        for (address, low, high) in [
            ("192.168.50.1/24", [192, 168, 50, 100], [192, 168, 50, 199]),
            ("10.0.0.1/16", [10, 0, 0, 100], [10, 0, 0, 199]),
            ("10.0.0.1/28", [10, 0, 0, 8], [10, 0, 0, 14]),
        ] {
            let subnet = implied_subnet(&interface(address), None, Vec::new());
            assert_eq!(subnet.range, Some((low.into(), high.into())), "{address}");
            assert_eq!(subnet.router, Some(interface(address).address));
        }
        assert_eq!(implied_subnet(&interface("10.0.0.1/32"), None, Vec::new()).range, None);
    }

    #[test]
    fn a_gateway_is_the_router_only_inside_the_network() {
        let eth1 = interface("192.168.50.1/24");
        let inside = implied_subnet(&eth1, Some([192, 168, 50, 254].into()), Vec::new());
        let outside = implied_subnet(&eth1, Some([10, 0, 0, 1].into()), Vec::new());
        assert_eq!(inside.router, Some([192, 168, 50, 254].into()));
        assert_eq!(outside.router, Some([192, 168, 50, 1].into()));
    }

    #[test]
    fn loopback_name_servers_are_not_passed_on() {
        let text = "# x\nnameserver 127.0.0.53\nnameserver 10.0.0.2\nnameserver ::1\nsearch lab\n";
        assert_eq!(name_servers(text), [Ipv4Addr::new(10, 0, 0, 2)]);
    }
}
