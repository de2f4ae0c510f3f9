//! captaind.toml -> Config, with every fault and its line.
//!
//! [`parse`] never stops at the first fault: it walks the whole document, collects what is wrong with a line,
//! a key and a way out, and gives a [`Config`] only where nothing is.
//!
//! Less usual keys of DHCP: `[[dhcp.subnet]] routes = [{ network = "10.0.0.0/8", via = "192.168.50.254" }]` gives the
//! subnet's machines static routes (option 121); `[dhcp] share_port = true` lets a captaind in a proxy mode share
//! port 67 with the DHCP server of the same box.

mod agent;
mod config;
mod dhcp;
mod faults;
mod iso;
mod machine;
mod osie;
mod passwords;
mod profile;
mod reader;
mod server;
mod sink;
mod suggest;
mod words;

use std::path::{Path, PathBuf};

use captain_model::Inventory;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

pub use config::{
    Config, DhcpConfig, Https, IsoConfig, RegistryConfig, Route, ServerConfig, SyslogConfig, TftpConfig,
};
pub use faults::{Fault, Faults};
pub use passwords::PasswordFiles;

use reader::Table;
use sink::Sink;

/// Reads and checks a configuration file; relative paths in it start at its folder.
///
/// # Errors
/// Every fault of it; a file that cannot be read is one.
pub fn load(path: &Path) -> Result<Config, Faults> {
    load_beside(path, &|_, _| false, &PasswordFiles::default())
}

/// Whether an OSIE of this name was taken into the cache, which lies where `[server] cache_dir` says if it says so.
pub type Added<'a> = &'a dyn Fn(&str, Option<&Path>) -> bool;

/// As [`load`], where profiles may also name OSIEs that were `added`, and where `passwords` that have not changed need
/// not be readable any more: a daemon reads its configuration again without root's rights.
///
/// # Errors
/// As [`load`]'s.
pub fn load_beside(path: &Path, added: Added, passwords: &PasswordFiles) -> Result<Config, Faults> {
    let unreadable = |error: std::io::Error| {
        let message = format!("cannot be read: {error}");
        Faults {
            path: path.to_owned(),
            faults: vec![Fault { line: 0, column: 0, key: String::new(), message }],
        }
    };
    let text = std::fs::read_to_string(path).map_err(unreadable)?;
    let base = path.parent().unwrap_or(Path::new(""));
    check(&text, base, added, passwords).map_err(|faults| Faults { path: path.to_owned(), ..faults })
}

/// Checks a configuration text; relative paths in it start at `base`.
///
/// # Errors
/// Every fault of it, under the file name `captaind.toml`.
pub fn parse(text: &str, base: &Path) -> Result<Config, Faults> {
    check(text, base, &|_, _| false, &PasswordFiles::default())
}

fn check(text: &str, base: &Path, added: Added, passwords: &PasswordFiles) -> Result<Config, Faults> {
    let sink = Sink::new(text, base, passwords);
    let root = document(text, &sink);
    let config = Table::root(&sink, &root).map(|root| config_of(root, added)).unwrap_or_default();
    if sink.is_empty() {
        return Ok(config);
    }
    Err(Faults { path: PathBuf::from("captaind.toml"), faults: sink.into_faults() })
}

/// The document, as far as its syntax is right; where it is not is in the sink.
fn document<'a>(text: &'a str, sink: &Sink) -> Spanned<DeValue<'a>> {
    let (table, errors) = DeTable::parse_recoverable(text);
    for error in errors {
        sink.fault(&error.span().unwrap_or(0..0), "", &format!("not valid TOML: {}", error.message()));
    }
    let span = table.span();
    Spanned::new(span, DeValue::Table(table.into_inner()))
}

fn config_of(root: Table, added: Added) -> Config {
    let server = root.table("server").map(server::server).unwrap_or_default();
    let (dhcp, unknown) = root.table("dhcp").map(dhcp::dhcp).unwrap_or_default();
    let tftp = root.table("tftp").map(server::tftp).unwrap_or_default();
    let syslog = root.table("syslog").map(server::syslog).unwrap_or_default();
    let registry = root.table("registry").map(server::registry).unwrap_or_default();
    let iso = root.table("iso").map(iso::iso).unwrap_or_default();
    let recipes = osie::recipes(root.table("osie"));
    let added = |name: &str| added(name, server.cache_dir.as_deref());
    let known = profile::Known { recipes: &recipes, added: &added };
    let profiles = profile::profiles(root.table("profile"), &known);
    let around = machine::Around { profiles: &profiles, subnets: &dhcp.subnets, server: server.address };
    let machines = machine::machines(root.tables("machine"), &around);
    root.finish();
    let inventory = Inventory::new(machines, profiles, unknown);
    Config { server, dhcp, tftp, syslog, registry, iso, inventory, recipes }
}

#[cfg(test)]
mod tests;
