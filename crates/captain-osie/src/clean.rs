//! What of the cache can go.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use captain_debian::Sha256;
use serde::Serialize;

use crate::error::Error;
use crate::lock::{Lock, LockFile};

/// How much is cleaned away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extent {
    /// All downloads, also those that locks name.
    pub downloads: bool,
    /// All OSIEs that were built; those that were added only with `all`.
    pub osies: bool,
    /// All of these, added OSIEs, boot loaders, and kernels that were compiled.
    pub all: bool,
}

/// Something that can go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Litter {
    /// A file or a folder.
    pub path: PathBuf,
    /// Bytes, everything in it counted.
    pub bytes: u64,
}

/// What can go of `cache`. Without more said, that is what neither a lock of `locks` (files) nor one of a built OSIE
/// names: downloads of older packages, and what interrupted work left. Never anything in or around one of `spared`.
///
/// # Errors
/// A lock cannot be read: what it names is then not known.
pub fn litter(
    cache: &Path,
    locks: &[PathBuf],
    extent: Extent,
    spared: &[PathBuf],
) -> Result<Vec<Litter>, Error> {
    let mut paths = left_overs(cache);
    if extent.all || extent.downloads {
        paths.push(cache.join("debian"));
    } else {
        let kept = named(cache, locks)?;
        paths.extend(downloads(cache).into_iter().filter(|path| {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            !kept.contains(name)
        }));
    }
    if extent.all {
        paths.extend(["loaders", "bundle", "kernel"].map(|folder| cache.join(folder)));
    }
    if extent.all || extent.osies {
        let built = |folder: &PathBuf| extent.all || !folder.join("osie.json").exists();
        paths.extend(entries(&cache.join("osie")).into_iter().filter(built));
    }
    let around = |path: &Path, spared: &Path| spared.starts_with(path) || path.starts_with(spared);
    paths.retain(|path| path.exists() && !spared.iter().any(|spared| around(path, spared)));
    paths.sort();
    paths.dedup();
    Ok(paths.into_iter().map(|path| Litter { bytes: size(&path), path }).collect())
}

/// Removes it.
///
/// # Errors
/// Something cannot be removed; what came before it is gone.
pub fn remove(litter: &[Litter]) -> Result<(), Error> {
    for Litter { path, .. } in litter {
        let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
        removed.map_err(Error::io(path))?;
    }
    Ok(())
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

/// What work that was ended half-way leaves: drafts, whose names begin with a dot.
fn left_overs(cache: &Path) -> Vec<PathBuf> {
    let hidden = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        [".pool-", ".add-"].iter().any(|start| name.starts_with(start)) || name.ends_with(".part")
    };
    let osies = entries(&cache.join("osie"));
    let inside = osies.iter().flat_map(|osie| entries(osie));
    let all = entries(cache).into_iter().chain(osies.clone()).chain(inside);
    all.filter(hidden).collect()
}

/// Downloads, by their content's name; those that were interrupted too.
fn downloads(cache: &Path) -> Vec<PathBuf> {
    entries(&cache.join("debian/by-sha256")).iter().flat_map(|folder| entries(folder)).collect()
}

/// Names of all downloads that a lock names.
fn named(cache: &Path, locks: &[PathBuf]) -> Result<BTreeSet<String>, Error> {
    let mut kept = BTreeSet::new();
    let mut keep = |lock: &Lock| {
        kept.extend(lock.everything().map(|package| package.sha256).map(|sum: Sha256| sum.to_string()));
    };
    for osie in entries(&cache.join("osie")) {
        for path in entries(&osie) {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if name == "captaind.lock" {
                LockFile::read(&path)?.all().for_each(&mut keep);
            } else if name.starts_with("lock-") && name.ends_with(".json") {
                let text = fs::read(&path).map_err(Error::io(&path))?;
                let lock = serde_json::from_slice(&text);
                keep(&lock.map_err(|error| Error::malformed(path.display().to_string(), error))?);
            }
        }
    }
    for path in locks {
        LockFile::read(path)?.all().for_each(&mut keep);
    }
    Ok(kept)
}

fn size(path: &Path) -> u64 {
    match fs::symlink_metadata(path) {
        Ok(data) if data.is_dir() => entries(path).iter().map(|entry| size(entry)).sum(),
        Ok(data) => data.len(),
        Err(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lock::testing::lock;

    fn cache() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let put = |path: &str, text: &str| {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        for package in lock().inputs() {
            let sum = package.sha256.to_string();
            put(&format!("debian/by-sha256/{}/{sum}", &sum[..2]), "kept");
        }
        put("debian/by-sha256/00/0000", "older");
        put("debian/index/x", "index");
        put(".pool-1-2", "pool");
        put("loaders/ipxe.efi", "loader");
        put("kernel/0123456789abcdef/vmlinuz", "kernel");
        put("images/index.json", "image");
        put("osie/default/vmlinuz-x86_64", "built");
        put("osie/hook/osie.json", "{}");
        put("osie/.add-x/download", "half");
        let mut file = LockFile::default();
        file.put(lock());
        file.write(&folder.path().join("osie/default/captaind.lock")).unwrap();
        folder
    }

    fn found(folder: &Path, extent: Extent, spared: &[PathBuf]) -> Vec<String> {
        let litter = litter(folder, &[], extent, spared).unwrap();
        let name = |one: Litter| one.path.strip_prefix(folder).unwrap().display().to_string();
        litter.into_iter().map(name).collect()
    }

    #[test]
    fn without_more_said_only_what_no_lock_names_goes() {
        let folder = cache();
        let want = [".pool-1-2", "debian/by-sha256/00/0000", "osie/.add-x"];
        assert_eq!(found(folder.path(), Extent::default(), &[]), want);
        let all = litter(folder.path(), &[], Extent::default(), &[]).unwrap();
        assert_eq!(all.iter().map(|one| one.bytes).sum::<u64>(), 13);
        remove(&all).unwrap();
        assert!(found(folder.path(), Extent::default(), &[]).is_empty());
        assert!(folder.path().join("images/index.json").exists());
    }

    #[test]
    fn a_lock_beside_the_configuration_keeps_what_it_names() {
        let folder = cache();
        let beside = folder.path().join("etc.lock");
        fs::rename(folder.path().join("osie/default/captaind.lock"), &beside).unwrap();
        assert_eq!(found(folder.path(), Extent::default(), &[]).len(), 3 + lock().inputs().count());
        assert_eq!(
            litter(folder.path(), std::slice::from_ref(&beside), Extent::default(), &[]).unwrap().len(),
            3
        );
        fs::write(&beside, "{").unwrap();
        assert!(litter(folder.path(), &[beside], Extent::default(), &[]).is_err(), "who knows what it names");
    }

    #[test]
    fn more_goes_when_it_is_asked_for_and_state_never() {
        let folder = cache();
        let downloads = Extent { downloads: true, ..Extent::default() };
        assert_eq!(found(folder.path(), downloads, &[]), [".pool-1-2", "debian", "osie/.add-x"]);
        let osies = found(folder.path(), Extent { osies: true, ..Extent::default() }, &[]);
        assert!(osies.contains(&"osie/default".to_owned()) && !osies.contains(&"osie/hook".to_owned()));
        let all = Extent { all: true, ..Extent::default() };
        let want = [".pool-1-2", "debian", "kernel", "loaders", "osie/.add-x", "osie/default", "osie/hook"];
        assert_eq!(found(folder.path(), all, &[]), want);
        let state = folder.path().join("osie/default/state");
        assert!(!found(folder.path(), all, &[state]).contains(&"osie/default".to_owned()));
    }
}
