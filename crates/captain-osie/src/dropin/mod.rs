//! OSIEs of other makers: CaptainOS, Hook, classic OSIE, or one's own. Their artifacts are taken in, checked, and
//! kept in the cache under the names that boot scripts ask for.

mod download;
mod kind;
mod names;
mod source;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use captain_debian::{Fetcher, Progress, Sha256};
use captain_model::{Arch, Artifact};
use serde::{Deserialize, Serialize};

pub use kind::Kind;

use crate::error::Error;
use crate::output::json;
use crate::relay::blocking;
use names::{Parsed, Part};

/// The file that says what was taken in.
const LIST: &str = "osie.json";

/// An OSIE that was taken in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Added {
    /// What profiles call it.
    pub name: String,
    /// Whose it is.
    pub kind: Kind,
    /// Where it is from: a folder, an archive or a URL.
    pub source: String,
    /// Its files, by the names that they are served under.
    pub files: Vec<AddedFile>,
}

/// A file of an OSIE that was taken in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddedFile {
    /// What it is now.
    #[serde(flatten)]
    pub artifact: Artifact,
    /// What its maker called it.
    pub was: String,
}

/// Where an OSIE comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A folder, or an archive (tar, also packed by gzip, zstd or xz).
    Path(PathBuf),
    /// An archive that is downloaded.
    Url {
        /// `http://` or `https://`.
        url: String,
        /// What the download must be. Where nobody says so it is downloaded, and refused with what it is.
        sha256: Option<Sha256>,
    },
}

/// Takes the OSIE at `origin` into `osies`, the folder with one folder for each OSIE. Downloads lie in the cache of
/// `fetcher` until they are taken in: what broke off goes on from there.
///
/// # Errors
/// The name cannot be one or is taken; a download that fails, is another file, or that nobody vouches for; a path or
/// link that leads out of the source; no kernel or initramfs; two for one architecture; a kernel for another one than
/// its name says; a sum that is not the one that the source tells.
pub async fn add(
    name: &str,
    origin: &Origin,
    osies: &Path,
    fetcher: &Fetcher,
    progress: &dyn Progress,
) -> Result<Added, Error> {
    check_name(name)?;
    let place = osies.join(name);
    if place.exists() {
        return Err(wrong(
            name,
            "there is an OSIE of this name: `captaind osie remove` it, or take another name",
        ));
    }
    match origin {
        Origin::Path(path) => take_in(name, path, &path.display().to_string(), osies, progress).await,
        Origin::Url { url, sha256 } => {
            let fetched = download::get(url, *sha256, fetcher, progress).await?;
            let added = take_in(name, &fetched.path, url, osies, progress).await?;
            fetcher.forget(&fetched)?;
            Ok(added)
        }
    }
}

/// Puts what belongs to an OSIE of the folder or archive at `path` into `osies`, whole or not at all.
async fn take_in(
    name: &str,
    path: &Path,
    shown: &str,
    osies: &Path,
    progress: &dyn Progress,
) -> Result<Added, Error> {
    fs::create_dir_all(osies).map_err(Error::io(osies))?;
    let stage = tempfile::Builder::new().prefix(".add-").tempdir_in(osies).map_err(Error::io(osies))?;
    let (name, path, shown) = (name.to_owned(), path.to_owned(), shown.to_owned());
    let (folder, place) = (stage.path().join("osie"), osies.join(&name));
    blocking(progress, move |progress| {
        let task = progress.begin(&format!("take in {shown}"), None);
        fs::create_dir(&folder).map_err(Error::io(&folder))?;
        source::gather(&path, &shown, &folder)?;
        let added = sort_out(&name, &shown, &folder)?;
        json(&folder, LIST, &added)?;
        fs::rename(&folder, &place).map_err(Error::io(&place))?;
        task.done(&format!("{}, {} files", added.kind, added.files.len()));
        // Not before: it holds the folder until that has its name.
        drop(stage);
        Ok(added)
    })
    .await
}

/// The OSIE of this name, where it was taken in and not built.
pub fn added(osies: &Path, name: &str) -> Option<Added> {
    check_name(name).ok()?;
    serde_json::from_slice(&fs::read(osies.join(name).join(LIST)).ok()?).ok()
}

impl Added {
    /// The architectures that it has a kernel for.
    pub fn arches(&self) -> Vec<Arch> {
        let has = |arch: &Arch| self.files.iter().any(|file| file.artifact.name == Part::Kernel.name(*arch));
        Arch::ALL.into_iter().filter(has).collect()
    }

    /// Kernel arguments that it does not start without, where its files are served below `base` by captaind at
    /// `server` (both URLs without a slash at the end).
    pub fn arguments(&self, server: &str, base: &str) -> Vec<String> {
        self.kind.arguments(self.arches().first().copied().unwrap_or(Arch::Amd64), server, base)
    }
}

