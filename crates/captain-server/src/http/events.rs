//! The event stream, and events for what machines pull from the registry.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Instant;

use axum::extract::{Query, Request, State};
use axum::http::{HeaderMap, Method, header};
use axum::middleware::Next;
use axum::response::sse::{Event as Message, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use captain_model::{Event, Timestamp};
use futures_util::{Stream, StreamExt, future, stream};
use serde::Deserialize;
use tokio_stream::wrappers::BroadcastStream;

use super::file::Asked;
use super::peer::Ends;
use crate::appliance::Appliance;

/// `?since=MILLISECONDS`: only what happened after that moment; `?follow=false`: only what is remembered.
#[derive(Debug, Deserialize)]
pub(super) struct Since {
    #[serde(default)]
    since: Timestamp,
    #[serde(default = "yes")]
    follow: bool,
}

const fn yes() -> bool {
    true
}

/// `/api/v1/events`: what is remembered, then what happens, one event as JSON per message.
pub(super) async fn stream(
    State(appliance): State<Arc<Appliance>>,
    Query(since): Query<Since>,
) -> impl IntoResponse {
    let (past, future) = appliance.bus.follow(since.since);
    // A listener that was too slow has lost some: it goes on with what is left.
    let future = BroadcastStream::new(future).filter_map(|event| future::ready(event.ok()));
    let future = future.take(if since.follow { usize::MAX } else { 0 });
    let all = stream::iter(past).chain(future).map(|event| message(&event));
    let stop = appliance.stopping.clone().cancelled_owned();
    ([(header::CACHE_CONTROL, "no-store")], until(all, stop))
}

fn message(event: &Event) -> Result<Message, Infallible> {
    // Texts, numbers and maps of texts: always JSON, and JSON has no raw newline.
    Ok(Message::default().data(serde_json::to_string(event).unwrap_or_default()))
}

fn until<S>(messages: S, stop: impl Future<Output = ()> + Send + 'static) -> impl IntoResponse
where
    S: Stream<Item = Result<Message, Infallible>> + Send + 'static,
{
    Sse::new(messages.take_until(stop)).keep_alive(KeepAlive::default())
}

/// Publishes what a machine pulls from `/v2/`: the operator sees why an agent does not start.
pub(super) async fn note_pull(
    State(appliance): State<Arc<Appliance>>,
    ends: Ends,
    request: Request,
    next: Next,
) -> Response {
    let began = Instant::now();
    let (method, uri) = (request.method().clone(), request.uri().clone());
    let response = next.run(request).await;
    let mac = appliance.who(ends.remote).filter(|_| !ends.is_own());
    if let Some(mac) = mac.filter(|_| matches!(method, Method::GET | Method::HEAD)) {
        let asked = Asked::new(Some(mac), method, &uri, HeaderMap::new());
        let length = response
            .headers()
            .get(header::CONTENT_LENGTH)
            .and_then(|value| value.to_str().ok()?.parse().ok());
        let bytes = if asked.method == Method::HEAD { 0 } else { length.unwrap_or(0) };
        appliance.tell(mac, asked.answered(response.status(), bytes, began, true));
    }
    response
}
