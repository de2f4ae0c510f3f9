//! The overlay's shell functions, run by bash.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

fn overlay() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../overlay")
}

/// What `script` prints with the functions of cmdline.sh and agent.sh, after the command line `cmdline` was read.
fn run(cmdline: &str, script: &str) -> String {
    let lib = overlay().join("usr/lib/captain");
    let prelude = format!(
        ". {0}/cmdline.sh; . {0}/agent.sh; parse_cmdline \"$CMDLINE\"; {script}",
        lib.canonicalize().unwrap().display()
    );
    let output = Command::new("bash").args(["-c", &prelude]).env("CMDLINE", cmdline).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn every_script_is_understood_by_its_shell() {
    let mut scripts = 0;
    for folder in ["", "usr/lib/captain", "usr/local/bin"] {
        for entry in fs::read_dir(overlay().join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if !path.is_file() {
                continue;
            }
            scripts += 1;
            let checked = Command::new("bash").arg("-n").arg(&path).output().unwrap();
            assert!(
                checked.status.success(),
                "{}: {}",
                path.display(),
                String::from_utf8_lossy(&checked.stderr)
            );
        }
    }
    assert!(scripts >= 8, "only {scripts} scripts were found");
}

#[test]
fn the_command_line_is_read_as_the_kernel_reads_it() {
    let values = |cmdline| run(cmdline, "for k in a b c quiet; do echo \"$k=${ARG[$k]-unset}\"; done");
    assert_eq!(values("a=1 b=2 a=3 quiet\n"), "a=3\nb=2\nc=unset\nquiet=\n");
    assert_eq!(values("a=\"x y\" \"b=p  q\" c=k=v"), "a=x y\nb=p  q\nc=k=v\nquiet=unset\n");
    assert_eq!(values("a=$(echo evil) b=`id` c=*"), "a=$(echo\nb=`id`\nc=*\nquiet=unset\n");
}

#[test]
fn image_names_are_completed_as_registries_expect() {
    for (cmdline, image) in [
        ("tink_worker_image=r.example:5000/a/b:1", "r.example:5000/a/b:1"),
        ("tink_worker_image=r.example/a", "r.example/a:latest"),
        ("tink_worker_image=tink-agent", "docker.io/library/tink-agent:latest"),
        ("tink_worker_image=me/agent:2", "docker.io/me/agent:2"),
        ("tink_worker_image=localhost/agent@sha256:00", "localhost/agent@sha256:00"),
        ("docker_registry=r.example:5000", "r.example:5000/tink-agent:latest"),
        ("docker_registry=r.example tink_worker_image=q.example/x:3", "q.example/x:3"),
        ("quiet", ""),
    ] {
        assert_eq!(run(cmdline, "agent_image"), image, "{cmdline}");
    }
}

#[test]
fn the_agents_environment_has_tinkerbells_names_and_survives_special_characters() {
    let cmdline = "hw_addr=52-54-00-AB-00-01 docker_registry=r.example registry_username=u registry_password=p\"$x y\"\\`z \
                   grpc_authority=10.0.0.1:42113 tinkerbell_insecure_tls=true captain_url=http://h:7080 captain_boot=b1";
    let environment = run(cmdline, "agent_environment r.example/tink-agent:latest");
    for line in [
        "TINK_WORKER_IMAGE=\"r.example/tink-agent:latest\"",
        "WORKER_ID=\"52:54:00:ab:00:01\"",
        "ID=\"52:54:00:ab:00:01\"",
        "HW_ADDR=\"52:54:00:ab:00:01\"",
        "TINKERBELL_TLS=\"false\"",
        "TINKERBELL_INSECURE_TLS=\"true\"",
        "TINKERBELL_GRPC_AUTHORITY=\"10.0.0.1:42113\"",
        "REGISTRY_PASSWORD=\"p\\$x y\\\\\\`z\"",
        "CAPTAIN_BOOT=\"b1\"",
    ] {
        assert!(environment.lines().any(|found| found == line), "{line} is not in\n{environment}");
    }
    assert!(!environment.contains("SYSLOG_HOST"), "empty values are left out");
}

#[test]
fn insecure_registries_and_credentials_become_hosts_files_for_root_only() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let script = format!("write_hosts {}", folder.path().display());
    run(
        "docker_registry=r.example registry_username=u registry_password=p insecure_registries=10.0.0.1:5000,../evil",
        &script,
    );
    let read = |host: &str| fs::read_to_string(folder.path().join(host).join("hosts.toml")).unwrap();
    let insecure = read("10.0.0.1:5000");
    let (plain, tls) =
        (insecure.find("[host.\"http://10.0.0.1:5000\"]"), insecure.find("[host.\"https://10.0.0.1:5000\"]"));
    assert!(plain.unwrap() < tls.unwrap() && insecure.contains("skip_verify = true"), "{insecure}");
    assert!(!insecure.contains("Basic"), "the credentials are for another registry");
    let private = read("r.example");
    assert!(private.contains("[\"Basic dTpw\"]") && !private.contains("skip_verify"), "{private}");
    let mode = fs::metadata(folder.path().join("r.example/hosts.toml")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
}

#[test]
fn a_registry_mirror_is_asked_before_every_registry() {
    let folder = tempfile::tempdir().unwrap();
    let script = format!("write_hosts {}", folder.path().display());
    run(
        "docker_registry=10.0.0.2:5000 insecure_registries=10.0.0.2:5000 registry_mirror=10.0.0.1:7080",
        &script,
    );
    let read = |host: &str| fs::read_to_string(folder.path().join(host).join("hosts.toml")).unwrap();
    assert!(read("_default").contains("[host.\"http://10.0.0.1:7080\"]"));
    let other = read("10.0.0.2:5000");
    let (mirror, own) = (other.find("//10.0.0.1:7080\"]"), other.find("[host.\"http://10.0.0.2:5000\"]"));
    assert!(mirror.unwrap() < own.unwrap(), "{other}");
}

#[test]
fn failures_are_told_in_words_that_say_what_to_do() {
    for (message, part) in [
        ("failed to authorize: 401 Unauthorized", "check registry_username"),
        ("failed to resolve reference \"r/a:1\": r/a:1: not found", "image not found"),
        ("dial tcp 10.0.0.1:5000: connect: connection refused", "cannot be reached: connection refused"),
        ("tls: failed to verify certificate: x509: unknown authority", "certificate"),
        ("dial tcp: lookup r.example: no such host", "cannot be resolved"),
        ("something else", "something else"),
    ] {
        let told = run("quiet", &format!("pull_failure r.example/a:1 '{message}'"));
        assert!(told.contains(part) && told.contains("r.example/a:1"), "{message} -> {told}");
    }
}

#[test]
fn a_web_server_that_is_no_registry_is_told_apart_from_one_that_is_not_named_insecure() {
    let message = "http: server gave HTTP response to HTTPS client";
    let script = format!("pull_failure 10.0.0.1:7080/a:1 '{message}'");
    assert!(
        run("insecure_registries=10.0.0.1:7080", &script).contains("there is no registry at 10.0.0.1:7080")
    );
    assert!(run("insecure_registries=10.0.0.2:7080", &script).contains("name it in insecure_registries"));
}

/// The networkd files that the network script writes.
fn network(cmdline: &str) -> Vec<(String, String)> {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("network");
    fs::write(folder.path().join("cmdline"), cmdline).unwrap();
    let status = Command::new(overlay().join("usr/lib/captain/network"))
        .env("CAPTAIN_CMDLINE", folder.path().join("cmdline"))
        .env("CAPTAIN_NETWORK_DIR", &out)
        .status()
        .unwrap();
    assert!(status.success());
    let mut files: Vec<_> = fs::read_dir(&out).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
    files.iter().map(|path| (name(path), fs::read_to_string(path).unwrap())).collect()
}

#[test]
fn the_card_that_was_booted_from_wins() {
    let files = network("hw_addr=52:54:00:00:00:01");
    assert_eq!(files.len(), 1);
    let text = &files[0].1;
    assert!(
        text.contains("MACAddress=52:54:00:00:00:01\n")
            && text.contains("DHCP=yes")
            && text.contains("RouteMetric=50"),
        "{text}"
    );
}

/// Firmware and iPXE are known by their MAC; and a switch port may be silent for 50 s (coreos/bugs#1432, ipxe#1337).
#[test]
fn every_card_keeps_the_name_it_had_in_firmware_and_waits_for_a_slow_switch() {
    let read = |path: &str| fs::read_to_string(overlay().join("etc/systemd").join(path)).unwrap();
    let mut files = network("hw_addr=52:54:00:00:00:01 vlan_id=100");
    files.extend(network("hw_addr=52:54:00:00:00:01"));
    files.push(("80-ethernet.network".to_owned(), read("network/80-ethernet.network")));
    let asking: Vec<_> = files.iter().filter(|(_, text)| text.contains("\nDHCP=yes\n")).collect();
    assert_eq!(asking.len(), 3, "{files:?}");
    for (name, text) in asking {
        assert!(text.contains("\nClientIdentifier=mac\n"), "{name}: {text}");
    }
    let wait = read("system/systemd-networkd-wait-online.service.d/any.conf");
    assert!(wait.contains("--timeout=0\n") && wait.contains("TimeoutStartSec=infinity\n"), "{wait}");
}

#[test]
fn a_vlan_is_made_on_that_card_and_only_it_asks_for_an_address() {
    let files = network("hw_addr=52:54:00:00:00:01 vlan_id=100");
    let names: Vec<_> = files.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["70-captain.netdev", "70-captain.network", "71-captain-vlan.network"]);
    assert!(files[0].1.contains("Kind=vlan") && files[0].1.contains("Id=100"));
    assert!(files[1].1.contains("VLAN=vlan100") && !files[1].1.contains("DHCP=yes"));
    assert!(files[2].1.contains("Name=vlan100") && files[2].1.contains("DHCP=yes"));
}

