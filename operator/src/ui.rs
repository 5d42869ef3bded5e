//! The Pool Health page at `/ui/`: its files, as they are served. They are part of the binary; what they show comes from
//! the REST API, which browsers ask with the credential of whoever looks. So the files themselves are open to all.

use std::{collections::HashMap, sync::LazyLock};

use aws_lc_rs::digest::{SHA256, digest};
use axum::{Router, routing::any};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use http_body_util::Full;
use hyper::{
    HeaderMap, Method, Response, StatusCode, Uri,
    body::Bytes,
    header::{self, HeaderName, HeaderValue},
};

/// What the page may do: load its own files and ask its own server. Nothing of it is inline, and no markup is ever made
/// from text.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; \
                      trusted-types 'none'";

/// Headers of every answer.
const HEADERS: [(HeaderName, &str); 6] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

macro_rules! files {
    ($($path:literal),* $(,)?) => { [$(($path, include_bytes!(concat!("ui/", $path)).as_slice())),*] };
}

/// Every file below `/ui/`.
const FILES: [(&str, &[u8]); 39] = files![
    "api.js",
    "app.js",
    "credential.js",
    "feed.js",
    "icon.svg",
    "index.html",
    "overview/attention.js",
    "overview/filters.js",
    "overview/page.js",
    "overview/totals.js",
    "parts/badge.js",
    "parts/dialog.js",
    "parts/dom.js",
    "parts/format.js",
    "parts/notice.js",
    "parts/rack.js",
    "parts/signin.js",
    "parts/table.js",
    "parts/tile.js",
    "pool/advice.js",
    "pool/charts.js",
    "pool/conditions.js",
    "pool/figures.js",
    "pool/head.js",
    "pool/history.js",
    "pool/operations.js",
    "pool/page.js",
    "pool/parameters.js",
    "pool/permission.js",
    "pool/plot.js",
    "pool/remedies.js",
    "pool/replicas.js",
    "pool/sessions.js",
    "pool/settings.js",
    "router.js",
    "style/layout.css",
    "style/parts.css",
    "style/pool.css",
    "style/theme.css",
];

/// A file with what is sent along.
struct Asset {
    content: &'static [u8],
    kind: &'static str,
    tag: String,
}

static ASSETS: LazyLock<HashMap<&str, Asset>> = LazyLock::new(|| {
    let asset = |(path, content)| {
        let hash = BASE64_URL_SAFE_NO_PAD.encode(digest(&SHA256, content));
        (path, Asset { content, kind: kind(path), tag: format!("\"{hash}\"") })
    };
    FILES.into_iter().map(asset).collect()
});

fn kind(path: &str) -> &'static str {
    match path.rsplit_once('.') {
        Some((_, "html")) => "text/html; charset=utf-8",
        Some((_, "css")) => "text/css; charset=utf-8",
        Some((_, "js")) => "text/javascript; charset=utf-8",
        Some((_, "svg")) => "image/svg+xml",
        _ => "application/octet-stream",
    }
}

/// The page and its files, to be served beside REST.
pub fn router() -> Router {
    let page = async |method: Method, uri: Uri, headers: HeaderMap| {
        answer(&method, uri.path().strip_prefix("/ui").unwrap_or_default(), &headers)
    };
    Router::new().route("/ui", any(page)).route("/ui/", any(page)).route("/ui/{*path}", any(page))
}

