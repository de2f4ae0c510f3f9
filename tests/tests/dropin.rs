//! OSIEs of other makers, had from elsewhere: resumed, and taken in only for what somebody vouches for.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use captain_tests::mirror::{Manner, Mirror};
use captain_tests::{Finished, run};

/// An archive with a kernel and an initramfs that nobody would boot, and a server that has it.
fn site(folder: &Path) -> Mirror {
    let mut kernel = vec![0; 300_000];
    // What x86's boot protocol has there, and content that does not pack well.
    kernel[0x202..0x206].copy_from_slice(b"HdrS");
    let noise =
        std::iter::successors(Some(1u32), |n| Some(n.wrapping_mul(1_664_525).wrapping_add(1_013_904_223)));
    kernel[0x400..].iter_mut().zip(noise).for_each(|(byte, noise)| *byte = (noise >> 24) as u8);
    std::fs::write(folder.join("vmlinuz-x86_64"), kernel).expect("a file");
    std::fs::write(folder.join("initramfs-x86_64"), "no archive").expect("a file");
    let made = Command::new("tar")
        .args(["-czf", "osie.tar.gz", "vmlinuz-x86_64", "initramfs-x86_64"])
        .current_dir(folder)
        .status();
    assert!(made.expect("tar starts").success());
    Mirror::of_files(BTreeMap::from([(FILE.to_owned(), folder.join("osie.tar.gz"))]))
}

const FILE: &str = "osie.tar.gz";

fn add(folder: &Path, mirror: &Mirror, more: &[&str]) -> Finished {
    let url = format!("{}/{FILE}", mirror.url);
    run(folder, &[&["osie", "add", "mine", &url, "--cache-dir", "cache"][..], more].concat())
}

#[test]
fn an_osie_that_nobody_vouches_for_is_not_taken_in_and_one_that_breaks_off_goes_on_from_there() {
    let folder = tempfile::tempdir().expect("a folder");
    let mirror = site(folder.path());
    mirror.behave(FILE, Some(Manner::DiesHalfWay));
    let sum = Command::new("sha256sum").arg(folder.path().join(FILE)).output().expect("sha256sum starts");
    let sum = String::from_utf8_lossy(&sum.stdout)[..64].to_owned();
    let told = add(folder.path(), &mirror, &["--sha256", &sum]).expect_code(69).stderr;
    for word in ["cannot download http://127.0.0.1", FILE, "bytes came in", "run again to go on from there"] {
        assert!(told.contains(word), "{word} is not told:\n{told}");
    }
    assert!(!folder.path().join("cache/osie/mine").exists());

    mirror.behave(FILE, None);
    let before = mirror.asked(FILE).len();
    let zeros = format!("{:064}", 0);
    let told = add(folder.path(), &mirror, &["--sha256", &zeros]).expect_code(1).stderr;
    assert!(told.contains(&sum) && told.contains("not the file that was meant"), "{told}");
    let told = add(folder.path(), &mirror, &["--sha256", &sum]).expect_code(0);
    assert!(told.stdout.contains("vmlinuz-x86_64"), "{}", told.stdout);
    let asked = mirror.asked(FILE).split_off(before);
    assert!(asked.last().is_some_and(|from| *from > 0), "the half that was there came again: {asked:?}");
}

#[test]
fn without_a_sum_it_is_told_which_one_came_and_what_to_run() {
    let folder = tempfile::tempdir().expect("a folder");
    let mirror = site(folder.path());
    let told = add(folder.path(), &mirror, &[]).expect_code(64).stderr;
    let sum = told.split("--sha256 ").nth(1).and_then(|rest| rest.get(..64)).expect("the sum to run it with");
    assert!(!folder.path().join("cache/osie/mine").exists());
    let asked = mirror.asked(FILE).len();
    add(folder.path(), &mirror, &["--sha256", sum]).expect_code(0);
    assert_eq!(mirror.asked(FILE).len(), asked, "it was downloaded twice");
    let out = run(folder.path(), &["osie", "list", "--cache-dir", "cache"]).expect_code(0);
    assert!(out.stdout.contains("mine") && out.stdout.contains("127.0.0.1"), "{}", out.stdout);
}
