//! `captaind explain`: the reply, the script and the command line that a machine would get.

use std::net::Ipv4Addr;

use captain_boot::{Facts, ServerFacts, Via};
use captain_config::Config;
use captain_dhcp::{Explanation, Question, Server, World};
use captain_model::{Arch, BootPolicy, Cmdline, DhcpMode, Firmware, Identity, Timestamp, UnknownMachines};

use crate::appliance;
use crate::cli::{ExplainArgs, ExplainStage};
use crate::configuration;
use crate::exit::Failure;

/// What is printed, part by part.
#[derive(serde::Serialize)]
struct Answer {
    #[serde(skip_serializing_if = "Option::is_none")]
    dhcp: Option<serde_json::Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    script: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cmdline: Option<String>,
}

pub(crate) fn run(args: &ExplainArgs) -> Result<(), Failure> {
    let loaded = configuration::load(&args.config)?;
    let place = Place::of(&loaded.config);
    let wants = |stage| args.stage == ExplainStage::All || args.stage == stage;
    let told = Told::of(args, &loaded.config, &place)?;
    let explanation = wants(ExplainStage::Dhcp).then(|| dhcp(args, &loaded.config, &place));
    let answer = Answer {
        dhcp: explanation.as_ref().map(as_json),
        script: wants(ExplainStage::Script).then_some(told.script),
        cmdline: wants(ExplainStage::Cmdline).then_some(told.cmdline),
    };
    if args.json {
        println!("{}", serde_json::to_string_pretty(&answer).map_err(Failure::failed)?);
        return Ok(());
    }
    if let Some(explanation) = &explanation {
        print!("{}", as_text(explanation));
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
    subnets: Vec<captain_model::Subnet>,
}

impl Place {
    /// The interface that `serve` would take; where there is none, the first subnet's router speaks.
    pub(super) fn of(config: &Config) -> Self {
        let interfaces = appliance::choose_interfaces(&config.server.interfaces).unwrap_or_default();
        let subnets = appliance::subnets(config, &interfaces);
        let own = interfaces.first().map(|interface| interface.address);
        let inside = own.filter(|own| subnets.iter().any(|subnet| subnet.network.contains(own)));
        let router = subnets.first().map(|subnet| subnet.router.unwrap_or(subnet.network.network()));
        let local = config.server.address.or(inside).or(router).unwrap_or(Ipv4Addr::LOCALHOST);
        Self { local, subnets }
    }
}

fn arch(args: &ExplainArgs, config: &Config) -> Arch {
    config.inventory.machine(args.mac).and_then(|machine| machine.arch).unwrap_or(Arch::Amd64)
}

fn mode(args: &ExplainArgs, config: &Config) -> DhcpMode {
    match args.mode.map_or(config.dhcp.mode, DhcpMode::from) {
        DhcpMode::Auto => DhcpMode::Dynamic,
        mode @ (DhcpMode::Dynamic
        | DhcpMode::Reservation
        | DhcpMode::Proxy
        | DhcpMode::AutoProxy
        | DhcpMode::Disabled) => mode,
    }
}

fn dhcp(args: &ExplainArgs, config: &Config, place: &Place) -> Explanation {
    let settings = captain_dhcp::Settings {
        mode: mode(args, config),
        subnets: place.subnets.clone(),
        http_port: config.server.http_port,
        tftp_port: config.tftp.port,
        ..captain_dhcp::Settings::default()
    };
    let server = Server::new(settings, []);
    let world = World { inventory: &config.inventory, settled: &|_| false, loaders: &|_| true };
    let question = Question {
        mac: args.mac,
        firmware: args.firmware,
        arch: arch(args, config),
        relay: args.relay,
        local: place.local,
    };
    captain_dhcp::explain(&server, Timestamp::default(), &world, question)
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
    })
}

fn as_text(explanation: &Explanation) -> String {
    let mut text = format!("# dhcp\nrequest:  {}\ndecision: {}\n", explanation.request, explanation.decision);
    if let Some(to) = explanation.destination {
        text += &format!("sent to:  {to} ({} bytes)\n", explanation.size);
    }
    for line in &explanation.lines {
        let code = line.code.map_or_else(|| "-".to_owned(), |code| code.to_string());
        let why = if line.why.is_empty() { String::new() } else { format!("   ({})", line.why) };
        text += &format!("  {code:>4}  {:<24} {}{why}\n", line.name, line.value);
    }
    text + "\n"
}

/// Script and command line, as the machine would be told; secrets masked.
struct Told {
    script: String,
    cmdline: String,
}

impl Told {
    fn of(args: &ExplainArgs, config: &Config, place: &Place) -> Result<Self, Failure> {
        let identity = config.inventory.identify(args.mac);
        if let Some(why) = refused(config, identity) {
            let script = captain_boot::local_script(identity.local_boot(), why);
            return Ok(Self { script: script.unwrap_or_default(), cmdline: format!("(none: {why})") });
        }
        let server = server_facts(config, place);
        let via = match args.firmware {
            Firmware::Bios | Firmware::Uefi | Firmware::UefiHttp | Firmware::Ipxe => Via::Ipxe,
            Firmware::RaspberryPi | Firmware::UBoot => Via::Grub,
        };
        let arch = arch(args, config);
        let facts = Facts { mac: args.mac, identity, arch, boot: None, server: &server, via };
        let cmdline = captain_boot::cmdline(&facts).map_err(Failure::failed)?;
        let masked = Cmdline::parse_line(&captain_boot::masked(&cmdline)).map_err(Failure::failed)?;
        Ok(Self { script: captain_boot::script(&facts, &masked), cmdline: masked.to_string() })
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
