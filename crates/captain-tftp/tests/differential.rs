//! Stock async-tftp beside our engine, with the same handler and the same datagrams: each test shows what of stock's
//! engine breaks firmware, and that ours does not.
#![allow(missing_docs, clippy::unwrap_used)]

mod common;

use std::sync::atomic::Ordering;
use std::time::Instant;

use captain_tftp::Outcome;
use common::*;

const USER_ABORTED: &[u8] = b"\0\x05\0\x08User aborted the transfer\0";

/// Stock's first resend comes after 3 s.
const STOCK_TIMEOUT: u64 = 3600;

async fn probe(server: std::net::SocketAddrV4) -> Raw {
    let mut client = Raw::new(server).await;
    client.read("file", "tsize 0 blksize 1468 ").await;
    assert_eq!(kind(&client.hear().await), 0);
    client.say(USER_ABORTED).await;
    client
}

#[tokio::test]
async fn an_error_of_the_client_ends_the_transfer() {
    let files = Files::new(&[("file", 5000)]);
    let mut aborted = probe(stock(&files).await).await;
    let again = aborted.hear_for(STOCK_TIMEOUT).await;
    assert_eq!(again.as_deref().map(kind), Some(0), "stock offers again to a client that said no");

    let server = ours(&files, config());
    let mut aborted = probe(server.address).await;
    assert_eq!(aborted.hear_for(1500).await, None);
    assert_eq!(server.finished(1).await[0].outcome, Outcome::Probe);
}

#[tokio::test]
async fn a_new_request_from_the_port_of_an_old_transfer_is_served() {
    let files = Files::new(&[("file", 5000), ("other", 700)]);
    for (engine, served) in [("stock", false), ("ours", true)] {
        let server = ours(&files, config());
        let address = if engine == "stock" { stock(&files).await } else { server.address };
        // Powered off in the middle of a transfer, and on again with the same port.
        let mut client = Raw::new(address).await;
        client.read("file", "").await;
        assert_eq!(kind(&client.hear().await), 1);
        client.ack(1).await;
        assert_eq!(kind(&client.hear().await), 2);
        let old = client.transfer;
        client.read("other", "").await;
        let answer = client.hear_for(1000).await;
        assert_eq!(answer.is_some(), served, "{engine}");
        if served {
            assert_ne!(client.transfer, old, "a new transfer has a port of its own");
            assert_eq!(&answer.unwrap()[4..], &content(700)[..512]);
            assert_eq!(
                server.finished(1).await[0].outcome,
                Outcome::Failed { why: "the client began anew".into() }
            );
        }
    }
}

#[tokio::test]
async fn a_client_cannot_make_the_server_read_a_whole_file_into_memory() {
    const SIZE: usize = 32 << 20;
    let files = Files::new(&[("file", SIZE)]);
    for (engine, bounded) in [("stock", false), ("ours", true)] {
        files.read.store(0, Ordering::Relaxed);
        let server = ours(&files, config());
        let address = if engine == "stock" { stock(&files).await } else { server.address };
        let mut client = Raw::new(address).await;
        client.read("file", "windowsize 65535 ").await;
        assert_eq!(kind(&client.hear().await), 0);
        client.ack(0).await;
        client.hear().await;
        tokio::time::sleep(std::time::Duration::from_millis(1000)).await;
        let read = files.read.load(Ordering::Relaxed);
        assert_eq!(
            read < 64 << 10,
            bounded,
            "{engine} read {read} bytes for a client that acknowledged nothing"
        );
    }
}

#[tokio::test]
async fn a_lost_window_is_repaired_when_the_client_says_so() {
    let files = Files::new(&[("file", 20_000)]);
    for (engine, at_once) in [("stock", false), ("ours", true)] {
        let server = ours(&files, config());
        let address = if engine == "stock" { stock(&files).await } else { server.address };
        let mut client = Raw::new(address).await;
        client.read("file", "windowsize 4 ").await;
        client.hear().await;
        client.ack(0).await;
        assert_eq!(client.hear_all(100).await.len(), 4);
        // All four were lost on the way: the client repeats what it has.
        let asked = Instant::now();
        client.ack(0).await;
        let again = client.hear_for(1000).await;
        assert_eq!(again.as_deref().map(kind), at_once.then_some(1), "{engine} after {:?}", asked.elapsed());
    }
}

