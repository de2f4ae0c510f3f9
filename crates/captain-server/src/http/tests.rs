//! The routes over real sockets. Machines are at 127.0.0.2; 127.0.0.1 is the operator on the daemon's own box.

use std::collections::BTreeMap;
use std::time::Duration;

use captain_model::{BootPolicy, BootStage, EventKind, LocalBoot, Machine, Profile, Secret, UnknownMachines};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::Https;
use crate::testing::{Daemon, KERNEL, LOADER, put, settings};

const MAC: &str = "52:54:00:00:00:01";
const SCRIPT: &str = "/ipxe/script/52:54:00:00:00:01/auto.ipxe";
const KERNEL_PATH: &str = "/osie/default/vmlinuz-x86_64";
const INITRAMFS_PATH: &str = "/osie/default/initramfs-x86_64";

fn machine() -> Machine {
    Machine::new(MAC.parse().unwrap())
}

fn daemon(change: impl FnOnce(&mut Machine)) -> Daemon {
    let mut machine = machine();
    change(&mut machine);
    Daemon::start(vec![machine], UnknownMachines::Boot)
}

/// Waits until the latest boot of the machine is at `stage`.
async fn reaches(daemon: &Daemon, stage: BootStage) -> Value {
    for _ in 0..200 {
        let boots = daemon.json("/api/v1/boots").await;
        if let Some(boot) = boots.as_array().unwrap().last()
            && boot["stage"] == stage.name()
        {
            return boot.clone();
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{stage} was not reached: {}", daemon.json("/api/v1/boots").await)
}

#[tokio::test]
async fn head_has_the_headers_of_get_and_a_file_has_all_that_firmware_wants() {
    let daemon = daemon(|_| {});
    for (path, media, content) in [
        ("/ipxe/binary/snponly.efi", "application/efi", LOADER),
        ("/ipxe/binary/52:54:00:00:00:01/undionly.kpxe", "application/octet-stream", LOADER),
        (KERNEL_PATH, "application/octet-stream", KERNEL),
    ] {
        let get = daemon.get(path).await;
        let mut head = daemon.ask("HEAD", path, "", "").await;
        assert_eq!((get.status, get.body.as_slice()), (200, content), "{path}");
        assert_eq!(get.header("Content-Type"), Some(media));
        assert_eq!(get.header("Content-Length"), Some(content.len().to_string().as_str()));
        assert_eq!(get.header("Accept-Ranges"), Some("bytes"));
        assert_eq!(get.header("Transfer-Encoding"), None);
        assert!(get.header("Etag").unwrap().len() == 66, "a SHA-256 in quotes");
        assert!(head.body.is_empty());
        head.headers.insert("Date".into(), get.header("Date").unwrap().into());
        assert_eq!(head.headers, get.headers, "{path}");
        assert!(
            get.headers.values().all(|value| !value.is_empty()),
            "an empty value locks up guests (edk2#7443)"
        );
    }
}

#[tokio::test]
async fn a_range_comes_alone_and_a_wrong_one_is_told_the_size() {
    let daemon = daemon(|_| {});
    let part = daemon.ask("GET", KERNEL_PATH, "Range: bytes=3-7\r\n", "").await;
    assert_eq!((part.status, part.body.as_slice()), (206, &KERNEL[3..8]));
    assert_eq!(part.header("Content-Range").unwrap(), format!("bytes 3-7/{}", KERNEL.len()));
    let beyond = daemon.ask("GET", KERNEL_PATH, "Range: bytes=999-\r\n", "").await;
    assert_eq!(
        (beyond.status, beyond.header("Content-Range").unwrap()),
        (416, format!("bytes */{}", KERNEL.len()).as_str())
    );
    let etag = part.header("Etag").unwrap();
    let same = daemon.ask("GET", KERNEL_PATH, &format!("If-None-Match: {etag}\r\n"), "").await;
    assert_eq!((same.status, same.body.len()), (304, 0));
    let other = daemon.ask("GET", KERNEL_PATH, "Range: bytes=3-7\r\nIf-Range: \"other\"\r\n", "").await;
    assert_eq!((other.status, other.body.as_slice()), (200, KERNEL));
}

#[tokio::test]
async fn head_tells_the_whole_length_whatever_range_is_asked_for() {
    let daemon = daemon(|_| {});
    let head = daemon.ask("HEAD", KERNEL_PATH, "Range: bytes=3-7\r\n", "").await;
    assert_eq!((head.status, head.header("Content-Range")), (200, None));
    assert_eq!(head.header("Content-Length"), Some(KERNEL.len().to_string().as_str()));
}

#[tokio::test]
async fn a_machine_that_ipxe_is_to_switch_off_gets_ipxe_for_that() {
    let off = |way| {
        daemon(move |machine| {
            machine.netboot = false;
            machine.local_boot = Some(way);
        })
    };
    let path = "/ipxe/binary/52:54:00:00:00:01/snponly.efi";
    let poweroff = off(LocalBoot::Poweroff);
    assert_eq!(poweroff.get(path).await.status, 200);
    assert!(poweroff.get(SCRIPT).await.text().contains("poweroff"));
    assert_eq!(off(LocalBoot::Exit).get(path).await.status, 403);
}

#[tokio::test]
async fn the_status_and_the_remembered_events_are_one_answer_that_ends() {
    let daemon = daemon(|_| {});
    let status = daemon.json("/api/v1/status").await;
    assert_eq!((&status["ready"], &status["missing"]), (&json!(true), &json!([])));
    assert_eq!((&status["dhcp_mode"], &status["machines"]), (&json!("disabled"), &json!(1)));
    daemon.get(SCRIPT).await;
    let events = daemon.get("/api/v1/events?follow=false").await;
    assert!(events.text().contains("auto.ipxe"), "{}", events.text());
}

#[tokio::test]
async fn an_artifact_is_found_by_its_hash_and_kept_for_ever() {
    let daemon = daemon(|_| {});
    let osie = daemon.json("/api/v1/osie").await;
    let artifact = &osie["profiles"][0]["artifacts"][1];
    assert_eq!(artifact["name"], "vmlinuz-x86_64");
    let path = format!("/artifact/{}/vmlinuz-x86_64", artifact["sha256"].as_str().unwrap());
    let answer = daemon.get(&path).await;
    assert_eq!((answer.status, answer.body.as_slice()), (200, KERNEL));
    assert!(answer.header("Cache-Control").unwrap().contains("immutable"));
    assert_eq!(daemon.get(&path.replace("vmlinuz", "other")).await.status, 404);
}

#[tokio::test]
async fn slashes_and_spellings_do_not_matter_and_nothing_is_redirected() {
    let daemon = daemon(|_| {});
    for path in ["//ipxe//binary/snponly.efi", "/ipxe/binary/52-54-00-00-00-01//snponly.efi"] {
        assert_eq!(daemon.get(path).await.status, 200, "{path}");
    }
    assert_eq!(daemon.get("/ipxe/script/525400000001/auto.ipxe").await.status, 200);
    assert_eq!(daemon.get("/ipxe/script/nonsense/auto.ipxe").await.status, 400);
    assert_eq!(daemon.get("/ipxe/binary/nosuch.efi").await.status, 404);
    assert_eq!(daemon.get("/nothing").await.status, 404);
    assert_eq!(daemon.ask("POST", SCRIPT, "", "").await.status, 405);
}

#[tokio::test]
async fn a_machine_is_told_its_own_command_line_and_boots_to_its_agent() {
    let daemon = daemon(|machine| machine.cmdline.push("only=this").unwrap());
    let script = daemon.get(SCRIPT).await;
    let port = daemon.settings.http_port;
    for part in ["only=this", "captain_boot=b", &format!("http://127.0.0.1:{port}{KERNEL_PATH}")] {
        assert!(script.text().contains(part), "{part} is missing in\n{}", script.text());
    }
    daemon.get(KERNEL_PATH).await;
    daemon.get(INITRAMFS_PATH).await;
    let boot = reaches(&daemon, BootStage::Initramfs).await;
    let id = boot["boot"].as_str().unwrap();
    assert!(
        script.text().contains(&format!("captain_boot={id}")),
        "the boot on the command line is this one"
    );

    let event = format!("/api/v1/machines/{MAC}/event");
    for report in [
        json!({"boot": id, "step": "userland"}),
        json!({"boot": id, "step": "agent-pull", "detail": "r/agent:1"}),
        json!({"boot": id, "step": "agent"}),
        json!({"boot": id, "step": "agent-report", "args": ["--x"], "env": {"WORKER_ID": "w", "REGISTRY_PASSWORD": "p"}}),
    ] {
        let answer = daemon.ask("POST", &event, "", &report.to_string()).await;
        assert_eq!((answer.status, answer.body.len()), (204, 0));
    }
    let boot = reaches(&daemon, BootStage::Agent).await;
    assert_eq!(
        boot["agent"],
        json!({"args": ["--x"], "env": {"WORKER_ID": "w", "REGISTRY_PASSWORD": "***"}})
    );
    let stages: Vec<&str> =
        boot["stages"].as_array().unwrap().iter().map(|s| s["stage"].as_str().unwrap()).collect();
    assert_eq!(stages, ["script", "kernel", "initramfs", "userland", "agent"]);
}

#[tokio::test]
async fn an_operator_who_looks_moves_no_boot() {
    let daemon = daemon(|_| {});
    assert_eq!(daemon.ask_from("127.0.0.1", "GET", SCRIPT, "", "").await.status, 200);
    assert_eq!(daemon.json("/api/v1/boots").await, json!([]));
}

#[tokio::test]
async fn a_machine_that_is_not_known_by_its_address_is_asked_who_it_is() {
    let daemon = daemon(|_| {});
    for path in ["/auto.ipxe", "/ipxe/script/auto.ipxe"] {
        let script = daemon.get(path).await;
        assert!(script.text().contains("/ipxe/script/${id}/auto.ipxe"), "{}", script.text());
    }
    daemon.get(SCRIPT).await;
    let script = daemon.get("/auto.ipxe").await;
    assert!(script.text().contains(&format!("hw_addr={MAC}")), "now it is known:\n{}", script.text());
}

#[tokio::test]
async fn a_machine_that_must_not_netboot_boots_locally_and_gets_no_loader() {
    let daemon = daemon(|machine| machine.netboot = false);
    let script = daemon.get(SCRIPT).await;
    assert_eq!(script.status, 200);
    assert!(script.text().contains("netboot is switched off for 52:54:00:00:00:01"), "{}", script.text());
    assert!(!script.text().contains("vmlinuz"));
    let loader = daemon.get("/ipxe/binary/52:54:00:00:00:01/snponly.efi").await;
    assert_eq!((loader.status, loader.text()), (403, "netboot is switched off for 52:54:00:00:00:01\n"));
}

#[tokio::test]
async fn unlisted_machines_follow_the_rule() {
    let daemon = Daemon::start(vec![machine()], UnknownMachines::LeaseOnly);
    let script = daemon.get("/ipxe/script/52:54:00:00:00:99/auto.ipxe").await;
    assert!(script.text().contains("is not in the inventory"), "{}", script.text());
    assert!(!script.text().contains("vmlinuz"));
}

#[tokio::test]
async fn once_is_used_up_across_a_restart_until_the_operator_gives_it_back() {
    let daemon = daemon(|machine| machine.boot = Some(BootPolicy::Once));
    assert!(daemon.get(SCRIPT).await.text().contains("vmlinuz"));
    daemon.get(KERNEL_PATH).await;
    daemon.get(INITRAMFS_PATH).await;
    reaches(&daemon, BootStage::Initramfs).await;
    assert!(!daemon.get(SCRIPT).await.text().contains("vmlinuz"));

    let (folder, mut settings, result) = daemon.stop().await;
    result.unwrap();
    settings.http_port = 0;
    let daemon = Daemon::with(folder, settings);
    assert!(!daemon.get(SCRIPT).await.text().contains("vmlinuz"), "the state survives");
    assert_eq!(daemon.json("/api/v1/boots").await.as_array().unwrap().len(), 1, "so does the history");
    let settled = format!("/api/v1/machines/{MAC}/settled");
    assert_eq!(daemon.ask("DELETE", &settled, "", "").await.status, 403, "a machine cannot");
    assert_eq!(daemon.ask_from("127.0.0.1", "DELETE", &settled, "", "").await.status, 204);
    assert!(daemon.get(SCRIPT).await.text().contains("vmlinuz"));
}

#[tokio::test]
async fn a_broken_off_download_is_not_a_stage() {
    let (folder, settings) = settings(vec![machine()], UnknownMachines::Boot);
    put(&folder.path().join("osie/default/vmlinuz-x86_64"), &vec![7; 64 << 20]);
    let daemon = Daemon::with(folder, settings);
    daemon.get(SCRIPT).await;
    let mut events = daemon.handle.events();
    let mut stream = daemon.connect("127.0.0.2").await;
    stream.write_all(format!("GET {KERNEL_PATH} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).await.unwrap();
    stream.read_exact(&mut [0; 1000]).await.unwrap();
    drop(stream);
    let event = tokio::time::timeout(Duration::from_secs(10), events.recv()).await.unwrap().unwrap();
    assert!(
        matches!(&event.kind, EventKind::Http { complete: false, path, .. } if path == KERNEL_PATH),
        "{event:?}"
    );
    assert_eq!(daemon.json("/api/v1/boots").await[0]["stage"], "script");
}

#[tokio::test]
async fn a_large_file_arrives_whole() {
    let (folder, settings) = settings(vec![machine()], UnknownMachines::Boot);
    let content: Vec<u8> = (0..5_000_011_u32).map(|n| (n % 251) as u8).collect();
    put(&folder.path().join("osie/default/initramfs-x86_64"), &content);
    let daemon = Daemon::with(folder, settings);
    assert!(daemon.get(INITRAMFS_PATH).await.body == content);
}

#[tokio::test]
async fn events_come_with_their_past_and_as_they_happen() {
    let daemon = daemon(|_| {});
    daemon.get(SCRIPT).await;
    let mut stream = daemon.connect("127.0.0.1").await;
    stream.write_all(b"GET /api/v1/events HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut seen = String::new();
    let mut buffer = [0; 4096];
    let mut asked = false;
    while !seen.contains("vmlinuz-x86_64") {
        let read =
            tokio::time::timeout(Duration::from_secs(10), stream.read(&mut buffer)).await.unwrap().unwrap();
        assert_ne!(read, 0, "the stream ended after {seen}");
        seen.push_str(std::str::from_utf8(&buffer[..read]).unwrap());
        if seen.contains(r#""event":"stage","stage":"script""#) && !asked {
            asked = true;
            daemon.get(KERNEL_PATH).await;
        }
    }
    assert!(asked && seen.contains("data: {\"at\":"), "{seen}");
    assert!(daemon.stop().await.2.is_ok(), "an open event stream does not hold up the end");
}

#[tokio::test]
async fn secrets_are_in_the_script_and_nowhere_else() {
    let daemon = daemon(|machine| machine.agent.registry_password = Some(Secret::new("hunter2")));
    assert!(daemon.get(SCRIPT).await.text().contains("registry_password=hunter2"));
    for path in ["", "/cmdline"] {
        let answer = daemon.get(&format!("/api/v1/machines/{MAC}{path}")).await;
        assert!(answer.status == 200 && !answer.text().contains("hunter2"), "{}", answer.text());
    }
    assert!(
        daemon.get(&format!("/api/v1/machines/{MAC}/cmdline")).await.text().contains("registry_password=***")
    );
    assert!(!daemon.get("/api/v1/boots").await.text().contains("hunter2"));
}

#[tokio::test]
async fn what_is_missing_is_told_and_a_reload_finds_it() {
    let (folder, settings) = settings(vec![machine()], UnknownMachines::Boot);
    let kernel = folder.path().join("osie/default/vmlinuz-x86_64");
    std::fs::remove_file(&kernel).unwrap();
    let inventory = settings.inventory.clone();
    let daemon = Daemon::with(folder, settings);
    let ready = daemon.get("/readyz").await;
    assert_eq!(ready.status, 503);
    assert!(ready.text().contains("run `captaind build --profile default --arch amd64`"), "{}", ready.text());
    assert_eq!(daemon.get(KERNEL_PATH).await.status, 404);
    put(&kernel, KERNEL);
    assert_eq!(daemon.handle.reload(inventory), [""; 0]);
    assert_eq!((daemon.get("/readyz").await.status, daemon.get(KERNEL_PATH).await.status), (200, 200));
}

#[tokio::test]
async fn a_profile_on_another_server_sends_machines_there() {
    let (folder, mut settings) = settings(Vec::new(), UnknownMachines::Boot);
    let mut profile = Profile::new("default");
    profile.osie = "http://192.0.2.1/hook".into();
    let profiles = BTreeMap::from([("default".to_owned(), profile)]);
    settings.inventory = captain_model::Inventory::new(Vec::new(), profiles, UnknownMachines::Boot).into();
    let daemon = Daemon::with(folder, settings);
    let answer = daemon.get(KERNEL_PATH).await;
    assert_eq!(
        (answer.status, answer.header("Location")),
        (302, Some("http://192.0.2.1/hook/vmlinuz-x86_64"))
    );
}

#[tokio::test]
async fn the_registry_answers_where_there_is_one_and_is_closed_elsewhere() {
    let daemon = daemon(|_| {});
    assert_eq!(daemon.get("/v2/").await.status, 200);
    let (folder, mut settings) = settings(Vec::new(), UnknownMachines::Boot);
    settings.images_dir = None;
    assert_eq!(Daemon::with(folder, settings).get("/v2/").await.status, 404);
}

#[tokio::test]
async fn reports_that_are_none_are_refused() {
    let daemon = daemon(|_| {});
    let event = format!("/api/v1/machines/{MAC}/event");
    assert_eq!(daemon.ask("POST", &event, "", "no json").await.status, 400);
    assert_eq!(daemon.ask("POST", &event, "", &"x".repeat(100_000)).await.status, 413);
    assert_eq!(daemon.ask("POST", "/api/v1/machines/x/event", "", r#"{"step":"agent"}"#).await.status, 400);
}

#[tokio::test]
async fn a_machine_cannot_report_for_another() {
    let (folder, settings) = settings(vec![machine()], UnknownMachines::Boot);
    let (store, _) = crate::state::Store::open(&settings.state_dir).unwrap();
    let lease = captain_model::Lease {
        mac: "52:54:00:00:00:02".parse().unwrap(),
        address: "127.0.0.2".parse().unwrap(),
        expires: crate::clock::now().after(Duration::from_secs(60)),
        client_id: None,
        hostname: None,
    };
    store.commit(&[crate::state::Record::Lease(captain_dhcp::LeaseChange::Put(lease))]).unwrap();
    drop(store);
    let daemon = Daemon::with(folder, settings);
    let done = r#"{"step":"done"}"#;
    let refused = daemon.ask("POST", &format!("/api/v1/machines/{MAC}/event"), "", done).await;
    let text = "this address belongs to 52:54:00:00:00:02, not to 52:54:00:00:00:01\n";
    assert_eq!((refused.status, refused.text()), (403, text));
    assert_eq!(daemon.ask("POST", "/api/v1/machines/52:54:00:00:00:02/event", "", done).await.status, 204);
}

#[tokio::test]
async fn the_dashboard_shows_machines_and_escapes_what_they_say() {
    let daemon = daemon(|machine| machine.name = Some("r1 <b>".into()));
    daemon.get(SCRIPT).await;
    let failed = r#"{"step":"failed","detail":"<img src=x>"}"#;
    daemon.ask("POST", &format!("/api/v1/machines/{MAC}/event"), "", failed).await;
    let page = daemon.get("/").await;
    assert_eq!(page.header("Content-Type"), Some("text/html; charset=utf-8"));
    for part in [MAC, "r1 &lt;b&gt;", "stopped after script: &lt;img src=x&gt;"] {
        assert!(page.text().contains(part), "{part} is missing in {}", page.text());
    }
    assert!(!page.text().contains("<img"));
}

#[tokio::test]
async fn metrics_count_what_happened() {
    let daemon = daemon(|_| {});
    daemon.get(SCRIPT).await;
    let text = daemon.get("/metrics").await;
    assert!(text.text().contains("captaind_boot_stages_total{stage=\"script\"} 1\n"), "{}", text.text());
    assert!(text.text().contains("captaind_machines 1\n"));
    assert_eq!(daemon.get("/healthz").await.text(), "ok\n");
}

#[tokio::test]
async fn https_serves_the_same_beside_http_and_machines_are_still_sent_to_plain_http() {
    let (folder, mut settings) = settings(vec![machine()], UnknownMachines::Boot);
    let made = rcgen::generate_simple_self_signed(vec!["captaind.test".to_owned()]).unwrap();
    let (cert, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    put(&cert, made.cert.pem().as_bytes());
    put(&key, made.signing_key.serialize_pem().as_bytes());
    let port = free_port();
    settings.https = Some(Https { port, cert, key });
    let daemon = Daemon::with(folder, settings);

    let mut roots = rustls::RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let client = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let connector = tokio_rustls::TlsConnector::from(std::sync::Arc::new(client));
    let mut stream = connector.connect("captaind.test".try_into().unwrap(), stream).await.unwrap();
    stream
        .write_all(format!("GET {SCRIPT} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").as_bytes())
        .await
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(
        answer.contains(&format!("http://127.0.0.1:{}{KERNEL_PATH}", daemon.settings.http_port)),
        "{answer}"
    );
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[tokio::test]
async fn a_machine_behind_a_trusted_proxy_is_known_by_its_own_address() {
    let (folder, mut settings) = settings(vec![machine()], UnknownMachines::Boot);
    settings.trusted_proxies = vec!["127.0.0.2/32".parse().unwrap()];
    let daemon = Daemon::with(folder, settings);
    let through = "X-Forwarded-For: 192.0.2.77\r\n";
    daemon.ask("GET", SCRIPT, through, "").await;
    assert!(daemon.ask("GET", "/auto.ipxe", through, "").await.text().contains(&format!("hw_addr={MAC}")));
    let stranger = daemon.ask_from("127.0.0.3", "GET", "/auto.ipxe", through, "").await;
    assert!(!stranger.text().contains("hw_addr="), "not every peer may claim to forward");
}

#[tokio::test]
async fn one_connection_serves_many_requests() {
    let daemon = daemon(|_| {});
    let mut stream = daemon.connect("127.0.0.2").await;
    for _ in 0..3 {
        let request = format!("HEAD {KERNEL_PATH} HTTP/1.1\r\nHost: x\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        assert!(head.starts_with(b"HTTP/1.1 200 OK\r\n"), "edk2#9920: HTTP/1.1, kept alive after HEAD");
    }
}

#[tokio::test]
async fn log_lines_of_a_machine_are_kept_under_its_mac() {
    let daemon = daemon(|_| {});
    daemon.get(SCRIPT).await;
    let socket = std::net::UdpSocket::bind("127.0.0.2:0").unwrap();
    socket.send_to(b"<14>kernel: hello", ("127.0.0.1", daemon.settings.syslog.port)).unwrap();
    let path = format!("/api/v1/machines/{MAC}/logs");
    for _ in 0..100 {
        let logs = daemon.json(&path).await;
        if logs != json!([]) {
            assert_eq!((&logs[0]["program"], &logs[0]["text"]), (&json!("kernel"), &json!("hello")));
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the line did not arrive");
}

#[tokio::test]
async fn a_loader_comes_by_tftp_and_begins_a_boot() {
    let daemon = daemon(|_| {});
    let port = daemon.settings.tftp.as_ref().unwrap().port;
    let client = tokio::net::UdpSocket::bind("127.0.0.2:0").await.unwrap();
    let request = [b"\0\x01", MAC.as_bytes(), b"/snponly.efi\0octet\0"].concat();
    client.send_to(&request, ("127.0.0.1", port)).await.unwrap();
    let mut buffer = [0; 600];
    let (length, from) =
        tokio::time::timeout(Duration::from_secs(5), client.recv_from(&mut buffer)).await.unwrap().unwrap();
    assert_eq!(&buffer[..length], [b"\0\x03\0\x01", LOADER].concat());
    client.send_to(b"\0\x04\0\x01", from).await.unwrap();
    let boot = reaches(&daemon, BootStage::Loader).await;
    assert_eq!(boot["mac"], MAC);
}
