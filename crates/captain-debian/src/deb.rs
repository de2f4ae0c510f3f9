//! A .deb (deb(5)) as a stream of entries: no dpkg, no root, no unpacking to disk.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use captain_unpack::Stop;
use deb822_fast::Paragraph;

use crate::ar::{self, Member, Section};
use crate::entry::{Entry, EntryKind};
use crate::error::Error;
use crate::hash::Sha256;
use crate::tarball;

/// Largest `control.tar` content that is kept in memory; the largest in Debian are some 2 MiB (md5sums).
const LARGEST_CONTROL: u64 = 64 << 20;

/// An open package file.
#[derive(Debug)]
pub struct Deb {
    file: File,
    name: PathBuf,
    control: Member,
    data: Member,
}

impl Deb {
    /// Opens the .deb at `path`.
    ///
    /// # Errors
    /// It cannot be read, or is not a binary package of format 2.
    pub fn open(path: &Path) -> Result<Self, Error> {
        Self::of_file(File::open(path).map_err(|error| Error::io(path, error))?, path)
    }

    /// Opens the .deb at `path` after all of it was read and found to have this sum. `name` is what errors
    /// call it (files in the cache are named by their sums).
    ///
    /// # Errors
    /// As [`Self::open`], and [`Error::Rotten`].
    pub fn open_verified(path: &Path, name: &str, sha256: &Sha256) -> Result<Self, Error> {
        let mut file = File::open(path).map_err(|error| Error::io(path, error))?;
        let sum = Sha256::of_reader(&mut file).map_err(|error| Error::io(path, error))?;
        if sum != *sha256 {
            let (name, path) = (name.to_owned(), path.to_owned());
            return Err(Error::Rotten { name, path, expected: *sha256, got: sum });
        }
        Self::of_file(file, Path::new(name))
    }

    fn of_file(file: File, name: &Path) -> Result<Self, Error> {
        let wrong = |why: String| Error::Deb { deb: name.to_owned(), why };
        let members = ar::members(&file).map_err(wrong)?;
        let mut version = String::new();
        match members.first() {
            Some(first) if first.name == "debian-binary" && first.size <= 64 => Section::new(&file, first)
                .read_to_string(&mut version)
                .map_err(|error| wrong(error.to_string()))?,
            _ => return Err(wrong("its first member is not debian-binary: it is not a .deb".to_owned())),
        };
        if !version.starts_with("2.") {
            return Err(wrong(format!("package format {}, but only 2 is known", version.trim())));
        }
        let find = |prefix: &str| {
            let member = members.iter().find(|member| member.name.starts_with(prefix));
            member.cloned().ok_or_else(|| wrong(format!("it has no {prefix}*")))
        };
        Ok(Self { control: find("control.tar")?, data: find("data.tar")?, name: name.to_owned(), file })
    }

    /// Shows each entry of the package's tree to `visit`, in the order of the package: parents come before
    /// their children, a hard link after its file.
    ///
    /// # Errors
    /// What `visit` returns; [`Error::Deb`] for a damaged package or an unsafe path.
    pub fn walk<E: From<Error>>(&self, visit: impl FnMut(&mut Entry<'_>) -> Result<(), E>) -> Result<(), E> {
        self.walk_member(&self.data, visit)
    }

    /// Everything in `control.tar`: the control file, conffiles, maintainer scripts, triggers.
    ///
    /// # Errors
    /// [`Error::Deb`] for a damaged package.
    pub fn control(&self) -> Result<Control, Error> {
        let mut files = BTreeMap::new();
        let mut left = LARGEST_CONTROL;
        self.walk_member(&self.control, |entry| {
            if entry.kind != EntryKind::File {
                return Ok(());
            }
            left = left.checked_sub(entry.size).ok_or_else(|| self.wrong("control.tar is too large"))?;
            let mut content = Vec::new();
            entry.read_to_end(&mut content).map_err(|error| self.wrong(error))?;
            files.insert(entry.path.clone(), content);
            Ok(())
        })?;
        let text = files.get("control").map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        let fields = text.unwrap_or_default().parse().map_err(|error| self.wrong(error))?;
        Ok(Control { files, fields })
    }

    fn walk_member<E: From<Error>>(
        &self,
        member: &Member,
        visit: impl FnMut(&mut Entry<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let section = Section::new(&self.file, member);
        let tar = tarball::decoder(&member.name, section).map_err(|why| self.wrong(why))?;
        tarball::walk(tar, visit).map_err(|stop| match stop {
            Stop::Broken(why) => self.wrong(why).into(),
            Stop::Visitor(error) => error,
        })
    }

    fn wrong(&self, why: impl ToString) -> Error {
        Error::Deb { deb: self.name.clone(), why: why.to_string() }
    }
}

/// What a package says about itself.
#[derive(Clone, Debug)]
pub struct Control {
    /// Every file of `control.tar` by name: `control`, `conffiles`, `postinst`, ...
    pub files: BTreeMap<String, Vec<u8>>,
    fields: Paragraph,
}

impl Control {
    /// Scripts that dpkg would run and captaind does not.
    const SCRIPTS: [&str; 5] = ["preinst", "postinst", "prerm", "postrm", "config"];

    /// A field of the control file, such as `Version`.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.get(name)
    }

    /// Paths (without leading slash) of the files that belong to the administrator.
    pub fn conffiles(&self) -> Vec<String> {
        // `remove-on-upgrade /path` names one that is gone.
        let lines = self.lines("conffiles");
        lines.iter().filter_map(|line| Some(line.strip_prefix('/')?.to_owned())).collect()
    }

    /// Names of its maintainer scripts.
    pub fn scripts(&self) -> Vec<&str> {
        Self::SCRIPTS.into_iter().filter(|name| self.files.contains_key(*name)).collect()
    }

    /// Lines of its `triggers` file: `interest-noawait /usr/lib/x`, `activate-noawait ldconfig`.
    pub fn triggers(&self) -> Vec<String> {
        self.lines("triggers")
    }

    fn lines(&self, name: &str) -> Vec<String> {
        let text = self.files.get(name).map(|bytes| String::from_utf8_lossy(bytes));
        let text = text.as_deref().unwrap_or_default();
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        lines.map(str::to_owned).collect()
    }
}
