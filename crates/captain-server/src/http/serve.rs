//! The loop that serves connections: HTTP/1.1 with time limits and caps, which `axum::serve` has not.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::http::Uri;
use axum::http::uri::PathAndQuery;
use hyper::server::conn::http1;
use hyper::{Request, Response, body::Incoming};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt;

use super::lane::{Lane, Slot};
use super::peer::{Ends, is_proxy};
use super::sendfile::Sendfile;
use super::stall::Stall;
use crate::appliance::Appliance;

/// Bytes of a request's head at most, and of an answer that wait for a slow client: as many for each connection.
const BUFFER: usize = 8 * 1024;

/// What one listener allows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Connections at the same time; more wait in the kernel's queue.
    pub(crate) connections: usize,
    /// Connections of one address; machines use one or two, a registry client a few more.
    pub(crate) per_address: usize,
    /// Time for a request's head, and between requests of one connection. iPXE pauses while it unpacks.
    pub(crate) head: Duration,
    /// Time without any progress while an answer goes out.
    pub(crate) patience: Duration,
    /// Time for a TLS handshake.
    pub(crate) handshake: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 4096,
            per_address: 128,
            head: Duration::from_secs(60),
            patience: Duration::from_secs(120),
            handshake: Duration::from_secs(15),
        }
    }
}

/// Time that requests get to end when the daemon stops.
const DRAIN: Duration = Duration::from_secs(5);

/// One listener.
pub(crate) struct Listener {
    /// Where connections come in.
    pub(crate) listener: std::net::TcpListener,
    /// What is in front of HTTP, for HTTPS.
    pub(crate) tls: Option<TlsAcceptor>,
    /// What is served.
    pub(crate) router: Router,
    /// How much of it at a time.
    pub(crate) limits: Limits,
}

/// Serves until the appliance stops, then lets running requests end.
///
/// # Errors
/// The listener's.
pub(crate) async fn serve(appliance: Arc<Appliance>, listener: Listener) -> io::Result<()> {
    let Listener { listener, tls, router, limits } = listener;
    let listener = TcpListener::from_std(listener)?;
    let slots = Arc::new(Semaphore::new(limits.connections));
    let crowd = Arc::new(Crowd::default());
    let mut turned_away = TurnedAway::default();
    let graceful = GracefulShutdown::new();
    loop {
        let accepted = tokio::select! {
            accepted = accept(&listener, &slots) => accepted,
            () = appliance.stopping.cancelled() => break,
        };
        let Some((stream, remote, permit)) = accepted else { continue };
        let most = most_of(&appliance, remote.ip(), limits);
        let Some(place) = crowd.enter(remote.ip(), most) else {
            turned_away.tell(remote.ip(), most, Instant::now());
            continue;
        };
        let visitor = Visitor {
            appliance: appliance.clone(),
            router: router.clone(),
            watcher: graceful.watcher(),
            limits,
        };
        let tls = tls.clone();
        tokio::spawn(async move {
            visitor.receive(stream, remote, tls).await;
            drop((permit, place));
        });
    }
    drop(listener);
    if tokio::time::timeout(DRAIN, graceful.shutdown()).await.is_err() {
        tracing::info!("HTTP requests were cut off: they did not end within {DRAIN:?}");
    }
    Ok(())
}

async fn accept(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
) -> Option<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let permit = slots.clone().acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, remote)) => Some((stream, remote, permit)),
        Err(error) => {
            // Out of descriptors, or the client is gone already: the next one may work.
            tracing::debug!("accepting a connection: {error}");
            tokio::time::sleep(Duration::from_millis(50)).await;
            None
        }
    }
}

/// Connections that one address may have. A proxy that speaks for many has no share of its own.
fn most_of(appliance: &Appliance, address: IpAddr, limits: Limits) -> usize {
    if is_proxy(&appliance.settings.trusted_proxies, address) {
        limits.connections
    } else {
        limits.per_address
    }
}

/// Connections that were closed because their address had its share, for the log: one line in a while.
#[derive(Debug, Default)]
struct TurnedAway {
    untold: usize,
    told: Option<Instant>,
}

impl TurnedAway {
    /// At least so long from one line to the next.
    const QUIET: Duration = Duration::from_secs(10);

    fn tell(&mut self, address: IpAddr, most: usize, now: Instant) {
        if let Some(count) = self.count(now) {
            tracing::warn!(
                "HTTP connections closed at once: {count}, the last of {address}, which has {most} already; a proxy \
                 belongs in [server] trusted_proxies"
            );
        }
    }

    /// How many there were, when it is time to say so.
    fn count(&mut self, now: Instant) -> Option<usize> {
        self.untold += 1;
        if self.told.is_some_and(|told| now.duration_since(told) < Self::QUIET) {
            return None;
        }
        self.told = Some(now);
        Some(std::mem::take(&mut self.untold))
    }
}

/// How many connections each address has.
#[derive(Debug, Default)]
struct Crowd(Mutex<HashMap<IpAddr, usize>>);

/// Leaves when dropped.
struct Place {
    crowd: Arc<Crowd>,
    address: IpAddr,
}

