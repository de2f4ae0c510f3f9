//! `kill -9` under load, again and again: no acknowledged lease is lost, no address is given to two.
//!
//! Five rounds in a normal run; `CAPTAIND_TEST_LONG=1 cargo test --package captain-tests --test crash` does 200.
//! Where `perfdhcp` (Debian package kea-admin) is installed it adds its load. `CAPTAIND_TEST_SEED` picks other moments.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use captain_tests::dhcp::Dice;
use captain_tests::{in_namespace, long_tests, write_config};
use serde_json::Value;

const SUBNET: &str = r#"
[dhcp]
mode = "dynamic"
[[dhcp.subnet]]
network = "10.77.0.0/16"
range = ["10.77.1.0", "10.77.9.255"]
router = "10.77.0.1"
lease_time = "1h"
"#;

/// The server at 10.77.0.1, relays at 10.77.0.2 (`dhcp-load`) and 10.77.0.3 (`perfdhcp`).
const NETWORK: &str = r#"
network 10.77.0.1/16
ip -n client addr add 10.77.0.2/16 dev c0
ip -n client addr add 10.77.0.3/16 dev c0
serve() {
    "$CAPTAIND" serve -c captaind.toml -i s0 --state-dir state --cache-dir cache >>serve.log 2>&1 &
    server=$!
    wait_ready
}
leases() { curl -fsS http://10.77.0.1:7080/api/v1/leases >"leases.$1.json"; }
perfdhcp() {
    command -v perfdhcp >/dev/null || return 0
    # It exits with 3 where exchanges were lost, as they are here.
    ip netns exec client perfdhcp -4 -r 300 -R 300 -p 1 -l 10.77.0.3 10.77.0.1 >/dev/null 2>&1 || true
}
round=0
serve
for delay in $DELAYS; do
    ip netns exec client "$LOAD" 10.77.0.2 10.77.0.1 1500 900 $((SEED + round)) >acks.$round & load=$!
    perfdhcp & perf=$!
    sleep "$delay"
    kill -KILL $server
    wait $server 2>/dev/null || true
    wait $load
    wait $perf
    serve
    leases $round
    round=$((round + 1))
done
kill $server; wait $server
"#;

#[test]
fn after_every_kill_each_acknowledged_lease_is_there_and_no_address_has_two_machines() {
    let rounds = if long_tests() { 200 } else { 5 };
    let seed: u64 = std::env::var("CAPTAIND_TEST_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    let folder = tempfile::tempdir().expect("a folder");
    write_config(folder.path(), SUBNET);
    let mut dice = Dice(seed);
    let delays: Vec<String> = (0..rounds).map(|_| format!("0.{:03}", 20 + dice.below(700))).collect();
    let (load, delays) = (env!("CARGO_BIN_EXE_dhcp-load"), delays.join(" "));
    let script = format!("LOAD='{load}' SEED={seed} DELAYS='{delays}'\n{NETWORK}");
    in_namespace(folder.path(), 30 + 5 * rounds, &script).expect_code(0);

    let mut held = BTreeMap::new();
    let mut busy = 0;
    for round in 0..rounds {
        busy += u32::from(take_acks(&folder.path().join(format!("acks.{round}")), &mut held));
        check(&folder.path().join(format!("leases.{round}.json")), &held, round);
    }
    assert!(busy * 2 > rounds, "in {busy} of {rounds} rounds only did the server acknowledge anything");
    assert!(!folder.path().join("state/captaind.redb.damaged").exists(), "the state file was damaged");
    println!("{rounds} kills, {} machines with a lease, seed {seed}", held.len());
}

/// Adds what clients were promised: address -> MAC; whether there was anything. No promise may contradict an
/// earlier one.
fn take_acks(file: &Path, held: &mut BTreeMap<String, String>) -> bool {
    let record = fs::read_to_string(file).expect("the clients' record");
    for line in record.lines() {
        let (mac, address) = line.split_once(' ').expect("MAC and address");
        let before = held.insert(address.to_owned(), mac.to_owned());
        assert!(before.as_deref().is_none_or(|before| before == mac), "{address}: {before:?}, then {mac}");
    }
    !record.is_empty()
}

fn check(file: &Path, held: &BTreeMap<String, String>, round: u32) {
    let text = fs::read_to_string(file).expect("the leases after the restart");
    let leases: Vec<Value> = serde_json::from_str(&text).expect("a list of leases");
    let pairs: Vec<_> = leases.iter().map(|lease| (word(&lease["address"]), word(&lease["mac"]))).collect();
    let by_address: BTreeMap<_, _> = pairs.iter().copied().collect();
    let by_mac: BTreeMap<_, _> = pairs.iter().map(|(address, mac)| (*mac, *address)).collect();
    assert_eq!((by_address.len(), by_mac.len()), (pairs.len(), pairs.len()), "round {round}: {pairs:?}");
    for (address, mac) in held {
        let found = by_address.get(address.as_str()).copied();
        assert_eq!(found, Some(mac.as_str()), "round {round}: {address} was acknowledged to {mac}");
    }
}

fn word(value: &Value) -> &str {
    value.as_str().expect("a text")
}
