//! Prints how much our engine and stock async-tftp send to a number of clients on the loopback, in one go:
//! `cargo run --example throughput -- [CLIENTS] [WINDOW] [MIB]`.
#![allow(clippy::unwrap_used)]

#[path = "../tests/common/mod.rs"]
mod common;

use std::net::SocketAddrV4;
use std::time::Instant;

use common::{Files, Raw, config, ours, stock};

async fn fetch(server: SocketAddrV4, window: usize) -> usize {
    let mut client = Raw::new(server).await;
    client.read("file", &format!("blksize 1468 windowsize {window} ")).await;
    client.hear().await;
    client.ack(0).await;
    let mut buffer = vec![0; 2048];
    let (mut got, mut last, mut since) = (0, 0_u16, 0);
    loop {
        let (length, _) = client.socket.recv_from(&mut buffer).await.unwrap();
        if u16::from_be_bytes([buffer[2], buffer[3]]) != last.wrapping_add(1) {
            continue;
        }
        last = last.wrapping_add(1);
        got += length - 4;
        since += 1;
        let end = length < 1472;
        if end || since == window {
            client.ack(last).await;
            since = 0;
        }
        if end {
            return got;
        }
    }
}

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1).map(|text| text.parse::<usize>().unwrap());
    let clients = arguments.next().unwrap_or(32);
    let window = arguments.next().unwrap_or(1);
    let files = Files::new(&[("file", arguments.next().unwrap_or(8) << 20)]);
    let server = ours(&files, config());
    for (name, address) in [("ours", server.address), ("stock", stock(&files).await)] {
        let began = Instant::now();
        let tasks: Vec<_> = (0..clients).map(|_| tokio::spawn(fetch(address, window))).collect();
        let mut bytes = 0;
        for task in tasks {
            bytes += task.await.unwrap();
        }
        let seconds = began.elapsed().as_secs_f64();
        println!("{name}: {:.1} MiB/s", bytes as f64 / seconds / f64::from(1 << 20));
    }
}
