//! The daemon as a whole: what it picks by itself, and what it gives up.

use captain_tests::{in_namespace, in_root_namespace, run, slow_tests, write_config};

/// `s0` with the default route and `c0` behind it.
const NETWORK: &str = r#"
ip link add s0 type veth peer name c0
ip addr add 192.168.50.1/24 dev s0; ip link set s0 up; ip link set c0 up
ip route add default via 192.168.50.254
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
fn a_low_soft_limit_of_open_files_does_not_bound_its_clients() {
    let folder = tempfile::tempdir().expect("a folder");
    write_config(folder.path(), "[dhcp]\nmode = \"disabled\"\n");
    let script = format!(
        r#"{NETWORK}
        ulimit -Sn 256; ulimit -Hn 3000
        "$CAPTAIND" serve -c captaind.toml --state-dir state --cache-dir cache >serve.log 2>&1 & server=$!
        wait_ready
        grep '^Max open files' /proc/$server/limits
        kill $server; wait $server
        "#
    );
    let out = in_namespace(folder.path(), 60, &script).expect_code(0);
    let limits: Vec<&str> =
        out.stdout.split_whitespace().filter(|word| word.parse::<u64>().is_ok()).collect();
    assert_eq!(limits, ["3000", "3000"], "{}", out.stdout);
}

