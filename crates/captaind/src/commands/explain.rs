//! `captaind explain`: the reply, the script and the command line that a machine would get.

mod capture;

use std::net::Ipv4Addr;
use std::path::PathBuf;

use captain_boot::{Facts, ServerFacts, Via};
use captain_config::Config;
use captain_dhcp::{Explanation, Question, Server, World};
use captain_model::{
    Arch, BootPolicy, Cmdline, DhcpMode, Event, EventKind, Firmware, Identity, Mac, Timestamp,
    UnknownMachines,
};
use captain_server::Settings;

use crate::appliance::{self, Folders};
use crate::cli::{ExplainArgs, ExplainStage};
use crate::configuration::{self, Loaded};
use crate::exit::Failure;
use crate::interfaces::Interface;

/// What is printed, part by part.
#[derive(serde::Serialize)]
struct Answer {
    #[serde(skip_serializing_if = "Option::is_none")]
    assumed: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dhcp: Option<serde_json::Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    script: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cmdline: Option<String>,
}

pub(crate) fn run(args: &ExplainArgs) -> Result<(), Failure> {
    let loaded = configuration::load(&args.site)?;
    let place = Place::of(&loaded.config);
    match (&args.pcap, args.mac) {
        (Some(file), only) => capture::run(args, &loaded.config, &place, file, only),
        (None, Some(mac)) => machine(args, &loaded, &place, mac),
        (None, None) => Err(Failure::usage("name a MAC address, or a capture with --pcap FILE")),
    }
}

fn machine(args: &ExplainArgs, loaded: &Loaded, place: &Place, mac: Mac) -> Result<(), Failure> {
    let wants = |stage| args.stage == ExplainStage::All || args.stage == stage;
    let told = Told::of(args, loaded, place, mac)?;
    let config = &loaded.config;
    let settings = settings(args, config, place)?;
    let explanation = wants(ExplainStage::Dhcp).then(|| dhcp(args, config, place, mac, &settings));
    let answer = Answer {
        assumed: wants(ExplainStage::Dhcp).then(|| assumed(args, config)),
        dhcp: explanation.as_ref().map(as_json),
        script: wants(ExplainStage::Script).then_some(told.script),
        cmdline: wants(ExplainStage::Cmdline).then_some(told.cmdline),
    };
    if args.json {
        println!("{}", serde_json::to_string_pretty(&answer).map_err(Failure::failed)?);
        return Ok(());
    }
    if let Some(explanation) = &explanation {
        println!("{}", as_text(explanation, &answer.assumed.unwrap_or_default()));
    }
    for (title, text) in [("script", &answer.script), ("command line", &answer.cmdline)] {
        if let Some(text) = text {
            println!("# {title}\n{}\n", text.trim_end());
        }
    }
    Ok(())
}

/// Where the imagined server stands.
pub(super) struct Place {
    local: Ipv4Addr,
    /// Those that `serve` would take, the first at `local`; never empty.
    interfaces: Vec<Interface>,
}

impl Place {
    /// The interface that `serve` would take; where none is in a subnet, the first subnet's router speaks, else its
    /// first host.
    pub(super) fn of(config: &Config) -> Self {
        let mut interfaces = appliance::choose_interfaces(&config.server.interfaces).unwrap_or_default();
        let subnets = appliance::subnets(config, &interfaces);
        let own = interfaces.first().map(|interface| interface.address);
        let inside = own.filter(|own| subnets.iter().any(|subnet| subnet.network.contains(own)));
        let somebody = subnets.first().and_then(|subnet| subnet.router.or(subnet.network.hosts().next()));
        let local = config.server.address.or(inside).or(somebody).unwrap_or(Ipv4Addr::LOCALHOST);
        match interfaces.first_mut() {
            Some(first) => first.address = local,
            None => interfaces.push(Interface {
                name: "none".to_owned(),
                index: 0,
                address: local,
                network: local.into(),
                further: Vec::new(),
            }),
        }
        Self { local, interfaces }
    }
}

fn arch(mac: Mac, config: &Config) -> Arch {
    config.inventory.machine(mac).and_then(|machine| machine.arch).unwrap_or(Arch::Amd64)
}

