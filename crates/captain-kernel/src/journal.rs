//! What the stages print: all of it in a file, the end of it for an error, and how far they are for who waits.

use std::collections::VecDeque;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use captain_debian::Task;

use crate::error::Error;
use crate::stages::Stage;

/// Lines that an error shows.
const TAIL: usize = 25;

/// A log file, its last lines, and the task that hears of them.
pub(crate) struct Journal {
    path: PathBuf,
    file: File,
    tail: VecDeque<String>,
    /// The start of a line whose end has not come yet.
    rest: Vec<u8>,
    task: Option<Box<dyn Task>>,
    made: usize,
}

impl Journal {
    pub(crate) fn create(path: &Path) -> Result<Self, Error> {
        let file = File::create(path).map_err(Error::io(path))?;
        let (tail, rest) = (VecDeque::new(), Vec::new());
        Ok(Self { path: path.to_owned(), file, tail, rest, task: None, made: 0 })
    }

    /// What is noted from here on is about `task`.
    pub(crate) fn begin(&mut self, task: Box<dyn Task>) {
        (self.task, self.made) = (Some(task), 0);
    }

    /// The task is over.
    pub(crate) fn end(&mut self, note: &str) {
        if let Some(task) = self.task.take() {
            task.done(note);
        }
    }

    /// Notes a piece of output, which ends anywhere.
    pub(crate) fn note(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.file.write_all(bytes).map_err(Error::io(&self.path))?;
        self.rest.extend_from_slice(bytes);
        while let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.rest.drain(..=end).collect();
            self.line(String::from_utf8_lossy(&line).trim_end());
        }
        Ok(())
    }

    fn line(&mut self, line: &str) {
        if let (Some(folder), Some(task)) = (folder_of(line), &self.task) {
            self.made += 1;
            task.at(&format!("{} files, {folder}", self.made));
        }
        if self.tail.len() == TAIL {
            self.tail.pop_front();
        }
        self.tail.push_back(line.to_owned());
    }

    /// The error of a stage that failed.
    pub(crate) fn failed(&self, stage: &Stage) -> Error {
        let rest = String::from_utf8_lossy(&self.rest);
        let last = Some(rest.trim_end()).filter(|rest| !rest.is_empty());
        let tail: Vec<_> = self.tail.iter().map(String::as_str).chain(last).collect();
        Error::Stage { stage: stage.name.clone(), tail: tail.join("\n"), log: self.path.clone() }
    }
}

/// The folder of what kbuild says that it makes: `  CC [M]  fs/ext4/file.o`.
fn folder_of(line: &str) -> Option<&str> {
    let (verb, rest) = line.strip_prefix("  ")?.split_once(' ')?;
    let file = rest.trim_start().trim_start_matches("[M]").trim();
    let made = !verb.is_empty() && verb.bytes().all(|byte| byte.is_ascii_uppercase());
    made.then(|| file.rsplit_once('/')).flatten().map(|(folder, _)| folder)
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    struct Heard(Arc<Mutex<Vec<String>>>);

    impl Task for Heard {
        fn advance(&self, _by: u64) {}
        fn at(&self, place: &str) {
            self.0.lock().unwrap().push(place.to_owned());
        }
        fn done(&self, note: &str) {
            self.0.lock().unwrap().push(format!("done {note}"));
        }
    }

    #[test]
    fn lines_that_come_in_pieces_are_whole_and_what_is_made_is_counted() {
        let (folder, heard) = (tempfile::tempdir().unwrap(), Arc::default());
        let task = || Box::new(Heard(Arc::clone(&heard)));
        let mut journal = Journal::create(&folder.path().join("log")).unwrap();
        journal.begin(task());
        for piece in
            ["  CC      kernel/fo", "rk.o\n  CC [M]  fs/ext4/file.o\nfs/x.c:1: warn", "ing: y\n  LD  x.o"]
        {
            journal.note(piece.as_bytes()).unwrap();
        }
        journal.end("well");
        journal.begin(task());
        journal.note(b"\n  AS      arch/x86/a.o\nno end").unwrap();
        assert_eq!(
            *heard.lock().unwrap(),
            ["1 files, kernel", "2 files, fs/ext4", "done well", "1 files, arch/x86"]
        );
        let stage = Stage { name: "compile".to_owned(), command: String::new() };
        let told = journal.failed(&stage).to_string();
        assert!(told.contains("\nfs/x.c:1: warning: y\n") && told.contains("\nno end\n"), "{told}");
        let log = std::fs::read_to_string(folder.path().join("log")).unwrap();
        assert!(log.starts_with("  CC      kernel/fork.o\n") && log.ends_with("no end"), "{log}");
    }
}
