//! The engine over real UDP sockets, through a path that loses, doubles and reorders: a table, each row with the
//! sentence of a specification, or the defect in the field, that it stands for.
#![allow(missing_docs, clippy::unwrap_used)]

#[path = "common/air.rs"]
mod air;
#[path = "lossy/client.rs"]
mod client;
mod common;
#[path = "common/receiver.rs"]
mod receiver;
#[path = "lossy/table.rs"]
mod table;

use std::collections::BTreeSet;
use std::time::Duration;

use air::Air;
use captain_tftp::{EngineConfig, Outcome};
use client::Client;
use common::*;
use table::{Act, CASES, Case, OTHER};
use tokio::task::JoinSet;

/// Rows at a time: most of a row is waiting.
const AT_A_TIME: usize = 32;

fn settings(single_port: bool) -> EngineConfig {
    let idle = Duration::from_secs(20);
    EngineConfig { block_size: 65464, window_size: 64, single_port, idle, ..config() }
}

fn name(size: usize) -> String {
    format!("file-{size}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_row_holds_over_a_bad_path() {
    assert!(CASES.len() >= 60, "{} rows", CASES.len());
    let sizes: BTreeSet<usize> = CASES.iter().map(|case| case.size).chain([OTHER]).collect();
    let named: Vec<_> = sizes.into_iter().map(|size| (name(size), size)).collect();
    let listed: Vec<_> = named.iter().map(|(name, size)| (name.as_str(), *size)).collect();
    let files = Files::new(&listed);
    let (mut running, mut failures) = (JoinSet::new(), Vec::new());
    for (number, case) in CASES.iter().enumerate() {
        // The long ones alternate.
        let ports = if case.size > 400_000 { &[number % 2 == 0][..] } else { &[false, true] };
        for single_port in ports.iter().copied() {
            if running.len() == AT_A_TIME {
                failures.extend(running.join_next().await.and_then(Result::err));
            }
            let files = files.clone();
            running.spawn(async move {
                within(60, row(case, number as u64 + 1, &files, single_port)).await;
            });
        }
    }
    while let Some(done) = running.join_next().await {
        failures.extend(done.err());
    }
    assert!(failures.is_empty(), "{failures:#?}");
}

async fn row(case: &'static Case, seed: u64, files: &Files, single_port: bool) {
    // Where the client goes away, the server's patience is what takes the time.
    let retries = if matches!(case.act, Act::Abort(_) | Act::Gone(_)) { 1 } else { 5 };
    let server = ours(files, EngineConfig { retries, ..settings(single_port) });
    let air = Air::to(server.address, case.rules, case.weather, seed).await;
    let mut client = Client::new(air.front, case.manner).await;
    let label = format!("{} [{}], single port {single_port}", case.name, case.source);
    let (file, size) = (name(case.size), case.size);
    match case.act {
        Act::Get => {
            let got = client.get(&file, case.options).await;
            assert!(got == Ok(content(size)), "{label}: {}", told(&got));
            sent(&server, 0, size, case, &label).await;
            for (kind, least, most) in case.seen {
                let count = air.count(*kind);
                assert!((*least..=*most).contains(&count), "{label}: {kind:?} was sent {count} times");
            }
            let least = client.least(size);
            let most = least * case.most_percent / 100 + 8;
            assert!(air.blocks() <= most, "{label}: {} blocks where {least} are enough", air.blocks());
        }
        Act::Refused(request, code, words) => {
            let error = client.refused(request).await;
            assert!(error.0 == code && error.1.contains(words), "{label}: {error:?}");
            let outcome = &server.finished(1).await[0].outcome;
            assert!(matches!(outcome, Outcome::Refused { .. }), "{label}: {outcome:?}");
        }
        Act::Probe => {
            client.begin(&file, case.options, 0).await;
            client.error(8, "User aborted the transfer").await;
            assert_eq!(server.finished(1).await[0].outcome, Outcome::Probe, "{label}");
            assert_eq!(client.quiet().await, None, "{label}: errors are never answered");
        }
        Act::Abort(blocks) => {
            client.begin(&file, case.options, blocks).await;
            client.error(0, "enough").await;
            let outcome = &server.finished(1).await[0].outcome;
            let why = |why: &str| why.contains("enough") || why.contains("never acknowledged");
            assert!(matches!(outcome, Outcome::Failed { why: told } if why(told)), "{label}: {outcome:?}");
            assert_eq!(client.quiet().await, None, "{label}: it is over");
        }
        Act::Anew(blocks) => {
            client.begin(&file, case.options, blocks).await;
            let got = client.get(&name(OTHER), case.options).await;
            assert!(got == Ok(content(OTHER)), "{label}: {}", told(&got));
            let began_anew = Outcome::Failed { why: "the client began anew".to_owned() };
            assert_eq!(server.finished(1).await[0].outcome, began_anew, "{label}");
            sent(&server, 1, OTHER, case, &label).await;
        }
        Act::Gone(blocks) => {
            client.begin(&file, case.options, blocks).await;
            client.leave();
            let outcome = &server.finished(1).await[0].outcome;
            let gone = matches!(outcome, Outcome::Failed { why } if why.contains("acknowledged"));
            assert!(gone, "{label}: {outcome:?}");
        }
    }
}

/// The `at`-th request ended with all bytes; where the last acknowledgements are lost for good, the file still came.
async fn sent(server: &Server, at: usize, size: usize, case: &Case, label: &str) {
    let outcome = server.finished(at + 1).await.get(at).map(|finished| finished.outcome.clone());
    let whole = matches!(&outcome, Some(Outcome::Sent { bytes, .. }) if *bytes == size as u64);
    let unheard = matches!(&outcome, Some(Outcome::Failed { why }) if why.contains("last block"));
    assert!(whole || (unheard && case.weather.loss > 0), "{label}: {outcome:?}");
}

fn told(got: &Result<Vec<u8>, (u16, String)>) -> String {
    match got {
        Ok(bytes) => format!("{} other bytes", bytes.len()),
        Err(error) => format!("{error:?}"),
    }
}

/// Two clients behind paths of their own: one place, or one for each client address.
#[tokio::test]
async fn caps_hold_over_a_bad_path_and_a_lost_refusal_is_told_again() {
    const LOSE_FIRST_ERROR: &[air::Rule] = &[(air::Of::Error, 1, air::Fate::Lost)];
    let file = name(OTHER);
    let files = Files::new(&[(&file, OTHER)]);
    for (caps, words) in [
        (EngineConfig { max_per_client: 1, ..settings(false) }, "too many"),
        (EngineConfig { max_transfers: 1, ..settings(false) }, "busy"),
    ] {
        let server = ours(&files, caps);
        let paths = [
            Air::to(server.address, &[], air::CALM, 1).await,
            Air::to(server.address, LOSE_FIRST_ERROR, air::CALM, 2).await,
        ];
        let mut first = Client::new(paths[0].front, receiver::Manner::Plain).await;
        let mut second = Client::new(paths[1].front, receiver::Manner::Plain).await;
        first.begin(&file, "", 1).await;
        let refusal = second.refused(format!("\0\x01{file}\0octet\0").as_bytes()).await;
        assert!(refusal.0 == 0 && refusal.1.contains(words), "{refusal:?}");
        assert!(paths[1].count(air::Of::Error) >= 2);
        first.error(0, "").await;
        server.finished(3).await;
        assert!(second.get(&file, "").await == Ok(content(OTHER)), "its place is free again");
    }
}

#[tokio::test]
async fn shutdown_lets_a_transfer_end_over_a_bad_path() {
    const BAD: air::Weather = air::Weather { loss: 10, twice: 5, late: 10 };
    let file = name(OTHER);
    let files = Files::new(&[(&file, OTHER)]);
    for single_port in [false, true] {
        let mut server = ours(&files, settings(single_port));
        let air = Air::to(server.address, &[], BAD, 3).await;
        let mut client = Client::new(air.front, receiver::Manner::Plain).await;
        client.begin(&file, "windowsize 4 ", 0).await;
        server.stop();
        assert!(client.rest().await == Ok(content(OTHER)));
        client.leave();
        within(15, &mut server.task).await.unwrap().unwrap();
    }
}