fn asked_mode(args: &ExplainArgs, config: &Config) -> DhcpMode {
    args.mode.map_or(config.dhcp.mode, DhcpMode::from)
}

/// What is taken for granted that only a running daemon can find out.
fn assumed(args: &ExplainArgs, config: &Config) -> String {
    let mode = (asked_mode(args, config) == DhcpMode::Auto).then_some(
        "mode auto is taken for dynamic; where `serve` finds another DHCP server it is auto-proxy (--mode auto-proxy)",
    );
    let world = "every boot loader is there, and no machine has used up its `once` or `until-done`";
    mode.into_iter().chain([world]).collect::<Vec<_>>().join("; ")
}

/// What `serve` would be told, in a mode that is not `Auto`.
fn settings(args: &ExplainArgs, config: &Config, place: &Place) -> Result<Settings, Failure> {
    let mode = match asked_mode(args, config) {
        DhcpMode::Auto => DhcpMode::Dynamic,
        mode @ (DhcpMode::Dynamic
        | DhcpMode::Reservation
        | DhcpMode::Proxy
        | DhcpMode::AutoProxy
        | DhcpMode::Disabled) => mode,
    };
    // Nothing is opened, so the folders do not matter.
    let folders = Folders { state: PathBuf::new(), cache: PathBuf::new() };
    appliance::settings(config.clone(), &place.interfaces, mode, folders)
}

/// The DHCP core of that `serve`.
fn core(settings: &Settings) -> Server {
    Server::new(settings.core(settings.dhcp.mode), [])
}

/// The inventory, with every loader there and no machine done.
fn world(config: &Config) -> World<'_> {
    World { inventory: &config.inventory, settled: &|_| false, loaders: &|_| true, awaited: None }
}

fn dhcp(args: &ExplainArgs, config: &Config, place: &Place, mac: Mac, settings: &Settings) -> Explanation {
    let question = Question {
        mac,
        firmware: args.firmware,
        arch: arch(mac, config),
        relay: args.relay,
        interface: place.interfaces.first().map_or(0, |interface| interface.index),
        local: place.local,
    };
    captain_dhcp::explain(&core(settings), Timestamp::default(), &world(config), question)
}

fn as_json(explanation: &Explanation) -> serde_json::Value {
    let lines: Vec<_> = explanation
        .lines
        .iter()
        .map(|line| {
            serde_json::json!({ "code": line.code, "name": line.name, "value": line.value, "why": line.why })
        })
        .collect();
    serde_json::json!({
        "request": explanation.request,
        "decision": explanation.decision,
        "destination": explanation.destination.map(|to| to.to_string()),
        "bytes": explanation.size,
        "reply": lines,
        "dropped": explanation.dropped,
        "refused": refusals(explanation),
    })
}

/// Why the machine does not get what it asked for.
fn refusals(explanation: &Explanation) -> Vec<&str> {
    fn why(event: &Event) -> Option<&str> {
        let EventKind::NetbootRefused { why } = &event.kind else { return None };
        Some(why)
    }
    explanation.events.iter().filter_map(why).collect()
}

fn as_text(explanation: &Explanation, assumed: &str) -> String {
    let Explanation { request, decision, .. } = explanation;
    let text = format!("# dhcp\nrequest:  {request}\ndecision: {decision}\nassumed:  {assumed}\n");
    text + &reply_text(explanation)
}

/// Where the reply goes and what is in it, line by line.
fn reply_text(explanation: &Explanation) -> String {
    let mut text = String::new();
    for why in refusals(explanation) {
        text += &format!("refused:  {why}\n");
    }
    if let Some(to) = explanation.destination {
        text += &format!("sent:     {to} ({} bytes)\n", explanation.size);
    }
    for line in &explanation.lines {
        let code = line.code.map_or_else(|| "-".to_owned(), |code| code.to_string());
        let why = if line.why.is_empty() { String::new() } else { format!("   ({})", line.why) };
        text += &format!("  {code:>4}  {:<24} {}{why}\n", line.name, line.value);
    }
    if !explanation.dropped.is_empty() {
        text += &format!("left out: options {:?}, for want of space\n", explanation.dropped);
    }
    text
}

