//! The JSON that the command line and other programs read.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use captain_model::{Lease, Mac};
use serde_json::{Value, json};

use super::peer::Ends;
use super::say;
use crate::appliance::{Appliance, v4};
use crate::clock::now;
use crate::files::Osie;
use crate::tell::masked_cmdline_of;

/// All machines: listed, leased, or seen booting.
pub(super) async fn machines(State(appliance): State<Arc<Appliance>>) -> Json<Value> {
    Json(all(&appliance).into_iter().map(|mac| describe(&appliance, mac)).collect())
}

/// One machine; 404 where nothing is known of it.
pub(super) async fn machine(State(appliance): State<Arc<Appliance>>, Path(mac): Path<String>) -> Response {
    with_mac(&mac, |mac| {
        let listed = appliance.inventory.load().machine(mac).map(captain_model::Machine::mac);
        if all(&appliance).contains(&listed.unwrap_or(mac)) {
            Json(describe(&appliance, mac)).into_response()
        } else {
            say(StatusCode::NOT_FOUND, format!("nothing is known of {mac}"))
        }
    })
}

/// The kernel command line that a machine would get, secrets masked.
pub(super) async fn cmdline(
    State(appliance): State<Arc<Appliance>>,
    Path(mac): Path<String>,
    ends: Ends,
) -> Response {
    with_mac(&mac, |mac| {
        let local = v4(ends.local).unwrap_or(std::net::Ipv4Addr::LOCALHOST);
        match masked_cmdline_of(&appliance, mac, local) {
            Ok(line) => Json(json!({ "mac": mac, "cmdline": line })).into_response(),
            Err(why) => say(StatusCode::INTERNAL_SERVER_ERROR, why),
        }
    })
}

/// The last log lines of a machine. `{mac}` may be an address whose MAC is not known.
pub(super) async fn logs(State(appliance): State<Arc<Appliance>>, Path(mac): Path<String>) -> Response {
    let name = mac.parse::<Mac>().map_or(mac, |mac| mac.to_string());
    Json(appliance.logs.of(&name)).into_response()
}

/// Gives a machine its `once` or `until-done` back. Only this box itself may.
pub(super) async fn rearm(
    State(appliance): State<Arc<Appliance>>,
    Path(mac): Path<String>,
    ends: Ends,
) -> Response {
    if !ends.is_own() {
        return say(StatusCode::FORBIDDEN, "ask from the machine that captaind runs on");
    }
    with_mac(&mac, |mac| {
        appliance.rearm(mac);
        StatusCode::NO_CONTENT.into_response()
    })
}

/// All boots that are remembered, oldest first.
pub(super) async fn boots(State(appliance): State<Arc<Appliance>>) -> Json<Value> {
    Json(appliance.bus.timeline(|timeline| json!(timeline.boots())))
}

/// All leases, expired ones too.
pub(super) async fn leases(State(appliance): State<Arc<Appliance>>) -> Json<Vec<Lease>> {
    Json(appliance.leases.all())
}

/// What each profile boots, and what is missing.
pub(super) async fn osies(State(appliance): State<Arc<Appliance>>) -> Json<Value> {
    let shelf = appliance.shelf.load();
    let profiles: Vec<Value> = shelf.osies().map(|(profile, osie)| describe_osie(profile, osie)).collect();
    let loaders: Vec<&str> = shelf.loaders().collect();
    Json(json!({ "profiles": profiles, "loaders": loaders, "missing": shelf.missing() }))
}

fn describe_osie(profile: &str, osie: &Osie) -> Value {
    match osie {
        Osie::Url(url) => json!({ "profile": profile, "url": url }),
        Osie::Folder(folder, files) => {
            let files: Vec<_> = files.values().map(|file| &file.artifact).collect();
            json!({ "profile": profile, "folder": folder, "artifacts": files })
        }
    }
}

/// The MACs that machines are called by.
pub(super) fn all(appliance: &Appliance) -> BTreeSet<Mac> {
    let inventory = appliance.inventory.load();
    let listed = inventory.machines().iter().map(captain_model::Machine::mac);
    let seen: Vec<Mac> = appliance.bus.timeline(|timeline| timeline.machines().collect());
    let leased = appliance.leases.all().into_iter().map(|lease| lease.mac);
    let primary = |mac| inventory.machine(mac).map_or(mac, captain_model::Machine::mac);
    listed.chain(seen.into_iter().chain(leased).map(primary)).collect()
}

fn describe(appliance: &Appliance, mac: Mac) -> Value {
    let inventory = appliance.inventory.load();
    let identity = inventory.identify(mac);
    let macs = identity.machine().map_or_else(|| vec![mac], |machine| machine.macs.clone());
    let now = now();
    let lease =
        appliance.leases.all().into_iter().find(|lease| macs.contains(&lease.mac) && lease.expires > now);
    let boot = macs.iter().filter_map(|mac| appliance.bus.latest_boot(*mac)).max_by_key(|boot| boot.boot);
    json!({
        "mac": mac,
        "macs": macs,
        "name": identity.machine().and_then(|machine| machine.name.clone()),
        "listed": identity.machine().is_some(),
        "profile": identity.profile().name,
        "address": identity.machine().and_then(|machine| machine.address),
        "boot_policy": identity.boot_policy(),
        "settled": appliance.settled(mac),
        "refused": appliance.refusal(mac),
        "lease": lease,
        "boot": boot,
    })
}

fn with_mac(text: &str, answer: impl FnOnce(Mac) -> Response) -> Response {
    match text.parse() {
        Ok(mac) => answer(mac),
        Err(error) => say(StatusCode::BAD_REQUEST, format!("{error}")),
    }
}