fn wrong(source: &str, why: impl ToString) -> Error {
    Error::malformed(source, why)
}

/// As names of recipes: safe in URLs and as a folder.
fn check_name(name: &str) -> Result<(), Error> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let starts = name.starts_with(|c: char| c.is_ascii_alphanumeric());
    match starts && name.chars().all(fits) && name.len() <= 64 {
        true => Ok(()),
        false => Err(Error::Unsupported {
            what: format!(
                "`{}` cannot be an OSIE's name: use letters, digits, `.`, `_` and `-`, at most 64",
                name.escape_debug()
            ),
        }),
    }
}

/// Gives the files in `folder` the names that they are served under, and checks that it is an OSIE.
fn sort_out(name: &str, shown: &str, folder: &Path) -> Result<Added, Error> {
    let sums = source::told_sums(folder)?;
    let found = names::files(folder)?;
    let kind = kind_of(&found, folder)?;
    let mut parts: BTreeMap<String, String> = BTreeMap::new();
    for was in found {
        let Some(now) = served_name(&was, kind) else { continue };
        if let Some(other) = parts.insert(now.clone(), was.clone()) {
            return Err(wrong(
                shown,
                format!("both {other} and {was} would be {now}: leave one of them out"),
            ));
        }
    }
    check_parts(shown, &parts, kind)?;
    let mut files = Vec::new();
    for (now, was) in parts {
        let from = folder.join(&was);
        if let Some(Parsed { part: Part::Kernel, arch, .. }) = names::parse(&was) {
            kind::check_kernel(&from, &was, arch).map_err(|why| wrong(shown, why))?;
        }
        let artifact = artifact(&from, &now)?;
        if sums.get(&was).is_some_and(|told| *told != artifact.sha256) {
            return Err(wrong(shown, format!("{was} is not the file that its list of sums names")));
        }
        if now != was {
            fs::rename(&from, folder.join(&now)).map_err(Error::io(&from))?;
        }
        files.push(AddedFile { artifact, was });
    }
    source::remove_others(folder, &files)?;
    Ok(Added { name: name.to_owned(), kind, source: shown.to_owned(), files })
}

/// Kernel and initramfs for the same architectures; a classic OSIE, whose arguments name its files, for one.
fn check_parts(shown: &str, parts: &BTreeMap<String, String>, kind: Kind) -> Result<(), Error> {
    let has = |part: Part, arch| parts.contains_key(&part.name(arch));
    let arches: Vec<_> = Arch::ALL
        .into_iter()
        .filter(|arch| has(Part::Kernel, *arch) || has(Part::Initramfs, *arch))
        .collect();
    if arches.is_empty() {
        return Err(wrong(
            shown,
            "it holds no kernel: vmlinuz-x86_64 and initramfs-x86_64 (or -aarch64) are looked for, also with a \
             version in between",
        ));
    }
    for arch in &arches {
        for part in [Part::Kernel, Part::Initramfs] {
            if !has(part, *arch) {
                return Err(wrong(shown, format!("it holds no {} for {arch}", part.name(*arch))));
            }
        }
    }
    if kind == Kind::Classic && arches.len() > 1 {
        return Err(wrong(
            shown,
            "it is a classic OSIE for two architectures: add each under a name of its own",
        ));
    }
    Ok(())
}

/// `None` for what is not kept.
fn served_name(was: &str, kind: Kind) -> Option<String> {
    match names::parse(was) {
        Some(parsed) => Some(parsed.part.name(parsed.arch)),
        // What a classic OSIE's initramfs fetches, under the names that it knows.
        None if kind == Kind::Classic && !names::is_list(was) => Some(was.to_owned()),
        None => None,
    }
}

fn kind_of(found: &[String], folder: &Path) -> Result<Kind, Error> {
    let parsed = || found.iter().filter_map(|name| Some((name, names::parse(name)?)));
    if parsed().any(|(_, parsed)| parsed.part == Part::Modloop) {
        return Ok(Kind::Classic);
    }
    let initramfs = parsed().find(|(_, parsed)| parsed.part == Part::Initramfs);
    match initramfs {
        Some((name, _)) => Kind::of_initramfs(&folder.join(name)),
        None => Ok(Kind::Other),
    }
}

fn artifact(path: &Path, name: &str) -> Result<Artifact, Error> {
    use sha2::Digest;
    let mut file = File::open(path).map_err(Error::io(path))?;
    let (mut sum, mut size, mut buffer) = (sha2::Sha256::new(), 0, vec![0; 1 << 20]);
    loop {
        let read = file.read(&mut buffer).map_err(Error::io(path))?;
        if read == 0 {
            break;
        }
        sum.update(&buffer[..read]);
        size += read as u64;
    }
    let sha256 = sum.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(Artifact { name: name.to_owned(), sha256, size })
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
