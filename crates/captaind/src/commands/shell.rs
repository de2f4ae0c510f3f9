//! `captaind completions` and `captaind man`: made from the same table as the flags.

use clap::CommandFactory;

use crate::cli::Cli;
use crate::exit::Failure;

pub(crate) fn completions(shell: clap_complete::Shell) {
    clap_complete::generate(shell, &mut Cli::command(), "captaind", &mut std::io::stdout());
}

pub(crate) fn man() -> Result<(), Failure> {
    Ok(clap_mangen::Man::new(Cli::command()).render(&mut std::io::stdout())?)
}
