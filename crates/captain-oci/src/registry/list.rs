//! Lists of tags and of repositories, page by page. OCI distribution specification 1.1, "Listing tags".

use std::collections::BTreeSet;

use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};

use super::problem::Problem;
use super::{Parameters, header_json};
use crate::Store;

/// `/v2/<name>/tags/list`.
pub(super) fn tags(store: &Store, repository: &str, parameters: &Parameters) -> Result<Response, Problem> {
    let names = super::content::images_of(store, repository, parameters.ns.as_deref())?;
    let tags: BTreeSet<_> = names.into_iter().map(|(reference, _)| reference.tag().to_owned()).collect();
    let page = Page::cut(tags, parameters);
    let body = serde_json::json!({ "name": repository, "tags": page.entries });
    Ok(page.into_response(&format!("/v2/{repository}/tags/list"), &body))
}

/// `/v2/_catalog`, which the specification leaves to each registry and every tool knows.
pub(super) fn catalog(store: &Store, parameters: &Parameters) -> Result<Response, Problem> {
    let names = store.names()?;
    let repositories: BTreeSet<_> =
        names.iter().map(|(reference, _)| reference.served().to_owned()).collect();
    let page = Page::cut(repositories, parameters);
    let body = serde_json::json!({ "repositories": page.entries });
    Ok(page.into_response("/v2/_catalog", &body))
}

struct Page {
    entries: Vec<String>,
    /// The size of the next page, if there is one.
    next: Option<usize>,
}

impl Page {
    fn cut(all: BTreeSet<String>, parameters: &Parameters) -> Self {
        let after = parameters.last.as_deref().unwrap_or("");
        let mut entries: Vec<_> = all.into_iter().filter(|entry| entry.as_str() > after).collect();
        let limit = parameters.n.unwrap_or(usize::MAX);
        // With n=0 there is no last entry to go on from, so no link (specification, "Listing tags").
        let next = (entries.len() > limit && limit > 0).then_some(limit);
        entries.truncate(limit);
        Self { entries, next }
    }

    fn into_response(self, path: &str, body: &serde_json::Value) -> Response {
        let mut response = (header_json(), body.to_string()).into_response();
        if let (Some(n), Some(last)) = (self.next, self.entries.last())
            && let Ok(link) = HeaderValue::from_str(&format!("<{path}?n={n}&last={last}>; rel=\"next\""))
        {
            response.headers_mut().insert(header::LINK, link);
        }
        response
    }
}
