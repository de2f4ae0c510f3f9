//! Container images put into the OSIE and run as services.
//!
//! An image's files lie in the OSIE as a folder beside their `config.json` (OCI runtime specification 1.0, "Bundle"),
//! and one unit each runs them with runc. So nothing is imported or unpacked at boot, and memory is needed once; a
//! content store and a snapshot of it would take it three times.

mod bundle;
mod rootfs;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use captain_model::{Arch, Recipe};
use captain_oci::{Digest, Reference, Store};
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::image::Image;
use crate::lock::Lock;
use crate::options::BuildOptions;

/// Where they lie in the image.
const FOLDER: &str = "usr/lib/captain/containers";

/// One container image of an OSIE.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Container {
    /// What the recipe says: a name in captaind's store, or an archive without the folder that it lies in.
    pub source: String,
    /// What its unit and its folder are called.
    pub name: String,
    /// Digest of the manifest for the image's architecture.
    pub digest: String,
}

impl Container {
    /// The unit that runs it.
    pub fn unit(&self) -> String {
        format!("captain-container-{}.service", self.name)
    }
}

/// Begins the names of images that lie in the container engine.
const ENGINE: &str = "docker://";

/// Takes the recipe's images in and pins them.
///
/// # Errors
/// An archive that is no image; a name that the store lacks; an image without this architecture.
pub(crate) fn lock(recipe: &Recipe, options: &BuildOptions) -> Result<Vec<Container>, Error> {
    let (mut names, mut containers) = (BTreeSet::new(), Vec::new());
    for source in &recipe.containers {
        let name = unique(&short_name(source), &mut names);
        let (store, digest) = find(source, &name, &options.cache)?;
        let digest = store.manifest_of(&digest, options.arch).map_err(|_| Error::Container {
            name: source.clone(),
            why: format!("it has nothing for {}", options.arch),
        })?;
        let source = placeless(source);
        containers.push(Container { source, name, digest: digest.to_string() });
    }
    Ok(containers)
}

/// What a recipe says of an image, as it is on every machine.
pub(crate) fn placeless(source: &str) -> String {
    let file = Path::new(source).file_name().map(|name| name.to_string_lossy().into_owned());
    if is_archive(source) { file.unwrap_or_default() } else { source.to_owned() }
}

/// Whether `source` is the path of an archive and no name.
fn is_archive(source: &str) -> bool {
    !source.contains("://") && [".tar", ".tar.gz", ".tgz"].iter().any(|end| source.ends_with(end))
}

/// Images of archives and bundles, apart from those that the registry serves.
fn own_store(cache: &Path) -> Result<Store, Error> {
    Ok(Store::open(cache.join("containers"))?)
}

/// Images that `captaind image import` took in.
fn served_store(cache: &Path) -> Result<Store, Error> {
    Ok(Store::open(cache.join("images"))?)
}

/// Those of the recipe's images that lie in the container engine: what the recipe says, and the engine's name.
pub fn engine_images(recipe: &Recipe) -> impl Iterator<Item = (&str, &str)> {
    recipe.containers.iter().filter_map(|source| Some((source.as_str(), source.strip_prefix(ENGINE)?)))
}

/// Takes an image that the engine saved as `archive` into `cache`, where [`crate::lock()`] finds it by what the
/// recipe says.
///
/// # Errors
/// It is no image; a full disk.
pub fn take_engine_image(source: &str, archive: &Path, cache: &Path) -> Result<(), Error> {
    let imported = own_store(cache)?.import(archive, Some(&engine_name(source)));
    imported.map(drop).map_err(|error| Error::Container { name: source.to_owned(), why: error.to_string() })
}

/// A name for the cache that no archive's file has.
fn engine_name(source: &str) -> String {
    format!("captain.local/engine/{}:latest", &Digest::of(source.as_bytes()).hex()[..16])
}

fn find(source: &str, name: &str, cache: &Path) -> Result<(Store, Digest), Error> {
    let wrong = |why: String| Error::Container { name: source.to_owned(), why };
    if let Some(name) = source.strip_prefix(ENGINE) {
        let store = own_store(cache)?;
        let digest = store.resolve(&engine_name(source).parse().map_err(wrong)?)?;
        return digest.map(|digest| (store, digest)).ok_or_else(|| {
            wrong(format!(
                "it is not in the cache: build once without --offline where a container engine has it, or \
                 `docker save -o IMAGE.tar {name}` there and name that file"
            ))
        });
    }
    if is_archive(source) {
        let store = own_store(cache)?;
        let imported = store.import(Path::new(source), Some(&format!("captain.local/{name}:latest")));
        let imported = imported.map_err(|error| wrong(error.to_string()))?;
        let digest = imported.first().map(|image| image.digest);
        return digest.map(|digest| (store, digest)).ok_or_else(|| wrong("it holds no image".to_owned()));
    }
    let reference: Reference = source.parse().map_err(&wrong)?;
    let store = served_store(cache)?;
    let digest = store.resolve(&reference)?.ok_or_else(|| {
        wrong(
            "captaind's store has no such image: `captaind image import FILE`, or name an archive".to_owned(),
        )
    })?;
    Ok((store, digest))
}

