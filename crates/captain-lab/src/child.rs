//! Programs that the lab starts: their output goes to a log, and they end with the lab.

use std::fs::File;
use std::path::Path;
use std::process::Stdio;

use tokio::process::Command;

use crate::error::LabError;

/// A command that runs in `folder` and writes standard output and error to the file `log` there. It is
/// killed when its handle is dropped; where the lab itself is killed, its process namespace kills it.
///
/// # Errors
/// The log cannot be made.
pub(crate) fn command(program: &Path, folder: &Path, log: &str) -> Result<Command, LabError> {
    let path = folder.join(log);
    let out = File::create(&path).map_err(LabError::file(&path))?;
    let err = out.try_clone().map_err(LabError::file(&path))?;
    let mut command = Command::new(program);
    command.current_dir(folder).stdin(Stdio::null()).stdout(out).stderr(err).kill_on_drop(true);
    Ok(command)
}

/// The last `count` lines of a log or console, without what terminals do (escape sequences, returns) and
/// without blank lines; none where the file cannot be read.
pub(crate) fn last_lines(path: &Path, count: usize) -> Vec<String> {
    let bytes = std::fs::read(path).unwrap_or_default();
    let tail = &bytes[bytes.len().saturating_sub(count * 400)..];
    let text = plain(&String::from_utf8_lossy(tail));
    let lines: Vec<&str> =
        text.split(['\n', '\r']).map(str::trim_end).filter(|l| !l.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(count)..].iter().map(|line| (*line).to_owned()).collect()
}

/// `text` without escape sequences and control characters; a cursor movement (`ESC [ .. H`) starts a line.
fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        match c {
            '\x1b' => {
                let mut sequence =
                    rest.by_ref().skip_while(|c| matches!(c, '[' | '(' | '0'..='9' | ';' | '?' | '='));
                if sequence.next() == Some('H') {
                    out.push('\n');
                }
            }
            '\n' | '\r' | '\t' => out.push(c),
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_of_a_console_are_text() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("console");
        let text = "\x1b[2J\x1b[01;01HBdsDxe: failed\r\n\x1b[0m\x1b[37mone\x1b[40m\r\n\n \r\ntwo\x07\n";
        std::fs::write(&path, text).unwrap();
        assert_eq!(last_lines(&path, 5), ["BdsDxe: failed", "one", "two"]);
        assert_eq!(last_lines(&path, 1), ["two"]);
        assert!(last_lines(&folder.path().join("none"), 3).is_empty());
    }
}
