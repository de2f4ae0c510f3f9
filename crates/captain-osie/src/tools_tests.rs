//! Tools from a server of the test's own, which may send something else or break off.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};

use captain_debian::NoProgress;

use super::*;

/// A server on loopback; `cut` breaks each answer off after so many bytes, and nobody gets beyond `most`.
struct Server {
    url: String,
    answers: Arc<AtomicUsize>,
}

fn serve(content: &'static [u8], cut: usize, most: usize) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/pub/scan-1.0.amd64", listener.local_addr().unwrap());
    let answers = Arc::new(AtomicUsize::new(0));
    let count = answers.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let lines: Vec<_> = BufReader::new(&stream)
                .lines()
                .map_while(Result::ok)
                .take_while(|line| !line.is_empty())
                .collect();
            let from = lines.iter().find_map(|line| {
                line.to_lowercase().strip_prefix("range: bytes=")?.strip_suffix('-')?.parse().ok()
            });
            let (from, status): (usize, _) = from.map_or((0, "200 OK"), |from| (from, "206 Partial Content"));
            let end = (from + cut).min(most).min(content.len()).max(from);
            let head = format!(
                "HTTP/1.1 {status}\r\nContent-Length: {}\r\nContent-Range: bytes {from}-{}/{}\r\n\r\n",
                content.len() - from,
                content.len() - 1,
                content.len()
            );
            // First: whoever has the answer may look at once.
            count.fetch_add(1, Ordering::Relaxed);
            let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&content[from..end]));
        }
    });
    Server { url, answers }
}

fn tool(url: &str, content: &[u8]) -> Tool {
    let sha256 = Sha256::of(content).to_string();
    Tool {
        url: url.to_owned(),
        sha256,
        arch: None,
        to: Tool::FOLDER.to_owned(),
        files: Vec::new(),
        name: None,
    }
}

fn options(folder: &Path, offline: bool) -> BuildOptions {
    BuildOptions { offline, ..BuildOptions::new(Arch::Amd64, folder) }
}

/// An image with a tool of this content in it.
fn put(folder: &Path, tool: &Tool, content: &[u8]) -> Result<(usize, Image), Error> {
    let fetcher = Fetcher::new(folder.join("debian"), true, Tuning::default())?;
    let item = items(std::slice::from_ref(tool))?.remove(0);
    let fetched = fetcher.put(&item, &mut &*content)?;
    let mut image = Image::new(folder)?;
    let count = add(tool, &fetched, &mut image)?;
    Ok((count, image))
}

fn archive(files: &[(&str, &str, EntryType)]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, text, kind) in files {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(*kind);
        header.set_mode(0o755);
        let is_file = *kind == EntryType::Regular;
        header.set_size(if is_file { text.len() as u64 } else { 0 });
        if !is_file {
            header.set_link_name_literal(text).unwrap();
        }
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_cksum();
        tar.append(&header, if is_file { text.as_bytes() } else { b"" }).unwrap();
    }
    tar.into_inner().unwrap()
}

#[tokio::test]
async fn a_download_that_breaks_off_goes_on_and_is_had_offline_from_then_on() {
    let folder = tempfile::tempdir().unwrap();
    let server = serve(b"a program of some bytes", 10, usize::MAX);
    let tools = [tool(&server.url, b"a program of some bytes")];
    let fetched = fetch(&tools, &options(folder.path(), false), &NoProgress).await.unwrap();
    assert_eq!(fs::read(&fetched[0].path).unwrap(), b"a program of some bytes");
    assert_eq!(server.answers.load(Ordering::Relaxed), 3);
    let again = fetch(&tools, &options(folder.path(), true), &NoProgress).await.unwrap();
    assert_eq!((again[0].size, server.answers.load(Ordering::Relaxed)), (23, 3));
    let other = [tool(&server.url, b"never fetched")];
    let error = fetch(&other, &options(folder.path(), true), &NoProgress).await.unwrap_err().to_string();
    assert!(error.contains(&server.url) && error.contains("--offline"), "{error}");
}

#[tokio::test]
async fn a_download_that_never_ends_and_one_of_another_file_are_one_clear_error_each() {
    let folder = tempfile::tempdir().unwrap();
    let server = serve(b"a program of some bytes", 10, 15);
    let error =
        fetch(&[tool(&server.url, b"a program of some bytes")], &options(folder.path(), false), &NoProgress)
            .await;
    let error = error.unwrap_err().to_string();
    assert!(error.contains(&server.url) && error.contains("15 of 23 bytes came"), "{error}");
    let other = serve(b"another program", usize::MAX, usize::MAX);
    let wanted = tool(&other.url, b"the one that was pinned");
    let error =
        fetch(std::slice::from_ref(&wanted), &options(folder.path(), false), &NoProgress).await.unwrap_err();
    let (error, sum) = (error.to_string(), Sha256::of(b"another program").to_string());
    for words in [&other.url, &wanted.sha256, &sum, "recipe"] {
        assert!(error.contains(words), "{words}: {error}");
    }
    assert_eq!(other.answers.load(Ordering::Relaxed), 1, "it is not asked again");
}

