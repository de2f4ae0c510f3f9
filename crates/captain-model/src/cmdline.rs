//! The kernel command line: ordered arguments, checked so that none can smuggle in another.

use std::fmt;

use serde::{Serialize, Serializer};
use thiserror::Error;

/// What x86 and arm64 kernels accept (`COMMAND_LINE_SIZE`), with its terminating NUL.
pub const KERNEL_LIMIT: usize = 2048;

/// Ordered, checked kernel arguments. Later ones win in the kernel, so order is kept.
///
/// An argument never holds a newline, NUL or other control character, nor a space outside double quotes.
///
/// `Display` is what the kernel is given; `Debug` and JSON show [`Cmdline::masked`]'s arguments.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Cmdline(Vec<String>);

/// Arguments whose values are never shown, and how they are: a password, and the proof of a boot.
const SECRETS: [(&str, &str); 2] =
    [("registry_password=", "registry_password=***"), ("captain_boot=", "captain_boot=***")];

/// Why a text cannot be a kernel argument.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum CmdlineError {
    /// The argument is empty.
    #[error("an empty kernel argument")]
    Empty,
    /// A control character, which would end the line or the string.
    #[error("kernel argument `{0}` holds a control character (newline, NUL, ...): remove it")]
    Control(String),
    /// A space that is not inside double quotes would start another argument.
    #[error(
        "kernel argument `{0}` holds a space outside double quotes: write two arguments, or quote the value"
    )]
    Space(String),
    /// A double quote is not closed.
    #[error("kernel argument `{0}` has an unbalanced double quote")]
    Quote(String),
}

impl Cmdline {
    /// No arguments.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// The arguments in `list`, in order.
    ///
    /// # Errors
    /// The first one that is not one kernel argument.
    pub fn parse<S: AsRef<str>>(list: impl IntoIterator<Item = S>) -> Result<Self, CmdlineError> {
        let mut cmdline = Self::new();
        for argument in list {
            cmdline.push(argument.as_ref())?;
        }
        Ok(cmdline)
    }

    /// The arguments of `line`, split at spaces outside double quotes.
    ///
    /// # Errors
    /// See [`CmdlineError`].
    pub fn parse_line(line: &str) -> Result<Self, CmdlineError> {
        let mut quoted = false;
        let parts = line.split(move |c| {
            quoted ^= c == '"';
            c == ' ' && !quoted
        });
        Self::parse(parts.filter(|part| !part.is_empty()))
    }

    /// Adds one argument at the end.
    ///
    /// # Errors
    /// See [`CmdlineError`]; the command line is then as it was.
    pub fn push(&mut self, argument: &str) -> Result<(), CmdlineError> {
        check(argument)?;
        self.0.push(argument.to_owned());
        Ok(())
    }

    /// Adds `key=value`, quoting the value where it holds a space.
    ///
    /// # Errors
    /// A control character, or a double quote in the value: the kernel has no escape for it.
    pub fn push_pair(&mut self, key: &str, value: &str) -> Result<(), CmdlineError> {
        if value.contains('"') {
            return Err(CmdlineError::Quote(format!("{key}=...")));
        }
        let quote = if value.contains(' ') { "\"" } else { "" };
        self.push(&format!("{key}={quote}{value}{quote}"))
    }

    /// Adds all of `other` at the end.
    pub fn extend(&mut self, other: &Self) {
        self.0.extend_from_slice(&other.0);
    }

    /// The arguments, in order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// The value of the last `key=value`, as the kernel would take it; quotes removed.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().rev().find_map(|argument| {
            let value = argument.strip_prefix(key)?.strip_prefix('=')?;
            Some(value.strip_prefix('"').and_then(|v| v.strip_suffix('"')).unwrap_or(value))
        })
    }

    /// The arguments as they may be shown, in order: `registry_password=***`, `captain_boot=***`.
    pub fn masked_arguments(&self) -> impl Iterator<Item = &str> {
        self.iter().map(|argument| {
            let bare = argument.trim_start_matches('"');
            SECRETS.iter().find(|(name, _)| bare.starts_with(name)).map_or(argument, |(_, shown)| shown)
        })
    }

    /// The line as it may be shown in logs, JSON and on a terminal.
    pub fn masked(&self) -> String {
        self.masked_arguments().collect::<Vec<_>>().join(" ")
    }

    /// Whether there is no argument.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn check(argument: &str) -> Result<(), CmdlineError> {
    if argument.is_empty() {
        return Err(CmdlineError::Empty);
    }
    if argument.chars().any(char::is_control) {
        return Err(CmdlineError::Control(argument.escape_debug().to_string()));
    }
    let mut quoted = false;
    for c in argument.chars() {
        quoted ^= c == '"';
        if c == ' ' && !quoted {
            return Err(CmdlineError::Space(argument.to_owned()));
        }
    }
    if quoted { Err(CmdlineError::Quote(argument.to_owned())) } else { Ok(()) }
}

/// One line, arguments separated by single spaces: what the kernel is given.
impl fmt::Display for Cmdline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(" "))
    }
}

impl fmt::Debug for Cmdline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.masked_arguments()).finish()
    }
}

impl Serialize for Cmdline {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.masked_arguments())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_keep_their_order_and_the_last_one_wins() {
        let mut line = Cmdline::parse(["console=tty0", "console=ttyS0,115200"]).unwrap();
        line.push_pair("foo", "a b").unwrap();
        assert_eq!(line.to_string(), r#"console=tty0 console=ttyS0,115200 foo="a b""#);
        assert_eq!(line.get("console"), Some("ttyS0,115200"));
        assert_eq!(line.get("foo"), Some("a b"));
        assert_eq!(line.get("fo"), None);
    }

    #[test]
    fn no_argument_smuggles_in_another() {
        for (bad, why) in [
            ("", CmdlineError::Empty),
            ("a\nb", CmdlineError::Control("a\\nb".into())),
            ("a\0", CmdlineError::Control("a\\0".into())),
            ("a init=/bin/sh", CmdlineError::Space("a init=/bin/sh".into())),
            ("a=\"b", CmdlineError::Quote("a=\"b".into())),
            ("a=\"b\" c\"", CmdlineError::Space("a=\"b\" c\"".into())),
        ] {
            assert_eq!(Cmdline::new().push(bad), Err(why), "{bad:?}");
        }
        assert!(Cmdline::new().push_pair("k", "v\" init=/bin/sh \"").is_err());
    }

    #[test]
    fn a_line_is_split_outside_quotes() {
        let line = Cmdline::parse_line("a  b=\"c d\" e").unwrap();
        assert_eq!(line.iter().collect::<Vec<_>>(), ["a", "b=\"c d\"", "e"]);
    }

    #[test]
    fn a_password_is_only_in_what_the_kernel_is_given() {
        let line = Cmdline::parse(["a=1", "registry_password=hunter2", "b=2"]).unwrap();
        assert_eq!(line.to_string(), "a=1 registry_password=hunter2 b=2");
        assert_eq!(line.masked(), "a=1 registry_password=*** b=2");
        assert_eq!(format!("{line:?}"), r#"["a=1", "registry_password=***", "b=2"]"#);
        assert_eq!(serde_json::to_string(&line).unwrap(), r#"["a=1","registry_password=***","b=2"]"#);
    }
}
