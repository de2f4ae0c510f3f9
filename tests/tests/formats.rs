//! What an OSIE is packed into: built, served, started by real firmware.

use std::path::Path;

use captain_tests::{in_namespace, run, slow_tests};
use serde_json::Value;

/// `boot NAME ARCH QEMU'S ARGUMENTS...` starts a machine and waits until its kernel tells its command line, which it
/// prints; one with flash has a copy of the firmware's variables in `NAME.fd`.
const BOOT: &str = r#"
boot() {
    name=$1 cpu=$2; shift 2
    case $cpu in
        x86_64) set -- -machine q35,graphics=off -cpu max "$@" ;;
        aarch64) set -- -machine virt -cpu max,pauth-impdef=on "$@" ;;
    esac
    qemu-system-$cpu -accel tcg,thread=multi -m 2048 -display none -nodefaults -no-reboot -serial file:$name.log "$@" &
    local qemu=$! seconds
    for seconds in $(seq 280); do
        grep -aq 'ommand line:' $name.log 2>/dev/null && break
        kill -0 $qemu 2>/dev/null || break
        sleep 1
    done
    kill $qemu 2>/dev/null || true
    wait $qemu 2>/dev/null || true
    grep -aq 'ommand line:' $name.log || { echo "$name:"; tail -c 2000 $name.log; return 1; }
    echo "$name: $(grep -a -m1 'ommand line:' $name.log)"
}
flash() {
    cp $2 $3.fd
    echo "-drive if=pflash,unit=0,format=raw,readonly=on,file=$1 -drive if=pflash,unit=1,format=raw,file=$3.fd"
}
ovmf() { flash /usr/share/OVMF/OVMF_CODE_4M.fd /usr/share/OVMF/OVMF_VARS_4M.fd $1; }
aavmf() { flash /usr/share/AAVMF/AAVMF_CODE.fd /usr/share/AAVMF/AAVMF_VARS.fd $1; }
stick() { echo "-drive file=$1,format=raw,readonly=on,if=none,id=d -device qemu-xhci -device usb-storage,drive=d"; }
all() { for job in "$@"; do wait $job; done; }
"#;

/// Each way in which a server starts from virtual media or from a stick.
const ISO: &str = r#"
boot bios-cd x86_64 -cdrom served.iso & one=$!
boot uefi-cd x86_64 $(ovmf uefi-cd) -cdrom served.iso & two=$!
all $one $two
boot bios-stick x86_64 $(stick served.iso) & one=$!
boot uefi-stick x86_64 $(ovmf uefi-stick) $(stick served.iso) & two=$!
all $one $two
"#;

/// The lines of `out` that tell a kernel's command line.
fn command_lines(out: &str) -> Vec<&str> {
    out.lines().filter(|line| line.contains("ommand line:")).collect()
}

#[test]
fn an_iso_starts_by_bios_and_by_uefi_as_cd_and_as_stick_with_the_command_line_that_captaind_put_in() {
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
        {BOOT}{ISO}"#
    );
    let out = in_namespace(folder.path(), 420, &script).expect_code(0);
    let lines = command_lines(&out.stdout);
    assert_eq!(lines.len(), 4, "{}", out.stdout);
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
    run(folder.path(), &["build", "--format", "tar,uki", "--cmdline", "my=own", "-o", "out"]).expect_code(0);
    let script = format!(
        r#"{BOOT}
        mkdir -p esp/EFI/BOOT; cp out/osie-x86_64.efi esp/EFI/BOOT/BOOTX64.EFI
        boot uki x86_64 $(ovmf uki) -drive file=fat:rw:esp,format=raw,if=none,id=d -device virtio-blk-pci,drive=d"#
    );
    let out = in_namespace(folder.path(), 200, &script).expect_code(0);
    assert!(command_lines(&out.stdout)[0].contains("console=ttyS0,115200 my=own"), "{}", out.stdout);
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

#[test]
fn the_iso_and_the_uki_of_an_arm64_osie_start_on_its_firmware() {
    if !slow_tests() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("captaind.toml"), "").expect("a configuration");
    let build = ["build", "-c", "captaind.toml", "--arch", "arm64", "--level", "1", "-o", "out"];
    run(folder.path(), &[&build[..], &["--format", "iso,uki", "--cmdline", "my=own"]].concat())
        .expect_code(0);
    let script = format!(
        r#"{BOOT}
        mkdir -p esp/EFI/BOOT; cp out/osie-aarch64.efi esp/EFI/BOOT/BOOTAA64.EFI
        boot uki aarch64 $(aavmf uki) -drive file=fat:rw:esp,format=raw,if=none,id=d -device virtio-blk-pci,drive=d & one=$!
        boot iso aarch64 $(aavmf iso) $(stick out/osie-aarch64.iso) & two=$!
        all $one $two"#
    );
    let out = in_namespace(folder.path(), 300, &script).expect_code(0);
    let lines = command_lines(&out.stdout);
    assert_eq!(lines.len(), 2, "{}", out.stdout);
    assert!(lines.iter().any(|line| line.starts_with("uki:") && line.contains("my=own")), "{lines:?}");
    assert!(lines.iter().any(|line| line.starts_with("iso:") && line.contains("BOOT_IMAGE=")), "{lines:?}");
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
