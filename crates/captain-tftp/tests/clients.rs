//! Real clients, as far as they are installed: curl, busybox, atftp, tftp-hpa. Where one is missing, the test says so.
#![allow(missing_docs, clippy::unwrap_used)]

mod common;

use std::path::Path;
use std::process::{Command, Stdio};

use captain_tftp::{EngineConfig, Outcome};
use common::*;

const SIZES: [(&str, usize); 5] =
    [("empty", 0), ("one", 1), ("multiple", 512 * 20), ("large", 1468 * 20), ("big", 2_000_003)];

/// A client's name and its arguments for port, name of the file there, and name of the file here.
type Client = (&'static str, fn(u16, &str, &str) -> Vec<String>);

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

const CLIENTS: &[Client] = &[
    ("curl", |port, name, out| words(&format!("-sf --max-time 20 -o {out} tftp://127.0.0.1:{port}/{name}"))),
    ("curl", |port, name, out| {
        words(&format!("-sf --max-time 20 --tftp-blksize 1428 -o {out} tftp://127.0.0.1:{port}/{name}"))
    }),
    ("curl", |port, name, out| {
        words(&format!("-sf --max-time 20 --tftp-no-options -o {out} tftp://127.0.0.1:{port}/{name}"))
    }),
    ("busybox", |port, name, out| words(&format!("tftp -g -l {out} -r {name} 127.0.0.1 {port}"))),
    ("busybox", |port, name, out| words(&format!("tftp -g -b 1468 -l {out} -r {name} 127.0.0.1 {port}"))),
    ("busybox", |port, name, out| words(&format!("tftp -g -b 65464 -l {out} -r {name} 127.0.0.1 {port}"))),
    ("atftp", |port, name, out| words(&format!("-g -l {out} -r {name} 127.0.0.1 {port}"))),
    ("atftp", |port, name, out| {
        let options = ["--option", "blksize 1428", "--option", "tsize 0", "--option", "timeout 2"];
        let rest = words(&format!("-g -l {out} -r {name} 127.0.0.1 {port}"));
        options.map(str::to_owned).into_iter().chain(rest).collect()
    }),
    ("atftp", |port, name, out| {
        let options = ["--option", "blksize 1428", "--option", "windowsize 8"];
        let rest = words(&format!("-g -l {out} -r {name} 127.0.0.1 {port}"));
        options.map(str::to_owned).into_iter().chain(rest).collect()
    }),
    ("tftp", |port, name, out| words(&format!("-m binary 127.0.0.1 {port} -c get {name} {out}"))),
];

fn exists(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

fn fetch(client: &Client, port: u16, name: &str, folder: &Path) -> Option<Vec<u8>> {
    let out = folder.join(format!("{}-{name}", client.0));
    let _ = std::fs::remove_file(&out);
    let arguments = client.1(port, name, out.to_str().unwrap());
    let run = Command::new("timeout").arg("20").arg(client.0).args(&arguments).stdin(Stdio::null()).output();
    run.unwrap().status.success().then(|| std::fs::read(&out).unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn real_clients_get_every_file_whole() {
    let files = Files::new(&SIZES);
    for single_port in [false, true] {
        let server = ours(&files, EngineConfig { single_port, ..config() });
        let port = server.address.port();
        let folder = std::env::temp_dir().join(format!("captain-tftp-{}-{port}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let mut count = 0;
        for client in CLIENTS {
            if !exists(client.0) {
                eprintln!("skipped: {} is not installed", client.0);
                continue;
            }
            for (name, size) in SIZES {
                // curl takes a size of 0 in an OACK for an error of the server.
                if (client.0, size) == ("curl", 0) {
                    continue;
                }
                let (inside, name) = (folder.clone(), name.to_owned());
                let label = format!("{:?}", client.1(port, &name, "out"));
                let got =
                    tokio::task::spawn_blocking(move || fetch(client, port, &name, &inside)).await.unwrap();
                assert!(got == Some(content(size)), "{} {label}, single port {single_port}", client.0);
                count += 1;
            }
        }
        std::fs::remove_dir_all(&folder).unwrap();
        let finished = server.finished(count).await;
        assert_eq!(finished.len(), count);
        let sent = finished.iter().filter(|end| matches!(end.outcome, Outcome::Sent { .. })).count();
        assert_eq!(sent, count, "{finished:?}");
    }
}
