//! One open session with the MCP server.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{
    HeaderMap, Method, Request, Response, StatusCode, Uri,
    body::Incoming,
    header::{self, HeaderValue},
};
use hyper_util::client::legacy::{Error as ClientError, ResponseFuture};
use opentelemetry::trace::SpanContext;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Target, answer, connector::HttpClient, endpoints::Endpoint};
use crate::{
    mcp::{self, ProtocolVersion},
    pool,
};

/// Bytes of a refusal's body that are looked at.
const REFUSAL_LIMIT: usize = 64 << 10;

/// What a session is made of before its handshake.
pub(super) struct Parts {
    pub client: HttpClient,
    pub endpoint: Arc<Endpoint>,
    pub headers: HeaderMap,
    pub opened_for: Arc<Target>,
    pub current: Arc<ArcSwap<Target>>,
    /// The span of the handshake, if it is traced.
    pub handshake: Option<SpanContext>,
}

/// Sends messages on one session. Shared by the leases on its slot; it is closed by the slot's task.
pub struct UpstreamSession {
    parts: Parts,
    session_id: Option<HeaderValue>,
    version: ProtocolVersion,
    initialize_result: Box<str>,
    /// What is told of it to clients that share it, made when it is first asked for.
    retold: [OnceLock<Box<str>>; 2],
    next_id: AtomicU64,
    born: Instant,
    /// When the handshake was over.
    opened: Instant,
    /// Milliseconds from `born` to the last message.
    traffic: AtomicU64,
    lost: AtomicBool,
    /// The level that the server was last told to send log messages from.
    level: AtomicU8,
    gone: CancellationToken,
    own: CancellationToken,
}

/// What a ping came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pulse {
    Alive,
    /// No answer to it, though the server may know the session.
    Silent,
    /// The server does not know the session.
    Gone,
}

impl UpstreamSession {
    pub(super) fn new(mut parts: Parts) -> Self {
        let headers = &mut parts.headers;
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json, text/event-stream"));
        let born = Instant::now();
        Self {
            parts,
            session_id: None,
            version: ProtocolVersion::LATEST,
            initialize_result: "{}".into(),
            retold: Default::default(),
            next_id: AtomicU64::new(1),
            born,
            opened: born,
            traffic: AtomicU64::new(0),
            lost: AtomicBool::new(false),
            level: AtomicU8::new(u8::MAX),
            gone: CancellationToken::new(),
            own: CancellationToken::new(),
        }
    }

    /// Takes over what the handshake came to.
    pub(super) fn begin(
        &mut self,
        session_id: Option<HeaderValue>,
        version: ProtocolVersion,
        result: Box<str>,
    ) {
        let headers = &mut self.parts.headers;
        headers.insert(mcp::PROTOCOL_VERSION, HeaderValue::from_static(version.as_str()));
        if let Some(id) = &session_id {
            headers.insert(mcp::SESSION_ID, id.clone());
        }
        self.opened = Instant::now();
        (self.session_id, self.version, self.initialize_result) = (session_id, version, result);
    }

    /// An id that no request on this session has had.
    pub fn next_id(&self) -> u64 {
        self.next_id.fetch_add(1, Ordering::Relaxed)
    }

    /// The version that the server chose.
    pub fn version(&self) -> ProtocolVersion {
        self.version
    }

    /// The server's `InitializeResult`, as it wrote it.
    pub fn initialize_result(&self) -> &str {
        &self.initialize_result
    }

    /// The same as `retell` has it, which is asked once for each of two forms.
    pub fn retold(&self, form: bool, retell: impl FnOnce(&str) -> String) -> &str {
        self.retold[usize::from(form)].get_or_init(|| retell(&self.initialize_result).into())
    }

    /// Starts to send a message. The future resolves when the response's head is there.
    pub fn post(&self, message: Bytes, extra: &HeaderMap) -> ResponseFuture {
        self.touch();
        self.parts.client.request(self.request(Method::POST, message, extra))
    }

    /// Sends a message that needs no answer.
    pub async fn notify(&self, message: Bytes) -> Result<(), ClientError> {
        let response = self.post(message, &HeaderMap::new()).await?;
        // Read to the end, so that the connection can be used again.
        let _ = response.into_body().collect().await;
        Ok(())
    }

    /// Opens the stream on which the server sends what belongs to no request.
    pub fn listen(&self) -> ResponseFuture {
        let mut request = self.request(Method::GET, Bytes::new(), &HeaderMap::new());
        request.headers_mut().insert(header::ACCEPT, HeaderValue::from_static("text/event-stream"));
        self.parts.client.request(request)
    }

