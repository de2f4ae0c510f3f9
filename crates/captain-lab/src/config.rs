//! The daemon's configuration in the lab: the user's captaind.toml, with the lab's network in place of his.

use std::fmt;
use std::path::Path;

use captain_model::machine::Profile;
use captain_model::{DhcpMode, Mac};
use toml::{Table, Value};

use crate::network::{DAEMON, PREFIX};
use crate::options::LabOptions;
use crate::paths;

/// The registry that machines of the lab pull from: captaind's own.
pub const REGISTRY: &str = "192.168.50.1:7080";
/// The agent where the user names none.
pub const AGENT_IMAGE: &str = "192.168.50.1:7080/tink-agent:latest";
/// The Tinkerbell server where the user names none.
pub const GRPC_AUTHORITY: &str = "192.168.50.1:42113";

/// An image of the lab's registry.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ImageName {
    /// Repository: `tink-agent`; with its host where it is not the lab's.
    pub repository: String,
    /// Tag: `latest`.
    pub tag: String,
}

impl fmt::Display for ImageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.repository, self.tag)
    }
}

/// The configuration that the lab's daemon gets: what the user wrote, except for the network
/// (`[server]`'s interfaces, addresses, ports and folders, `[dhcp]`'s mode and subnets), which is the lab's,
/// and for the agent's settings that no profile names. Relative paths become absolute.
pub fn merge(options: &LabOptions) -> Table {
    let mut config = options.config.clone();
    paths::make_absolute(&mut config, &options.config_dir);
    server(table(&mut config, "server"));
    dhcp(table(&mut config, "dhcp"), options.mode);
    registry(table(&mut config, "registry"), options);
    profiles(table(&mut config, "profile"), options);
    machines(&mut config, options);
    config
}

/// Every agent image that `config` names, of whatever registry: under each of these names the stand-in has to be
/// found in the lab's. `config` is the user's configuration or a merged one.
pub fn image_references(config: &Table) -> Vec<ImageName> {
    let profiles = config.get("profile").and_then(Value::as_table);
    let profiles = profiles.into_iter().flat_map(|all| all.iter().map(|(_, profile)| profile));
    let machines = config.get("machine").and_then(Value::as_array);
    let named = profiles.chain(machines.into_iter().flatten()).filter_map(|entry| {
        let image = entry.get("agent")?.get("image")?.as_str()?;
        image_name(image)
    });
    let mut names: Vec<_> = named.chain(image_name(AGENT_IMAGE)).collect();
    names.sort();
    names.dedup();
    names
}

/// `None`: named by a digest, which only that very image has.
fn image_name(reference: &str) -> Option<ImageName> {
    if reference.contains('@') {
        return None;
    }
    let name = reference.strip_prefix(REGISTRY).and_then(|rest| rest.strip_prefix('/')).unwrap_or(reference);
    let (repository, tag) = match name.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => (repository, tag),
        _ => (name, "latest"),
    };
    Some(ImageName { repository: repository.to_owned(), tag: tag.to_owned() })
}

/// The stand-in is found under any name, because machines ask the lab's registry first for every image.
fn registry(registry: &mut Table, options: &LabOptions) {
    if options.stand_in {
        registry.insert("mirror".into(), true.into());
    }
    if !options.registry {
        registry.insert("enabled".into(), false.into());
    }
}

fn server(server: &mut Table) {
    for key in ["interfaces", "state_dir", "cache_dir", "trusted_proxies", "user"] {
        server.remove(key);
    }
    server.insert("address".into(), DAEMON.to_string().into());
    server.insert("http_port".into(), 7080.into());
}

fn dhcp(dhcp: &mut Table, mode: DhcpMode) {
    let range = ["192.168.50.100", "192.168.50.199"].map(Value::from).to_vec();
    let subnet = Table::from_iter([
        ("network".to_owned(), Value::from(format!("192.168.50.0/{PREFIX}"))),
        ("range".to_owned(), Value::Array(range)),
        ("router".to_owned(), Value::from(DAEMON.to_string())),
        ("lease_time".to_owned(), Value::from("1h")),
    ]);
    dhcp.insert("mode".into(), mode.name().into());
    dhcp.insert("subnet".into(), Value::Array(vec![subnet.into()]));
}

