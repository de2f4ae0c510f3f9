//! Mirrors that die half-way. The server counts what it really sent.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use captain_debian::{Archive, Error, Fetched, Fetcher, NoProgress, Package, Progress, Sha256, Task};

use crate::mirror::{Content, World, deb_path};
use crate::server::Manner::{CutAfter, IgnoreRange, Status, WrongRange};

struct Scene {
    world: World,
    archive: Archive,
    beta: Arc<Package>,
    path: String,
}

impl Scene {
    async fn new() -> Self {
        let world = World::new(Content::default()).await;
        let archive = world.open().await.unwrap();
        let beta = archive.universe().newest("beta").unwrap().unwrap();
        Self { world, archive, beta, path: deb_path("beta") }
    }

    async fn fetch(&self) -> Result<Fetched, Error> {
        self.archive.fetch([&self.beta], &NoProgress).await.map(|mut files| files.remove(0))
    }

    fn size(&self) -> usize {
        usize::try_from(self.beta.size).unwrap()
    }

    fn check(&self, fetched: &Fetched) {
        assert_eq!(Sha256::of(&std::fs::read(&fetched.path).unwrap()), self.beta.sha256);
    }
}

#[tokio::test]
async fn a_download_that_breaks_off_goes_on_where_it_was() {
    let scene = Scene::new().await;
    scene.world.server.behave(&scene.path, [CutAfter(70_000), CutAfter(60_000)]);
    scene.check(&scene.fetch().await.unwrap());
    let requests = scene.world.server.requests(&scene.path);
    let from: Vec<_> = requests.iter().map(|request| request.from).collect();
    assert_eq!(from, [None, Some(70_000), Some(130_000)]);
    assert_eq!(requests[1].if_range.as_deref(), Some("\"one\""));
    assert_eq!(scene.world.server.sent(&scene.path), scene.size(), "no byte came twice");
}

#[tokio::test]
async fn a_later_run_goes_on_where_the_last_one_gave_up() {
    let scene = Scene::new().await;
    scene.world.server.behave(&scene.path, [CutAfter(70_000), Status(503), Status(502), Status(500)]);
    let error = scene.fetch().await.unwrap_err().to_string();
    assert!(error.contains(&scene.path) && error.contains("70000 of"), "{error}");
    assert!(error.contains("500") && error.contains("in 4 tries"), "{error}");
    // A new run: nothing is left of the first but its cache.
    let again = scene.world.open().await.unwrap();
    let fetched = again.fetch([&scene.beta], &NoProgress).await.unwrap();
    scene.check(&fetched[0]);
    let requests = scene.world.server.requests(&scene.path);
    assert_eq!(requests.last().unwrap().from, Some(70_000));
    assert_eq!(scene.world.server.sent(&scene.path), scene.size(), "no byte came twice");
}

#[tokio::test]
async fn a_server_without_ranges_is_read_from_the_start() {
    let scene = Scene::new().await;
    scene.world.server.behave(&scene.path, [CutAfter(70_000), IgnoreRange]);
    scene.check(&scene.fetch().await.unwrap());
    assert_eq!(scene.world.server.sent(&scene.path), scene.size() + 70_000);
}

#[tokio::test]
async fn a_server_that_sends_another_range_is_not_believed() {
    let scene = Scene::new().await;
    scene.world.server.behave(&scene.path, [CutAfter(70_000), WrongRange]);
    scene.check(&scene.fetch().await.unwrap());
}

#[tokio::test]
async fn a_file_that_changed_between_two_pieces_starts_again() {
    let scene = Scene::new().await;
    scene.world.server.change(&scene.path, |bytes| bytes[5] ^= 1);
    scene.world.server.behave(&scene.path, [CutAfter(70_000), Status(500), Status(500), Status(500)]);
    scene.fetch().await.unwrap_err();
    // The mirror is good again, but the bytes that came before are not; nothing tells until the sum does.
    scene.world.server.change(&scene.path, |bytes| bytes[5] ^= 1);
    scene.check(&scene.fetch().await.unwrap());
    let from: Vec<_> = scene.world.server.requests(&scene.path).iter().map(|request| request.from).collect();
    assert_eq!(from[from.len() - 2..], [Some(70_000), None]);
}

#[tokio::test]
async fn a_changed_validator_brings_the_whole_file() {
    let scene = Scene::new().await;
    scene.world.server.behave(&scene.path, [CutAfter(70_000), Status(500)]);
    let server = scene.world.server.clone();
    let path = scene.path.clone();
    let changer = tokio::spawn(async move {
        while server.requests(&path).is_empty() {
            tokio::task::yield_now().await;
        }
        server.set_etag(Some("\"two\""));
    });
    scene.check(&scene.fetch().await.unwrap());
    changer.await.unwrap();
    let last = scene.world.server.requests(&scene.path).pop().unwrap();
    assert_eq!(last.if_range.as_deref(), Some("\"one\""));
    assert_eq!(last.sent, scene.size(), "the server says that the file is another one now");
}

