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
containers = ["scanner.tar"]
overlay = ["site"]
services = ["site.service"]
"#;

/// The agent, whose report ends the lab, starts once the container and our own service have said what they see.
const ORDER: &str = "[Unit]\nAfter=captain-container-scanner.service site.service\n";
const SITE_UNIT: &str = "\
[Unit]
After=captain-container-scanner.service rsyslog.service tink-agent-setup.service
[Service]
Type=oneshot
StandardOutput=file:/dev/console
ExecStart=-/usr/bin/bash /usr/bin/site
[Install]
WantedBy=multi-user.target
";
/// What of CaptainOS's list works: polkitd answers when it is asked, PAM lets root through, the agent's messages have
/// come to captaind, who tells them again.
const SITE: &str = r#"sleep 5
[[ $(pkaction) == *org.freedesktop.login1* ]] && echo "captain-test: polkitd $(systemctl is-active polkit)"
su -c 'echo "captain-test: root is $(id -un)"'
fastfetch --version | sed 's/^/captain-test: /'
. /usr/lib/captain/cmdline.sh
parse_cmdline "$(</proc/cmdline)"
exec 3<>/dev/tcp/192.168.50.1/7080
printf 'GET /api/v1/machines/%s/logs HTTP/1.0\r\n\r\n' "$(machine_mac)" >&3
[[ $(cat <&3) == *'"program":"tink-agent-setup","text":"captain: agent is ready"'* ]] && echo "captain-test: captaind heard it"
echo "captain-test: failed units: $(systemctl --failed --no-legend)"
"#;

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
        let steps = plan[0]["steps"].as_array().expect("steps");
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
fn a_container_of_an_archive_and_what_captainos_holds_work_on_the_machine() {
    if !slow_tests() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let made = Command::new("bash").args(["-c", ARCHIVE]).current_dir(folder.path()).status();
    assert!(made.expect("bash starts").success());
    write(folder.path(), "captaind.toml", CONFIG);
    write(folder.path(), "site/etc/systemd/system/tink-agent.service.d/after.conf", ORDER);
    write(folder.path(), "site/etc/systemd/system/site.service", SITE_UNIT);
    write(folder.path(), "site/usr/bin/site", SITE);
    let arguments = ["lab", "--json", "--keep", "-c", "captaind.toml", "--memory", "1024"];
    let out = run(folder.path(), &arguments).expect_code(0);
    let report: Value = serde_json::from_str(&out.stdout).expect("a report");
    let console = report["machines"][0]["console"].as_str().expect("a console");
    let text = String::from_utf8_lossy(&std::fs::read(console).expect("the console's text")).into_owned();
    std::fs::remove_dir_all(report["folder"].as_str().expect("the lab's folder")).expect("it goes away");
    let said: Vec<_> = text.lines().filter_map(|line| line.split_once("captain-test: ")).collect();
    let says = |what: &str| said.iter().any(|(_, text)| text.trim_end().contains(what));
    assert!(
        says("bin holds busybox,") && says(" lo"),
        "the container's files and network: {said:?} in\n{text}"
    );
    for what in ["polkitd active", "root is root", "fastfetch 2.", "captaind heard it"] {
        assert!(says(what), "no `{what}`: {said:?} in\n{text}");
    }
    assert!(said.iter().any(|(_, text)| text.trim_end() == "failed units:"), "{said:?}");
}
