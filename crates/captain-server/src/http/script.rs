//! A machine's iPXE script: by the MAC in the path, else by the address it asks from.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{OriginalUri, Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};
use axum::response::IntoResponse;
use captain_boot::arch_of_buildarch;
use captain_model::{BootPolicy, EventKind, Mac};
use serde::Deserialize;

use super::file::Asked;
use super::peer::Ends;
use super::{foreign, say};
use crate::appliance::{Appliance, v4};
use crate::clock::now;
use crate::once::{Mark, not_kept};
use crate::tell::{Told, script_of};

/// What a script says about itself when it asks.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Hints {
    /// iPXE's `${buildarch}`.
    arch: Option<String>,
}

/// What of a query can be used: a machine that asks with an odd one is not left without a script.
fn hints(query: Result<Query<Hints>, QueryRejection>) -> Hints {
    query.map(|Query(hints)| hints).unwrap_or_default()
}

/// `/auto.ipxe`, `/ipxe/script/auto.ipxe`.
pub(super) async fn by_address(
    State(appliance): State<Arc<Appliance>>,
    query: Result<Query<Hints>, QueryRejection>,
    ends: Ends,
    request: (Method, OriginalUri),
) -> Response<Body> {
    match appliance.who(ends.remote).filter(|_| !ends.is_own()) {
        Some(mac) => match appliance.spies_on(mac, ends.remote) {
            Some(other) => foreign(other, mac),
            None => answer(&appliance, mac, &hints(query), ends, request).await,
        },
        None => {
            let facts = appliance.facts(local(ends));
            text(appliance.templates.load().discover_script(&facts))
        }
    }
}

/// `/ipxe/script/{mac}/auto.ipxe`.
pub(super) async fn by_mac(
    State(appliance): State<Arc<Appliance>>,
    Path(mac): Path<String>,
    query: Result<Query<Hints>, QueryRejection>,
    ends: Ends,
    request: (Method, OriginalUri),
) -> Response<Body> {
    let mac: Mac = match mac.parse() {
        Ok(mac) => mac,
        Err(error) => return say(StatusCode::BAD_REQUEST, format!("{error}")),
    };
    if let Some(other) = appliance.spies_on(mac, ends.remote) {
        return foreign(other, mac);
    }
    if !ends.is_own()
        && let Some(address) = v4(ends.remote)
    {
        appliance.leases.learn(address, mac, now());
    }
    answer(&appliance, mac, &hints(query), ends, request).await
}

/// A request from this box itself is an operator looking: it moves no boot.
async fn answer(
    appliance: &Arc<Appliance>,
    mac: Mac,
    hints: &Hints,
    ends: Ends,
    (method, OriginalUri(uri)): (Method, OriginalUri),
) -> Response<Body> {
    let began = Instant::now();
    let asked = Asked::new(Some(mac), method, &uri, HeaderMap::new());
    let arch = hints.arch.as_deref().and_then(arch_of_buildarch);
    let render = || script_of(appliance, mac, arch, local(ends));
    let mut told = render();
    if asked.method == Method::GET && !ends.is_own() {
        note(appliance, &asked, &told, began);
        // Asking may have begun a new boot, whose id the command line carries.
        if let Told::Boot(_) = told {
            told = render();
            if !count_here(appliance, mac).await {
                return say(StatusCode::SERVICE_UNAVAILABLE, not_kept().to_string());
            }
        }
    }
    match told {
        Told::Boot(script) | Told::Wait { script, .. } | Told::Local { script: Some(script), .. } => {
            text(script)
        }
        Told::Local { script: None, why } => say(StatusCode::NOT_FOUND, why),
        Told::Broken(why) => say(StatusCode::INTERNAL_SERVER_ERROR, why),
    }
}

/// Where the profile's OSIE is on another server nobody sees whether it is loaded: `once` is used up by the script then.
/// `false` where that cannot be kept.
async fn count_here(appliance: &Arc<Appliance>, mac: Mac) -> bool {
    let Some(osie) = loads_once_from(appliance, mac) else { return true };
    let Some(_mark) = Mark::of(appliance.clone(), mac).await else { return false };
    appliance.settle(mac, true);
    let detail =
        format!("its one boot counts from this script on: captaind does not see what it loads from {osie}");
    appliance.tell(mac, EventKind::Report { step: "once".to_owned(), detail });
    true
}

/// The other server that `mac` may boot from once.
fn loads_once_from(appliance: &Appliance, mac: Mac) -> Option<String> {
    let inventory = appliance.inventory.load();
    let identity = inventory.identify(mac);
    let osie = &identity.profile().osie;
    (identity.boot_policy() == BootPolicy::Once && osie.contains("://")).then(|| osie.clone())
}

fn note(appliance: &Appliance, asked: &Asked, told: &Told, began: Instant) {
    match told {
        Told::Boot(script) | Told::Wait { script, .. } => {
            let bytes = script.len() as u64;
            appliance.tell(asked.mac, asked.answered(StatusCode::OK, bytes, began, true));
        }
        Told::Local { why, .. } => appliance.tell(asked.mac, EventKind::NetbootRefused { why: why.clone() }),
        Told::Broken(why) => {
            let (step, detail) = ("failed".to_owned(), why.clone());
            appliance.tell(asked.mac, EventKind::Report { step, detail });
        }
    }
}

/// Our address as who asks sees it.
pub(super) fn local(ends: Ends) -> Ipv4Addr {
    v4(ends.local).unwrap_or(Ipv4Addr::LOCALHOST)
}

/// A text that is made anew for each request.
pub(super) fn text(script: String) -> Response<Body> {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    (headers, script).into_response()
}
