//! Against the mirror that this machine's apt is set up with. Needs the network, so it is run by hand:
//! `cargo test -p captain-debian --test host_mirror -- --ignored --nocapture`.
//! CACHE=DIR keeps the downloads, ARCH and SUITE choose others than amd64 and trixie, PACKAGES others packages,
//! OFFLINE=1 uses the cache only.

use std::env;
use std::path::Path;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use captain_debian::{Archive, Error, Mirrors, NoProgress, Options, Request};
use captain_model::Timestamp;

fn setting(name: &str, default: &str) -> String {
    env::var(name).unwrap_or_else(|_| default.to_owned())
}

#[tokio::test]
#[ignore = "needs the network"]
async fn the_hosts_mirror_gives_a_small_system() {
    let own = tempfile::tempdir().unwrap();
    let cache = env::var_os("CACHE").map_or_else(|| own.path().to_owned(), Into::into);
    let arch = setting("ARCH", "amd64").parse().unwrap();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
    let mirrors = Mirrors::of_apt(Path::new("/etc/apt")).unwrap();
    let now = Timestamp::from_millis(u64::try_from(now).unwrap());
    let mut options = Options::new(mirrors, &setting("SUITE", "trixie"), arch, cache, now);
    options.components.push("non-free-firmware".to_owned());
    options.offline = env::var_os("OFFLINE").is_some();

    let start = Instant::now();
    let archive = Archive::open(options, &NoProgress).await.unwrap();
    println!("open: {:?}, {} packages, {:#?}", start.elapsed(), archive.universe().len(), archive.releases());

    let start = Instant::now();
    let wanted = setting("PACKAGES", &format!("systemd containerd linux-image-{arch}"));
    let resolution = archive.resolve(&Request::new(wanted.split(' '))).unwrap();
    println!("resolve: {:?}", start.elapsed());
    for selected in resolution.selected() {
        let package = &selected.package;
        println!("  {} {} ({}) {:?}", package.name, package.version, package.origin.suite, selected.why);
    }

    let start = Instant::now();
    let fetched = archive.fetch(resolution.packages(), &NoProgress).await.unwrap();
    let bytes: u64 = fetched.iter().map(|file| file.size).sum();
    println!("fetch: {} files, {bytes} bytes in {:?}", fetched.len(), start.elapsed());

    let start = Instant::now();
    let (mut entries, mut content) = (0, 0);
    for file in &fetched {
        let deb = file.open().unwrap();
        let control = deb.control().unwrap();
        assert!(control.field("Package").is_some(), "{}", file.name);
        let walked = deb.walk(|entry| {
            entries += 1;
            content += std::io::copy(entry, &mut std::io::sink()).unwrap();
            Ok::<_, Error>(())
        });
        walked.unwrap();
    }
    println!("walk: {entries} entries, {content} bytes in {:?}", start.elapsed());
}
