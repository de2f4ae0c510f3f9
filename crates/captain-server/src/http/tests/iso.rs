//! ISOs with the machine's own command line in them.

use captain_boot::ISO_PLACEHOLDER;
use captain_model::iso::IsoSource;

use super::*;

const PATH: &str = "/iso/52:54:00:00:00:01/hook.iso";
const FIRST: usize = 3000;
const SECOND: usize = 70_000;

fn image() -> Vec<u8> {
    let mut image: Vec<u8> = (0..100_000_u32).map(|n| (n % 251) as u8).collect();
    for place in [FIRST, SECOND] {
        image[place..place + 1024].copy_from_slice(ISO_PLACEHOLDER);
    }
    image
}

fn serving(image: Option<&[u8]>, change: impl FnOnce(&mut Machine)) -> Daemon {
    let mut machine = machine();
    change(&mut machine);
    let (folder, mut settings) = settings(vec![machine], UnknownMachines::Boot);
    let path = folder.path().join("hook.iso");
    if let Some(image) = image {
        put(&path, image);
    }
    settings.iso = Some(IsoSource::File(path));
    Daemon::with(folder, settings)
}

#[tokio::test]
async fn the_placeholder_becomes_the_command_line_and_nothing_else_changes() {
    let daemon = serving(Some(&image()), |machine| machine.cmdline.push("only=this").unwrap());
    let answer = daemon.get(PATH).await;
    assert_eq!((answer.status, answer.body.len()), (200, 100_000));
    assert_eq!(answer.header("Content-Type"), Some("application/vnd.efi-iso"));
    let line = std::str::from_utf8(&answer.body[FIRST..FIRST + 1024]).unwrap();
    assert!(line.contains("hw_addr=52:54:00:00:00:01") && line.trim_end().ends_with("only=this"), "{line}");
    assert!(!line.contains("initrd=") && line.contains(" captain_boot=b0-"), "{line}");
    assert_eq!(answer.body[SECOND..SECOND + 1024], *line.as_bytes());
    let mut expected = image();
    for place in [FIRST, SECOND] {
        expected[place..place + 1024].copy_from_slice(line.as_bytes());
    }
    assert!(answer.body == expected, "all other bytes are the file's");
    let mut head = daemon.ask("HEAD", "/iso/52-54-00-00-00-01/other.iso", "", "").await;
    head.headers.insert("Date".into(), answer.header("Date").unwrap().into());
    assert_eq!((head.body.len(), &head.headers), (0, &answer.headers));
}

#[tokio::test]
async fn an_iso_that_does_not_say_when_it_runs_is_not_for_machines_that_boot_once() {
    let daemon = serving(Some(&image()), |machine| machine.boot = Some(BootPolicy::Once));
    let refused = daemon.get(PATH).await;
    assert!(refused.status == 403 && refused.text().contains("until-done"), "{}", refused.text());
}

#[tokio::test]
async fn every_range_is_that_part_of_the_whole() {
    let daemon = serving(Some(&image()), |_| {});
    let whole = daemon.get(PATH).await;
    for (first, last) in [
        (FIRST - 1, FIRST),
        (FIRST, FIRST),
        (FIRST + 1, FIRST + 1),
        (FIRST + 500, FIRST + 1023),
        (FIRST + 1023, FIRST + 1024),
        (FIRST - 10, FIRST + 2000),
        (FIRST + 700, SECOND + 300),
        (0, 2047),
        (2048, 4095),
        (65_536 - 3, SECOND + 1024),
        (99_999, 99_999),
    ] {
        let range = format!("Range: bytes={first}-{last}\r\n");
        let part = daemon.ask("GET", PATH, &range, "").await;
        assert_eq!(part.status, 206, "{range}");
        assert!(part.body == whole.body[first..=last], "{range}");
        assert_eq!(
            part.header("Etag"),
            whole.header("Etag"),
            "all requests are answered from the same bytes"
        );
    }
    let parts = daemon.ask("GET", PATH, &format!("Range: bytes=0-9,{FIRST}-{}\r\n", FIRST + 9), "").await;
    assert_eq!(parts.status, 206);
    let start: Vec<u8> = whole.body[FIRST..FIRST + 10].to_vec();
    assert!(parts.body.windows(10).any(|ten| ten == start), "a part of several is patched too");
}

#[tokio::test]
async fn what_does_not_fit_is_refused_with_its_length_and_so_is_what_the_loader_would_change() {
    let daemon = serving(Some(&image()), |machine| machine.cmdline.push(&"x".repeat(1000)).unwrap());
    let full = daemon.get(PATH).await;
    assert_eq!(full.status, 409);
    assert!(full.text().contains("the ISO has room for 1024"), "{}", full.text());
    let daemon = serving(Some(&image()), |machine| machine.cmdline.push("a=$b").unwrap());
    let changed = daemon.get(PATH).await;
    assert!(changed.status == 409 && changed.text().contains("a=$b"), "{}", changed.text());
}

