//! The lab's own corner of the kernel: private user, network, mount and process namespaces.
//!
//! The network namespace keeps the lab's DHCP off every real network, and gives the daemon ports below
//! 1024 without root. The process namespace is what guarantees that nothing of the lab outlives it: when
//! its first process ends, for whatever reason, the kernel kills all others in it.

use std::fs;
use std::io::{self, Write};

use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl;
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork, getegid, geteuid};

use crate::error::LabError;

/// Enters the lab's namespaces: returns in a child process that lives in them, while the calling process
/// waits for that child, hands signals on to it, and ends with its exit status.
///
/// Call this before any thread is started (so before tokio): the kernel moves only single-threaded
/// processes into a user namespace. Whatever needs the real network must be done before.
///
/// # Errors
/// [`LabError::NamespaceNotAllowed`] where the kernel's settings do not let this user do that;
/// [`LabError::Network`] where the child could not be made.
pub fn enter_namespace() -> Result<(), LabError> {
    enter_own(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWPID)?;
    keep_mounts_to_ourselves();
    become_child()
}

/// Enters a user namespace and `spaces`. The process must have one thread.
///
/// # Errors
/// [`LabError::NamespaceNotAllowed`] where the kernel's settings do not let this user do that.
pub fn enter_own(spaces: CloneFlags) -> Result<(), LabError> {
    let Err(why) = enter_as_user(spaces) else { return Ok(()) };
    // Root has a way left where user namespaces are switched off.
    if geteuid().is_root() && unshare(spaces).is_ok() {
        return Ok(());
    }
    Err(LabError::NamespaceNotAllowed { why, way_out: way_out() })
}

/// With a user namespace, in which the calling user is root and the only one: uid and gid map to 0. For root
/// too, so that a lab is the same for everybody and the daemon has nobody else to become.
fn enter_as_user(spaces: CloneFlags) -> io::Result<()> {
    let (uid, gid) = (geteuid(), getegid());
    unshare(spaces | CloneFlags::CLONE_NEWUSER)?;
    // user_namespaces(7): without privilege outside, gid_map may be written only after setgroups(2) is given up.
    fs::write("/proc/self/setgroups", "deny")?;
    fs::write("/proc/self/uid_map", format!("0 {uid} 1"))?;
    fs::write("/proc/self/gid_map", format!("0 {gid} 1"))
}

/// Which setting forbids user namespaces here, and what can be done.
fn way_out() -> String {
    let off = |path: &str, value: &str| fs::read_to_string(path).is_ok_and(|text| text.trim() == value);
    let setting = if off("/proc/sys/kernel/unprivileged_userns_clone", "0") {
        "sysctl kernel.unprivileged_userns_clone=1"
    } else if off("/proc/sys/user/max_user_namespaces", "0") {
        "sysctl user.max_user_namespaces=10000"
    } else if off("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1") {
        "sysctl kernel.apparmor_restrict_unprivileged_userns=0"
    } else {
        return "run it as root (in a container: with --privileged)".to_owned();
    };
    format!("run it as root, or allow unprivileged user namespaces with `{setting}`")
}

/// Mounts made from here on stay here; /sys shows this network namespace where the kernel lets us mount it
/// (it does not where a container runtime masks parts of /sys, and the lab does without).
fn keep_mounts_to_ourselves() {
    let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    let alone = mount(None::<&str>, "/", None::<&str>, private, None::<&str>).is_ok();
    if alone {
        let _ = mount(Some("sysfs"), "/sys", Some("sysfs"), MsFlags::empty(), None::<&str>);
    }
}

/// Forks: the child is the first process of the new process namespace and returns from here.
fn become_child() -> Result<(), LabError> {
    let _ = io::stdout().flush();
    let mut handed_on = SigSet::empty();
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGCHLD] {
        handed_on.add(signal);
    }
    let before = handed_on
        .thread_swap_mask(nix::sys::signal::SigmaskHow::SIG_BLOCK)
        .map_err(|e| LabError::network("block signals", e))?;
    // SAFETY: this process has one thread (the contract of `enter_namespace`), so the child's memory is whole.
    match unsafe { fork() }.map_err(|e| LabError::network("fork into the process namespace", e))? {
        ForkResult::Parent { child } => std::process::exit(accompany(child, &handed_on)),
        ForkResult::Child => {
            let _ = prctl::set_pdeathsig(Signal::SIGKILL);
            before.thread_set_mask().map_err(|e| LabError::network("unblock signals", e))?;
            let quiet = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
            let _ = mount(Some("proc"), "/proc", Some("proc"), quiet, None::<&str>);
            Ok(())
        }
    }
}

/// Waits for the child and hands signals on to it; the second request to stop is SIGKILL.
fn accompany(child: Pid, signals: &SigSet) -> i32 {
    let mut asked_to_stop = false;
    loop {
        match signals.wait() {
            Ok(Signal::SIGCHLD) => match waitpid(child, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::Exited(_, code)) => return code,
                Ok(WaitStatus::Signaled(_, signal, _)) => return 128 + signal as i32,
                Err(Errno::ECHILD) => return 1,
                Ok(_) | Err(_) => {}
            },
            Ok(signal) => {
                let _ = kill(child, if asked_to_stop { Signal::SIGKILL } else { signal });
                asked_to_stop = true;
            }
            Err(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_out_is_always_a_way() {
        assert!(way_out().starts_with("run it as root"));
        let why = io::Error::from(Errno::EPERM);
        let error = LabError::NamespaceNotAllowed { why, way_out: way_out() };
        assert!(error.is_permission());
        assert!(error.to_string().contains("run it as root"), "{error}");
    }
}
