//! A disk that is full, and has room again: nothing is promised meanwhile, and nobody has to restart the daemon.

use captain_tests::{in_namespace, write_config};

const SUBNET: &str = r#"
[dhcp]
mode = "dynamic"
[[dhcp.subnet]]
network = "192.168.50.0/24"
range = ["192.168.50.100", "192.168.50.199"]
lease_time = "10m"
"#;

const STORY: &str = r#"
network 192.168.50.1/24
mkdir state; mount -t tmpfs -o size=8m none state
"$CAPTAIND" serve -c captaind.toml -i s0 --state-dir state --cache-dir cache >serve.log 2>&1 &
server=$!
wait_ready
asks() { ip netns exec client busybox udhcpc -f -n -q -t 3 -T 1 -i c0 -s /bin/true >>client.log 2>&1; }
asks
cat /dev/zero >state/ballast 2>/dev/null || true
# Blocks that the file has already are written for a while yet.
for _ in $(seq 200); do asks || break; done
asks && { echo "an address was acknowledged on a full disk"; exit 9; }
curl -sS -w '%{http_code}\n' http://127.0.0.1:7080/readyz
curl -fsS http://127.0.0.1:7080/api/v1/status
rm state/ballast
wait_ready
asks
kill $server; wait $server
"#;

#[test]
fn after_a_full_disk_has_room_again_addresses_are_acknowledged_without_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    write_config(folder.path(), SUBNET);
    let out = in_namespace(folder.path(), 120, STORY).expect_code(0).stdout;
    let log = std::fs::read_to_string(folder.path().join("serve.log")).expect("the daemon's log");
    assert!(out.contains("No space left on device") && out.contains("\n503\n"), "{out}\n{log}");
    assert!(out.contains("\"ready\":false"), "{out}");
    for once in ["no address is acknowledged until this is put right", "the state can be written again"] {
        assert_eq!(log.matches(once).count(), 1, "{log}");
    }
}
