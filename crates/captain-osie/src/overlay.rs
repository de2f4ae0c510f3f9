//! Files laid over the packages: captaind's own overlay, then the recipe's folders.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use captain_debian::Sha256;
use captain_model::Recipe;
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::image::plain_mode;
use crate::options::BuildOptions;
use crate::tree::{Content, Node};

/// What the origins of overlay files start with.
pub(crate) const NAME: &str = "overlay";

#[derive(rust_embed::RustEmbed)]
#[folder = "../../overlay"]
struct Embedded;

/// A file, link or folder of an overlay.
#[derive(Debug)]
pub(crate) struct OverlayFile {
    /// Path in the image.
    pub(crate) path: String,
    pub(crate) node: Node,
    pub(crate) mode: u32,
}

/// A file or link of an overlay, as the manifest names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Laid {
    /// Path in the image.
    pub path: String,
    /// SHA-256 of the content, or of where the link leads.
    pub sha256: Sha256,
    /// Permission bits.
    pub mode: u32,
    /// Which overlay: its folder's name, without where that lies.
    pub from: String,
}

impl Laid {
    /// What `files` of the overlay called `name` lay down.
    pub(crate) fn of(name: &str, files: &[OverlayFile]) -> Vec<Self> {
        let sum = |file: &OverlayFile| match &file.node {
            Node::File(content) => match &**content {
                Content::Bytes(bytes) => Some(Sha256::of(bytes)),
                // Overlays are read into memory.
                Content::Pooled(_) => None,
            },
            Node::Symlink(target) => Some(Sha256::of(target.as_bytes())),
            Node::Directory | Node::CharDevice { .. } | Node::BlockDevice { .. } | Node::Fifo => None,
        };
        let laid = |file: &OverlayFile| {
            let (path, mode) = (file.path.clone(), file.mode);
            sum(file).map(|sha256| Self { path, sha256, mode, from: name.to_owned() })
        };
        let mut all: Vec<_> = files.iter().filter_map(laid).collect();
        // The program and a folder list the same files in different orders.
        all.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        all
    }
}

/// Where an overlay is from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum OverlaySource {
    /// captaind's own, from the program.
    Embedded,
    /// A folder.
    Folder(PathBuf),
}

impl OverlaySource {
    /// captaind's own or what replaces it, then the recipe's: in the order in which they are laid.
    pub(crate) fn all(recipe: &Recipe, options: &BuildOptions) -> Vec<Self> {
        let own = options.overlay_dir.clone().map_or(Self::Embedded, Self::Folder);
        std::iter::once(own).chain(recipe.overlay.iter().cloned().map(Self::Folder)).collect()
    }

    /// What it is called, on every machine alike.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Embedded => format!("{NAME} captaind"),
            Self::Folder(folder) => {
                let last = folder.file_name().unwrap_or(folder.as_os_str());
                format!("{NAME} {}", last.to_string_lossy())
            }
        }
    }

    /// Its files.
    ///
    /// # Errors
    /// As [`embedded`] and [`folder`].
    pub(crate) fn files(&self) -> Result<Vec<OverlayFile>, Error> {
        match self {
            Self::Embedded => embedded(),
            Self::Folder(path) => folder(path),
        }
    }
}

/// captaind's own overlay, from the program itself.
///
/// # Errors
/// It is not in the program: a broken build of captaind.
pub(crate) fn embedded() -> Result<Vec<OverlayFile>, Error> {
    let mut paths: Vec<_> = Embedded::iter().collect();
    paths.sort_unstable();
    let files = paths.iter().filter_map(|path| Some((path, Embedded::get(path)?)));
    let files: Vec<_> = files
        .map(|(path, file)| OverlayFile {
            path: path.to_string(),
            // Modes are not embedded: what starts as a script is one.
            mode: if file.data.starts_with(b"#!") { 0o755 } else { 0o644 },
            node: Node::file(file.data.into_owned()),
        })
        .collect();
    if files.is_empty() {
        return Err(Error::Unsupported { what: "this captaind was built without its overlay".to_owned() });
    }
    Ok(files)
}

/// The folder `root`, whole: owner root, modes by who may execute, links as they are.
///
/// # Errors
/// It cannot be read, or holds something that is no file, folder or link.
pub(crate) fn folder(root: &Path) -> Result<Vec<OverlayFile>, Error> {
    let mut files = Vec::new();
    walk(root, "", &mut files)?;
    Ok(files)
}

