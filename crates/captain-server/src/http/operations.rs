//! For those who run the daemon: liveness, readiness, metrics.

use std::sync::Arc;

use axum::Json;
use axum::extract::{OriginalUri, State};
use axum::http::{HeaderName, StatusCode, header};
use axum::response::Response;
use serde_json::{Value, json};

use super::say;
use crate::appliance::Appliance;
use crate::clock::now;
use crate::metrics::Gauges;

/// The process answers.
pub(super) async fn alive() -> &'static str {
    "ok\n"
}

/// The same as smee says it, for what watches existing installations.
pub(super) async fn healthcheck(State(appliance): State<Arc<Appliance>>) -> Json<Value> {
    let uptime = appliance.started.elapsed().as_secs();
    Json(json!({ "git_rev": env!("CARGO_PKG_VERSION"), "uptime_seconds": uptime }))
}

/// Everything that is advertised can be served, and what is acknowledged can be kept.
pub(super) async fn ready(State(appliance): State<Arc<Appliance>>) -> Response {
    let (shelf, awaited) = (appliance.shelf.load(), appliance.awaited.load_full());
    let trouble = appliance.state.trouble();
    let why = trouble.as_deref().into_iter().chain(awaited.as_deref());
    let lines: Vec<&str> = why.chain(shelf.missing()).map(String::as_str).collect();
    if lines.is_empty() {
        say(StatusCode::OK, "ready")
    } else {
        say(StatusCode::SERVICE_UNAVAILABLE, lines.join("\n"))
    }
}

/// How the daemon is, for `captaind status`: ready or what is missing, the DHCP mode and why, and how much it knows.
pub(super) async fn status(State(appliance): State<Arc<Appliance>>) -> Json<Value> {
    let (shelf, now, mode) = (appliance.shelf.load(), now(), appliance.mode());
    let (mode, why) = &*mode;
    let trouble = appliance.state.trouble();
    let interfaces: Vec<Value> = appliance
        .settings
        .interfaces
        .iter()
        .map(|interface| json!({ "name": interface.name, "address": interface.address }))
        .collect();
    Json(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "ready": shelf.missing().is_empty() && trouble.is_none(),
        "trouble": trouble.as_deref(),
        "missing": shelf.missing(),
        "awaited": appliance.awaited.load_full().as_deref(),
        "interfaces": interfaces,
        "dhcp_mode": mode.to_string(),
        "dhcp_mode_why": why,
        "machines": appliance.inventory.load().machines().len(),
        "leases": appliance.leases.all().iter().filter(|lease| lease.expires > now).count(),
        "boots": appliance.bus.timeline(|timeline| timeline.boots().len()),
    }))
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
