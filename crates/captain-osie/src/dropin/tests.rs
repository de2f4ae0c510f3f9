//! OSIEs of every maker taken in, and sources that are refused.

use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use captain_debian::{NoProgress, Tuning};

use super::*;

const CAPTAIN: &str = "usr/lib/captain/report";
const CAPTAINOS: &str = "usr/local/bin/tink-agent-setup";
const LINUXKIT: &str = "containers/onboot/000-dhcpcd/config.json";

fn kernel(arch: Arch) -> Vec<u8> {
    let mut bytes = vec![0; 0x400];
    match arch {
        Arch::Amd64 => bytes[0x202..0x206].copy_from_slice(b"HdrS"),
        Arch::Arm64 => bytes[0x38..0x3c].copy_from_slice(b"ARMd"),
    }
    bytes
}

/// An initramfs with one file.
fn initramfs(path: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut writer = cpio::newc::Builder::new(path).write(&mut out, 1);
    writer.write_all(b"x").unwrap();
    writer.finish().unwrap();
    cpio::newc::trailer(&mut out).unwrap();
    zstd::encode_all(&out[..], 1).unwrap()
}

struct Place {
    root: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        Self { root: tempfile::tempdir().unwrap() }
    }

    fn osies(&self) -> PathBuf {
        self.root.path().join("cache/osie")
    }

    fn folder(&self, files: &[(&str, Vec<u8>)]) -> Origin {
        let folder = self.root.path().join("source");
        for (name, content) in files {
            let path = folder.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        Origin::Path(folder)
    }

    fn archive(&self, files: &[(&str, Vec<u8>)]) -> Origin {
        let path = self.root.path().join("source.tar.gz");
        let gzip = flate2::write::GzEncoder::new(File::create(&path).unwrap(), flate2::Compression::fast());
        let mut tar = tar::Builder::new(gzip);
        for (name, content) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            header.set_mode(0o644);
            // As it stands, also where a path leads out of the archive.
            header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
            header.set_cksum();
            tar.append(&header, &content[..]).unwrap();
        }
        tar.into_inner().unwrap().finish().unwrap();
        Origin::Path(path)
    }

    /// What downloads go through: not patient.
    fn fetcher(&self) -> Fetcher {
        let quick = Duration::from_millis(1);
        let tuning = Tuning { attempts: 2, backoff: quick, ..Tuning::default() };
        Fetcher::new(self.root.path().join("cache/debian"), false, tuning).unwrap()
    }

    async fn add(&self, origin: &Origin) -> Result<Added, Error> {
        self.add_as("mine", origin).await
    }

    async fn add_as(&self, name: &str, origin: &Origin) -> Result<Added, Error> {
        add(name, origin, &self.osies(), &self.fetcher(), &NoProgress).await
    }

    async fn refused(&self, origin: &Origin) -> String {
        let error = self.add(origin).await.unwrap_err().to_string();
        let left: Vec<_> = fs::read_dir(self.osies()).into_iter().flatten().flatten().collect();
        assert!(left.is_empty(), "a refused OSIE leaves nothing: {left:?}");
        error
    }
}

