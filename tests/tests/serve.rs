//! The daemon as a whole: what it picks by itself, and what it gives up.

use captain_tests::{in_namespace, in_root_namespace, run, slow_tests, write_config};

/// `s0` with the default route and `c0` behind it; `wait_ready` waits for the daemon in `$server`.
const NETWORK: &str = r#"
ip link add s0 type veth peer name c0
ip addr add 192.168.50.1/24 dev s0; ip link set s0 up; ip link set c0 up
ip route add default via 192.168.50.254
wait_ready() {
    for _ in $(seq 150); do
        curl -fsS -o /dev/null http://192.168.50.1:7080/readyz 2>/dev/null && return
        kill -0 $server 2>/dev/null || { cat serve.log >&2; return 1; }
        sleep 0.1
    done
    cat serve.log >&2; return 1
}
"#;

#[test]
fn with_no_configuration_it_serves_on_the_interface_with_the_default_route() {
    if !slow_tests() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    run(folder.path(), &["build"]).expect_code(0);
    // The loaders are fetched by `serve`; in a namespace nothing can be, so the lab's preparation does it here.
    run(folder.path(), &["lab", "--until", "dhcp", "--timeout", "60s"]).expect_code(0);
    let script = format!(
        r#"{NETWORK}
        "$CAPTAIND" serve --state-dir state >serve.log 2>&1 & server=$!
        wait_ready
        curl -fsS http://192.168.50.1:7080/ipxe/script/52-54-00-00-00-01/auto.ipxe
        curl -fsSI http://192.168.50.1:7080/osie/default/initramfs-x86_64 | tr -d '\r'
        kill $server; wait $server
        "#
    );
    let out = in_namespace(folder.path(), 60, &script).expect_code(0);
    assert!(out.stdout.starts_with("#!ipxe"), "{}", out.stdout);
    assert!(out.stdout.contains("hw_addr=52:54:00:00:00:01"), "{}", out.stdout);
    let length = out
        .stdout
        .lines()
        .find_map(|line| line.to_lowercase().strip_prefix("content-length: ").map(str::to_owned));
    let length: u64 = length.expect("a Content-Length").parse().expect("a number");
    assert!(length > 10_000_000, "{length}");
}

#[test]
fn started_as_root_it_serves_as_somebody_else() {
    let folder = tempfile::tempdir().expect("a folder");
    write_config(folder.path(), "[dhcp]\nmode = \"dynamic\"\n");
    let script = format!(
        r#"{NETWORK}
        chmod -R a+rX "$DIR"
        "$CAPTAIND" serve -c captaind.toml --state-dir state --cache-dir cache >serve.log 2>&1 & server=$!
        wait_ready
        grep -E '^(Uid|Gid|CapEff|CapPrm):' /proc/$server/task/*/status | sort -u
        kill $server; wait $server
        "#
    );
    let Some(out) = in_root_namespace(folder.path(), 60, &script) else { return };
    let out = out.expect_code(0);
    assert!(out.stdout.contains("Uid:"), "{}", out.stdout);
    for line in out.stdout.lines() {
        let mut words = line.split_whitespace().skip(1);
        let privileged = if line.contains(":Cap") {
            words.any(|capabilities| capabilities != "0000000000000000")
        } else {
            words.any(|id| id == "0")
        };
        assert!(!privileged, "a thread kept its rights: {line}");
    }
}

#[test]
fn two_daemons_do_not_share_one_network() {
    let folder = tempfile::tempdir().expect("a folder");
    write_config(folder.path(), "[dhcp]\nmode = \"dynamic\"\n");
    let script = format!(
        r#"{NETWORK}
        "$CAPTAIND" serve -c captaind.toml --state-dir state --cache-dir cache >serve.log 2>&1 & server=$!
        wait_ready
        set +e
        "$CAPTAIND" serve -c captaind.toml --state-dir state2 --cache-dir cache; code=$?
        kill $server; wait $server
        exit $code
        "#
    );
    let out = in_namespace(folder.path(), 60, &script).expect_code(69);
    assert!(out.stderr.contains("captaind"), "{}", out.stderr);
}
