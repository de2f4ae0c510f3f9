//! What an OSIE is packed into: built, served, started by real firmware.

use std::path::Path;

use captain_tests::{in_namespace, run, slow_tests};
use serde_json::Value;

/// Starts two machines from `served.iso` and waits until systemd works in both.
const BOOT: &str = r#"
qemu="qemu-system-x86_64 -accel tcg,thread=multi -cpu max -machine q35,graphics=off -m 2048 -display none -nodefaults
 -no-reboot -cdrom served.iso"
cp /usr/share/OVMF/OVMF_VARS_4M.fd vars.fd
$qemu -serial file:bios.log & bios=$!
$qemu -serial file:uefi.log -drive if=pflash,unit=0,format=raw,readonly=on,file=/usr/share/OVMF/OVMF_CODE_4M.fd \
    -drive if=pflash,unit=1,format=raw,file=vars.fd & uefi=$!
for _ in $(seq 240); do
    grep -aq 'systemd\[1\]: Start' bios.log && grep -aq 'systemd\[1\]: Start' uefi.log && break
    sleep 1
done
kill $bios $uefi
for log in bios.log uefi.log; do
    grep -aq 'systemd\[1\]: Start' $log || { echo "$log:"; tail -c 2000 $log; exit 1; }
    grep -a -m1 'Command line:' $log
done
"#;

#[test]
fn an_iso_starts_by_bios_and_by_uefi_with_the_command_line_that_captaind_put_in() {
    if !slow_tests() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    run(folder.path(), &["build", "--format", "iso"]).expect_code(0);
    // The loaders are fetched by `serve`; in a namespace nothing can be, so the lab's preparation does it here.
    run(folder.path(), &["lab", "--until", "dhcp", "--timeout", "60s"]).expect_code(0);
    let config = "[[machine]]\nmac = \"52:54:00:00:00:01\"\ncmdline = [\"only=this\"]\n";
    std::fs::write(folder.path().join("captaind.toml"), config).expect("a configuration");
    let script = format!(
        r#"
        ip link add s0 type veth peer name c0
        ip addr add 192.168.50.1/24 dev s0; ip link set s0 up; ip link set c0 up
        "$CAPTAIND" serve -i s0 --mode dynamic --state-dir state >serve.log 2>&1 & server=$!
        iso=http://192.168.50.1:7080/iso/52-54-00-00-00-01/captaind.iso
        for _ in $(seq 150); do curl -fsS -o served.iso $iso 2>/dev/null && break; sleep 0.2; done
        curl -fsS -r 131000-140000 -o part $iso
        cmp -n 9001 -i 131000:0 served.iso part
        kill $server; wait $server || true
        {BOOT}"#
    );
    let out = in_namespace(folder.path(), 420, &script).expect_code(0);
    let lines: Vec<_> = out.stdout.lines().filter(|line| line.contains("Command line:")).collect();
    assert_eq!(lines.len(), 2, "{}", out.stdout);
    for line in lines {
        assert!(line.contains("hw_addr=52:54:00:00:00:01") && line.contains("only=this"), "{line}");
    }
}

#[test]
fn the_archive_of_an_osie_is_taken_in_under_a_name_and_boots() {
    if !slow_tests() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let name = format!("test-{}", std::process::id());
    run(folder.path(), &["build", "--format", "tar,uki", "-o", "out"]).expect_code(0);
    is_efi_program(&folder.path().join("out/osie-x86_64.efi"));
    let added =
        run(folder.path(), &["osie", "add", &name, "out/osie-x86_64.tar.gz", "--json"]).expect_code(0);
    let added: Value = serde_json::from_str(&added.stdout).expect("JSON");
    assert_eq!((&added["kind"], added["files"].as_array().map(Vec::len)), (&"captaind".into(), Some(2)));
    let config = format!("[profile.default]\nosie = \"{name}\"\n");
    std::fs::write(folder.path().join("captaind.toml"), config).expect("a configuration");
    let refused = run(folder.path(), &["osie", "remove", &name]).expect_code(64);
    assert!(refused.stderr.contains("profile `default` boots"), "{}", refused.stderr);
    let lab = run(folder.path(), &["lab", "--until", "userland"]);
    std::fs::remove_file(folder.path().join("captaind.toml")).expect("the configuration is there");
    run(folder.path(), &["osie", "remove", &name]).expect_code(0);
    lab.expect_code(0);
}

fn is_efi_program(path: &Path) {
    let bytes = std::fs::read(path).expect("a UKI");
    assert_eq!(&bytes[..2], b"MZ");
    assert!(bytes.windows(8).take(8192).any(|name| name == b".linux\0\0"), "no kernel in it");
}

#[test]
fn a_built_osie_is_summed_up_and_entered_and_nothing_is_left() {
    if !slow_tests() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    run(folder.path(), &["build", "-o", "out"]).expect_code(0);
    let summary = run(folder.path(), &["summary", "--osie", "./out", "--json"]).expect_code(0);
    let summary: Value = serde_json::from_str(&summary.stdout).expect("JSON");
    let [summary] = summary.as_array().expect("one of each architecture").as_slice() else {
        panic!("{summary}")
    };
    assert!(summary["manifest"]["packages"][0]["why"].is_string(), "{summary}");
    let script = "test -x /usr/bin/containerd && . /etc/os-release && echo $ID $(id -u) && touch /left";
    let inside = run(folder.path(), &["shell", "--osie", "./out", "--", "/bin/bash", "-c", script]);
    assert_eq!(inside.expect_code(0).stdout, "debian 0\n");
    assert!(!Path::new("/left").exists());
    let failed = run(folder.path(), &["shell", "--osie", "./out", "--", "/bin/false"]);
    failed.expect_code(1);
    let none = run(folder.path(), &["shell", "--osie", "./nothing"]).expect_code(64);
    assert!(none.stderr.contains("captaind build"), "{}", none.stderr);
}