#[tokio::test]
async fn spaces_behind_the_placeholder_are_room_for_more() {
    let mut image = image();
    for place in [FIRST, SECOND] {
        image[place + 1024..place + 2048].fill(b' ');
    }
    let daemon = serving(Some(&image), |machine| machine.cmdline.push(&"x".repeat(1000)).unwrap());
    let answer = daemon.get(PATH).await;
    assert_eq!((answer.status, answer.body.len()), (200, 100_000));
    assert!(answer.body[FIRST + 1024..FIRST + 1100].contains(&b'x'));
    assert_eq!(answer.body[FIRST + 2047], b' ', "what follows on the line stays apart");
}

#[tokio::test]
async fn who_may_not_netboot_gets_no_iso_and_the_others_are_told_what_is_wrong() {
    let refused = serving(Some(&image()), |machine| machine.netboot = false).get(PATH).await;
    assert_eq!((refused.status, refused.text()), (403, "netboot is switched off for 52:54:00:00:00:01\n"));
    let daemon = serving(Some(b"an ISO without"), |_| {});
    let none = daemon.get(PATH).await;
    assert!(none.status == 500 && none.text().contains("no placeholder"), "{}", none.text());
    assert_eq!(daemon.get("/iso/nonsense/hook.iso").await.status, 400);
    assert_eq!(daemon.get("/iso/52:54:00:00:00:01/hook.img").await.status, 404);
    let daemon = serving(None, |_| {});
    let unreadable = daemon.get(PATH).await;
    assert!(
        unreadable.status == 500 && unreadable.text().contains("cannot be read"),
        "{}",
        unreadable.text()
    );
    assert!(daemon.get("/readyz").await.text().contains("hook.iso of [iso] cannot be read"));
    let not_configured = super::daemon(|_| {}).get(PATH).await;
    let text = not_configured.text();
    assert!(not_configured.status == 404 && text.contains("[iso]") && text.contains("build --format iso"));
}

#[tokio::test]
async fn of_many_ranges_those_are_told_that_hold_the_command_line() {
    let daemon = serving(Some(&image()), |_| {});
    for first in (0..10_000).step_by(1000) {
        daemon.ask("GET", PATH, &format!("Range: bytes={first}-{}\r\n", first + 999), "").await;
    }
    let events = daemon.get("/api/v1/events?follow=false").await;
    assert_eq!(events.text().matches("hook.iso").count(), 2, "{}", events.text());
}

#[tokio::test]
async fn a_machine_is_given_the_iso_that_was_built_with_its_osie() {
    let (folder, settings) = settings(vec![machine()], UnknownMachines::Boot);
    put(&folder.path().join("osie/default/osie-x86_64.iso"), &image());
    let daemon = Daemon::with(folder, settings);
    let answer = daemon.get(PATH).await;
    assert_eq!(answer.status, 200);
    let line = std::str::from_utf8(&answer.body[FIRST..FIRST + 1024]).unwrap();
    assert!(line.contains("hw_addr=52:54:00:00:00:01"), "{line}");
}

fn at(daemon: &Daemon) -> String {
    format!("http://127.0.0.1:{}", daemon.settings.http_port)
}

/// A daemon that serves `image` as somebody's web server would, and one that gives it to its machines from there.
fn behind(image: &[u8]) -> (Daemon, Daemon) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (folder, settings) = settings(vec![machine()], UnknownMachines::Boot);
    put(&folder.path().join("osie/default/initramfs-x86_64"), image);
    let upstream = Daemon::with(folder, settings);
    let (folder, mut settings) = super::settings(vec![machine()], UnknownMachines::Boot);
    settings.iso = Some(IsoSource::Url(format!("{}{INITRAMFS_PATH}", at(&upstream))));
    (upstream, Daemon::with(folder, settings))
}

