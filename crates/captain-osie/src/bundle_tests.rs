//! A bundle there and back, and bundles that are not what they say.

use captain_debian::NoProgress;
use captain_model::Tool;

use super::*;
use crate::lock::testing;
use crate::overlay::OverlaySource;

type Inputs = (Lock, Vec<(String, Vec<OverlayFile>)>, Vec<Fetched>);

fn tool(name: &str) -> Tool {
    let sha256 = captain_debian::Sha256::of(name.as_bytes()).to_string();
    let url = format!("https://tools.example/{name}");
    Tool { url, sha256, arch: None, to: "/opt".to_owned(), files: Vec::new(), name: None }
}

#[tokio::test]
async fn a_bundle_brings_its_tools_and_one_that_lacks_them_or_has_others_is_refused() {
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (mut lock, overlays, debs) = inputs(here.path());
    lock.recipe.tools = vec![tool("scan")];
    let (file, scan) = (here.path().join("site.tar"), here.path().join("scan"));
    for (content, words) in [("scam", "expected"), ("scan", "")] {
        fs::write(&scan, content).unwrap();
        let parts = [(format!("{TOOLS}/{}", lock.recipe.tools[0].sha256), scan.clone())];
        write_file(&lock, &overlays, &parts, &debs, &file).unwrap();
        match unbundle(&file, there.path(), &NoProgress).await {
            Ok(_) => assert_eq!(content, "scan"),
            Err(error) => assert!(content == "scam" && error.to_string().contains(words), "{error}"),
        }
    }
    let options = BuildOptions { offline: true, ..BuildOptions::new(lock.arch, there.path()) };
    let fetched = tools::fetch(&lock.recipe.tools, &options, &NoProgress).await.unwrap();
    assert_eq!(fs::read(&fetched[0].path).unwrap(), b"scan");
    lock.recipe.tools = vec![tool("lost")];
    write_file(&lock, &overlays, &[], &debs, &file).unwrap();
    let error = unbundle(&file, there.path(), &NoProgress).await.unwrap_err().to_string();
    assert!(error.contains("it lacks lost"), "{error}");
}

/// A lock and, in `cache`, the debs that it names.
fn inputs(cache: &Path) -> Inputs {
    let folder = cache.join("mine");
    fs::create_dir_all(folder.join("etc")).unwrap();
    fs::write(folder.join("etc/x"), "x").unwrap();
    fs::set_permissions(folder.join("etc/x"), fs::Permissions::from_mode(0o711)).unwrap();
    symlink("/etc/x", folder.join("etc/link")).unwrap();
    let sources = [OverlaySource::Embedded, OverlaySource::Folder(folder)];
    let overlays: Vec<_> = ["captaind", "mine"]
        .into_iter()
        .zip(&sources)
        .map(|(name, source)| (name.to_owned(), source.files().unwrap()))
        .collect();
    let mut lock = testing::lock();
    lock.overlay = sources
        .iter()
        .flat_map(|source| crate::overlay::Laid::of(&source.name(), &source.files().unwrap()))
        .collect();
    let fetcher = Fetcher::new(cache.join("debian"), true, Tuning::default()).unwrap();
    let put = |package: &PackageRef| {
        let content = format!("{} {}", package.name, package.version);
        fetcher.put(&package.item(&Mirrors::default()), &mut content.as_bytes()).unwrap()
    };
    let debs = lock.inputs().map(put).collect();
    (lock, overlays, debs)
}

#[tokio::test]
async fn a_bundle_brings_the_lock_the_packages_and_the_overlays_into_an_empty_cache() {
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (lock, overlays, debs) = inputs(here.path());
    let file = here.path().join("site.tar");
    let one = write_file(&lock, &overlays, &[], &debs, &file).unwrap();
    let two = write_file(&lock, &overlays, &[], &debs, &here.path().join("again.tar")).unwrap();
    assert_eq!(one.sha256, two.sha256, "one lock, one bundle");
    // Taking it in twice is no different from once.
    for _ in 0..2 {
        let got = unbundle(&file, there.path(), &NoProgress).await.unwrap();
        assert_eq!(got.lock, lock);
        let link = got.recipe.overlay[0].join("etc/link");
        assert_eq!(fs::read_link(link).unwrap(), Path::new("/etc/x"));
        assert!(got.overlay_dir.join("init").is_file());
        let options = BuildOptions { offline: true, ..BuildOptions::new(lock.arch, there.path()) };
        let fetched = fetch(&lock.packages, &Mirrors::default(), &options, &NoProgress).await.unwrap();
        assert_eq!(fs::read(&fetched[0].path).unwrap(), b"bash 5");
    }
}

