//! Which mirror: the one that the host's apt is set up with, or one that was named.
//!
//! Both forms of sources.list(5) are read. What apt can and captaind cannot (`mirror+file:`, `cdrom:`, `tor:`)
//! is passed over.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use deb822_fast::{Deb822, Paragraph};

use crate::error::Error;

/// Suites by which an entry is known as Debian's, whatever its URL looks like.
const SUITES: [&str; 13] = [
    "buster",
    "bullseye",
    "bookworm",
    "trixie",
    "forky",
    "duke",
    "sid",
    "oldoldstable",
    "oldstable",
    "stable",
    "testing",
    "unstable",
    "experimental",
];

/// Where to fetch from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mirrors {
    /// Base URLs of the main archive, without a slash at the end; later ones are tried when earlier ones fail.
    pub main: Vec<String>,
    /// Base URLs of the security archive; empty where there is none.
    pub security: Vec<String>,
    /// Keyrings that apt verifies these with (`Signed-By`).
    pub keyrings: Vec<PathBuf>,
}

/// One `deb` entry of apt's configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Source {
    /// Base URLs, without a slash at the end.
    pub uris: Vec<String>,
    /// Suites.
    pub suites: Vec<String>,
    /// Components.
    pub components: Vec<String>,
    /// Keyring files. Keys written into the entry itself are not taken.
    pub signed_by: Vec<PathBuf>,
}

impl Mirrors {
    /// One mirror, named by the user, without a security archive.
    pub fn explicit(url: &str) -> Self {
        Self { main: vec![url.trim_end_matches('/').to_owned()], ..Self::default() }
    }

    /// What the apt configuration in `folder` (normally `/etc/apt`) uses for Debian.
    ///
    /// # Errors
    /// [`Error::NoMirror`] says what was found instead; [`Error::Io`] where a file is there and cannot be read.
    pub fn of_apt(folder: &Path) -> Result<Self, Error> {
        let mut sources = Vec::new();
        for path in files_of_apt(folder)? {
            let text = fs::read_to_string(&path).map_err(|error| Error::io(&path, error))?;
            let one_line = path.extension().is_some_and(|ending| ending == "list");
            sources.extend(if one_line { parse_list(&text) } else { parse_deb822(&text) });
        }
        Self::of_sources(&sources).map_err(|why| Error::NoMirror { path: folder.to_owned(), why })
    }

    /// Debian's archives among `sources`.
    ///
    /// # Errors
    /// In words, what was found instead.
    pub fn of_sources(sources: &[Source]) -> Result<Self, String> {
        let rank = |wanted: Kind| sources.iter().filter(move |source| kind(source) == wanted);
        let mut main: Vec<_> = rank(Kind::Debian).collect();
        if main.is_empty() {
            // A mirror under a name of its own, known by its suites. Others name their suites so, too, hence
            // only the first: the signature tells in the end.
            main.extend(rank(Kind::MaybeDebian).next());
        }
        let security: Vec<_> = rank(Kind::Security).collect();
        let mirrors = Self {
            main: uris(&main),
            security: uris(&security),
            keyrings: distinct(
                main.iter().chain(&security).flat_map(|source| source.signed_by.iter().cloned()),
            ),
        };
        if mirrors.main.is_empty() { Err(what_instead(sources)) } else { Ok(mirrors) }
    }
}

/// What an entry is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Debian,
    MaybeDebian,
    Security,
    Other,
}

fn kind(source: &Source) -> Kind {
    let usable: Vec<_> = source.uris.iter().filter(|uri| is_http(uri)).collect();
    // Docker's archive ends in /debian, too, but has no component main.
    if usable.is_empty() || !source.components.iter().any(|component| component == "main") {
        return Kind::Other;
    }
    let ends = |ending: &str| usable.iter().any(|uri| uri.ends_with(ending));
    let is_base = |suite: &String| SUITES.contains(&suite.strip_suffix("-updates").unwrap_or(suite));
    let is_security = |suite: &String| {
        let base = suite.strip_suffix("-security").or_else(|| suite.strip_suffix("/updates"));
        base.is_some_and(|base| SUITES.contains(&base))
    };
    let (base, security) = (source.suites.iter().any(is_base), source.suites.iter().any(is_security));
    match (base, security) {
        (_, true) if !base || ends("/debian-security") => Kind::Security,
        (true, _) if ends("/debian") => Kind::Debian,
        (true, _) => Kind::MaybeDebian,
        (false, _) => Kind::Other,
    }
}

