//! Boot loaders: iPXE's binaries out of Debian's `ipxe` package.

use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use captain_debian::{Archive, Deb, EntryKind, Mirrors, Progress, Sha256};
use captain_model::{Arch, Recipe};
use serde::{Deserialize, Serialize};

use crate::build::fetch;
use crate::error::Error;
use crate::lock::Lock;
use crate::manifest::PackageRef;
use crate::options::BuildOptions;
use crate::output::output;
use crate::plan::{archive_options, mirrors};
use crate::relay::blocking;

/// The package with the loaders.
const PACKAGE: &str = "ipxe";
/// Where it keeps them.
const FOLDER: &str = "usr/lib/ipxe/";
/// The file that says what is in the folder.
const LIST: &str = "loaders.json";

/// What was taken from which package.
#[derive(Debug, Serialize, Deserialize)]
struct List {
    package: String,
    version: String,
    files: Vec<(String, Sha256)>,
}

/// The folder `CACHE/loaders` with `undionly.kpxe`, `ipxe.efi`, `snponly.efi` and what else the package has
/// for the network (`ipxe-arm64.efi`). It is made from the verified package where it is not complete yet, or
/// is of another version than the one that `lock` pins; `recipe` says from which archive.
///
/// # Errors
/// The archive or the package; or the folder cannot be written.
pub async fn loaders(
    recipe: &Recipe,
    lock: Option<&Lock>,
    options: &BuildOptions,
    progress: &dyn Progress,
) -> Result<PathBuf, Error> {
    let folder = options.cache.join("loaders");
    let locked = lock.and_then(|lock| lock.loader.clone());
    if is_complete(&folder, locked.as_ref().map(|package| package.version.as_str())) {
        return Ok(folder);
    }
    let package = match locked {
        Some(package) => package,
        None => newest(recipe, options, progress).await?,
    };
    let mirrors = if options.offline { Mirrors::default() } else { mirrors(recipe)? };
    let fetched = fetch(std::slice::from_ref(&package), &mirrors, options, progress).await?;
    let target = folder.clone();
    blocking(progress, move |_| {
        fs::create_dir_all(&target).map_err(Error::io(&target))?;
        let deb = fetched.first().ok_or_else(|| Error::malformed(PACKAGE, "it was not fetched"))?.open()?;
        extract(&deb, &target, package.version)
    })
    .await?;
    Ok(folder)
}

async fn newest(
    recipe: &Recipe,
    options: &BuildOptions,
    progress: &dyn Progress,
) -> Result<PackageRef, Error> {
    // The package is for all architectures: any index has it.
    let of_amd64 = BuildOptions { arch: Arch::Amd64, ..options.clone() };
    let plain = Recipe { firmware: Vec::new(), ..recipe.clone() };
    let archive = Archive::open(archive_options(&plain, &of_amd64)?, progress).await?;
    in_archive(&archive)?.ok_or_else(|| Error::malformed("archive", format!("it has no package `{PACKAGE}`")))
}

/// The package with the loaders, as `archive` has it now.
pub(crate) fn in_archive(archive: &Archive) -> Result<Option<PackageRef>, Error> {
    let package = archive.universe().newest(PACKAGE)?;
    Ok(package.map(|package| PackageRef::of(&package, "boot loaders".to_owned())))
}

/// Whether the folder has all that its list says, of this version if one is given.
fn is_complete(folder: &Path, version: Option<&str>) -> bool {
    let Ok(text) = fs::read(folder.join(LIST)) else { return false };
    let Ok(list) = serde_json::from_slice::<List>(&text) else { return false };
    if version.is_some_and(|version| version != list.version) {
        return false;
    }
    list.files
        .iter()
        .all(|(name, sum)| fs::read(folder.join(name)).is_ok_and(|bytes| Sha256::of(&bytes) == *sum))
}

fn extract(deb: &Deb, folder: &Path, version: String) -> Result<(), Error> {
    let (mut files, mut links) = (Vec::new(), Vec::new());
    deb.walk(|entry| {
        let name = entry.path.strip_prefix(FOLDER).filter(|name| is_loader(name)).map(str::to_owned);
        let Some(name) = name else { return Ok::<_, Error>(()) };
        match entry.kind.clone() {
            EntryKind::File => {
                let mut bytes = Vec::new();
                entry.read_to_end(&mut bytes).map_err(Error::io(&entry.path))?;
                files.push((name, bytes));
            }
            EntryKind::Symlink(target) => links.push((name, target)),
            _ => {}
        }
        Ok(())
    })?;
    for (name, target) in links {
        // A copy: TFTP servers and people do not expect links.
        if let Some(bytes) = files.iter().find(|(file, _)| *file == target).map(|(_, bytes)| bytes.clone()) {
            files.push((name, bytes));
        }
    }
    let sums = files.iter().map(|(name, bytes)| (name.clone(), Sha256::of(bytes))).collect();
    for (name, bytes) in &files {
        write(folder, name, bytes)?;
    }
    let list = List { package: PACKAGE.to_owned(), version, files: sums };
    let json = serde_json::to_vec_pretty(&list).map_err(|error| Error::malformed(LIST, error))?;
    write(folder, LIST, &json)
}

fn is_loader(name: &str) -> bool {
    !name.contains('/') && [".efi", ".kpxe", ".kkpxe", ".pxe", ".lkrn"].iter().any(|end| name.ends_with(end))
}

fn write(folder: &Path, name: &str, bytes: &[u8]) -> Result<(), Error> {
    output(folder, name, |mut file| {
        file.write_all(bytes).map_err(Error::io(folder.join(name)))?;
        Ok(file)
    })
    .map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_complete_only_while_every_file_has_its_sum() {
        let folder = tempfile::tempdir().unwrap();
        assert!(!is_complete(folder.path(), None));
        let list = List {
            package: "ipxe".to_owned(),
            version: "1".to_owned(),
            files: vec![("undionly.kpxe".to_owned(), Sha256::of(b"x"))],
        };
        write(folder.path(), LIST, &serde_json::to_vec(&list).unwrap()).unwrap();
        assert!(!is_complete(folder.path(), None));
        write(folder.path(), "undionly.kpxe", b"x").unwrap();
        assert!(is_complete(folder.path(), None));
        assert!(is_complete(folder.path(), Some("1")) && !is_complete(folder.path(), Some("2")));
        write(folder.path(), "undionly.kpxe", b"y").unwrap();
        assert!(!is_complete(folder.path(), None));
    }
}
