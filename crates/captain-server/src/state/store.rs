//! The file `captaind.redb`: tables, records, and what to do when it is damaged.

use std::collections::HashSet;
use std::fs::Permissions;
use std::io::Read;
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use captain_dhcp::LeaseChange;
use captain_model::{Lease, Mac, Timestamp};
use redb::{
    Database, DatabaseError, ReadableDatabase, ReadableTable, ReadableTableMetadata, TableDefinition,
};
use thiserror::Error;

use crate::tickets::KEY;
use crate::timeline::Boot;

const FILE: &str = "captaind.redb";
/// Address -> lease as JSON.
const LEASES: TableDefinition<'_, u32, &[u8]> = TableDefinition::new("leases");
/// Address -> until when nobody gets it, milliseconds of [`Timestamp`].
const BARRED: TableDefinition<'_, u32, u64> = TableDefinition::new("barred");
/// Machines that used up their `once` or `until-done`.
const SETTLED: TableDefinition<'_, [u8; 6], ()> = TableDefinition::new("settled");
/// Boot id -> boot as JSON.
const BOOTS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("boots");
/// Random bytes by name.
const SECRETS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("secrets");
const TICKETS: &str = "tickets";
/// Numbers by name.
const COUNTERS: TableDefinition<'_, &str, u64> = TableDefinition::new("counters");
const NEXT_BOOT: &str = "next-boot";

/// Boots kept on disk; the oldest go first.
const KEPT_BOOTS: u64 = 1000;
/// Boot ids are promised to disk in blocks, so that giving one out needs no write.
pub(super) const BOOT_BLOCK: u64 = 256;

/// The open file.
#[derive(Debug)]
pub(crate) struct Store {
    database: Database,
}

/// What the file held.
#[derive(Debug, Default)]
pub(crate) struct Loaded {
    /// All leases.
    pub(crate) leases: Vec<Lease>,
    /// Addresses that nobody gets, and until when.
    pub(crate) barred: Vec<(Ipv4Addr, Timestamp)>,
    /// Machines that used up their boot policy.
    pub(crate) settled: HashSet<Mac>,
    /// The last boots.
    pub(crate) boots: Vec<Boot>,
    /// First boot id that was never given out.
    pub(crate) next_boot: u64,
    /// What [`crate::tickets::Tickets`] are made with.
    pub(crate) key: [u8; KEY],
    /// What was wrong with the file, where it had to be set aside.
    pub(crate) damage: Option<String>,
}

/// One change.
#[derive(Clone, Debug)]
pub(crate) enum Record {
    /// A lease came or went.
    Lease(LeaseChange),
    /// A machine used up its boot policy (`true`), or was given it back.
    Settled(Mac, bool),
    /// A boot moved.
    Boot(Box<Boot>),
}

/// The file cannot be used at all.
#[derive(Debug, Error)]
pub(crate) enum OpenError {
    /// Another process has it open.
    #[error("another captaind uses it: stop that one, or give this one its own --state-dir")]
    InUse,
    /// The folder cannot be made or written.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// It is damaged and cannot be set aside, or a fresh one does not work either.
    #[error("{0}")]
    Unusable(String),
}

impl Store {
    /// Opens or makes the file in `folder`. A damaged one is renamed to `captaind.redb.damaged` and a fresh one
    /// begun: leases and history are lost then, which the daemon tells, and nothing else.
    ///
    /// # Errors
    /// The folder cannot be written, or another daemon uses the file.
    pub(crate) fn open(folder: &Path) -> Result<(Self, Loaded), OpenError> {
        std::fs::create_dir_all(folder)?;
        let path = folder.join(FILE);
        match attempt(&path)? {
            Ok(opened) => Ok(opened),
            Err(damage) => {
                let aside = set_aside(&path)?;
                let (store, mut loaded) = attempt(&path)?.map_err(OpenError::Unusable)?;
                let aside = aside.display();
                loaded.damage =
                    Some(format!("{damage}; set aside as {aside}, leases and history begin anew"));
                Ok((store, loaded))
            }
        }
    }

    /// A store on `disk`, for tests of what the disk does.
    #[cfg(test)]
    pub(crate) fn on(disk: impl redb::StorageBackend) -> Result<Self, redb::Error> {
        Ok(Self { database: Database::builder().create_with_backend(disk)? })
    }

