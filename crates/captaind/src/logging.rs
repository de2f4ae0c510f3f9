//! Where log lines go: standard error, as text or JSON; `CAPTAIND_LOG` filters (`debug`, `captain_server=trace`).

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::cli::Command;

/// Starts logging for `command`: the daemon tells what happens, the other commands only what is wrong.
pub(crate) fn start(command: &Command) {
    let (default, json) = match command {
        Command::Serve(args) => ("info", args.json),
        _ => ("warn", false),
    };
    let filter = EnvFilter::try_from_env("CAPTAIND_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
    let builder =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(colour);
    if json { builder.json().flatten_event(true).init() } else { builder.with_target(false).init() }
}
