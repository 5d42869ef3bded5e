//! The client's handshake, answered from a session that the pool has.

use std::{sync::Arc, time::SystemTime};

use hyper::{HeaderMap, Response, StatusCode, header::HeaderValue};
use serde::Deserialize;
use serde_json::{Value, value::RawValue};
use tokio::time::Instant;

use super::{
    Gateway,
    claim::Claim,
    key,
    trouble::{draining, no_slot},
};
use crate::{
    config::Config,
    downstream::{
        capabilities::Capabilities,
        reply::{self, Reply},
        token::{Claims, Sealer},
    },
    mcp::{
        self, Message, ProtocolVersion,
        error::{code, result},
    },
    peers::Peers,
    pool::{Ask, CheckoutError, Key, Refusal},
    trace::RequestSpan,
};

#[derive(Deserialize)]
struct Params<'a> {
    #[serde(rename = "protocolVersion")]
    protocol_version: String,
    #[serde(borrow, default)]
    capabilities: Option<&'a RawValue>,
}

impl Gateway {
    /// Answers `initialize` and makes the client session.
    pub(super) async fn initialize(
        &self,
        config: &Config,
        headers: &HeaderMap,
        message: &Message<'_>,
        span: Option<&RequestSpan>,
    ) -> Response<Reply> {
        let Message::Request { id, params, .. } = message else {
            let message = "initialize is a request: give it an id";
            return reply::failure(StatusCode::BAD_REQUEST, None, code::INVALID_REQUEST, message);
        };
        if headers.contains_key(mcp::SESSION_ID) {
            let message =
                "this session is initialized already: send initialize without Mcp-Session-Id for a new one";
            return reply::failure(StatusCode::BAD_REQUEST, Some(id), code::INVALID_REQUEST, message);
        }
        if self.is_draining() {
            return draining(self, Some(id));
        }
        let params: Params<'_> = match serde_json::from_str(params.map_or("null", RawValue::get)) {
            Ok(params) => params,
            Err(error) => {
                let message =
                    format!("initialize needs params with protocolVersion and capabilities: {error}");
                return reply::failure(StatusCode::BAD_REQUEST, Some(id), code::INVALID_PARAMS, &message);
            }
        };
        let sealing = self.keyring.sealing();
        let principal = sealing.principal(headers, &config.identity_headers);
        let capabilities = params.capabilities.map(compact).unwrap_or_default();
        let claims = Claims {
            id: random_id(),
            principal: principal.binding(),
            version: params.protocol_version.parse().unwrap_or(ProtocolVersion::LATEST),
            issued: SystemTime::now()
                .duration_since(SystemTime::UNIX_EPOCH)
                .map_or(0, |since| since.as_secs()),
            home: self.peers.as_ref().map(Peers::own),
            // Too many to be remembered by the token: the client is asked nothing then.
            capabilities: if Sealer::fits(&capabilities) { capabilities.into() } else { "{}".into() },
        };
        if let Some(span) = span {
            span.of_session(&claims);
        }
        let asked = Capabilities::of(&claims.capabilities);
        let (key, session) = loop {
            let config = self.config.load_full();
            let key = key(&config, headers, &claims, &asked);
            if let Some(session) = self.pool.peek(&key) {
                break (key, session);
            }
            let deadline = Instant::now() + config.settings.timeout;
            let claim = Claim::on(&self.pool, &key, None);
            match self.checkout(span, &key, Ask::default(), deadline).await {
                Ok(lease) => {
                    let session = Arc::clone(lease.session());
                    lease.unused();
                    claim.settle();
                    break (key, session);
                }
                Err(CheckoutError::Refused(Refusal::Outdated)) => tokio::task::yield_now().await,
                Err(error) => return no_slot(self, &config, Some(id), &error),
            }
        };
        let Ok(token) = sealing.seal(&claims) else {
            let message = "the system gives no random bytes";
            return reply::failure(StatusCode::INTERNAL_SERVER_ERROR, Some(id), code::SERVER, message);
        };
        let client = self.clients.insert(claims);
        let body = if key.is_bound() {
            client.bind(Some(key));
            result(id, session.initialize_result())
        } else {
            let many = config.is_many;
            result(id, session.retold(many, |result| carried(result, many)))
        };
        let mut response = reply::json(StatusCode::OK, body);
        if let Ok(token) = HeaderValue::from_str(&token) {
            response.headers_mut().insert(mcp::SESSION_ID, token);
        }
        response
    }
}

/// The server's result without the capabilities that a shared session can't carry: tasks live in one session, and where
/// there are `many` proxies, what is announced to one of them reaches only its own clients.
fn carried(initialize_result: &str, many: bool) -> String {
    let Ok(mut value) = serde_json::from_str::<Value>(initialize_result) else {
        return initialize_result.to_owned();
    };
    if let Some(capabilities) = value.get_mut("capabilities").and_then(Value::as_object_mut) {
        capabilities.remove("tasks");
        for feature in ["tools", "prompts", "resources"].iter().filter(|_| many) {
            if let Some(feature) = capabilities.get_mut(*feature).and_then(Value::as_object_mut) {
                feature.remove("listChanged");
                feature.remove("subscribe");
            }
        }
    }
    value.to_string()
}

/// Capabilities without white space and with sorted names, so that equal ones share sessions.
fn compact(raw: &RawValue) -> String {
    serde_json::from_str::<Value>(raw.get()).map(|value| value.to_string()).unwrap_or_default()
}

fn random_id() -> [u8; 16] {
    let mut id = [0; 16];
    if aws_lc_rs::rand::fill(&mut id).is_err() {
        fastrand::fill(&mut id);
    }
    id
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hides_what_is_not_carried() {
        let result = r#"{"capabilities":{"tools":{"listChanged":true,"x":1},"resources":{"subscribe":true},"tasks":{},"logging":{}},"instructions":"hi"}"#;
        let one = r#"{"capabilities":{"logging":{},"resources":{"subscribe":true},"tools":{"listChanged":true,"x":1}},"instructions":"hi"}"#;
        let many = r#"{"capabilities":{"logging":{},"resources":{},"tools":{"x":1}},"instructions":"hi"}"#;
        let parse = |text: &str| serde_json::from_str::<Value>(text).unwrap();
        assert_eq!(parse(&carried(result, false)), parse(one));
        assert_eq!(parse(&carried(result, true)), parse(many));
    }
}
