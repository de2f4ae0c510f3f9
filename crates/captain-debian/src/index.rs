//! A `Packages` index, cut down to what is needed and sorted, so that it loads in an instant.
//!
//! Debian's text for one architecture is some 56 MB; parsing that takes most of a second. The compact form
//! keeps one line per package with tab-separated fields, sorted by name, and after an empty line one line per
//! `Provides` with the number of the providing line. It is checked in full when it is made, guarded by a
//! SHA-256 after that, and searched where it lies.

use std::sync::Arc;

use deb822_fast::borrowed::{BorrowedParagraph, BorrowedParagraphIter};

use crate::error::Error;
use crate::hash::Sha256;
use crate::package::{Origin, Package, Priority};
use crate::relation::{is_name, parse_dependencies, parse_relations};
use crate::version::Version;

/// First line of the compact form; a change of it makes old files be made anew.
const FORMAT: &str = "captain-debian index 1";

/// What is kept, in the order of the columns. `Package` must come first.
const COLUMNS: [&str; 15] = [
    "Package",
    "Version",
    "Architecture",
    "Source",
    "Essential",
    "Priority",
    "Installed-Size",
    "Filename",
    "Size",
    "SHA256",
    "Pre-Depends",
    "Depends",
    "Conflicts",
    "Breaks",
    "Provides",
];

/// A compact index in memory.
#[derive(Debug)]
pub struct Index {
    /// The index's URL, for messages.
    url: String,
    text: String,
    /// Start and end of each package's line.
    rows: Vec<(u32, u32)>,
    /// Start and end of each `Provides` line.
    provides: Vec<(u32, u32)>,
}

impl Index {
    /// Reads the archive's own form.
    ///
    /// # Errors
    /// [`Error::Malformed`] names the package whose entry cannot be used.
    pub fn parse(text: &str, url: &str, arch: &str) -> Result<Self, Error> {
        let mut rows = Vec::new();
        for paragraph in BorrowedParagraphIter::new(text) {
            let paragraph = paragraph.map_err(|error| Error::malformed(url, error))?;
            rows.push(row(&paragraph));
        }
        rows.sort();
        rows.dedup();
        let index = Self::of_compact(compact(&rows, arch).map_err(|why| Error::malformed(url, why))?, url)?;
        let origin = Arc::new(Origin { mirrors: Vec::new(), suite: String::new(), component: String::new() });
        for row in 0..index.len() {
            index.package(row, arch, &origin)?;
        }
        Ok(index)
    }

    /// The compact form, to be kept in a file. `source` is the sum of the archive's own file.
    pub(crate) fn to_bytes(&self, source: &Sha256) -> Vec<u8> {
        let sum = Sha256::of(self.text.as_bytes());
        format!("{FORMAT} {source} {sum}\n{}", self.text).into_bytes()
    }

    /// Reads what [`Self::to_bytes`] wrote; none where it was made from another file or by another version, or
    /// is damaged.
    pub(crate) fn of_bytes(bytes: Vec<u8>, source: &Sha256, url: &str) -> Option<Self> {
        let mut text = String::from_utf8(bytes).ok()?;
        let end = text.find('\n')?;
        let sum: Sha256 = text[..end].strip_prefix(&format!("{FORMAT} {source} "))?.parse().ok()?;
        text.drain(..=end);
        (Sha256::of(text.as_bytes()) == sum).then_some(())?;
        Self::of_compact(text, url).ok()
    }

    fn of_compact(text: String, url: &str) -> Result<Self, Error> {
        if u32::try_from(text.len()).is_err() {
            return Err(Error::malformed(url, "an index of more than 4 GiB"));
        }
        let (mut rows, mut provides, mut at, mut first) = (Vec::new(), Vec::new(), 0, true);
        for line in text.split_terminator('\n') {
            let end = at + line.len() as u32;
            match (line.is_empty(), first) {
                (true, _) => first = false,
                (false, true) => rows.push((at, end)),
                (false, false) => provides.push((at, end)),
            }
            at = end + 1;
        }
        Ok(Self { url: url.to_owned(), text, rows, provides })
    }

    /// How many packages are in it.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether no package is in it.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    pub(crate) fn name(&self, row: usize) -> &str {
        self.key(self.rows[row])
    }

    /// The rows of the packages of this name; more than one where several versions are offered.
    pub(crate) fn rows_of<'a>(&'a self, name: &'a str) -> impl Iterator<Item = usize> + 'a {
        let first = self.rows.partition_point(|row| self.key(*row) < name);
        (first..self.rows.len()).take_while(move |row| self.name(*row) == name)
    }

    /// The rows of the packages that provide `name`.
    pub(crate) fn providers_of<'a>(&'a self, name: &'a str) -> impl Iterator<Item = usize> + 'a {
        let first = self.provides.partition_point(|line| self.key(*line) < name);
        let lines = self.provides[first..].iter().take_while(move |line| self.key(**line) == name);
        lines.filter_map(|line| self.line(*line).split('\t').nth(1)?.parse().ok())
    }

    /// The package in `row`.
    pub(crate) fn package(&self, row: usize, arch: &str, origin: &Arc<Origin>) -> Result<Package, Error> {
        let line = self.line(self.rows[row]);
        package(line, arch, origin)
            .map_err(|why| Error::malformed(&self.url, format!("package `{}`: {why}", self.name(row))))
    }

    fn line(&self, (start, end): (u32, u32)) -> &str {
        &self.text[start as usize..end as usize]
    }

    fn key(&self, line: (u32, u32)) -> &str {
        let line = self.line(line);
        line.split_once('\t').map_or(line, |(key, _)| key)
    }
}

