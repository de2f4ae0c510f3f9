//! `captaind completions` and `captaind man`: made from the same table as the flags.

use std::io::Write;

use clap::CommandFactory;

use crate::cli::Cli;
use crate::exit::Failure;

pub(crate) fn completions(shell: clap_complete::Shell) {
    clap_complete::generate(shell, &mut Cli::command(), "captaind", &mut std::io::stdout());
}

/// The manual page of captaind and, one after the other, those of its commands.
pub(crate) fn man() -> Result<(), Failure> {
    let mut command = Cli::command();
    command.build();
    Ok(pages(&command, &mut std::io::stdout().lock())?)
}

fn pages(command: &clap::Command, out: &mut impl Write) -> std::io::Result<()> {
    clap_mangen::Man::new(command.clone()).render(out)?;
    for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help" && !sub.is_hide_set()) {
        pages(sub, out)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manual_has_every_flag_of_every_command() {
        let mut command = Cli::command();
        command.build();
        let mut page = Vec::new();
        pages(&command, &mut page).unwrap();
        let page = String::from_utf8(page).unwrap();
        for part in [r"\-\-agent\-image", r"\-\-state\-dir", r"\-\-offline", "captaind\\-image\\-import"] {
            assert!(page.contains(part), "{part} is not in the manual");
        }
    }
}
