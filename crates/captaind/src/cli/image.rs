//! Arguments of `captaind image`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::SiteArgs;

#[derive(Debug, Subcommand)]
pub(crate) enum ImageCommand {
    /// Import an image archive: docker save (also gzipped), or an OCI layout (folder or tar)
    #[command(
        after_help = "Example: docker save tink-agent:latest -o agent.tar && captaind image import agent.tar"
    )]
    Import(ImageImportArgs),
    /// List the images that the registry serves
    #[command(after_help = "Example: captaind image list --json")]
    List(ImageListArgs),
}

#[derive(Args, Debug)]
pub(crate) struct ImageImportArgs {
    #[command(flatten)]
    pub(crate) site: SiteArgs,
    /// The archive or folder
    pub(crate) file: PathBuf,
    /// Serve it under this name:tag, instead of the archive's own
    #[arg(long, value_name = "NAME:TAG")]
    pub(crate) name: Option<String>,
    /// Print what was imported as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args, Debug)]
pub(crate) struct ImageListArgs {
    #[command(flatten)]
    pub(crate) site: SiteArgs,
    /// Print the list as JSON
    #[arg(long)]
    pub(crate) json: bool,
}
