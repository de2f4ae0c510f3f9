//! The daemon's HTTP interface, as far as the lab asks it.

use std::net::SocketAddrV4;
use std::time::Duration;

use bytes::Bytes;
use captain_model::{Event, Timestamp};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::error::LabError;
use crate::network::DAEMON;
use crate::sse::Messages;

/// Port of the daemon's HTTP server in the lab.
const PORT: u16 = 7080;
const EVENTS: &str = "/api/v1/events";

/// Whether the daemon says that it is ready.
pub(crate) async fn is_ready() -> bool {
    let answer = tokio::time::timeout(Duration::from_secs(2), get("/readyz")).await;
    matches!(answer, Ok(Ok(response)) if response.status().is_success())
}

/// Follows the daemon's events. Returns when the stream stands; where it breaks, it is taken up again after
/// the last event that was seen.
///
/// # Errors
/// The daemon does not serve it.
pub(crate) async fn follow_events() -> Result<(mpsc::Receiver<Event>, JoinHandle<()>), LabError> {
    let mut response = open_events(Timestamp::default()).await?;
    let (send, receive) = mpsc::channel(1024);
    let follow = async move {
        let mut seen = Timestamp::default();
        loop {
            // An error ends the stream as its end does.
            let _ = hand_on(response, &send, &mut seen).await;
            response = loop {
                match open_events(seen).await {
                    Ok(response) => break response,
                    Err(_) if send.is_closed() => return,
                    Err(_) => tokio::time::sleep(Duration::from_millis(200)).await,
                }
            };
        }
    };
    Ok((receive, tokio::spawn(follow)))
}

async fn open_events(since: Timestamp) -> Result<Response<Incoming>, LabError> {
    let failed = |why: String| LabError::Api { path: EVENTS.to_owned(), why };
    let path = format!("{EVENTS}?since={}", since.as_millis());
    let response = get(&path).await.map_err(|e| failed(e.to_string()))?;
    match response.status().is_success() {
        true => Ok(response),
        false => Err(failed(format!("answered {}", response.status()))),
    }
}

/// Until the stream ends or nobody listens any more; `seen` is the time of the last event.
async fn hand_on(
    response: Response<Incoming>,
    to: &mpsc::Sender<Event>,
    seen: &mut Timestamp,
) -> Result<(), hyper::Error> {
    let mut body = response.into_body();
    let mut messages = Messages::default();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else { continue };
        for message in messages.push(&data) {
            match serde_json::from_str::<Event>(&message) {
                Ok(event) => {
                    *seen = event.at;
                    if to.send(event).await.is_err() {
                        return Ok(());
                    }
                }
                Err(why) => tracing::warn!(%why, message, "an event of the daemon is not understood"),
            }
        }
    }
    Ok(())
}

/// The content of an answer, as it comes.
pub(crate) struct Body {
    path: String,
    incoming: Incoming,
}

impl Body {
    /// What came next; nothing at its end.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, LabError> {
        loop {
            match self.incoming.frame().await {
                None => return Ok(None),
                Some(Err(why)) => {
                    return Err(LabError::Api { path: self.path.clone(), why: why.to_string() });
                }
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => return Ok(Some(data)),
                    Err(_trailers) => {}
                },
            }
        }
    }
}

/// Asks for a file.
///
/// # Errors
/// The daemon does not serve it; what it says instead.
pub(crate) async fn body(path: &str) -> Result<Body, LabError> {
    let failed = |why: String| LabError::Api { path: path.to_owned(), why };
    let response = get(path).await.map_err(|error| failed(error.to_string()))?;
    let status = response.status();
    let mut body = Body { path: path.to_owned(), incoming: response.into_body() };
    if status.is_success() {
        return Ok(body);
    }
    let said = body.next().await?.unwrap_or_default();
    Err(failed(format!("answered {status}: {}", String::from_utf8_lossy(&said).trim())))
}

async fn get(path: &str) -> Result<Response<Incoming>, Box<dyn std::error::Error + Send + Sync>> {
    let address = SocketAddrV4::new(DAEMON, PORT);
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let request = Request::get(path).header("host", address.to_string()).body(Empty::<Bytes>::new())?;
    Ok(sender.send_request(request).await?)
}
