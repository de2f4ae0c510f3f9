//! Refusals. OCI distribution specification 1.1, "Error codes".

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::header_json;
use crate::Error;

/// Why a request gets no content.
#[derive(Debug)]
pub(super) enum Problem {
    /// No route of a registry.
    NotFound,
    /// Query parameters that cannot be read.
    BadParameter,
    /// Not a repository name.
    NameInvalid(String),
    /// No image of that repository.
    NameUnknown(String),
    /// Not a digest.
    DigestInvalid(String),
    /// No such tag, or no document of that digest.
    ManifestUnknown(String),
    /// No content of that digest.
    BlobUnknown(String),
    /// The method would change something.
    Unsupported,
    /// Nothing of the content lies in the range; its size.
    Range(u64),
    /// Our own fault.
    Internal(String),
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        Self::Internal(error.to_string())
    }
}

impl Problem {
    fn parts(&self) -> (StatusCode, &'static str, String) {
        let missing = StatusCode::NOT_FOUND;
        match self {
            Self::NotFound => (missing, "NOT_FOUND", "this is no path of a registry".to_owned()),
            Self::BadParameter => {
                (StatusCode::BAD_REQUEST, "PAGINATION_NUMBER_INVALID", "n must be a number".to_owned())
            }
            Self::NameInvalid(name) => {
                (StatusCode::BAD_REQUEST, "NAME_INVALID", format!("`{name}` is not a repository name"))
            }
            Self::NameUnknown(name) => (
                missing,
                "NAME_UNKNOWN",
                format!("no image `{name}` here: import it into the image store first"),
            ),
            Self::DigestInvalid(why) => (StatusCode::BAD_REQUEST, "DIGEST_INVALID", why.clone()),
            Self::ManifestUnknown(reference) => {
                (missing, "MANIFEST_UNKNOWN", format!("no manifest `{reference}` here"))
            }
            Self::BlobUnknown(digest) => (missing, "BLOB_UNKNOWN", format!("no blob {digest} here")),
            Self::Unsupported => {
                (StatusCode::METHOD_NOT_ALLOWED, "UNSUPPORTED", "this registry is read-only".to_owned())
            }
            Self::Range(size) => {
                (StatusCode::RANGE_NOT_SATISFIABLE, "RANGE_INVALID", format!("it has {size} bytes"))
            }
            Self::Internal(why) => (StatusCode::INTERNAL_SERVER_ERROR, "UNKNOWN", why.clone()),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (status, code, message) = self.parts();
        let body = serde_json::json!({ "errors": [{ "code": code, "message": message, "detail": null }] });
        let mut response = (status, header_json(), body.to_string()).into_response();
        let extra = match self {
            Self::Unsupported => Some((header::ALLOW, "GET, HEAD".to_owned())),
            Self::Range(size) => Some((header::CONTENT_RANGE, format!("bytes */{size}"))),
            // What is missing now may be imported the next minute.
            _ => Some((header::CACHE_CONTROL, "no-store".to_owned())),
        };
        if let Some((name, value)) = extra.and_then(|(name, value)| Some((name, value.parse().ok()?))) {
            response.headers_mut().insert(name, value);
        }
        response
    }
}
