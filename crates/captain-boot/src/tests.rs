//! Command lines and scripts of whole machines, against goldens in `golden/` (`UPDATE_GOLDEN=1` rewrites them).

use std::collections::BTreeMap;
use std::path::Path;

use captain_model::cmdline::KERNEL_LIMIT;
use captain_model::{
    Arch, BootId, BootTicket, Cmdline, Inventory, LocalBoot, Mac, Machine, Profile, Secret, UnknownMachines,
};
use proptest::prelude::*;

use crate::{BootError, Facts, ServerFacts, TemplateError, Templates, Via, cmdline, masked};

const FIRST: Mac = Mac::new([0x52, 0x54, 0, 0, 0, 1]);
const SECOND: Mac = Mac::new([0x52, 0x54, 0, 0, 0, 2]);
const STRANGER: Mac = Mac::new([0x52, 0x54, 0, 0, 0, 9]);

fn server() -> ServerFacts {
    ServerFacts {
        http_base: "http://192.168.50.1:7080".to_owned(),
        syslog: Some(("192.168.50.1".to_owned(), 514)),
        registry_mirror: None,
    }
}

/// A profile and a machine of which everything is said that can be.
fn full() -> (Machine, Profile) {
    let mut profile = Profile::new("rack");
    profile.agent.image = Some("registry.example/tink-agent:latest".to_owned());
    profile.agent.registry = Some("registry.example".to_owned());
    profile.agent.registry_username = Some("u".to_owned());
    profile.agent.registry_password = Some(Secret::new("hunter2"));
    profile.agent.insecure_registries = Some(vec!["192.168.50.1:5000".to_owned(), "other:80".to_owned()]);
    profile.agent.grpc_authority = Some("192.168.50.1:42113".to_owned());
    profile.agent.tls = Some(true);
    profile.agent.insecure_tls = Some(false);
    profile.agent.facility = Some("lab".to_owned());
    let mut machine = Machine::new(FIRST);
    machine.macs.push(SECOND);
    machine.name = Some("r1-u07".to_owned());
    machine.profile = Some("rack".to_owned());
    machine.vlan = Some(100);
    machine.ipam = Some("52-54-00-00-00-01:100:192.168.50.20:255.255.255.0:::::".to_owned());
    machine.cmdline = Cmdline::parse(["console=ttyS1,115200", "foo=bar"]).unwrap();
    (machine, profile)
}

fn inventory(machine: Machine, profile: Profile) -> Inventory {
    let profiles = BTreeMap::from([(profile.name.clone(), profile)]);
    Inventory::new(vec![machine], profiles, UnknownMachines::Boot)
}

fn facts<'a>(inventory: &'a Inventory, server: &'a ServerFacts, mac: Mac) -> Facts<'a> {
    Facts {
        mac,
        identity: inventory.identify(mac),
        arch: Arch::Amd64,
        boot: Some(BootTicket { boot: BootId(0xb1f), proof: 0x5eed }),
        server,
        via: Via::Ipxe,
    }
}

fn line(machine: Machine, profile: Profile) -> Result<Cmdline, BootError> {
    let (inventory, server) = (inventory(machine, profile), server());
    cmdline(&facts(&inventory, &server, FIRST))
}

#[track_caller]
fn golden(name: &str, got: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/golden").join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, got).unwrap();
    }
    let want = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(got, want, "{name} differs: UPDATE_GOLDEN=1 rewrites it");
}

#[test]
fn every_parameter_stands_in_the_fixed_order_and_the_machines_own_come_last() {
    let (machine, profile) = full();
    let want = "console=tty0 console=ttyS0,115200 facility=lab syslog_host=192.168.50.1 syslog_port=514 \
                grpc_authority=192.168.50.1:42113 tinkerbell_tls=true tinkerbell_insecure_tls=false \
                worker_id=52:54:00:00:00:01 hw_addr=52:54:00:00:00:01 \
                tink_worker_image=registry.example/tink-agent:latest docker_registry=registry.example \
                registry_username=u registry_password=hunter2 \
                insecure_registries=192.168.50.1:5000,other:80 vlan_id=100 \
                ipam=52-54-00-00-00-01:100:192.168.50.20:255.255.255.0::::: \
                captain_url=http://192.168.50.1:7080 captain_boot=bb1f-0000000000005eed initrd=initramfs-x86_64 \
                console=ttyS1,115200 foo=bar";
    assert_eq!(line(machine, profile).unwrap().to_string(), want);
}

