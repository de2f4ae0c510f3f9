//! The engine over real sockets on the loopback.
#![allow(missing_docs, clippy::unwrap_used)]

mod common;

use std::net::SocketAddrV4;
use std::time::{Duration, Instant};

use captain_tftp::{EngineConfig, Outcome};
use common::*;

fn text(datagram: &[u8]) -> String {
    String::from_utf8_lossy(&datagram[4..]).trim_end_matches('\0').to_owned()
}

#[tokio::test]
async fn what_opened_slowly_is_not_sent_twice_for_that() {
    let server = ours(&Files::new(&[("slow", 3000)]), config());
    let mut client = Raw::new(server.address).await;
    client.read("slow", "blksize 1000 ").await;
    assert_eq!(kind(&client.hear().await), 0);
    assert_eq!(client.hear_for(500).await, None, "the OACK again");
}

#[tokio::test]
async fn a_file_goes_out_whole_and_is_reported_with_its_size() {
    let files = Files::new(&[("dir/file", 100_000)]);
    for single_port in [false, true] {
        let server = ours(&files, EngineConfig { single_port, ..config() });
        let mut client = Raw::new(server.address).await;
        client.read("/dir\\file", "blksize 1468 windowsize 8 tsize 0 ").await;
        assert_eq!(client.hear().await, b"\0\x06blksize\x001468\0tsize\x00100000\0windowsize\x008\0");
        assert_eq!(client.transfer.port() == server.address.port(), single_port);
        client.ack(0).await;
        assert!(client.fetch(1468, 8).await == content(100_000));
        let finished = server.finished(1).await;
        assert!(matches!(finished[0].outcome, Outcome::Sent { bytes: 100_000, .. }), "{finished:?}");
        assert_eq!((finished[0].file.as_str(), finished[0].local), ("dir/file", server.address));
        assert_eq!(std::net::SocketAddr::V4(finished[0].peer), client.socket.local_addr().unwrap());
    }
}

#[tokio::test]
async fn refusals_have_a_code_and_a_text_and_are_reported() {
    let files = Files::new(&[]);
    let server = ours(&files, config());
    for (request, code, words) in [
        (&b"\0\x01none\0octet\0"[..], 1, "file not found"),
        (b"\0\x01forbidden\0octet\0", 2, "not for you"),
        (b"\0\x01unbuilt\0octet\0", 0, "ask again"),
        (b"\0\x02file\0octet\0", 2, "cannot be written"),
        (b"\0\x01../etc/passwd\0octet\0", 2, "outside"),
        (b"\0\x01file\0mail\0", 4, "mode `mail`"),
        (b"\0\x01\0octet\0", 4, "names no file"),
    ] {
        let mut client = Raw::new(server.address).await;
        client.ask(request).await;
        let answer = client.hear().await;
        assert_eq!(kind(&answer), -1 - code, "{request:?}");
        assert!(text(&answer).contains(words), "{}", text(&answer));
    }
    let finished = server.finished(7).await;
    assert!(finished.iter().all(|end| matches!(end.outcome, Outcome::Refused { .. })), "{finished:?}");
}

#[tokio::test]
async fn what_is_no_request_gets_no_answer() {
    let server = ours(&Files::new(&[]), config());
    for datagram in [&b""[..], b"\0", b"\0\x05\0\0x\0", b"\0\x03\0\x01data", b"\0\x04\0\x01", b"garbage"] {
        let mut client = Raw::new(server.address).await;
        client.ask(datagram).await;
        assert_eq!(client.hear_for(100).await, None, "{datagram:?}");
    }
    assert_eq!(server.finished.lock().unwrap().len(), 0);
}

