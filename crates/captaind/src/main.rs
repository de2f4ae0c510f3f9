//! A netboot appliance for bare metal in one daemon: the command line, which wires and decides nothing.

mod appliance;
mod cli;
mod commands;
mod configuration;
mod exit;
mod interfaces;
mod logging;
mod osies;
mod paths;
mod progress;

use std::process::ExitCode;

use clap::Parser;

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
    // The lab enters its namespace while this process still has one thread.
    if let Command::Lab(args) = &command {
        return commands::lab::run(args);
    }
    crypto();
    logging::start(&command);
    runtime()?.block_on(dispatch(command))
}

/// One crypto provider for every client and server. It fails only where one is installed already.
fn crypto() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// The runtime of every command.
fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Failure::failed)
}

async fn dispatch(command: Command) -> Result<(), Failure> {
    match command {
        Command::Serve(args) => commands::serve::run(&args).await,
        Command::Build(args) => commands::build::build(&args).await,
        Command::Plan(args) => commands::build::plan(&args).await,
        Command::Lab(args) => commands::lab::run(&args),
        Command::Check(args) => commands::check::run(&args),
        Command::Explain(args) => commands::explain::run(&args),
        Command::Image(command) => commands::image::run(&command),
        Command::Status(args) => commands::api::status(&args).await,
        Command::Machines(args) => commands::api::machines(&args).await,
        Command::Events(args) => commands::api::events(&args).await,
        Command::Logs(args) => commands::api::logs(&args).await,
        Command::Completions { shell } => {
            commands::shell::completions(shell);
            Ok(())
        }
        Command::Man => commands::shell::man(),
    }
}
