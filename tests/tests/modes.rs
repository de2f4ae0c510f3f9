//! Mode `auto` beside a real server, and alone.

use std::path::Path;

use captain_tests::dhcp::{Message, kind};
use captain_tests::{in_namespace, write_config};
use serde_json::Value;

/// `start` and `stop` captaind on `s0`; `until WORD` waits for a DHCP mode and says it with its reason; `rival ADDRESS`
/// and `silence` start and stop dnsmasq at the other end; `say FILE` sends a client's message from there.
const FUNCTIONS: &str = r#"
network 192.168.50.1/24
sed -i 's/^loaders = .*/&\ninterfaces = ["s0"]/' captaind.toml
start() {
    "$CAPTAIND" serve -c captaind.toml --state-dir state --cache-dir cache >serve.log 2>&1 & server=$!
    wait_ready
}
stop() { kill $server; wait $server; }
status() { curl -fsS http://127.0.0.1:7080/api/v1/status; echo; }
until_mode() {
    for try in $(seq 400); do
        status >status
        ! grep -q "\"dhcp_mode\":\"$1\"" status || { cat status; return; }
        sleep 0.2
    done
    tail -n 20 serve.log >&2; cat status >&2; return 1
}
rival() {
    ip -n client addr add "$1/24" dev c0
    ip netns exec client dnsmasq --no-daemon --conf-file=/dev/null --port=0 --interface=c0 --bind-interfaces \
        --no-ping --dhcp-leasefile="$DIR/dnsmasq.leases" --no-hosts --no-resolv \
        --dhcp-range=192.168.50.10,192.168.50.20 --dhcp-option-force=60,PXEClient >dnsmasq.log 2>&1 & peer=$!
    for try in $(seq 100); do grep -q 'IP range' dnsmasq.log && return; sleep 0.1; done
    cat dnsmasq.log >&2; return 1
}
silence() { kill $peer; wait $peer || true; ip -n client addr flush dev c0; }
say() { ip netns exec client bash -c "cat '$DIR/$1' >/dev/udp/192.168.50.1/67"; }
"#;

/// The modes that `script` prints, each with its reason.
fn modes(folder: &Path, script: &str) -> Vec<String> {
    write_config(folder, "[dhcp]\nmode = \"auto\"\n");
    let mode = |line: &str| {
        let status: Value = serde_json::from_str(line).expect("JSON");
        let word = |key: &str| status[key].as_str().unwrap_or_default().to_owned();
        format!("{}: {}", word("dhcp_mode"), word("dhcp_mode_why"))
    };
    let out = in_namespace(folder, 240, &format!("{FUNCTIONS}{script}")).expect_code(0);
    out.stdout.lines().map(mode).collect()
}

#[test]
fn beside_another_dhcp_server_no_addresses_are_given_out_and_alone_they_are() {
    let folder = tempfile::tempdir().expect("a folder");
    let said = modes(
        folder.path(),
        "rival 192.168.50.2; start; until_mode auto-proxy; stop; silence; start; until_mode dynamic; stop",
    );
    let [beside, alone] = &said[..] else { panic!("{said:?}") };
    assert!(beside.starts_with("auto-proxy: DHCP server 192.168.50.2 answers"), "{beside}");
    assert!(beside.contains("take option 60 away on that server"), "{beside}");
    assert!(alone.starts_with("dynamic: no other DHCP server answered"), "{alone}");
}

#[test]
fn where_a_machine_chooses_a_server_that_came_later_no_more_addresses_are_given_out() {
    let folder = tempfile::tempdir().expect("a folder");
    let mac = [2, 0, 0, 0, 0, 7];
    let mut renew = Message::ask(kind::REQUEST, mac, 8);
    renew.ciaddr = [192, 168, 50, 150].into();
    for (name, message) in [
        ("discover", Message::ask(kind::DISCOVER, mac, 6)),
        (
            "select",
            Message::ask(kind::REQUEST, mac, 7).with(54, &[192, 168, 50, 2]).with(50, &[192, 168, 50, 15]),
        ),
        ("renew", renew),
    ] {
        std::fs::write(folder.path().join(name), message.encode()).expect("a message");
    }
    let said = modes(
        folder.path(),
        r#"
        start; until_mode dynamic
        rival 192.168.50.2; say select; until_mode auto-proxy
        say discover; say renew; sleep 1; stop
        if grep -qE 'DHCP (offer|ack)' serve.log; then exit 1; fi
        "#,
    );
    let [alone, beside] = &said[..] else { panic!("{said:?}") };
    assert!(alone.starts_with("dynamic: "), "{alone}");
    assert!(beside.starts_with("auto-proxy: DHCP server 192.168.50.2 answers"), "{beside}");
}

#[test]
fn a_link_that_comes_up_after_captaind_is_looked_at_before_addresses_are_given_out() {
    let folder = tempfile::tempdir().expect("a folder");
    let discover = Message::ask(kind::DISCOVER, [2, 0, 0, 0, 0, 7], 6);
    std::fs::write(folder.path().join("discover"), discover.encode()).expect("a message");
    let said = modes(
        folder.path(),
        r#"
        ip -n client link set c0 down
        start; sleep 6; status
        ip -n client link set c0 up; rival 192.168.50.2; until_mode auto-proxy
        stop; silence
        ip -n client link set c0 down
        start; sleep 1; ip -n client link set c0 up; sleep 2; status
        ip -n client addr add 192.168.50.2/24 dev c0
        say discover; until_mode dynamic
        if grep -q 'DHCP offer' serve.log; then exit 1; fi
        say discover; sleep 1; stop
        grep -q 'DHCP offer' serve.log
        "#,
    );
    let [nowhere, beside, looking, alone] = &said[..] else { panic!("{said:?}") };
    assert_eq!(nowhere, "auto: no carrier on s0");
    assert!(beside.starts_with("auto-proxy: DHCP server 192.168.50.2 answers"), "{beside}");
    assert!(looking.starts_with("auto: looking for other DHCP servers on s0"), "{looking}");
    assert!(alone.starts_with("dynamic: "), "{alone}");
}
