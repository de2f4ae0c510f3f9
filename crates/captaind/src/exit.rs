//! Exit codes: what went wrong, in the one number that scripts read (sysexits.h).

use std::fmt;
use std::process::ExitCode;

/// Why a command ended without success.
#[derive(Debug)]
pub(crate) struct Failure {
    code: u8,
    message: String,
}

impl Failure {
    /// 1: the work failed.
    pub(crate) fn failed(error: impl fmt::Display) -> Self {
        Self { code: 1, message: error.to_string() }
    }

    /// 64: usage or configuration.
    pub(crate) fn usage(error: impl fmt::Display) -> Self {
        Self { code: 64, message: error.to_string() }
    }

    /// 69: a port, interface or server is not available.
    pub(crate) fn unavailable(error: impl fmt::Display) -> Self {
        Self { code: 69, message: error.to_string() }
    }

    /// 77: permission missing.
    pub(crate) fn permission(error: impl fmt::Display) -> Self {
        Self { code: 77, message: error.to_string() }
    }

    /// 130 or 143, as a shell says it: Ctrl-C or SIGTERM ended the work.
    pub(crate) fn interrupted(signal: u8) -> Self {
        Self { code: 128 + signal, message: "interrupted".to_owned() }
    }

    /// The failure has been told already (as JSON, say): only the exit code is left.
    pub(crate) fn told() -> Self {
        Self { code: 1, message: String::new() }
    }

    /// Prints the message, if there is one, and gives the exit code.
    pub(crate) fn report(&self) -> ExitCode {
        if !self.message.is_empty() {
            let several = self.message.lines().count() > 1;
            eprintln!("captaind:{}{}", if several { "\n" } else { " " }, self.message);
        }
        ExitCode::from(self.code)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::failed(error)
    }
}
