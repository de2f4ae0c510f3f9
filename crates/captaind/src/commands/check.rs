//! `captaind check`: every fault of the configuration, with its line.

use std::net::Ipv4Addr;
use std::path::Path;

use captain_boot::{Facts, Via};
use captain_config::{Config, Fault, Faults};
use captain_model::{Arch, BootId, BootPolicy, BootTicket, Identity, Mac};

use super::explain::{Place, server_facts};
use crate::appliance;
use crate::cli::CheckArgs;
use crate::configuration::{fault_json, read};
use crate::exit::Failure;

pub(crate) fn run(args: &CheckArgs) -> Result<(), Failure> {
    let checked = read(&args.site).and_then(|loaded| match &loaded.path {
        Some(path) => machines(path, &loaded.config).map(|()| loaded),
        None => Ok(loaded),
    });
    match checked {
        Ok(loaded) => {
            let file =
                loaded.path.map_or_else(|| "no configuration file".to_owned(), |p| p.display().to_string());
            if args.json {
                println!("{}", serde_json::json!({ "ok": true, "faults": [] }));
            } else {
                let inventory = &loaded.config.inventory;
                println!(
                    "{file}: fine ({}, {})",
                    count(inventory.machines().len(), "machine"),
                    count(inventory.profiles().count(), "profile")
                );
            }
            Ok(())
        }
        Err(faults) if args.json => {
            let list: Vec<_> = faults.faults.iter().map(|fault| fault_json(&faults.path, fault)).collect();
            println!("{}", serde_json::json!({ "ok": false, "faults": list }));
            Err(Failure::usage(count(list.len(), "fault")))
        }
        Err(faults) => Err(Failure::usage(faults)),
    }
}

fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// What is wrong with machines that only shows on this box, or when all is put together.
fn machines(path: &Path, config: &Config) -> Result<(), Faults> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let interfaces = appliance::choose_interfaces(&config.server.interfaces).unwrap_or_default();
    let own = appliance::own_addresses(config, &interfaces);
    let faults =
        [command_lines(&text, config), our_addresses(&text, config, &own), uncounted(&text, config)].concat();
    if faults.is_empty() { Ok(()) } else { Err(Faults { path: path.to_owned(), faults }) }
}

/// Machines that are to have an address of this box.
fn our_addresses(text: &str, config: &Config, own: &[Ipv4Addr]) -> Vec<Fault> {
    let machines = config.inventory.machines().iter().enumerate();
    let ours =
        machines.filter_map(|(at, one)| Some((at, one.address.filter(|address| own.contains(address))?)));
    ours.map(|(at, address)| {
        let (line, column) = place(text, at).unwrap_or_default();
        let message = format!("{address} is an address of this box itself: give the machine another one");
        Fault { line, column, key: format!("machine[{at}].address"), message }
    })
    .collect()
}

/// Machines that may boot once, and boot where captaind does not see it.
fn uncounted(text: &str, config: &Config) -> Vec<Fault> {
    let mut faults = Vec::new();
    for (at, machine) in config.inventory.machines().iter().enumerate() {
        let once = config.inventory.identify(machine.mac()).boot_policy() == BootPolicy::Once;
        let url = machine.filename.as_deref().is_some_and(|name| name.contains("://"));
        let key = match (machine.next_server, url) {
            (Some(_), _) => "next_server",
            (None, true) => "filename",
            (None, false) => continue,
        };
        if once {
            let (line, column) = place(text, at).unwrap_or_default();
            let message = "its `boot = \"once\"` cannot be kept, as captaind does not see what it loads from there: \
                           set boot = \"until-done\" and let what it boots report `done`";
            faults.push(Fault {
                line,
                column,
                key: format!("machine[{at}].{key}"),
                message: message.to_owned(),
            });
        }
    }
    faults
}

