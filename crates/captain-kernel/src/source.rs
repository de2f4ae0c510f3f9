//! The kernel's sources: Debian's package, a tarball, or a folder.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use captain_debian::{Deb, EntryKind, Sha256};
use captain_osie::KernelSources;

use crate::error::Error;

/// The sources that a user names, by content: reads all of them.
///
/// # Errors
/// [`Error::Source`]: no kernel, or one that was compiled in; [`Error::Io`].
pub(crate) fn given(path: &Path) -> Result<KernelSources, Error> {
    let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
    let sha256 = if path.is_dir() {
        check(path)?;
        sum(path)?
    } else {
        Sha256::of_reader(&mut File::open(path).map_err(Error::io(path))?).map_err(Error::io(path))?
    };
    Ok(KernelSources::Given { name, sha256 })
}

/// A file that `tar` unpacks into the sources: the tarball itself, or one made of a folder in `scratch`.
pub(crate) fn tarball(path: &Path, scratch: &Path) -> Result<PathBuf, Error> {
    if !path.is_dir() {
        return Ok(path.to_owned());
    }
    check(path)?;
    let place = scratch.join("source.tar");
    let file = File::create(&place).map_err(Error::io(&place))?;
    pack(path, BufWriter::with_capacity(1 << 20, file))?;
    Ok(place)
}

/// Takes the tarball out of the package `linux-source-VERSION`.
pub(crate) fn extract(deb: &Deb, scratch: &Path) -> Result<PathBuf, Error> {
    let mut found = None;
    deb.walk(|entry| {
        let name = entry.path.strip_prefix("usr/src/linux-source-");
        if entry.kind != EntryKind::File || !name.is_some_and(|name| name.contains(".tar")) {
            return Ok::<_, Error>(());
        }
        let place = scratch.join("source.tar.xz");
        let mut file = File::create(&place).map_err(Error::io(&place))?;
        io::copy(entry, &mut file).map_err(Error::io(&place))?;
        found = Some(place);
        Ok(())
    })?;
    let missing = || captain_osie::Error::Malformed {
        file: "linux-source".to_owned(),
        why: "it holds no /usr/src/linux-source-VERSION.tar.xz".to_owned(),
    };
    Ok(found.ok_or_else(missing)?)
}

fn check(folder: &Path) -> Result<(), Error> {
    let wrong = |why: &str| Err(Error::Source { path: folder.to_owned(), why: why.to_owned() });
    if !folder.join("Kconfig").is_file() || !folder.join("Makefile").is_file() {
        return wrong("it has no Kconfig and Makefile: name the top folder of a Linux source tree");
    }
    if folder.join(".config").exists() || folder.join("include/config").exists() {
        return wrong(
            "a kernel was configured or compiled in it: run `make mrproper` there, or name a clean copy",
        );
    }
    Ok(())
}

/// Everything below the folder but its history, by path below `linux/`, each folder before what is in it.
fn entries(folder: &Path) -> Result<Vec<(String, PathBuf)>, Error> {
    let mut all = Vec::new();
    walk(folder, "linux", &mut all)?;
    all.sort_unstable();
    Ok(all)
}

fn walk(folder: &Path, name: &str, all: &mut Vec<(String, PathBuf)>) -> Result<(), Error> {
    for entry in fs::read_dir(folder).map_err(Error::io(folder))? {
        let entry = entry.map_err(Error::io(folder))?;
        if entry.file_name() == ".git" {
            continue;
        }
        let (place, path) = (entry.path(), format!("{name}/{}", entry.file_name().to_string_lossy()));
        if entry.file_type().map_err(Error::io(&place))?.is_dir() {
            walk(&place, &path, all)?;
        }
        all.push((path, place));
    }
    Ok(())
}

/// SHA-256 over path, kind and content of everything in the folder.
fn sum(folder: &Path) -> Result<Sha256, Error> {
    let mut list = String::new();
    for (path, place) in entries(folder)? {
        let metadata = fs::symlink_metadata(&place).map_err(Error::io(&place))?;
        let content = if metadata.is_dir() {
            continue;
        } else if metadata.is_symlink() {
            Sha256::of(fs::read_link(&place).map_err(Error::io(&place))?.as_os_str().as_encoded_bytes())
        } else {
            Sha256::of_reader(&mut File::open(&place).map_err(Error::io(&place))?)
                .map_err(Error::io(&place))?
        };
        let runs = metadata.permissions().mode() & 0o100 != 0;
        list += &format!("{content} {runs} {} {path}\n", metadata.is_symlink());
    }
    Ok(Sha256::of(list.as_bytes()))
}

/// Writes the folder as a tar: sorted, without owners and times.
fn pack(folder: &Path, out: impl Write) -> Result<(), Error> {
    let mut tar = tar::Builder::new(out);
    tar.mode(tar::HeaderMode::Deterministic);
    tar.follow_symlinks(false);
    for (path, place) in entries(folder)? {
        tar.append_path_with_name(&place, &path).map_err(Error::io(&place))?;
    }
    tar.into_inner().and_then(|mut out| out.flush()).map_err(Error::io(folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(folder: &Path) {
        fs::create_dir_all(folder.join("scripts")).unwrap();
        for (path, text) in [("Kconfig", "k"), ("Makefile", "m"), ("scripts/x.sh", "#!/bin/sh\n")] {
            fs::write(folder.join(path), text).unwrap();
        }
        std::os::unix::fs::symlink("x.sh", folder.join("scripts/link")).unwrap();
    }

    #[test]
    fn a_folder_has_one_sum_wherever_it_lies_and_another_after_an_edit() {
        let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for folder in [here.path().join("linux"), there.path().join("linux")] {
            tree(&folder);
        }
        fs::create_dir(there.path().join("linux/.git")).unwrap();
        let first = given(&here.path().join("linux")).unwrap();
        assert_eq!(first, given(&there.path().join("linux")).unwrap());
        fs::write(there.path().join("linux/scripts/x.sh"), "#!/bin/bash\n").unwrap();
        assert_ne!(first, given(&there.path().join("linux")).unwrap());
        let packed = tarball(&here.path().join("linux"), there.path()).unwrap();
        let mut archive = tar::Archive::new(File::open(packed).unwrap());
        archive.unpack(there.path().join("again")).unwrap();
        let link = fs::read_link(there.path().join("again/linux/scripts/link")).unwrap();
        assert_eq!(link, Path::new("x.sh"));
    }

    #[test]
    fn a_folder_that_is_no_clean_source_tree_is_refused_with_the_way_out() {
        let folder = tempfile::tempdir().unwrap();
        let told = || given(folder.path()).unwrap_err().to_string();
        assert!(told().contains("top folder of a Linux source tree"));
        tree(folder.path());
        fs::write(folder.path().join(".config"), "").unwrap();
        assert!(told().contains("make mrproper"));
    }
}
