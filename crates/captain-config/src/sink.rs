//! Where faults are collected while the document is walked.

use std::cell::RefCell;
use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::{Fault, PasswordFiles};

/// The text, where it lies, and the faults found so far.
#[derive(Debug)]
pub(crate) struct Sink<'a> {
    text: &'a str,
    base: &'a Path,
    /// Reads password files.
    pub(crate) passwords: &'a PasswordFiles,
    /// Offset of each line's first byte.
    lines: Vec<usize>,
    faults: RefCell<Vec<Fault>>,
}

impl<'a> Sink<'a> {
    pub(crate) fn new(text: &'a str, base: &'a Path, passwords: &'a PasswordFiles) -> Self {
        let starts = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1);
        let lines = std::iter::once(0).chain(starts).collect();
        Self { text, base, passwords, lines, faults: RefCell::default() }
    }

    /// Notes a fault at these bytes of the text. Each is one line, whatever the text holds.
    pub(crate) fn fault(&self, at: &Range<usize>, key: &str, message: &str) {
        let (line, column) = self.place(at.start);
        let fault = Fault { line, column, key: one_line(key), message: one_line(message) };
        self.faults.borrow_mut().push(fault);
    }

    /// The line of this byte, from 1.
    pub(crate) fn line(&self, offset: usize) -> usize {
        self.place(offset).0
    }

    /// Line and column in characters, both from 1.
    fn place(&self, offset: usize) -> (usize, usize) {
        let bytes = self.text.as_bytes();
        let offset = offset.min(bytes.len());
        let line = self.lines.partition_point(|start| *start <= offset);
        let start = self.lines[line - 1];
        // A character is counted at its first byte.
        let characters = bytes[start..offset].iter().filter(|byte| **byte & 0xc0 != 0x80).count();
        (line, characters + 1)
    }

    /// A path of the text: relative ones start at the text's folder.
    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.base.join(path)
    }

    /// Whether nothing was found so far.
    pub(crate) fn is_empty(&self) -> bool {
        self.faults.borrow().is_empty()
    }

    /// All faults in the order of the text. What a line that is no TOML means is not told: a guess at it was
    /// looked at, so that the lines after it are not lost.
    pub(crate) fn into_faults(self) -> Vec<Fault> {
        let mut faults = self.faults.into_inner();
        let is_syntax = |fault: &Fault| fault.key.is_empty();
        let unreadable: Vec<_> =
            faults.iter().filter(|fault| is_syntax(fault)).map(|fault| fault.line).collect();
        faults.retain(|fault| is_syntax(fault) || !unreadable.contains(&fault.line));
        faults.sort();
        faults.dedup();
        faults
    }
}

fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { c.escape_debug().to_string() } else { c.to_string() }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_counts_characters_and_a_place_behind_the_end_is_the_end() {
        let passwords = PasswordFiles::default();
        let sink = Sink::new("a = 1\nä = \"ö\" x\n", Path::new(""), &passwords);
        assert_eq!(sink.place(0), (1, 1));
        assert_eq!(sink.place(5), (1, 6));
        assert_eq!(sink.place(6), (2, 1));
        assert_eq!(sink.place("a = 1\nä = \"ö\" ".len()), (2, 9));
        assert_eq!(sink.place(9999), (3, 1));
    }
}
