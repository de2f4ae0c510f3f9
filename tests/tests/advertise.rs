//! Advertise = serve: every name and URL that a reply or a script holds is there for the machine that was told it, or
//! is refused as the machine's policy says.

use std::fmt::Write;
use std::path::Path;

use captain_tests::{in_namespace, write_config};
use serde_json::Value;

const FIRMWARE: [&str; 6] = ["bios", "uefi", "uefi-http", "ipxe", "raspberry-pi", "u-boot"];

/// What a machine may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Policy {
    /// All it is told of.
    Boots,
    /// Nothing, and is told to go on.
    Exits,
    /// iPXE, whose script holds this word, and no system.
    Runs(&'static str),
    /// Nothing, not even an answer.
    Silence,
}

/// Last byte of MAC and address, configuration, policy.
const MACHINES: [(u8, &str, Policy); 9] = [
    (21, "", Policy::Boots),
    (22, "profile = \"rack\"", Policy::Boots),
    (23, "netboot = false", Policy::Exits),
    (24, "boot = \"never\"\nlocal_boot = \"sanboot\"", Policy::Runs("sanboot")),
    (25, "boot = \"never\"\nlocal_boot = \"poweroff\"", Policy::Runs("poweroff")),
    (26, "boot = \"never\"\nlocal_boot = \"silence\"", Policy::Silence),
    (27, "arch = \"arm64\"", Policy::Boots),
    (28, "loader = \"custom.efi\"", Policy::Boots),
    (29, "boot = \"until-done\"", Policy::Boots),
];

/// A machine that boots once.
const ONCE: u8 = 30;

/// Machines that have used up their policy when everything else was fetched, and what they are told then.
const SETTLED: [(u8, &str); 2] = [(29, "has reported that it is done"), (ONCE, "has booted once")];

fn mac(machine: u8) -> String {
    format!("52:54:00:00:00:{machine}")
}

/// A server end `s0`, and a network namespace with the other end, which has every machine's address.
const NETWORK: &str = r#"
network 192.168.50.1/24
for machine in $(seq 21 30); do ip -n client addr add 192.168.50.$machine/24 dev c0; done
"#;

fn configure(folder: &Path) {
    let mut more = String::from(
        "[profile.rack]\nosie = \"./osie\"\n[tftp]\nroot = \"extra\"\n[iso]\nsource = \"test.iso\"\n\
         [dhcp]\nmode = \"dynamic\"\n[[dhcp.subnet]]\nnetwork = \"192.168.50.0/24\"\n\
         range = [\"192.168.50.100\", \"192.168.50.199\"]\nrouter = \"192.168.50.1\"\n",
    );
    let listed = MACHINES.map(|(machine, settings, _)| (machine, settings));
    for (machine, settings) in listed.into_iter().chain([(ONCE, "boot = \"once\"")]) {
        let mac = mac(machine);
        write!(more, "[[machine]]\nmac = \"{mac}\"\naddress = \"192.168.50.{machine}\"\n{settings}\n")
            .expect("a String takes it");
    }
    write_config(folder, &more);
    std::fs::create_dir_all(folder.join("extra")).expect("a folder");
    for file in [
        "osie/vmlinuz-aarch64",
        "osie/initramfs-aarch64",
        "loaders/ipxe-arm64.efi",
        "loaders/custom.efi",
        "extra/start4.elf",
    ] {
        std::fs::write(folder.join(file), file).expect("a file");
    }
    let placeholder = include_bytes!("../../crates/captain-model/src/iso-placeholder.txt");
    std::fs::write(folder.join("test.iso"), [&[0; 5000], placeholder.as_slice(), &[0; 5000]].concat())
        .expect("a file");
}

/// What `captaind explain` says to each machine and firmware.
fn explain(folder: &Path) -> Vec<(u8, &'static str, Policy, Value)> {
    let mut script =
        format!("{NETWORK}\nsed -i 's/^loaders = .*/&\\ninterfaces = [\"s0\"]/' captaind.toml\n");
    for (machine, _, _) in MACHINES {
        for firmware in FIRMWARE {
            let mac = mac(machine);
            writeln!(script, "\"$CAPTAIND\" explain {mac} -c captaind.toml --firmware {firmware} --json >{machine}.{firmware}.json")
                .expect("a String takes it");
        }
    }
    in_namespace(folder, 120, &script).expect_code(0);
    let read = |machine: u8, firmware: &str| {
        let text = std::fs::read_to_string(folder.join(format!("{machine}.{firmware}.json")));
        serde_json::from_str(&text.expect("an answer")).expect("JSON")
    };
    MACHINES
        .into_iter()
        .flat_map(|(machine, _, policy)| {
            FIRMWARE.map(|firmware| (machine, firmware, policy, read(machine, firmware)))
        })
        .collect()
}

