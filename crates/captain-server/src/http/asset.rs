//! `/tftp/{name}`: what TFTP serves, under the same names and by the same rules, for firmware that has HTTP only. smee
//! has it below the same prefix.

use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use axum::extract::{OriginalUri, Path, State};
use axum::http::{HeaderMap, Method, Response, StatusCode};
use captain_model::EventKind;

use super::file::{Asked, send};
use super::peer::Ends;
use super::script::{local, text};
use super::{absent, later, say};
use crate::appliance::Appliance;
use crate::files::Content;
use crate::tell::Denied;
use crate::tftp::{Asker, Found, machine_of, open_file};

/// `/tftp/{name}`.
pub(super) async fn by_name(
    State(appliance): State<Arc<Appliance>>,
    Path(name): Path<String>,
    ends: Ends,
    request: (Method, OriginalUri, HeaderMap),
) -> Response<Body> {
    answer(appliance, &name, ends, request)
}

/// `/pxelinux.cfg/{file}`: U-Boot asks without a prefix, too.
pub(super) async fn pxelinux(
    State(appliance): State<Arc<Appliance>>,
    Path(file): Path<String>,
    ends: Ends,
    request: (Method, OriginalUri, HeaderMap),
) -> Response<Body> {
    answer(appliance, &format!("pxelinux.cfg/{file}"), ends, request)
}

fn answer(
    appliance: Arc<Appliance>,
    name: &str,
    ends: Ends,
    (method, OriginalUri(uri), headers): (Method, OriginalUri, HeaderMap),
) -> Response<Body> {
    let (began, asker) =
        (Instant::now(), Asker { remote: ends.remote, local: local(ends), quiet: ends.is_own() });
    let mut asked = Asked::new(machine_of(&appliance, asker, name), method, &uri, headers);
    asked.quiet = asker.quiet;
    match open_file(&appliance, asker, name) {
        Ok(Found::Served(file)) => send(appliance, &file.as_ref().into(), asked),
        Ok(Found::Made(made)) => {
            if !asked.quiet {
                appliance.tell(asked.mac, asked.answered(StatusCode::OK, made.len() as u64, began, true));
            }
            text(made)
        }
        Ok(Found::Own(file)) => match Content::own(file, name) {
            Ok(content) => send(appliance, &content, asked),
            Err(error) => say(StatusCode::INTERNAL_SERVER_ERROR, format!("{name} cannot be read: {error}")),
        },
        Err(denied) => deny(&appliance, &asked, denied),
    }
}

fn deny(appliance: &Appliance, asked: &Asked, denied: Denied) -> Response<Body> {
    match denied {
        Denied::Refused(why) => say(StatusCode::FORBIDDEN, why),
        Denied::Absent(why) => absent(appliance, asked, &why),
        Denied::Awaited(why) => later(appliance, asked, why),
        Denied::Broken(why) => {
            if asked.method == Method::GET && !asked.quiet {
                let (step, detail) = ("failed".to_owned(), why.clone());
                appliance.tell(asked.mac, EventKind::Report { step, detail });
            }
            say(StatusCode::INTERNAL_SERVER_ERROR, why)
        }
    }
}