#[tokio::test]
async fn a_stranger_on_the_transfers_port_is_told_off_and_harms_nobody() {
    let server = ours(&Files::new(&[("file", 1000)]), config());
    let mut client = Raw::new(server.address).await;
    client.read("file", "").await;
    client.hear().await;
    let mut stranger = Raw::new(server.address).await;
    stranger.transfer = client.transfer;
    stranger.ack(1).await;
    assert_eq!(kind(&stranger.hear().await), -1 - 5);
    stranger.say(b"\0\x05\0\0die\0").await;
    client.ack(1).await;
    assert_eq!(kind(&client.hear().await), 2);
    client.ack(2).await;
    assert!(matches!(server.finished(1).await[0].outcome, Outcome::Sent { bytes: 1000, .. }));
}

#[tokio::test]
async fn a_repeated_request_does_not_begin_a_second_transfer() {
    let server = ours(&Files::new(&[("file", 1000)]), config());
    let mut client = Raw::new(server.address).await;
    client.read("file", "blksize 600 ").await;
    client.hear().await;
    let transfer = client.transfer;
    client.read("file", "blksize 600 ").await;
    assert_eq!(kind(&client.hear_for(500).await.unwrap()), 0);
    assert_eq!(client.transfer, transfer);
    client.ack(0).await;
    assert!(client.fetch(600, 1).await == content(1000));
    assert_eq!(server.finished(2).await.len(), 1);
}

/// The two datagrams come to different ports, so either may be heard first.
#[tokio::test]
async fn a_client_that_ends_a_transfer_and_asks_for_the_same_at_once_gets_it() {
    for (single_port, error_first) in [(false, true), (false, false), (true, true)] {
        let server = ours(&Files::new(&[("file", 1000)]), EngineConfig { single_port, ..config() });
        for round in 1..=50 {
            let mut client = Raw::new(server.address).await;
            client.read("file", "tsize 0 ").await;
            assert_eq!(kind(&client.hear().await), 0);
            if error_first {
                client.say(b"\0\x05\0\x08no\0").await;
                client.read("file", "tsize 0 ").await;
            } else {
                client.read("file", "tsize 0 ").await;
                client.say(b"\0\x05\0\x08no\0").await;
            }
            let mut answer = client.hear().await;
            while kind(&answer) == 0 {
                client.ack(0).await;
                answer = client.hear_for(500).await.expect("an answer to the acknowledgement");
            }
            assert_eq!(kind(&answer), 1, "round {round}: {}", text(&answer));
            client.say(b"\0\x05\0\0\0").await;
        }
        let finished = server.finished(100).await;
        let failed = |end: &&captain_tftp::Finished| !matches!(end.outcome, Outcome::Probe);
        assert!(finished.iter().find(failed).is_none(), "{finished:?}");
    }
}

#[tokio::test]
async fn a_client_that_is_no_more_interested_after_all_fails_nothing() {
    let server = ours(&Files::new(&[("file", 1000)]), EngineConfig { retries: 1, ..config() });
    let mut client = Raw::new(server.address).await;
    for _ in 0..2 {
        client.read("file", "tsize 0 timeout 1 ").await;
        assert_eq!(kind(&client.hear().await), 0);
    }
    client.say(b"\0\x05\0\x08no\0").await;
    let finished = server.finished(2).await;
    assert!(finished.len() == 2 && finished.iter().all(|end| end.outcome == Outcome::Probe), "{finished:?}");
}

#[tokio::test]
async fn an_error_ends_a_transfer_whose_file_is_still_being_opened() {
    let server = ours(&Files::new(&[("stuck", 1000)]), EngineConfig { single_port: true, ..config() });
    let client = Raw::new(server.address).await;
    client.read("stuck", "").await;
    client.say(b"\0\x05\0\0enough\0").await;
    let why = "the client ended it with error 0: enough".to_owned();
    assert_eq!(server.finished(1).await[0].outcome, Outcome::Failed { why });
}

