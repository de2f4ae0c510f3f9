//! A build that goes wrong says what and where, leaves no half image, and goes well when tried again.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use captain_tests::mirror::{Manner, Mirror};
use captain_tests::{cache, captaind, in_namespace, run, slow_tests};

/// A folder with a lock of the default OSIE, whose packages the tests' cache holds, and a mirror that has them.
struct Site {
    folder: tempfile::TempDir,
    mirror: Mirror,
}

impl Site {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let config = folder.path().join("captaind.toml");
        std::fs::write(&config, "").expect("a configuration");
        let packed = ["build", "-c", "captaind.toml", "--level", "1", "--bundle", "site.tar"];
        run(folder.path(), &packed).expect_code(0);
        let mirror = Mirror::of_lock(&folder.path().join("captaind.lock"), &cache());
        let text = format!("[osie]\nmirror = \"{}\"\n", mirror.url);
        std::fs::write(config, text).expect("a configuration");
        Self { folder, mirror }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Builds with an empty cache of the site's own, so that everything comes from the mirror.
    fn build(&self) -> captain_tests::Finished {
        run(self.path(), &["build", "-c", "captaind.toml", "-o", "out", "--cache-dir", "cache"])
    }

    /// Files in the output folder, those with a dot too.
    fn outputs(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.path().join("out")).into_iter().flatten().flatten();
        let mut names: Vec<_> =
            entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }
}

#[test]
fn a_package_that_the_mirror_dropped_and_a_download_that_breaks_off_are_told_and_a_later_build_goes_on() {
    if !slow_tests() {
        return;
    }
    let site = Site::new();
    let runc = site.mirror.path_of("runc");
    site.mirror.behave(&runc, Some(Manner::Gone));
    let told = site.build().expect_code(69).stderr;
    for word in ["runc", "--update", "--from-bundle", "`mirror` under [osie]"] {
        assert!(told.contains(word), "{word} is not told:\n{told}");
    }
    site.mirror.behave(&runc, Some(Manner::DiesHalfWay));
    let told = site.build().expect_code(69).stderr;
    assert!(told.contains("runc") && told.contains(" of "), "{told}");
    assert!(site.outputs().is_empty(), "{:?}", site.outputs());

    site.mirror.behave(&runc, None);
    let before = site.mirror.asked(&runc).len();
    site.build().expect_code(0);
    let asked = site.mirror.asked(&runc).split_off(before);
    assert!(asked[0] > 0, "the half that was there came again: {asked:?}");
    let names = site.outputs();
    assert!(names.contains(&"initramfs-x86_64".to_owned()), "{names:?}");
}

#[test]
fn a_package_that_nobody_has_is_named_with_those_that_are_called_alike() {
    if !slow_tests() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let config = "[osie.default]\npackages = [\"openssh-servre\"]\n";
    std::fs::write(folder.path().join("captaind.toml"), config).expect("a configuration");
    let out = run(folder.path(), &["plan", "-c", "captaind.toml"]).expect_code(1);
    assert!(out.stderr.contains("`openssh-servre`"), "{}", out.stderr);
    assert!(out.stderr.contains("did you mean openssh-server"), "{}", out.stderr);
}

/// The folder `small` in the script's namespace holds 40 MB and not one more.
const SMALL_DISK: &str = "mkdir small; mount -t tmpfs -o size=40m none small\n";

#[test]
fn a_full_disk_is_named_and_holds_no_half_image() {
    if !slow_tests() {
        return;
    }
    let site = Site::new();
    for (what, command) in [
        ("the image", r#""$CAPTAIND" build -c captaind.toml --offline -o small"#),
        ("the packages", r#""$CAPTAIND" build --from-bundle site.tar -o out --cache-dir small"#),
    ] {
        let folder = site.path();
        let _ = std::fs::remove_dir(folder.join("small"));
        let script = format!("{SMALL_DISK}set +e; {command}; code=$?; ls -A small >left; exit $code");
        let out = in_namespace(folder, 300, &script).expect_code(1);
        assert!(out.stderr.contains("No space left on device"), "{what}: {}", out.stderr);
        assert!(out.stderr.contains("small"), "{what}: where is not told: {}", out.stderr);
        assert!(out.stderr.contains("captaind clean"), "{what}: what to do is not told: {}", out.stderr);
        let left = std::fs::read_to_string(folder.join("left")).expect("what is left");
        let half = |name: &str| ["initramfs", "vmlinuz", "lock-"].iter().any(|start| name.contains(start));
        assert!(!left.lines().any(half), "{what}: {left}");
    }
}

#[test]
fn a_build_that_is_killed_leaves_no_half_image_and_the_next_one_goes_well() {
    if !slow_tests() {
        return;
    }
    let site = Site::new();
    let mut child = Command::new(captaind())
        .args(["build", "-c", "captaind.toml", "--offline", "-o", "out"])
        .env("CAPTAIND_CACHE_DIR", cache())
        .current_dir(site.path())
        .stderr(Stdio::null())
        .spawn()
        .expect("captaind starts");
    let (began, mut size) = (Instant::now(), 0);
    while size == 0 && began.elapsed() < Duration::from_secs(120) {
        std::thread::sleep(Duration::from_millis(20));
        let part = site.outputs().into_iter().find(|name| name.ends_with(".part"));
        let part = part.and_then(|name| std::fs::metadata(site.path().join("out").join(name)).ok());
        size = part.map_or(0, |part| part.len());
    }
    assert!(size > 0, "the image was not seen growing: {:?}", site.outputs());
    child.kill().expect("SIGKILL");
    child.wait().expect("its end");
    let seen = site.outputs();
    assert!(seen.iter().all(|name| name.starts_with('.')), "half an image has its name: {seen:?}");

    let offline = ["build", "-c", "captaind.toml", "--offline", "-o"];
    for out in ["out", "apart"] {
        run(site.path(), &[&offline[..], &[out]].concat()).expect_code(0);
    }
    let read = |out: &str| std::fs::read(site.path().join(out).join("initramfs-x86_64")).expect("an image");
    assert!(read("out") == read("apart"), "the kill is seen in the next image");
    assert!(site.outputs().iter().all(|name| !name.ends_with(".part")), "{:?}", site.outputs());
}