fn profiles(profiles: &mut Table, options: &LabOptions) {
    table(profiles, Profile::DEFAULT);
    for (_, profile) in profiles.iter_mut() {
        let Some(profile) = profile.as_table_mut() else { continue };
        if let Some(osie) = &options.osie {
            profile.insert("osie".into(), osie.display().to_string().into());
        }
        append(profile, options);
        let agent = table(profile, "agent");
        let insecure = agent.entry("insecure_registries").or_insert_with(|| Value::Array(Vec::new()));
        if let Some(list) = insecure.as_array_mut()
            && !list.iter().any(|entry| entry.as_str() == Some(REGISTRY))
        {
            list.push(REGISTRY.into());
        }
        for (key, value) in
            [("image", AGENT_IMAGE), ("registry", REGISTRY), ("grpc_authority", GRPC_AUTHORITY)]
        {
            agent.entry(key).or_insert_with(|| value.into());
        }
    }
}

/// `--append` goes after the profile's own kernel arguments.
fn append(profile: &mut Table, options: &LabOptions) {
    let added: Vec<Value> = options.append.iter().map(Value::from).collect();
    if added.is_empty() {
        return;
    }
    let own = || Value::Array(Profile::DEFAULT_CMDLINE.map(Value::from).to_vec());
    if let Some(cmdline) = profile.entry("cmdline").or_insert_with(own).as_array_mut() {
        cmdline.extend(added);
    }
}

/// Fixed addresses of other networks are dropped; in the modes that serve only machines of the inventory,
/// every machine of the lab gets into it.
fn machines(config: &mut Table, options: &LabOptions) {
    let (listed, addressed) = match options.mode {
        DhcpMode::Reservation => (true, true),
        DhcpMode::Proxy => (true, false),
        DhcpMode::Auto | DhcpMode::Dynamic | DhcpMode::AutoProxy | DhcpMode::Disabled => (false, false),
    };
    let list = config.entry("machine").or_insert_with(|| Value::Array(Vec::new()));
    let Some(list) = list.as_array_mut() else { return };
    for machine in list.iter_mut().filter_map(Value::as_table_mut) {
        let elsewhere = |address: &Value| address.as_str().is_some_and(|a| !a.starts_with("192.168.50."));
        if machine.get("address").is_some_and(elsewhere) {
            machine.remove("address");
        }
    }
    for (at, (mac, _)) in options.roster().into_iter().enumerate() {
        let known = list.iter_mut().filter_map(Value::as_table_mut).find(|machine| has_mac(machine, mac));
        let entry = match known {
            Some(entry) => entry,
            None if listed => {
                list.push(Table::from_iter([("mac".to_owned(), Value::from(mac.to_string()))]).into());
                let Some(entry) = list.last_mut().and_then(Value::as_table_mut) else { continue };
                entry
            }
            None => continue,
        };
        if addressed {
            entry.entry("address").or_insert_with(|| format!("192.168.50.{}", 20 + at).into());
        }
    }
    if list.is_empty() {
        config.remove("machine");
    }
}

fn has_mac(machine: &Table, mac: Mac) -> bool {
    let is = |value: &Value| value.as_str().and_then(|text| text.parse().ok()) == Some(mac);
    machine.get("mac").is_some_and(is)
        || machine.get("macs").and_then(Value::as_array).is_some_and(|macs| macs.iter().any(is))
}

/// The table `key`, made where there is none. What the user put there that is no table is his fault, which
/// the daemon will name; the lab's values then go nowhere.
fn table<'a>(parent: &'a mut Table, key: &str) -> &'a mut Table {
    let value = parent.entry(key).or_insert_with(|| Table::new().into());
    if !value.is_table() {
        *value = Table::new().into();
    }
    match value {
        Value::Table(table) => table,
        _ => unreachable!("made a table two lines above"),
    }
}

/// Writes the merged configuration into the run's folder.
pub(crate) fn write(config: &Table, path: &Path) -> std::io::Result<()> {
    std::fs::write(path, toml::to_string(config).map_err(std::io::Error::other)?)
}

#[cfg(test)]
mod tests {
    use captain_model::Cmdline;

    use super::*;

    fn options(text: &str) -> LabOptions {
        let mut options = LabOptions::new("captaind", "/cache");
        options.config = text.parse().unwrap();
        options.config_dir = "/etc/captaind".into();
        options
    }

