//! Configuration and flags -> what the servers are told.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use captain_config::Config;
use captain_model::{DhcpMode, Inventory, Subnet};
use captain_server::{DhcpSettings, Https, InterfaceSpec, Settings, SyslogSettings, TftpSettings};
use ipnet::Ipv4Net;

use crate::exit::Failure;
use crate::interfaces::{self, Interface};
use crate::{added, agent, paths};

/// The interfaces to serve: the named ones, else the one with the default route.
///
/// # Errors
/// 69, naming the interfaces there are.
pub(crate) fn choose_interfaces(names: &[String]) -> Result<Vec<Interface>, Failure> {
    let all = interfaces::all()?;
    if !names.is_empty() {
        return names.iter().map(|name| named(name, &all)).collect();
    }
    let routes = std::fs::read_to_string("/proc/net/route").unwrap_or_default();
    match interfaces::with_default_route(&routes) {
        Some((name, _)) => Ok(vec![named(&name, &all)?]),
        None => Err(Failure::unavailable(format!(
            "no interface has the default route: name one with -i (there is: {})",
            names_of(&all)
        ))),
    }
}

fn named(name: &str, all: &[Interface]) -> Result<Interface, Failure> {
    let mut own = all.iter().filter(|interface| interface.name == name).cloned();
    let first =
        own.next().map(|first| Interface { further: own.map(|other| other.network).collect(), ..first });
    first.ok_or_else(|| {
        Failure::unavailable(format!(
            "interface `{name}` is not there or has no IPv4 address; with an address there is: {}",
            names_of(all)
        ))
    })
}

fn names_of(all: &[Interface]) -> String {
    all.iter().map(|interface| interface.name.as_str()).collect::<Vec<_>>().join(", ")
}

/// The subnets of the configuration, else one for each interface.
pub(crate) fn subnets(config: &Config, interfaces: &[Interface]) -> Vec<Subnet> {
    if !config.dhcp.subnets.is_empty() {
        return config.dhcp.subnets.clone();
    }
    let routes = std::fs::read_to_string("/proc/net/route").unwrap_or_default();
    // Where systemd-resolved is the name server, /etc/resolv.conf holds only its loopback address.
    let dns = ["/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"]
        .iter()
        .map(|path| interfaces::name_servers(&std::fs::read_to_string(path).unwrap_or_default()))
        .find(|servers| !servers.is_empty())
        .unwrap_or_default();
    let gateway = interfaces::with_default_route(&routes).map(|(_, gateway)| gateway);
    interfaces.iter().map(|one| interfaces::implied_subnet(one, gateway, dns.clone())).collect()
}

/// The interfaces as the server is told them. The configured address, which may be a virtual one, stands in the place
/// of the own one of the interface whose network it is in; of all, where it is in none.
fn specs(interfaces: &[Interface], address: Option<Ipv4Addr>) -> Vec<InterfaceSpec> {
    let near = |one: &Interface, wanted: Ipv4Addr| {
        std::iter::once(&one.network).chain(&one.further).find(|net| net.contains(&wanted)).copied()
    };
    let nowhere = address.filter(|wanted| !interfaces.iter().any(|one| near(one, *wanted).is_some()));
    let spec = |one: &Interface| {
        let chosen = address.and_then(|wanted| near(one, wanted).map(|net| (wanted, net)));
        let (address, network) = chosen.unwrap_or((nowhere.unwrap_or(one.address), one.network));
        let all = std::iter::once(&one.network).chain(&one.further).copied();
        InterfaceSpec {
            name: one.name.clone(),
            index: one.index,
            address,
            network: network.trunc(),
            further: all.filter(|other| other.trunc() != network.trunc()).collect(),
        }
    };
    interfaces.iter().map(spec).collect()
}

/// All addresses of these interfaces, real ones and the configured one.
pub(crate) fn own_addresses(config: &Config, interfaces: &[Interface]) -> Vec<Ipv4Addr> {
    let real = interfaces.iter().flat_map(|one| std::iter::once(&one.network).chain(&one.further));
    real.map(Ipv4Net::addr).chain(config.server.address).collect()
}

fn route(route: &captain_config::Route) -> captain_dhcp::Route {
    captain_dhcp::Route { network: route.network, via: route.via }
}

/// The inventory, with the kernel arguments of OSIEs of other makers, and with the agent of captaind's own registry
/// for machines for which nobody names one.
pub(crate) fn inventory(config: &Config, interfaces: &[Interface], cache: &Path) -> Inventory {
    let own = config.server.address.or_else(|| interfaces.first().map(|interface| interface.address));
    let Some(own) = own else { return config.inventory.clone() };
    let own = format!("{own}:{}", config.server.http_port);
    let inventory = added::with_arguments(&config.inventory, &cache.join("osie"), &format!("http://{own}"));
    let image = config.registry.enabled.then(|| agent::own_image(&paths::images(cache))).flatten();
    match image {
        Some(image) => agent::with_own(&inventory, &image, &own),
        None => inventory,
    }
}

