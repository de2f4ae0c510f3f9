//! What a second run takes from the cache, with and without the network.

use captain_debian::{Archive, Error, NoProgress, Options, Request};

use crate::mirror::{Content, DAY, NOW, World, deb_path};

fn offline(world: &World) -> Options {
    Options { offline: true, ..world.options() }
}

#[tokio::test]
async fn a_second_run_downloads_only_the_release() {
    let world = World::new(Content::default()).await;
    for _ in 0..2 {
        let archive = world.open().await.unwrap();
        let found = archive.resolve(&Request::new(["alpha"])).unwrap();
        archive.fetch(found.packages(), &NoProgress).await.unwrap();
    }
    assert_eq!(world.server.requests("/trixie/InRelease").len(), 2);
    assert_eq!(world.server.requests(".deb").len(), 2);
    let by_hash = world.server.requests("").into_iter().filter(|request| request.path.contains("by-hash"));
    assert_eq!(by_hash.count(), 1);
}

#[tokio::test]
async fn offline_uses_the_cache_however_old_and_asks_nobody() {
    let world = World::new(Content::default()).await;
    let archive = world.open().await.unwrap();
    let found = archive.resolve(&Request::new(["alpha"])).unwrap();
    archive.fetch(found.packages(), &NoProgress).await.unwrap();
    let before = world.server.requests("").len();
    let options = Options { now: NOW.after(100 * DAY), ..offline(&world) };
    let again = Archive::open(options, &NoProgress).await.unwrap();
    assert_eq!(again.releases(), archive.releases());
    let found = again.resolve(&Request::new(["alpha"])).unwrap();
    again.fetch(found.packages(), &NoProgress).await.unwrap();
    assert_eq!(world.server.requests("").len(), before);
}

#[tokio::test]
async fn offline_names_the_file_that_is_missing() {
    let world = World::new(Content::default()).await;
    let refusal = Archive::open(offline(&world), &NoProgress).await.unwrap_err().to_string();
    assert!(refusal.contains("/dists/trixie/InRelease") && refusal.contains("offline"), "{refusal}");
    world.open().await.unwrap();
    let archive = Archive::open(offline(&world), &NoProgress).await.unwrap();
    let found = archive.resolve(&Request::new(["beta"])).unwrap();
    let refusal = archive.fetch(found.packages(), &NoProgress).await.unwrap_err().to_string();
    assert!(refusal.contains(&deb_path("beta")), "{refusal}");
}

#[tokio::test]
async fn a_release_in_the_cache_is_verified_again() {
    let world = World::new(Content::default()).await;
    world.open().await.unwrap();
    let kept = std::fs::read_dir(world.cache().join("release")).unwrap().next().unwrap().unwrap().path();
    let text = std::fs::read_to_string(&kept).unwrap();
    std::fs::write(&kept, text.replace("Origin: test", "Origin: evil")).unwrap();
    let error = Archive::open(offline(&world), &NoProgress).await.unwrap_err();
    assert!(matches!(error, Error::Signature { .. }), "{error}");
}

#[tokio::test]
async fn a_damaged_compact_index_is_made_anew() {
    let world = World::new(Content::default()).await;
    world.open().await.unwrap();
    let kept = std::fs::read_dir(world.cache().join("index")).unwrap().next().unwrap().unwrap().path();
    let good = std::fs::read(&kept).unwrap();
    std::fs::write(&kept, &good[..good.len() / 2]).unwrap();
    let archive = Archive::open(offline(&world), &NoProgress).await.unwrap();
    assert_eq!(archive.universe().len(), 3);
    assert_eq!(std::fs::read(&kept).unwrap(), good);
}

#[tokio::test]
async fn a_cached_deb_of_the_wrong_size_is_fetched_anew() {
    let world = World::new(Content::default()).await;
    let archive = world.open().await.unwrap();
    let beta = archive.universe().newest("beta").unwrap().unwrap();
    let path = archive.fetch([&beta], &NoProgress).await.unwrap().remove(0).path;
    std::fs::write(&path, b"cut off").unwrap();
    let fetched = archive.fetch([&beta], &NoProgress).await.unwrap();
    assert!(fetched[0].open().is_ok());
}

#[tokio::test]
async fn a_cached_deb_with_the_wrong_bytes_is_caught_when_it_is_read_and_fetched_anew_after_that() {
    let world = World::new(Content::default()).await;
    let archive = world.open().await.unwrap();
    let beta = archive.universe().newest("beta").unwrap().unwrap();
    let fetched = archive.fetch([&beta], &NoProgress).await.unwrap().remove(0);
    let mut bytes = std::fs::read(&fetched.path).unwrap();
    bytes[500] ^= 1;
    std::fs::write(&fetched.path, bytes).unwrap();
    let error = archive.fetch([&beta], &NoProgress).await.unwrap().remove(0).open().unwrap_err().to_string();
    assert!(error.contains("beta_1.0_amd64.deb") && error.contains("damaged on disk"), "{error}");
    assert!(archive.fetch([&beta], &NoProgress).await.unwrap().remove(0).open().is_ok());
}