#[tokio::test]
async fn a_mirror_that_brings_nothing_is_given_up() {
    let scene = Scene::new().await;
    scene.world.server.behave(&scene.path, std::iter::repeat_n(CutAfter(0), 50));
    let error = scene.fetch().await.unwrap_err();
    assert!(matches!(error, Error::Download { .. }), "{error}");
    assert_eq!(scene.world.server.requests(&scene.path).len(), 3);
}

#[tokio::test]
async fn a_file_that_is_not_there_is_not_asked_for_again() {
    let scene = Scene::new().await;
    scene.world.server.remove(&scene.path);
    let error = scene.fetch().await.unwrap_err().to_string();
    assert!(error.contains(&scene.path) && error.contains("has no such file"), "{error}");
    assert_eq!(scene.world.server.requests(&scene.path).len(), 1);
}

#[tokio::test]
async fn a_second_mirror_helps_out() {
    let scene = Scene::new().await;
    let broken = World::new(Content { packages: vec![], ..Content::default() }).await;
    let mut options = scene.world.options();
    options.mirrors.main.insert(0, "http://127.0.0.1:1/debian".to_owned());
    options.mirrors.main.push(format!("{}/debian", broken.server.base));
    let archive = Archive::open(options, &NoProgress).await.unwrap();
    let beta = archive.universe().newest("beta").unwrap().unwrap();
    assert_eq!(beta.origin.mirrors[0], format!("{}/debian", scene.world.server.base));
    scene.check(&archive.fetch([&beta], &NoProgress).await.unwrap()[0]);
}

#[tokio::test]
async fn two_who_want_the_same_file_download_it_once() {
    let scene = Scene::new().await;
    // Slow enough that both are at it.
    scene.world.server.behave(&scene.path, std::iter::repeat_n(CutAfter(20_000), 8));
    let (one, two) = tokio::join!(scene.fetch(), scene.fetch());
    scene.check(&one.unwrap());
    scene.check(&two.unwrap());
    assert_eq!(scene.world.server.sent(&scene.path), scene.size());
}

#[tokio::test]
async fn a_file_that_nobody_knows_is_pieced_only_where_a_validator_holds_it_together() {
    let scene = Scene::new().await;
    let (server, url) = (&scene.world.server, format!("{}{}", scene.world.server.base, scene.path));
    for (etag, second) in [(Some("\"one\""), Some(70_000)), (None, None)] {
        let cache = tempfile::tempdir().unwrap();
        let fetcher = Fetcher::new(cache.path(), false, scene.world.options().tuning).unwrap();
        server.set_etag(etag);
        server.behave(&scene.path, [CutAfter(70_000)]);
        let before = server.requests(&scene.path).len();
        let fetched = fetcher.learn(&url, &NoProgress).await.unwrap();
        assert_eq!((fetched.sha256, fetched.size), (scene.beta.sha256, scene.beta.size));
        scene.check(&fetched);
        let from: Vec<_> =
            server.requests(&scene.path)[before..].iter().map(|request| request.from).collect();
        assert_eq!(from, [None, second]);
    }
}

#[tokio::test]
async fn what_an_earlier_run_left_of_a_file_that_nobody_knows_is_not_believed() {
    let scene = Scene::new().await;
    let (server, url) = (&scene.world.server, format!("{}{}", scene.world.server.base, scene.path));
    let cache = tempfile::tempdir().unwrap();
    let fetcher = Fetcher::new(cache.path(), false, scene.world.options().tuning).unwrap();
    server.behave(&scene.path, [CutAfter(70_000), Status(503), Status(503), Status(503)]);
    let error = fetcher.learn(&url, &NoProgress).await.unwrap_err().to_string();
    assert!(error.contains("70000 of") && error.ends_with("; run again"), "{error}");
    server.change(&scene.path, |bytes| bytes[5] ^= 1);
    let changed = fetcher.learn(&url, &NoProgress).await.unwrap();
    assert_eq!(Sha256::of(&std::fs::read(&changed.path).unwrap()), changed.sha256);
    assert_eq!(server.requests(&scene.path).last().unwrap().from, None);
}

#[derive(Clone, Default)]
struct Counted(Arc<AtomicU64>);

impl Progress for Counted {
    fn begin(&self, _task: &str, _total: Option<u64>) -> Box<dyn Task> {
        Box::new(self.clone())
    }
}

impl Task for Counted {
    fn advance(&self, by: u64) {
        self.0.fetch_add(by, Ordering::Relaxed);
    }
    fn done(&self, _note: &str) {}
}

#[tokio::test]
async fn progress_adds_up_to_the_size_even_when_bytes_come_twice() {
    let scene = Scene::new().await;
    scene.world.server.behave(&scene.path, [CutAfter(70_000), IgnoreRange]);
    let counted = Counted::default();
    scene.archive.fetch([&scene.beta], &counted).await.unwrap();
    assert_eq!(counted.0.load(Ordering::Relaxed), scene.beta.size);
}