#[tokio::test]
async fn clients_that_never_answer_keep_nobody_out() {
    let server = ours(&Files::new(&[("file", 1000)]), EngineConfig { max_transfers: 2, ..config() });
    let mut silent = Vec::new();
    for _ in 0..4 {
        let mut client = Raw::new(server.address).await;
        client.read("file", "").await;
        assert_eq!(kind(&client.hear().await), 1);
        silent.push(client);
    }
    let finished = server.finished(2).await;
    let why = "others ask, and the client never answered".to_owned();
    assert!(finished.iter().all(|end| end.outcome == Outcome::Failed { why: why.clone() }), "{finished:?}");
    silent[3].ack(1).await;
    assert_eq!(kind(&silent[3].hear().await), 2);
}

#[tokio::test]
async fn caps_are_kept_and_refusals_say_so() {
    let files = Files::new(&[("file", 1000)]);
    for (caps, words) in [
        (EngineConfig { max_per_client: 2, ..config() }, "too many"),
        (EngineConfig { max_transfers: 2, ..config() }, "busy"),
    ] {
        let server = ours(&files, caps);
        let mut clients = Vec::new();
        for _ in 0..2 {
            let mut client = Raw::new(server.address).await;
            client.read("file", "").await;
            assert_eq!(kind(&client.hear().await), 1);
            client.ack(1).await;
            assert_eq!(kind(&client.hear().await), 2);
            clients.push(client);
        }
        let mut third = Raw::new(server.address).await;
        third.read("file", "").await;
        let answer = third.hear().await;
        assert!(kind(&answer) == -1 && text(&answer).contains(words), "{}", text(&answer));
        clients[0].say(b"\0\x05\0\0\0").await;
        server.finished(2).await;
        third.read("file", "").await;
        assert_eq!(kind(&third.hear().await), 1, "a place that became free is given away");
    }
}

#[tokio::test]
async fn a_file_that_breaks_off_ends_with_an_error() {
    let server = ours(&Files::new(&[("broken", 100_000)]), config());
    let mut client = Raw::new(server.address).await;
    client.read("broken", "").await;
    for block in 1.. {
        let answer = client.hear().await;
        if kind(&answer) < 0 {
            assert!(block > 1 && text(&answer).contains("disk on fire"), "{}", text(&answer));
            break;
        }
        client.ack(block).await;
    }
    assert!(
        matches!(&server.finished(1).await[0].outcome, Outcome::Failed { why } if why.contains("on fire"))
    );
}

#[tokio::test]
async fn a_file_that_never_opens_is_given_up() {
    let server = ours(&Files::new(&[]), EngineConfig { idle: Duration::from_millis(200), ..config() });
    let mut client = Raw::new(server.address).await;
    client.read("stuck", "").await;
    assert_eq!(text(&client.hear().await), "the file could not be opened in time");
}

#[tokio::test]
async fn lost_first_blocks_make_the_next_ones_smaller() {
    let server = ours(&Files::new(&[("file", 5000)]), config());
    let mut client = Raw::new(server.address).await;
    for (asked, granted) in [("1468", "1468"), ("1468", "1024")] {
        client.read("file", &format!("blksize {asked} timeout 1 ")).await;
        let offer = client.hear().await;
        assert!(text(&offer).contains(granted), "{}", text(&offer));
        if granted == "1024" {
            break;
        }
        client.ack(0).await;
        for _ in 0..3 {
            assert_eq!(kind(&client.hear().await), 1);
        }
        client = Raw::new(server.address).await;
    }
}