fn walk(folder: &Path, below: &str, files: &mut Vec<OverlayFile>) -> Result<(), Error> {
    let entries = fs::read_dir(folder).map_err(Error::io(folder))?;
    let mut entries = entries.collect::<Result<Vec<_>, _>>().map_err(Error::io(folder))?;
    entries.sort_unstable_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let place = entry.path();
        let name = String::from_utf8(entry.file_name().as_bytes().to_vec());
        let name =
            name.map_err(|_| Error::malformed(place.display().to_string(), "its name is not UTF-8"))?;
        let path = if below.is_empty() { name } else { format!("{below}/{name}") };
        let metadata = fs::symlink_metadata(&place).map_err(Error::io(&place))?;
        let kind = metadata.file_type();
        if kind.is_dir() {
            files.push(OverlayFile { path: path.clone(), node: Node::Directory, mode: 0o755 });
            walk(&place, &path, files)?;
        } else if kind.is_symlink() {
            let target = fs::read_link(&place).map_err(Error::io(&place))?;
            let node = Node::Symlink(target.to_string_lossy().into_owned());
            files.push(OverlayFile { path, node, mode: 0o777 });
        } else if kind.is_file() {
            let bytes = fs::read(&place).map_err(Error::io(&place))?;
            files.push(OverlayFile { path, node: Node::file(bytes), mode: plain_mode(&metadata) });
        } else {
            return Err(Error::malformed(
                place.display().to_string(),
                "an overlay holds files, folders and links only",
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::Image;
    use std::os::unix::fs::{PermissionsExt, symlink};

    #[test]
    fn the_embedded_overlay_has_the_first_process_and_the_agents_scripts_executable() {
        let files = embedded().unwrap();
        for path in ["init", "usr/local/bin/tink-agent-setup", "usr/lib/captain/report"] {
            assert_eq!(
                files.iter().find(|file| file.path == path).map(|file| file.mode),
                Some(0o755),
                "{path}"
            );
        }
        let unit = files.iter().find(|file| file.path == "etc/systemd/system/tink-agent.service").unwrap();
        assert_eq!(unit.mode, 0o644);
    }

    #[test]
    fn later_overlays_win_and_modes_depend_on_the_execute_bit_only() {
        let temp = tempfile::tempdir().unwrap();
        let (one, two) = (temp.path().join("one"), temp.path().join("two"));
        for root in [&one, &two] {
            fs::create_dir_all(root.join("etc")).unwrap();
            fs::write(root.join("etc/x"), root.display().to_string()).unwrap();
        }
        fs::set_permissions(two.join("etc/x"), fs::Permissions::from_mode(0o700)).unwrap();
        symlink("x", one.join("etc/link")).unwrap();
        let mut image = Image::new(temp.path()).unwrap();
        image.lay("overlay one", folder(&one).unwrap()).unwrap();
        let laid = image.lay("overlay two", folder(&two).unwrap()).unwrap();
        assert_eq!(image.text("etc/link").unwrap(), Some(two.display().to_string()));
        assert_eq!(image.tree.get("etc/x").unwrap().mode, 0o755);
        assert_eq!(
            laid,
            [Laid {
                path: "etc/x".to_owned(),
                sha256: Sha256::of(two.display().to_string().as_bytes()),
                mode: 0o755,
                from: "overlay two".to_owned()
            }]
        );
    }

    #[test]
    fn an_overlays_folder_leaves_the_mode_of_the_folder_that_is_there() {
        let temp = tempfile::tempdir().unwrap();
        fs::create_dir_all(temp.path().join("o/root/empty")).unwrap();
        let mut image = Image::new(temp.path()).unwrap();
        image.tree.folder("root", 0o700, &"skeleton".into()).unwrap();
        image.lay("overlay o", folder(&temp.path().join("o")).unwrap()).unwrap();
        assert_eq!(image.tree.get("root").unwrap().mode, 0o700);
        assert_eq!(image.tree.get("root/empty").unwrap().mode, 0o755);
    }

    #[test]
    fn what_the_builder_derives_does_not_replace_an_overlays_file() {
        let temp = tempfile::tempdir().unwrap();
        fs::create_dir_all(temp.path().join("o/etc")).unwrap();
        fs::write(temp.path().join("o/etc/passwd"), "mine").unwrap();
        let mut image = Image::new(temp.path()).unwrap();
        image.lay("overlay o", folder(&temp.path().join("o")).unwrap()).unwrap();
        image.derive("etc/passwd", 0o644, "derived", "accounts").unwrap();
        image.derive("etc/group", 0o644, "derived", "accounts").unwrap();
        assert_eq!(image.text("etc/passwd").unwrap().as_deref(), Some("mine"));
        assert_eq!(image.text("etc/group").unwrap().as_deref(), Some("derived"));
    }
}
