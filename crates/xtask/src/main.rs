//! The project's chores: `cargo xtask test`, `cargo xtask lab`, `cargo xtask kernel`, `cargo xtask fuzz`.
//!
//! Each chore installs what it needs from Debian's packages first, so that a fresh machine with Rust passes.

mod fuzz;
mod packages;
mod run;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Parser, Subcommand};

use run::{captaind, cargo};

/// The project's chores.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Install what the tests need, then check the formatting, lints, licences, and run every test
    Test(TestArgs),
    /// Install what the lab needs, then run `captaind lab` with the given arguments (release build)
    Lab {
        /// Arguments for `captaind lab`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Install Docker's engine and Podman, then build the kernel from source in it for amd64 and arm64, and boot it (an hour)
    Kernel,
    /// Run every fuzz target in turn (nightly compiler)
    Fuzz {
        /// Seconds for each target
        #[arg(long, default_value_t = 600, value_parser = clap::value_parser!(u32).range(1..))]
        seconds: u32,
    },
}

#[derive(Args)]
struct TestArgs {
    /// Only the tests that need neither virtual machines nor the package mirror
    #[arg(long)]
    fast: bool,
    /// Do not install packages: fail where one is missing
    #[arg(long)]
    no_install: bool,
}

fn main() -> ExitCode {
    match run(Cli::parse().chore) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(chore: Chore) -> Result<()> {
    match chore {
        Chore::Test(args) => test(&args),
        Chore::Kernel => kernel(),
        Chore::Fuzz { seconds } => fuzz::all(seconds),
        Chore::Lab { arguments } => {
            packages::ensure(&[packages::LAB], true)?;
            if arguments.iter().any(|argument| argument.contains("arm64")) {
                packages::ensure(&[packages::ARM64], true)?;
            }
            captaind("lab", &arguments)
        }
    }
}

fn kernel() -> Result<()> {
    packages::ensure(&[packages::LAB, packages::COMPILER, packages::ENGINE], true)?;
    cargo(&["build", "--package", "captaind", "--locked"], &[])?;
    let files = ["--test", "kernel", "--test", "kernel_faults", "--test", "containers"];
    let tests = [&["test", "--package", "captain-tests", "--locked"][..], &files, &["--"]].concat();
    let tests = [&tests[..], &["--ignored", "--nocapture", "--test-threads=1"]].concat();
    cargo(&tests, &[("CAPTAIND_TEST_VMS", "1")])
}

fn test(args: &TestArgs) -> Result<()> {
    packages::ensure(
        &[packages::LAB, packages::ARM64, packages::PEERS, packages::COMPILER],
        !args.no_install,
    )?;
    cargo(&["fmt", "--all", "--check"], &[])?;
    cargo(&["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"], &[])?;
    run::deny()?;
    let slow = if args.fast { "0" } else { "1" };
    cargo(&["build", "--package", "captaind", "--locked"], &[])?;
    cargo(&["test", "--workspace", "--locked"], &[("CAPTAIND_TEST_VMS", slow)])
}
