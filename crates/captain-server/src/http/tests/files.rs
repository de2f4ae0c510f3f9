//! Boot files.

use super::*;

#[tokio::test]
async fn head_has_the_headers_of_get_and_a_file_has_all_that_firmware_wants() {
    let daemon = daemon(|_| {});
    for (path, media, content) in [
        ("/ipxe/binary/snponly.efi", "application/efi", LOADER),
        ("/ipxe/binary/52:54:00:00:00:01/undionly.kpxe", "application/octet-stream", LOADER),
        (KERNEL_PATH, "application/octet-stream", KERNEL),
    ] {
        let get = daemon.get(path).await;
        let mut head = daemon.ask("HEAD", path, "", "").await;
        assert_eq!((get.status, get.body.as_slice()), (200, content), "{path}");
        assert_eq!(get.header("Content-Type"), Some(media));
        assert_eq!(get.header("Content-Length"), Some(content.len().to_string().as_str()));
        assert_eq!(get.header("Accept-Ranges"), Some("bytes"));
        assert_eq!(get.header("Transfer-Encoding"), None);
        assert!(get.header("Etag").unwrap().len() == 66, "a SHA-256 in quotes");
        assert!(head.body.is_empty());
        head.headers.insert("Date".into(), get.header("Date").unwrap().into());
        assert_eq!(head.headers, get.headers, "{path}");
        assert!(
            get.headers.values().all(|value| !value.is_empty()),
            "an empty value locks up guests (edk2#7443)"
        );
    }
}

#[tokio::test]
async fn a_range_comes_alone_and_a_wrong_one_is_told_the_size() {
    let daemon = daemon(|_| {});
    let part = daemon.ask("GET", KERNEL_PATH, "Range: bytes=3-7\r\n", "").await;
    assert_eq!((part.status, part.body.as_slice()), (206, &KERNEL[3..8]));
    assert_eq!(part.header("Content-Range").unwrap(), format!("bytes 3-7/{}", KERNEL.len()));
    let beyond = daemon.ask("GET", KERNEL_PATH, "Range: bytes=999-\r\n", "").await;
    assert_eq!(
        (beyond.status, beyond.header("Content-Range").unwrap()),
        (416, format!("bytes */{}", KERNEL.len()).as_str())
    );
    let etag = part.header("Etag").unwrap();
    let same = daemon.ask("GET", KERNEL_PATH, &format!("If-None-Match: {etag}\r\n"), "").await;
    assert_eq!((same.status, same.body.len()), (304, 0));
    let other = daemon.ask("GET", KERNEL_PATH, "Range: bytes=3-7\r\nIf-Range: \"other\"\r\n", "").await;
    assert_eq!((other.status, other.body.as_slice()), (200, KERNEL));
}

#[tokio::test]
async fn head_tells_the_whole_length_whatever_range_is_asked_for() {
    let daemon = daemon(|_| {});
    let head = daemon.ask("HEAD", KERNEL_PATH, "Range: bytes=3-7\r\n", "").await;
    assert_eq!((head.status, head.header("Content-Range")), (200, None));
    assert_eq!(head.header("Content-Length"), Some(KERNEL.len().to_string().as_str()));
}

#[tokio::test]
async fn an_artifact_is_found_by_its_hash_and_kept_for_ever() {
    let daemon = daemon(|_| {});
    let osie = daemon.json("/api/v1/osie").await;
    let artifact = &osie["profiles"][0]["artifacts"][1];
    assert_eq!(artifact["name"], "vmlinuz-x86_64");
    let path = format!("/artifact/{}/vmlinuz-x86_64", artifact["sha256"].as_str().unwrap());
    let answer = daemon.get(&path).await;
    assert_eq!((answer.status, answer.body.as_slice()), (200, KERNEL));
    assert!(answer.header("Cache-Control").unwrap().contains("immutable"));
    assert_eq!(daemon.get(&path.replace("vmlinuz", "other")).await.status, 404);
}

#[tokio::test]
async fn slashes_and_spellings_do_not_matter_and_nothing_is_redirected() {
    let daemon = daemon(|_| {});
    for path in ["//ipxe//binary/snponly.efi", "/ipxe/binary/52-54-00-00-00-01//snponly.efi"] {
        assert_eq!(daemon.get(path).await.status, 200, "{path}");
    }
    assert_eq!(daemon.get("/ipxe/script/525400000001/auto.ipxe").await.status, 200);
    assert_eq!(daemon.get("/ipxe/script/nonsense/auto.ipxe").await.status, 400);
    assert_eq!(daemon.get("/ipxe/binary/nosuch.efi").await.status, 404);
    assert_eq!(daemon.get("/nothing").await.status, 404);
    assert_eq!(daemon.ask("POST", SCRIPT, "", "").await.status, 405);
}

