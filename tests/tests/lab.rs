//! Real firmware, from power-on to the agent (QEMU: SeaBIOS + iPXE, OVMF by PXE and by HTTP, AAVMF).

use std::path::Path;
use std::sync::{Mutex, MutexGuard};

use captain_tests::{Finished, run, slow_tests};
use serde_json::Value;

/// One lab at a time: machines without KVM need the whole box.
static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// MiB that the default OSIE is content with.
const LEAST_MEMORY: &str = "1024";

/// Three machines, each with its own agent image, registry, worker id and syslog host.
const THREE_MACHINES: &str = r#"
[[machine]]
mac = "52:54:00:00:00:01"
worker_id = "worker-one"
[machine.agent]
image = "192.168.50.1:7080/agents/one:v1"
registry = "192.168.50.1:7080"
syslog_host = "192.168.50.11"

[[machine]]
mac = "52:54:00:00:00:02"
worker_id = "worker-two"
[machine.agent]
image = "192.168.50.1:7080/agents/two:v2"
registry = "two.example"
syslog_host = "192.168.50.12"

[[machine]]
mac = "52:54:00:00:00:03"
[machine.agent]
image = "192.168.50.1:7080/agents/three:v3"
registry = "three.example"
syslog_host = "192.168.50.13"
"#;

fn lab(folder: &Path, more: &[&str]) -> (Finished, Value) {
    let mut arguments = vec!["lab", "--json"];
    arguments.extend(more);
    let out = run(folder, &arguments);
    let report = serde_json::from_str(&out.stdout).unwrap_or(Value::Null);
    (out, report)
}

#[test]
fn every_firmware_boots_to_an_agent_with_its_own_settings() {
    if !slow_tests() {
        return;
    }
    let _alone = alone();
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("captaind.toml"), THREE_MACHINES).expect("a configuration");
    let (out, report) = lab(
        folder.path(),
        &["-c", "captaind.toml", "--firmware", "bios,uefi,uefi-http", "--memory", LEAST_MEMORY],
    );
    out.expect_code(0);
    assert_eq!(report["ok"], true);
    let want = [
        ("bios", "192.168.50.1:7080/agents/one:v1", "192.168.50.1:7080", "worker-one", "192.168.50.11"),
        ("uefi", "192.168.50.1:7080/agents/two:v2", "two.example", "worker-two", "192.168.50.12"),
        (
            "uefi-http",
            "192.168.50.1:7080/agents/three:v3",
            "three.example",
            "52:54:00:00:00:03",
            "192.168.50.13",
        ),
    ];
    for (at, (firmware, image, registry, worker_id, syslog_host)) in want.into_iter().enumerate() {
        let machine = &report["machines"][at];
        assert_eq!(machine["firmware"], firmware, "{machine:#}");
        assert_eq!(machine["stage"], "agent", "{machine:#}");
        for (key, value) in
            [("image", image), ("registry", registry), ("worker_id", worker_id), ("syslog_host", syslog_host)]
        {
            assert_eq!(machine["agent"][key], value, "{machine:#}");
        }
    }
}

#[test]
fn an_arm64_machine_boots_the_osie_that_this_box_builds_for_it() {
    if !slow_tests() {
        return;
    }
    let _alone = alone();
    let folder = tempfile::tempdir().expect("a folder");
    let (out, report) = lab(folder.path(), &["--firmware", "arm64"]);
    out.expect_code(0);
    let machine = &report["machines"][0];
    assert_eq!((&machine["firmware"], &machine["stage"]), (&"arm64".into(), &"agent".into()), "{machine:#}");
    assert_eq!(machine["agent"]["image"], "192.168.50.1:7080/tink-agent:latest", "{machine:#}");
    let stages: Vec<_> = machine["timeline"].as_array().expect("a timeline").iter().collect();
    assert!(stages.iter().any(|reached| reached["stage"] == "loader"), "{machine:#}");
    let console = machine["console"].as_str().expect("a console");
    assert!(!Path::new(console).exists(), "a lab that went well leaves nothing behind");
}

#[test]
fn from_the_iso_that_captaind_has_for_it_a_machine_boots_to_its_agent() {
    if !slow_tests() {
        return;
    }
    let _alone = alone();
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("captaind.toml"), THREE_MACHINES).expect("a configuration");
    let (out, report) =
        lab(folder.path(), &["-c", "captaind.toml", "--media", "cd", "--firmware", "bios,uefi"]);
    out.expect_code(0);
    for (at, image) in ["agents/one:v1", "agents/two:v2"].into_iter().enumerate() {
        let machine = &report["machines"][at];
        assert_eq!(machine["agent"]["image"], format!("192.168.50.1:7080/{image}"), "{machine:#}");
        let stages: Vec<_> = machine["timeline"].as_array().expect("a timeline").iter().collect();
        assert!(stages.iter().all(|reached| reached["stage"] != "loader"), "it came by network: {machine:#}");
    }
}

#[test]
fn without_a_registry_each_machine_says_where_it_stopped_and_why() {
    if !slow_tests() {
        return;
    }
    let _alone = alone();
    let folder = tempfile::tempdir().expect("a folder");
    let (out, report) = lab(folder.path(), &["--no-registry", "--machines", "2", "--firmware", "bios"]);
    out.expect_code(1);
    assert_eq!(report["ok"], false);
    for machine in report["machines"].as_array().expect("a list of machines") {
        assert_eq!(machine["stage"], "userland", "{machine:#}");
        let why = machine["failed"]["why"].as_str().expect("a reason");
        assert!(why.contains("192.168.50.1:7080/tink-agent"), "{why}");
    }
}

#[test]
fn beside_dnsmasq_in_proxy_mode_bios_and_uefi_boot() {
    if !slow_tests() {
        return;
    }
    let _alone = alone();
    let folder = tempfile::tempdir().expect("a folder");
    let (out, report) =
        lab(folder.path(), &["--mode", "auto-proxy", "--firmware", "bios,uefi", "--until", "userland"]);
    out.expect_code(0);
    assert_eq!(report["machines"].as_array().map(Vec::len), Some(2));
}