fn pair(names: [&'static str; 2], sign: &str) -> Vec<(&'static str, Vec<u8>)> {
    vec![(names[0], kernel(Arch::Amd64)), (names[1], initramfs(sign))]
}

fn names(added: &Added) -> Vec<(&str, &str)> {
    added.files.iter().map(|file| (file.artifact.name.as_str(), file.was.as_str())).collect()
}

#[tokio::test]
async fn captainos_from_its_out_folder_is_served_under_the_names_that_scripts_ask_for() {
    let place = Place::new();
    let mut files = pair(["vmlinuz-6.18.16-x86_64", "initramfs-6.18.16-x86_64"], CAPTAINOS);
    files.push(("captainos-6.18.16-x86_64.iso", b"an iso".to_vec()));
    files.push(("notes.md", b"not ours".to_vec()));
    let mine = place.add(&place.folder(&files)).await.unwrap();
    assert_eq!(mine.kind, Kind::CaptainOs);
    let want = [
        ("initramfs-x86_64", "initramfs-6.18.16-x86_64"),
        ("osie-x86_64.iso", "captainos-6.18.16-x86_64.iso"),
        ("vmlinuz-x86_64", "vmlinuz-6.18.16-x86_64"),
    ];
    assert_eq!(names(&mine), want);
    assert!(mine.arguments("http://s", "http://s/osie/x").is_empty());
    assert_eq!(fs::read(place.osies().join("mine/vmlinuz-x86_64")).unwrap(), kernel(Arch::Amd64));
    assert_eq!(added(&place.osies(), "mine"), Some(mine));
    assert_eq!(added(&place.osies(), "other"), None);
    let entries = fs::read_dir(place.osies().join("mine")).unwrap().count();
    assert_eq!(entries, 4, "what does not belong to it is not kept");
}

#[tokio::test]
async fn hook_from_its_archive_gets_the_arguments_that_its_makers_give_it() {
    let place = Place::new();
    let files = pair(["./hook/vmlinuz-latest-lts-x86_64", "./hook/initramfs-latest-lts-x86_64"], LINUXKIT);
    let mine = place.add(&place.archive(&files)).await.unwrap();
    assert_eq!((mine.kind, mine.arches()), (Kind::Hook, vec![Arch::Amd64]));
    assert_eq!(mine.arguments("", ""), ["intel_iommu=on", "iommu=pt"]);
}

#[tokio::test]
async fn a_classic_osie_keeps_what_its_initramfs_fetches_and_is_told_where_that_is() {
    let place = Place::new();
    let mut files = pair(["misc/osie/current/vmlinuz-x86_64", "misc/osie/current/initramfs-x86_64"], "init");
    files.push(("misc/osie/current/modloop-x86_64", b"modules".to_vec()));
    files.push(("misc/osie/current/repo-x86_64/main/x86_64/a.apk", b"package".to_vec()));
    files.push(("misc/osie/current/osie-x86_64.tar.gz", b"container".to_vec()));
    let mine = place.add(&place.archive(&files)).await.unwrap();
    assert_eq!(mine.kind, Kind::Classic);
    assert_eq!(fs::read(place.osies().join("mine/repo-x86_64/main/x86_64/a.apk")).unwrap(), b"package");
    let arguments = mine.arguments("http://s:7080", "http://s:7080/osie/old").join(" ");
    assert!(arguments.contains("modloop=http://s:7080/osie/old/modloop-x86_64 tinkerbell=http://s:7080 "));
    assert!(arguments.contains("alpine_repo=http://s:7080/osie/old/repo-x86_64/main "), "{arguments}");
}

#[tokio::test]
async fn ones_own_osie_is_known_by_what_is_in_it_and_an_unknown_one_is_served_too() {
    for (sign, kind) in [(CAPTAIN, Kind::Captaind), ("init", Kind::Other)] {
        let place = Place::new();
        let files = pair(["vmlinuz-x86_64", "initramfs-x86_64"], sign);
        assert_eq!(place.add(&place.archive(&files)).await.unwrap().kind, kind);
    }
}

#[tokio::test]
async fn what_is_no_whole_osie_is_refused_with_what_is_wrong() {
    let good = || pair(["vmlinuz-x86_64", "initramfs-x86_64"], CAPTAIN);
    let without = |gone: &str| good().into_iter().filter(|(name, _)| *name != gone).collect::<Vec<_>>();
    let with = |name, content: Vec<u8>| [good(), vec![(name, content)]].concat();
    let place = Place::new();
    for (files, want) in [
        (vec![("readme.md", Vec::new())], "holds no kernel"),
        (without("vmlinuz-x86_64"), "no vmlinuz-x86_64 for amd64"),
        (without("initramfs-x86_64"), "no initramfs-x86_64 for amd64"),
        (with("vmlinuz-6.1-x86_64", kernel(Arch::Amd64)), "both vmlinuz-6.1-x86_64 and vmlinuz-x86_64"),
        (with("sha256sums.txt", format!("{:064}  vmlinuz-x86_64\n", 7).into_bytes()), "its list of sums"),
        (with("./vmlinuz-x86_64", kernel(Arch::Amd64)), "vmlinuz-x86_64 twice"),
        (with("../evil-x86_64", Vec::new()), "its path ../evil-x86_64 leads out"),
        (with("/etc/vmlinuz-x86_64", Vec::new()), "leads out of it"),
    ] {
        let error = place.refused(&place.archive(&files)).await;
        assert!(error.contains(want), "{error}");
    }
    let mut arm = good();
    arm[0].1 = kernel(Arch::Arm64);
    let error = place.refused(&place.archive(&arm)).await;
    assert!(error.contains("vmlinuz-x86_64 is a kernel for arm64, not for amd64"), "{error}");
    arm[0].1 = vec![0; 0x400];
    let error = place.refused(&place.archive(&arm)).await;
    assert!(error.contains("vmlinuz-x86_64 is not a Linux kernel"), "{error}");
    fs::write(place.root.path().join("text"), "no archive").unwrap();
    let error = place.refused(&Origin::Path(place.root.path().join("text"))).await;
    assert!(error.contains("no archive"), "{error}");
}

#[tokio::test]
async fn a_link_out_of_the_folder_is_refused_and_one_within_it_is_followed() {
    let place = Place::new();
    let origin = place.folder(&pair(["real/vmlinuz-1-x86_64", "initramfs-x86_64"], CAPTAIN));
    let folder = place.root.path().join("source");
    fs::rename(folder.join("real/vmlinuz-1-x86_64"), folder.join("real/kernel")).unwrap();
    std::os::unix::fs::symlink("real/kernel", folder.join("vmlinuz-x86_64")).unwrap();
    assert_eq!(place.add(&origin).await.unwrap().files.len(), 2);
    fs::remove_dir_all(place.osies().join("mine")).unwrap();
    fs::remove_file(folder.join("vmlinuz-x86_64")).unwrap();
    fs::write(place.root.path().join("secret"), kernel(Arch::Amd64)).unwrap();
    std::os::unix::fs::symlink("../secret", folder.join("vmlinuz-x86_64")).unwrap();
    let error = place.refused(&origin).await;
    assert!(error.contains("vmlinuz-x86_64 is a link that leads out"), "{error}");
    fs::remove_file(folder.join("vmlinuz-x86_64")).unwrap();
    std::os::unix::fs::symlink("real", folder.join("vmlinuz-x86_64")).unwrap();
    let error = place.refused(&origin).await;
    assert!(error.contains("vmlinuz-x86_64 is not a file"), "{error}");
}

#[tokio::test]
async fn names_are_checked_and_taken_once() {
    let place = Place::new();
    let origin = place.archive(&pair(["vmlinuz-x86_64", "initramfs-x86_64"], CAPTAIN));
    for bad in ["", "..", "a/b", ".a"] {
        assert!(place.add_as(bad, &origin).await.is_err(), "{bad}");
    }
    place.add(&origin).await.unwrap();
    let error = place.add(&origin).await.unwrap_err().to_string();
    assert!(error.contains("captaind osie remove"), "{error}");
}

#[tokio::test]
async fn links_and_devices_in_an_archive_are_refused_wherever_they_lead() {
    for kind in [tar::EntryType::Symlink, tar::EntryType::Link, tar::EntryType::Block, tar::EntryType::Fifo] {
        let place = Place::new();
        let path = place.root.path().join("source.tar");
        let mut tar = tar::Builder::new(File::create(&path).unwrap());
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(0);
        tar.append_link(&mut header, "vmlinuz-x86_64", "/etc/shadow").unwrap();
        tar.finish().unwrap();
        let error = place.refused(&Origin::Path(path)).await;
        assert!(error.contains("vmlinuz-x86_64 is a link or a device"), "{error}");
    }
}

#[tokio::test]
async fn an_archive_that_unpacks_to_far_more_than_it_is_or_ends_early_is_refused() {
    let place = Place::new();
    let bomb = [("vmlinuz-x86_64", vec![0; 160 << 20])];
    let error = place.refused(&place.archive(&bomb)).await;
    assert!(error.contains("unpacks to more than 20 times its size"), "{error}");
    let Origin::Path(path) = place.archive(&pair(["vmlinuz-x86_64", "initramfs-x86_64"], CAPTAIN)) else {
        panic!("an archive")
    };
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    let error = place.refused(&Origin::Path(path)).await;
    assert!(error.contains("a damaged one"), "{error}");
}

/// Serves `body` to whoever asks, and counts how often.
fn served(body: Vec<u8>) -> (String, Arc<AtomicUsize>) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, asked) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
    let counted = asked.clone();
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            counted.fetch_add(1, Ordering::SeqCst);
            let mut request = [0; 1024];
            let _ = stream.read(&mut request);
            let (status, body) = if body.is_empty() { ("404 x", &[][..]) } else { ("200 OK", &body[..]) };
            let head =
                format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
            let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body));
        }
    });
    (format!("http://{address}/hook.tar.gz"), asked)
}

