//! A netboot appliance for bare metal in one daemon: the command line, which wires and decides nothing.

mod added;
mod agent;
mod appliance;
mod cli;
mod commands;
mod configuration;
mod engine_images;
mod exit;
mod interfaces;
mod kernels;
mod logging;
mod osies;
mod paths;
mod pcap;
mod preparation;
mod progress;
mod scripts;

use std::process::ExitCode;

use clap::Parser;
use nix::sys::signal::{SigHandler, Signal, signal};
use tokio::signal::unix::SignalKind;

use cli::{Cli, Command};
use exit::Failure;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(64) } else { ExitCode::SUCCESS };
        }
    };
    match run(cli.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

fn run(command: Command) -> Result<(), Failure> {
    crypto();
    logging::start(&command);
    if !matches!(command, Command::Serve(_) | Command::Lab(_)) {
        end_with_the_reader();
    }
    match command {
        // These two make their runtime themselves: namespaces are entered and rights given up while the process
        // still has one thread.
        Command::Lab(args) => commands::lab::run(&args),
        Command::Serve(args) => commands::serve::run(&args),
        Command::Build(args) => wait_or_stop(commands::build::build(&args)),
        Command::Summary(args) => commands::summary::run(&args),
        Command::Shell(args) => commands::enter::run(&args),
        Command::Clean(args) => commands::clean::run(&args),
        Command::Osie(command) => wait(commands::osie::run(&command)),
        Command::Plan(args) => wait(commands::build::plan(&args)),
        Command::Check(args) => commands::check::run(&args),
        Command::Explain(args) => commands::explain::run(&args),
        Command::Image(command) => commands::image::run(&command),
        Command::Status(args) => wait(commands::api::status(&args)),
        Command::Machines(args) => wait(commands::api::machines(&args)),
        Command::Events(args) => wait(commands::api::events(&args)),
        Command::Logs(args) => wait(commands::api::logs(&args)),
        Command::Completions { shell } => {
            commands::shell::completions(shell);
            Ok(())
        }
        Command::Man => commands::shell::man(),
    }
}

/// `captaind machines | head` ends when `head` does, as other programs do; Rust's runtime ignores SIGPIPE, and
/// printing would panic.
fn end_with_the_reader() {
    // SAFETY: no handler is installed, the default action is restored.
    let restored = unsafe { signal(Signal::SIGPIPE, SigHandler::SigDfl) };
    debug_assert!(restored.is_ok(), "SIGPIPE can always be set");
}

/// One crypto provider for every client and server. It fails only where one is installed already.
fn crypto() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// The runtime of every command.
fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Failure::failed)
}

fn wait(work: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    runtime()?.block_on(work)
}

/// As [`wait`] for work that leaves things half done: a signal drops it, and what it holds cleans up behind it.
fn wait_or_stop(work: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let runtime = runtime()?;
    let done = runtime.block_on(async {
        let mut terminate = tokio::signal::unix::signal(SignalKind::terminate())?;
        tokio::select! {
            done = work => done,
            asked = tokio::signal::ctrl_c() => asked.map_err(Failure::from).and(Err(Failure::interrupted(2))),
            _ = terminate.recv() => Err(Failure::interrupted(15)),
        }
    });
    // Threads that still unpack or compress do not end by themselves.
    runtime.shutdown_background();
    done
}
