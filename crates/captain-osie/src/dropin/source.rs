//! Getting an OSIE's files out of a folder, an archive or a download.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Component, Path};

use captain_debian::{Progress, Sha256};
use tar::EntryType;

use super::{AddedFile, names, wrong};
use crate::error::Error;
use crate::unpack;

/// Copies everything in `path` that belongs to an OSIE into the empty folder `to`.
pub(super) fn gather(path: &Path, shown: &str, to: &Path) -> Result<(), Error> {
    if path.is_dir() { folder(path, shown, to) } else { archive(path, shown, to) }
}

fn folder(path: &Path, shown: &str, to: &Path) -> Result<(), Error> {
    let root = path.canonicalize().map_err(Error::io(path))?;
    for name in names::files(path)? {
        let Some(place) = names::wanted(&name) else { continue };
        // Links within the folder are how some web servers keep a `current`; what leads out of it is not ours.
        let real = path.join(&name).canonicalize().map_err(Error::io(path.join(&name)))?;
        if !real.starts_with(&root) {
            return Err(wrong(shown, format!("{name} is a link that leads out of the folder")));
        }
        put(&mut File::open(&real).map_err(Error::io(&real))?, shown, place, to)?;
    }
    Ok(())
}

fn archive(path: &Path, shown: &str, to: &Path) -> Result<(), Error> {
    let mut tar = tar::Archive::new(unpack::bounded(path).map_err(Error::io(path))?);
    let damaged = |error| damaged(shown, &error);
    for entry in tar.entries().map_err(damaged)? {
        let mut entry = entry.map_err(damaged)?;
        let inside = entry.path().map_err(damaged)?.into_owned();
        let plain = |part: &Component| matches!(part, Component::Normal(_) | Component::CurDir);
        if !inside.components().all(|part| plain(&part)) {
            return Err(wrong(shown, format!("its path {} leads out of it", inside.display())));
        }
        let parts: Vec<_> = inside
            .components()
            .filter(|part| matches!(part, Component::Normal(_)))
            .map(|part| part.as_os_str().to_string_lossy().into_owned())
            .collect();
        let name = parts.join("/");
        let Some(place) = names::wanted(&name) else { continue };
        match entry.header().entry_type() {
            EntryType::Regular | EntryType::Continuous => put(&mut entry, shown, place, to)?,
            EntryType::Directory => {}
            _ => return Err(wrong(shown, format!("{name} is a link or a device, not a file"))),
        }
    }
    Ok(())
}

fn put(content: &mut dyn io::Read, shown: &str, place: &str, to: &Path) -> Result<(), Error> {
    let target = to.join(place);
    if let Some(above) = target.parent() {
        fs::create_dir_all(above).map_err(Error::io(above))?;
    }
    let mut file = match File::create_new(&target) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            return Err(wrong(shown, format!("it holds {place} twice")));
        }
        created => created.map_err(Error::io(&target))?,
    };
    let mut buffer = vec![0; 256 * 1024];
    loop {
        let read = content.read(&mut buffer).map_err(|error| damaged(shown, &error))?;
        if read == 0 {
            return Ok(());
        }
        file.write_all(&buffer[..read]).map_err(Error::io(&target))?;
    }
}

fn damaged(shown: &str, error: &io::Error) -> Error {
    wrong(shown, format!("it is no archive, or a damaged one: {error}"))
}

/// What lists of sums in `folder` tell, by file name.
pub(super) fn told_sums(folder: &Path) -> Result<BTreeMap<String, String>, Error> {
    let mut sums = BTreeMap::new();
    for list in names::files(folder)?.into_iter().filter(|name| names::is_list(name)) {
        let path = folder.join(&list);
        let text = fs::read_to_string(&path).map_err(Error::io(&path))?;
        for line in text.lines() {
            let Some((sum, name)) = line.split_once(char::is_whitespace) else { continue };
            // sha512sums and the like are somebody else's.
            if sum.len() == 64 {
                let name = name.trim_start().trim_start_matches('*').trim_start_matches("./");
                sums.insert(name.to_owned(), sum.to_lowercase());
            }
        }
    }
    Ok(sums)
}

/// Takes away what is not kept.
pub(super) fn remove_others(folder: &Path, kept: &[AddedFile]) -> Result<(), Error> {
    for name in names::files(folder)? {
        if !kept.iter().any(|file| file.artifact.name == name) {
            let path = folder.join(&name);
            fs::remove_file(&path).map_err(Error::io(&path))?;
        }
    }
    Ok(())
}

/// Downloads `url` to `file`.
pub(super) async fn download(
    url: &str,
    sha256: &Sha256,
    file: &Path,
    progress: &dyn Progress,
) -> Result<(), Error> {
    use sha2::Digest;
    let failed = |error: reqwest::Error| wrong(url, format!("the download failed: {}", deepest(&error)));
    let mut response =
        reqwest::get(url).await.and_then(reqwest::Response::error_for_status).map_err(failed)?;
    let task = progress.begin(&format!("download {url}"), response.content_length());
    let mut out = File::create(file).map_err(Error::io(file))?;
    let mut sum = sha2::Sha256::new();
    while let Some(piece) = response.chunk().await.map_err(failed)? {
        out.write_all(&piece).map_err(Error::io(file))?;
        sum.update(&piece);
        task.advance(piece.len() as u64);
    }
    let found: String = sum.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    if found != sha256.to_string() {
        return Err(wrong(url, format!("the download has SHA-256 {found}, not {sha256}")));
    }
    task.done("as its SHA-256 says");
    Ok(())
}

/// The reason behind reqwest's sentence, which only names the URL.
fn deepest(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}