#[test]
fn a_file_goes_into_its_folder_and_an_archive_gives_what_is_wanted_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let plain = Tool { name: Some("scan".to_owned()), ..tool("http://x/scan-1.0.amd64?v=1", b"program") };
    let (_, image) = put(folder.path(), &plain, b"program").unwrap();
    assert_eq!(image.text("usr/local/bin/scan").unwrap().as_deref(), Some("program"));
    assert_eq!(image.tree.get("usr/local/bin/scan").unwrap().mode, 0o755);
    let tar = archive(&[
        ("./bin/ctl", "ctl", EntryType::Regular),
        ("./bin/again", "bin/ctl", EntryType::Link),
        ("./doc", "text", EntryType::Regular),
    ]);
    let packed = zstd::encode_all(&tar[..], 3).unwrap();
    let whole = Tool { to: "/opt/x".to_owned(), ..tool("http://x/x.tar.zst", &packed) };
    let (count, image) = put(folder.path(), &whole, &packed).unwrap();
    assert_eq!((count, image.text("opt/x/bin/again").unwrap().as_deref()), (3, Some("ctl")));
    let some = Tool { files: vec!["bin/ctl".to_owned()], ..tool("http://x/x.tar.zst", &packed) };
    let (count, image) = put(folder.path(), &some, &packed).unwrap();
    assert_eq!((count, image.text("usr/local/bin/ctl").unwrap().as_deref()), (1, Some("ctl")));
    let lost = Tool { files: vec!["bin/lost".to_owned()], ..some };
    let error = put(folder.path(), &lost, &packed).err().unwrap().to_string();
    assert!(error.contains("no `bin/lost`; it holds bin/ctl, doc"), "{error}");
}

#[test]
fn an_archive_that_leads_out_of_itself_is_refused_and_links_stay_within_the_image() {
    let folder = tempfile::tempdir().unwrap();
    for (name, target, kind) in [
        ("../evil", "x", EntryType::Regular),
        ("/etc/evil", "x", EntryType::Regular),
        ("a/../../evil", "x", EntryType::Regular),
        ("evil", "../../etc/shadow", EntryType::Link),
        ("evil", "/etc/shadow", EntryType::Link),
        ("evil", "etc/shadow", EntryType::Link),
    ] {
        let tar = archive(&[(name, target, kind)]);
        let error = put(folder.path(), &tool("http://x/x.tar", &tar), &tar).err().unwrap().to_string();
        assert!(error.contains("evil") || error.contains("leads out"), "{name}: {error}");
    }
    let tar =
        archive(&[("up", "../../../../../..", EntryType::Symlink), ("up/evil", "x", EntryType::Regular)]);
    let (_, image) = put(folder.path(), &tool("http://x/x.tar", &tar), &tar).unwrap();
    assert!(image.tree.file("evil").is_some(), "`..` ends at the image's root");
}

#[test]
fn a_size_that_an_archive_claims_costs_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut tar = archive(&[("big", "x", EntryType::Regular)]);
    let mut header = tar::Header::from_byte_slice(&tar[..512]).clone();
    header.set_size(1 << 42);
    header.set_cksum();
    tar[..512].copy_from_slice(header.as_bytes());
    let error = put(folder.path(), &tool("http://x/x.tar", &tar), &tar).err().unwrap().to_string();
    assert!(error.contains("http://x/x.tar"), "{error}");
}

#[test]
fn only_tools_for_the_architecture_are_wanted_and_one_that_rotted_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let arm = Tool { arch: Some(Arch::Arm64), ..tool("http://x/a", b"a") };
    let recipe = Recipe { tools: vec![arm.clone(), tool("http://x/b", b"b")], ..Recipe::new("x") };
    assert_eq!(wanted(&recipe, Arch::Amd64), recipe.tools[1..]);
    assert_eq!(wanted(&recipe, Arch::Arm64), recipe.tools);
    put(folder.path(), &arm, b"a").unwrap();
    let fetcher = Fetcher::new(folder.path().join("debian"), true, Tuning::default()).unwrap();
    let fetched = fetcher.found(&items(std::slice::from_ref(&arm)).unwrap()[0]).unwrap();
    fs::write(&fetched.path, "x").unwrap();
    let error = add(&arm, &fetched, &mut Image::new(folder.path()).unwrap()).unwrap_err().to_string();
    assert!(error.contains("damaged on disk") && !fetched.path.exists(), "{error}");
}
