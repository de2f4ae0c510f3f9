//! The registry's answers, by the sections of OCI distribution specification 1.1.
#![allow(missing_docs, clippy::unwrap_used)]

mod common;

use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use captain_oci::{Digest, Store, router};
use common::*;
use http_body_util::BodyExt;
use serde_json::Value;
use tower::ServiceExt;

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

async fn ask(store: &Arc<Store>, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = router(store.clone()).oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes().to_vec();
    Answer { status: parts.status, headers: parts.headers, body }
}

async fn get(store: &Arc<Store>, path: &str) -> Answer {
    ask(store, "GET", path, &[]).await
}

struct Served {
    store: Arc<Store>,
    digest: Digest,
    /// A blob of some length.
    layer: (Digest, Vec<u8>),
    _folder: tempfile::TempDir,
}

fn served() -> Served {
    let Bench { folder, store } = bench();
    let digest = store.assemble(&agent_spec(), &reference("registry.example/deep/tink-agent:1")).unwrap();
    store.tag(&digest, &reference("tink-agent:latest")).unwrap();
    store.tag(&digest, &reference("tink-agent:0.9")).unwrap();
    let path =
        std::fs::read_dir(folder.path().join("images/blobs/sha256")).unwrap().next().unwrap().unwrap().path();
    let bytes = std::fs::read(path).unwrap();
    Served { store: Arc::new(store), digest, layer: (Digest::of(&bytes), bytes), _folder: folder }
}

#[tokio::test]
async fn the_base_tells_docker_that_this_is_a_registry() {
    let served = served();
    for path in ["/v2/", "/v2"] {
        let answer = get(&served.store, path).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("docker-distribution-api-version"), "registry/2.0");
    }
}

#[tokio::test]
async fn a_manifest_is_the_same_by_tag_and_by_digest_and_for_head() {
    let served = served();
    let by_digest = format!("/v2/tink-agent/manifests/{}", served.digest);
    for path in ["/v2/tink-agent/manifests/latest", "/v2/deep/tink-agent/manifests/1", &by_digest] {
        let whole = get(&served.store, path).await;
        assert_eq!(whole.status, 200, "{path}");
        assert_eq!(Digest::of(&whole.body), served.digest);
        assert_eq!(whole.header("content-type"), INDEX);
        assert_eq!(whole.header("docker-content-digest"), served.digest.to_string());
        assert_eq!(whole.header("content-length"), whole.body.len().to_string());
        let head = ask(&served.store, "HEAD", path, &[]).await;
        assert_eq!((head.status, head.headers, head.body.len()), (whole.status, whole.headers, 0));
    }
}

#[tokio::test]
async fn an_image_is_found_under_its_host_and_as_a_mirror_of_it() {
    let served = served();
    for path in [
        "/v2/registry.example/deep/tink-agent/manifests/1",
        "/v2/deep/tink-agent/manifests/1?ns=registry.example",
        "/v2/library/tink-agent/manifests/latest?ns=docker.io",
        "/v2/tink-agent/manifests/latest?ns=192.0.2.1:7080",
    ] {
        assert_eq!(get(&served.store, path).await.status, 200, "{path}");
    }
}

#[tokio::test]
async fn of_two_images_of_one_repository_the_mirrored_host_decides() {
    let served = served();
    let mut spec = agent_spec();
    spec.cmd.push("x".to_owned());
    let other = served.store.assemble(&spec, &reference("other.example/deep/tink-agent:1")).unwrap();
    for (host, digest) in [("registry.example", served.digest), ("other.example", other)] {
        let answer = get(&served.store, &format!("/v2/deep/tink-agent/manifests/1?ns={host}")).await;
        assert_eq!(answer.header("docker-content-digest"), digest.to_string(), "{host}");
    }
}

