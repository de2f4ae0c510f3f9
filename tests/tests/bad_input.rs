//! Bad input gets one clear error: what, where, what to do.

use captain_tests::{in_namespace, run, write_config};

#[test]
fn a_configuration_with_five_faults_lists_all_five_with_their_lines() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = r#"[server]
http_prot = 7080
[dhcp]
mode = "dynamik"
[[dhcp.subnet]]
network = "192.168.50.0/24"
range = ["192.168.50.100", "192.168.51.199"]
[[machine]]
mac = "52:54:00:00:00"
[[machine]]
mac = "52:54:00:00:00:02"
profile = "rack"
"#;
    std::fs::write(folder.path().join("captaind.toml"), text).expect("a configuration");
    for command in ["check", "serve", "build"] {
        let out = run(folder.path(), &[command, "-c", "captaind.toml"]).expect_code(64);
        for (line, word) in
            [(2, "http_prot"), (4, "dynamik"), (7, "192.168.51.199"), (9, "52:54:00:00:00"), (12, "rack")]
        {
            let place = format!("captaind.toml:{line}:");
            let told = out.stderr.lines().any(|told| told.contains(&place) && told.contains(word));
            assert!(told, "{command} does not tell `{word}` of line {line}:\n{}", out.stderr);
        }
        assert_eq!(out.stderr.matches("captaind.toml:").count(), 5, "{}", out.stderr);
    }
}

#[test]
fn a_configuration_that_is_not_there_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = run(folder.path(), &["check", "-c", "nowhere.toml"]).expect_code(64);
    assert!(out.stderr.contains("nowhere.toml"), "{}", out.stderr);
}

#[test]
fn a_typo_on_the_command_line_is_a_usage_error() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = run(folder.path(), &["serve", "--interfaec", "eth0"]).expect_code(64);
    assert!(out.stderr.contains("--interface"), "{}", out.stderr);
}

#[test]
fn a_taken_port_67_says_by_whom() {
    let folder = tempfile::tempdir().expect("a folder");
    write_config(folder.path(), "");
    let script = r#"
        ip link add s0 type veth peer name c0
        ip addr add 192.168.50.1/24 dev s0; ip link set s0 up; ip link set c0 up
        printf 'interface s0\nstart 192.168.50.100\nend 192.168.50.199\nlease_file %s/leases\npidfile %s/pid\n' \
            "$DIR" "$DIR" >udhcpd.conf
        touch leases
        busybox udhcpd -f udhcpd.conf & other=$!
        for _ in $(seq 50); do grep -q ':0043 ' /proc/net/udp && break; sleep 0.1; done
        set +e
        "$CAPTAIND" serve -c captaind.toml -i s0 --mode dynamic --state-dir state --cache-dir cache
        code=$?
        kill $other
        exit $code
    "#;
    let out = in_namespace(folder.path(), 30, script).expect_code(69);
    assert!(out.stderr.contains("67") && out.stderr.contains("busybox"), "{}", out.stderr);
}

#[test]
fn an_interface_that_is_not_there_is_named_beside_those_that_are() {
    let folder = tempfile::tempdir().expect("a folder");
    write_config(folder.path(), "");
    let script = "\"$CAPTAIND\" serve -c captaind.toml -i eth9 --state-dir state --cache-dir cache";
    let out = in_namespace(folder.path(), 30, script).expect_code(69);
    assert!(out.stderr.contains("eth9") && out.stderr.contains("lo"), "{}", out.stderr);
}