#[tokio::test]
async fn a_broken_off_download_is_not_a_stage() {
    let (folder, settings) = settings(vec![machine()], UnknownMachines::Boot);
    put(&folder.path().join("osie/default/vmlinuz-x86_64"), &vec![7; 64 << 20]);
    let daemon = Daemon::with(folder, settings);
    daemon.get(SCRIPT).await;
    let mut events = daemon.handle.events();
    let mut stream = daemon.connect("127.0.0.2").await;
    stream.write_all(format!("GET {KERNEL_PATH} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).await.unwrap();
    stream.read_exact(&mut [0; 1000]).await.unwrap();
    drop(stream);
    let event = tokio::time::timeout(Duration::from_secs(10), events.recv()).await.unwrap().unwrap();
    assert!(
        matches!(&event.kind, EventKind::Http { complete: false, path, .. } if path == KERNEL_PATH),
        "{event:?}"
    );
    assert_eq!(daemon.json("/api/v1/boots").await[0]["stage"], "script");
}

#[tokio::test]
async fn a_large_file_arrives_whole() {
    let (folder, settings) = settings(vec![machine()], UnknownMachines::Boot);
    let content: Vec<u8> = (0..5_000_011_u32).map(|n| (n % 251) as u8).collect();
    put(&folder.path().join("osie/default/initramfs-x86_64"), &content);
    let daemon = Daemon::with(folder, settings);
    assert!(daemon.get(INITRAMFS_PATH).await.body == content);
}

#[tokio::test]
async fn what_is_missing_is_told_and_a_reload_finds_it() {
    let (folder, settings) = settings(vec![machine()], UnknownMachines::Boot);
    let kernel = folder.path().join("osie/default/vmlinuz-x86_64");
    std::fs::remove_file(&kernel).unwrap();
    let inventory = settings.inventory.clone();
    let daemon = Daemon::with(folder, settings);
    let ready = daemon.get("/readyz").await;
    assert_eq!(ready.status, 503);
    assert!(ready.text().contains("run `captaind build --profile default --arch amd64`"), "{}", ready.text());
    assert_eq!(daemon.get(KERNEL_PATH).await.status, 404);
    put(&kernel, KERNEL);
    assert_eq!(daemon.handle.reload(inventory, captain_boot::Templates::embedded().clone()), [""; 0]);
    assert_eq!((daemon.get("/readyz").await.status, daemon.get(KERNEL_PATH).await.status), (200, 200));
}

#[tokio::test]
async fn a_profile_on_another_server_sends_machines_there() {
    let (folder, mut settings) = settings(Vec::new(), UnknownMachines::Boot);
    let mut profile = Profile::new("default");
    profile.osie = "http://192.0.2.1/hook".into();
    let profiles = BTreeMap::from([("default".to_owned(), profile)]);
    settings.inventory = captain_model::Inventory::new(Vec::new(), profiles, UnknownMachines::Boot).into();
    let daemon = Daemon::with(folder, settings);
    let answer = daemon.get(KERNEL_PATH).await;
    assert_eq!(
        (answer.status, answer.header("Location")),
        (302, Some("http://192.0.2.1/hook/vmlinuz-x86_64"))
    );
    let odd = daemon.get("/osie/default/a%3fb%2fc").await;
    assert_eq!((odd.status, odd.header("Location")), (302, Some("http://192.0.2.1/hook/a%3Fb/c")));
    for outside in ["/osie/default/../../x%3fq", "/osie/default/a/..%2f..%2fx"] {
        let answer = daemon.get(outside).await;
        assert_eq!((answer.status, answer.header("Location")), (404, None), "{outside}");
    }
}

/// Asks until the answer is no longer 503.
async fn settled(daemon: &Daemon, path: &str) -> crate::testing::Answer {
    for _ in 0..200 {
        let answer = daemon.get(path).await;
        if answer.status != 503 {
            return answer;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{path} stays away");
}

#[tokio::test]
async fn a_file_that_is_written_over_goes_out_as_what_it_is_by_then_and_never_under_its_old_tag() {
    let daemon = daemon(|_| {});
    for (path, file) in [
        ("/ipxe/binary/snponly.efi", "loaders/snponly.efi"),
        (INITRAMFS_PATH, "osie/default/initramfs-x86_64"),
        ("/tftp/osie/default/vmlinuz-x86_64", "osie/default/vmlinuz-x86_64"),
    ] {
        let file = daemon.folder.path().join(file);
        let mut old = daemon.get(path).await;
        for content in [vec![7; 5000], vec![9; 10]] {
            let tag = old.header("Etag").unwrap().to_owned();
            put(&file, &content);
            let range = format!("Range: bytes=0-3\r\nIf-Range: {tag}\r\n");
            let first = daemon.ask("GET", path, &range, "").await;
            assert_eq!((first.status, first.header("Retry-After")), (503, Some("10")), "{path}");
            assert!(first.text().contains("was written over"), "{}", first.text());
            let new = settled(&daemon, path).await;
            assert!(new.status == 200 && new.body == content, "{path}");
            assert_ne!(new.header("Etag"), Some(&*tag));
            old = new;
        }
    }
}

#[tokio::test]
async fn an_artifact_that_is_written_over_is_not_kept_for_ever() {
    let daemon = daemon(|_| {});
    let osie = daemon.json("/api/v1/osie").await;
    let path = format!(
        "/artifact/{}/vmlinuz-x86_64",
        osie["profiles"][0]["artifacts"][1]["sha256"].as_str().unwrap()
    );
    put(&daemon.folder.path().join("osie/default/vmlinuz-x86_64"), b"another kernel");
    let answer = daemon.get(&path).await;
    assert_eq!((answer.status, answer.header("Cache-Control")), (503, None));
    assert_eq!(settled(&daemon, &path).await.status, 404, "nothing has this content any more");
}