    /// Makes `records` durable, all or none.
    ///
    /// # Errors
    /// The disk's.
    pub(crate) fn commit(&self, records: &[Record]) -> Result<(), redb::Error> {
        let transaction = self.database.begin_write()?;
        {
            let mut leases = transaction.open_table(LEASES)?;
            let mut settled = transaction.open_table(SETTLED)?;
            let mut boots = transaction.open_table(BOOTS)?;
            let mut counters = transaction.open_table(COUNTERS)?;
            for record in records {
                match record {
                    Record::Lease(LeaseChange::Put(lease)) => {
                        leases.insert(lease.address.to_bits(), json(lease).as_slice())?;
                    }
                    Record::Lease(LeaseChange::Remove(address)) => {
                        leases.remove(address.to_bits())?;
                    }
                    Record::Lease(LeaseChange::Bar(address, until)) => {
                        let mut barred = transaction.open_table(BARRED)?;
                        barred.insert(address.to_bits(), until.as_millis())?;
                    }
                    Record::Settled(mac, true) => {
                        settled.insert(mac.bytes(), ())?;
                    }
                    Record::Settled(mac, false) => {
                        settled.remove(mac.bytes())?;
                    }
                    Record::Boot(boot) => {
                        boots.insert(boot.boot.0, json(boot).as_slice())?;
                        promise(&mut counters, boot.boot.0)?;
                    }
                }
            }
            while boots.len()? > KEPT_BOOTS {
                boots.pop_first()?;
            }
        }
        transaction.commit()?;
        Ok(())
    }
}

/// Keeps the counter at least half a block ahead of `used`.
fn promise(counters: &mut redb::Table<'_, &'static str, u64>, used: u64) -> Result<(), redb::Error> {
    let promised = counters.get(NEXT_BOOT)?.map_or(0, |value| value.value());
    if used + BOOT_BLOCK / 2 >= promised {
        counters.insert(NEXT_BOOT, used + BOOT_BLOCK)?;
    }
    Ok(())
}

fn json(value: &impl serde::Serialize) -> Vec<u8> {
    // Maps with text keys, numbers and texts only: serialising these cannot fail.
    serde_json::to_vec(value).unwrap_or_default()
}

/// Outer error: nothing can be done. Inner: the file is damaged, and how.
fn attempt(path: &Path) -> Result<Result<(Store, Loaded), String>, OpenError> {
    // redb panics on some malformed files instead of reporting them.
    match catch_unwind(AssertUnwindSafe(|| open_and_load(path))) {
        Ok(Ok(opened)) => Ok(Ok(opened)),
        Ok(Err(redb::Error::DatabaseAlreadyOpen)) => Err(OpenError::InUse),
        Ok(Err(redb::Error::Io(error))) if is_about_the_folder(&error) => Err(OpenError::Io(error)),
        Ok(Err(error)) => Ok(Err(format!("{}: {error}", path.display()))),
        Err(_) => Ok(Err(format!("{}: damaged", path.display()))),
    }
}

fn is_about_the_folder(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{IsADirectory, NotFound, PermissionDenied, ReadOnlyFilesystem, StorageFull};
    matches!(error.kind(), PermissionDenied | NotFound | ReadOnlyFilesystem | StorageFull | IsADirectory)
}

fn open_and_load(path: &Path) -> Result<(Store, Loaded), redb::Error> {
    let database = match Database::create(path) {
        Err(DatabaseError::DatabaseAlreadyOpen) => return Err(redb::Error::DatabaseAlreadyOpen),
        other => other?,
    };
    // It holds a key. Where the disk knows no modes, nobody else is on this box.
    let _open = std::fs::set_permissions(path, Permissions::from_mode(0o600));
    let store = Store { database };
    let transaction = store.database.begin_write()?;
    let next_boot = {
        transaction.open_table(LEASES)?;
        transaction.open_table(BARRED)?;
        give_key(&mut transaction.open_table(SECRETS)?)?;
        transaction.open_table(SETTLED)?;
        transaction.open_table(BOOTS)?;
        let mut counters = transaction.open_table(COUNTERS)?;
        let next = counters.get(NEXT_BOOT)?.map_or(1, |value| value.value());
        counters.insert(NEXT_BOOT, next + BOOT_BLOCK)?;
        next
    };
    transaction.commit()?;
    let mut loaded = load(&store.database)?;
    loaded.next_boot = next_boot;
    Ok((store, loaded))
}

/// Makes a key where there is none.
fn give_key(secrets: &mut redb::Table<'_, &'static str, &'static [u8]>) -> Result<(), redb::Error> {
    let known = secrets.get(TICKETS)?.is_some_and(|key| key.value().len() == KEY);
    if !known {
        let mut key = [0; KEY];
        std::fs::File::open("/dev/urandom")?.read_exact(&mut key)?;
        secrets.insert(TICKETS, key.as_slice())?;
    }
    Ok(())
}

