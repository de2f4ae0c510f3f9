//! `[dhcp]` and its subnets.

use std::net::Ipv4Addr;
use std::time::Duration;

use captain_model::{DhcpMode, Subnet, UnknownMachines};
use ipnet::Ipv4Net;

use crate::reader::{Table, Value};
use crate::{DhcpConfig, Route, words};

/// Shorter leases make a machine renew while it still boots.
const SHORTEST_LEASE: Duration = Duration::from_secs(60);
/// RFC 2132 section 9.2: 32 bits of seconds, of which all ones mean for ever.
const LONGEST_LEASE: Duration = Duration::from_secs(u32::MAX as u64 - 1);

pub(crate) fn dhcp(table: Table) -> (DhcpConfig, UnknownMachines) {
    let mode = table.choice("mode", words::MODES).unwrap_or_default();
    let unknown = table.choice("unknown_machines", words::UNKNOWN).unwrap_or_default();
    let share_port = table.get("share_port").and_then(|value| share_port(&value, mode)).unwrap_or(false);
    let (mut subnets, mut routes) = (Vec::new(), Vec::new());
    for table in table.tables("subnet") {
        subnets.extend(subnet(table, &subnets, &mut routes));
    }
    table.finish();
    (DhcpConfig { mode, subnets, routes, share_port }, unknown)
}

/// Two servers that both give out addresses on one port would each get half of the requests.
fn share_port(value: &Value, mode: DhcpMode) -> Option<bool> {
    let share = value.boolean()?;
    match mode {
        DhcpMode::Proxy | DhcpMode::AutoProxy | DhcpMode::Disabled => {}
        DhcpMode::Auto | DhcpMode::Dynamic | DhcpMode::Reservation if share => value.fault(
            "is for a captaind beside another DHCP server on one box: set mode = \"proxy\" or \"auto-proxy\"",
        ),
        DhcpMode::Auto | DhcpMode::Dynamic | DhcpMode::Reservation => {}
    }
    Some(share)
}

fn subnet(table: Table, others: &[Subnet], routes: &mut Vec<Route>) -> Option<Subnet> {
    let value = table.get("network");
    let network = value.as_ref().and_then(|value| value.parsed(network));
    match (&value, network) {
        (None, _) => table.fault("names no `network`: add one, such as network = \"192.168.50.0/24\""),
        (Some(value), Some(network)) => overlap(value, network, others),
        (Some(_), None) => {}
    }
    let range = table.get("range").and_then(|value| range(&value, network));
    let router = table.get("router").and_then(|value| inside(&value, network));
    let addresses = |key| table.list(key, |value| value.address()).unwrap_or_default();
    let (dns, ntp) = (addresses("dns"), addresses("ntp"));
    let domain = table.parsed("domain", domain);
    let lease_time = table.parsed("lease_time", lease).unwrap_or(Subnet::DEFAULT_LEASE);
    let client_id_first = table.boolean("client_id_first").unwrap_or(false);
    for table in table.tables("routes") {
        routes.extend(route(table, network));
    }
    table.finish();
    Some(Subnet { network: network?, range, router, dns, ntp, domain, lease_time, client_id_first })
}

/// One of a subnet's `routes`.
fn route(table: Table, subnet: Option<Ipv4Net>) -> Option<Route> {
    let network = table.parsed("network", route_network);
    let via = table.get("via").and_then(|value| inside(&value, subnet));
    for key in ["network", "via"] {
        if !table.has(key) {
            table.fault(format!(
                "names no `{key}`: write {{ network = \"10.0.0.0/8\", via = \"192.168.50.254\" }}"
            ));
        }
    }
    table.finish();
    Some(Route { network: network?, via: via? })
}

fn route_network(text: &str) -> Result<Ipv4Net, String> {
    match whole_network(text)? {
        network if network.prefix_len() == 0 => {
            Err("the default route is the subnet's `router`: set that instead".to_owned())
        }
        network => Ok(network),
    }
}

