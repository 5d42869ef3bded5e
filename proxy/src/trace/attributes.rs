//! Names of attributes, and values that several spans have.

use std::borrow::Cow;

use hyper::Uri;
use opentelemetry::{Key, KeyValue};

pub const METHOD: &str = "mcp.method.name";
pub const PROTOCOL: &str = "mcp.protocol.version";
/// Not the `Mcp-Session-Id`, which is a secret, but what that is made of: it opens nothing.
pub const SESSION: &str = "mcp.session.id";
pub const RESOURCE: &str = "mcp.resource.uri";
pub const TOOL: &str = "gen_ai.tool.name";
pub const PROMPT: &str = "gen_ai.prompt.name";
pub const OPERATION: &str = "gen_ai.operation.name";
pub const REQUEST_ID: &str = "jsonrpc.request.id";
pub const RPC_STATUS: &str = "rpc.response.status_code";
pub const ERROR: &str = "error.type";
pub const RESEND: &str = "http.request.resend_count";
pub const NETWORK_PROTOCOL: &str = "network.protocol.name";
pub const NETWORK_VERSION: &str = "network.protocol.version";
pub const NETWORK_TRANSPORT: &str = "network.transport";
pub const SERVER_ADDRESS: &str = "server.address";
pub const SERVER_PORT: &str = "server.port";

/// The slot's id, as `/pool/sessions` lists it.
pub const SLOT: &str = "mcpgateway.pool.slot";
/// The pool, `<namespace>.<name>`.
pub const SERVER_ID: &str = "mcpgateway.server_id";

/// What clients write may be of any length.
const LONGEST: usize = 128;

/// A text that is cut when it is too long.
pub fn text(name: &'static str, value: &str) -> KeyValue {
    KeyValue::new(Key::from_static_str(name), cut(value).to_owned())
}

/// A text without its end when it is too long.
pub fn cut(value: &str) -> &str {
    let mut end = value.len().min(LONGEST);
    while !value.is_char_boundary(end) {
        end -= 1;
    }
    &value[..end]
}

/// Where the server is.
pub fn of_upstream(uri: &Uri) -> Vec<KeyValue> {
    let secure = uri.scheme_str() == Some("https");
    let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
    vec![
        KeyValue::new(NETWORK_PROTOCOL, "http"),
        KeyValue::new(NETWORK_TRANSPORT, "tcp"),
        text(SERVER_ADDRESS, uri.host().unwrap_or_default()),
        KeyValue::new(SERVER_PORT, i64::from(port)),
    ]
}

/// A resource's URI without what may be a credential: user, query and fragment.
pub fn resource(uri: &str) -> Cow<'_, str> {
    let plain = uri.split(['?', '#']).next().unwrap_or_default();
    let Some((scheme, rest)) = plain.split_once("://") else { return plain.into() };
    let authority = rest.split('/').next().unwrap_or_default();
    match authority.rsplit_once('@') {
        Some((user, _)) => format!("{scheme}://{}", &rest[user.len() + 1..]).into(),
        None => plain.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uris_lose_what_may_be_secret() {
        for (uri, shown) in [
            ("file:///tmp/a.txt", "file:///tmp/a.txt"),
            ("postgres://me:secret@db:5432/a/b?password=x#y", "postgres://db:5432/a/b"),
            ("https://host/a@b", "https://host/a@b"),
            ("demo:one?token=1", "demo:one"),
            ("ü://@", "ü://"),
        ] {
            assert_eq!(resource(uri), shown);
        }
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        assert_eq!(cut("short"), "short");
        assert_eq!(cut(&"ä".repeat(100)).len(), 128);
        assert_eq!(cut(&format!("a{}", "ä".repeat(100))).len(), 127);
    }
}
