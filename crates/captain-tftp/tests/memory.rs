//! What many stalled transfers cost. Alone in its file: other tests would be counted in.
#![allow(missing_docs, clippy::unwrap_used)]

mod common;

use std::time::Duration;

use captain_tftp::EngineConfig;
use common::*;

/// Resident memory of this process in KiB.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[tokio::test]
async fn hundreds_of_stalled_transfers_with_large_windows_take_little_memory() {
    // As many as the usual limit of 1024 open files allows, with a socket at both ends.
    const COUNT: usize = 400;
    let server = ours(&Files::new(&[("file", 1 << 20)]), EngineConfig { max_per_client: COUNT, ..config() });
    let before = resident();
    let mut clients = Vec::new();
    for _ in 0..COUNT {
        let mut client = Raw::new(server.address).await;
        client.read("file", "blksize 1468 windowsize 16 ").await;
        let mut offer = [0; 100];
        client.transfer = client.socket.recv_from(&mut offer).await.unwrap().1;
        client.ack(0).await;
        clients.push(client);
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    let each = (resident() - before) / COUNT;
    assert!(each < 60, "{each} KiB for each transfer: 1000 must stay below 64 MiB");
}