#[test]
fn what_has_no_value_is_left_out() {
    let (inventory, mut server) = (Inventory::empty(), server());
    server.syslog = None;
    let mut facts = facts(&inventory, &server, STRANGER);
    facts.boot = None;
    facts.via = Via::Grub;
    assert_eq!(
        cmdline(&facts).unwrap().to_string(),
        "console=tty0 console=ttyS0,115200 worker_id=52:54:00:00:00:09 hw_addr=52:54:00:00:00:09 \
         captain_url=http://192.168.50.1:7080"
    );
}

#[test]
fn the_second_port_of_a_machine_keeps_the_worker_id_and_tells_its_own_address() {
    let ((machine, profile), server) = (full(), server());
    let inventory = inventory(machine, profile);
    let line = cmdline(&facts(&inventory, &server, SECOND)).unwrap();
    assert_eq!(line.get("worker_id"), Some("52:54:00:00:00:01"));
    assert_eq!(line.get("hw_addr"), Some("52:54:00:00:00:02"));
}

#[test]
fn a_given_worker_id_wins_and_syslog_can_be_refused() {
    let (mut machine, profile) = full();
    machine.worker_id = Some("worker-7".to_owned());
    machine.agent.syslog = Some(false);
    let line = line(machine, profile).unwrap();
    assert_eq!(line.get("worker_id"), Some("worker-7"));
    assert_eq!((line.get("syslog_host"), line.get("syslog_port")), (None, None));
}

#[test]
fn the_syslog_host_of_a_machine_or_profile_goes_before_the_servers() {
    let syslog_of = |host: Option<&str>, port: Option<u16>| {
        let (mut machine, mut profile) = full();
        profile.agent.syslog_host = host.map(str::to_owned);
        machine.agent.syslog_port = port;
        let line = line(machine, profile).unwrap();
        format!("{}:{}", line.get("syslog_host").unwrap(), line.get("syslog_port").unwrap())
    };
    assert_eq!(syslog_of(None, None), "192.168.50.1:514");
    assert_eq!(syslog_of(None, Some(1514)), "192.168.50.1:1514");
    assert_eq!(syslog_of(Some("logs.example"), None), "logs.example:514");
    assert_eq!(syslog_of(Some("logs.example"), Some(1514)), "logs.example:1514");
}

#[test]
fn all_paths_carry_the_same_bytes_but_for_ipxes_image_name() {
    let ((machine, profile), server) = (full(), server());
    let inventory = inventory(machine, profile);
    let by = |via| {
        let facts = Facts { via, ..facts(&inventory, &server, FIRST) };
        cmdline(&facts).unwrap().to_string()
    };
    assert_eq!(by(Via::Grub), by(Via::Iso));
    assert_eq!(by(Via::Ipxe).replace(" initrd=initramfs-x86_64", ""), by(Via::Grub));
}

#[test]
fn a_password_is_masked_in_everything_that_is_shown() {
    let ((mut machine, profile), server) = (full(), server());
    machine.cmdline = Cmdline::parse(["registry_password=own-secret"]).unwrap();
    let inventory = inventory(machine, profile);
    let facts = facts(&inventory, &server, FIRST);
    let line = cmdline(&facts).unwrap();
    assert!(line.to_string().contains("hunter2") && line.to_string().contains("own-secret"));
    for shown in [masked(&line), format!("{line:?}"), format!("{facts:?}")] {
        assert!(!shown.contains("hunter2") && !shown.contains("own-secret"), "{shown}");
    }
    assert!(masked(&line).contains("registry_password=***"));
}

#[test]
fn a_value_that_cannot_be_an_argument_is_refused_without_being_shown() {
    for (bad, what) in [("p\"w", "a double quote"), ("p\nw", "a control character (newline, NUL, ...)")] {
        let (machine, mut profile) = full();
        profile.agent.registry_password = Some(Secret::new(bad));
        let error = line(machine, profile).unwrap_err();
        let machine = "r1-u07 (52:54:00:00:00:01)".to_owned();
        assert_eq!(error, BootError::Value { machine, key: "registry_password", what });
    }
    let (machine, mut profile) = full();
    profile.agent.registry_password = Some(Secret::new("p${net0/mac}"));
    let error = line(machine, profile).unwrap_err();
    assert!(error.to_string().contains("`registry_password=***` holds `${`"), "{error}");
}