#[tokio::test]
async fn a_bundle_that_is_not_what_its_lock_says_is_refused_and_named() {
    let folder = tempfile::tempdir().unwrap();
    let (lock, overlays, debs) = inputs(folder.path());
    let more = {
        let mut debs = debs.clone();
        debs.push(Fetched { name: "evil.deb".to_owned(), ..debs[0].clone() });
        debs
    };
    let swapped = {
        let mut debs = debs.clone();
        debs[0].path = debs[1].path.clone();
        debs[0].size = debs[1].size;
        debs
    };
    let own = [(String::from("captaind"), overlay_of(&overlays, 0))];
    let cases: [(&str, &Overlays, &[Fetched]); 4] = [
        ("lacks", &overlays, &debs[1..]),
        ("does not name", &overlays, &more),
        ("expected", &overlays, &swapped),
        ("overlays are not those", &own, &debs),
    ];
    for (number, (why, overlays, debs)) in cases.into_iter().enumerate() {
        let file = folder.path().join(format!("{number}.tar"));
        write_file(&lock, overlays, &[], debs, &file).unwrap();
        let cache = folder.path().join(format!("cache-{number}"));
        let error = unbundle(&file, &cache, &NoProgress).await.unwrap_err().to_string();
        assert!(error.contains(why), "{why}: {error}");
    }
}

fn overlay_of(overlays: &Overlays, number: usize) -> Vec<OverlayFile> {
    let copy = |file: &OverlayFile| OverlayFile {
        path: file.path.clone(),
        node: file.node.clone(),
        mode: file.mode,
    };
    overlays[number].1.iter().map(copy).collect()
}

#[tokio::test]
async fn an_overlay_cannot_write_outside_its_folder_through_a_link() {
    let folder = tempfile::tempdir().unwrap();
    let (lock, _, debs) = inputs(folder.path());
    let outside = folder.path().join("outside");
    fs::create_dir(&outside).unwrap();
    let file = |path: &str, node| OverlayFile { path: path.to_owned(), node, mode: 0o644 };
    let evil =
        vec![file("etc", Node::Symlink(outside.display().to_string())), file("etc/x", Node::file(*b"evil"))];
    let tar = folder.path().join("evil.tar");
    write_file(&lock, &[("captaind".to_owned(), evil)], &[], &debs, &tar).unwrap();
    let error = unbundle(&tar, &folder.path().join("cache"), &NoProgress).await.unwrap_err().to_string();
    assert!(error.contains("leads through a link"), "{error}");
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
}

#[tokio::test]
async fn a_file_that_is_no_bundle_is_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x.tar");
    fs::write(&file, [0; 1024]).unwrap();
    let error = unbundle(&file, folder.path(), &NoProgress).await.unwrap_err().to_string();
    assert!(error.contains("no bundle"), "{error}");
}

#[tokio::test]
async fn a_kernel_that_is_no_package_travels_with_the_bundle_and_must_be_the_one_of_the_lock() {
    let folder = tempfile::tempdir().unwrap();
    let (mut lock, overlays, debs) = inputs(folder.path());
    let mine = folder.path().join("kernel");
    fs::create_dir_all(mine.join("modules/kernel")).unwrap();
    fs::write(mine.join("vmlinuz"), crate::kernel_header::testing::bzimage("6.12.1-mine")).unwrap();
    fs::write(mine.join("modules/kernel/x.ko"), "x").unwrap();
    let found = KernelFiles::find(&mine, lock.arch).unwrap();
    lock.local_kernel = Some(found.sums().unwrap());
    let (tar, there) = (folder.path().join("site.tar"), folder.path().join("there"));
    let parts: Vec<_> = below(KERNEL, found.parts().unwrap()).collect();
    write_file(&lock, &overlays, &parts, &debs, &tar).unwrap();
    let got = unbundle(&tar, &there, &NoProgress).await.unwrap();
    let again = KernelFiles::find(&got.kernel_dir.unwrap(), lock.arch).unwrap();
    assert_eq!(Some(again.sums().unwrap()), lock.local_kernel);
    fs::write(mine.join("modules/kernel/x.ko"), "y").unwrap();
    write_file(&lock, &overlays, &parts, &debs, &tar).unwrap();
    let error = unbundle(&tar, &there, &NoProgress).await.unwrap_err().to_string();
    assert!(error.contains("its kernel is not the one"), "{error}");
}