#[tokio::test]
async fn requests_with_bytes_behind_them_are_served() {
    let files = Files::new(&[("file", 700)]);
    let server = ours(&files, config());
    let stock = stock(&files).await;
    for (what, request) in [
        ("one NUL", &b"\0\x01file\0octet\0blksize\x001468\0\0"[..]),
        ("three NULs", b"\0\x01file\0octet\0blksize\x001468\0\0\0\0"),
        ("half an option", b"\0\x01file\0octet\0blksize\x001468\0tsize"),
        ("0xff behind the name", b"\0\x01file\xff\0octet\0blksize\x001468\0"),
    ] {
        let mut client = Raw::new(stock).await;
        client.ask(request).await;
        assert_eq!(client.hear_for(400).await, None, "stock is silent: {what}");
        let mut client = Raw::new(server.address).await;
        client.ask(request).await;
        assert_eq!(kind(&client.hear().await), 0, "{what}");
    }
}

#[tokio::test]
async fn a_name_that_is_no_utf_8_gets_a_refusal_instead_of_silence() {
    let files = Files::new(&[]);
    let request = b"\0\x01caf\xe9.efi\0octet\0";
    let mut client = Raw::new(stock(&files).await).await;
    client.ask(request).await;
    assert_eq!(client.hear_for(400).await, None);
    let server = ours(&files, config());
    let mut client = Raw::new(server.address).await;
    client.ask(request).await;
    assert_eq!(kind(&client.hear().await), -1 - 4);
}

#[tokio::test]
async fn acknowledgements_with_padding_count() {
    let files = Files::new(&[("file", 700)]);
    for (engine, counts) in [("stock", false), ("ours", true)] {
        let server = ours(&files, config());
        let address = if engine == "stock" { stock(&files).await } else { server.address };
        let mut client = Raw::new(address).await;
        client.read("file", "").await;
        client.hear().await;
        client.say(b"\0\x04\0\x01\0\0\0\0").await;
        let next = client.hear_for(500).await;
        assert_eq!(next.as_deref().map(kind), counts.then_some(2), "{engine}");
    }
}

#[tokio::test]
async fn a_slow_file_keeps_nobody_else_waiting() {
    let files = Files::new(&[("file", 100), ("slow", 100)]);
    for (engine, waits) in [("stock", true), ("ours", false)] {
        let server = ours(&files, config());
        let address = if engine == "stock" { stock(&files).await } else { server.address };
        let (slow, mut quick) = (Raw::new(address).await, Raw::new(address).await);
        slow.read("slow", "").await;
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        quick.read("file", "").await;
        assert_eq!(quick.hear_for(500).await.is_none(), waits, "{engine}");
    }
}

#[tokio::test]
async fn text_transfers_have_the_line_ends_of_the_network() {
    let mut files = Files::new(&[]);
    let text = std::sync::Arc::new(b"a\nb\n".to_vec());
    files.files = std::sync::Arc::new([("text".to_owned(), text)].into());
    for (engine, want) in [("stock", &b"a\nb\n"[..]), ("ours", b"a\r\nb\r\n")] {
        let server = ours(&files, config());
        let address = if engine == "stock" { stock(&files).await } else { server.address };
        let mut client = Raw::new(address).await;
        client.ask(b"\0\x01text\0netascii\0").await;
        assert_eq!(&client.hear().await[4..], want, "{engine}");
    }
}

#[tokio::test]
async fn a_server_on_all_addresses_answers_from_the_one_that_was_asked() {
    let files = Files::new(&[("file", 700)]);
    let any = captain_tftp::EngineConfig { listen: "0.0.0.0:0".parse().unwrap(), ..config() };
    let builder = async_tftp::server::TftpServerBuilder::with_handler(files.clone());
    let plain = builder.bind("0.0.0.0:0".parse().unwrap()).build().await.unwrap();
    let plain_port = plain.listen_addr().unwrap().port();
    tokio::spawn(async move { drop(plain.serve().await) });
    let server = ours(&files, any);
    for (engine, port, right) in [("stock", plain_port, false), ("ours", server.address.port(), true)] {
        // The whole of 127/8 is ours: a second address without setting one up.
        let mut client = Raw::new(std::net::SocketAddrV4::new([127, 0, 0, 77].into(), port)).await;
        client.read("file", "").await;
        client.hear().await;
        assert_eq!(client.transfer.ip().to_string() == "127.0.0.77", right, "{engine}: {}", client.transfer);
    }
}