#[tokio::test]
async fn a_blob_comes_whole_in_parts_and_not_at_all() {
    let served = served();
    let (digest, bytes) = &served.layer;
    let path = format!("/v2/tink-agent/blobs/{digest}");
    let whole = get(&served.store, &path).await;
    assert_eq!((whole.status.as_u16(), &whole.body), (200, bytes));
    assert_eq!(whole.header("etag"), format!("\"{digest}\""));
    assert_eq!(whole.header("accept-ranges"), "bytes");
    let head = ask(&served.store, "HEAD", &path, &[]).await;
    assert_eq!((head.status, head.headers, head.body.len()), (whole.status, whole.headers, 0));

    let part = ask(&served.store, "GET", &path, &[("range", "bytes=5-9")]).await;
    assert_eq!((part.status.as_u16(), part.body.as_slice()), (206, &bytes[5..10]));
    assert_eq!(part.header("content-range"), format!("bytes 5-9/{}", bytes.len()));
    assert_eq!(part.header("content-length"), "5");
    let beyond = ask(&served.store, "GET", &path, &[("range", "bytes=99999999-")]).await;
    assert_eq!(beyond.status, 416);
    assert_eq!(beyond.header("content-range"), format!("bytes */{}", bytes.len()));
    let changed = [("range", "bytes=5-9"), ("if-range", "\"sha256:other\"")];
    assert_eq!(ask(&served.store, "GET", &path, &changed).await.status, 200);
    let same = [("range", "bytes=5-9"), ("if-range", &format!("\"{digest}\""))];
    assert_eq!(ask(&served.store, "GET", &path, &same).await.status, 206);
    let known = [("if-none-match", &*format!("\"{digest}\""))];
    let fresh = ask(&served.store, "GET", &path, &known).await;
    assert_eq!((fresh.status.as_u16(), fresh.body.len()), (304, 0));
}

#[tokio::test]
async fn refusals_carry_the_codes_of_the_specification() {
    let served = served();
    let absent = Digest::of(b"absent");
    let blob = format!("/v2/tink-agent/blobs/{absent}");
    let manifest = format!("/v2/tink-agent/manifests/{absent}");
    let no_manifest = format!("/v2/tink-agent/manifests/{}", Digest::of(b""));
    for (method, path, status, code) in [
        ("GET", "/v2/none/manifests/1", 404, "NAME_UNKNOWN"),
        ("GET", "/v2/tink-agent/manifests/none", 404, "MANIFEST_UNKNOWN"),
        ("GET", &manifest, 404, "MANIFEST_UNKNOWN"),
        ("GET", &no_manifest, 404, "MANIFEST_UNKNOWN"),
        ("GET", &blob, 404, "BLOB_UNKNOWN"),
        ("GET", "/v2/tink-agent/blobs/sha256:12", 400, "DIGEST_INVALID"),
        ("GET", "/v2/tink-agent/manifests/sha256:12", 400, "DIGEST_INVALID"),
        ("GET", "/v2/UPPER/manifests/1", 400, "NAME_INVALID"),
        ("GET", "/v2/a/..%2f..%2fetc/manifests/1", 400, "NAME_INVALID"),
        ("GET", "/v2/none/tags/list", 404, "NAME_UNKNOWN"),
        ("GET", "/v2/tink-agent/tags/list?n=x", 400, "PAGINATION_NUMBER_INVALID"),
        ("GET", "/v2/tink-agent/what/1", 404, "NOT_FOUND"),
        ("POST", "/v2/tink-agent/blobs/uploads/", 405, "UNSUPPORTED"),
        ("PUT", "/v2/tink-agent/manifests/1", 405, "UNSUPPORTED"),
        ("PATCH", "/v2/tink-agent/blobs/uploads/1", 405, "UNSUPPORTED"),
        ("DELETE", &manifest, 405, "UNSUPPORTED"),
        ("POST", "/v2/", 405, "UNSUPPORTED"),
    ] {
        let answer = ask(&served.store, method, path, &[]).await;
        assert_eq!(answer.status.as_u16(), status, "{method} {path}");
        assert_eq!(answer.json()["errors"][0]["code"], code, "{method} {path}");
        assert_eq!(answer.header("content-type"), "application/json");
    }
}

#[tokio::test]
async fn lists_go_on_where_the_last_page_ended() {
    let served = served();
    let all = get(&served.store, "/v2/tink-agent/tags/list").await;
    assert_eq!(all.json()["tags"], serde_json::json!(["0.9", "latest"]));
    assert_eq!(all.header("link"), "");
    let first = get(&served.store, "/v2/tink-agent/tags/list?n=1").await;
    assert_eq!(first.json()["tags"], serde_json::json!(["0.9"]));
    assert_eq!(first.header("link"), "</v2/tink-agent/tags/list?n=1&last=0.9>; rel=\"next\"");
    let second = get(&served.store, "/v2/tink-agent/tags/list?n=1&last=0.9").await;
    assert_eq!(second.json()["tags"], serde_json::json!(["latest"]));
    assert_eq!(second.header("link"), "");
    let none = get(&served.store, "/v2/tink-agent/tags/list?n=0").await;
    assert_eq!(none.json()["tags"], serde_json::json!([]));
    let catalog = get(&served.store, "/v2/_catalog?n=5").await;
    assert_eq!(catalog.json()["repositories"], serde_json::json!(["deep/tink-agent", "tink-agent"]));
}
