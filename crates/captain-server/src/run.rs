//! Running: components by name; one that ends ends all; then everything drains.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use captain_model::DhcpMode;
use tokio::task::{JoinError, JoinSet};

use crate::appliance::Appliance;
use crate::bind::{Bound, Sockets};
use crate::http::serve::{Limits, Listener, serve};
use crate::{ServeError, dhcp, http, syslog, tftp};

/// How long components may take to end. TFTP and HTTP have their own, shorter, deadlines.
const DRAIN: Duration = Duration::from_secs(15);

/// A part of the appliance that runs until it is stopped.
struct Component {
    name: &'static str,
    run: Pin<Box<dyn Future<Output = io::Result<()>> + Send>>,
}

impl Component {
    fn new(name: &'static str, run: impl Future<Output = io::Result<()>> + Send + 'static) -> Self {
        Self { name, run: Box::pin(run) }
    }
}

impl Bound {
    /// Opens everything that machines are given, serves until `shutdown` is ready, then lets running transfers end and writes what is not on disk yet.
    ///
    /// # Errors
    /// A component ended by itself; all others were stopped then.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Result<(), ServeError> {
        let appliance = self.appliance;
        appliance
            .state
            .start()
            .map_err(|source| ServeError::Component { component: "the state writer", source })?;
        let stocking = appliance.clone();
        tokio::task::spawn_blocking(move || drop(stocking.stock())).await.map_err(|error| {
            ServeError::Crashed { component: "opening boot files", why: error.to_string() }
        })?;
        let mut running = JoinSet::new();
        for component in components(&appliance, self.sockets) {
            running.spawn(async move { (component.name, component.run.await) });
        }
        let ended = tokio::select! {
            () = shutdown => None,
            ended = running.join_next() => ended,
        };
        appliance.stopping.cancel();
        drain(&mut running).await;
        let closing = appliance.clone();
        // The writer's own thread does the work; waiting for it must not hold up the runtime.
        let _panicked = tokio::task::spawn_blocking(move || closing.state.close()).await;
        ended.map_or(Ok(()), |ended| Err(unexpected(ended)))
    }
}

fn components(appliance: &Arc<Appliance>, sockets: Sockets) -> Vec<Component> {
    let own = || appliance.clone();
    let router = http::router(own(), sockets.registry);
    let limits = Limits::default();
    let mut list = vec![Component::new("the state writer", watch_writer(own()))];
    for listener in sockets.http {
        let plain = Listener { listener, tls: None, router: router.clone(), limits };
        list.push(Component::new("HTTP", serve(own(), plain)));
    }
    for (listener, tls) in sockets.https {
        let secure = Listener { listener, tls: Some(tls.into()), router: router.clone(), limits };
        list.push(Component::new("HTTPS", serve(own(), secure)));
    }
    for engine in sockets.tftp {
        list.push(Component::new("TFTP", tftp::serve(own(), engine)));
    }
    for socket in sockets.syslog {
        list.push(Component::new("syslog", syslog::serve(own(), socket)));
    }
    if appliance.settings.dhcp.mode != DhcpMode::Disabled && !sockets.dhcp.is_empty() {
        list.push(Component::new("DHCP", dhcp::serve(own(), sockets.dhcp, sockets.packet)));
    }
    list
}

/// Without its writer the appliance acknowledges nothing any more, however long it runs.
async fn watch_writer(appliance: Arc<Appliance>) -> io::Result<()> {
    tokio::select! {
        () = appliance.stopping.cancelled() => Ok(()),
        () = appliance.state.gone() => Err(io::Error::other("it panicked, please report it")),
    }
}

async fn drain(running: &mut JoinSet<(&'static str, io::Result<()>)>) {
    let all = async {
        while let Some(ended) = running.join_next().await {
            if let Ok((name, Err(error))) = ended {
                tracing::warn!("{name} ended badly: {error}");
            }
        }
    };
    if tokio::time::timeout(DRAIN, all).await.is_err() {
        tracing::warn!("components were cut off: they did not end within {DRAIN:?}");
    }
}

fn unexpected(ended: Result<(&'static str, io::Result<()>), JoinError>) -> ServeError {
    match ended {
        Ok((component, Err(source))) => ServeError::Component { component, source },
        Ok((component, Ok(()))) => ServeError::Crashed { component, why: "it ended by itself".to_owned() },
        Err(error) => ServeError::Crashed { component: "a component", why: error.to_string() },
    }
}
