//! Real DHCP clients get, renew and keep their address.

use captain_tests::{in_namespace, write_config};

/// A server end `s0` (192.168.50.1) and a network namespace `client` with the other end `c0`.
const NETWORK: &str = r#"
network 192.168.50.1/24
ip -n client link set c0 address 52:54:00:00:00:01
serve() {
    "$CAPTAIND" serve -c captaind.toml -i s0 --state-dir state --cache-dir cache "$@" >>serve.log 2>&1 &
    server=$!
    wait_ready
}
stop() { kill "${1:--TERM}" $server; wait $server || true; }
cat >hook <<'EOF'
#!/bin/sh
[ "$1" = bound ] && ip addr replace "$ip/24" dev "$interface"
case $1 in bound|renew) echo "$1 $ip $router $dns $lease" >>"$DIR/leases.txt" ;; esac
EOF
chmod +x hook
udhcpc() { ip netns exec client busybox udhcpc -f -n -i c0 -s "$DIR/hook" "$@" >>client.log 2>&1; }
"#;

const SUBNET: &str = r#"
[dhcp]
mode = "dynamic"
[[dhcp.subnet]]
network = "192.168.50.0/24"
range = ["192.168.50.100", "192.168.50.199"]
router = "192.168.50.1"
dns = ["192.168.50.1"]
lease_time = "10m"
"#;

fn lines(folder: &std::path::Path) -> Vec<String> {
    let text = std::fs::read_to_string(folder.join("leases.txt")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn udhcpc_gets_a_lease_renews_it_and_keeps_it_over_a_kill() {
    let folder = tempfile::tempdir().expect("a folder");
    write_config(folder.path(), SUBNET);
    let script = format!(
        r#"{NETWORK}
        serve
        udhcpc -q                                   # first lease
        ip netns exec client busybox udhcpc -f -n -i c0 -s "$DIR/hook" >>client.log 2>&1 & client=$!
        for _ in $(seq 50); do [ "$(wc -l <leases.txt)" -ge 2 ] && break; sleep 0.1; done
        kill -USR1 $client                          # renew now
        for _ in $(seq 100); do grep -q renew leases.txt && break; sleep 0.1; done
        kill $client; wait $client || true
        stop -KILL
        serve
        udhcpc -q                                   # the same address after the restart
        stop
        "#
    );
    let out = in_namespace(folder.path(), 60, &script).expect_code(0);
    let seen = lines(folder.path());
    let addresses: Vec<_> = seen.iter().filter_map(|line| line.split(' ').nth(1)).collect();
    assert!(seen.iter().any(|line| line.starts_with("renew")), "{seen:?}\n{}", out.stderr);
    assert!(seen.len() >= 4, "{seen:?}");
    assert!(addresses.iter().all(|address| *address == addresses[0]), "{seen:?}");
    assert!(seen[0].ends_with(" 192.168.50.1 192.168.50.1 600"), "{seen:?}");
}

#[test]
fn dhclient_gets_its_fixed_address() {
    let folder = tempfile::tempdir().expect("a folder");
    let machine = "[[machine]]\nmac = \"52:54:00:00:00:01\"\naddress = \"192.168.50.20\"\n";
    write_config(folder.path(), &format!("{SUBNET}{machine}"));
    let script = format!(
        r#"{NETWORK}
        serve
        touch client.leases
        ip netns exec client dhclient -1 -sf /bin/true -lf client.leases -pf client.pid c0
        kill "$(cat client.pid)" || true
        stop
        grep fixed-address client.leases
        "#
    );
    let out = in_namespace(folder.path(), 60, &script).expect_code(0);
    assert!(out.stdout.contains("fixed-address 192.168.50.20;"), "{}", out.stdout);
}

#[test]
fn in_reservation_mode_an_unknown_machine_gets_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    write_config(folder.path(), &SUBNET.replace("dynamic", "reservation"));
    let script = format!(
        r#"{NETWORK}
        serve
        udhcpc -q -t 2 -T 1 && exit 9
        stop
        "#
    );
    in_namespace(folder.path(), 60, &script).expect_code(0);
    assert!(lines(folder.path()).is_empty());
}
