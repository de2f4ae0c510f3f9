//! What is believed of what a mirror says, and what is not.

use captain_debian::{Archive, Mirrors, NoProgress, Request, Sha256};

use crate::debs::Packing;
use crate::mirror::{Content, DAY, NOW, World, deb_path, key, sign};

const IN_RELEASE: &str = "/debian/dists/trixie/InRelease";
const PACKAGES: &str = "/debian/dists/trixie/main/binary-amd64/Packages.xz";

async fn world() -> World {
    World::new(Content::default()).await
}

#[tokio::test]
async fn an_honest_archive_is_opened_resolved_and_fetched() {
    for packing in [Packing::Xz, Packing::Gzip, Packing::None] {
        let world = World::new(Content { packing, ..Content::default() }).await;
        let archive = world.open().await.unwrap();
        assert_eq!(archive.universe().len(), 3);
        let release = &archive.releases()[0];
        assert_eq!((release.suite.as_str(), release.date.as_millis()), ("trixie", 1_757_152_800_000));
        assert_eq!(archive.releases().len(), 1, "there are no updates here, and that is fine");
        let found = archive.resolve(&Request::new(["alpha"])).unwrap();
        let fetched = archive.fetch(found.packages(), &NoProgress).await.unwrap();
        let names: Vec<_> = fetched.iter().map(|file| file.name.as_str()).collect();
        assert_eq!(names, ["alpha_1.0_amd64.deb", "beta_1.0_amd64.deb"]);
        assert_eq!(fetched[0].open().unwrap().control().unwrap().field("Package"), Some("alpha"));
    }
}

#[tokio::test]
async fn a_tampered_in_release_is_refused_by_name() {
    let world = world().await;
    world.server.change(IN_RELEASE, |bytes| {
        let text = String::from_utf8(bytes.clone()).unwrap();
        *bytes = text.replace("Origin: test", "Origin: evil").into_bytes();
    });
    let refusal = world.refusal().await;
    assert!(refusal.contains(IN_RELEASE) && refusal.contains("does not verify"), "{refusal}");
    assert!(refusal.contains("`mirror` under [osie]") && refusal.contains("`keyring`"), "{refusal}");
    assert!(!world.cache().join("release").exists(), "a bad release must not be kept");
}

#[tokio::test]
async fn a_release_signed_by_an_unknown_key_is_refused() {
    let world = world().await;
    let stranger = key();
    world.server.replace_all(Content::default().files(&stranger));
    let refusal = world.refusal().await;
    assert!(refusal.contains(IN_RELEASE) && refusal.contains("not in the keyring"), "{refusal}");
}

#[tokio::test]
async fn an_expired_release_is_refused_unless_it_is_a_snapshot() {
    let world = world().await;
    let mut options = world.options();
    options.now = NOW.after(7 * DAY);
    let refusal = Archive::open(options.clone(), &NoProgress).await.unwrap_err().to_string();
    assert!(refusal.contains(IN_RELEASE) && refusal.contains("Valid-Until"), "{refusal}");
    assert!(refusal.contains("use another mirror or set the clock"), "{refusal}");
    options.snapshot = true;
    assert!(Archive::open(options, &NoProgress).await.is_ok());
}

#[tokio::test]
async fn a_mirror_cannot_set_a_suite_back() {
    let world = world().await;
    let newest = world.open().await.unwrap().releases().to_vec();
    let old = Content {
        date: "Mon, 01 Sep 2025 10:00:00 UTC",
        packages: vec![("alpha", "")],
        ..Content::default()
    };
    world.server.replace_all(old.files(&world.key));
    let archive = world.open().await.unwrap();
    assert_eq!(archive.releases(), newest);
    assert_eq!(archive.universe().len(), 3);
    let new = Content {
        date: "Sun, 07 Sep 2025 10:00:00 UTC",
        packages: vec![("alpha", "")],
        ..Content::default()
    };
    world.server.replace_all(new.files(&world.key));
    assert_eq!(world.open().await.unwrap().universe().len(), 1);
}

#[tokio::test]
async fn another_suites_release_is_refused() {
    let world = world().await;
    let bookworm = Content { suite: "bookworm".to_owned(), ..Content::default() }.files(&world.key);
    let release = bookworm["/debian/dists/bookworm/InRelease"].clone();
    world.server.change(IN_RELEASE, |bytes| *bytes = release);
    let refusal = world.refusal().await;
    assert!(refusal.contains("asked for suite `trixie`") && refusal.contains("bookworm"), "{refusal}");
}

#[tokio::test]
async fn a_tampered_index_is_refused_and_named_with_its_sums() {
    let world = World::new(Content { by_hash: false, ..Content::default() }).await;
    world.server.change(PACKAGES, |bytes| bytes[30] ^= 1);
    let refusal = world.refusal().await;
    assert!(refusal.contains(PACKAGES) && refusal.contains("expected SHA-256"), "{refusal}");
    assert!(refusal.contains("try again later, or take another mirror"), "{refusal}");
    assert_eq!(world.server.requests("Packages.xz").len(), 1, "trying again would not help");
}

