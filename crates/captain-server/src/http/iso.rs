//! `/iso/{mac}/{name}.iso`: virtual media with the machine's own command line in it. Management controllers mount it
//! and read it in thousands of small ranges.

use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use axum::extract::{OriginalUri, Path, State};
use axum::http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};
use bytes::Bytes;
use captain_model::{BootPolicy, EventKind, Mac};

use super::file::{Asked, send};
use super::peer::Ends;
use super::range::{Selection, select};
use super::{foreign, say};
use crate::appliance::{Appliance, v4};
use crate::files::{Content, Iso, IsoError, UpstreamError};
use crate::tell::iso_patches_of;

/// The ISO for the machine that the path names. Who asks is its management controller, so nothing is learnt about the
/// machine's own address.
pub(super) async fn patched(
    State(appliance): State<Arc<Appliance>>,
    Path((mac, name)): Path<(String, String)>,
    ends: Ends,
    (method, OriginalUri(uri), headers): (Method, OriginalUri, HeaderMap),
) -> Response<Body> {
    if !name.ends_with(".iso") {
        return say(StatusCode::NOT_FOUND, format!("`{name}` is not here: the name of an ISO ends in .iso"));
    }
    let mac: Mac = match mac.parse() {
        Ok(mac) => mac,
        Err(error) => return say(StatusCode::BAD_REQUEST, format!("{error}")),
    };
    let mut asked = Asked::new(Some(mac), method, &uri, headers);
    asked.quiet = ends.is_own();
    if let Some(why) = appliance.refusal(mac) {
        if !asked.quiet {
            appliance.tell(mac, EventKind::NetbootRefused { why: why.clone() });
        }
        return say(StatusCode::FORBIDDEN, why);
    }
    if let Some(why) = uncounted(&appliance, mac) {
        return say(StatusCode::FORBIDDEN, why);
    }
    // A management controller may have a lease of its own; another listed machine has no business here.
    let listed = |other: &Mac| appliance.inventory.load().machine(*other).is_some();
    if let Some(other) = appliance.spies_on(mac, ends.remote).filter(listed) {
        return foreign(other, mac);
    }
    match appliance.isos.open(appliance.iso_of(mac)).await {
        Ok(iso) => answer(appliance, &iso, asked, ends),
        Err(error @ IsoError::NotThere) => say(StatusCode::NOT_FOUND, error.to_string()),
        Err(error @ IsoError::Upstream { why: UpstreamError::Silent, .. }) => {
            failed(&appliance, &asked, StatusCode::GATEWAY_TIMEOUT, error.to_string())
        }
        Err(error @ IsoError::Upstream { why: UpstreamError::Failed(_), .. }) => {
            failed(&appliance, &asked, StatusCode::BAD_GATEWAY, error.to_string())
        }
        Err(error @ (IsoError::Unreadable { .. } | IsoError::NoPlaceholder(_))) => {
            failed(&appliance, &asked, StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
        }
    }
}

/// Why `mac` may not have the ISO that all machines share: nothing would tell that it has booted.
fn uncounted(appliance: &Appliance, mac: Mac) -> Option<String> {
    let once = appliance.inventory.load().identify(mac).boot_policy() == BootPolicy::Once;
    (once && appliance.settings.iso.is_some()).then(|| {
        format!(
            "the ISO named in [iso] does not say when it runs, so that {mac} would boot it again and again in spite of \
             boot = \"once\": set boot = \"until-done\", or leave [iso] source out to use the ISO of its OSIE"
        )
    })
}

fn answer(appliance: Arc<Appliance>, iso: &Iso, mut asked: Asked, ends: Ends) -> Response<Body> {
    let local = v4(ends.local).unwrap_or(std::net::Ipv4Addr::LOCALHOST);
    let patches =
        asked.mac.map_or_else(|| Ok(Vec::new()), |mac| iso_patches_of(&appliance, mac, local, iso.rooms()));
    let content = match patches {
        Ok(patches) => iso.with(patches.into_iter().map(Bytes::from).collect()),
        // The text does not fit, or its boot loader would change it.
        Err(why) => return failed(&appliance, &asked, StatusCode::CONFLICT, why),
    };
    asked.quiet |= !tells(&asked, &content);
    let mut response = send(appliance, &content, asked);
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

/// Of the thousands of ranges those are told of that hold the command line.
fn tells(asked: &Asked, content: &Content) -> bool {
    match select(&asked.headers, &content.etag, content.size) {
        Selection::Parts(parts) => parts.iter().any(|part| content.is_patched_in(part)),
        Selection::Whole | Selection::Unsatisfiable | Selection::Changed => true,
        Selection::NotModified => false,
    }
}

fn failed(appliance: &Appliance, asked: &Asked, status: StatusCode, why: String) -> Response<Body> {
    if !asked.quiet {
        appliance.tell(asked.mac, asked.answered(status, 0, Instant::now(), true));
        appliance.tell(asked.mac, EventKind::Report { step: "iso".to_owned(), detail: why.clone() });
    }
    say(status, why)
}
