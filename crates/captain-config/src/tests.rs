//! Whole configurations: INTERFACE's example value by value, and a broken one fault by fault.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use captain_model::{
    AgentSettings, Arch, BootPolicy, DhcpMode, Identity, KernelSource, LocalBoot, Mac, Recipe, Secret,
    Shipped, Tool, UnknownMachines,
};
use proptest::prelude::*;

use crate::{Config, Faults, Https, load, parse};

const INTERFACE: &str = include_str!("golden/interface.toml");
const BROKEN: &str = include_str!("golden/broken.toml");

fn strings(list: &[&str]) -> Vec<String> {
    list.iter().map(|text| (*text).to_owned()).collect()
}

fn ip(text: &str) -> Ipv4Addr {
    text.parse().unwrap()
}

fn good(text: &str) -> Config {
    parse(text, Path::new("/cfg")).unwrap_or_else(|faults| panic!("{faults}"))
}

fn bad(text: &str) -> String {
    parse(text, Path::new("/cfg")).map(|config| panic!("{config:?}")).unwrap_err().to_string()
}

/// The example with its password file beside it.
fn example() -> (tempfile::TempDir, Config) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("registry.pass"), "hunter2\n").unwrap();
    std::fs::write(folder.path().join("captaind.toml"), INTERFACE).unwrap();
    let config = load(&folder.path().join("captaind.toml")).unwrap_or_else(|faults| panic!("{faults}"));
    (folder, config)
}

#[test]
fn the_servers_of_the_interface_example_are_read() {
    let (_folder, config) = example();
    assert_eq!(config.server.interfaces, ["eth1"]);
    assert_eq!(config.server.address, Some(ip("192.168.50.1")));
    assert_eq!((config.server.http_port, config.server.https), (7080, None));
    assert_eq!(config.server.state_dir, Some(PathBuf::from("/var/lib/captaind")));
    assert_eq!(config.dhcp.mode, DhcpMode::Auto);
    assert_eq!(config.inventory.unknown_machines(), UnknownMachines::Boot);
    let [subnet] = config.dhcp.subnets.as_slice() else { panic!("{:?}", config.dhcp) };
    assert_eq!(subnet.network.to_string(), "192.168.50.0/24");
    assert_eq!(subnet.range, Some((ip("192.168.50.100"), ip("192.168.50.199"))));
    assert_eq!(subnet.router, Some(ip("192.168.50.1")));
    assert_eq!(subnet.dns, [ip("192.168.50.1")]);
    assert_eq!(subnet.ntp, [] as [Ipv4Addr; 0]);
    assert_eq!(subnet.domain.as_deref(), Some("lab.example"));
    assert_eq!(subnet.lease_time, Duration::from_secs(3600));
    assert!(!subnet.client_id_first);
    assert_eq!(config.tftp, crate::TftpConfig::default());
    assert_eq!(config.syslog, crate::SyslogConfig::default());
    assert!(config.registry.enabled);
}

#[test]
fn the_profile_of_the_interface_example_is_read() {
    let (_folder, config) = example();
    let profile = config.inventory.profile("default").unwrap();
    assert_eq!(profile.osie, "default");
    assert_eq!(profile.cmdline.iter().collect::<Vec<_>>(), ["console=tty0", "console=ttyS0,115200"]);
    assert_eq!((profile.boot, profile.local_boot), (BootPolicy::Always, LocalBoot::Exit));
    assert_eq!(profile.loader, None);
    let agent = AgentSettings {
        image: Some("registry.example/tink-agent:latest".to_owned()),
        registry: Some("registry.example".to_owned()),
        registry_username: Some("u".to_owned()),
        registry_password: Some(Secret::new("hunter2")),
        insecure_registries: Some(strings(&["192.168.50.1:5000"])),
        grpc_authority: Some("192.168.50.1:42113".to_owned()),
        tls: Some(false),
        insecure_tls: Some(false),
        syslog: Some(true),
        ..AgentSettings::default()
    };
    assert_eq!(profile.agent, agent);
}

#[test]
fn the_machine_of_the_interface_example_is_read() {
    let (_folder, config) = example();
    let [machine] = config.inventory.machines() else { panic!("{:?}", config.inventory) };
    assert_eq!(machine.macs, [Mac::new([0x52, 0x54, 0, 0, 0, 1])]);
    assert_eq!(machine.name.as_deref(), Some("r1-u07"));
    assert_eq!(machine.address, Some(ip("192.168.50.20")));
    assert_eq!(machine.profile.as_deref(), Some("default"));
    assert_eq!(machine.arch, Some(Arch::Amd64));
    assert!(machine.netboot);
    assert_eq!(machine.vlan, Some(100));
    assert_eq!(machine.worker_id.as_deref(), Some("..."));
    assert_eq!(machine.cmdline.iter().collect::<Vec<_>>(), ["console=ttyS1,115200", "foo=bar"]);
    assert_eq!(machine.agent, AgentSettings::default());
    assert!(matches!(config.inventory.identify(machine.mac()), Identity::Known(..)));
}