    #[test]
    fn with_no_configuration_the_lab_says_everything() {
        let merged = merge(&options(""));
        let want: Table = r#"
            [server]
            address = "192.168.50.1"
            http_port = 7080
            [dhcp]
            mode = "dynamic"
            [[dhcp.subnet]]
            network = "192.168.50.0/24"
            range = ["192.168.50.100", "192.168.50.199"]
            router = "192.168.50.1"
            lease_time = "1h"
            [registry]
            mirror = true
            [profile.default.agent]
            image = "192.168.50.1:7080/tink-agent:latest"
            registry = "192.168.50.1:7080"
            insecure_registries = ["192.168.50.1:7080"]
            grpc_authority = "192.168.50.1:42113"
        "#
        .parse()
        .unwrap();
        assert_eq!(merged, want);
    }

    #[test]
    fn the_users_network_is_replaced_and_his_words_elsewhere_stay() {
        let merged = merge(&options(
            r#"
            odd = "kept, so that the daemon can complain"
            [server]
            interfaces = ["eth1"]
            address = "10.0.0.1"
            state_dir = "/var/lib/captaind"
            loaders = "./loaders"
            [dhcp]
            mode = "proxy"
            unknown_machines = "ignore"
            [[dhcp.subnet]]
            network = "10.0.0.0/8"
            [profile.rack]
            osie = "./osie"
            [profile.rack.agent]
            image = "192.168.50.1:7080/agents/rack:2"
            registry_password_file = "pass"
            insecure_registries = ["other:5000"]
            [[machine]]
            mac = "5254.0000.0001"
            address = "10.0.0.20"
            profile = "rack"
            "#,
        ));
        assert_eq!(merged["odd"].as_str(), Some("kept, so that the daemon can complain"));
        assert_eq!(merged["server"].get("interfaces"), None);
        assert_eq!(merged["server"]["loaders"].as_str(), Some("/etc/captaind/loaders"));
        assert_eq!(merged["dhcp"]["mode"].as_str(), Some("dynamic"));
        assert_eq!(merged["dhcp"]["unknown_machines"].as_str(), Some("ignore"));
        assert_eq!(merged["dhcp"]["subnet"].as_array().unwrap().len(), 1);
        let rack = &merged["profile"]["rack"];
        assert_eq!(rack["osie"].as_str(), Some("/etc/captaind/osie"));
        assert_eq!(rack["agent"]["image"].as_str(), Some("192.168.50.1:7080/agents/rack:2"));
        assert_eq!(rack["agent"]["registry_password_file"].as_str(), Some("/etc/captaind/pass"));
        assert_eq!(rack["agent"]["insecure_registries"].as_array().unwrap().len(), 2);
        assert_eq!(merged["machine"][0].get("address"), None, "an address of another network");
        let images: Vec<_> = image_references(&merged).iter().map(ToString::to_string).collect();
        assert_eq!(images, ["agents/rack:2", "tink-agent:latest"]);
    }

    #[test]
    fn kernel_arguments_are_appended_to_every_profile_after_its_own() {
        let mut options = options("[profile.a]\ncmdline = [\"quiet\"]");
        options.append = Cmdline::parse_line("foo=bar x").unwrap();
        let merged = merge(&options);
        let of = |name: &str| merged["profile"][name]["cmdline"].to_string();
        assert_eq!(of("a"), r#"["quiet", "foo=bar", "x"]"#);
        assert_eq!(of("default"), r#"["console=tty0", "console=ttyS0,115200", "foo=bar", "x"]"#);
    }

    #[test]
    fn reservation_mode_gives_every_machine_a_place_and_keeps_the_users_own() {
        let mut options = options("[[machine]]\nmacs = [\"52:54:00:00:00:02\"]\naddress = \"192.168.50.77\"");
        options.mode = DhcpMode::Reservation;
        let merged = merge(&options);
        let machines = merged["machine"].as_array().unwrap();
        assert_eq!(machines.len(), 2);
        assert_eq!(machines[0]["address"].as_str(), Some("192.168.50.77"));
        assert_eq!(machines[1]["mac"].as_str(), Some("52:54:00:00:00:01"));
        assert_eq!(machines[1]["address"].as_str(), Some("192.168.50.20"));
    }

    #[test]
    fn an_image_of_the_labs_registry_goes_by_its_name_there_and_others_by_their_whole_one() {
        for (reference, name) in [
            ("192.168.50.1:7080/a/b", "a/b:latest"),
            ("192.168.50.1:7080/a:1", "a:1"),
            ("192.168.50.1:70801/x:1", "192.168.50.1:70801/x:1"),
            ("registry.example:5000/x", "registry.example:5000/x:latest"),
        ] {
            assert_eq!(image_name(reference).unwrap().to_string(), name);
        }
        assert_eq!(image_name("192.168.50.1:7080/x@sha256:00"), None, "only that very image has the digest");
    }
}
