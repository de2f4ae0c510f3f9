//! What is wrong with a configuration: all of it, each with its place.

use std::fmt;
use std::path::PathBuf;

/// One fault: where it is, which key it concerns, what is wrong and what to do.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fault {
    /// Line, from 1; 0 where the fault is not in the text (the file cannot be read).
    pub line: usize,
    /// Column in characters, from 1; 0 as for `line`.
    pub column: usize,
    /// Dotted path of the key, such as `dhcp.subnet[0].range`; empty for syntax errors.
    pub key: String,
    /// What is wrong, and the way out.
    pub message: String,
}

/// Every fault of one file, in the order of the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Faults {
    /// The file, as it was named.
    pub path: PathBuf,
    /// Never empty.
    pub faults: Vec<Fault>,
}

/// One line each: `captaind.toml:12:5: dhcp.subnet[0].range: ...`.
impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, fault) in self.faults.iter().enumerate() {
            if at > 0 {
                writeln!(f)?;
            }
            write!(f, "{}:", self.path.display())?;
            if fault.line > 0 {
                write!(f, "{}:{}:", fault.line, fault.column)?;
            }
            if !fault.key.is_empty() {
                write!(f, " {}:", fault.key)?;
            }
            write!(f, " {}", fault.message)?;
        }
        Ok(())
    }
}

impl std::error::Error for Faults {}