#[test]
fn the_recipe_of_the_interface_example_is_read() {
    let (folder, config) = example();
    let recipe = &config.recipes["default"];
    assert_eq!((recipe.name.as_str(), recipe.suite.as_str()), ("default", "trixie"));
    assert_eq!(recipe.mirror.as_deref(), Some("http://mirror.example/debian"));
    assert_eq!(recipe.packages, ["telegraf"]);
    assert_eq!(recipe.firmware, ["firmware-bnx2x"]);
    assert_eq!(recipe.modules, ["net", "storage", "usb"]);
    assert_eq!(recipe.overlay, [folder.path().join("./my-overlay")]);
    assert_eq!(recipe.services, ["telegraf.service"]);
    assert_eq!(recipe.containers, ["docker://my/scanner:1"]);
    assert_eq!(recipe.ssh_authorized_keys, [] as [String; 0]);
    assert_eq!(recipe.kernel, KernelSource::Debian);
    assert_eq!(recipe.keyring, None);
}

#[test]
fn the_keys_beyond_the_example_are_read_too() {
    let config = good(
        r#"
        [server]
        https_port = 8443
        tls_cert = "tls/cert.pem"
        tls_key = "/etc/key.pem"
        cache_dir = "cache"
        loaders = "loaders"
        scripts = "scripts"
        user = "captaind"
        trusted_proxies = ["10.0.0.0/8", "192.168.50.7", "fd00::/8"]
        [dhcp]
        mode = "reservation"
        unknown_machines = "lease-only"
        subnet = [{ network = "10.1.0.0/16", lease_time = "30m", client_id_first = true }]
        [tftp]
        enabled = false
        port = 6969
        block_size = 512
        window_size = 1
        root = "extra"
        single_port = true
        [syslog]
        enabled = false
        port = 1514
        host = "logs.example"
        [registry]
        enabled = false
        [osie]
        mirror = "https://mirror.example/debian"
        keyring = "keys.pgp"
        [osie.arm]
        keyring = "arm.pgp"
        kernel = "./vmlinuz"
        [profile.rack]
        osie = "./hook"
        loader = "ipxe.efi"
        [profile.far]
        osie = "https://files.example/osie"
        [[machine]]
        macs = ["5254.0000.0001", "525400000002"]
        address = "10.1.0.9"
        profile = "rack"
        boot = "until-done"
        local_boot = "sanboot"
        netboot = false
        loader = "snponly.efi"
        ipam = "52-54-00-00-00-01:100:10.1.0.9:255.255.0.0:10.1.0.1:one:10.1.0.1:lab.example:"
        next_server = "10.1.0.2"
        filename = "pxelinux.0"
        [machine.agent]
        facility = "lab"
        syslog_host = "logs.example"
        syslog_port = 1514
        registry_password = "p w"
        "#,
    );
    let https = Https { port: 8443, cert: "/cfg/tls/cert.pem".into(), key: "/etc/key.pem".into() };
    assert_eq!(config.server.https, Some(https));
    assert_eq!(config.server.cache_dir, Some("/cfg/cache".into()));
    assert_eq!(config.server.loaders, Some("/cfg/loaders".into()));
    assert_eq!(config.server.scripts, Some("/cfg/scripts".into()));
    assert_eq!(config.server.user.as_deref(), Some("captaind"));
    let proxies: Vec<_> = config.server.trusted_proxies.iter().map(ToString::to_string).collect();
    assert_eq!(proxies, ["10.0.0.0/8", "192.168.50.7/32", "fd00::/8"]);
    assert_eq!(config.dhcp.mode, DhcpMode::Reservation);
    assert_eq!(config.inventory.unknown_machines(), UnknownMachines::LeaseOnly);
    assert_eq!(config.dhcp.subnets[0].lease_time, Duration::from_secs(1800));
    assert!(config.dhcp.subnets[0].client_id_first);
    let tftp = crate::TftpConfig {
        enabled: false,
        port: 6969,
        block_size: 512,
        window_size: 1,
        root: Some("/cfg/extra".into()),
        single_port: true,
    };
    assert_eq!(config.tftp, tftp);
    let syslog = crate::SyslogConfig { enabled: false, port: 1514, host: Some("logs.example".to_owned()) };
    assert_eq!(config.syslog, syslog);
    assert!(!config.registry.enabled);
    assert_eq!(config.recipes["default"].mirror.as_deref(), Some("https://mirror.example/debian"));
    assert_eq!(config.recipes["default"].keyring, Some("/cfg/keys.pgp".into()));
    assert_eq!(config.recipes["arm"].mirror.as_deref(), Some("https://mirror.example/debian"));
    assert_eq!(config.recipes["arm"].keyring, Some("/cfg/arm.pgp".into()));
    assert_eq!(config.recipes["arm"].kernel, KernelSource::Path("/cfg/./vmlinuz".into()));
    assert_eq!(config.inventory.profile("rack").unwrap().osie, "/cfg/./hook");
    assert_eq!(config.inventory.profile("rack").unwrap().loader.as_deref(), Some("ipxe.efi"));
    assert_eq!(config.inventory.profile("far").unwrap().osie, "https://files.example/osie");
    let machine = &config.inventory.machines()[0];
    assert_eq!(machine.macs, ["52:54:00:00:00:01".parse().unwrap(), "52:54:00:00:00:02".parse().unwrap()]);
    assert_eq!((machine.boot, machine.local_boot), (Some(BootPolicy::UntilDone), Some(LocalBoot::Sanboot)));
    assert!(!machine.netboot);
    assert_eq!(machine.loader.as_deref(), Some("snponly.efi"));
    assert!(machine.ipam.as_deref().unwrap().ends_with(":lab.example:"));
    assert_eq!(
        (machine.next_server, machine.filename.as_deref()),
        (Some(ip("10.1.0.2")), Some("pxelinux.0"))
    );
    assert_eq!(machine.agent.facility.as_deref(), Some("lab"));
    assert_eq!(machine.agent.syslog_host.as_deref(), Some("logs.example"));
    assert_eq!(machine.agent.syslog_port, Some(1514));
    assert_eq!(machine.agent.registry_password, Some(Secret::new("p w")));
}

