//! What the stages print: all of it in a file, the end of it for an error.

use std::collections::VecDeque;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::stages::Stage;

/// Lines that an error shows.
const TAIL: usize = 25;

/// A log file and its last lines.
pub(crate) struct Journal {
    path: PathBuf,
    file: File,
    tail: VecDeque<String>,
}

impl Journal {
    pub(crate) fn create(path: &Path) -> Result<Self, Error> {
        let file = File::create(path).map_err(Error::io(path))?;
        Ok(Self { path: path.to_owned(), file, tail: VecDeque::new() })
    }

    /// Notes a piece of output: whole lines, or parts of them.
    pub(crate) fn note(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.file.write_all(bytes).map_err(Error::io(&self.path))?;
        for line in String::from_utf8_lossy(bytes).lines() {
            if self.tail.len() == TAIL {
                self.tail.pop_front();
            }
            self.tail.push_back(line.to_owned());
        }
        Ok(())
    }

    /// The error of a stage that failed.
    pub(crate) fn failed(&self, stage: &Stage) -> Error {
        let tail: Vec<_> = self.tail.iter().map(String::as_str).collect();
        Error::Stage { stage: stage.name.clone(), tail: tail.join("\n"), log: self.path.clone() }
    }
}
