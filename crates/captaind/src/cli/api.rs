//! Arguments of the commands that ask the running daemon.

use captain_model::Mac;
use clap::Args;

use super::ConfigArgs;

/// Which running daemon.
#[derive(Args, Debug)]
pub(crate) struct ApiArgs {
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
    /// Base URL of the daemon's HTTP server [default: this box, at the configuration's http_port]
    #[arg(long, value_name = "URL", env = "CAPTAIND_SERVER")]
    pub(crate) server: Option<String>,
    /// Print the daemon's answer as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args, Debug)]
pub(crate) struct EventsArgs {
    #[command(flatten)]
    pub(crate) api: ApiArgs,
    /// Stay, and print also what happens from now on
    #[arg(short, long)]
    pub(crate) follow: bool,
}

#[derive(Args, Debug)]
pub(crate) struct LogsArgs {
    #[command(flatten)]
    pub(crate) api: ApiArgs,
    /// The machine's MAC address [default: all machines]
    pub(crate) mac: Option<Mac>,
}