#[test]
fn a_line_as_long_as_the_kernel_takes_is_given_and_one_byte_more_is_refused() {
    let (mut machine, profile) = full();
    machine.cmdline = Cmdline::new();
    let bare = line(machine.clone(), profile.clone()).unwrap().to_string().len();
    let most = KERNEL_LIMIT - 1 - "vmlinuz-x86_64 ".len();
    let room = most - bare - " x=".len();
    machine.cmdline = Cmdline::parse([format!("x={}", "y".repeat(room))]).unwrap();
    assert_eq!(line(machine.clone(), profile.clone()).unwrap().to_string().len(), most);
    machine.cmdline = Cmdline::parse([format!("x={}", "y".repeat(room + 1))]).unwrap();
    assert_eq!(
        line(machine, profile).unwrap_err().to_string(),
        "r1-u07 (52:54:00:00:00:01): its kernel command line is 2033 bytes and the kernel takes 2032: shorten \
         `cmdline` of the machine or of profile `rack`, or its agent settings"
    );
}

#[test]
fn the_script_of_a_machine_is_the_golden_one() {
    let ((machine, profile), server) = (full(), server());
    let inventory = inventory(machine, profile);
    let facts = facts(&inventory, &server, FIRST);
    golden("boot.ipxe", &crate::script(&facts, &cmdline(&facts).unwrap()));
}

#[test]
fn the_script_of_a_stranger_is_the_golden_one() {
    let (inventory, mut server) = (Inventory::empty(), server());
    server.syslog = None;
    let facts = Facts { arch: Arch::Arm64, ..facts(&inventory, &server, STRANGER) };
    golden("stranger.ipxe", &crate::script(&facts, &cmdline(&facts).unwrap()));
}

#[test]
fn the_scripts_without_a_system_are_the_golden_ones() {
    golden("discover.ipxe", &crate::discover_script(&server()));
    golden("wait.ipxe", &crate::wait_script(&server(), FIRST, "the OSIE `default` is being built || reboot"));
    let why = "boot = \"once\" is used up || reboot";
    for (name, way) in [
        ("local-exit.ipxe", LocalBoot::Exit),
        ("local-sanboot.ipxe", LocalBoot::Sanboot),
        ("local-poweroff.ipxe", LocalBoot::Poweroff),
    ] {
        golden(name, &crate::local_script(way, why).unwrap());
    }
    assert_eq!(crate::local_script(LocalBoot::Silence, why), None);
}

#[test]
fn the_grub_configuration_is_the_golden_one() {
    let ((machine, profile), server) = (full(), server());
    let inventory = inventory(machine, profile);
    let facts = Facts { via: Via::Grub, ..facts(&inventory, &server, FIRST) };
    golden("grub.cfg", &crate::grub_cfg(&facts, &cmdline(&facts).unwrap()).unwrap());
}

#[test]
fn a_profile_on_another_server_is_fetched_there_without_a_redirect() {
    let ((machine, mut profile), server) = (full(), server());
    profile.osie = "http://192.0.2.9/hook/".into();
    let inventory = inventory(machine, profile);
    let facts = facts(&inventory, &server, FIRST);
    let script = crate::script(&facts, &cmdline(&facts).unwrap());
    for url in [" http://192.0.2.9/hook/vmlinuz-x86_64 ", " http://192.0.2.9/hook/initramfs-x86_64 "] {
        assert!(script.contains(url), "{url} is missing in\n{script}");
    }
    assert!(!script.contains("/osie/"), "{script}");
}

#[test]
fn the_pxelinux_configuration_is_the_golden_one() {
    let ((machine, profile), server) = (full(), server());
    let inventory = inventory(machine, profile);
    let facts = Facts { via: Via::Grub, ..facts(&inventory, &server, FIRST) };
    golden("pxelinux.cfg", &crate::pxelinux_cfg(&facts, &cmdline(&facts).unwrap()));
}

