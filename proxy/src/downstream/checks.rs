//! What every request must satisfy before its body is read.
//!
//! Rules: <https://modelcontextprotocol.io/specification/2025-11-25/basic/transports#streamable-http>

use hyper::{
    HeaderMap, StatusCode,
    header::{self, HeaderName},
};

use crate::mcp::{self, ProtocolVersion};

/// A request that is refused as it stands.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Rejection {
    /// The answer's HTTP status.
    pub status: StatusCode,
    /// What the client has to change.
    pub message: String,
}

impl Rejection {
    fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into() }
    }
}

/// Refuses what a web page of another site sends with a visitor's browser (DNS rebinding): a foreign `Origin`, and, on a
/// proxy that serves this machine only, a foreign `Host`.
pub fn origin(headers: &HeaderMap, local: bool) -> Result<(), Rejection> {
    let host = text(headers, header::HOST).unwrap_or_default();
    if local && !host.is_empty() && !is_loopback(host_only(host)) {
        return Err(Rejection::new(
            StatusCode::FORBIDDEN,
            format!(
                "Host {host:?} is refused: this proxy listens on loopback only; use 127.0.0.1 or localhost"
            ),
        ));
    }
    let Some(origin) = text(headers, header::ORIGIN) else { return Ok(()) };
    let authority = origin.split_once("://").map_or("", |(_, authority)| authority);
    if is_loopback(host_only(authority)) || (!authority.is_empty() && authority.eq_ignore_ascii_case(host)) {
        return Ok(());
    }
    Err(Rejection::new(
        StatusCode::FORBIDDEN,
        format!("Origin {origin:?} is refused: pages of other sites may not use this server"),
    ))
}

/// `POST` needs both content types in `Accept`.
pub fn accepts_both(headers: &HeaderMap) -> Result<(), Rejection> {
    if accepts(headers, "application/json") && accepts(headers, "text/event-stream") {
        return Ok(());
    }
    Err(Rejection::new(
        StatusCode::NOT_ACCEPTABLE,
        "send the header \"Accept: application/json, text/event-stream\"",
    ))
}

/// `GET` needs the event stream in `Accept`.
pub fn accepts_events(headers: &HeaderMap) -> Result<(), Rejection> {
    if accepts(headers, "text/event-stream") {
        return Ok(());
    }
    Err(Rejection::new(StatusCode::NOT_ACCEPTABLE, "send the header \"Accept: text/event-stream\""))
}

/// A body must be JSON.
pub fn is_json(headers: &HeaderMap) -> Result<(), Rejection> {
    let kind =
        text(headers, header::CONTENT_TYPE).and_then(|value| value.split(';').next()).unwrap_or("").trim();
    if kind.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    Err(Rejection::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "send the body as JSON with the header \"Content-Type: application/json\"",
    ))
}

/// `MCP-Protocol-Version`, where present, must be one that we speak.
pub fn version(headers: &HeaderMap) -> Result<(), Rejection> {
    let Some(value) = headers.get(mcp::PROTOCOL_VERSION) else { return Ok(()) };
    let text = value.to_str().unwrap_or("?");
    match text.parse::<ProtocolVersion>() {
        Ok(_) => Ok(()),
        Err(error) => Err(Rejection::new(StatusCode::BAD_REQUEST, format!("MCP-Protocol-Version: {error}"))),
    }
}

fn accepts(headers: &HeaderMap, wanted: &str) -> bool {
    let group = wanted.split('/').next().unwrap_or_default();
    let values = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|item| {
        let range = item.split(';').next().unwrap_or("").trim();
        range == "*/*" || range.eq_ignore_ascii_case(wanted) || range.strip_suffix("/*") == Some(group)
    })
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// `host[:port]` without the port.
fn host_only(authority: &str) -> &str {
    if authority.starts_with('[') {
        return authority.split_inclusive(']').next().unwrap_or(authority);
    }
    authority.split(':').next().unwrap_or(authority)
}

fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || bare.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let pair =
            |&(name, value): &(&'static str, &str)| (HeaderName::from_static(name), value.parse().unwrap());
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn origin_must_be_ours_or_loopback() {
        let ok = |pairs: &[_], local| origin(&headers(pairs), local).is_ok();
        assert!(ok(&[("host", "pool.example:8080")], false));
        assert!(ok(&[("host", "pool.example:8080"), ("origin", "https://pool.example:8080")], false));
        assert!(ok(&[("host", "x"), ("origin", "http://localhost:6274")], false));
        assert!(ok(&[("host", "[::1]:8080"), ("origin", "http://[::1]:3")], true));
        assert!(!ok(&[("host", "pool.example"), ("origin", "https://evil.example")], false));
        assert!(!ok(&[("host", "x"), ("origin", "null")], false));
        assert!(!ok(&[("host", "rebound.example:8080")], true));
        assert!(!ok(&[("host", "127.0.0.1.evil.example")], true));
        assert!(!ok(&[("host", "localhost"), ("origin", "http://localhost.evil.example")], true));
    }

    #[test]
    fn accept_knows_ranges() {
        let ok = |value: &str| accepts_both(&headers(&[("accept", value)])).is_ok();
        assert!(ok("application/json, text/event-stream"));
        assert!(ok("text/event-stream;q=0.5,APPLICATION/JSON"));
        assert!(ok("*/*"));
        assert!(ok("application/*, text/*"));
        assert!(!ok("application/json"));
        assert!(!ok("text/event-stream"));
        assert!(accepts_both(&HeaderMap::new()).is_err());
    }

    #[test]
    fn versions() {
        let check = |value: &str| version(&headers(&[("mcp-protocol-version", value)]));
        assert!(check("2025-06-18").is_ok());
        assert!(check("2020-01-01").unwrap_err().message.contains("2025-11-25"));
    }
}
