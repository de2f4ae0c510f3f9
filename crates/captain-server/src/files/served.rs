//! One immutable file: open, hashed, ready to be read at any offset by any number of clients.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use captain_model::Artifact;
use sha2::{Digest, Sha256};

use super::Stamp;

/// Bytes read from disk at a time for a client that is slow, or may be: so much is in memory for each.
pub(crate) const BLOCK: usize = 4 * 1024;
/// Bytes read at a time for a client that takes them at once.
pub(crate) const LARGE_BLOCK: usize = 128 * 1024;

/// A file that stays what it was when it was opened, where whoever replaces it renames a new one over it. Where it is
/// written over instead, it is no longer what its name and length say ([`ServedFile::is_whole`]).
#[derive(Clone, Debug)]
pub(crate) struct ServedFile {
    /// Its name and content.
    pub(crate) artifact: Artifact,
    /// The open file.
    pub(crate) file: Arc<File>,
    /// From before it was hashed.
    stamp: Stamp,
}

impl ServedFile {
    /// Opens and hashes the file at `path`.
    ///
    /// # Errors
    /// It cannot be read, or is not a regular file.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let stamp = Stamp::of(&file)?;
        let (sha256, size) = hash(&file)?;
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        Ok(Self { artifact: Artifact { name, sha256, size }, file: Arc::new(file), stamp })
    }

    /// Whether it still holds what was hashed: one call to the kernel.
    pub(crate) fn is_whole(&self) -> bool {
        self.stamp.still_holds(&self.file)
    }

    /// Strong entity tag (RFC 9110 section 8.8.3): the content's hash, so that it also holds across rebuilds and
    /// servers.
    pub(crate) fn etag(&self) -> String {
        format!("\"{}\"", self.artifact.sha256)
    }

    /// Media type by name: UEFI HTTP Boot takes `application/efi` for a loader (UEFI 2.10 section 24.7).
    pub(crate) fn media_type(&self) -> &'static str {
        media_type(&self.artifact.name)
    }
}

/// See [`ServedFile::media_type`].
pub(crate) fn media_type(name: &str) -> &'static str {
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
    match extension {
        "efi" => "application/efi",
        "iso" => "application/vnd.efi-iso",
        "img" => "application/vnd.efi-img",
        "ipxe" | "cfg" | "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

fn hash(file: &File) -> io::Result<(String, u64)> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 256 * 1024];
    let mut at = 0;
    loop {
        match file.read_at(&mut buffer, at)? {
            0 => break,
            length => {
                hasher.update(&buffer[..length]);
                at += length as u64;
            }
        }
    }
    Ok((hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect(), at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_named_by_its_content_and_survives_its_replacement() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("snponly.efi");
        std::fs::write(&path, "abc").unwrap();
        let served = ServedFile::open(&path).unwrap();
        // FIPS 180-2, appendix B.1.
        let sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(served.artifact, Artifact { name: "snponly.efi".into(), sha256: sha256.into(), size: 3 });
        assert_eq!(served.media_type(), "application/efi");

        std::fs::write(folder.path().join("new"), "defg").unwrap();
        std::fs::rename(folder.path().join("new"), &path).unwrap();
        assert!(served.is_whole());
        let mut content = [0; 3];
        served.file.read_exact_at(&mut content, 0).unwrap();
        assert_eq!(&content, b"abc");
    }

    #[test]
    fn a_folder_is_no_file() {
        assert!(ServedFile::open(&std::env::temp_dir()).is_err());
    }
}