/// Whether every machine, and a machine that is not listed, has a command line that its kernel takes.
fn command_lines(text: &str, config: &Config) -> Vec<Fault> {
    let inventory = &config.inventory;
    let machines = inventory.machines().iter().enumerate().map(|(at, machine)| {
        let arch = machine.arch.unwrap_or(Arch::Amd64);
        (machine.mac(), inventory.identify(machine.mac()), arch, format!("machine[{at}]"), Some(at))
    });
    // Machines that are not listed get the default profile.
    let stranger = Mac::new([2, 0, 0, 0, 0, 0]);
    let default = inventory.identify(stranger);
    let default = matches!(default, Identity::Unknown(_))
        .then(|| (stranger, default, Arch::Amd64, "profile.default".to_owned(), None));
    let server = server_facts(config, &Place::of(config));
    let mut faults = Vec::new();
    for (mac, identity, arch, key, at) in machines.chain(default) {
        // The longest id that a daemon gives out in years.
        let boot = Some(BootTicket { boot: BootId(u64::from(u32::MAX)), proof: u64::MAX });
        let facts = Facts { mac, identity, arch, boot, server: &server, via: Via::Ipxe };
        if let Err(error) = captain_boot::cmdline(&facts) {
            let (line, column) = at.and_then(|at| place(text, at)).unwrap_or_default();
            faults.push(Fault { line, column, key, message: error.to_string() });
        }
    }
    faults
}

/// Line and column of the table of the machine at this place in the list.
fn place(text: &str, at: usize) -> Option<(usize, usize)> {
    let document = toml::de::DeTable::parse(text).ok()?;
    let start = document.get_ref().get("machine")?.get_ref().as_array()?.get(at)?.span().start;
    let before = text.get(..start)?;
    let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
    Some((before.matches('\n').count() + 1, column))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_line_that_the_kernel_would_cut_is_a_fault_with_the_machines_line() {
        let folder = std::env::temp_dir().join(format!("captaind-check-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("captaind.toml");
        let long = "x".repeat(2100);
        let text = format!(
            "[[machine]]\nmac = \"525400000001\"\n\n[[machine]]\nmac = \"525400000002\"\ncmdline = [\"a={long}\"]\n"
        );
        std::fs::write(&path, &text).unwrap();
        let faults = machines(&path, &captain_config::load(&path).unwrap()).unwrap_err().faults;
        std::fs::remove_dir_all(&folder).unwrap();
        assert_eq!(faults.len(), 1);
        assert_eq!((faults[0].line, faults[0].key.as_str()), (4, "machine[1]"));
        assert!(faults[0].message.contains("the kernel takes"), "{}", faults[0].message);
    }

    #[test]
    fn a_machine_that_boots_once_from_elsewhere_is_a_fault() {
        let one = |last, keys| format!("[[machine]]\nmac = \"52540000000{last}\"\n{keys}\n");
        let elsewhere = "next_server = \"192.0.2.1\"";
        let text = [
            one(1, "boot = \"once\""),
            one(2, elsewhere),
            one(3, &format!("boot = \"once\"\n{elsewhere}")),
            one(4, "boot = \"once\"\nfilename = \"http://192.0.2.1/x.efi\""),
        ]
        .concat();
        let faults = uncounted(&text, &captain_config::parse(&text, Path::new("")).unwrap());
        let told: Vec<_> = faults.iter().map(|fault| (fault.line, fault.key.as_str())).collect();
        assert_eq!(told, [(7, "machine[2].next_server"), (11, "machine[3].filename")]);
    }

    #[test]
    fn a_machine_with_an_address_of_this_box_is_a_fault_with_its_line() {
        let text = "[server]\naddress = \"192.168.50.10\"\n\n[[machine]]\nmac = \"525400000001\"\naddress = \"192.168.50.20\"\n\
                    [[machine]]\nmac = \"525400000002\"\naddress = \"192.168.50.11\"\n";
        let config = captain_config::parse(text, Path::new("")).unwrap();
        let network: ipnet::Ipv4Net = "192.168.50.11/24".parse().unwrap();
        let (name, index, further) = ("eth1".to_owned(), 2, Vec::new());
        let eth1 = crate::interfaces::Interface { name, index, address: network.addr(), network, further };
        let faults = our_addresses(text, &config, &appliance::own_addresses(&config, &[eth1]));
        let told: Vec<_> = faults.iter().map(|fault| (fault.line, fault.key.as_str())).collect();
        assert_eq!(told, [(7, "machine[1].address")]);
        assert!(
            faults[0].message.starts_with("192.168.50.11 is an address of this box"),
            "{}",
            faults[0].message
        );
    }
}
