//! A container image that is put into an OSIE runs as a service on the machine that boots it (QEMU).

use std::path::Path;
use std::process::Command;

use captain_tests::kernel::Engine;
use captain_tests::{Finished, captaind, run, slow_tests};
use serde_json::Value;

/// An image as `docker save` writes it: a static busybox whose program says on the console what it sees.
const ARCHIVE: &str = r#"
set -euo pipefail
mkdir -p root/bin image
cp "$(command -v busybox)" root/bin/busybox
cat >root/run.sh <<'SH'
#!/bin/busybox sh
b=/bin/busybox
echo "captain-test: bin holds $($b ls /bin), cards are $($b ls /sys/class/net | $b tr '\n' ' ')" >/dev/console
exec $b sleep 100000
SH
chmod 755 root/run.sh
tar --sort=name --owner=0 --group=0 --mtime=@0 -cf image/layer.tar -C root .
id=$(sha256sum image/layer.tar | cut -d' ' -f1)
echo '{"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": ["sha256:'"$id"'"]},
  "config": {"Cmd": ["/run.sh"]}}' >image/config.json
echo '[{"Config": "config.json", "RepoTags": ["my/scanner:1"], "Layers": ["layer.tar"]}]' >image/manifest.json
tar -cf scanner.tar -C image manifest.json config.json layer.tar
"#;

const CONFIG: &str = r#"
[profile.default]
osie = "mine"

[osie.mine]
base = "slim"
containers = ["scanner.tar"]
overlay = ["wait"]
"#;

/// The agent, whose report ends the lab, starts once the container runs.
const ORDER: &str =
    "[Unit]\nAfter=captain-container-scanner.service\n[Service]\nExecStartPre=/usr/bin/sleep 5\n";

fn write(folder: &Path, path: &str, text: &str) {
    let path = folder.join(path);
    std::fs::create_dir_all(path.parent().expect("a file below the folder")).expect("a folder");
    std::fs::write(path, text).expect("a file");
}

const FROM_ENGINE: &str = "[osie.default]\ncontainers = [\"docker://my/scanner:1\"]\n";

/// Runs `captaind` in `folder` with this `DOCKER_HOST`.
fn with_engine(folder: &Path, docker: &str, arguments: &[&str]) -> Finished {
    let mut command = Command::new(captaind());
    let command = command.args(arguments).current_dir(folder).env("DOCKER_HOST", docker);
    Finished::of(command.env("CAPTAIND_CACHE_DIR", folder.join("cache")).output().expect("captaind starts"))
}

#[test]
fn docker_not_there_is_one_error_that_names_the_socket_and_the_way_without_it() {
    let folder = tempfile::tempdir().expect("a folder");
    write(folder.path(), "captaind.toml", FROM_ENGINE);
    let plan = |more: &[&str]| {
        let arguments = [&["plan", "-c", "captaind.toml"], more].concat();
        with_engine(folder.path(), "unix:///nowhere/docker.sock", &arguments)
    };
    let out = plan(&[]).expect_code(69);
    let last = out.stderr.lines().last().expect("an error");
    for part in ["unix:///nowhere/docker.sock: is not there", "DOCKER_HOST", "docker save", "containers"] {
        assert!(last.contains(part), "no {part}: {}", out.stderr);
    }
}

#[test]
#[ignore = "starts a Docker engine: cargo xtask kernel"]
fn an_image_of_the_docker_engine_is_pinned_and_needs_no_engine_from_then_on() {
    let (engine, folder) = (Engine::start(), tempfile::tempdir().expect("a folder"));
    let made = Command::new("bash").args(["-c", ARCHIVE]).current_dir(folder.path()).status();
    assert!(made.expect("bash starts").success());
    write(folder.path(), "captaind.toml", FROM_ENGINE);
    let plan = |docker: &str, more: &[&str]| {
        let arguments = [&["plan", "-c", "captaind.toml", "--json"], more].concat();
        with_engine(folder.path(), docker, &arguments)
    };
    let missing = plan(&engine.host(), &[]).expect_code(1);
    assert!(missing.stderr.contains("`docker pull my/scanner:1` first"), "{}", missing.stderr);
    let load = ["-H", &engine.host(), "load", "-i", "scanner.tar"];
    let loaded = Command::new("docker").args(load).current_dir(folder.path()).status();
    assert!(loaded.expect("docker starts").success());
    let containers = |out: Finished| -> Value {
        let plan: Value = serde_json::from_str(&out.expect_code(0).stdout).expect("a plan");
        let steps = plan["steps"].as_array().expect("steps");
        let step = steps.iter().find(|step| step["step"] == "containers").expect("a step with containers");
        step["containers"].clone()
    };
    let pinned = containers(plan(&engine.host(), &[]));
    assert_eq!(pinned[0]["source"], "docker://my/scanner:1");
    assert!(pinned[0]["digest"].as_str().expect("a digest").starts_with("sha256:"));
    drop(engine);
    assert_eq!(containers(plan("unix:///nowhere/docker.sock", &["--offline"])), pinned);
}

#[test]
fn a_container_of_an_archive_runs_as_a_service_of_the_osie() {
    if !slow_tests() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let made = Command::new("bash").args(["-c", ARCHIVE]).current_dir(folder.path()).status();
    assert!(made.expect("bash starts").success());
    write(folder.path(), "captaind.toml", CONFIG);
    write(folder.path(), "wait/etc/systemd/system/tink-agent.service.d/after.conf", ORDER);
    let arguments = ["lab", "--json", "--keep", "-c", "captaind.toml", "--memory", "1024"];
    let out = run(folder.path(), &arguments).expect_code(0);
    let report: Value = serde_json::from_str(&out.stdout).expect("a report");
    let console = report["machines"][0]["console"].as_str().expect("a console");
    let text = String::from_utf8_lossy(&std::fs::read(console).expect("the console's text")).into_owned();
    std::fs::remove_dir_all(report["folder"].as_str().expect("the lab's folder")).expect("it goes away");
    let said = text.lines().find(|line| line.contains("captain-test:")).unwrap_or_default();
    assert!(said.contains("bin holds busybox,"), "its own files: `{said}` in\n{text}");
    assert!(said.contains(" lo"), "the machine's network: `{said}`");
}
