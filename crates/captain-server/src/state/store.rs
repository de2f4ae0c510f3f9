//! The database: its tables, and what is written to it. After a failed write it is opened anew.

use std::collections::HashSet;
use std::fmt;
use std::fs::Permissions;
use std::io::{self, Read};
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use captain_dhcp::LeaseChange;
use captain_model::{Lease, Mac, Timestamp};
use redb::{
    Database, DatabaseError, ReadableDatabase, ReadableTable, ReadableTableMetadata, TableDefinition,
    TableError,
};
use thiserror::Error;

use super::settled::Settled;
use crate::tickets::KEY;
use crate::timeline::Boot;

/// Address -> lease as JSON.
const LEASES: TableDefinition<'_, u32, &[u8]> = TableDefinition::new("leases");
/// Address -> until when nobody gets it, milliseconds of [`Timestamp`].
const BARRED: TableDefinition<'_, u32, u64> = TableDefinition::new("barred");
/// Machines that used up their `once` or `until-done`, as older captainds kept them.
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
pub(super) const KEPT_BOOTS: u64 = 1000;
/// Boot ids are promised to disk in blocks, so that giving one out needs no write.
pub(super) const BOOT_BLOCK: u64 = 256;

/// Opens the database again, as it is.
type Reopen = Box<dyn Fn() -> Result<Database, redb::Error> + Send>;

/// The open files.
pub(crate) struct Store {
    /// None after a failed write: redb takes no further one, and says so until it is opened anew.
    database: Option<Database>,
    reopen: Reopen,
    settled: Settled,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").finish_non_exhaustive()
    }
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

/// What was to be written is not on disk, or not all of it.
#[derive(Debug, Error)]
pub(crate) enum CommitError {
    /// The file of used-up boot policies.
    #[error("who used up `once` or `until-done` cannot be written: {0}")]
    Settled(#[from] io::Error),
    /// The database.
    #[error("leases and history cannot be written: {0}")]
    Database(#[from] redb::Error),
    /// A defect, in redb or here; what it panicked with is on standard error.
    #[error("leases and history cannot be written: the database panicked, please report it")]
    Panicked,
}

impl Store {
    /// A store that writes to `database` and, after a write failed, to what `reopen` gives.
    pub(super) fn new(
        database: Database,
        settled: Settled,
        reopen: impl Fn() -> Result<Database, redb::Error> + Send + 'static,
    ) -> Self {
        Self { database: Some(database), reopen: Box::new(reopen), settled }
    }

    /// A store on `disk`, for tests of what the disk does.
    #[cfg(test)]
    pub(crate) fn on(folder: &Path, disk: impl redb::StorageBackend + Clone) -> Result<Self, redb::Error> {
        let open = move || Ok(Database::builder().create_with_backend(disk.clone())?);
        Ok(Self::new(open()?, Settled::begin(folder, std::collections::BTreeSet::new())?, open))
    }

    /// Makes `records` durable. Where it fails some may be on disk; told again, all are.
    ///
    /// # Errors
    /// The disk's.
    pub(crate) fn commit(&mut self, records: &[Record]) -> Result<(), CommitError> {
        self.settled.follow(records)?;
        let written = catch_unwind(AssertUnwindSafe(|| self.write(records)));
        Ok(written.map_err(|_| CommitError::Panicked)??)
    }

    fn write(&mut self, records: &[Record]) -> Result<(), redb::Error> {
        let database = self.database.take().map_or_else(|| (self.reopen)(), Ok)?;
        write(&database, records)?;
        self.database = Some(database);
        Ok(())
    }
}

/// All of `records` or none.
fn write(database: &Database, records: &[Record]) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    {
        let mut leases = transaction.open_table(LEASES)?;
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
                Record::Settled(..) => {}
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

/// Forgets what has a file of its own now.
pub(super) fn forget_settled(database: &Database) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    transaction.delete_table(SETTLED)?;
    transaction.commit()?;
    Ok(())
}

/// Opens or makes the file at `path`.
pub(super) fn open_and_load(path: &Path) -> Result<(Database, Loaded), redb::Error> {
    let database = match Database::create(path) {
        Err(DatabaseError::DatabaseAlreadyOpen) => return Err(redb::Error::DatabaseAlreadyOpen),
        other => other?,
    };
    // It holds a key. Where the disk knows no modes, nobody else is on this box.
    let _open = std::fs::set_permissions(path, Permissions::from_mode(0o600));
    let transaction = database.begin_write()?;
    let next_boot = {
        transaction.open_table(LEASES)?;
        transaction.open_table(BARRED)?;
        give_key(&mut transaction.open_table(SECRETS)?)?;
        transaction.open_table(BOOTS)?;
        let mut counters = transaction.open_table(COUNTERS)?;
        let next = counters.get(NEXT_BOOT)?.map_or(1, |value| value.value());
        counters.insert(NEXT_BOOT, next + BOOT_BLOCK)?;
        next
    };
    transaction.commit()?;
    let mut loaded = load(&database)?;
    loaded.next_boot = next_boot;
    Ok((database, loaded))
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
    match transaction.open_table(SETTLED) {
        Err(TableError::TableDoesNotExist(_)) => {}
        table => {
            for entry in table?.iter()? {
                loaded.settled.insert(Mac::new(entry?.0.value()));
            }
        }
    }
    for entry in transaction.open_table(BOOTS)?.iter()? {
        loaded.boots.extend(serde_json::from_slice::<Boot>(entry?.1.value()).ok());
    }
    Ok(loaded)
}

/// The addresses of all leases on `disk`, for tests of what the disk does.
#[cfg(test)]
pub(super) fn leases_on(disk: impl redb::StorageBackend) -> Vec<Ipv4Addr> {
    let transaction = Database::builder().create_with_backend(disk).unwrap().begin_read().unwrap();
    let table = transaction.open_table(LEASES).unwrap();
    table.iter().unwrap().map(|entry| entry.unwrap().0.value().into()).collect()
}

/// A database as it was made before used-up boot policies had a file of their own.
#[cfg(test)]
pub(super) fn as_older_captaind(path: &Path, settled: Mac) {
    let (database, _) = open_and_load(path).unwrap();
    let transaction = database.begin_write().unwrap();
    transaction.open_table(SETTLED).unwrap().insert(settled.bytes(), ()).unwrap();
    transaction.commit().unwrap();
}

#[cfg(test)]
mod tests {
    use super::super::open;
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
        let (mut store, Loaded { key, .. }) = open(folder.path()).unwrap();
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
        let (_, loaded) = open(folder.path()).unwrap();
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
            let (_, loaded) = open(folder.path()).unwrap();
            assert!(loaded.next_boot > last);
            last = loaded.next_boot + BOOT_BLOCK / 2;
        }
        let (mut store, loaded) = open(folder.path()).unwrap();
        let id = loaded.next_boot + 10 * BOOT_BLOCK;
        let event = captain_model::EventKind::Report { step: "agent".into(), detail: String::new() };
        let mut timeline = crate::timeline::Timeline::new([], id);
        let event = captain_model::Event::new(Timestamp::default(), lease(1).mac, event);
        let boot = timeline.observe(event, captain_model::BootPolicy::Always).changed.unwrap();
        assert_eq!(boot.boot, BootId(id));
        store.commit(&[Record::Boot(Box::new(boot.clone()))]).unwrap();
        drop(store);
        let (_, loaded) = open(folder.path()).unwrap();
        assert!(loaded.next_boot > id);
        assert_eq!(loaded.boots, [boot]);
    }
}
