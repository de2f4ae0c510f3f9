//! HTTP: one table of routes, one file per group of them, and the loop that serves connections.

mod api;
mod asset;
mod binary;
mod body;
mod events;
mod file;
mod iso;
mod lane;
mod operations;
mod osie;
mod page;
mod path;
mod peer;
mod range;
mod report;
mod script;
mod sendfile;
pub(crate) mod serve;
mod stall;
#[cfg(test)]
mod tests;
pub(crate) mod tls;

use std::sync::Arc;
use std::time::Instant;

pub(crate) use binary::without_traceparent;
pub(crate) use path::readable;

use axum::extract::DefaultBodyLimit;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use axum::{Router, middleware};

use crate::appliance::Appliance;
use crate::files::ServedFile;

/// Largest request body: a report of the OSIE.
const LARGEST_REQUEST: usize = 64 * 1024;

/// Every route there is.
pub(crate) fn router(appliance: Arc<Appliance>, registry: Option<Router>) -> Router {
    let routes = Router::new()
        .route("/", get(page::dashboard))
        .route("/auto.ipxe", get(script::by_address))
        .route("/ipxe/script/auto.ipxe", get(script::by_address))
        .route("/ipxe/script/{mac}/auto.ipxe", get(script::by_mac))
        .route("/ipxe/binary/{file}", get(binary::by_name))
        .route("/ipxe/binary/{mac}/{file}", get(binary::by_mac))
        .route("/ipxe/auto.ipxe", get(script::by_address))
        .route("/{mac}/auto.ipxe", get(script::by_mac))
        .route("/ipxe/{file}", get(binary::by_name))
        .route("/ipxe/{mac}/{file}", get(binary::by_mac))
        .route("/pxelinux.cfg/{file}", get(asset::pxelinux))
        .route("/tftp/{*name}", get(asset::by_name))
        .route("/iso/{mac}/{name}", get(iso::patched))
        .route("/osie/{profile}/{*file}", get(osie::of_profile))
        .route("/artifact/{sha256}/{name}", get(osie::by_hash))
        .route("/api/v1/machines", get(api::machines))
        .route("/api/v1/machines/{mac}", get(api::machine))
        .route("/api/v1/machines/{mac}/cmdline", get(api::cmdline))
        .route("/api/v1/machines/{mac}/logs", get(api::logs))
        .route("/api/v1/machines/{mac}/settled", delete(api::rearm))
        .route("/api/v1/machines/{mac}/event", post(report::receive))
        .route("/api/v1/boots", get(api::boots))
        .route("/api/v1/leases", get(api::leases))
        .route("/api/v1/events", get(events::stream))
        .route("/api/v1/osie", get(api::osies))
        .route("/api/v1/status", get(operations::status))
        .route("/healthz", get(operations::alive))
        .route("/healthcheck", get(operations::healthcheck))
        .route("/readyz", get(operations::ready))
        .route("/metrics", get(operations::metrics))
        .route("/smee/metrics", get(operations::metrics))
        .layer(DefaultBodyLimit::max(LARGEST_REQUEST))
        .fallback(operations::nothing_here)
        .with_state(appliance.clone());
    match registry {
        Some(registry) => {
            routes.merge(registry.layer(middleware::from_fn_with_state(appliance, events::note_pull)))
        }
        None => routes,
    }
}

/// Who asks or speaks as `mac` has an address that we gave to `other`.
fn foreign(other: captain_model::Mac, mac: captain_model::Mac) -> Response {
    say(StatusCode::FORBIDDEN, crate::tell::foreign(other, mac))
}

/// A loader, kernel or initramfs; while it is being read anew, the client is asked to wait.
fn give(appliance: Arc<Appliance>, file: &ServedFile, asked: file::Asked) -> Response {
    match appliance.spoilt(file) {
        Some(why) => later(&appliance, &asked, why),
        None => file::send(appliance, &file.into(), asked),
    }
}

/// What is not here, unless it is on its way.
fn absent(appliance: &Appliance, asked: &file::Asked, text: &str) -> Response {
    if let Some(what) = appliance.awaited.load_full() {
        return later(appliance, asked, format!("{text}; {what}"));
    }
    note(appliance, asked, StatusCode::NOT_FOUND);
    say(StatusCode::NOT_FOUND, text)
}

/// What may be on its way: the client is told so and when to ask again (RFC 9110 section 10.2.3, which iPXE heeds).
fn later(appliance: &Appliance, asked: &file::Asked, text: String) -> Response {
    note(appliance, asked, StatusCode::SERVICE_UNAVAILABLE);
    ([(header::RETRY_AFTER, "10")], say(StatusCode::SERVICE_UNAVAILABLE, text)).into_response()
}

fn note(appliance: &Appliance, asked: &file::Asked, status: StatusCode) {
    if !asked.quiet {
        appliance.tell(asked.mac, asked.answered(status, 0, Instant::now(), true));
    }
}

/// A plain answer with one line of text.
fn say(status: StatusCode, text: impl Into<String>) -> Response {
    (status, text.into() + "\n").into_response()
}
