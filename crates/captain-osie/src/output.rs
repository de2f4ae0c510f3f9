//! Files that appear whole or not at all, and are summed while they are written.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use captain_model::Artifact;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::error::Error;

/// Takes `path` away, if it is there.
pub(crate) fn gone(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::io(path)(error)),
        _ => Ok(()),
    }
}

/// Writes `folder/name` as JSON.
pub(crate) fn json(folder: &Path, name: &str, value: &impl Serialize) -> Result<(), Error> {
    let mut text = serde_json::to_vec_pretty(value).map_err(|error| Error::malformed(name, error))?;
    text.push(b'\n');
    output(folder, name, |mut file| {
        file.write_all(&text).map_err(Error::io(folder.join(name)))?;
        Ok(file)
    })
    .map(drop)
}

/// A file that is summed while it is written.
pub(crate) struct Output {
    path: PathBuf,
    file: BufWriter<File>,
    sum: Sha256,
    size: u64,
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // Whoever writes knows what he writes, and not which disk is full.
        let wrong =
            |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", self.path.display()));
        self.file.write_all(bytes).map_err(wrong)?;
        self.sum.update(bytes);
        self.size += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Writes `folder/name`: under another name first, so that nobody ever sees half of it.
pub(crate) fn output(
    folder: &Path,
    name: &str,
    write: impl FnOnce(Output) -> Result<Output, Error>,
) -> Result<Artifact, Error> {
    let (path, part) = (folder.join(name), folder.join(format!(".{name}.{}.part", std::process::id())));
    sweep(folder, name);
    let file = File::create(&part).map_err(Error::io(&part))?;
    let file = BufWriter::with_capacity(1 << 20, file);
    let output = Output { path: path.clone(), file, sum: Sha256::new(), size: 0 };
    let finish = |output: Output| -> io::Result<Artifact> {
        output.file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
        fs::rename(&part, &path)?;
        let sha256 = output.sum.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Artifact { name: name.to_owned(), sha256, size: output.size })
    };
    let written = write(output).and_then(|output| finish(output).map_err(Error::io(&path)));
    if written.is_err() {
        // What is left of a failed attempt helps nobody; the error that matters is the first one.
        let _ = fs::remove_file(&part);
    }
    written
}

/// Takes away what builds that were killed have left of `name`; what cannot be taken away does no harm.
fn sweep(folder: &Path, name: &str) {
    let writer = |file: &str| -> Option<u32> {
        file.strip_prefix(&format!(".{name}."))?.strip_suffix(".part")?.parse().ok()
    };
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let dead = writer(&entry.file_name().to_string_lossy())
            .is_some_and(|process| !Path::new("/proc").join(process.to_string()).exists());
        if dead {
            let _ = fs::remove_file(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_output_is_whole_or_not_there() {
        let folder = tempfile::tempdir().unwrap();
        let failed = output(folder.path(), "x", |mut file| {
            file.write_all(b"half").unwrap();
            Err(Error::Level(0))
        });
        assert!(failed.is_err());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        // Process 1 is there, and no number is as large as the other.
        for process in ["1", "4294967295"] {
            fs::write(folder.path().join(format!(".x.{process}.part")), "half").unwrap();
        }
        let artifact = output(folder.path(), "x", |mut file| {
            file.write_all(b"abc").unwrap();
            Ok(file)
        });
        let artifact = artifact.unwrap();
        assert_eq!((artifact.name.as_str(), artifact.size), ("x", 3));
        assert_eq!(artifact.sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(fs::read(folder.path().join("x")).unwrap(), b"abc");
        assert!(folder.path().join(".x.1.part").exists(), "somebody still writes it");
        assert!(!folder.path().join(".x.4294967295.part").exists(), "its writer is dead");
    }
}
