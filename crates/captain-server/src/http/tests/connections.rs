//! Connections: HTTPS, proxies, keep-alive, limits.

use tokio::net::TcpStream;

use super::*;
use crate::http::serve::{Limits, Listener, serve};

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
async fn the_right_most_hop_that_is_no_proxy_counts_and_nothing_left_of_it() {
    let (folder, mut settings) = settings(vec![machine()], UnknownMachines::Boot);
    settings.trusted_proxies = vec!["127.0.0.2/32".parse().unwrap(), "10.0.0.0/8".parse().unwrap()];
    let daemon = Daemon::with(folder, settings);
    daemon.ask("GET", SCRIPT, "X-Forwarded-For: 192.0.2.77\r\n", "").await;
    for (forwarded, known) in [
        ("192.0.2.77", true),
        ("192.0.2.77:4711", true),
        ("198.51.100.1, 192.0.2.77", true),
        ("192.0.2.77, 10.0.0.9", true),
        ("192.0.2.77, 198.51.100.1", false),
        ("192.0.2.77, unknown", false),
        ("192.0.2.77, unknown, 10.0.0.9", false),
        ("", false),
    ] {
        let header = format!("X-Forwarded-For: {forwarded}\r\n");
        let script = daemon.ask("GET", "/auto.ipxe", &header, "").await;
        assert_eq!(script.text().contains(&format!("hw_addr={MAC}")), known, "{forwarded}");
    }
}

/// A listener of its own with these limits.
fn limited(limits: Limits) -> (std::net::SocketAddr, tempfile::TempDir) {
    limited_behind(&[], limits)
}

/// The same, where these are proxies.
fn limited_behind(proxies: &[&str], limits: Limits) -> (std::net::SocketAddr, tempfile::TempDir) {
    let (folder, mut settings) = settings(vec![machine()], UnknownMachines::Boot);
    settings.trusted_proxies = proxies.iter().map(|proxy| proxy.parse().unwrap()).collect();
    let appliance = crate::bind(settings).unwrap().appliance;
    appliance.stock();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    let router = crate::http::router(appliance.clone(), None);
    tokio::spawn(serve(appliance, Listener { listener, tls: None, router, limits }));
    (address, folder)
}

async fn answers(stream: &mut TcpStream) -> bool {
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut buffer = [0; 1000];
    let read = tokio::time::timeout(Duration::from_millis(400), stream.read(&mut buffer)).await;
    matches!(read, Ok(Ok(length)) if buffer[..length].starts_with(b"HTTP/1.1 200"))
}

/// Reads until the other end closes; fails where it does not within some seconds.
async fn closes(stream: &mut TcpStream) {
    let mut rest = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut rest)).await;
    assert!(read.is_ok(), "the connection stays open");
}

#[tokio::test]
async fn half_a_head_and_a_silent_connection_are_closed_in_time() {
    let (address, _folder) = limited(Limits { head: Duration::from_millis(200), ..Limits::default() });
    let mut half = TcpStream::connect(address).await.unwrap();
    half.write_all(b"GET /healthz HTTP/1.1\r\nHo").await.unwrap();
    closes(&mut half).await;
    let mut idle = TcpStream::connect(address).await.unwrap();
    assert!(answers(&mut idle).await);
    closes(&mut idle).await;
}

#[tokio::test]
async fn one_address_has_its_share_of_connections_and_gets_it_back() {
    let (address, _folder) = limited(Limits { per_address: 2, ..Limits::default() });
    let mut first = TcpStream::connect(address).await.unwrap();
    let mut second = TcpStream::connect(address).await.unwrap();
    assert!(answers(&mut first).await && answers(&mut second).await);
    let mut third = TcpStream::connect(address).await.unwrap();
    closes(&mut third).await;
    drop(first);
    for _ in 0..100 {
        let mut again = TcpStream::connect(address).await.unwrap();
        // The server may not have seen yet that the first is gone, and then closes this one.
        let asked = again.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await;
        let mut buffer = [0; 100];
        if asked.is_ok() && again.read(&mut buffer).await.is_ok_and(|length| length > 0) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the place was not given back");
}

#[tokio::test]
async fn a_trusted_proxy_has_as_many_connections_as_there_are() {
    let limits = Limits { per_address: 2, connections: 6, ..Limits::default() };
    let (address, _folder) = limited_behind(&["127.0.0.0/8"], limits);
    let mut all = Vec::new();
    for _ in 0..6 {
        all.push(TcpStream::connect(address).await.unwrap());
        assert!(answers(all.last_mut().unwrap()).await, "connection {}", all.len());
    }
    let mut seventh = TcpStream::connect(address).await.unwrap();
    assert!(!answers(&mut seventh).await, "it waits for one of the others");
}

#[tokio::test]
async fn more_connections_than_there_are_places_wait_and_are_served_later() {
    let (address, _folder) = limited(Limits { connections: 1, ..Limits::default() });
    let mut first = TcpStream::connect(address).await.unwrap();
    assert!(answers(&mut first).await);
    let mut second = TcpStream::connect(address).await.unwrap();
    assert!(!answers(&mut second).await, "it waits");
    drop(first);
    let mut buffer = [0; 100];
    let read =
        tokio::time::timeout(Duration::from_secs(10), second.read(&mut buffer)).await.unwrap().unwrap();
    assert!(buffer[..read].starts_with(b"HTTP/1.1 200"));
}

#[tokio::test]
async fn what_is_no_request_is_answered_so_and_requests_in_one_packet_in_their_order() {
    let daemon = daemon(|_| {});
    let long = format!("GET / HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "a".repeat(1 << 20));
    let many = format!("GET / HTTP/1.1\r\nHost: x\r\n{}\r\n", "X: a\r\n".repeat(500));
    for (request, status) in [
        ("nonsense\r\n\r\n", "400"),
        ("GET\r\n\r\n", "400"),
        ("GET / HTTP/1.1\r\nno colon\r\n\r\n", "400"),
        ("GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: a\r\n\r\n", "400"),
        (many.as_str(), "431"),
        (long.as_str(), "431"),
        ("GET /healthz HTTP/1.0\r\n\r\n", "200"),
    ] {
        let mut stream = daemon.connect("127.0.0.2").await;
        // It may answer and close before it has taken everything.
        let _ = stream.write_all(request.as_bytes()).await;
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer[9..], status.as_bytes(), "{:.60}", request);
    }
    let mut stream = daemon.connect("127.0.0.2").await;
    let two = format!(
        "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\nGET {KERNEL_PATH} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(two.as_bytes()).await.unwrap();
    let mut both = String::new();
    stream.read_to_string(&mut both).await.unwrap();
    assert_eq!(both.matches("HTTP/1.1 200 OK").count(), 2, "{both}");
    assert!(both.ends_with("kernel of the test"), "{both}");
}

#[tokio::test]
async fn a_report_that_is_sent_byte_by_byte_is_not_waited_for() {
    let daemon = daemon(|_| {});
    let mut stream = daemon.connect("127.0.0.2").await;
    let head =
        format!("POST /api/v1/machines/{MAC}/event HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let (mut reader, mut writer) = stream.into_split();
    let drip = tokio::spawn(async move {
        while writer.write_all(b" ").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    });
    let mut answer = vec![0; 64];
    let length =
        tokio::time::timeout(Duration::from_secs(15), reader.read(&mut answer)).await.unwrap().unwrap();
    drip.abort();
    assert!(answer[..length].starts_with(b"HTTP/1.1 408 "), "{}", String::from_utf8_lossy(&answer[..length]));
}
