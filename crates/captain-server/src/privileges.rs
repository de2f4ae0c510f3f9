//! From root to nobody in particular, once the ports are open.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, lchown};
use std::path::Path;

use nix::unistd::{Uid, User, setgroups, setresgid, setresuid};
use tracing::{debug, info};

/// Users that the daemon becomes where none is configured, the first that exists.
const CANDIDATES: [&str; 2] = ["captaind", "nobody"];

/// Becomes `user` (by default `captaind`, or `nobody`) for good, and gives it what it is to write: the folders `alone`
/// without what is in them, which are made where they are not there, and `whole` with everything in them. Only what is
/// root's is given away.
///
/// Where the process is not root it only gives up the capabilities it has. Inside a user namespace that maps
/// only one user there is nobody else to become, so nothing changes. Root's capabilities go with the user id
/// in all threads; those of another user only in the calling one, so call this before the runtime starts.
///
/// # Errors
/// The user does not exist, or the kernel refuses.
pub fn drop_privileges(
    user: Option<&str>,
    alone: &[impl AsRef<Path>],
    whole: &[impl AsRef<Path>],
) -> io::Result<()> {
    if maps_one_user(&fs::read_to_string("/proc/self/uid_map").unwrap_or_default()) {
        debug!("the user namespace maps one user only: staying that user");
        return Ok(());
    }
    if Uid::effective().is_root() {
        let user = find(user)?;
        for folder in alone.iter().map(AsRef::as_ref) {
            let made = fs::create_dir_all(folder).and_then(|()| give_alone(folder, &user));
            made.map_err(|error| named(folder, error))?;
        }
        for path in whole.iter().map(AsRef::as_ref) {
            give(path, &user).map_err(|error| named(path, error))?;
        }
        setgroups(&[user.gid])?;
        setresgid(user.gid, user.gid, user.gid)?;
        setresuid(user.uid, user.uid, user.uid)?;
        info!(user = user.name, "privileges dropped");
    }
    forget_capabilities()
}

fn find(name: Option<&str>) -> io::Result<User> {
    let wanted: Vec<&str> = name.map_or(CANDIDATES.to_vec(), |name| vec![name]);
    let found = wanted.iter().find_map(|name| User::from_name(name).ok().flatten());
    found.filter(|user| !user.uid.is_root()).ok_or_else(|| {
        let text = format!(
            "no unprivileged user `{}` exists: create it, or set [server] user",
            wanted.join("` or `")
        );
        io::Error::new(io::ErrorKind::NotFound, text)
    })
}

fn named(path: &Path, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

fn give(path: &Path, user: &User) -> io::Result<()> {
    give_alone(path, user)?;
    if fs::symlink_metadata(path).is_ok_and(|meta| meta.is_dir()) {
        for entry in fs::read_dir(path)? {
            give(&entry?.path(), user)?;
        }
    }
    Ok(())
}

/// Symbolic links are neither followed nor given away, also not one that takes a file's place while we look; nor is a
/// file with a second name, which may be anything of the system's.
fn give_alone(path: &Path, user: &User) -> io::Result<()> {
    let meta = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    let linked = meta.is_file() && meta.nlink() > 1;
    if meta.is_symlink() || linked || meta.uid() != 0 {
        return Ok(());
    }
    lchown(path, Some(user.uid.as_raw()), Some(user.gid.as_raw()))
}

/// Whether the map (`inside outside count` per line) knows one user id only.
fn maps_one_user(map: &str) -> bool {
    let counts = map.lines().filter_map(|line| line.split_whitespace().nth(2)?.parse::<u64>().ok());
    counts.sum::<u64>() == 1
}

#[repr(C)]
struct CapHeader {
    version: u32,
    pid: i32,
}

/// Empties all capability sets of the calling thread and bars regaining any by execution.
fn forget_capabilities() -> io::Result<()> {
    const VERSION_3: u32 = 0x2008_0522;
    let header = CapHeader { version: VERSION_3, pid: 0 };
    let none = [0_u32; 6];
    // SAFETY: capset reads one header and, for version 3, two triples of u32 (capset(2)); prctl takes integers.
    let failed = unsafe {
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0
            || libc::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0
            || libc::syscall(libc::SYS_capset, &raw const header, none.as_ptr()) != 0
    };
    if failed { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_of_one_user_has_nobody_to_become() {
        assert!(maps_one_user("         0       1000          1\n"));
        assert!(!maps_one_user("         0          0 4294967295\n"));
        assert!(!maps_one_user("0 1000 1\n1 100000 65536\n"));
    }

    #[test]
    fn a_user_that_does_not_exist_and_root_are_refused_by_name() {
        for name in ["no-such-user-here", "root"] {
            let error = find(Some(name)).unwrap_err();
            assert!(error.to_string().contains(name), "{error}");
        }
    }
}
