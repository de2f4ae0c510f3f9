//! Kernels of one's own: where their parts are found, and what is refused.

use super::*;
use crate::kernel_header::testing::{bzimage, image};

const V: &str = "6.12.1-mine";

fn put(folder: &Path, path: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
    let place = folder.join(path);
    fs::create_dir_all(place.parent().unwrap()).unwrap();
    fs::write(&place, bytes).unwrap();
    place
}

fn refused(path: &Path, arch: Arch) -> String {
    KernelFiles::find(path, arch).unwrap_err().to_string()
}

#[test]
fn a_folder_or_the_file_in_it_is_one_kernel_with_its_modules_and_configuration() {
    for (modules, config) in [
        (format!("lib/modules/{V}"), format!("config-{V}")),
        (format!("usr/lib/modules/{V}"), "config".to_owned()),
        (format!("modules/{V}"), ".config".to_owned()),
        ("modules".to_owned(), "config".to_owned()),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let vmlinuz = put(folder.path(), "vmlinuz", bzimage(V));
        put(folder.path(), &format!("{modules}/kernel/net/x.ko"), "x");
        put(folder.path(), &format!("{modules}/modules.order"), "kernel/net/x.ko\n");
        std::os::unix::fs::symlink("/usr/src", folder.path().join(&modules).join("build")).unwrap();
        put(folder.path(), &config, "CONFIG_X=y\n");
        for path in [folder.path(), &vmlinuz] {
            let found = KernelFiles::find(path, Arch::Amd64).unwrap();
            let files = found.module_files().unwrap();
            let names: Vec<_> = files.iter().map(|(path, _)| path.as_str()).collect();
            assert_eq!(names, ["kernel/net/x.ko", "modules.order"], "{modules}");
            assert_eq!(found.config.as_deref(), Some(&*folder.path().join(&config)));
            assert_eq!(found.sums().unwrap().version, V);
        }
    }
}

#[test]
fn a_kernel_in_boot_has_its_modules_beside_that_and_the_right_one_of_two_architectures_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), "boot/vmlinuz-x86_64", bzimage(V));
    put(folder.path(), "boot/vmlinuz-aarch64", image("6.12.1-arm"));
    put(folder.path(), "boot/vmlinuz.txt", "not a kernel");
    put(folder.path(), &format!("lib/modules/{V}/kernel/a.ko"), "a");
    put(folder.path(), "lib/modules/6.12.1-arm/kernel/a.ko", "a");
    for (arch, version) in [(Arch::Amd64, V), (Arch::Arm64, "6.12.1-arm")] {
        assert_eq!(KernelFiles::find(folder.path(), arch).unwrap().sums().unwrap().version, version);
    }
    let amd64 = folder.path().join("boot/vmlinuz-x86_64");
    assert!(refused(&amd64, Arch::Arm64).contains("for amd64, not for arm64"));
    put(folder.path(), "boot/vmlinuz-old", bzimage(V));
    assert!(refused(folder.path(), Arch::Amd64).contains("several kernels"));
}

#[test]
fn modules_that_are_missing_or_of_another_version_are_named_and_an_empty_folder_says_there_are_none() {
    let folder = tempfile::tempdir().unwrap();
    assert!(refused(folder.path(), Arch::Amd64).contains("no vmlinuz*"));
    let vmlinuz = put(folder.path(), "vmlinuz", bzimage(V));
    assert!(refused(&vmlinuz, Arch::Amd64).contains("make an empty folder `modules`"));
    fs::create_dir(folder.path().join("modules")).unwrap();
    assert!(KernelFiles::find(&vmlinuz, Arch::Amd64).unwrap().module_files().unwrap().is_empty());
    put(folder.path(), "modules/6.1/x/y", "");
    let told = refused(&vmlinuz, Arch::Amd64);
    assert!(told.contains(V) && told.ends_with("holds modules of 6.1"), "{told}");
}

#[test]
fn the_sums_change_with_every_byte_and_name() {
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), "vmlinuz", bzimage(V));
    let sums = || KernelFiles::find(folder.path(), Arch::Amd64).unwrap().sums().unwrap();
    put(folder.path(), "modules/kernel/x.ko", "x");
    let first = sums();
    assert_eq!(first, sums());
    put(folder.path(), "modules/kernel/x.ko", "y");
    let second = sums();
    assert_ne!(first.modules, second.modules);
    put(folder.path(), "modules/kernel/z.ko", "");
    assert_ne!(second.modules, sums().modules);
    let mut other = bzimage(V);
    other.push(0);
    put(folder.path(), "vmlinuz", other);
    assert_ne!(first.vmlinuz, sums().vmlinuz);
}

#[test]
fn a_kernel_whose_configuration_lacks_what_an_osie_needs_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), "vmlinuz", bzimage(V));
    put(folder.path(), "modules/kernel/x.ko", "x");
    let take = || {
        let mut image = Image::new(&folder.path().join("scratch")).unwrap();
        let files = KernelFiles::find(folder.path(), Arch::Amd64).unwrap();
        files.take(&mut image).map(|()| (image.vmlinuz, image.shelf.version))
    };
    assert_eq!(take().unwrap(), (Some(bzimage(V)), V.to_owned()));
    put(folder.path(), "config", "CONFIG_NET=y\n");
    let told = take().unwrap_err().to_string();
    assert!(told.contains(V) && told.contains("CONFIG_OVERLAY_FS=m"), "{told}");
}