#[test]
fn grub_is_not_given_what_it_would_change() {
    let ((mut machine, profile), server) = (full(), server());
    machine.cmdline = Cmdline::parse(["foo=\"a b\""]).unwrap();
    let inventory = inventory(machine, profile);
    let facts = Facts { via: Via::Grub, ..facts(&inventory, &server, FIRST) };
    let error = crate::grub_cfg(&facts, &cmdline(&facts).unwrap()).unwrap_err();
    assert!(error.to_string().contains("kernel argument `foo=\"a b\"` holds a quote"), "{error}");
}

#[test]
fn a_given_template_takes_the_place_of_the_embedded_one() {
    let own = Templates::from_map([("local-exit.ipxe", "#!ipxe\necho {{why}}\nexit 1\n")]).unwrap();
    assert_eq!(own.local_script(LocalBoot::Exit, "no").unwrap(), "#!ipxe\necho no\nexit 1\n");
    assert_eq!(own.discover_script(&server()), crate::discover_script(&server()));
    assert!(matches!(
        Templates::from_map([("bot.ipxe", "#!ipxe\n")]),
        Err(TemplateError::UnknownFile { file, .. }) if file == "bot.ipxe"
    ));
    assert_eq!(
        Templates::from_map([("boot.ipxe", "echo\n")]).unwrap_err(),
        TemplateError::NoMagic { file: "boot.ipxe" }
    );
    assert!(Templates::from_map([("boot.ipxe", "#!ipxe\n{{why}}\n")]).is_err());
}

#[test]
fn the_folder_of_scripts_holds_the_templates_and_nothing_else() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../ipxe-scripts");
    let mut there: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let mut known = Templates::files();
    there.sort_unstable();
    known.sort_unstable();
    assert_eq!(there, known);
}

/// What iPXE's shell makes of the tail of a command: tokens, an end at `||`, `&&`, `;` or `#`, `${nothing}`
/// replaced by nothing, joined with single spaces (`src/core/exec.c`).
fn ipxe_shell(tail: &str) -> String {
    let tokens = tail.split([' ', '\t']).filter(|token| !token.is_empty());
    let ends = |token: &&str| matches!(*token, "||" | "&&" | ";") || token.starts_with('#');
    let kept: Vec<_> =
        tokens.take_while(|token| !ends(token)).map(|token| token.replace("${nothing}", "")).collect();
    kept.join(" ")
}

proptest! {
    #[test]
    fn every_command_line_arrives_in_the_kernel_as_it_was(
        arguments in prop::collection::vec(r#"([a-z]{1,4}=)?([!-~]{1,12}|"[ -!#-~]{0,12}")"#, 1..8)
    ) {
        let Ok(line) = Cmdline::parse(&arguments) else { return Ok(()) };
        let line = line.to_string();
        prop_assume!(!line.contains("${"));
        let script = format!("{} || goto again", crate::ipxe::arguments(&line));
        prop_assert!(!script.contains('\n'));
        prop_assert_eq!(ipxe_shell(&script), line);
    }
}

#[test]
fn a_machines_syslog_host_goes_before_the_servers() {
    let (mut machine, profile) = full();
    machine.agent.syslog_host = Some("logs.example".to_owned());
    let own = line(machine.clone(), profile.clone()).unwrap();
    assert_eq!((own.get("syslog_host"), own.get("syslog_port")), (Some("logs.example"), Some("514")));
    machine.agent.syslog_port = Some(6514);
    assert_eq!(line(machine.clone(), profile.clone()).unwrap().get("syslog_port"), Some("6514"));
    machine.agent.syslog = Some(false);
    assert_eq!(line(machine, profile).unwrap().get("syslog_host"), None);
}

#[test]
fn a_registry_mirror_is_announced_where_captaind_is_one() {
    let (machine, profile) = full();
    let inventory = inventory(machine, profile);
    let server = ServerFacts { registry_mirror: Some("192.168.50.1:7080".to_owned()), ..server() };
    let line = cmdline(&facts(&inventory, &server, FIRST)).unwrap();
    assert_eq!(line.get("registry_mirror"), Some("192.168.50.1:7080"));
}