/// One paragraph as one line; line breaks and tabs inside a field become spaces.
fn row(paragraph: &BorrowedParagraph<'_>) -> String {
    let mut values = [""; COLUMNS.len()];
    let mut folded: [Option<String>; COLUMNS.len()] = [const { None }; COLUMNS.len()];
    for field in paragraph.iter() {
        let Some(at) = COLUMNS.iter().position(|name| field.name().eq_ignore_ascii_case(name)) else {
            continue;
        };
        match field.as_single_line() {
            Some(line) if !line.contains('\t') => values[at] = line,
            _ => folded[at] = Some(field.join().replace(['\n', '\t'], " ")),
        }
    }
    let mut line = String::with_capacity(256);
    for (at, value) in values.into_iter().enumerate() {
        if at > 0 {
            line.push('\t');
        }
        line.push_str(folded[at].as_deref().unwrap_or(value).trim());
    }
    line
}

fn compact(rows: &[String], arch: &str) -> Result<String, String> {
    let mut text = String::with_capacity(rows.iter().map(|row| row.len() + 1).sum());
    let mut provides = Vec::new();
    for (number, row) in rows.iter().enumerate() {
        text.push_str(row);
        text.push('\n');
        let offered = row.rsplit('\t').next().unwrap_or_default();
        for relation in parse_relations(offered, arch)? {
            provides.push((relation.name, number));
        }
    }
    provides.sort();
    provides.dedup();
    text.push('\n');
    for (name, number) in provides {
        text.push_str(&format!("{name}\t{number}\n"));
    }
    Ok(text)
}

fn package(line: &str, arch: &str, origin: &Arc<Origin>) -> Result<Package, String> {
    let mut columns = line.split('\t');
    let fields: [&str; COLUMNS.len()] = std::array::from_fn(|_| columns.next().unwrap_or_default());
    let [
        name,
        version,
        own_arch,
        source,
        essential,
        priority,
        installed,
        filename,
        size,
        sha256,
        relations @ ..,
    ] = fields;
    let [pre_depends, depends, conflicts, breaks, provides] = relations;
    if !is_name(name) {
        return Err("its name is not a package name".to_owned());
    }
    if own_arch != arch && own_arch != "all" {
        return Err(format!("it is for `{own_arch}` in an index for {arch}"));
    }
    let version: Version = version.parse()?;
    Ok(Package {
        name: name.to_owned(),
        source: source_of(source, name, &version)?,
        version,
        arch: own_arch.to_owned(),
        essential: essential.eq_ignore_ascii_case("yes"),
        priority: Priority::parse(priority),
        installed_size: installed.parse().unwrap_or(0),
        filename: safe_filename(filename)?,
        size: size.parse().map_err(|_| format!("its size `{size}` is not a number"))?,
        sha256: sha256.parse()?,
        pre_depends: parse_dependencies(pre_depends, arch)?,
        depends: parse_dependencies(depends, arch)?,
        conflicts: parse_relations(conflicts, arch)?,
        breaks: parse_relations(breaks, arch)?,
        provides: parse_relations(provides, arch)?,
        origin: origin.clone(),
    })
}

/// `Source: name (version)`, where either is left out when it is the same as the package's.
fn source_of(field: &str, name: &str, version: &Version) -> Result<(String, Version), String> {
    match field.split_once('(') {
        None if field.is_empty() => Ok((name.to_owned(), version.clone())),
        None => Ok((field.to_owned(), version.clone())),
        Some((source, own)) => Ok((source.trim().to_owned(), own.trim_end_matches(')').parse()?)),
    }
}

/// A path below the mirror's base that cannot lead anywhere else.
fn safe_filename(text: &str) -> Result<String, String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/.+-_~:%".contains(&byte);
    let text = text.strip_prefix("./").unwrap_or(text);
    let fine = !text.is_empty()
        && !text.starts_with('/')
        && text.bytes().all(plain)
        && !text.split('/').any(|part| part == "..");
    if fine { Ok(text.to_owned()) } else { Err(format!("its file name `{text}` is not a plain path")) }
}

#[cfg(test)]
#[path = "index_tests.rs"]
mod tests;