#[tokio::test]
async fn shutdown_lets_transfers_end_and_takes_no_new_ones() {
    for single_port in [false, true] {
        let files = Files::new(&[("file", 20_000)]);
        let mut server = ours(&files, EngineConfig { single_port, ..config() });
        let mut client = Raw::new(server.address).await;
        client.read("file", "blksize 1000 ").await;
        client.hear().await;
        server.stop();
        tokio::time::sleep(Duration::from_millis(100)).await;
        let mut late = Raw::new(server.address).await;
        late.read("file", "").await;
        assert_eq!(text(&late.hear().await), "shutting down");
        client.read("file", "blksize 1000 ").await;
        assert_eq!(
            kind(&client.hear().await),
            0,
            "its transfer is to end well, and its OACK may have been lost"
        );
        client.ack(0).await;
        assert!(client.fetch(1000, 1).await == content(20_000));
        within(2, &mut server.task).await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn shutdown_ends_what_does_not_end_by_itself() {
    let drain = Duration::from_millis(300);
    let mut server = ours(&Files::new(&[("file", 20_000)]), EngineConfig { drain, ..config() });
    let mut client = Raw::new(server.address).await;
    client.read("file", "").await;
    client.hear().await;
    server.stop();
    let began = Instant::now();
    within(3, &mut server.task).await.unwrap().unwrap();
    assert!(began.elapsed() >= drain);
    assert_eq!(text(&client.hear().await), "the server is shutting down");
    assert_eq!(server.finished(1).await.len(), 1);
}

#[tokio::test]
async fn a_port_that_is_taken_is_an_error_of_bind() {
    let first = captain_tftp::Engine::bind(config()).unwrap();
    let taken = EngineConfig { listen: first.local_addr(), ..config() };
    let error = captain_tftp::Engine::bind(taken).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse);
    let nowhere = EngineConfig { interface: Some("nosuch0".to_owned()), ..config() };
    assert!(captain_tftp::Engine::bind(nowhere).is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_clients_at_once_all_get_their_file_through_a_bad_link() {
    let server = ours(&Files::new(&[("file", 60_000)]), config());
    let clients: Vec<_> = (0..32).map(|number| tokio::spawn(unlucky(server.address, number))).collect();
    for client in clients {
        assert!(within(60, client).await.unwrap() == content(60_000));
    }
}

/// A client of windows of 4 that drops every so-manieth datagram it gets.
async fn unlucky(server: SocketAddrV4, number: usize) -> Vec<u8> {
    let mut client = Raw::new(server).await;
    client.read("file", "blksize 1400 windowsize 4 ").await;
    client.hear().await;
    client.ack(0).await;
    let (mut got, mut last, mut since, mut seen) = (Vec::new(), 0_u16, 0, number);
    loop {
        let Some(datagram) = client.hear_for(1000).await else {
            client.ack(last).await;
            continue;
        };
        seen += 1;
        if seen % 11 == 0 {
            continue;
        }
        let fresh = kind(&datagram) == i32::from(last) + 1;
        if fresh {
            got.extend_from_slice(&datagram[4..]);
            last += 1;
            since += 1;
        }
        let end = fresh && datagram.len() < 1404;
        if end || since == 4 || (!fresh && kind(&datagram) > i32::from(last)) {
            client.ack(last).await;
            since = 0;
        }
        if end {
            return got;
        }
    }
}

#[tokio::test]
async fn the_mtu_of_the_way_bounds_the_block() {
    if !alone("the_mtu_of_the_way_bounds_the_block", "ip link set lo up mtu 1280") {
        return;
    }
    let server = ours(&Files::new(&[("file", 5000)]), config());
    let mut client = Raw::new(server.address).await;
    client.read("file", "blksize 1468 ").await;
    assert_eq!(text(&client.hear().await), "ksize\x001248", "1280 less 32");
}

#[tokio::test]
async fn a_broadcast_request_is_ignored() {
    let any = EngineConfig { listen: "0.0.0.0:0".parse().unwrap(), ..config() };
    let server = ours(&Files::new(&[("file", 100)]), any);
    let mut client = Raw::new(SocketAddrV4::new([127, 255, 255, 255].into(), server.address.port())).await;
    client.socket.set_broadcast(true).unwrap();
    client.read("file", "").await;
    assert_eq!(client.hear_for(200).await, None, "RFC 1123 section 4.2.2: every server would answer");
    client.server = SocketAddrV4::new([127, 0, 0, 1].into(), server.address.port());
    client.read("file", "").await;
    assert_eq!(kind(&client.hear().await), 1, "while the same request to it alone is served");
}
