//! Answering with a file: the same headers for HEAD and GET, always a length, never chunked.

use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};
use captain_model::{EventKind, Mac};

use super::body::FileBody;
use super::range::{Selection, select};
use crate::appliance::Appliance;
use crate::files::ServedFile;
use crate::files::blocks::Blocks;

/// What is known about a request for something that boots.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// The machine that asks, where it is one and known.
    pub(crate) mac: Option<Mac>,
    /// GET or HEAD.
    pub(crate) method: Method,
    /// As asked.
    pub(crate) path: String,
    /// Its conditions and range.
    pub(crate) headers: HeaderMap,
}

impl Asked {
    /// The event that tells how this was answered.
    pub(crate) fn answered(
        &self,
        status: StatusCode,
        bytes: u64,
        began: Instant,
        complete: bool,
    ) -> EventKind {
        EventKind::Http {
            method: self.method.to_string(),
            path: self.path.clone(),
            status: status.as_u16(),
            bytes,
            millis: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
            complete: complete && self.method == Method::GET,
        }
    }
}

/// Answers with `file`, or the part of it that was asked for; publishes the event when the last byte is out.
pub(crate) fn send(appliance: Arc<Appliance>, file: &ServedFile, mut asked: Asked) -> Response<Body> {
    // Ranges are GET's alone (RFC 9110 section 14.2): firmware that asks by HEAD wants the whole length.
    if asked.method == Method::HEAD {
        asked.headers.remove(header::RANGE);
    }
    let size = file.artifact.size;
    let etag = file.etag();
    let selection = select(&asked.headers, &etag, size);
    let (status, start, end) = match selection {
        Selection::Whole => (StatusCode::OK, 0, size),
        Selection::Part(start, end) => (StatusCode::PARTIAL_CONTENT, start, end),
        Selection::Unsatisfiable => (StatusCode::RANGE_NOT_SATISFIABLE, 0, 0),
        Selection::NotModified => (StatusCode::NOT_MODIFIED, 0, 0),
        Selection::Changed => (StatusCode::PRECONDITION_FAILED, 0, 0),
    };
    let range = match selection {
        Selection::Part(start, end) => Some(format!("bytes {start}-{}/{size}", end - 1)),
        Selection::Unsatisfiable => Some(format!("bytes */{size}")),
        Selection::Whole | Selection::NotModified | Selection::Changed => None,
    };
    let mut response = Response::new(body(appliance, file, asked, status, (start, end)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    insert(headers, header::ETAG, &etag);
    if let Some(range) = range {
        insert(headers, header::CONTENT_RANGE, &range);
    }
    // 304 has no body and, as a fact of its own, the length of the file (RFC 9110 section 8.6).
    if status != StatusCode::NOT_MODIFIED {
        insert(headers, header::CONTENT_LENGTH, &(end - start).to_string());
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(file.media_type()));
    }
    response
}

fn body(
    appliance: Arc<Appliance>,
    file: &ServedFile,
    asked: Asked,
    status: StatusCode,
    part: (u64, u64),
) -> Body {
    let began = Instant::now();
    let (start, end) = part;
    if asked.method == Method::HEAD || start == end {
        let complete = status == StatusCode::OK;
        appliance.tell(asked.mac, asked.answered(status, 0, began, complete));
        return Body::empty();
    }
    let to_the_end = end == file.artifact.size;
    let finished = move |bytes| {
        let complete = to_the_end && bytes == end - start;
        appliance.tell(asked.mac, asked.answered(status, bytes, began, complete));
    };
    Body::new(FileBody::new(Blocks::new(file.file.clone(), start, end), Box::new(finished)))
}

fn insert(headers: &mut HeaderMap, name: header::HeaderName, value: &str) {
    // Numbers and hex only: always a valid header value.
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}