#[test]
fn ipam_replaces_dhcp() {
    let files = network(
        "ipam=52-54-00-00-00-02::10.0.0.5:255.255.254.0:10.0.0.1:node5:10.0.0.2,10.0.0.3:lab.example:",
    );
    let text = &files[0].1;
    for line in [
        "MACAddress=52:54:00:00:00:02",
        "Address=10.0.0.5/23",
        "Gateway=10.0.0.1",
        "DNS=10.0.0.2",
        "DNS=10.0.0.3",
        "Domains=lab.example",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }
    assert!(!text.contains("DHCP") && !text.contains("NTP="), "{text}");
}

/// Whether messages are sent away, and rsyslog's configuration.
fn syslog(cmdline: &str) -> (bool, String) {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("cmdline"), cmdline).unwrap();
    let status = Command::new(overlay().join("usr/lib/captain/syslog"))
        .env("CAPTAIN_CMDLINE", folder.path().join("cmdline"))
        .env("CAPTAIN_SYSLOG", folder.path().join("conf"))
        .status()
        .unwrap();
    (status.success(), fs::read_to_string(folder.path().join("conf")).unwrap_or_default())
}

#[test]
fn messages_are_sent_to_the_syslog_host_and_to_nobody_where_there_is_none() {
    let (sent, text) = syslog("syslog_host=10.0.0.1 syslog_port=1514");
    assert!(sent && text.contains("target=\"10.0.0.1\" port=\"1514\" protocol=\"udp\""), "{text}");
    assert!(text.contains("$!_SYSTEMD_UNIT startswith \"tink-agent\""), "{text}");
    let (sent, text) = syslog("syslog_host=log.example");
    assert!(sent && text.contains("target=\"log.example\" port=\"514\""), "{text}");
    for cmdline in ["quiet", "syslog_host=", "\"syslog_host=a\\\" b\"", "syslog_host=a syslog_port=x"] {
        assert_eq!(syslog(cmdline), (false, String::new()), "{cmdline}");
    }
}