fn whole_network(text: &str) -> Result<Ipv4Net, String> {
    let network: Ipv4Net =
        text.parse().map_err(|_| format!("`{text}` is not an IPv4 network: write it as 192.168.50.0/24"))?;
    if network.addr() == network.network() {
        return Ok(network);
    }
    Err(format!("`{text}` is an address within a network: write {}", network.trunc()))
}

fn network(text: &str) -> Result<Ipv4Net, String> {
    let network = whole_network(text)?;
    if !(1..=30).contains(&network.prefix_len()) {
        return Err(format!("`{text}` has no room for a server and a machine: use a prefix of /1 to /30"));
    }
    Ok(network)
}

fn overlap(value: &Value, network: Ipv4Net, others: &[Subnet]) {
    let shares = |other: &&Subnet| other.network.contains(&network) || network.contains(&other.network);
    if let Some(other) = others.iter().find(shares) {
        value.fault(format!(
            "{network} overlaps with the subnet {}: merge them, or make them apart",
            other.network
        ));
    }
}

/// Whether a machine of `network` can have `address`.
fn is_host(network: Ipv4Net, address: Ipv4Addr) -> bool {
    network.contains(&address) && address != network.network() && address != network.broadcast()
}

fn inside(value: &Value, network: Option<Ipv4Net>) -> Option<Ipv4Addr> {
    let address = value.address()?;
    match network {
        Some(network) if !is_host(network, address) => {
            value.fault(format!("{address} is not an address of a machine in {network}"));
            None
        }
        _ => Some(address),
    }
}

fn range(value: &Value, network: Option<Ipv4Net>) -> Option<(Ipv4Addr, Ipv4Addr)> {
    let list = value.list()?;
    let [first, last] = list.as_slice() else {
        value.fault(format!(
            "has {} addresses: write the first and the last, [\"...100\", \"...199\"]",
            list.len()
        ));
        return None;
    };
    // Both are looked at before either ends the function, so that both faults are told.
    let (first, last) = (inside(first, network), inside(last, network));
    let (first, last) = (first?, last?);
    if first > last {
        value.fault(format!("ends before it begins: write [\"{last}\", \"{first}\"]"));
        return None;
    }
    Some((first, last))
}

fn domain(text: &str) -> Result<String, String> {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    if text.len() <= 253 && text.split('.').all(label) {
        return Ok(text.to_owned());
    }
    Err(format!("`{}` is not a domain name: write it as lab.example", text.escape_debug()))
}

fn lease(text: &str) -> Result<Duration, String> {
    let time = humantime::parse_duration(text)
        .map_err(|_| format!("`{text}` is not a time: write it as 1h, 30m or 1day"))?;
    if time < SHORTEST_LEASE || time > LONGEST_LEASE {
        return Err(format!("`{text}` is out of range: a lease lasts 1m to 136years"));
    }
    Ok(time)
}

