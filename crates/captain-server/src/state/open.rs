//! Opening the state, and what is done where it is damaged.

use std::collections::BTreeSet;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::settled::Settled;
use super::store::{self, Loaded, Store};

const FILE: &str = "captaind.redb";

/// The state cannot be used.
#[derive(Debug, Error)]
pub(crate) enum OpenError {
    /// Another process has it open.
    #[error("another captaind uses it: stop that one, or give this one its own --state-dir")]
    InUse,
    /// A file or the folder cannot be made, read or written. Nothing is wrong with what is in it.
    #[error("{path}: {why}")]
    Io {
        /// Which.
        path: PathBuf,
        /// The kernel's word.
        why: io::Error,
    },
    /// It is no damage that hinders the database, so nothing is set aside.
    #[error(
        "{path}: {why}; the file is left as it is: put that right, or move the file away to begin with no leases and no history"
    )]
    Database {
        /// Which file.
        path: PathBuf,
        /// The database's word.
        why: redb::Error,
    },
    /// Who must not be installed again is not known.
    #[error(
        "{path}: line {line} is no MAC address: correct the line, or remove it if that machine may boot again"
    )]
    Settled {
        /// Which file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
    },
    /// The same, of an older captaind, which kept that in its database.
    #[error(
        "{damage}, and it alone knows which machines used up `once` or `until-done`: bring back a copy of it, or, if each of them may boot again, move it away"
    )]
    Unknown {
        /// What is wrong with the database.
        damage: String,
    },
    /// A fresh database does not work either.
    #[error("{0}")]
    Unusable(String),
}

/// Opens or makes the state in `folder`. A damaged database is renamed to `captaind.redb.damaged` and a fresh one begun:
/// leases and history are lost then, which the daemon tells, and nothing else.
///
/// # Errors
/// Anything else that is in the way; see [`OpenError`].
pub(crate) fn open(folder: &Path) -> Result<(Store, Loaded), OpenError> {
    std::fs::create_dir_all(folder).map_err(at(folder))?;
    let path = folder.join(FILE);
    let mut settled = Settled::read(folder)?;
    if settled.is_none() && !path.exists() {
        settled = Some(Settled::begin(folder, BTreeSet::new()).map_err(at(folder))?);
    }
    let (database, mut loaded, damage) = match (attempt(&path)?, &settled) {
        (Ok((database, loaded)), _) => (database, loaded, None),
        (Err(damage), None) => return Err(OpenError::Unknown { damage }),
        (Err(damage), Some(_)) => {
            let aside = path.with_extension("redb.damaged");
            std::fs::rename(&path, &aside).map_err(at(&path))?;
            let (database, loaded) = attempt(&path)?.map_err(OpenError::Unusable)?;
            (database, loaded, Some((damage, aside)))
        }
    };
    loaded.damage = damage.map(|(damage, aside)| {
        format!("{damage}; set aside as {}, leases and history begin anew", aside.display())
    });
    let settled = take_over(folder, settled, &database, &path, &mut loaded)?;
    Ok((Store::new(database, settled, move || Ok(redb::Database::open(&path)?)), loaded))
}

