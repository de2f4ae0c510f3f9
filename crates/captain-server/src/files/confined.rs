//! Files below one folder, and never outside: no `..`, no absolute path, no symbolic link out of it.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};

/// Renames that come in between, each of them within microseconds.
const TRIES: usize = 64;

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
        let file = File::from(self.resolve(&relative, how)?);
        if file.metadata()?.is_file() {
            Ok(file)
        } else {
            Err(io::Error::new(io::ErrorKind::NotFound, "not a regular file"))
        }
    }

    /// While anything anywhere is being renamed, the kernel cannot tell whether a link with `..` stays below: EAGAIN, ask
    /// again (openat2(2)).
    fn resolve(&self, relative: &Path, how: OpenHow) -> nix::Result<OwnedFd> {
        let opened = || openat2(&self.folder, relative, how);
        let again = |opened: &nix::Result<OwnedFd>| matches!(opened, Err(Errno::EAGAIN));
        (1..TRIES).map(|_| opened()).find(|opened| !again(opened)).unwrap_or_else(opened)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_link_upwards_is_followed_while_files_are_being_renamed() {
        use std::sync::atomic::{AtomicBool, Ordering};
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("sub")).unwrap();
        std::fs::write(folder.path().join("a"), "a").unwrap();
        symlink("../a", folder.path().join("sub/up")).unwrap();
        std::fs::write(folder.path().join("0"), "").unwrap();
        let confined = Confined::to(folder.path()).unwrap();
        let (path, over) = (|name: usize| folder.path().join(name.to_string()), AtomicBool::new(false));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for n in 0.. {
                    if over.load(Ordering::Relaxed) {
                        break;
                    }
                    std::fs::rename(path(n), path(n + 1)).unwrap();
                }
            });
            let failed = (0..50_000).find_map(|_| confined.open("sub/up").err());
            over.store(true, Ordering::Relaxed);
            assert!(failed.is_none(), "{failed:?}");
        });
    }

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
