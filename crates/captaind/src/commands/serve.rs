//! `captaind serve`: parse -> bind -> give up root -> run, and build what is missing -> drain.

use std::path::PathBuf;
use std::sync::Arc;

use captain_config::PasswordFiles;
use captain_model::{DhcpMode, Inventory};
use captain_server::{BindError, BindErrorKind, Bound, Handle};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Notify;

use crate::appliance::{self, Folders};
use crate::cli::{CacheArgs, ServeArgs, SiteArgs};
use crate::configuration::{self, Loaded};
use crate::exit::Failure;
use crate::interfaces::Interface;
use crate::preparation::Preparation;
use crate::{agent, paths};

/// Binds and gives up root while this process still has one thread, so that no other keeps a capability.
pub(crate) fn run(args: &ServeArgs) -> Result<(), Failure> {
    let passwords = PasswordFiles::default();
    let loaded = configuration::read_again(&args.site, &passwords).map_err(Failure::usage)?;
    let folders = folders(args, &loaded);
    let interfaces = interfaces(args, &loaded)?;
    raise_descriptor_limit();
    let bound = bind(args, &loaded, &interfaces, &folders)?;
    give_up_root(&loaded, &folders)?;
    let cache = CacheArgs { cache_dir: Some(folders.cache.clone()) };
    let site = SiteArgs { config: args.site.config.clone(), cache };
    let reload = Reload { site, passwords, interfaces, cache: folders.cache, handle: bound.handle() };
    crate::runtime()?.block_on(serve(args, loaded, reload, bound))
}

async fn serve(args: &ServeArgs, loaded: Loaded, reload: Reload, bound: Bound) -> Result<(), Failure> {
    tell_what_no_agent_has(&bound.settings().inventory);
    // Before anything that takes time: without a handler a hangup ends the process.
    let hangups = signal(SignalKind::hangup())?;
    let (handle, cache) = (reload.handle.clone(), reload.cache.clone());
    let needed = if args.prepared { None } else { Preparation::needed(loaded, &cache).await? };
    tokio::spawn(reload.on_hangup(hangups));
    match needed {
        Some(needed) => serve_meanwhile(bound, needed, handle).await,
        None => bound.run(until_told_to_stop()).await.map_err(Failure::failed),
    }
}

/// Serves while what is missing is made, and after; not where it cannot be made.
async fn serve_meanwhile(bound: Bound, needed: Preparation, handle: Handle) -> Result<(), Failure> {
    let give_up = Notify::new();
    let preparing = needed.run(handle);
    let running = bound.run(async {
        tokio::select! {
            () = until_told_to_stop() => {}
            () = give_up.notified() => {}
        }
    });
    tokio::pin!(preparing, running);
    let prepared = tokio::select! {
        // First, so that whoever asks early is told to wait.
        biased;
        prepared = &mut preparing => prepared,
        ended = &mut running => return ended.map_err(Failure::failed),
    };
    if prepared.is_err() {
        give_up.notify_one();
    }
    let ended = running.await.map_err(Failure::failed);
    prepared.and(ended)
}

fn tell_what_no_agent_has(inventory: &Inventory) {
    for profile in agent::without(inventory) {
        tracing::warn!(
            "machines of profile `{profile}` will find no agent to run: import one (`captaind image import FILE`) \
             or set [profile.{profile}.agent] image"
        );
    }
}

fn folders(args: &ServeArgs, loaded: &Loaded) -> Folders {
    let state = args.state_dir.clone().or_else(|| loaded.config.server.state_dir.clone());
    Folders { state: state.unwrap_or_else(paths::default_state), cache: loaded.cache_dir(&args.site.cache) }
}

fn interfaces(args: &ServeArgs, loaded: &Loaded) -> Result<Vec<Interface>, Failure> {
    let names = if args.interface.is_empty() { &loaded.config.server.interfaces } else { &args.interface };
    appliance::choose_interfaces(names)
}

/// Each client costs descriptors: a socket or two, and its file. The usual soft limit of 1,024 is for programs that still
/// call select(2), and less than a room of machines after a power cut.
fn raise_descriptor_limit() {
    let raised = getrlimit(Resource::RLIMIT_NOFILE)
        .and_then(|(_, most)| setrlimit(Resource::RLIMIT_NOFILE, most, most));
    if let Err(error) = raised {
        tracing::warn!("as many files stay open as the limit was (see `ulimit -n`): {error}");
    }
}

fn bind(
    args: &ServeArgs,
    loaded: &Loaded,
    interfaces: &[Interface],
    folders: &Folders,
) -> Result<Bound, Failure> {
    let mode = args.mode.map_or(loaded.config.dhcp.mode, DhcpMode::from);
    let mut settings = appliance::settings(loaded.config.clone(), interfaces, mode, folders.clone())?;
    settings.templates = loaded.templates.clone();
    captain_server::bind(settings).map_err(bind_failure)
}

fn bind_failure(error: BindError) -> Failure {
    match error.kind() {
        BindErrorKind::Unavailable => Failure::unavailable(error),
        BindErrorKind::Permission => Failure::permission(error),
        BindErrorKind::Failed => Failure::failed(error),
    }
}

/// From here on nothing needs root: the ports are bound, and what is written by and by belongs to the user. Images and
/// whatever else lies in the folders is only read.
fn give_up_root(loaded: &Loaded, folders: &Folders) -> Result<(), Failure> {
    let user = loaded.config.server.user.as_deref();
    let written = ["debian", "loaders", "osie"].map(|name| folders.cache.join(name));
    let alone = [&folders.state, &folders.cache];
    let whole = written.into_iter().chain(paths::state_files(&folders.state)).collect::<Vec<_>>();
    captain_server::drop_privileges(user, &alone, &whole).map_err(Failure::permission)
}

/// What it takes to read the machines and profiles anew.
struct Reload {
    site: SiteArgs,
    /// What they held while this process was root.
    passwords: PasswordFiles,
    interfaces: Vec<Interface>,
    cache: PathBuf,
    handle: Handle,
}

impl Reload {
    /// SIGHUP reads the machines, profiles and images anew; a faulty file changes nothing.
    async fn on_hangup(self, mut hangups: Signal) {
        while hangups.recv().await.is_some() {
            match configuration::read_again(&self.site, &self.passwords) {
                Ok(loaded) => self.take(&loaded).await,
                Err(faults) => tracing::error!("the configuration stays as it was: {faults}"),
            }
        }
    }

    async fn take(&self, loaded: &Loaded) {
        let inventory = Arc::new(appliance::inventory(&loaded.config, &self.interfaces, &self.cache));
        tell_what_no_agent_has(&inventory);
        let (handle, templates) = (self.handle.clone(), loaded.templates.clone());
        // It reads and hashes the boot files; a panic in there has been logged by then.
        let _ = tokio::task::spawn_blocking(move || handle.reload(inventory, templates)).await;
        tracing::info!("machines, profiles and scripts were read anew; other settings need a restart");
    }
}

async fn until_told_to_stop() {
    let (Ok(mut terminate), Ok(mut interrupt)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}
