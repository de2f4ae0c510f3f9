//! Every fuzz target's body over its seeds and a bounded number of changed ones, with the stable compiler. The long
//! run, which is led by coverage, is `cargo xtask fuzz`.

use std::collections::BTreeSet;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

#[path = "../../crates/captain-dhcp/fuzz/bodies/dhcp_door.rs"]
mod dhcp_door;
#[path = "../../crates/captain-boot/fuzz/bodies/iso_patch.rs"]
mod iso_patch;
#[path = "../../crates/captain-boot/fuzz/bodies/script_cmdline.rs"]
mod script_cmdline;
#[path = "../../crates/captain-tftp/fuzz/bodies/tftp_request.rs"]
mod tftp_request;

/// Changed inputs for each target.
const ROUNDS: usize = 8000;

/// Largest input, bytes; libFuzzer's own default.
const LARGEST: usize = 4096;

/// crate, target, body.
type Target = (&'static str, &'static str, fn(&[u8]));

const TARGETS: &[Target] = &[
    ("captain-boot", "iso_patch", iso_patch::run),
    ("captain-boot", "script_cmdline", script_cmdline::run),
    ("captain-dhcp", "dhcp_door", dhcp_door::run),
    ("captain-tftp", "tftp_request", tftp_request::run),
];

fn crates() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates")
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut files: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    files
}

/// Xorshift: the same inputs in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % limit.max(1) as u64).expect("below a usize")
    }

    fn byte(&mut self) -> u8 {
        const EDGES: [u8; 8] = [0, 1, 0x7f, 0x80, 0xff, b'\n', b'$', b'P'];
        if self.below(2) == 0 { EDGES[self.below(EDGES.len())] } else { self.below(256).to_le_bytes()[0] }
    }

    /// One change: a byte set, some cut out, some doubled, some put in, the rest cut off, or another seed behind.
    fn change(&mut self, input: &mut Vec<u8>, other: &[u8]) {
        let at = self.below(input.len());
        let until = (at + 1 + self.below(16)).min(input.len());
        match self.below(6) {
            0 | 1 if !input.is_empty() => input[at] = self.byte(),
            2 if !input.is_empty() => drop(input.drain(at..until)),
            3 => input.extend_from_within(at.min(until)..until),
            4 => input.insert(at, self.byte()),
            _ => {
                input.truncate(at);
                input.extend_from_slice(&other[self.below(other.len()).min(other.len())..]);
            }
        }
        input.truncate(LARGEST);
    }
}

fn smoke((package, name, body): &Target) {
    let seeds: Vec<_> = files(&crates().join(package).join("fuzz/seeds").join(name))
        .iter()
        .map(|path| std::fs::read(path).expect("a seed"))
        .collect();
    assert!(seeds.len() >= 5, "{package}: {name} has {} seeds", seeds.len());
    let run = |input: &[u8]| {
        let hex: String = input.iter().map(|byte| format!("{byte:02x}")).collect();
        assert!(catch_unwind(|| body(input)).is_ok(), "{package}: {name} fails on {hex}");
    };
    seeds.iter().for_each(|seed| run(seed));
    let mut dice = Dice(0x2545_f491_4f6c_dd1d);
    for _ in 0..ROUNDS {
        let mut input = seeds[dice.below(seeds.len())].clone();
        for _ in 0..=dice.below(6) {
            let other = &seeds[dice.below(seeds.len())];
            dice.change(&mut input, other);
        }
        run(&input);
    }
}

#[test]
fn seeds_and_changed_seeds_break_no_fuzz_target() {
    std::thread::scope(|scope| {
        let running: Vec<_> = TARGETS.iter().map(|target| scope.spawn(|| smoke(target))).collect();
        for target in running {
            target.join().expect("no input breaks it");
        }
    });
}

#[test]
fn no_fuzz_target_is_left_out() {
    let here: BTreeSet<_> = TARGETS.iter().map(|(package, name, _)| format!("{package}/{name}")).collect();
    let mut there = BTreeSet::new();
    for package in files(&crates()) {
        for target in files(&package.join("fuzz/fuzz_targets")) {
            let name = |path: &Path| path.file_stem().expect("a name").to_string_lossy().into_owned();
            there.insert(format!("{}/{}", name(&package), name(&target)));
        }
    }
    assert_eq!(here, there);
}