/// Older captainds kept used-up boot policies in the database: moved over, in an order in which none is ever missing.
fn take_over(
    folder: &Path,
    settled: Option<Settled>,
    database: &redb::Database,
    path: &Path,
    loaded: &mut Loaded,
) -> Result<Settled, OpenError> {
    let old = std::mem::take(&mut loaded.settled);
    let settled = match settled {
        Some(settled) if old.is_empty() => settled,
        known => {
            let known = known.iter().flat_map(Settled::macs).chain(old.iter().copied()).collect();
            let settled = Settled::begin(folder, known).map_err(at(folder))?;
            store::forget_settled(database)
                .map_err(|why| OpenError::Database { path: path.to_owned(), why })?;
            settled
        }
    };
    loaded.settled.extend(settled.macs());
    Ok(settled)
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> OpenError {
    move |why| OpenError::Io { path: path.to_owned(), why }
}

/// Outer error: nothing can be done. Inner: the file is damaged, and how.
fn attempt(path: &Path) -> Result<Result<(redb::Database, Loaded), String>, OpenError> {
    // redb panics on some malformed files instead of reporting them.
    match catch_unwind(AssertUnwindSafe(|| store::open_and_load(path))) {
        Ok(Ok(opened)) => Ok(Ok(opened)),
        Ok(Err(redb::Error::DatabaseAlreadyOpen)) => Err(OpenError::InUse),
        Ok(Err(error)) if is_damage(&error) => Ok(Err(format!("{}: {error}", path.display()))),
        Ok(Err(why)) => Err(OpenError::Database { path: path.to_owned(), why }),
        Err(_) => Ok(Err(format!("{}: damaged", path.display()))),
    }
}

/// Whether the file's own content is at fault: not what a sound one may meet, such as a full disk, a bad cable, a limit,
/// or a format of other years.
fn is_damage(error: &redb::Error) -> bool {
    use io::ErrorKind::{InvalidData, UnexpectedEof};
    match error {
        redb::Error::Corrupted(_) => true,
        // No redb database, and one that was cut short.
        redb::Error::Io(error) => matches!(error.kind(), InvalidData | UnexpectedEof),
        // redb's list is open; what is not known to be damage is none.
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::Record;
    use super::*;
    use captain_model::Mac;
    use nix::errno::Errno;
    use std::collections::HashSet;
    use std::fs;

    const MAC: Mac = Mac::new([2, 0, 0, 0, 0, 7]);

    #[test]
    fn a_damaged_database_is_set_aside_and_said_so_and_who_used_up_once_is_still_known() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        let (mut store, _) = open(folder.path()).unwrap();
        store.commit(&[Record::Settled(MAC, true)]).unwrap();
        drop(store);
        let sound = fs::read(&path).unwrap();
        let mut broken = sound.clone();
        broken[4096..].fill(0xa5);
        for damaged in [b"this is no database".repeat(1000), sound[..sound.len() / 2].to_vec(), broken] {
            fs::write(&path, &damaged).unwrap();
            let (mut store, loaded) = open(folder.path()).unwrap();
            assert!(loaded.damage.is_some_and(|text| text.contains("captaind.redb.damaged")));
            assert_eq!(fs::read(folder.path().join("captaind.redb.damaged")).unwrap(), damaged);
            assert_eq!(loaded.settled, HashSet::from([MAC]), "or it would be installed again");
            store.commit(&[Record::Settled(MAC, true)]).unwrap();
        }
    }

    #[test]
    fn a_sound_database_that_cannot_be_opened_now_is_left_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        drop(open(folder.path()).unwrap());
        // redb's header: the version is the first byte of each commit slot.
        let mut older = fs::read(&path).unwrap();
        older[64] = 2;
        older[64 + 128] = 2;
        fs::write(&path, &older).unwrap();
        let error = open(folder.path()).unwrap_err().to_string();
        assert!(error.contains("upgrade") && error.contains("left as it is"), "{error}");
        assert!(fs::read(&path).unwrap() == older);

        fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink(&path, &path).unwrap();
        let error = open(folder.path()).unwrap_err().to_string();
        assert!(error.contains("os error 40"), "{error}");
        assert!(!folder.path().join("captaind.redb.damaged").exists());
    }

    #[test]
    fn what_the_disk_or_a_limit_refuses_is_no_damage() {
        for errno in [
            Errno::EIO,
            Errno::EDQUOT,
            Errno::ENOSPC,
            Errno::EMFILE,
            Errno::ENFILE,
            Errno::ENOMEM,
            Errno::EROFS,
        ] {
            assert!(!is_damage(&redb::Error::Io(errno.into())), "{errno}");
        }
        assert!(!is_damage(&redb::Error::UpgradeRequired(2)));
        assert!(is_damage(&redb::Error::Corrupted("a checksum".into())));
    }

    #[test]
    fn what_an_older_captaind_kept_in_its_database_is_honoured_once_and_for_all() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        store::as_older_captaind(&path, MAC);
        let (mut store, loaded) = open(folder.path()).unwrap();
        assert_eq!(loaded.settled, HashSet::from([MAC]));
        store.commit(&[Record::Settled(MAC, false)]).unwrap();
        drop(store);
        assert_eq!(open(folder.path()).unwrap().1.settled, HashSet::new(), "given back, it stays so");
    }

    #[test]
    fn a_damaged_database_of_an_older_captaind_is_not_begun_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        fs::write(&path, b"this is no database".repeat(1000)).unwrap();
        assert!(matches!(open(folder.path()), Err(OpenError::Unknown { .. })));
        assert!(path.exists(), "it may be put right yet");
    }

    #[test]
    fn a_second_daemon_on_the_same_folder_is_told_so() {
        let folder = tempfile::tempdir().unwrap();
        let _first = open(folder.path()).unwrap();
        assert!(matches!(open(folder.path()), Err(OpenError::InUse)));
    }
}
