//! What dnsmasq and Kea (Debian packages dnsmasq-base, kea-dhcp4-server) answer a client is what we answer, wherever
//! RFC 2131 leaves no choice. A peer that is not installed is left out.

use std::collections::BTreeMap;
use std::path::Path;

use captain_tests::{in_namespace, write_config};
use serde_json::Value;

const SUBNET: &str = r#"
[dhcp]
mode = "dynamic"
[[dhcp.subnet]]
network = "192.168.50.0/24"
range = ["192.168.50.128", "192.168.50.190"]
router = "192.168.50.254"
dns = ["192.168.50.2", "192.168.50.3"]
domain = "lab.example"
lease_time = "10m"
"#;

/// All addresses of the range are local to the client's kernel, so that it hears what is sent to any of them.
const SCRIPT: &str = r#"
network 192.168.50.1/24
ip -n client link set c0 address 52:54:00:00:00:01
ip -n client addr add 192.168.50.9/24 dev c0
ip -n client route add local 192.168.50.128/26 dev lo
talk() {
    # A server that does not listen yet has not heard us either.
    for _ in 1 2 3 4 5; do
        sleep 0.5
        kill -0 $server || { cat "$1.log" >&2; return 1; }
        ip netns exec client "$TALK" 52:54:00:00:00:01 192.168.50.9 >"$1.json" && break
    done
    kill $server; wait $server || true
}

"$CAPTAIND" serve -c captaind.toml -i s0 --state-dir state --cache-dir cache >captaind.log 2>&1 & server=$!
talk captaind

if command -v dnsmasq >/dev/null; then
    dnsmasq --no-daemon --conf-file=/dev/null --port=0 --interface=s0 --bind-interfaces \
        --no-ping --dhcp-leasefile="$DIR/dnsmasq.leases" --no-hosts --no-resolv \
        --dhcp-range=192.168.50.128,192.168.50.190,255.255.255.0,10m --dhcp-option=3,192.168.50.254 \
        --dhcp-option=6,192.168.50.2,192.168.50.3 --domain=lab.example >dnsmasq.log 2>&1 & server=$!
    talk dnsmasq
fi

if command -v kea-dhcp4 >/dev/null; then
    mkdir -p /run/kea
    cat >kea.conf <<JSON
{ "Dhcp4": { "interfaces-config": { "interfaces": ["s0"], "dhcp-socket-type": "raw" }, "authoritative": true,
  "lease-database": { "type": "memfile", "persist": false }, "valid-lifetime": 600, "calculate-tee-times": true,
  "option-data": [ { "name": "routers", "data": "192.168.50.254" }, { "name": "domain-name", "data": "lab.example" },
                   { "name": "domain-name-servers", "data": "192.168.50.2, 192.168.50.3" } ],
  "loggers": [ { "name": "kea-dhcp4", "severity": "WARN", "output_options": [ { "output": "stderr" } ] } ],
  "subnet4": [ { "subnet": "192.168.50.0/24", "pools": [ { "pool": "192.168.50.128 - 192.168.50.190" } ] } ] } }
JSON
    KEA_PIDFILE_DIR=$DIR KEA_LOCKFILE_DIR=$DIR kea-dhcp4 -c kea.conf >kea.log 2>&1 & server=$!
    talk kea
fi
"#;

/// Step -> answer.
type Talk = BTreeMap<String, Value>;

fn read(file: &Path) -> Option<Talk> {
    let text = std::fs::read_to_string(file).ok()?;
    let answers = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("a line of JSON"));
    Some(answers.map(|answer| (answer["step"].as_str().expect("a step").to_owned(), answer)).collect())
}

/// Options that leave no choice: mask, router, DNS, domain, server; and the lease time where there is a lease.
const SAME_OPTIONS: &[&str] = &["1", "3", "6", "15", "51", "54"];