#[test]
fn a_report_is_one_http_post_with_json() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let cmdline = folder.path().join("cmdline");
    let url = format!("http://{}", server.local_addr().unwrap());
    fs::write(&cmdline, format!("hw_addr=52:54:00:00:00:01 captain_url={url} captain_boot=b1f\n")).unwrap();
    let mut child = Command::new(overlay().join("usr/lib/captain/report"))
        .args(["failed", "a \"quoted\" reason\nin two lines", "agent"])
        .env("CAPTAIN_CMDLINE", &cmdline)
        .spawn()
        .unwrap();
    let (mut stream, _) = server.accept().unwrap();
    let mut request = Vec::new();
    let mut piece = [0; 4096];
    while !request.ends_with(b"}") {
        let read = stream.read(&mut piece).unwrap();
        assert!(read > 0, "it ended early");
        request.extend(&piece[..read]);
    }
    stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap();
    assert!(child.wait().unwrap().success());
    let request = String::from_utf8(request).unwrap();
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("POST /api/v1/machines/52:54:00:00:00:01/event HTTP/1.1\r\n"), "{head}");
    assert!(head.contains(&format!("Content-Length: {}", body.len())), "{head}");
    let json: serde_json::Value = serde_json::from_str(body).unwrap();
    let expected = serde_json::json!({
        "boot": "b1f", "step": "failed", "detail": "a \"quoted\" reason\nin two lines", "stage": "agent"
    });
    assert_eq!(json, expected);
}
