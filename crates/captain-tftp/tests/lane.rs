//! The second, connected socket of a client that takes a lot and answers fast.
#![allow(missing_docs, clippy::unwrap_used)]

mod common;

use std::net::{SocketAddr, SocketAddrV4};
use std::time::Duration;

use captain_tftp::Outcome;
use common::*;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;

const SIZE: usize = 3_000_000;
const BLOCK: usize = 1000;

/// A transfer whose blocks are acknowledged, each after `delay`, until `enough` of what came so far; what that was.
async fn begun(
    server: SocketAddrV4,
    delay: Duration,
    enough: impl Fn(&Raw, &[u8]) -> bool,
) -> (Raw, Vec<u8>) {
    let mut client = Raw::new(server).await;
    client.read("file", &format!("blksize {BLOCK} ")).await;
    client.hear().await;
    client.ack(0).await;
    let mut got = Vec::new();
    while !enough(&client, &got) {
        next(&mut client, &mut got).await;
        tokio::time::sleep(delay).await;
        client.ack(last(&got)).await;
    }
    (client, got)
}

/// Takes the next block.
async fn next(client: &mut Raw, got: &mut Vec<u8>) {
    loop {
        let block = client.hear().await;
        assert!(kind(&block) >= 0, "{}", String::from_utf8_lossy(&block));
        if kind(&block) == i32::from(last(got)) + 1 {
            return got.extend_from_slice(&block[4..]);
        }
    }
}

/// The number of the last block that came.
fn last(got: &[u8]) -> u16 {
    u16::try_from(got.len() / BLOCK).unwrap()
}

async fn rest(client: &mut Raw, got: &mut Vec<u8>) {
    while got.len() < SIZE {
        next(client, got).await;
        client.ack(last(got)).await;
    }
    next(client, got).await;
    client.ack(last(got) + 1).await;
}

/// Whether the transfer has a socket that is connected to the client: /proc/net/udp.
fn is_connected(client: &Raw) -> bool {
    let (server, client) = (client.transfer.port(), client.socket.local_addr().unwrap().port());
    let sockets = std::fs::read_to_string("/proc/self/net/udp").unwrap();
    sockets.lines().any(|line| line.contains(&format!(":{server:04X} 0100007F:{client:04X} ")))
}

/// After more than 64 KiB, as soon as it answers fast enough on a busy machine.
fn is_brisk(client: &Raw, got: &[u8]) -> bool {
    got.len() > 100_000 && (is_connected(client) || got.len() > SIZE / 2)
}

#[tokio::test]
async fn a_brisk_client_has_a_socket_of_its_own_and_strangers_are_told_off_all_the_same() {
    let server = ours(&Files::new(&[("file", SIZE)]), config());
    let (mut client, mut got) = begun(server.address, Duration::ZERO, is_brisk).await;
    assert!(is_connected(&client));
    let mut stranger = Raw::new(server.address).await;
    stranger.transfer = client.transfer;
    stranger.ack(last(&got) + 1).await;
    assert_eq!(kind(&stranger.hear().await), -1 - 5, "RFC 1350 section 4");
    stranger.say(b"\0\x05\0\0die\0").await;
    rest(&mut client, &mut got).await;
    assert!(got == content(SIZE));
    assert!(matches!(server.finished(1).await[0].outcome, Outcome::Sent { .. }));
}

#[tokio::test]
async fn an_error_right_behind_an_acknowledgement_ends_the_transfer() {
    let server = ours(&Files::new(&[("file", SIZE)]), config());
    for count in 1..=20 {
        let enough = |client: &Raw, got: &[u8]| is_brisk(client, got) && got.len() > 300_000;
        let (mut client, mut got) = begun(server.address, Duration::ZERO, enough).await;
        next(&mut client, &mut got).await;
        client.ack(last(&got)).await;
        client.say(b"\0\x05\0\x03disk full\0").await;
        let outcome = server.finished(count).await.pop().unwrap().outcome;
        assert!(
            matches!(&outcome, Outcome::Failed { why } if why.contains("disk full")),
            "{count}: {outcome:?}"
        );
    }
}

#[tokio::test]
async fn small_files_and_slow_clients_cost_no_second_socket() {
    let server = ours(&Files::new(&[("file", SIZE)]), config());
    let (client, _) = begun(server.address, Duration::ZERO, |_, got| got.len() > 50_000).await;
    assert!(!is_connected(&client), "50 of 64 KiB");
    let (client, _) = begun(server.address, Duration::from_millis(3), |_, got| got.len() > 100_000).await;
    assert!(!is_connected(&client), "answers after 3 ms");
}

#[tokio::test]
async fn a_client_whose_port_is_closed_for_a_moment_gets_the_rest() {
    let server = ours(&Files::new(&[("file", SIZE)]), config());
    let (mut client, mut got) = begun(server.address, Duration::ZERO, is_brisk).await;
    assert!(is_connected(&client));
    let address = client.socket.local_addr().unwrap();
    // Every block that is sent again meets an ICMP message: port unreachable.
    client.socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    tokio::time::sleep(Duration::from_millis(800)).await;
    client.socket = UdpSocket::bind(address).await.unwrap();
    rest(&mut client, &mut got).await;
    assert!(got == content(SIZE));
    assert_eq!(server.finished(1).await.len(), 1);
}

#[tokio::test]
async fn forged_icmp_messages_neither_end_a_transfer_nor_keep_a_block_back() {
    const PORT_UNREACHABLE: u8 = 3;
    const TOO_LARGE: u8 = 4;
    if !alone("forged_icmp_messages_neither_end_a_transfer_nor_keep_a_block_back", "ip link set lo up") {
        return;
    }
    let server = ours(&Files::new(&[("file", SIZE)]), config());
    let (mut client, mut got) = begun(server.address, Duration::ZERO, is_brisk).await;
    assert!(is_connected(&client));
    let forger = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::ICMPV4)).unwrap();
    next(&mut client, &mut got).await;
    for code in [TOO_LARGE, PORT_UNREACHABLE] {
        let message = unreachable(code, client.transfer, client.socket.local_addr().unwrap());
        forger.send_to(&message, &SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        let block = client.hear_for(390).await.expect("again, and not only at the second try");
        assert_eq!(kind(&block), i32::from(last(&got)), "{}", String::from_utf8_lossy(&block));
        // Until its patience is what it was.
        for _ in 0..3 {
            client.ack(last(&got)).await;
            next(&mut client, &mut got).await;
        }
    }
    client.ack(last(&got)).await;
    rest(&mut client, &mut got).await;
    assert!(got == content(SIZE));
}

/// ICMP type 3 about a datagram from `from` to `to` (RFC 792), with a next hop's MTU of 576 (RFC 1191).
fn unreachable(code: u8, from: SocketAddr, to: SocketAddr) -> Vec<u8> {
    let mut message = vec![3, code, 0, 0, 0, 0, 2, 64];
    message.extend([0x45, 0, 0x04, 0, 0, 1, 0x40, 0, 64, 17, 0, 0, 127, 0, 0, 1, 127, 0, 0, 1]);
    message.extend([from.port(), to.port(), 1000, 0].map(u16::to_be_bytes).concat());
    let sum: u32 = message.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
    let sum = !u16::try_from((sum & 0xffff) + (sum >> 16)).unwrap();
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    message
}
