//! The registry's routes. OCI distribution specification 1.1, "Endpoints", those that pull.

mod content;
mod list;
mod problem;
mod range;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, Method, header};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use serde::Deserialize;

use crate::Store;
use crate::name::is_repository;
use problem::Problem;

/// A read-only registry over `store`, to be merged into the daemon's routes: everything under `/v2/`.
///
/// The image of a name is found by its repository alone (`tink-agent`, `library/tink-agent`), with the host it came
/// from in front, or by the host in `ns=`, which containerd adds when it uses a registry as a mirror.
pub fn router(store: Arc<Store>) -> Router {
    Router::new()
        .route("/v2", any(base))
        .route("/v2/", any(base))
        .route("/v2/{*path}", any(dispatch))
        .with_state(store)
}

/// What follows `?` in the requests that we know.
#[derive(Debug, Default, Deserialize)]
struct Parameters {
    /// The registry that we stand in for.
    ns: Option<String>,
    /// Most entries of a list.
    n: Option<usize>,
    /// The entry after which to go on.
    last: Option<String>,
}

/// A request path, split. Repository names hold slashes, so it is read from its end.
#[derive(Debug, PartialEq, Eq)]
enum Target<'a> {
    Manifest { repository: &'a str, reference: &'a str },
    Blob { repository: &'a str, digest: &'a str },
    Upload,
    Tags { repository: &'a str },
    Catalog,
}

impl<'a> Target<'a> {
    fn parse(path: &'a str) -> Option<Self> {
        if path == "_catalog" {
            return Some(Self::Catalog);
        }
        if path.contains("/blobs/uploads") {
            return Some(Self::Upload);
        }
        if let Some(repository) = path.strip_suffix("/tags/list") {
            return Some(Self::Tags { repository });
        }
        let (rest, last) = path.rsplit_once('/')?;
        match rest.rsplit_once('/')? {
            (repository, "manifests") => Some(Self::Manifest { repository, reference: last }),
            (repository, "blobs") => Some(Self::Blob { repository, digest: last }),
            _ => None,
        }
    }

    fn repository(&self) -> Option<&'a str> {
        match self {
            Self::Manifest { repository, .. } | Self::Blob { repository, .. } | Self::Tags { repository } => {
                Some(repository)
            }
            Self::Upload | Self::Catalog => None,
        }
    }
}

async fn base(method: Method) -> Response {
    match readable(&method) {
        Ok(()) => finish((header_json(), "{}").into_response()),
        Err(problem) => finish(problem.into_response()),
    }
}

async fn dispatch(
    State(store): State<Arc<Store>>,
    Path(path): Path<String>,
    query: Result<Query<Parameters>, axum::extract::rejection::QueryRejection>,
    method: Method,
    headers: HeaderMap,
) -> Response {
    let parameters = query.map(|Query(parameters)| parameters).map_err(|_| Problem::BadParameter);
    let answer = match parameters {
        Ok(parameters) => answer(store, &path, parameters, &method, &headers).await,
        Err(problem) => Err(problem),
    };
    finish(answer.unwrap_or_else(IntoResponse::into_response))
}

async fn answer(
    store: Arc<Store>,
    path: &str,
    parameters: Parameters,
    method: &Method,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    readable(method)?;
    let target = Target::parse(path).ok_or(Problem::NotFound)?;
    if let Some(repository) = target.repository()
        && !is_repository(repository)
    {
        return Err(Problem::NameInvalid(repository.to_owned()));
    }
    match target {
        Target::Manifest { repository, reference } => {
            content::manifest(&store, repository, reference, parameters.ns.as_deref(), headers)
        }
        Target::Blob { repository, digest } => {
            content::blob(&store, repository, digest, parameters.ns.as_deref(), method, headers).await
        }
        Target::Upload => Err(Problem::Unsupported),
        Target::Tags { repository } => list::tags(&store, repository, &parameters),
        Target::Catalog => list::catalog(&store, &parameters),
    }
}

/// Every other method would change something.
fn readable(method: &Method) -> Result<(), Problem> {
    if matches!(*method, Method::GET | Method::HEAD) { Ok(()) } else { Err(Problem::Unsupported) }
}

fn header_json() -> [(header::HeaderName, &'static str); 1] {
    [(header::CONTENT_TYPE, "application/json")]
}

/// Docker takes a server for a registry by this header.
fn finish(mut response: Response) -> Response {
    let name = header::HeaderName::from_static("docker-distribution-api-version");
    response.headers_mut().insert(name, header::HeaderValue::from_static("registry/2.0"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_slashes_and_with_our_own_words_in_them_are_split_at_the_right_place() {
        let manifest = |repository, reference| Some(Target::Manifest { repository, reference });
        assert_eq!(Target::parse("a/manifests/1"), manifest("a", "1"));
        assert_eq!(Target::parse("a/b/c/manifests/1"), manifest("a/b/c", "1"));
        assert_eq!(Target::parse("a/manifests/b/manifests/1"), manifest("a/manifests/b", "1"));
        assert_eq!(Target::parse("a/b/tags/list"), Some(Target::Tags { repository: "a/b" }));
        assert_eq!(Target::parse("_catalog"), Some(Target::Catalog));
        assert_eq!(Target::parse("a/blobs/uploads/"), Some(Target::Upload));
        assert_eq!(Target::parse("a/nothing/1"), None);
        assert_eq!(Target::parse("manifests/1"), None);
    }
}