/// `scanner` for `registry.example/my/scanner:1` and `images/scanner.tar.gz`.
fn short_name(source: &str) -> String {
    let last = source.rsplit('/').next().unwrap_or(source);
    let end = if is_archive(source) { last.find(".t") } else { last.find([':', '@']) };
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '-' };
    let name: String = last[..end.unwrap_or(last.len())].chars().map(plain).collect();
    if name.trim_matches('-').is_empty() { "container".to_owned() } else { name }
}

fn unique(name: &str, taken: &mut BTreeSet<String>) -> String {
    let numbered = (2_u32..).map(|number| format!("{name}-{number}"));
    let mut free = std::iter::once(name.to_owned()).chain(numbered).filter(|name| !taken.contains(name));
    // There is always one more number.
    let name = free.next().unwrap_or_default();
    taken.insert(name.clone());
    name
}

/// The store that holds a pinned image.
fn holding(container: &Container, arch: Arch, cache: &Path) -> Result<(Store, Digest), Error> {
    let malformed = |_| Error::malformed("lock", format!("`{}` is no digest", container.digest));
    let digest: Digest = container.digest.parse().map_err(malformed)?;
    for store in [own_store(cache)?, served_store(cache)?] {
        let parts = store.parts(&digest, arch).unwrap_or_default();
        if !parts.is_empty() && parts.iter().all(|part| store.blob(part).is_some()) {
            return Ok((store, digest));
        }
    }
    Err(Error::Container {
        name: container.source.clone(),
        why: format!(
            "{} of the lock is no longer in the cache: take the same archive in with `captaind image import`, or renew the lock with --update",
            container.digest
        ),
    })
}

/// Everything that the lock's containers consist of, and where it is.
///
/// # Errors
/// Something of it is not in the cache.
pub(crate) fn contents(lock: &Lock, cache: &Path) -> Result<Vec<(Digest, PathBuf)>, Error> {
    let mut contents = Vec::new();
    for container in &lock.containers {
        let (store, digest) = holding(container, lock.arch, cache)?;
        let parts = store.parts(&digest, lock.arch)?;
        contents.extend(parts.into_iter().filter_map(|part| Some((part, store.blob(&part)?))));
    }
    contents.sort_unstable();
    contents.dedup();
    Ok(contents)
}

/// Takes content of a bundle in, whose name is the hex of its SHA-256.
///
/// # Errors
/// It is something else.
pub(crate) fn take_in(name: &str, content: &mut dyn std::io::Read, cache: &Path) -> Result<(), Error> {
    let digest = format!("sha256:{name}").parse();
    let digest: Digest = digest.map_err(|_| Error::malformed("bundle", format!("`{name}` is no digest")))?;
    Ok(own_store(cache)?.put(&digest, content)?)
}

/// Puts the container's files, its `config.json` and its unit into the image.
///
/// # Errors
/// It is not in the cache; a layer that names something outside of it; no program to run.
pub(crate) fn add(container: &Container, image: &mut Image, arch: Arch, cache: &Path) -> Result<(), Error> {
    let (store, digest) = holding(container, arch, cache)?;
    let from = format!("container {}", container.source).into();
    let tree = rootfs::unpack(&store, &digest, arch, &mut image.pool, &from)?;
    let running = store.running(&digest, arch)?;
    let file = |path: &str| {
        let content = tree.file(path).map(|content| image.bytes(content));
        content.transpose().map(|bytes| String::from_utf8_lossy(&bytes.unwrap_or_default()).into_owned())
    };
    let accounts = (file("etc/passwd")?, file("etc/group")?);
    let config = bundle::config(container, &running, (&accounts.0, &accounts.1))?;
    let folder = format!("{FOLDER}/{}", container.name);
    image.tree.folder(&folder, 0o755, &from)?;
    image.tree.graft(&format!("{folder}/rootfs"), tree, &from)?;
    image.tree.write(&format!("{folder}/config.json"), 0o600, config, &from)?;
    let unit = bundle::unit(container, &format!("/{folder}"));
    image.tree.write(&format!("etc/systemd/system/{}", container.unit()), 0o644, unit, &from)
}