#[test]
fn shipped_recipes_are_there_unwritten_and_the_users_keys_go_on_top_of_them() {
    let plain = good("[profile.rack]\nosie = \"slim\"");
    assert_eq!(plain.inventory.profile("rack").unwrap().osie, "slim");
    let slim = captain_model::Recipe::new("slim");
    assert_eq!((plain.recipes["slim"].clone(), slim.base), (slim.clone(), Shipped::Slim));
    let config = good(
        "[osie.slim]\npackages = [\"tmux\"]\n[osie.mine]\nbase = \"slim\"\n[osie.other]\nmodules = [\"net\"]",
    );
    let with = |name: &str| config.recipes[name].clone();
    assert_eq!(with("slim"), Recipe { packages: vec!["tmux".to_owned()], ..slim.clone() });
    assert_eq!(with("mine"), Recipe { name: "mine".to_owned(), ..slim });
    assert_eq!((with("other").base, with("other").modules), (Shipped::Default, vec!["net".to_owned()]));
    assert_eq!(with("debug").base, Shipped::Debug);
    let fault = bad("[osie.x]\nbase = \"tiny\"");
    assert!(fault.contains("default, slim, debug"), "{fault}");
}

#[test]
fn tools_are_urls_with_their_sums_and_what_is_wrong_with_one_is_told_at_once() {
    let sum = "0123456789abcdefABCDEF".repeat(3)[..64].to_owned();
    let config = good(&format!(
        "[[osie.default.tools]]\nurl = \"https://x.example/n.tar.gz\"\nsha256 = \"{sum}\"\nfiles = [\"n\"]\n\
         [[osie.default.tools]]\nurl = \"http://x.example/r.amd64\"\nsha256 = \"{sum}\"\narch = \"amd64\"\n\
         to = \"/opt/cni/bin\"\nname = \"r\"\n"
    ));
    let tools = &config.recipes["default"].tools;
    let first = Tool {
        url: "https://x.example/n.tar.gz".to_owned(),
        sha256: sum.to_lowercase(),
        arch: None,
        to: "/usr/local/bin".to_owned(),
        files: vec!["n".to_owned()],
        name: None,
    };
    let second = Tool {
        url: "http://x.example/r.amd64".to_owned(),
        arch: Some(Arch::Amd64),
        to: "/opt/cni/bin".to_owned(),
        files: Vec::new(),
        name: Some("r".to_owned()),
        ..first.clone()
    };
    assert_eq!(*tools, [first, second]);
    let fault = bad("[[osie.x.tools]]\nurl = \"ftp://x/y\"\nto = \"/a/../b\"\nname = \"a/b\"\nsize = 1\n");
    for words in ["ftp://x/y", "no `sha256`", "/a/../b", "a/b", "size"] {
        assert!(fault.contains(words), "{words}: {fault}");
    }
}

#[test]
fn an_empty_file_is_the_default() {
    let (empty, default) = (good(""), Config::default());
    assert_eq!(format!("{empty:?}"), format!("{default:?}"));
    assert_eq!(default.recipes["default"], captain_model::Recipe::new("default"));
    assert_eq!(default.server.http_port, 7080);
}