#[tokio::test]
async fn an_iso_of_another_server_is_patched_the_same_whatever_the_range() {
    let (_upstream, daemon) = behind(&image());
    let here = serving(Some(&image()), |_| {});
    let whole = daemon.get(PATH).await;
    assert_eq!((whole.status, whole.header("Content-Length")), (200, Some("100000")));
    let text = String::from_utf8_lossy(&whole.body[FIRST..FIRST + 1024]).into_owned();
    assert!(text.contains(&format!("captain_url={}", at(&daemon))), "{text}");
    // Where no command line stands both are the file.
    let local = here.get(PATH).await;
    assert!(whole.body[FIRST + 1024..SECOND] == local.body[FIRST + 1024..SECOND]);
    for (first, last) in [(FIRST - 1, FIRST), (FIRST + 700, SECOND + 300), (65_000, SECOND + 1024), (0, 0)] {
        let part = daemon.ask("GET", PATH, &format!("Range: bytes={first}-{last}\r\n"), "").await;
        assert_eq!(part.status, 206);
        assert_eq!(part.header("Content-Range"), Some(&*format!("bytes {first}-{last}/100000")));
        assert!(part.body == whole.body[first..=last], "{first}-{last}");
    }
    let head = daemon.ask("HEAD", PATH, "", "").await;
    assert_eq!((head.status, head.header("Content-Length"), head.body.len()), (200, Some("100000"), 0));
}

#[tokio::test]
async fn another_server_that_fails_is_a_bad_gateway_with_a_reason() {
    let (upstream, daemon) = behind(b"an ISO without");
    let none = daemon.get(PATH).await;
    assert!(none.status == 500 && none.text().contains("no placeholder"), "{}", none.text());
    drop(upstream);
    let (folder, mut settings) = settings(vec![machine()], UnknownMachines::Boot);
    let (other, _) = behind(&image());
    settings.iso = Some(IsoSource::Url(format!("{}/nothing.iso", at(&other))));
    let gone = Daemon::with(folder, settings).get(PATH).await;
    assert!(gone.status == 502 && gone.text().contains("it answered 404"), "{}", gone.text());
    let (folder, mut settings) = super::settings(vec![machine()], UnknownMachines::Boot);
    settings.iso = Some(IsoSource::Url("http://127.0.0.1:9/x.iso".to_owned()));
    let refused = Daemon::with(folder, settings).get(PATH).await;
    assert!(refused.status == 502 && refused.text().contains("127.0.0.1:9"), "{}", refused.text());
}

/// A server that takes requests, answers `word`, and then nothing more.
async fn silent_after(word: &'static str) -> IsoSource {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/x.iso", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let mut open = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            stream.write_all(word.as_bytes()).await.unwrap();
            open.push(stream);
        }
    });
    IsoSource::Url(url)
}

#[tokio::test]
async fn another_server_that_is_silent_is_a_gateway_timeout_with_a_reason() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let half = "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-0/1\r\nContent-Length: 1\r\n\r\n";
    for word in ["", "HTTP/1.1 206", half] {
        let (folder, mut settings) = settings(vec![machine()], UnknownMachines::Boot);
        settings.iso = Some(silent_after(word).await);
        let answer = Daemon::with(folder, settings).get(PATH).await;
        assert!(answer.status == 504 && answer.text().contains("it was silent for"), "{}", answer.text());
    }
}

/// A web server that says of its one file nothing but the size.
async fn without_versions(file: std::sync::Arc<std::sync::Mutex<Vec<u8>>>) -> IsoSource {
    use axum::http::{HeaderMap, StatusCode, header};
    let answer = move |headers: HeaderMap| async move {
        let file = file.lock().unwrap();
        let (first, last) =
            headers["range"].to_str().unwrap().strip_prefix("bytes=").unwrap().split_once('-').unwrap();
        let (first, last) = (first.parse::<usize>().unwrap(), last.parse::<usize>().unwrap());
        let range = format!("bytes {first}-{last}/{}", file.len());
        (StatusCode::PARTIAL_CONTENT, [(header::CONTENT_RANGE, range)], file[first..=last].to_vec())
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/x.iso", listener.local_addr().unwrap());
    let router = axum::Router::new().route("/x.iso", axum::routing::get(answer));
    tokio::spawn(async move { axum::serve(listener, router).await });
    IsoSource::Url(url)
}

#[tokio::test]
async fn another_iso_of_the_same_size_on_a_server_without_versions_is_searched_again() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (folder, mut settings) = settings(vec![machine()], UnknownMachines::Boot);
    let file = std::sync::Arc::new(std::sync::Mutex::new(image()));
    settings.iso = Some(without_versions(file.clone()).await);
    let daemon = Daemon::with(folder, settings);
    let line_at = |answer: &crate::testing::Answer, at: usize| {
        String::from_utf8_lossy(&answer.body[at..at + 1024]).contains("hw_addr=52:54:00:00:00:01")
    };
    assert!(line_at(&daemon.get(PATH).await, FIRST));
    file.lock().unwrap().rotate_right(5);
    tokio::time::sleep(Duration::from_millis(100)).await;
    let answer = daemon.get(PATH).await;
    assert!(answer.status == 200 && line_at(&answer, FIRST + 5) && line_at(&answer, SECOND + 5));
    assert!(answer.body[..FIRST + 5] == file.lock().unwrap()[..FIRST + 5], "nothing else is written over");
}
