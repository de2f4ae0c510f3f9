//! Against the real thing: containerd pulls from our registry, and its export comes back in. Needs root and
//! Debian's `containerd`; where either is missing there is nothing to run against, and the test says so.
#![allow(missing_docs, clippy::unwrap_used)]

mod common;

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use captain_oci::{Store, router};
use common::*;

/// A containerd of our own, which ends with the test.
struct Containerd {
    process: Child,
    address: String,
    _folder: tempfile::TempDir,
}

impl Containerd {
    fn start() -> Option<Self> {
        let root =
            std::fs::metadata("/proc/self").is_ok_and(|me| std::os::unix::fs::MetadataExt::uid(&me) == 0);
        if !root || !exists("containerd") || !exists("ctr") {
            eprintln!("skipped: needs root, containerd and ctr");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        let config = "version = 2\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n";
        std::fs::write(path("config.toml"), config).unwrap();
        let address = path("containerd.sock");
        let process = Command::new("containerd")
            .args(["--config", &path("config.toml"), "--root", &path("root"), "--state", &path("state")])
            .args(["--address", &address])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let containerd = Self { process, address, _folder: folder };
        let end = Instant::now() + Duration::from_secs(20);
        while !containerd.ctr(&["version"]).0 {
            assert!(Instant::now() < end, "containerd did not start");
            std::thread::sleep(Duration::from_millis(100));
        }
        Some(containerd)
    }

    fn ctr(&self, arguments: &[&str]) -> (bool, String) {
        let output = Command::new("ctr")
            .args(["--address", &self.address, "--namespace", "captaind-test"])
            .args(arguments)
            .output()
            .unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&text).into_owned())
    }

    fn must(&self, arguments: &[&str]) -> String {
        let (good, text) = self.ctr(arguments);
        assert!(good, "ctr {arguments:?}: {text}");
        text
    }
}

impl Drop for Containerd {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

async fn serve(store: Store) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(axum::serve(listener, router(Arc::new(store))).into_future());
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn containerd_pulls_what_we_assembled_and_we_import_what_it_exports() {
    let Some(containerd) = Containerd::start() else { return };
    let Bench { folder, store } = bench();
    let digest = store.assemble(&agent_spec(), &reference("deep/er/tink-agent:1")).unwrap();
    let host = serve(store).await;
    let (name, short) = (format!("{host}/deep/er/tink-agent:1"), "docker.io/deep/er/tink-agent:1");
    containerd.must(&["images", "pull", "--plain-http", "--all-platforms", "--snapshotter", "native", &name]);
    let listed = containerd.must(&["images", "ls"]);
    assert!(listed.contains(&name) && listed.contains(&digest.to_string()), "{listed}");
    assert!(listed.contains("linux/amd64") && listed.contains("linux/arm64"), "{listed}");

    containerd.must(&["images", "tag", &name, short]);
    let exported = folder.path().join("export.tar").display().to_string();
    containerd.must(&["images", "export", "--all-platforms", &exported, short]);
    let again = Store::open(folder.path().join("again")).unwrap();
    let imported = again.import(Path::new(&exported), None).unwrap();
    assert_eq!((imported[0].reference.to_string().as_str(), imported[0].digest), (short, digest));

    let one = folder.path().join("one.tar").display().to_string();
    containerd.must(&["images", "export", "--platform", "linux/amd64", &one, short]);
    let single = Store::open(folder.path().join("single")).unwrap();
    single.import(Path::new(&one), Some("renamed:2")).unwrap();
    assert_eq!(single.images().unwrap()[0].platforms, ["linux/amd64"]);
    let host = serve(single).await;
    let name = format!("{host}/renamed:2");
    containerd.must(&[
        "images",
        "pull",
        "--plain-http",
        "--platform",
        "linux/amd64",
        "--snapshotter",
        "native",
        &name,
    ]);

    let refused = containerd.ctr(&["images", "push", "--plain-http", &name, &name]);
    assert!(!refused.0, "a read-only registry takes nothing: {}", refused.1);
}
