//! Manifests and blobs. OCI distribution specification 1.1, "Pulling manifests" and "Pulling blobs".

use std::io::SeekFrom;
use std::path::Path;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio_util::io::ReaderStream;

use super::problem::Problem;
use super::range::{Span, span};
use crate::document::{Descriptor, Document};
use crate::name::is_tag;
use crate::{Digest, Reference, Store};

/// Bytes read from disk at a time.
const CHUNK: usize = 64 << 10;

/// The images that a request for `repository` means. Those from the very host in `namespace` shadow the others.
pub(super) fn images_of(
    store: &Store,
    repository: &str,
    namespace: Option<&str>,
) -> Result<Vec<(Reference, Descriptor)>, Problem> {
    let mut names = store.names()?;
    names.retain(|(reference, _)| reference.answers_to(repository, namespace));
    if let Some(host) = namespace
        && names.iter().any(|(reference, _)| reference.is_from(host))
    {
        names.retain(|(reference, _)| reference.is_from(host));
    }
    names.sort_by(|a, b| a.0.cmp(&b.0));
    if names.is_empty() { Err(Problem::NameUnknown(repository.to_owned())) } else { Ok(names) }
}

/// `/v2/<name>/manifests/<tag or digest>`. The document goes out as it came in: its digest is over those bytes.
pub(super) fn manifest(
    store: &Store,
    repository: &str,
    reference: &str,
    namespace: Option<&str>,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    let names = images_of(store, repository, namespace)?;
    let unknown = || Problem::ManifestUnknown(reference.to_owned());
    let digest = if reference.contains(':') {
        reference.parse().map_err(Problem::DigestInvalid)?
    } else if is_tag(reference) {
        names.into_iter().find(|(name, _)| name.tag() == reference).ok_or_else(unknown)?.1.digest
    } else {
        return Err(unknown());
    };
    let bytes = store.read_document(&digest)?.ok_or_else(unknown)?;
    let document = Document::parse(reference, &bytes).map_err(|_| unknown())?;
    let mut response = if is_fresh(headers, &digest) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        Body::from(bytes.clone()).into_response()
    };
    describe(response.headers_mut(), document.media_type(), &digest);
    if response.status() == StatusCode::OK {
        response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(bytes.len()));
    }
    Ok(response)
}

/// `/v2/<name>/blobs/<digest>`, straight from the file.
pub(super) async fn blob(
    store: &Store,
    repository: &str,
    digest: &str,
    namespace: Option<&str>,
    method: &Method,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    images_of(store, repository, namespace)?;
    let digest: Digest = digest.parse().map_err(Problem::DigestInvalid)?;
    let path = store.blob(&digest).ok_or_else(|| Problem::BlobUnknown(digest.to_string()))?;
    if is_fresh(headers, &digest) {
        let mut response = StatusCode::NOT_MODIFIED.into_response();
        describe(response.headers_mut(), "application/octet-stream", &digest);
        return Ok(response);
    }
    // A range is defined for GET alone (RFC 9110 section 14.2).
    let range = if *method == Method::GET { wanted_range(headers, &digest) } else { None };
    let mut response = send(&path, range, method).await?;
    describe(response.headers_mut(), "application/octet-stream", &digest);
    response.headers_mut().insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    Ok(response)
}

/// The `Range`, unless `If-Range` names other content (RFC 9110 section 13.1.5).
fn wanted_range<'a>(headers: &'a HeaderMap, digest: &Digest) -> Option<&'a str> {
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    match text(header::IF_RANGE) {
        Some(tag) if tag != etag(digest) => None,
        _ => text(header::RANGE),
    }
}

async fn send(path: &Path, range: Option<&str>, method: &Method) -> Result<Response, Problem> {
    let failed = |why: std::io::Error| Problem::Internal(format!("{}: {why}", path.display()));
    let mut file = File::open(path).await.map_err(failed)?;
    let size = file.metadata().await.map_err(failed)?.len();
    let (start, length) = match span(range, size) {
        Span::Nothing => return Err(Problem::Range(size)),
        Span::Whole => (None, size),
        Span::Part { start, length } => (Some(start), length),
    };
    file.seek(SeekFrom::Start(start.unwrap_or(0))).await.map_err(failed)?;
    // HEAD has GET's headers and no body: the length below must not be replaced by that of an empty one.
    let body = match *method {
        Method::HEAD => Body::empty(),
        _ => Body::from_stream(ReaderStream::with_capacity(file.take(length), CHUNK)),
    };
    let mut response = body.into_response();
    response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    if let Some(start) = start {
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
        let range = format!("bytes {start}-{}/{size}", start + length - 1);
        response.headers_mut().extend(range.parse().ok().map(|range| (header::CONTENT_RANGE, range)));
    }
    Ok(response)
}

fn describe(headers: &mut HeaderMap, media_type: &str, digest: &Digest) {
    let digest_header = header::HeaderName::from_static("docker-content-digest");
    let fields = [
        (header::CONTENT_TYPE, media_type.to_owned()),
        (digest_header, digest.to_string()),
        (header::ETAG, etag(digest)),
    ];
    for (name, value) in fields {
        headers.extend(value.parse().ok().map(|value| (name, value)));
    }
}

fn etag(digest: &Digest) -> String {
    format!("\"{digest}\"")
}

/// Whether the client says that it has this very content (RFC 9110 section 13.1.2).
fn is_fresh(headers: &HeaderMap, digest: &Digest) -> bool {
    let tags = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    tags.flat_map(|tags| tags.split(',')).any(|tag| tag.trim().trim_start_matches("W/") == etag(digest))
}