#[tokio::test]
async fn a_download_is_taken_only_where_it_is_the_file_that_was_meant() {
    let place = Place::new();
    let Origin::Path(path) = place.archive(&pair(["vmlinuz-x86_64", "initramfs-x86_64"], LINUXKIT)) else {
        panic!("an archive")
    };
    let bytes = fs::read(path).unwrap();
    let ((url, asked), sha256) = (served(bytes.clone()), Sha256::of(&bytes));
    let meant = |sha256| Origin::Url { url: url.clone(), sha256 };
    let error = place.refused(&meant(Some(Sha256::of(b"")))).await;
    assert!(error.contains(&format!("got SHA-256 {sha256}")) && error.contains("its publisher"), "{error}");
    let gone = Origin::Url { url: served(Vec::new()).0, sha256: Some(sha256) };
    assert!(place.refused(&gone).await.contains("404"));

    let before = asked.load(Ordering::SeqCst);
    let error = place.refused(&meant(None)).await;
    assert!(error.contains(&format!("run the command again with --sha256 {sha256}")), "{error}");
    let mine = place.add(&meant(Some(sha256))).await.unwrap();
    assert_eq!((mine.kind, &mine.source), (Kind::Hook, &url));
    assert_eq!(asked.load(Ordering::SeqCst), before + 1, "it was downloaded twice");
    let sum = sha256.to_string();
    let kept = place.root.path().join("cache/debian/by-sha256").join(&sum[..2]).join(&sum);
    assert!(!kept.exists(), "the archive stays beside what was taken out of it");
}
