//! For people and programs: the JSON, the events, the dashboard.

use super::*;

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

/// A daemon that gave our address to a machine other than the listed one.
fn daemon_for_another(change: impl FnOnce(&mut captain_model::Machine)) -> Daemon {
    let mut listed = machine();
    change(&mut listed);
    let other = captain_model::Machine::new("52:54:00:00:00:02".parse().unwrap());
    let (folder, settings) = settings(vec![listed, other], UnknownMachines::Boot);
    let (mut store, _) = crate::state::open(&settings.state_dir).unwrap();
    let lease = captain_model::Lease {
        mac: "52:54:00:00:00:02".parse().unwrap(),
        address: "127.0.0.2".parse().unwrap(),
        expires: crate::clock::now().after(Duration::from_secs(60)),
        client_id: None,
        hostname: None,
    };
    store.commit(&[crate::state::Record::Lease(captain_dhcp::LeaseChange::Put(lease))]).unwrap();
    drop(store);
    Daemon::with(folder, settings)
}

const FOREIGN: &str = "this address belongs to 52:54:00:00:00:02, not to 52:54:00:00:00:01\n";

#[tokio::test]
async fn a_machine_cannot_report_for_another() {
    let daemon = daemon_for_another(|_| {});
    let done = r#"{"step":"done"}"#;
    let refused = daemon.ask("POST", &format!("/api/v1/machines/{MAC}/event"), "", done).await;
    assert_eq!((refused.status, refused.text()), (403, FOREIGN));
    assert_eq!(daemon.ask("POST", "/api/v1/machines/52:54:00:00:00:02/event", "", done).await.status, 204);
}

#[tokio::test]
async fn a_machine_with_two_leases_reports_its_boot_by_either_card() {
    let daemon = daemon_for_another(|_| {});
    let script = daemon.get(SCRIPT).await;
    let ticket = super::machines::ticket_in(script.text());
    let report = json!({"step": "userland", "boot": ticket}).to_string();
    let path = format!("/api/v1/machines/{MAC}/event");
    assert_eq!(daemon.ask("POST", &path, "", &report).await.status, 204);
}

#[tokio::test]
async fn a_machine_cannot_read_the_script_of_another_that_has_a_password() {
    let plain = daemon_for_another(|_| {});
    assert_eq!(plain.get(SCRIPT).await.status, 200, "a machine with two cards may ask by the other one");
    let secret = daemon_for_another(|machine| {
        machine.agent.registry_password = Some(captain_model::Secret::new("hunter2"));
    });
    let iso = format!("/iso/{MAC}/x.iso");
    let dashes = MAC.replace(':', "-");
    for path in [SCRIPT.to_owned(), iso, format!("/pxelinux.cfg/01-{dashes}")] {
        let refused = secret.get(&path).await;
        assert_eq!((refused.status, refused.text()), (403, FOREIGN), "{path}");
    }
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