#[tokio::test]
async fn an_index_that_is_not_there_by_hash_is_taken_by_name() {
    let world = world().await;
    let packed = Content::default().files(&world.key)[PACKAGES].clone();
    let by_hash = format!("/debian/dists/trixie/main/binary-amd64/by-hash/SHA256/{}", Sha256::of(&packed));
    world.server.remove(&by_hash);
    world.open().await.unwrap();
    assert_eq!(world.server.requests(&by_hash).len(), 1, "by hash comes first");
    assert_eq!(world.server.requests("Packages.xz").len(), 1);
}

#[tokio::test]
async fn a_tampered_deb_is_refused_and_named_with_its_sums() {
    let world = world().await;
    let archive = world.open().await.unwrap();
    let good = archive.universe().newest("beta").unwrap().unwrap();
    world.server.change(&deb_path("beta"), |bytes| bytes[1000] ^= 1);
    let found = archive.resolve(&Request::new(["alpha"])).unwrap();
    let refusal = archive.fetch(found.packages(), &NoProgress).await.unwrap_err().to_string();
    assert!(refusal.contains(&format!("{}{}", world.server.base, deb_path("beta"))), "{refusal}");
    assert!(refusal.contains(&format!("expected SHA-256 {}, got SHA-256", good.sha256)), "{refusal}");
    world.server.change(&deb_path("beta"), |bytes| bytes[1000] ^= 1);
    archive.fetch(found.packages(), &NoProgress).await.expect("nothing bad stays in the way");
}

#[tokio::test]
async fn a_deb_of_another_size_is_refused_without_reading_it_all() {
    let world = world().await;
    let archive = world.open().await.unwrap();
    world.server.change(&deb_path("beta"), |bytes| bytes.resize(50_000_000, 0));
    let beta = archive.universe().newest("beta").unwrap().unwrap();
    let refusal = archive.fetch([&beta], &NoProgress).await.unwrap_err().to_string();
    assert!(refusal.contains(&format!("expected {} bytes, got 50000000 bytes", beta.size)), "{refusal}");
}

#[tokio::test]
async fn what_the_archive_does_not_carry_is_named() {
    let world = world().await;
    let mut options = world.options();
    options.components.push("non-free-firmware".to_owned());
    let refusal = Archive::open(options, &NoProgress).await.unwrap_err().to_string();
    assert!(refusal.contains("non-free-firmware") && refusal.contains("components main"), "{refusal}");
    let mut options = world.options();
    options.suite = "forky".to_owned();
    let refusal = Archive::open(options, &NoProgress).await.unwrap_err().to_string();
    assert!(refusal.contains("/dists/forky/InRelease") && refusal.contains("no suite `forky`"), "{refusal}");
}

#[tokio::test]
async fn missing_packages_are_named_with_the_chain() {
    let world = world().await;
    let archive = world.open().await.unwrap();
    let error = |name: &str| archive.resolve(&Request::new([name])).unwrap_err().to_string();
    assert!(error("alpa").ends_with("did you mean alpha?"), "{}", error("alpa"));
    assert!(error("gamma").contains("no package `missing`") && error("gamma").contains("needed by gamma"));
}

#[tokio::test]
async fn updates_and_security_come_along_and_security_must_not_go_missing() {
    let world = world().await;
    let mut files = Content::default().files(&world.key);
    let updates = Content { suite: "trixie-updates".to_owned(), packages: vec![], ..Content::default() };
    files.extend(updates.files(&world.key));
    let security = Content { suite: "trixie-security".to_owned(), ..Content::default() }.files(&world.key);
    for (path, bytes) in security.into_iter().filter(|(path, _)| path.contains("/dists/")) {
        files.insert(path.replacen("/debian/", "/debian-security/", 1), bytes);
    }
    world.server.replace_all(files);
    let mut options = world.options();
    options.mirrors =
        Mirrors { security: vec![format!("{}/debian-security", world.server.base)], ..options.mirrors };
    let archive = Archive::open(options.clone(), &NoProgress).await.unwrap();
    let suites: Vec<_> = archive.releases().iter().map(|release| release.suite.as_str()).collect();
    assert_eq!(suites, ["trixie", "trixie-updates", "trixie-security"]);
    assert_eq!(archive.universe().versions("alpha").unwrap().len(), 2);
    assert_eq!(archive.universe().newest("alpha").unwrap().unwrap().origin.suite, "trixie", "of equal ones");
    world.server.remove("/debian-security/dists/trixie-security/InRelease");
    let refusal = Archive::open(options, &NoProgress).await.unwrap_err().to_string();
    assert!(refusal.contains("trixie-security"), "security fixes must not go missing in silence: {refusal}");
}

#[tokio::test]
async fn a_release_that_is_not_one_is_refused() {
    let world = world().await;
    let signed = sign("Suite: trixie\n", &world.key);
    world.server.change(IN_RELEASE, |bytes| *bytes = signed);
    assert!(world.refusal().await.contains("no Date"));
    world.server.change(IN_RELEASE, |bytes| *bytes = b"Suite: trixie\n".to_vec());
    assert!(world.refusal().await.contains("not a clear-signed file"));
}