/// Script and command line, as the machine would be told; secrets masked.
struct Told {
    script: String,
    cmdline: String,
}

impl Told {
    fn of(args: &ExplainArgs, loaded: &Loaded, place: &Place, mac: Mac) -> Result<Self, Failure> {
        let Loaded { config, templates, .. } = loaded;
        let identity = config.inventory.identify(mac);
        if let Some(why) = refused(config, identity) {
            let script = templates.local_script(identity.local_boot(), why);
            return Ok(Self { script: script.unwrap_or_default(), cmdline: format!("(none: {why})") });
        }
        let server = server_facts(config, place);
        let via = match args.firmware {
            Firmware::Bios | Firmware::Uefi | Firmware::UefiHttp | Firmware::Ipxe => Via::Ipxe,
            Firmware::RaspberryPi | Firmware::UBoot => Via::Grub,
        };
        let arch = arch(mac, config);
        let facts = Facts { mac, identity, arch, boot: None, server: &server, via };
        let cmdline = captain_boot::cmdline(&facts).map_err(Failure::failed)?;
        let masked = Cmdline::parse_line(&captain_boot::masked(&cmdline)).map_err(Failure::failed)?;
        Ok(Self { script: templates.script(&facts, &masked), cmdline: masked.to_string() })
    }
}

