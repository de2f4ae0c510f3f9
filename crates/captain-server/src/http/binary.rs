//! Boot loaders: `/ipxe/binary/[{mac}/]{file}`, the shape that smee has as well.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{OriginalUri, Path, State};
use axum::http::{HeaderMap, Method, Response, StatusCode};
use captain_model::{EventKind, Mac};

use super::file::Asked;
use super::peer::Ends;
use super::{absent, give, say};
use crate::appliance::{Appliance, v4};
use crate::clock::now;

/// The loader, for whoever is at the source address.
pub(super) async fn by_name(
    State(appliance): State<Arc<Appliance>>,
    Path(file): Path<String>,
    ends: Ends,
    request: (Method, OriginalUri, HeaderMap),
) -> Response<Body> {
    let mac = if ends.is_own() { None } else { appliance.who(ends.remote) };
    answer(appliance, mac, &file, request)
}

/// The loader, for the machine that the path names.
pub(super) async fn by_mac(
    State(appliance): State<Arc<Appliance>>,
    Path((mac, file)): Path<(String, String)>,
    ends: Ends,
    request: (Method, OriginalUri, HeaderMap),
) -> Response<Body> {
    let mac: Mac = match mac.parse() {
        Ok(mac) => mac,
        Err(error) => return say(StatusCode::BAD_REQUEST, format!("{error}")),
    };
    if ends.is_own() {
        return answer(appliance, None, &file, request);
    }
    if let Some(address) = v4(ends.remote) {
        appliance.leases.learn(address, mac, now());
    }
    answer(appliance, Some(mac), &file, request)
}

fn answer(
    appliance: Arc<Appliance>,
    mac: Option<Mac>,
    file: &str,
    (method, OriginalUri(uri), headers): (Method, OriginalUri, HeaderMap),
) -> Response<Body> {
    let asked = Asked::new(mac, method, &uri, headers);
    if let Some(why) = mac.and_then(|mac| appliance.loader_refusal(mac)) {
        appliance.tell(mac, EventKind::NetbootRefused { why: why.clone() });
        return say(StatusCode::FORBIDDEN, why);
    }
    let shelf = appliance.shelf.load_full();
    match shelf.loader(without_traceparent(file)) {
        Some(file) => give(appliance, file, asked),
        None => absent(&appliance, &asked, &format!("there is no boot loader `{file}` here")),
    }
}

/// smee appends `-00-<trace id>-<span id>-<flags>` (W3C Trace Context) to file names; existing setups send it.
pub(crate) fn without_traceparent(file: &str) -> &str {
    let Some(cut) = file.len().checked_sub(56).filter(|cut| file.is_char_boundary(*cut)) else { return file };
    let (name, trace) = file.split_at(cut);
    let lengths: Vec<usize> = trace.split('-').map(str::len).collect();
    let is_trace =
        lengths == [0, 2, 32, 16, 2] && trace.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit());
    if is_trace { name } else { file }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_is_taken_off_the_name_and_nothing_else() {
        let traced = "snponly.efi-00-23b1e307bb35484f535a1f772c06910e-d887dc3912240434-01";
        assert_eq!(without_traceparent(traced), "snponly.efi");
        for plain in
            ["snponly.efi", "a-00-23b1e307bb35484f535a1f772c06910e-d887dc3912240434", "é", &"x".repeat(80)]
        {
            assert_eq!(without_traceparent(plain), plain);
        }
    }
}