#[test]
fn started_with_capabilities_by_somebody_else_no_thread_keeps_one() {
    let folder = tempfile::tempdir().expect("a folder");
    write_config(folder.path(), "[dhcp]\nmode = \"dynamic\"\n");
    let script = format!(
        r#"{NETWORK}
        mkdir state cache; cp "$CAPTAIND" captaind; chmod -R a+rX "$DIR"; chown nobody state cache
        rights=+net_bind_service,+net_raw
        setpriv --reuid=nobody --regid=nogroup --clear-groups --inh-caps=$rights --ambient-caps=$rights \
            ./captaind serve -c captaind.toml --state-dir state --cache-dir cache >serve.log 2>&1 & server=$!
        wait_ready
        ls /proc/$server/task | wc -l
        grep -hE '^(CapEff|CapPrm|CapInh|CapAmb):' /proc/$server/task/*/status | sort -u
        kill $server; wait $server
        "#
    );
    let Some(out) = in_root_namespace(folder.path(), 60, &script) else { return };
    let out = out.expect_code(0);
    let (threads, rights) = out.stdout.split_once('\n').expect("lines");
    assert!(threads.trim().parse::<u32>().expect("a number") > 2, "{threads}");
    let words: Vec<&str> = rights.split_whitespace().skip(1).step_by(2).collect();
    assert_eq!(words, ["0000000000000000"; 4], "{rights}");
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

#[test]
fn only_the_chosen_interfaces_and_the_loopback_are_listened_on() {
    let folder = tempfile::tempdir().expect("a folder");
    write_config(folder.path(), "[dhcp]\nmode = \"dynamic\"\n");
    // `c1` is a host on another network of this box, which must not reach what machines of `s0` are served.
    let script = format!(
        r#"{NETWORK}
        ip netns add other
        ip link add s1 type veth peer name c1 netns other
        ip addr add 192.168.60.1/24 dev s1; ip link set s1 up
        ip -n other addr add 192.168.60.9/24 dev c1; ip -n other link set c1 up
        ip -n other route add 192.168.50.0/24 via 192.168.60.1
        echo 1 >/proc/sys/net/ipv4/ip_forward
        ip netns add near
        ip link set c0 netns near
        ip -n near addr add 192.168.50.9/24 dev c0; ip -n near link set c0 up
        reach() {{ # FROM: what answers at the address of s0
            ip netns exec $1 curl -fsS -m 3 -o /dev/null http://192.168.50.1:7080/readyz && echo "$1 http"
            ip netns exec $1 curl -fsS -m 3 -o /dev/null tftp://192.168.50.1/undionly.kpxe && echo "$1 tftp"
            return 0
        }}
        serve() {{
            "$CAPTAIND" serve -c captaind.toml -i s0 --state-dir state --cache-dir cache >serve.log 2>&1 & server=$!
            wait_ready
        }}
        serve
        curl -fsS -o /dev/null http://127.0.0.1:7080/readyz && echo "loopback http"
        ip addr add 192.168.50.7/24 dev s0      # a virtual address that comes later
        ip netns exec near curl -fsS -m 3 -o /dev/null http://192.168.50.7:7080/readyz && echo "near vip"
        reach near; reach other
        kill $server; wait $server
        sed -i 's/^loaders/listen = "all"\nloaders/' captaind.toml
        serve
        echo "then all"
        reach other
        kill $server; wait $server
        "#
    );
    let out = in_namespace(folder.path(), 60, &script).expect_code(0);
    let said: Vec<&str> = out.stdout.lines().collect();
    let want =
        ["loopback http", "near vip", "near http", "near tftp", "then all", "other http", "other tftp"];
    assert_eq!(said, want, "{}", out.stderr);
}

#[test]
fn an_address_in_use_behind_a_router_is_not_given_out() {
    let folder = tempfile::tempdir().expect("a folder");
    let subnet = r#"
[dhcp]
mode = "dynamic"
[[dhcp.subnet]]
network = "10.7.0.0/24"
range = ["10.7.0.9", "10.7.0.10"]
router = "10.7.0.1"
"#;
    write_config(folder.path(), subnet);
    // The router has a relay on it; 10.7.0.9 is a host behind it.
    let script = format!(
        r#"{NETWORK}
        ip netns add router; ip netns add far
        ip link set c0 netns router
        ip -n router addr add 192.168.50.254/24 dev c0; ip -n router link set c0 up
        ip link add r1 netns router type veth peer name f0 netns far
        ip -n router addr add 10.7.0.1/24 dev r1; ip -n router link set r1 up
        ip -n far addr add 10.7.0.9/24 dev f0; ip -n far link set f0 up
        ip -n far route add default via 10.7.0.1
        ip netns exec router sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward'
        "$CAPTAIND" serve -c captaind.toml -i s0 --state-dir state --cache-dir cache >serve.log 2>&1 & server=$!
        wait_ready
        ip netns exec router "{RELAYED}" 192.168.50.1 10.7.0.1 52:54:00:00:00:01 10.7.0.9
        kill $server; wait $server
        "#,
        RELAYED = env!("CARGO_BIN_EXE_dhcp-relayed"),
    );
    let out = in_namespace(folder.path(), 60, &script).expect_code(0);
    assert_eq!(out.stdout.lines().collect::<Vec<_>>(), ["10.7.0.9", "10.7.0.10"], "{}", out.stderr);
}

#[test]
fn a_reload_after_root_was_given_up_keeps_a_password_that_only_root_may_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let agent = r#"
[dhcp]
mode = "dynamic"
[profile.default.agent]
registry_password_file = "pass"
"#;
    write_config(folder.path(), agent);
    std::fs::write(folder.path().join("pass"), "hunter2\n").expect("a password");
    let script = format!(
        r#"{NETWORK}
        chmod -R a+rX "$DIR"; chmod 600 pass
        mkdir -p cache/images/mine state; touch cache/images/mine/file
        "$CAPTAIND" serve -c captaind.toml --state-dir state --cache-dir cache >serve.log 2>&1 & server=$!
        wait_ready
        stat -c '%U %n' state cache cache/images/mine/file
        printf '[[machine]]\nmac = "52:54:00:00:00:07"\ncmdline = ["reloaded=yes"]\n' >>captaind.toml
        kill -HUP $server
        for _ in $(seq 50); do grep -q 'read anew\|stays as it was' serve.log && break; sleep 0.1; done
        curl -fsS http://192.168.50.1:7080/ipxe/script/52-54-00-00-00-07/auto.ipxe
        kill $server; wait $server
        "#
    );
    let Some(out) = in_root_namespace(folder.path(), 60, &script) else { return };
    let out = out.expect_code(0);
    let owners: Vec<&str> = out.stdout.lines().take(3).collect();
    assert!(owners[..2].iter().all(|line| !line.starts_with("root ")), "{owners:?}");
    assert_eq!(owners[2], "root cache/images/mine/file", "what is only read stays whose it is");
    for part in ["reloaded=yes", "registry_password=hunter2"] {
        assert!(out.stdout.contains(part), "{part} is missing in {}", out.stdout);
    }
}

/// A mirror that takes connections and never answers, so that what is fetched from it stays on its way.
const SILENT_MIRROR: &str = r#"
cat >captaind.toml <<'TOML'
[dhcp]
mode = "dynamic"
[osie]
mirror = "http://127.0.0.1:8000/debian"
TOML
busybox nc -ll -p 8000 -e sleep 1000 & mirror=$!
"#;

#[test]
fn while_its_osie_is_being_built_it_serves_says_so_takes_a_hangup_and_stops_when_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let script = format!(
        r#"{NETWORK}{SILENT_MIRROR}
        "$CAPTAIND" serve -c captaind.toml --state-dir state --cache-dir empty >serve.log 2>&1 & server=$!
        for _ in $(seq 100); do curl -fsS -m 2 -o /dev/null http://192.168.50.1:7080/healthz 2>/dev/null && break; sleep 0.1; done
        curl -s -m 5 http://192.168.50.1:7080/readyz | head -1
        printf '[[machine]]\nmac = "52:54:00:00:00:07"\nnetboot = false\n' >>captaind.toml
        curl -s -m 5 http://192.168.50.1:7080/ipxe/script/52-54-00-00-00-07/auto.ipxe | grep -c 'asking again'
        kill -HUP $server
        for _ in $(seq 50); do grep -q 'read anew' serve.log && break; sleep 0.1; done
        curl -s -m 5 http://192.168.50.1:7080/ipxe/script/52-54-00-00-00-07/auto.ipxe | grep -c 'does not netboot'
        curl -s -m 5 tftp://192.168.50.1/undionly.kpxe -o /dev/null || echo "tftp answers"
        kill $server; wait $server
        kill $mirror
        "#
    );
    let out = in_namespace(folder.path(), 60, &script).expect_code(0);
    let said: Vec<&str> = out.stdout.lines().collect();
    assert_eq!(said, ["boot loaders are being fetched", "1", "1", "tftp answers"], "{}", out.stderr);
}

#[test]
fn what_cannot_be_made_and_is_needed_ends_it_with_the_reason() {
    let folder = tempfile::tempdir().expect("a folder");
    let script = format!(
        r#"{NETWORK}{SILENT_MIRROR}
        kill $mirror; wait $mirror || true
        exec "$CAPTAIND" serve -c captaind.toml --state-dir state --cache-dir empty
        "#
    );
    let out = in_namespace(folder.path(), 60, &script).expect_code(69);
    assert!(out.stderr.contains("127.0.0.1:8000"), "{}", out.stderr);
}

#[test]
fn what_cannot_be_made_anew_is_served_as_it_was() {
    let folder = tempfile::tempdir().expect("a folder");
    write_config(folder.path(), "");
    let script = format!(
        r#"{NETWORK}{SILENT_MIRROR}
        kill $mirror; wait $mirror || true
        sed -i '1i [server]\nloaders = "loaders"' captaind.toml
        mkdir -p old/osie; cp -r osie old/osie/default
        "$CAPTAIND" serve -c captaind.toml --state-dir state --cache-dir old >serve.log 2>&1 & server=$!
        wait_ready
        grep -c 'machines go on with what was made before: cannot download' serve.log
        curl -fsSI http://192.168.50.1:7080/osie/default/vmlinuz-x86_64 | head -1 | tr -d '\r'
        kill $server; wait $server
        "#
    );
    let out = in_namespace(folder.path(), 60, &script).expect_code(0);
    assert_eq!(out.stdout.lines().collect::<Vec<_>>(), ["1", "HTTP/1.1 200 OK"], "{}", out.stderr);
}

#[test]
fn on_one_wire_nobody_reads_the_password_of_another_machine_whoever_gives_the_addresses() {
    let folder = tempfile::tempdir().expect("a folder");
    let more = r#"
[dhcp]
mode = "auto-proxy"
[[machine]]
mac = "52:54:00:00:00:07"
[machine.agent]
registry_password_file = "pass"
"#;
    write_config(folder.path(), more);
    std::fs::write(folder.path().join("pass"), "hunter2\n").expect("a password");
    let script = format!(
        r#"{NETWORK}
        ip netns add near
        ip link set c0 netns near
        ip -n near addr add 192.168.50.9/24 dev c0
        "$CAPTAIND" serve -c captaind.toml --state-dir state --cache-dir cache >serve.log 2>&1 & server=$!
        wait_ready
        as() {{ # MAC: what of the password is to be had from it
            ip -n near link set c0 down; ip -n near link set c0 address $1; ip -n near link set c0 up
            ip neigh flush dev s0
            for what in http://192.168.50.1:7080/ipxe/script/52-54-00-00-00-07/auto.ipxe http://192.168.50.1:7080/auto.ipxe \
                tftp://192.168.50.1/grub/grub.cfg-01-52-54-00-00-00-07 tftp://192.168.50.1/pxelinux.cfg/01-52-54-00-00-00-07
            do echo "$1 $(ip netns exec near curl -s -m 5 $what | grep -c hunter2)"; done
        }}
        as 52:54:00:00:00:07; as 52:54:00:00:00:08
        kill $server; wait $server
        "#
    );
    let out = in_namespace(folder.path(), 60, &script).expect_code(0);
    let of = |mac: &str| out.stdout.lines().filter_map(|line| line.strip_prefix(mac)).collect::<Vec<_>>();
    assert_eq!(of("52:54:00:00:00:07 "), ["1"; 4], "{}", out.stderr);
    assert_eq!(of("52:54:00:00:00:08 "), ["0"; 4], "{}", out.stderr);
}

#[test]
fn on_one_wire_a_machine_is_who_the_neighbour_table_says_whatever_was_asked_from_its_address_before() {
    let folder = tempfile::tempdir().expect("a folder");
    let more = r#"
[dhcp]
mode = "auto-proxy"
[[machine]]
mac = "52:54:00:00:00:0a"
[[machine]]
mac = "52:54:00:00:00:0b"
netboot = false
"#;
    write_config(folder.path(), more);
    let script = format!(
        r#"{NETWORK}
        ip netns add near
        ip link set c0 netns near
        ip -n near link set c0 address 52:54:00:00:00:0a; ip -n near link set c0 up
        ip -n near addr add 192.168.50.9/24 dev c0
        "$CAPTAIND" serve -c captaind.toml --state-dir state --cache-dir cache >serve.log 2>&1 & server=$!
        wait_ready
        ask() {{ ip netns exec near curl -sS -m 5 tftp://192.168.50.1/$1 2>&1 || true; }}
        ask 52:54:00:00:00:0b/snponly.efi >refused
        ask 202611220000/x >/dev/null
        ask grub/grub.cfg | grep -o 'hw_addr=[0-9a-f:]*'
        kill $server; wait $server
        "#
    );
    let out = in_namespace(folder.path(), 60, &script).expect_code(0);
    assert_eq!(out.stdout.trim(), "hw_addr=52:54:00:00:00:0a", "{}", out.stderr);
}