#[test]
fn a_broken_file_gives_every_fault_at_once_each_with_its_place() {
    let got = bad(BROKEN) + "\n";
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/golden/broken.txt");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &got).unwrap();
    }
    assert_eq!(got, std::fs::read_to_string(path).unwrap_or_default(), "UPDATE_GOLDEN=1 rewrites it");
    assert!(!got.contains("hunter2"), "a password is in a fault");
}

#[test]
fn faults_of_syntax_and_of_meaning_come_together() {
    let faults =
        bad("[server]\nhttp_port = \naddress = 7\naddress = \"10.0.0.1\"\n[dhcp]\nmode = \"x\"\nmode2 = 1\n");
    let lines: Vec<_> = faults.lines().map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(
        lines,
        [
            "captaind.toml:2:13:",
            "captaind.toml:3:11:",
            "captaind.toml:4:1:",
            "captaind.toml:6:8:",
            "captaind.toml:7:1:"
        ],
        "{faults}"
    );
}

#[test]
fn a_fault_stays_on_one_line_whatever_the_file_holds() {
    let faults = bad("\"a\\nb\" = 1\n[dhcp]\nmode = \"\"\"x\ny\"\"\"\n[profile]\nosie = 'x'\n");
    let lines: Vec<_> = faults.lines().collect();
    assert_eq!(lines.len(), 3, "{faults}");
    assert!(lines[0].starts_with(r#"captaind.toml:1:1: "a\nb": unknown key `a\nb`: "#), "{faults}");
    assert!(lines[1].contains(r"`x\ny` is not known"), "{faults}");
    assert!(
        lines[2].ends_with("profile.osie: unknown key `osie`: a profile is a table, [profile.NAME]"),
        "{faults}"
    );
}

#[test]
fn ten_thousand_machines_are_read_in_a_moment() {
    let mut text = String::new();
    for at in 0..10_000 {
        text +=
            &format!("[[machine]]\nmac = \"52540000{at:04x}\"\nname = \"m{at}\"\ncmdline = [\"a={at}\"]\n");
    }
    let begin = std::time::Instant::now();
    assert_eq!(good(&text).inventory.machines().len(), 10_000);
    assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
}

#[test]
fn a_single_machine_table_is_told_the_double_brackets() {
    assert_eq!(
        bad("[machine]\nmac = \"52:54:00:00:00:01\"\n"),
        "captaind.toml:1:1: machine: there can be several of these: write `[[machine]]`, not `[machine]`"
    );
}

#[test]
fn a_password_file_loses_one_newline_and_is_never_quoted_in_a_fault() {
    let folder = tempfile::tempdir().unwrap();
    let text = "[profile.default.agent]\nregistry_password_file = \"pass\"\n";
    for (content, want) in [
        ("a b\n", Some("a b")),
        ("a", Some("a")),
        ("a\r\n", Some("a")),
        ("a\n\n", None),
        ("", None),
        ("hunter\"2", None),
    ] {
        std::fs::write(folder.path().join("pass"), content).unwrap();
        let got = parse(text, folder.path());
        match (got, want) {
            (Ok(config), Some(want)) => {
                let agent = config.inventory.profile("default").unwrap().agent.clone();
                assert_eq!(agent.registry_password, Some(Secret::new(want)), "{content:?}");
            }
            (Err(faults), None) => assert!(!faults.to_string().contains("hunter"), "{faults}"),
            (got, _) => panic!("{content:?}: {got:?}"),
        }
    }
}

#[test]
fn a_file_that_is_not_there_is_one_fault_without_a_line() {
    let Faults { path, faults } = load(Path::new("/no/such/captaind.toml")).unwrap_err();
    assert_eq!(path, Path::new("/no/such/captaind.toml"));
    assert_eq!((faults.len(), faults[0].line), (1, 0));
    assert!(Faults { path, faults }.to_string().starts_with("/no/such/captaind.toml: cannot be read: "));
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in ".{0,200}") {
        let _ = parse(&text, Path::new(""));
    }

    #[test]
    fn no_cut_or_changed_example_makes_it_panic(
        from in 0..INTERFACE.len(), cut in 0..40usize, paste in r#"[\[\]{}="',.a-z0-9\n#ä-]{0,6}"#
    ) {
        let text: String = INTERFACE.chars().take(from).chain(paste.chars()).chain(INTERFACE.chars().skip(from + cut)).collect();
        if let Err(faults) = parse(&text, Path::new("")) {
            prop_assert!(!faults.faults.is_empty());
            let lines = text.lines().count() + 1;
            prop_assert!(faults.faults.iter().all(|fault| (1..=lines).contains(&fault.line)), "{}", faults);
        }
    }
}
