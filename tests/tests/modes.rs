//! Mode `auto` beside a real server, and alone.

use captain_tests::{in_namespace, write_config};
use serde_json::Value;

/// What `captaind status` says of the mode, once it is known: the network is listened to for some seconds first.
const SERVE: &str = r#"
serve() {
    "$CAPTAIND" serve -c captaind.toml --state-dir state --cache-dir cache >serve.log 2>&1 & server=$!
    wait_ready
    for try in $(seq 100); do
        curl -fsS http://127.0.0.1:7080/api/v1/status >status
        grep -q '"dhcp_mode":"auto"' status || break
        sleep 0.2
    done
    cat status; echo
    kill $server; wait $server
}
"#;

#[test]
fn beside_another_dhcp_server_no_addresses_are_given_out_and_alone_they_are() {
    let folder = tempfile::tempdir().expect("a folder");
    write_config(folder.path(), "[dhcp]\nmode = \"auto\"\n");
    let script = format!(
        r#"{SERVE}
        network 192.168.50.1/24
        ip -n client addr add 192.168.50.2/24 dev c0
        sed -i 's/^loaders = .*/&\ninterfaces = ["s0"]/' captaind.toml
        ip netns exec client dnsmasq --no-daemon --conf-file=/dev/null --port=0 --interface=c0 --bind-interfaces \
            --no-ping --dhcp-leasefile="$DIR/dnsmasq.leases" --no-hosts --no-resolv \
            --dhcp-range=192.168.50.10,192.168.50.20 --dhcp-option-force=60,PXEClient >dnsmasq.log 2>&1 & peer=$!
        sleep 1
        serve
        kill $peer; wait $peer || true
        serve
        "#
    );
    let out = in_namespace(folder.path(), 120, &script).expect_code(0);
    let mode = |line: &str| {
        let status: Value = serde_json::from_str(line).expect("JSON");
        let word = |key: &str| status[key].as_str().unwrap_or_default().to_owned();
        format!("{}: {}", word("dhcp_mode"), word("dhcp_mode_why"))
    };
    let said: Vec<String> = out.stdout.lines().map(mode).collect();
    let [beside, alone] = &said[..] else { panic!("{said:?}") };
    assert!(beside.starts_with("auto-proxy: DHCP server 192.168.50.2 answers"), "{beside}");
    assert!(beside.contains("take option 60 away on that server"), "{beside}");
    assert!(alone.starts_with("dynamic: no other DHCP server answered"), "{alone}");
}