/// Answers a request for `/ui` or what is below it; `path` is what follows `/ui`.
fn answer(method: &Method, path: &str, headers: &HeaderMap) -> Response<Full<Bytes>> {
    if !matches!(*method, Method::GET | Method::HEAD) {
        let mut response = respond(StatusCode::METHOD_NOT_ALLOWED, "only GET is answered here\n".into());
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    // The page's addresses are relative to its folder, so that it works behind any prefix.
    let Some(path) = path.strip_prefix('/') else {
        let mut response = respond(StatusCode::PERMANENT_REDIRECT, Bytes::new());
        response.headers_mut().insert(header::LOCATION, HeaderValue::from_static("ui/"));
        return response;
    };
    let path = if path.is_empty() { "index.html" } else { path };
    let Some(asset) = ASSETS.get(path) else {
        return respond(StatusCode::NOT_FOUND, "the page is at /ui/\n".into());
    };
    let mut response = if is_known(headers, &asset.tag) {
        respond(StatusCode::NOT_MODIFIED, Bytes::new())
    } else if *method == Method::HEAD {
        let mut response = respond(StatusCode::OK, Bytes::new());
        response.headers_mut().insert(header::CONTENT_LENGTH, asset.content.len().into());
        response
    } else {
        respond(StatusCode::OK, Bytes::from_static(asset.content))
    };
    let sent = response.headers_mut();
    sent.insert(header::CONTENT_TYPE, HeaderValue::from_static(asset.kind));
    if let Ok(tag) = HeaderValue::from_str(&asset.tag) {
        sent.insert(header::ETAG, tag);
    }
    response
}

/// Whether the browser has the file already.
fn is_known(headers: &HeaderMap, tag: &str) -> bool {
    let known = headers.get_all(header::IF_NONE_MATCH).into_iter().filter_map(|value| value.to_str().ok());
    known.flat_map(|list| list.split(',')).map(str::trim).any(|known| {
        // Whoever compresses on the way makes it a weak one.
        known == "*" || known.strip_prefix("W/").unwrap_or(known) == tag
    })
}

fn respond(status: StatusCode, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    let sent = response.headers_mut();
    for (name, value) in HEADERS {
        sent.insert(name, HeaderValue::from_static(value));
    }
    sent.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    // Kept, and asked for anew each time: after an update of the operator old and new files never mix.
    sent.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, path::Path};

    use http_body_util::BodyExt as _;

    use super::*;

    /// Most bytes of all files together.
    const LIMIT: usize = 200_000;

    fn get(path: &str) -> Response<Full<Bytes>> {
        answer(&Method::GET, path, &HeaderMap::new())
    }

    fn header<'a>(response: &'a Response<Full<Bytes>>, name: &str) -> &'a str {
        response.headers().get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }

    fn text(path: &str) -> &'static str {
        let content = FILES.into_iter().find(|(file, _)| *file == path).unwrap().1;
        std::str::from_utf8(content).unwrap()
    }

    fn find(folder: &Path, root: &Path, found: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                find(&path, root, found);
            } else {
                found.insert(path.strip_prefix(root).unwrap().to_str().unwrap().to_owned());
            }
        }
    }

    #[test]
    fn every_file_is_served_and_all_are_small() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/ui");
        let mut there = BTreeSet::new();
        find(&root, &root, &mut there);
        assert_eq!(FILES.map(|(path, _)| path.to_owned()).into_iter().collect::<BTreeSet<_>>(), there);
        let size: usize = FILES.iter().map(|(_, content)| content.len()).sum();
        assert!(size < LIMIT, "{size} bytes");
    }

    #[test]
    fn files_come_with_their_type_and_the_policy() {
        for (path, kind) in [
            ("/", "text/html; charset=utf-8"),
            ("/app.js", "text/javascript; charset=utf-8"),
            ("/style/theme.css", "text/css; charset=utf-8"),
            ("/icon.svg", "image/svg+xml"),
        ] {
            let response = get(path);
            assert_eq!(response.status(), StatusCode::OK, "{path}");
            assert_eq!(header(&response, "content-type"), kind);
            assert_eq!(header(&response, "content-security-policy"), POLICY);
            assert_eq!(header(&response, "x-content-type-options"), "nosniff");
            assert_eq!(header(&response, "referrer-policy"), "no-referrer");
            assert_eq!(header(&response, "cache-control"), "no-cache");
        }
    }

    #[test]
    fn a_file_that_the_browser_has_is_not_sent_again() {
        let first = get("/app.js");
        let tag = first.headers()[header::ETAG].clone();
        assert_ne!(tag, get("/api.js").headers()[header::ETAG]);
        let mut headers = HeaderMap::new();
        headers.insert(
            header::IF_NONE_MATCH,
            format!("\"other\", W/{}", tag.to_str().unwrap()).parse().unwrap(),
        );
        let again = answer(&Method::GET, "/app.js", &headers);
        assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
        assert_eq!(again.headers()[header::ETAG], tag);
        headers.insert(header::IF_NONE_MATCH, HeaderValue::from_static("\"other\""));
        assert_eq!(answer(&Method::GET, "/app.js", &headers).status(), StatusCode::OK);
    }

    #[tokio::test]
    async fn the_folder_is_the_page_and_nothing_else_is_there() {
        let folder = get("");
        assert_eq!((folder.status(), header(&folder, "location")), (StatusCode::PERMANENT_REDIRECT, "ui/"));
        assert_eq!(get("/../ui.rs").status(), StatusCode::NOT_FOUND);
        assert_eq!(header(&get("/nothing"), "content-security-policy"), POLICY);
        assert_eq!(answer(&Method::POST, "/", &HeaderMap::new()).status(), StatusCode::METHOD_NOT_ALLOWED);
        let head = answer(&Method::HEAD, "/", &HeaderMap::new());
        assert_eq!(header(&head, "content-length"), text("index.html").len().to_string());
        assert!(head.into_body().collect().await.unwrap().to_bytes().is_empty());
    }

    #[test]
    fn nothing_is_inline_and_nothing_comes_from_elsewhere() {
        let page = text("index.html");
        for inline in ["<style", "style=\"", " onclick", " onload", "javascript:"] {
            assert!(!page.contains(inline), "{inline}");
        }
        assert_eq!(page.matches("<script").count(), page.matches("<script type=\"module\" src=").count());
        for (path, content) in FILES {
            let content = std::str::from_utf8(content).unwrap();
            for markup in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("] {
                assert!(!content.contains(markup), "{path}: {markup}");
            }
            let elsewhere = content
                .split("http")
                .skip(1)
                .filter(|rest| rest.starts_with("s://") || rest.starts_with("://"));
            for rest in elsewhere {
                // A namespace and a base for parsing, neither of which is ever fetched.
                assert!(
                    rest.starts_with("://www.w3.org/") || rest.starts_with("://page\""),
                    "{path}: http{rest:.40}"
                );
            }
        }
    }
}