impl Crowd {
    fn enter(self: &Arc<Self>, address: IpAddr, most: usize) -> Option<Place> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let own = all.entry(address).or_default();
        if *own >= most {
            return None;
        }
        *own += 1;
        Some(Place { crowd: self.clone(), address })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut all = self.crowd.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = all.get_mut(&self.address) {
            *own -= 1;
            if *own == 0 {
                all.remove(&self.address);
            }
        }
    }
}

struct Visitor {
    appliance: Arc<Appliance>,
    router: Router,
    watcher: Watcher,
    limits: Limits,
}

impl Visitor {
    async fn receive(self, stream: TcpStream, remote: SocketAddr, tls: Option<TlsAcceptor>) {
        let Ok(local) = stream.local_addr() else { return };
        // Heads and small scripts go out at once.
        let _slower = stream.set_nodelay(true);
        let ends = Ends::new(remote, local);
        let patience = self.limits.patience;
        let Some(tls) = tls else {
            let lane = Lane::default();
            let stream = Stall::new(Sendfile::new(stream, lane.clone()), patience);
            return self.converse(stream, ends, Some(lane)).await;
        };
        match tokio::time::timeout(self.limits.handshake, tls.accept(Stall::new(stream, patience))).await {
            Ok(Ok(stream)) => self.converse(stream, ends, None).await,
            Ok(Err(error)) => tracing::debug!(%remote, "TLS: {error}"),
            Err(_) => tracing::debug!(%remote, "TLS: no handshake in time"),
        }
    }

    /// `lane` is where `stream` sends files from, if it does.
    async fn converse(
        self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        ends: Ends,
        lane: Option<Lane>,
    ) {
        let appliance = self.appliance;
        let service = self
            .router
            .map_request(move |request| prepare(&appliance, request, ends))
            .map_response(move |response: Response<Body>| offer(response, lane.as_ref()));
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.limits.head)
            .max_buf_size(BUFFER)
            // shim's HTTP client looks for `Content-Length` in exactly this spelling (rhboot/shim#770).
            .title_case_headers(true)
            .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
        if let Err(error) = self.watcher.watch(connection).await {
            tracing::debug!(remote = %ends.remote, "HTTP: {error}");
        }
    }
}

fn offer(response: Response<Body>, lane: Option<&Lane>) -> Response<Body> {
    if let (Some(slot), Some(lane)) = (response.extensions().get::<Slot>(), lane) {
        // A body goes out by one connection, so nobody was here before.
        let _first = slot.set(lane.clone());
    }
    response
}

fn prepare(appliance: &Appliance, mut request: Request<Incoming>, ends: Ends) -> Request<Incoming> {
    let ends = ends.through(&appliance.settings.trusted_proxies, request.headers());
    request.extensions_mut().insert(ends);
    if let Some(uri) = single_slashes(request.uri()) {
        *request.uri_mut() = uri;
    }
    request
}

/// The URI with each run of slashes in its path made one: firmware joins URLs carelessly, and a redirect is
/// more than it can follow.
fn single_slashes(uri: &Uri) -> Option<Uri> {
    if !uri.path().contains("//") {
        return None;
    }
    let mut path = String::with_capacity(uri.path().len());
    for c in uri.path().chars() {
        if c != '/' || !path.ends_with('/') {
            path.push(c);
        }
    }
    if let Some(query) = uri.query() {
        path.push('?');
        path.push_str(query);
    }
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(path).ok()?);
    Uri::from_parts(parts).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn double_slashes_in_the_path_are_one_and_the_query_stays() {
        let once = |uri: &str| single_slashes(&uri.parse().unwrap()).map(|uri| uri.to_string());
        assert_eq!(
            once("//ipxe///script/x/auto.ipxe?a=//b").as_deref(),
            Some("/ipxe/script/x/auto.ipxe?a=//b")
        );
        assert_eq!(once("http://h//a").as_deref(), Some("http://h/a"));
        assert_eq!(once("/a/b"), None);
    }

    #[test]
    fn one_address_cannot_take_all_connections() {
        let crowd = Arc::new(Crowd::default());
        let address = "192.0.2.1".parse().unwrap();
        let mut places: Vec<Place> = (0..3).map(|_| crowd.enter(address, 3).unwrap()).collect();
        assert!(crowd.enter(address, 3).is_none());
        assert!(crowd.enter("192.0.2.2".parse().unwrap(), 3).is_some());
        places.pop();
        assert!(crowd.enter(address, 3).is_some());
        drop(places);
        assert!(crowd.0.lock().unwrap().is_empty());
    }

    #[test]
    fn connections_that_are_turned_away_are_told_of_together_and_not_all_the_time() {
        let (mut away, began) = (TurnedAway::default(), Instant::now());
        let told: Vec<_> = [0, 1, 9, 10, 30].map(|at| away.count(began + Duration::from_secs(at))).into();
        assert_eq!(told, [Some(1), None, None, Some(3), Some(1)]);
    }

    #[test]
    fn only_a_connection_that_sends_files_offers_to() {
        let (slot, mut response) = (Slot::default(), Response::new(Body::empty()));
        response.extensions_mut().insert(slot.clone());
        let response = offer(response, None);
        assert!(slot.get().is_none());
        offer(response, Some(&Lane::default()));
        assert!(slot.get().is_some());
    }
}