fn load(database: &Database) -> Result<Loaded, redb::Error> {
    let transaction = database.begin_read()?;
    let mut loaded = Loaded::default();
    for entry in transaction.open_table(LEASES)?.iter()? {
        let (address, value) = entry?;
        let lease: Option<Lease> = serde_json::from_slice(value.value()).ok();
        let address = Ipv4Addr::from(address.value());
        loaded.leases.extend(lease.filter(|lease| lease.address == address));
    }
    for entry in transaction.open_table(BARRED)?.iter()? {
        let (address, until) = entry?;
        loaded.barred.push((address.value().into(), Timestamp::from_millis(until.value())));
    }
    if let Some(key) = transaction.open_table(SECRETS)?.get(TICKETS)? {
        loaded.key = key.value().try_into().unwrap_or_default();
    }
    for entry in transaction.open_table(SETTLED)?.iter()? {
        loaded.settled.insert(Mac::new(entry?.0.value()));
    }
    for entry in transaction.open_table(BOOTS)?.iter()? {
        loaded.boots.extend(serde_json::from_slice::<Boot>(entry?.1.value()).ok());
    }
    Ok(loaded)
}

fn set_aside(path: &Path) -> Result<PathBuf, OpenError> {
    let aside = path.with_extension("redb.damaged");
    std::fs::rename(path, &aside)?;
    Ok(aside)
}

#[cfg(test)]
mod tests {
    use super::*;
    use captain_model::BootId;

    fn lease(last: u8) -> Lease {
        Lease {
            mac: Mac::new([2, 0, 0, 0, 0, last]),
            address: Ipv4Addr::new(192, 168, 50, last),
            expires: Timestamp::from_millis(1_000),
            client_id: Some(vec![1, 2]),
            hostname: None,
        }
    }

    #[test]
    fn what_was_committed_is_there_after_reopening() {
        let folder = tempfile::tempdir().unwrap();
        let (store, Loaded { key, .. }) = Store::open(folder.path()).unwrap();
        let mac = Mac::new([2, 0, 0, 0, 0, 7]);
        let put = |last| Record::Lease(LeaseChange::Put(lease(last)));
        let bar = (lease(9).address, Timestamp::from_millis(5_000));
        let first = [
            put(1),
            Record::Lease(LeaseChange::Bar(bar.0, bar.1)),
            put(2),
            Record::Settled(mac, true),
            Record::Settled(lease(1).mac, true),
        ];
        store.commit(&first).unwrap();
        let gone = Ipv4Addr::new(192, 168, 50, 1);
        store
            .commit(&[Record::Lease(LeaseChange::Remove(gone)), Record::Settled(lease(1).mac, false)])
            .unwrap();
        drop(store);
        let (_, loaded) = Store::open(folder.path()).unwrap();
        assert_eq!(loaded.leases, [lease(2)]);
        assert_eq!(loaded.settled, HashSet::from([mac]));
        assert!(loaded.key == key && key != [0; KEY], "one key for as long as the file lives");
        assert_eq!(loaded.barred, [bar]);
        assert_eq!(loaded.damage, None);
    }

    #[test]
    fn a_boot_id_is_never_given_twice_even_when_no_boot_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let mut last = 0;
        for _ in 0..3 {
            let (_, loaded) = Store::open(folder.path()).unwrap();
            assert!(loaded.next_boot > last);
            last = loaded.next_boot + BOOT_BLOCK / 2;
        }
        let (store, loaded) = Store::open(folder.path()).unwrap();
        let id = loaded.next_boot + 10 * BOOT_BLOCK;
        let event = captain_model::EventKind::Report { step: "agent".into(), detail: String::new() };
        let mut timeline = crate::timeline::Timeline::new([], id);
        let event = captain_model::Event::new(Timestamp::default(), lease(1).mac, event);
        let boot = timeline.observe(event, captain_model::BootPolicy::Always).changed.unwrap();
        assert_eq!(boot.boot, BootId(id));
        store.commit(&[Record::Boot(Box::new(boot.clone()))]).unwrap();
        drop(store);
        let (_, loaded) = Store::open(folder.path()).unwrap();
        assert!(loaded.next_boot > id);
        assert_eq!(loaded.boots, [boot]);
    }

    #[test]
    fn a_damaged_file_is_set_aside_and_said_so() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(FILE), b"this is no database".repeat(1000)).unwrap();
        let (store, loaded) = Store::open(folder.path()).unwrap();
        assert!(loaded.damage.is_some_and(|text| text.contains("captaind.redb.damaged")));
        assert!(folder.path().join("captaind.redb.damaged").exists());
        store.commit(&[Record::Lease(LeaseChange::Put(lease(1)))]).unwrap();
    }

    #[test]
    fn a_second_daemon_on_the_same_folder_is_told_so() {
        let folder = tempfile::tempdir().unwrap();
        let _first = Store::open(folder.path()).unwrap();
        assert!(matches!(Store::open(folder.path()), Err(OpenError::InUse)));
    }
}