/// Notes what is wrong with the fixed address of a machine, if anything.
pub(crate) fn check_fixed(value: &Value, address: Ipv4Addr, subnets: &[Subnet]) {
    let Some(subnet) = subnets.iter().find(|subnet| subnet.network.contains(&address)) else {
        if !subnets.is_empty() {
            let names: Vec<_> = subnets.iter().map(|subnet| subnet.network.to_string()).collect();
            value.fault(format!(
                "{address} is in no subnet: use an address of {}, or add a [[dhcp.subnet]]",
                names.join(", ")
            ));
        }
        return;
    };
    if !is_host(subnet.network, address) {
        value.fault(format!("{address} is not an address of a machine in {}", subnet.network));
    } else if subnet.router == Some(address) {
        value.fault(format!("{address} is the router of {}: use another address", subnet.network));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_is_written_by_its_first_address_and_has_room() {
        assert!(network("192.168.50.0/24").is_ok() && network("10.0.0.0/30").is_ok());
        for bad in [
            "192.168.50.0",
            "192.168.50.1/24",
            "10.0.0.0/31",
            "0.0.0.0/0",
            "fd00::/64",
            "x/24",
            "10.0.0.0/33",
        ] {
            assert!(network(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_lease_lasts_a_minute_or_more_and_fits_its_option() {
        assert_eq!(lease("1h 30m"), Ok(Duration::from_secs(5400)));
        for bad in ["59s", "137years", "1", "", "-1h", "ever"] {
            assert!(lease(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_subnet_has_static_routes_by_routers_of_its_own() {
        let read = |routes: &str| {
            let text = format!("[[dhcp.subnet]]\nnetwork = \"10.0.0.0/24\"\nroutes = [{routes}]\n");
            let result = crate::parse(&text, std::path::Path::new(""));
            result.map(|config| config.dhcp.routes).map_err(|faults| faults.to_string())
        };
        assert_eq!(
            read(
                "{ network = \"10.1.0.0/16\", via = \"10.0.0.9\" }, { network = \"9.9.9.9/32\", via = \"10.0.0.8\" }"
            ),
            Ok(vec![
                Route { network: "10.1.0.0/16".parse().unwrap(), via: Ipv4Addr::new(10, 0, 0, 9) },
                Route { network: "9.9.9.9/32".parse().unwrap(), via: Ipv4Addr::new(10, 0, 0, 8) },
            ])
        );
        for (route, told) in [
            (
                "{ network = \"10.1.0.0/16\", via = \"10.0.1.9\" }",
                "subnet[0].routes[0].via: 10.0.1.9 is not an address",
            ),
            ("{ network = \"10.1.0.0/16\" }", "names no `via`"),
            ("{ via = \"10.0.0.9\" }", "names no `network`"),
            ("{ network = \"0.0.0.0/0\", via = \"10.0.0.9\" }", "is the subnet's `router`"),
            ("{ network = \"10.1.0.1/16\", via = \"10.0.0.9\" }", "write 10.1.0.0/16"),
            ("{ network = \"10.1.0.0/16\", via = \"10.0.0.9\", metric = 5 }", "unknown key `metric`"),
            ("\"10.1.0.0/16\"", "must be a table"),
        ] {
            let faults = read(route).unwrap_err();
            assert!(faults.contains(told) && faults.lines().count() == 1, "{route}: {faults}");
        }
    }

    #[test]
    fn port_67_is_shared_only_by_who_gives_out_no_addresses() {
        let read = |mode: &str| {
            let text = format!("[dhcp]\nmode = \"{mode}\"\nshare_port = true\n");
            crate::parse(&text, std::path::Path::new("")).map(|config| config.dhcp.share_port)
        };
        assert_eq!(read("proxy"), Ok(true));
        assert_eq!(read("auto-proxy"), Ok(true));
        for mode in ["auto", "dynamic", "reservation"] {
            assert_eq!(read(mode).unwrap_err().faults[0].key, "dhcp.share_port", "{mode}");
        }
    }

    #[test]
    fn no_machine_gets_the_address_of_something_else() {
        let keys = |router: &str, first: &str, machine: &str| {
            let text = format!(
                "[server]\naddress = \"10.0.0.2\"\n[[dhcp.subnet]]\nnetwork = \"10.0.0.0/24\"\nrouter = \"{router}\"\n\
                 range = [\"{first}\", \"10.0.0.99\"]\n[[machine]]\nmac = \"525400000001\"\naddress = \"{machine}\"\n"
            );
            let result = crate::parse(&text, std::path::Path::new(""));
            result.map_or_else(
                |faults| faults.faults.into_iter().map(|fault| fault.key).collect(),
                |_| Vec::new(),
            )
        };
        assert_eq!(keys("10.0.0.1", "10.0.0.9", "10.0.0.7"), [""; 0]);
        assert_eq!(keys("10.0.0.0", "10.0.0.9", "10.0.0.7"), ["dhcp.subnet[0].router"]);
        assert_eq!(
            keys("10.0.0.255", "10.0.0.0", "10.0.0.7"),
            ["dhcp.subnet[0].router", "dhcp.subnet[0].range[0]"]
        );
        for taken in ["10.0.0.0", "10.0.0.255", "10.0.0.1", "10.0.0.2", "10.0.1.7", "0.0.0.0", "224.0.0.1"] {
            assert_eq!(keys("10.0.0.1", "10.0.0.9", taken), ["machine[0].address"], "{taken}");
        }
    }
}