/// One thing to fetch, as the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Fetch {
    machine: u8,
    /// A URL, or the name of a file on our TFTP server.
    what: String,
    expected: Expected,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Expected {
    /// It is there.
    There,
    /// It is there and holds this.
    Holding(String),
    /// It is refused with a reason that holds this.
    Refused(&'static str),
}

const OFF: &str = "netboot is switched off for";

/// Names of boot files in the reply: the header's field and option 67.
fn names(answer: &Value) -> Vec<String> {
    let lines = answer["dhcp"]["reply"].as_array().cloned().unwrap_or_default();
    let is_name = |line: &&Value| line["code"] == 67 || (line["code"].is_null() && line["name"] == "file");
    let value = |line: &Value| line["value"].as_str().unwrap_or_default().trim_matches('"').to_owned();
    let mut names: Vec<String> = lines.iter().filter(is_name).map(value).collect();
    names.dedup();
    names
}

fn urls(script: &str) -> Vec<String> {
    let words = script.split_whitespace().filter(|word| word.starts_with("http://192.168.50.1:7080/"));
    words.filter(|word| !word.contains("${")).map(str::to_owned).collect()
}

/// What follows from a reply and a script.
fn fetches_of(machine: u8, firmware: &str, policy: Policy, answer: &Value) -> Vec<Fetch> {
    let fetch = |what: String, expected| Fetch { machine, what, expected };
    let mut all = Vec::new();
    for name in names(answer) {
        let expected = match policy {
            Policy::Boots if name.ends_with("auto.ipxe") => {
                Expected::Holding(format!("hw_addr={}", mac(machine)))
            }
            Policy::Boots => Expected::There,
            Policy::Exits if firmware == "ipxe" && name.ends_with("auto.ipxe") => {
                Expected::Holding("exit 1".to_owned())
            }
            Policy::Exits | Policy::Silence => Expected::Refused(OFF),
            Policy::Runs(word) if name.ends_with("auto.ipxe") => Expected::Holding(format!("\n{word}")),
            Policy::Runs(_) => Expected::There,
        };
        all.push(fetch(name, expected));
    }
    let script = answer["script"].as_str().unwrap_or_default();
    all.extend(urls(script).into_iter().map(|url| fetch(url, Expected::There)));
    all
}

/// What machines ask for without being told, because their firmware has the names built in.
fn built_in(machine: u8, policy: Policy) -> Vec<Fetch> {
    let (mac, dashes) = (mac(machine), mac(machine).replace(':', "-"));
    let arch = if machine == 27 { "aarch64" } else { "x86_64" };
    let profile = if machine == 22 { "rack" } else { "default" };
    let expected = |there: Expected| if policy == Policy::Boots { there } else { Expected::Refused(OFF) };
    let own = || Expected::Holding(format!("hw_addr={mac}"));
    let list = [
        (format!("pxelinux.cfg/01-{dashes}"), expected(own())),
        (format!("grub/grub.cfg-01-{dashes}"), expected(own())),
        ("/grub/grub.cfg".to_owned(), expected(own())),
        (format!("/osie/{profile}/vmlinuz-{arch}"), expected(Expected::There)),
        (format!("/osie/{profile}/initramfs-{arch}"), expected(Expected::There)),
        ("1a2b3c4d/start4.elf".to_owned(), expected(Expected::There)),
        (format!("http://192.168.50.1:7080/iso/{dashes}/test.iso"), expected(own())),
        (format!("http://192.168.50.1:7080/pxelinux.cfg/01-{dashes}"), expected(own())),
        (format!("http://192.168.50.1:7080/tftp/pxelinux.cfg/01-{dashes}"), expected(own())),
        (format!("http://192.168.50.1:7080/tftp/osie/{profile}/vmlinuz-{arch}"), expected(Expected::There)),
        ("http://192.168.50.1:7080/tftp/1a2b3c4d/start4.elf".to_owned(), expected(Expected::There)),
    ];
    list.into_iter().map(|(what, expected)| Fetch { machine, what, expected }).collect()
}

/// The one boot of the machine that has one.
fn once() -> [Fetch; 2] {
    let fetch = |path: String, expected| Fetch {
        machine: ONCE,
        what: format!("http://192.168.50.1:7080{path}"),
        expected,
    };
    let mac = mac(ONCE);
    [
        fetch(format!("/ipxe/script/{mac}/auto.ipxe"), Expected::Holding(format!("hw_addr={mac}"))),
        fetch("/osie/default/initramfs-x86_64".to_owned(), Expected::There),
    ]
}

/// What is refused to a machine that has used up its policy: the same as to one that must never netboot, of which
/// `all` tells.
fn settled(all: &[Fetch]) -> Vec<Fetch> {
    let never = || all.iter().filter(|fetch| fetch.machine == 23);
    let of = |(machine, why): (u8, &'static str)| {
        never().map(move |fetch| Fetch {
            machine,
            what: fetch
                .what
                .replace(&mac(23), &mac(machine))
                .replace(&mac(23).replace(':', "-"), &mac(machine).replace(':', "-")),
            expected: match &fetch.expected {
                Expected::Refused(_) => Expected::Refused(why),
                told @ (Expected::There | Expected::Holding(_)) => told.clone(),
            },
        })
    };
    SETTLED.into_iter().flat_map(of).collect()
}

/// Fetches `all` and then, when some machines have used up their policy, `after` from one daemon. In `N.body` is what came, in `N.code` 200 or not, in `N.error` what TFTP said.
fn run(folder: &Path, all: &[Fetch], after: &[Fetch]) {
    let write = |name: &str, first: usize, fetches: &[Fetch]| {
        let mut list = String::new();
        for (number, fetch) in fetches.iter().enumerate() {
            writeln!(list, "{} {} {}", first + number, fetch.machine, fetch.what).expect("a String takes it");
        }
        std::fs::write(folder.join(name), list).expect("a file");
    };
    write("list", 0, all);
    write("list-after", all.len(), after);
    let script = format!(
        r#"{NETWORK}
        "$CAPTAIND" serve -c captaind.toml --state-dir state --cache-dir cache >serve.log 2>&1 & server=$!
        wait_ready
        cat >fetch <<'EOF'
        while read -r number machine what; do
            ip route replace 192.168.50.0/24 dev c0 src 192.168.50.$machine
            : >$number.error
            case $what in
            http://*) curl -s -m 20 -o $number.body -w '%{{http_code}}' "$what" >$number.code ;;
            *)
                what=${{what#tftp://192.168.50.1/}}
                if timeout 20 busybox tftp -g -r "$what" -l $number.body 192.168.50.1 2>$number.error
                then echo -n 200 >$number.code; else echo -n 0 >$number.code; fi ;;
            esac
        done <$1
EOF
        ip netns exec client bash fetch list
        curl -fsS -d '{{"step":"done"}}' http://127.0.0.1:7080/api/v1/machines/52:54:00:00:00:29/event
        ip netns exec client bash fetch list-after
        kill $server; wait $server
        "#
    );
    in_namespace(folder, 180, &script).expect_code(0);
}

/// What is wrong with the answer, if anything.
fn fault(folder: &Path, number: usize, fetch: &Fetch) -> Option<String> {
    let read = |end: &str| {
        let bytes = std::fs::read(folder.join(format!("{number}.{end}"))).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    };
    let (code, body, error) = (read("code"), read("body"), read("error"));
    let right = match &fetch.expected {
        Expected::There => code == "200" && !body.is_empty(),
        Expected::Holding(text) => code == "200" && body.contains(text),
        Expected::Refused(why) if fetch.what.starts_with("http") => code == "403" && body.contains(why),
        Expected::Refused(why) => code == "0" && error.contains(why),
    };
    (!right).then(|| format!("{fetch:?}: {code} {error} {body:.300}"))
}

#[test]
fn whatever_a_machine_is_told_of_is_there_for_it_or_refused_as_its_policy_says() {
    let folder = tempfile::tempdir().expect("a folder");
    configure(folder.path());
    let mut all = Vec::new();
    for (machine, firmware, policy, answer) in explain(folder.path()) {
        let own = fetches_of(machine, firmware, policy, &answer);
        if policy == Policy::Silence {
            let decision = answer["dhcp"]["decision"].as_str().unwrap_or_default();
            assert!(own.is_empty() && decision.starts_with("silence"), "{machine} {firmware}: {answer}");
        } else if matches!(firmware, "uefi" | "uefi-http" | "ipxe") {
            assert!(!own.is_empty(), "{machine} {firmware} is told of nothing: {answer}");
        }
        all.extend(own);
    }
    all.extend(MACHINES.into_iter().flat_map(|(machine, _, policy)| built_in(machine, policy)));
    all.extend(once());
    let after = settled(&all);
    assert!(all.len() > 150 && after.len() > 20, "only {} and {} names", all.len(), after.len());
    run(folder.path(), &all, &after);
    all.extend(after);
    let faults: Vec<String> =
        all.iter().enumerate().filter_map(|(number, fetch)| fault(folder.path(), number, fetch)).collect();
    let log = std::fs::read_to_string(folder.path().join("serve.log")).unwrap_or_default();
    assert!(faults.is_empty(), "{} of {}:\n{}\n{log}", faults.len(), all.len(), faults.join("\n"));
}