    /// Resumes a stream after the event with this id.
    pub fn resume(&self, last_event: &HeaderValue) -> ResponseFuture {
        let mut request = self.request(Method::GET, Bytes::new(), &HeaderMap::new());
        request.headers_mut().insert("last-event-id", last_event.clone());
        request.headers_mut().insert(header::ACCEPT, HeaderValue::from_static("text/event-stream"));
        self.touch();
        self.parts.client.request(request)
    }

    /// Notes that something was received.
    pub fn touch(&self) {
        let now = u64::try_from(self.born.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.traffic.store(now, Ordering::Relaxed);
    }

    /// Notes that the server no longer knows the session: there is nothing to `DELETE`.
    pub fn set_lost(&self) {
        self.lost.store(true, Ordering::Relaxed);
        self.gone.cancel();
    }

    /// Cancelled when the session is closed or lost.
    pub fn gone(&self) -> CancellationToken {
        self.gone.clone()
    }

    /// Notes that it serves one client only from now on.
    pub fn become_own(&self) {
        self.own.cancel();
    }

    /// Resolves when it serves one client only.
    pub async fn is_own(&self) {
        self.own.cancelled().await;
    }

    /// The span of its handshake, if that is traced and was over within the `last` time.
    pub fn handshake_within(&self, last: Duration) -> Option<&SpanContext> {
        self.parts.handshake.as_ref().filter(|_| self.opened.elapsed() <= last)
    }

    /// The address that it leads to.
    pub fn uri(&self) -> &Uri {
        &self.parts.endpoint.uri
    }

    /// Time since the handshake began.
    pub fn age(&self) -> Duration {
        self.born.elapsed()
    }

    /// Whether the server is to be told another level than the last; it counts as told from now on.
    pub fn changes_level(&self, level: u8) -> bool {
        self.level.load(Ordering::Relaxed) != level && self.level.swap(level, Ordering::Relaxed) != level
    }

    /// Whether an HTTP refusal says that the session is gone.
    pub fn is_loss(&self, status: StatusCode, body: &[u8]) -> bool {
        if self.session_id.is_none() {
            return false;
        }
        match status {
            StatusCode::NOT_FOUND => true,
            // Several servers answer 400 where the specification asks for 404.
            StatusCode::BAD_REQUEST => {
                let text = String::from_utf8_lossy(body).to_ascii_lowercase();
                text.contains("session") || text.contains("not initialized")
            }
            _ => false,
        }
    }

    fn request(&self, method: Method, message: Bytes, extra: &HeaderMap) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(message));
        *request.method_mut() = method;
        *request.uri_mut() = self.parts.endpoint.uri.clone();
        let headers = request.headers_mut();
        headers.clone_from(&self.parts.headers);
        for (name, value) in extra {
            headers.insert(name, value.clone());
        }
        request
    }

    async fn ping(&self) -> Result<Pulse, ClientError> {
        let id = self.next_id();
        let message = Bytes::from(format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"ping"}}"#));
        let response = self.post(message, &HeaderMap::new()).await?;
        let status = response.status();
        if status == StatusCode::OK {
            return Ok(if answer::read(response, id).await.is_ok() { Pulse::Alive } else { Pulse::Silent });
        }
        let body = answer::collect(response.into_body(), REFUSAL_LIMIT).await.unwrap_or_default();
        Ok(match mcp::Message::parse(&body) {
            _ if self.is_loss(status, &body) => Pulse::Gone,
            // A server that does not know `ping` is alive.
            Ok(_) => Pulse::Alive,
            Err(_) => Pulse::Silent,
        })
    }

    async fn delete(&self) -> Result<Response<Incoming>, ClientError> {
        self.parts.client.request(self.request(Method::DELETE, Bytes::new(), &HeaderMap::new())).await
    }
}

impl pool::Session for UpstreamSession {
    async fn check(&self) -> bool {
        match self.ping().await {
            Ok(pulse) => {
                self.touch();
                if pulse == Pulse::Gone {
                    self.set_lost();
                }
                pulse == Pulse::Alive
            }
            Err(error) => {
                tracing::debug!(endpoint = self.endpoint(), %error, "ping failed");
                false
            }
        }
    }

    async fn close(&self) {
        self.gone.cancel();
        if self.session_id.is_none() || self.lost.load(Ordering::Relaxed) {
            return;
        }
        // The connection may have broken under it, and a session that is ended twice is ended.
        for _ in 0..2 {
            match self.delete().await {
                Ok(_) => return,
                Err(error) => tracing::debug!(endpoint = self.endpoint(), %error, "session not deleted"),
            }
        }
    }

    fn quiet_for(&self) -> Duration {
        self.born.elapsed().saturating_sub(Duration::from_millis(self.traffic.load(Ordering::Relaxed)))
    }

    fn endpoint(&self) -> &str {
        &self.parts.endpoint.label
    }

    fn is_current(&self) -> bool {
        let Parts { current, opened_for, endpoint, .. } = &self.parts;
        current.load().still_fits(opened_for, endpoint)
    }
}
