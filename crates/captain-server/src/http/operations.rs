//! For those who run the daemon: liveness, readiness, metrics.

use std::sync::Arc;

use axum::extract::{OriginalUri, State};
use axum::http::{HeaderName, StatusCode, header};
use axum::response::Response;

use super::say;
use crate::appliance::Appliance;
use crate::clock::now;
use crate::metrics::Gauges;

/// The process answers.
pub(super) async fn alive() -> &'static str {
    "ok\n"
}

/// Everything that is advertised can be served.
pub(super) async fn ready(State(appliance): State<Arc<Appliance>>) -> Response {
    let shelf = appliance.shelf.load();
    match shelf.missing() {
        [] => say(StatusCode::OK, "ready"),
        missing => say(StatusCode::SERVICE_UNAVAILABLE, missing.join("\n")),
    }
}

/// Prometheus.
pub(super) async fn metrics(
    State(appliance): State<Arc<Appliance>>,
) -> ([(HeaderName, &'static str); 1], String) {
    let now = now();
    let gauges = Gauges {
        leases: appliance.leases.all().iter().filter(|lease| lease.expires > now).count(),
        machines: appliance.inventory.load().machines().len(),
        backlog: appliance.state.backlog(),
    };
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], appliance.bus.counters().render(gauges))
}

/// 404 with the path that was looked for.
pub(super) async fn nothing_here(OriginalUri(uri): OriginalUri) -> Response {
    say(StatusCode::NOT_FOUND, format!("there is nothing at {}", uri.path()))
}
