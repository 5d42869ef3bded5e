//! `initialize` and `notifications/initialized`.

use std::sync::Arc;

use arc_swap::ArcSwap;
use bytes::Bytes;
use hyper::{HeaderMap, StatusCode, header};
use serde::Deserialize;
use serde_json::{json, value::RawValue};

use super::{
    ConnectError, SessionKey, Target, UpstreamSession,
    answer::{self, AnswerError},
    connector::HttpClient,
    endpoints::Endpoint,
    error::root_cause,
    session::Parts,
};
use crate::{
    mcp::{self, ProtocolVersion},
    pool::Session,
    trace::CallSpan,
};

/// Bytes of a refusal's body that are looked at.
const REFUSAL_LIMIT: usize = 16 << 10;

#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow, default)]
    result: Option<&'a RawValue>,
    #[serde(default)]
    error: Option<RpcError>,
}

#[derive(Deserialize)]
struct RpcError {
    #[serde(default)]
    message: String,
}

#[derive(Deserialize)]
struct InitializeResult {
    #[serde(rename = "protocolVersion")]
    protocol_version: String,
}

/// Opens one session to one endpoint.
pub(super) async fn open(
    client: HttpClient,
    endpoint: &Arc<Endpoint>,
    target: &Arc<Target>,
    current: Arc<ArcSwap<Target>>,
    key: &SessionKey,
    span: Option<&CallSpan>,
) -> Result<UpstreamSession, ConnectError> {
    let mut headers = target.headers.clone();
    headers.extend(key.headers.iter().cloned());
    let mut session = UpstreamSession::new(Parts {
        client,
        endpoint: Arc::clone(endpoint),
        headers,
        opened_for: Arc::clone(target),
        current,
        handshake: span.map(CallSpan::context),
    });
    let failed = Failed { endpoint };

    let id = session.next_id();
    let request = initialize(id, key, target, span);
    let mut extra = HeaderMap::new();
    if let Some(span) = span {
        span.write_headers(&mut extra);
    }
    let response = session.post(request, &extra).await.map_err(|error| failed.unreachable(&error))?;
    let status = response.status();
    if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
        let challenge = response.headers().get(header::WWW_AUTHENTICATE).cloned();
        return Err(ConnectError::Unauthorized { endpoint: Arc::clone(&endpoint.label), status, challenge });
    }
    if status != StatusCode::OK {
        let body = answer::collect(response.into_body(), REFUSAL_LIMIT).await.unwrap_or_default();
        return Err(failed.refused(status, &body));
    }
    let session_id = response.headers().get(mcp::SESSION_ID).cloned();
    let body = answer::read(response, id).await.map_err(|error| failed.not_mcp(&error));
    let (result, version) = match body.and_then(|body| failed.result(&body)) {
        Ok(result) => result,
        Err(error) => {
            // The server may have a session by now, which nobody would use.
            session.begin(session_id, ProtocolVersion::LATEST, "{}".into());
            session.close().await;
            return Err(error);
        }
    };
    session.begin(session_id, version, result);
    let initialized = Bytes::from_static(br#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#);
    if let Err(error) = session.notify(initialized).await {
        session.close().await;
        return Err(failed.unreachable(&error));
    }
    Ok(session)
}

fn initialize(id: u64, key: &SessionKey, target: &Target, span: Option<&CallSpan>) -> Bytes {
    let version = target.version.unwrap_or(key.version).as_str();
    let client = json!({ "name": "sessionpool-proxy", "version": env!("CARGO_PKG_VERSION") });
    let capabilities = &key.capabilities;
    let meta = span.map(|span| format!(r#","_meta":{}"#, span.fresh_meta())).unwrap_or_default();
    Bytes::from(format!(
        r#"{{"jsonrpc":"2.0","id":{id},"method":"initialize","params":{{"protocolVersion":"{version}","capabilities":{capabilities},"clientInfo":{client}{meta}}}}}"#
    ))
}

/// Makes errors that name the endpoint.
struct Failed<'a> {
    endpoint: &'a Endpoint,
}

impl Failed<'_> {
    fn unreachable(&self, error: &(dyn std::error::Error + 'static)) -> ConnectError {
        let reason = root_cause(error).into();
        ConnectError::Unreachable { endpoint: Arc::clone(&self.endpoint.label), reason }
    }

    fn what(&self, what: String) -> ConnectError {
        ConnectError::NotMcp { endpoint: Arc::clone(&self.endpoint.label), what: what.into() }
    }

    fn not_mcp(&self, error: &AnswerError) -> ConnectError {
        self.what(error.to_string())
    }

    fn refused(&self, status: StatusCode, body: &[u8]) -> ConnectError {
        match serde_json::from_slice::<Answer>(body) {
            Ok(Answer { error: Some(error), .. }) => ConnectError::Refused {
                endpoint: Arc::clone(&self.endpoint.label),
                message: format!("HTTP {status}: {}", error.message).into(),
            },
            _ => self.what(format!("it answered initialize with HTTP {status}")),
        }
    }

    fn result(&self, body: &[u8]) -> Result<(Box<str>, ProtocolVersion), ConnectError> {
        let answer: Answer<'_> = serde_json::from_slice(body)
            .map_err(|error| self.what(format!("its answer is no JSON-RPC: {error}")))?;
        let refused = |message: String| ConnectError::Refused {
            endpoint: Arc::clone(&self.endpoint.label),
            message: message.into(),
        };
        if let Some(error) = answer.error {
            return Err(refused(error.message));
        }
        let raw = answer.result.map(RawValue::get).unwrap_or_default();
        let result: InitializeResult = serde_json::from_str(raw)
            .map_err(|_| self.what("its answer to initialize has no protocolVersion".into()))?;
        let version =
            result.protocol_version.parse().map_err(|error: mcp::version::UnsupportedVersion| {
                refused(format!("it speaks another version: {error}"))
            })?;
        Ok((raw.into(), version))
    }
}