/// Everything the server needs to know.
pub(crate) fn settings(
    config: Config,
    interfaces: &[Interface],
    mode: DhcpMode,
    folders: Folders,
) -> Result<Settings, Failure> {
    let inventory = inventory(&config, interfaces, &folders.cache);
    let mut settings = Settings::new(folders.state, &folders.cache, Arc::new(inventory));
    settings.interfaces = specs(interfaces, config.server.address);
    settings.own = own_addresses(&config, interfaces);
    settings.listen_everywhere = config.server.listen_everywhere;
    settings.http_port = config.server.http_port;
    settings.dhcp = DhcpSettings {
        mode,
        subnets: subnets(&config, interfaces),
        routes: config.dhcp.routes.iter().map(route).collect(),
        share_port: config.dhcp.share_port,
        ..DhcpSettings::default()
    };
    settings.tftp = config.tftp.enabled.then_some(TftpSettings {
        port: config.tftp.port,
        block_size: config.tftp.block_size,
        window_size: config.tftp.window_size,
        single_port: config.tftp.single_port,
        root: config.tftp.root,
    });
    settings.syslog =
        SyslogSettings { receive: config.syslog.enabled, port: config.syslog.port, host: config.syslog.host };
    settings.https =
        config.server.https.map(|https| Https { port: https.port, cert: https.cert, key: https.key });
    if let Some(loaders) = config.server.loaders {
        settings.loaders_dir = loaders;
    }
    settings.registry_mirror = config.registry.mirror;
    if !config.registry.enabled {
        settings.images_dir = None;
    }
    settings.iso = config.iso.source;
    settings.trusted_proxies = config.server.trusted_proxies;
    Ok(settings)
}

/// Where the daemon keeps its files.
#[derive(Clone, Debug)]
pub(crate) struct Folders {
    pub(crate) state: PathBuf,
    pub(crate) cache: PathBuf,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interface(name: &str, addresses: &[&str]) -> Interface {
        let mut all = addresses.iter().map(|text| text.parse::<ipnet::Ipv4Net>().unwrap());
        let network = all.next().unwrap();
        Interface { name: name.into(), index: 2, address: network.addr(), network, further: all.collect() }
    }

    fn told(interfaces: &[Interface], address: &str) -> Vec<String> {
        let specs = specs(interfaces, address.parse().ok());
        specs.iter().map(|one| format!("{} {} {:?}", one.address, one.network, one.further)).collect()
    }

    #[test]
    fn a_virtual_address_hides_no_real_one_from_the_core() {
        let all =
            [interface("eth1", &["192.168.50.11/24", "10.9.0.1/16"]), interface("eth2", &["10.2.0.1/24"])];
        let config = "[server]\naddress = \"192.168.50.10\"\n";
        let config = captain_config::parse(config, Path::new("")).unwrap();
        let folders = Folders { state: PathBuf::new(), cache: PathBuf::new() };
        let told = settings(config, &all, DhcpMode::Dynamic, folders).unwrap().core(DhcpMode::Dynamic);
        let own = ["10.2.0.1", "10.9.0.1", "192.168.50.10", "192.168.50.11"];
        assert_eq!(told.own, own.map(|own| own.parse::<Ipv4Addr>().unwrap()));
    }

    #[test]
    fn the_configured_address_is_that_of_the_interface_in_whose_network_it_is() {
        let all =
            [interface("eth1", &["192.168.50.1/24", "10.9.0.1/16"]), interface("eth2", &["10.2.0.1/24"])];
        let eth2 = "10.2.0.1 10.2.0.0/24 []";
        assert_eq!(told(&all, "-"), ["192.168.50.1 192.168.50.0/24 [10.9.0.1/16]", eth2]);
        assert_eq!(told(&all, "192.168.50.7"), ["192.168.50.7 192.168.50.0/24 [10.9.0.1/16]", eth2]);
        assert_eq!(told(&all, "10.9.0.7"), ["10.9.0.7 10.9.0.0/16 [192.168.50.1/24]", eth2]);
        let virtual_one = told(&all, "172.16.0.1");
        assert_eq!(virtual_one, ["172.16.0.1 192.168.50.0/24 [10.9.0.1/16]", "172.16.0.1 10.2.0.0/24 []"]);
    }
}
