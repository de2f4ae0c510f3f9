//! Answering with a file: the same headers for HEAD and GET, always a length, never chunked.

use std::fmt::Write;
use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Uri, header};
use bytes::Bytes;
use captain_model::{EventKind, Mac};

use super::body::FileBody;
use super::path::readable;
use super::range::{Part, Selection, select};
use crate::appliance::Appliance;
use crate::files::{Content, Piece};
use crate::once::{self, Kept, TAIL};

/// What is known about a request for something that boots.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// The machine that asks, where it is one and known.
    pub(crate) mac: Option<Mac>,
    /// GET or HEAD.
    pub(crate) method: Method,
    /// As asked, escapes read.
    pub(crate) path: String,
    /// Its conditions and range.
    pub(crate) headers: HeaderMap,
    /// No event is to tell of it.
    pub(crate) quiet: bool,
}

impl Asked {
    /// A request of `mac`.
    pub(crate) fn new(mac: Option<Mac>, method: Method, uri: &Uri, headers: HeaderMap) -> Self {
        Self { mac, method, path: readable(uri.path()), headers, quiet: false }
    }

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

/// Answers with `content`, or the parts of it that were asked for; publishes the event when the last byte is out.
pub(crate) fn send(appliance: Arc<Appliance>, content: &Content, mut asked: Asked) -> Response<Body> {
    // Ranges are GET's alone (RFC 9110 section 14.2): firmware that asks by HEAD wants the whole length.
    if asked.method == Method::HEAD {
        asked.headers.remove(header::RANGE);
    }
    let answer = Answer::to(&asked.headers, content);
    let mut response = Response::new(Body::empty());
    *response.status_mut() = answer.status;
    let headers = response.headers_mut();
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    insert(headers, header::ETAG, &content.etag);
    if let Some(range) = &answer.range {
        insert(headers, header::CONTENT_RANGE, range);
    }
    // 304 has no body and, as a fact of its own, the length of the file (RFC 9110 section 8.6).
    if answer.status != StatusCode::NOT_MODIFIED {
        insert(headers, header::CONTENT_LENGTH, &answer.length().to_string());
        insert(headers, header::CONTENT_TYPE, &answer.media_type);
    }
    if let Some(body) = body(appliance, content, asked, answer) {
        response.extensions_mut().insert(body.slot());
        *response.body_mut() = Body::new(body);
    }
    response
}

/// What is answered.
struct Answer {
    status: StatusCode,
    range: Option<String>,
    media_type: String,
    pieces: Vec<Piece>,
    /// Whether the file's last byte is among them.
    to_the_end: bool,
}

impl Answer {
    fn to(headers: &HeaderMap, content: &Content) -> Self {
        let size = content.size;
        let bare = |status| Self {
            status,
            range: None,
            media_type: content.media_type.to_owned(),
            pieces: Vec::new(),
            to_the_end: false,
        };
        match select(headers, &content.etag, size) {
            Selection::Whole => {
                Self { pieces: content.pieces(&(0..size)), to_the_end: true, ..bare(StatusCode::OK) }
            }
            Selection::Parts(parts) => {
                let to_the_end = parts.iter().any(|part| part.end == size);
                Self { to_the_end, ..Self::parts(content, &parts) }
            }
            Selection::Unsatisfiable => {
                Self { range: Some(format!("bytes */{size}")), ..bare(StatusCode::RANGE_NOT_SATISFIABLE) }
            }
            Selection::NotModified => bare(StatusCode::NOT_MODIFIED),
            Selection::Changed => bare(StatusCode::PRECONDITION_FAILED),
        }
    }

    /// One part as it is, several as `multipart/byteranges` (RFC 9110 section 14.6).
    fn parts(content: &Content, parts: &[Part]) -> Self {
        let range = |part: &Part| format!("bytes {}-{}/{}", part.start, part.end - 1, content.size);
        let (status, to_the_end) = (StatusCode::PARTIAL_CONTENT, false);
        if let [part] = parts {
            let (range, media_type) = (Some(range(part)), content.media_type.to_owned());
            return Self { status, range, media_type, pieces: content.pieces(part), to_the_end };
        }
        // No file holds its own hash; and the parts say how long they are.
        let boundary: String = content.etag.chars().filter(char::is_ascii_hexdigit).take(32).collect();
        let mut pieces = Vec::new();
        for (number, part) in parts.iter().enumerate() {
            let mut head = String::from(if number == 0 { "" } else { "\r\n" });
            // Writing to a String cannot fail.
            let _ = write!(head, "--{boundary}\r\nContent-Type: {}\r\n", content.media_type);
            let _ = write!(head, "Content-Range: {}\r\n\r\n", range(part));
            pieces.push(Piece::Bytes(head.into()));
            pieces.extend(content.pieces(part));
        }
        pieces.push(Piece::Bytes(Bytes::from(format!("\r\n--{boundary}--\r\n"))));
        let media_type = format!("multipart/byteranges; boundary={boundary}");
        Self { status, range: None, media_type, pieces, to_the_end }
    }

    /// The file's end as a piece of its own, or else all as one; how many pieces that is.
    fn set_tail_apart(&mut self) -> usize {
        match self.pieces.last_mut() {
            Some(Piece::File(range)) if range.end - range.start > TAIL => {
                let end = range.end;
                range.end -= TAIL;
                self.pieces.push(Piece::File(end - TAIL..end));
                1
            }
            _ => self.pieces.len(),
        }
    }

    fn length(&self) -> u64 {
        self.pieces.iter().map(Piece::length).sum()
    }
}

fn body(appliance: Arc<Appliance>, content: &Content, asked: Asked, mut answer: Answer) -> Option<FileBody> {
    let (began, length, status) = (Instant::now(), answer.length(), answer.status);
    if asked.method == Method::HEAD || length == 0 {
        if !asked.quiet {
            appliance.tell(asked.mac, asked.answered(status, 0, began, status == StatusCode::OK));
        }
        return None;
    }
    let (kept, to_the_end) = (Kept::default(), answer.to_the_end);
    let mac = asked.mac.filter(|_| to_the_end && !asked.quiet);
    let held = once::hold(&appliance, mac, &asked.path, &kept).map(|held| (answer.set_tail_apart(), held));
    let finished = move |bytes| {
        if !asked.quiet {
            let complete = to_the_end && bytes == length;
            appliance.tell(asked.mac, asked.answered(status, bytes, began, complete));
        }
        drop(kept);
    };
    let body = FileBody::new(content.source.clone(), answer.pieces, Box::new(finished));
    Some(match held {
        Some((pieces, held)) => body.holding(pieces, held),
        None => body,
    })
}

fn insert(headers: &mut HeaderMap, name: header::HeaderName, value: &str) {
    // Numbers, hex and media types only: always a valid header value.
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}
