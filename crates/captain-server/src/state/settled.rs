//! The file `settled`: machines that used up `once` or `until-done`, one MAC on each line. What it holds keeps machines
//! from being installed again, so it is no part of the database, which is begun anew where it is damaged.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use captain_model::Mac;

use super::Record;
use super::open::OpenError;

const FILE: &str = "settled";
const HEAD: &str =
    "# Machines that used up their boot = \"once\" or \"until-done\": they do not netboot again.\n";

/// The file, as it is on disk.
#[derive(Debug)]
pub(super) struct Settled {
    path: PathBuf,
    macs: BTreeSet<Mac>,
}

impl Settled {
    /// Reads the file in `folder`; `None` where there is none.
    ///
    /// # Errors
    /// It cannot be read, or a line of it is no MAC address.
    pub(super) fn read(folder: &Path) -> Result<Option<Self>, OpenError> {
        let path = folder.join(FILE);
        let text = match fs::read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other.map_err(|why| OpenError::Io { path: path.clone(), why })?,
        };
        let mut macs = BTreeSet::new();
        for (line, text) in (1..).zip(text.lines()).filter(|(_, text)| !text.starts_with('#')) {
            let mac = text.parse().map_err(|_| OpenError::Settled { path: path.clone(), line })?;
            macs.insert(mac);
        }
        Ok(Some(Self { path, macs }))
    }

    /// Begins the file in `folder` with `macs`.
    ///
    /// # Errors
    /// It cannot be written.
    pub(super) fn begin(folder: &Path, macs: BTreeSet<Mac>) -> io::Result<Self> {
        let path = folder.join(FILE);
        write(&path, &macs)?;
        Ok(Self { path, macs })
    }

    /// Who is in it.
    pub(super) fn macs(&self) -> impl Iterator<Item = Mac> {
        self.macs.iter().copied()
    }

    /// Takes over what `records` say of machines; on disk when it returns.
    ///
    /// # Errors
    /// It cannot be written, and is as it was.
    pub(super) fn follow(&mut self, records: &[Record]) -> io::Result<()> {
        if !records.iter().any(|record| matches!(record, Record::Settled(..))) {
            return Ok(());
        }
        let mut macs = self.macs.clone();
        for record in records {
            match record {
                Record::Settled(mac, true) => drop(macs.insert(*mac)),
                Record::Settled(mac, false) => drop(macs.remove(mac)),
                Record::Lease(_) | Record::Boot(_) => {}
            }
        }
        if macs != self.macs {
            write(&self.path, &macs)?;
            self.macs = macs;
        }
        Ok(())
    }
}

/// Whole or not at all: written beside it, synced, and put in its place.
fn write(path: &Path, macs: &BTreeSet<Mac>) -> io::Result<()> {
    let lines: String = macs.iter().map(|mac| format!("{mac}\n")).collect();
    let new = path.with_extension("new");
    let mut file = File::create(&new)?;
    file.write_all(format!("{HEAD}{lines}").as_bytes())?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_is_no_mac_is_named_and_never_skipped() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Settled::read(folder.path()).unwrap().is_none());
        fs::write(folder.path().join(FILE), format!("{HEAD}52:54:00:00:00:01\n52:54:00:00:0\n")).unwrap();
        let error = Settled::read(folder.path()).unwrap_err().to_string();
        assert!(error.contains("settled: line 3 "), "{error}");
    }

    #[test]
    fn the_file_follows_its_records_and_stays_whole_where_it_cannot_be_written() {
        let folder = tempfile::tempdir().unwrap();
        let mac = |last| Mac::new([2, 0, 0, 0, 0, last]);
        let mut settled = Settled::begin(folder.path(), BTreeSet::from([mac(1)])).unwrap();
        settled.follow(&[Record::Settled(mac(2), true), Record::Settled(mac(1), false)]).unwrap();
        let now = || Settled::read(folder.path()).unwrap().unwrap().macs;
        assert_eq!(now(), BTreeSet::from([mac(2)]));
        // A folder in the way of the new file: nobody can write that, root included.
        fs::create_dir(folder.path().join("settled.new")).unwrap();
        settled.follow(&[Record::Settled(mac(3), true)]).unwrap_err();
        assert_eq!(now(), BTreeSet::from([mac(2)]));
        fs::remove_dir(folder.path().join("settled.new")).unwrap();
        settled.follow(&[Record::Settled(mac(3), true)]).unwrap();
        assert_eq!(now(), BTreeSet::from([mac(2), mac(3)]), "told again, it is written");
    }
}