/// Why this machine may not netboot, as far as the configuration says; what it has done so far only the daemon knows.
fn refused(config: &Config, identity: Identity<'_>) -> Option<&'static str> {
    if identity.machine().is_none() && config.inventory.unknown_machines() != UnknownMachines::Boot {
        return Some("it is not in the inventory, and only listed machines netboot");
    }
    (identity.boot_policy() == BootPolicy::Never).then_some("netboot is switched off for this machine")
}

pub(super) fn server_facts(config: &Config, place: &Place) -> ServerFacts {
    let host = config.syslog.host.clone().unwrap_or_else(|| place.local.to_string());
    let announced = config.syslog.enabled || config.syslog.host.is_some();
    ServerFacts {
        http_base: format!("http://{}:{}", place.local, config.server.http_port),
        syslog: announced.then_some((host, config.syslog.port)),
        registry_mirror: (config.registry.enabled && config.registry.mirror)
            .then(|| format!("{}:{}", place.local, config.server.http_port)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Command};
    use clap::Parser;

    fn arguments(words: &str) -> ExplainArgs {
        let cli = Cli::try_parse_from(format!("captaind explain {words}").split(' ')).unwrap();
        let Command::Explain(args) = cli.command else { panic!("{words}") };
        args
    }

    #[test]
    fn the_core_is_told_what_serve_tells_it() {
        let text = "[server]\naddress = \"10.0.0.2\"\nhttp_port = 8080\n[tftp]\nport = 6969\n[[dhcp.subnet]]\n\
                    network = \"10.0.0.0/24\"\nrange = [\"10.0.0.5\", \"10.0.0.9\"]\nroutes = [{ network = \"10.9.0.0/16\", via = \"10.0.0.9\" }]\n";
        let config = captain_config::parse(text, std::path::Path::new("")).unwrap();
        let (args, place) = (arguments("525400000001"), Place::of(&config));
        let settings = settings(&args, &config, &place).unwrap();
        let told = settings.core(settings.dhcp.mode);
        assert_eq!(told.mode, DhcpMode::Dynamic);
        assert!(assumed(&args, &config).starts_with("mode auto is taken for dynamic"));
        assert!(
            assumed(&arguments("525400000001 --mode dynamic"), &config)
                .starts_with("every boot loader is there")
        );
        assert_eq!((told.http_port, told.tftp_port), (8080, Some(6969)));
        assert_eq!(told.syslog, captain_dhcp::LogServer::Here);
        assert_eq!(told.routes[0].via, Ipv4Addr::new(10, 0, 0, 9));
        let reply = dhcp(&args, &config, &place, "525400000001".parse().unwrap(), &settings);
        let syslog = reply.lines.iter().find(|line| line.code == Some(7)).map(|line| line.value.as_str());
        assert_eq!(syslog, Some("10.0.0.2"));
    }

    /// One interface on the wire of two subnets.
    fn two_subnets() -> Place {
        let network: ipnet::Ipv4Net = "192.168.50.1/24".parse().unwrap();
        let further = vec!["10.9.0.1/16".parse().unwrap()];
        let eth1 = Interface { name: "eth1".into(), index: 7, address: network.addr(), network, further };
        Place { local: eth1.address, interfaces: vec![eth1] }
    }

    fn explained(text: &str, words: &str) -> Explanation {
        let config = captain_config::parse(text, std::path::Path::new("")).unwrap();
        let (args, place) = (arguments(words), two_subnets());
        let settings = settings(&args, &config, &place).unwrap();
        dhcp(&args, &config, &place, args.mac.unwrap(), &settings)
    }

    #[test]
    fn a_fixed_address_in_a_further_network_of_the_interface_is_explained_as_it_is_served() {
        let text = "[[machine]]\nmac = \"525400000001\"\naddress = \"10.9.0.77\"\n[[dhcp.subnet]]\n\
                    network = \"192.168.50.0/24\"\nrange = [\"192.168.50.100\", \"192.168.50.199\"]\n\
                    [[dhcp.subnet]]\nnetwork = \"10.9.0.0/16\"\n";
        let told = explained(text, "525400000001 --mode dynamic");
        assert!(told.decision.starts_with("OFFER of 10.9.0.77 "), "{}", told.decision);
    }

    #[test]
    fn why_a_machine_gets_no_file_and_what_was_left_out_is_said() {
        let subnet = "[[dhcp.subnet]]\nnetwork = \"192.168.50.0/24\"\nrange = [\"192.168.50.100\", \"192.168.50.199\"]\n";
        let text = format!("[dhcp]\nunknown_machines = \"lease-only\"\n{subnet}");
        let told = explained(&text, "525400000001 --mode dynamic");
        assert!(told.decision.starts_with("OFFER of 192.168.50."), "{}", told.decision);
        let why = "it is not in the inventory, and unknown machines get an address only";
        assert!(as_text(&told, "").contains(&format!("\nrefused:  {why}\n")), "{}", as_text(&told, ""));
        assert_eq!(as_json(&told)["refused"], serde_json::json!([why]));
        let cut = Explanation { dropped: vec![119], ..told };
        assert!(
            reply_text(&cut).ends_with("left out: options [119], for want of space\n"),
            "{}",
            reply_text(&cut)
        );
        assert_eq!(as_json(&cut)["dropped"], serde_json::json!([119]));
    }

    #[test]
    fn without_an_interface_in_the_subnet_a_host_of_it_speaks_not_the_subnet_itself() {
        let local = |lines: &str| {
            let text = format!(
                "[[dhcp.subnet]]\nnetwork = \"203.0.113.0/24\"\nrange = [\"203.0.113.9\", \"203.0.113.99\"]\n{lines}"
            );
            Place::of(&captain_config::parse(&text, std::path::Path::new("")).unwrap()).local
        };
        assert_eq!(local(""), Ipv4Addr::new(203, 0, 113, 1));
        assert_eq!(local("router = \"203.0.113.254\""), Ipv4Addr::new(203, 0, 113, 254));
    }

    #[test]
    fn a_stranger_is_refused_where_only_listed_machines_boot() {
        let text = "[dhcp]\nunknown_machines = \"lease-only\"\n[[machine]]\nmac = \"525400000001\"\n\
                    [[machine]]\nmac = \"525400000002\"\nnetboot = false\n";
        let config = captain_config::parse(text, std::path::Path::new("")).unwrap();
        let refused = |mac: &str| refused(&config, config.inventory.identify(mac.parse().unwrap()));
        assert_eq!(refused("525400000001"), None);
        assert!(refused("525400000002").unwrap().contains("switched off"));
        assert!(refused("525400000003").unwrap().contains("not in the inventory"));
    }
}