fn is_http(uri: &str) -> bool {
    uri.starts_with("http://") || uri.starts_with("https://")
}

fn uris(sources: &[&Source]) -> Vec<String> {
    let all = sources.iter().flat_map(|source| source.uris.iter());
    distinct(all.filter(|uri| is_http(uri)).map(|uri| uri.trim_end_matches('/').to_owned()))
}

fn distinct<T: PartialEq>(items: impl Iterator<Item = T>) -> Vec<T> {
    let mut list = Vec::new();
    for item in items {
        if !list.contains(&item) {
            list.push(item);
        }
    }
    list
}

fn what_instead(sources: &[Source]) -> String {
    let schemes = sources.iter().flat_map(|source| &source.uris).filter(|uri| !is_http(uri));
    let schemes = distinct(schemes.map(|uri| uri.split_once(':').map_or("", |(scheme, _)| scheme)));
    let skipped = match schemes.as_slice() {
        [] => String::new(),
        some => format!(" (entries with {}: are passed over)", some.join(":, ")),
    };
    format!("apt is not set up with a Debian archive over http or https{skipped}")
}

/// `sources.list`, then the files of `sources.list.d`, by name, as apt reads them.
fn files_of_apt(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let mut files: Vec<_> = [folder.join("sources.list")].into_iter().filter(|path| path.exists()).collect();
    let parts = folder.join("sources.list.d");
    let entries = match fs::read_dir(&parts) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(files),
        other => other.map_err(|error| Error::io(&parts, error))?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| Error::io(&parts, error))?.path();
        if path.extension().is_some_and(|ending| ending == "list" || ending == "sources") {
            found.push(path);
        }
    }
    found.sort();
    files.append(&mut found);
    Ok(files)
}

/// The one-line form: `deb [option=value ...] uri suite component ...`.
pub fn parse_list(text: &str) -> Vec<Source> {
    text.lines().filter_map(|line| parse_line(line.split('#').next().unwrap_or_default().trim())).collect()
}

fn parse_line(line: &str) -> Option<Source> {
    let mut rest = line.strip_prefix("deb")?.strip_prefix(char::is_whitespace)?.trim_start();
    let mut signed_by = Vec::new();
    if let Some(inner) = rest.strip_prefix('[') {
        let (options, after) = inner.split_once(']')?;
        let value = options.split_whitespace().find_map(|option| option.strip_prefix("signed-by="));
        signed_by = keyring_files(&value.unwrap_or_default().replace(',', " "));
        rest = after.trim_start();
    }
    let mut words = rest.split_whitespace().map(str::to_owned);
    let (uri, suite) = (words.next()?, words.next()?);
    let uris = vec![uri.trim_end_matches('/').to_owned()];
    Some(Source { uris, suites: vec![suite], components: words.collect(), signed_by })
}

/// The deb822 form. A paragraph that cannot be read is none.
pub fn parse_deb822(text: &str) -> Vec<Source> {
    let Ok(paragraphs) = text.parse::<Deb822>() else { return Vec::new() };
    paragraphs.iter().filter_map(parse_paragraph).collect()
}

fn parse_paragraph(paragraph: &Paragraph) -> Option<Source> {
    let words = |name: &str| -> Vec<String> {
        let value = paragraph.get(name).unwrap_or_default();
        value.split_whitespace().map(str::to_owned).collect()
    };
    let off = paragraph.get("Enabled").is_some_and(|value| matches!(value.trim(), "no" | "false" | "0"));
    if off || !words("Types").iter().any(|word| word == "deb") {
        return None;
    }
    Some(Source {
        uris: words("URIs").iter().map(|uri| uri.trim_end_matches('/').to_owned()).collect(),
        suites: words("Suites"),
        components: words("Components"),
        signed_by: keyring_files(paragraph.get("Signed-By").unwrap_or_default()),
    })
}

/// File names in a `Signed-By`; fingerprints and keys in it are not file names.
fn keyring_files(value: &str) -> Vec<PathBuf> {
    if value.contains("-----BEGIN") {
        return Vec::new();
    }
    value.split_whitespace().filter(|word| word.starts_with('/')).map(PathBuf::from).collect()
}

#[cfg(test)]
#[path = "sources_tests.rs"]
mod tests;