/// Where a peer (dnsmasq 2.90, Kea 2.2) goes its own way, and why we do not follow: peer, step, field or option.
const THEIR_WAY: &[(&str, &str, &str)] = &[
    // RFC 2131 section 4.3.2 sets the broadcast bit in a NAK for a relay only.
    ("dnsmasq", "init-reboot-elsewhere", "flags"),
    // RFC 2131 section 4.3.5: the server MUST NOT send a lease expiration time to an INFORM.
    ("dnsmasq", "inform", "51"),
    // Asked for in option 55, and known.
    ("kea", "inform", "1"),
];

#[test]
fn dnsmasq_and_kea_answer_a_client_as_we_do() {
    let folder = tempfile::tempdir().expect("a folder");
    write_config(folder.path(), SUBNET);
    let script = format!("TALK='{}'\n{SCRIPT}", env!("CARGO_BIN_EXE_dhcp-talk"));
    in_namespace(folder.path(), 90, &script).expect_code(0);
    let ours = read(&folder.path().join("captaind.json")).expect("our answers");
    assert_eq!(ours.len(), 10, "{ours:#?}");
    check(&ours);
    good_leases("captaind", &ours);
    for peer in ["dnsmasq", "kea"] {
        let Some(theirs) = read(&folder.path().join(format!("{peer}.json"))) else {
            eprintln!("left out: {peer} is not installed");
            continue;
        };
        good_leases(peer, &theirs);
        for (step, answer) in &ours {
            compare(peer, step, answer, &theirs[step]);
        }
    }
}

fn compare(peer: &str, step: &str, ours: &Value, theirs: &Value) {
    let both = format!("{step}: ours {ours}\n{peer}: {theirs}");
    let own_way = |field: &str| THEIR_WAY.contains(&(peer, step, field));
    for field in ["kind", "flags", "broadcast"].into_iter().filter(|field| !own_way(field)) {
        assert_eq!(ours[field], theirs[field], "{field} of {both}");
    }
    for code in SAME_OPTIONS.iter().filter(|code| !own_way(code)) {
        assert_eq!(ours["options"][code], theirs["options"][code], "option {code} of {both}");
    }
}

/// What RFC 2131 asks of us beyond what the peers agree on.
fn check(ours: &Talk) {
    let lease = &ours["request"]["yiaddr"];
    for step in LEASED {
        assert_eq!(&ours[*step]["yiaddr"], lease, "the address changed at {step}");
    }
    for (step, answer) in ours.iter().filter(|(step, _)| !LEASED.contains(&step.as_str())) {
        assert_eq!(answer["options"]["51"], Value::Null, "a lease time at {step}: {answer}");
        assert!(answer["yiaddr"].as_str().is_none_or(|address| address == "0.0.0.0"), "{step}: {answer}");
    }
    assert_eq!(ours["discover-broadcast"]["broadcast"], Value::from(true));
    assert_eq!(ours["discover"]["broadcast"], Value::from(false));
}

/// Steps that are answered with an address.
const LEASED: &[&str] =
    &["discover", "discover-broadcast", "request", "init-reboot", "renew", "discover-again"];

/// Every address is of the range, and T1, T2 and the lease time are in order.
fn good_leases(server: &str, talk: &Talk) {
    for step in LEASED {
        let answer = &talk[*step];
        let at = format!("{server}, {step}: {answer}");
        let address = answer["yiaddr"].as_str().and_then(|text| text.parse::<std::net::Ipv4Addr>().ok());
        let last = address.map(|address| address.octets()[3]);
        assert!(last.is_some_and(|last| (128..=190).contains(&last)), "not in range: {at}");
        times_are_in_order(&answer["options"], &at);
    }
}

/// T1 < T2 < lease time (RFC 2131 section 4.4.5); each may be missing but the last.
fn times_are_in_order(options: &Value, at: &str) {
    let seconds =
        |code: &str| options[code].as_str().map(|hex| u32::from_str_radix(hex, 16).expect("four bytes"));
    let times: Vec<u32> = ["58", "59", "51"].into_iter().filter_map(seconds).collect();
    assert_eq!(times.last(), Some(&600), "{at}");
    assert!(times.is_sorted_by(|a, b| a < b), "{times:?}: {at}");
}
