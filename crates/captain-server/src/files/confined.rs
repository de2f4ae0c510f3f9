//! Files below one folder, and never outside: no `..`, no absolute path, no symbolic link out of it.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};

/// A folder that files are opened in.
#[derive(Clone, Debug)]
pub(crate) struct Confined {
    folder: Arc<OwnedFd>,
}

impl Confined {
    /// Confines to `folder`.
    ///
    /// # Errors
    /// It cannot be opened.
    pub(crate) fn to(folder: &Path) -> io::Result<Self> {
        let handle = File::open(folder)?;
        if !handle.metadata()?.is_dir() {
            return Err(io::Error::new(io::ErrorKind::NotADirectory, "not a folder"));
        }
        Ok(Self { folder: Arc::new(handle.into()) })
    }

    /// Opens the regular file called `name`; the kernel does the confining (`RESOLVE_BENEATH`, openat2(2)).
    /// Leading slashes, which firmware likes to send, are dropped.
    ///
    /// # Errors
    /// No such file below the folder.
    pub(crate) fn open(&self, name: &str) -> io::Result<File> {
        let relative: PathBuf = Path::new(name.trim_start_matches('/')).into();
        if relative.components().any(|part| !matches!(part, Component::Normal(_) | Component::CurDir)) {
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, "the name leads out of the folder"));
        }
        let how = OpenHow::new()
            .flags(OFlag::O_RDONLY | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)
            .resolve(ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_MAGICLINKS);
        let file = File::from(openat2(&self.folder, &relative, how)?);
        if file.metadata()?.is_file() {
            Ok(file)
        } else {
            Err(io::Error::new(io::ErrorKind::NotFound, "not a regular file"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn files_below_are_opened_and_nothing_leads_out() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("root");
        std::fs::create_dir_all(root.join("sub")).unwrap();
        std::fs::write(root.join("sub/a"), "a").unwrap();
        std::fs::write(folder.path().join("secret"), "s").unwrap();
        symlink("sub/a", root.join("inside")).unwrap();
        symlink("../secret", root.join("outside")).unwrap();
        symlink(folder.path().join("secret"), root.join("absolute")).unwrap();
        let confined = Confined::to(&root).unwrap();
        for good in ["sub/a", "/sub/a", "./sub/a", "inside", "//sub//a"] {
            assert!(confined.open(good).is_ok(), "{good}");
        }
        for bad in
            ["../secret", "sub/../../secret", "outside", "absolute", "sub", "", "nope", "/etc/passwd", "a\0b"]
        {
            assert!(confined.open(bad).is_err(), "{bad}");
        }
    }
}
