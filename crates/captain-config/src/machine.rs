//! `[[machine]]`.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::net::Ipv4Addr;

use captain_model::{Mac, Machine, Profile, Subnet};

use crate::agent::agent;
use crate::dhcp::check_fixed;
use crate::reader::{Table, Value};
use crate::suggest::{did_you_mean, nearest};
use crate::words;

/// What machines refer to.
pub(crate) struct Around<'a> {
    pub(crate) profiles: &'a BTreeMap<String, Profile>,
    pub(crate) subnets: &'a [Subnet],
    pub(crate) server: Option<Ipv4Addr>,
}

/// What only one machine may have: who had it first.
#[derive(Default)]
struct Seen {
    macs: HashMap<Mac, (String, usize)>,
    addresses: HashMap<Ipv4Addr, (String, usize)>,
    names: HashMap<String, (String, usize)>,
}

pub(crate) fn machines(tables: Vec<Table>, around: &Around) -> Vec<Machine> {
    let mut seen = Seen::default();
    tables.into_iter().filter_map(|table| machine(table, around, &mut seen)).collect()
}

fn machine(table: Table, around: &Around, seen: &mut Seen) -> Option<Machine> {
    let macs = macs(&table, &mut seen.macs);
    // Without a MAC the machine is lost, but its other keys are still looked at.
    let mut machine = Machine::new(macs.first().copied().unwrap_or(Mac::new([0; 6])));
    let known = !macs.is_empty();
    machine.macs = macs;
    machine.name = table.get("name").and_then(|value| name(&value, &mut seen.names));
    machine.address = table.get("address").and_then(|value| address(&value, around, &mut seen.addresses));
    machine.profile = table.get("profile").and_then(|value| profile(&value, around.profiles));
    machine.arch = table.parsed("arch", words::arch);
    machine.netboot = table.boolean("netboot").unwrap_or(true);
    machine.vlan = table.number("vlan", 1..=4094);
    machine.worker_id = table.parsed("worker_id", words::argument_value);
    machine.loader = table.parsed("loader", words::loader);
    machine.boot = table.choice("boot", words::BOOT);
    machine.local_boot = table.choice("local_boot", words::LOCAL_BOOT);
    machine.ipam = table.parsed("ipam", ipam);
    machine.next_server = table.address("next_server");
    machine.filename = table.parsed("filename", filename);
    machine.cmdline = words::cmdline(&table).unwrap_or_default();
    machine.agent = agent(table.table("agent"));
    table.finish();
    known.then_some(machine)
}

fn macs(table: &Table, seen: &mut HashMap<Mac, (String, usize)>) -> Vec<Mac> {
    let (one, several) = (table.get("mac"), table.get("macs"));
    let values = match (one, several) {
        (None, None) => {
            table.fault("has no `mac`: add one, such as mac = \"52:54:00:00:00:01\"");
            Vec::new()
        }
        (Some(_), Some(several)) => {
            several.fault("stands beside `mac`: put all addresses into `macs`");
            Vec::new()
        }
        (Some(one), None) => vec![one],
        (None, Some(several)) => {
            let values = several.list().unwrap_or_default();
            if several.list_is_empty() {
                several.fault("is empty: name at least one MAC");
            }
            values
        }
    };
    let mut macs = Vec::new();
    for value in values {
        if let Some(mac) = value.parsed(words::mac) {
            once(&value, mac, &mac.to_string(), seen);
            macs.push(mac);
        }
    }
    macs
}

/// Notes a fault where somebody has `what` already.
fn once<T: Eq + Hash>(value: &Value, what: T, shown: &str, seen: &mut HashMap<T, (String, usize)>) {
    match seen.get(&what) {
        Some((key, line)) => {
            value.fault(format!("`{shown}` is {key} in line {line} already: each machine needs its own"));
        }
        None => {
            seen.insert(what, (value.key.clone(), value.line()));
        }
    }
}

fn name(value: &Value, seen: &mut HashMap<String, (String, usize)>) -> Option<String> {
    let name = value.parsed(words::text)?;
    once(value, name.clone(), &name, seen);
    Some(name)
}

fn address(
    value: &Value,
    around: &Around,
    seen: &mut HashMap<Ipv4Addr, (String, usize)>,
) -> Option<Ipv4Addr> {
    let address = value.address()?;
    if around.server == Some(address) {
        value.fault(format!("{address} is captaind's own address (server.address): use another"));
    }
    check_fixed(value, address, around.subnets);
    once(value, address, &address.to_string(), seen);
    Some(address)
}

fn profile(value: &Value, profiles: &BTreeMap<String, Profile>) -> Option<String> {
    let name = value.string()?;
    if name != Profile::DEFAULT && !profiles.contains_key(name) {
        let mut names: Vec<_> = profiles.keys().map(String::as_str).collect();
        names.push(Profile::DEFAULT);
        let hint = did_you_mean(nearest(name, names.iter().copied()), &names);
        value.fault(format!("no profile `{name}`: {hint}"));
        return None;
    }
    Some(name.to_owned())
}

/// `mac:vlan:address:netmask:gateway:hostname:dns,..:search,..:ntp,..`, each but the first may be empty.
fn ipam(text: &str) -> Result<String, String> {
    let text = words::argument_value(&words::word(text)?)?;
    let fields = text.split(':').count();
    if fields != 9 {
        return Err(format!(
            "has {fields} fields, and takes 9: mac:vlan:address:netmask:gateway:hostname:dns:search:ntp, the MAC \
             with dashes"
        ));
    }
    Ok(text)
}

/// Option 67 has one byte for its length.
fn filename(text: &str) -> Result<String, String> {
    let text = words::text(text)?;
    if text.len() > 255 {
        return Err(format!("is {} bytes and DHCP takes 255: shorten it", text.len()));
    }
    Ok(text)
}
