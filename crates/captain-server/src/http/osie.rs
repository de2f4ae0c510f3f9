//! Kernel and initramfs: by profile, and by content.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use axum::extract::{OriginalUri, Path, State};
use axum::http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};
use captain_model::Mac;

use super::file::Asked;
use super::path::relative;
use super::peer::Ends;
use super::{absent, give, say};
use crate::appliance::Appliance;
use crate::files::{Osie, ServedFile};
use crate::once::{self, Kept};

/// `/osie/{profile}/{file}`.
pub(super) async fn of_profile(
    State(appliance): State<Arc<Appliance>>,
    Path((profile, file)): Path<(String, String)>,
    ends: Ends,
    request: (Method, OriginalUri, HeaderMap),
) -> Response<Body> {
    let asked = asked(&appliance, ends, request);
    let shelf = appliance.shelf.load_full();
    match shelf.osie(&profile) {
        // The profile names somebody else's server: iPXE follows, and the address stays in one place.
        Some(Osie::Url(base)) => match relative(&file) {
            Some(file) => elsewhere(&appliance, &asked, &format!("{base}/{file}")).await,
            None => found_or_not(appliance, None, asked),
        },
        Some(osie) => found_or_not(appliance, osie.file(&file).map(AsRef::as_ref), asked),
        None => found_or_not(appliance, None, asked),
    }
}

/// `/artifact/{sha256}/{name}`: never changes, so anyone may keep it.
pub(super) async fn by_hash(
    State(appliance): State<Arc<Appliance>>,
    Path((sha256, name)): Path<(String, String)>,
    ends: Ends,
    request: (Method, OriginalUri, HeaderMap),
) -> Response<Body> {
    let asked = asked(&appliance, ends, request);
    let shelf = appliance.shelf.load_full();
    let file = shelf.by_hash(&sha256.to_lowercase()).filter(|file| file.artifact.name == name);
    let mut response = found_or_not(appliance, file.map(AsRef::as_ref), asked);
    if response.headers().contains_key(header::ETAG) {
        let forever = HeaderValue::from_static("public, max-age=31536000, immutable");
        response.headers_mut().insert(header::CACHE_CONTROL, forever);
    }
    response
}

fn asked(
    appliance: &Appliance,
    ends: Ends,
    (method, OriginalUri(uri), headers): (Method, OriginalUri, HeaderMap),
) -> Asked {
    Asked::new(machine_at(appliance, ends.remote, ends), method, &uri, headers)
}

fn machine_at(appliance: &Appliance, address: IpAddr, ends: Ends) -> Option<Mac> {
    if ends.is_own() { None } else { appliance.who(address) }
}

fn found_or_not(appliance: Arc<Appliance>, file: Option<&ServedFile>, asked: Asked) -> Response<Body> {
    match file {
        Some(file) => give(appliance, file, asked),
        None => {
            let text = format!("{} is not here: GET /api/v1/osie lists what is", asked.path);
            absent(&appliance, &asked, &text)
        }
    }
}

async fn elsewhere(appliance: &Arc<Appliance>, asked: &Asked, url: &str) -> Response<Body> {
    let Ok(location) = HeaderValue::from_str(url) else {
        return say(StatusCode::INTERNAL_SERVER_ERROR, "the profile's osie is no URL");
    };
    let (kept, mac) = (Kept::default(), asked.mac.filter(|_| asked.method == Method::GET));
    if let Some(held) = once::hold(appliance, mac, &asked.path, &kept)
        && !held.await
    {
        return say(StatusCode::SERVICE_UNAVAILABLE, once::not_kept().to_string());
    }
    appliance.tell(asked.mac, asked.answered(StatusCode::FOUND, 0, Instant::now(), true));
    let mut response = say(StatusCode::FOUND, url);
    response.headers_mut().insert(header::LOCATION, location);
    response
}
