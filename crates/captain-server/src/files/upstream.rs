//! A file on another HTTP server, read by ranges.

use std::error::Error;
use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt, TryStreamExt};
use reqwest::{Client, Response, StatusCode, header};
use thiserror::Error;

/// Longest wait for a connection, and for more bytes; tests have less of it.
const PATIENCE: Duration = Duration::from_secs(if cfg!(test) { 1 } else { 20 });
/// A management controller reads an ISO in thousands of requests: between them the other server is not asked again
/// whether its file is still the same.
const FRESH: Duration = Duration::from_millis(if cfg!(test) { 50 } else { 2000 });

/// Why another server does not give its file.
#[derive(Clone, Debug, Error)]
pub(crate) enum UpstreamError {
    /// It takes the request and says nothing, or nothing more.
    #[error("it was silent for {} seconds", PATIENCE.as_secs())]
    Silent,
    /// It cannot be reached, does not have it, or answers what cannot be used; in words.
    #[error("{0}")]
    Failed(String),
}

impl UpstreamError {
    fn failed(why: impl Into<String>) -> Self {
        Self::Failed(why.into())
    }
}

impl From<reqwest::Error> for UpstreamError {
    fn from(error: reqwest::Error) -> Self {
        if error.is_timeout() { Self::Silent } else { Self::Failed(deepest(&error)) }
    }
}

/// What [`Upstream::read`] broke off with.
impl From<io::Error> for UpstreamError {
    fn from(error: io::Error) -> Self {
        match error.downcast::<Self>() {
            Ok(error) => error,
            Err(error) => Self::Failed(error.to_string()),
        }
    }
}

/// One version of the file.
#[derive(Debug)]
pub(crate) struct Upstream {
    client: Client,
    url: String,
    version: Version,
    /// When it was last seen to be this version.
    seen: Mutex<Instant>,
}

/// What tells versions of a file apart.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Version {
    size: u64,
    etag: Option<String>,
    modified: Option<String>,
}

impl Upstream {
    /// The file as it is there now.
    ///
    /// # Errors
    /// The server cannot be reached, is silent, does not have it, or does not answer Range requests.
    pub(crate) async fn find(url: &str) -> Result<Arc<Self>, UpstreamError> {
        let client = Client::builder().connect_timeout(PATIENCE).read_timeout(PATIENCE).build()?;
        let (version, _) = ask(&client, url, 0..1).await?;
        Ok(Arc::new(Self { client, url: url.to_owned(), version, seen: Mutex::new(Instant::now()) }))
    }

    /// Bytes.
    pub(crate) fn size(&self) -> u64 {
        self.version.size
    }

    /// Whether it was seen to be this version a moment ago.
    pub(crate) fn is_fresh(&self) -> bool {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).elapsed() < FRESH
    }

    /// Whether the server tells versions apart; else only their sizes do.
    pub(crate) const fn has_versions(&self) -> bool {
        self.version.etag.is_some() || self.version.modified.is_some()
    }

    /// Whether the server still has this version.
    ///
    /// # Errors
    /// As [`Upstream::find`].
    pub(crate) async fn is_current(&self) -> Result<bool, UpstreamError> {
        let (version, _) = ask(&self.client, &self.url, 0..1).await?;
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        Ok(version == self.version)
    }

    /// The bytes in `range`, as they come. A server that has another version by now is an error: half of one and
    /// half of the other is no ISO.
    pub(crate) fn read(self: &Arc<Self>, range: Range<u64>) -> BoxStream<'static, io::Result<Bytes>> {
        let this = self.clone();
        let response = async move {
            let (version, response) = ask(&this.client, &this.url, range).await.map_err(io::Error::other)?;
            if version != this.version {
                return Err(io::Error::other(format!("{} changed while it was read", this.url)));
            }
            Ok(response.bytes_stream().map_err(|error| io::Error::other(UpstreamError::from(error))))
        };
        stream::once(response).try_flatten().boxed()
    }
}

/// Asks for `range`; the answer is checked to be exactly that.
async fn ask(client: &Client, url: &str, range: Range<u64>) -> Result<(Version, Response), UpstreamError> {
    let wanted = format!("bytes={}-{}", range.start, range.end - 1);
    let request = client.get(url).header(header::RANGE, wanted).header(header::ACCEPT_ENCODING, "identity");
    let response = request.send().await?;
    match response.status() {
        StatusCode::PARTIAL_CONTENT => {}
        StatusCode::OK => {
            let way_out = "it does not answer Range requests: download the ISO and name its path";
            return Err(UpstreamError::failed(way_out));
        }
        other => return Err(UpstreamError::Failed(format!("it answered {other}"))),
    }
    let text = |name| response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let given = text(header::CONTENT_RANGE).unwrap_or_default();
    let start = format!("bytes {}-{}/", range.start, range.end - 1);
    let size = given.strip_prefix(&start).and_then(|size| size.parse().ok());
    let size = size.ok_or_else(|| {
        let asked = start.trim_end_matches('/');
        UpstreamError::Failed(format!("it was asked for {asked}, and answered `{given}`"))
    })?;
    if response.content_length() != Some(range.end - range.start) {
        return Err(UpstreamError::failed("it does not say how long its answer is"));
    }
    let version = Version { size, etag: text(header::ETAG), modified: text(header::LAST_MODIFIED) };
    Ok((version, response))
}

/// The reason behind reqwest's sentence, which only names the URL.
fn deepest(error: &dyn Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}
