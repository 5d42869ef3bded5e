//! From a client's request to a slot and back.

mod affinity;
pub mod audience;
pub mod call;
mod claim;
mod control;
pub mod exchange;
mod initialize;
mod leaving;
pub mod linger;
pub mod listen;
mod messages;
mod repeat;
mod shared;
mod traced;
mod transitions;
pub(crate) mod trouble;

use std::sync::Arc;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::{
    HeaderMap, Method, Request, Response, StatusCode,
    body::Incoming,
    header::{self, HeaderValue},
    http::request::Parts,
};
use parking_lot::Mutex;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub use self::leaving::Leaving;
use self::{audience::Audiences, exchange::Ties};
use crate::{
    config::Config,
    downstream::{
        Era,
        capabilities::Capabilities,
        checks,
        client::ClientSession,
        clients::Clients,
        keyring::{Keyring, TokenKey},
        reply::{self, Reply},
        token::Claims,
    },
    mcp::{self, Message, envelope::EnvelopeError, error::code},
    metrics::Requests,
    peers::Peers,
    pool::{Ask, Key, Lease, Pool},
    trace::{RequestSpan, Tracer},
    upstream::{HttpConnector, Scope, SessionKey, key::ForwardedHeaders},
};

/// The path that MCP is served at.
pub const PATH: &str = "/mcp";

/// Whom a request came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Arrival {
    Client,
    Peer,
}

/// Everything that requests need.
pub struct Gateway {
    /// The configuration in force.
    pub config: ArcSwap<Config>,
    /// The sessions with the server.
    pub pool: Pool<HttpConnector>,
    /// The sessions with clients.
    pub clients: Clients,
    /// Those of them that share slots.
    pub audiences: Audiences,
    /// Makes and reads clients' session ids.
    pub keyring: Arc<Keyring>,
    /// The other proxies of the pool, if client sessions are shared with them.
    pub peers: Option<Peers>,
    /// Counts requests.
    pub requests: Requests,
    /// Tells of requests where that is wanted.
    pub tracer: Option<Tracer>,
    /// When the drain that is in force ends what still runs.
    pub drain: Mutex<Option<Instant>>,
    /// Whether the listener is on loopback.
    pub local: bool,
    /// The largest request body, in bytes.
    pub max_body: usize,
    /// Cancelled when the process is to end: client sessions' own streams end.
    pub shutdown: CancellationToken,
}

impl Gateway {
    /// Answers one HTTP request.
    pub async fn handle(self: &Arc<Self>, request: Request<Incoming>) -> Response<Reply> {
        let response = self.route(request, Arrival::Client).await.unwrap_or_else(|refusal| *refusal);
        self.requests.count(response.status());
        response
    }

    /// Answers one HTTP request that a peer got from a client; the peer counts it.
    ///
    /// # Errors
    /// If the peer is to ask another proxy.
    pub async fn handle_forwarded(
        self: &Arc<Self>,
        request: Request<Incoming>,
    ) -> Result<Response<Reply>, Leaving> {
        if self.shutdown.is_cancelled() {
            return self.finish(request).await;
        }
        Ok(self.route(request, Arrival::Peer).await.unwrap_or_else(|refusal| *refusal))
    }

    async fn route(
        self: &Arc<Self>,
        request: Request<Incoming>,
        arrival: Arrival,
    ) -> Result<Response<Reply>, Box<Response<Reply>>> {
        if request.uri().path() != PATH {
            let message = format!("there is nothing at {}; MCP is served at {PATH}", request.uri().path());
            return Ok(reply::failure(StatusCode::NOT_FOUND, None, code::INVALID_REQUEST, &message));
        }
        checks::origin(request.headers(), self.local).map_err(refuse)?;
        let (head, body) = request.into_parts();
        match head.method {
            Method::POST => self.post(head, body, arrival).await,
            Method::GET | Method::DELETE => match self.elsewhere(&head, &Bytes::new(), arrival).await {
                Some(response) => Ok(response),
                None if head.method == Method::GET => self.listen(&head.headers).await,
                None => self.delete(&head.headers),
            },
            _ => {
                let mut response = reply::empty(StatusCode::METHOD_NOT_ALLOWED);
                response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, POST, DELETE"));
                Ok(response)
            }
        }
    }

    async fn post(
        self: &Arc<Self>,
        head: Parts,
        body: Incoming,
        arrival: Arrival,
    ) -> Result<Response<Reply>, Box<Response<Reply>>> {
        checks::accepts_both(&head.headers).map_err(refuse)?;
        checks::is_json(&head.headers).map_err(refuse)?;
        let body = self.collect(body).await?;
        if let Some(response) = self.elsewhere(&head, &body, arrival).await {
            return Ok(response);
        }
        let message = Message::parse(&body).map_err(|error| {
            let code = match error {
                EnvelopeError::Syntax(_) => code::PARSE,
                EnvelopeError::Batch | EnvelopeError::Invalid(_) => code::INVALID_REQUEST,
            };
            Box::new(reply::failure(StatusCode::BAD_REQUEST, None, code, &error.to_string()))
        })?;
        let span =
            self.tracer.as_ref().and_then(|tracer| tracer.request(&message, &head.headers, head.version));
        let mut answer = self.answer(&head.headers, &body, &message, span.as_ref()).await;
        if let Some(span) = span {
            span.respond(match &mut answer {
                Ok(response) => response,
                Err(refusal) => refusal,
            });
        }
        answer
    }

    async fn answer(
        self: &Arc<Self>,
        headers: &HeaderMap,
        body: &Bytes,
        message: &Message<'_>,
        span: Option<&RequestSpan>,
    ) -> Result<Response<Reply>, Box<Response<Reply>>> {
        let config = self.config.load_full();
        if message.method() == Some("initialize") {
            return Ok(self.initialize(&config, headers, message, span).await);
        }
        let client = self.client(&config, headers, message.id())?;
        if let Some(span) = span {
            span.of_session(&client.claims);
        }
        let Era::Session = Era::of(headers).map_err(refuse)?;
        Ok(match message {
            Message::Request { id, method, params } => {
                self.request(&client, headers, body, id, method, *params, span).await
            }
            Message::Notification { method, params } => {
                self.notification(&client, body, method, *params).await
            }
            Message::Response { id, .. } => self.response(&client, id, body).await,
        })
    }

    /// The answer of the proxy that the client session is with, if that is another. What a peer forwarded stays here.
    async fn elsewhere(&self, head: &Parts, body: &Bytes, arrival: Arrival) -> Option<Response<Reply>> {
        let peers = self.peers.as_ref().filter(|_| arrival == Arrival::Client)?;
        let (claims, _) = self.claims(&head.headers)?;
        peers.forward(&claims, head, body, &self.shutdown).await
    }

    /// What the token of a request says, if it is ours.
    fn claims(&self, headers: &HeaderMap) -> Option<(Claims, Arc<TokenKey>)> {
        self.keyring.open(headers.get(mcp::SESSION_ID)?.to_str().ok()?)
    }

    async fn collect(&self, body: Incoming) -> Result<Bytes, Box<Response<Reply>>> {
        match Limited::new(body, self.max_body).collect().await {
            Ok(body) => Ok(body.to_bytes()),
            Err(error) if error.is::<LengthLimitError>() => {
                let message =
                    format!("the body is larger than {} bytes (see --max-body-bytes)", self.max_body);
                Err(Box::new(reply::failure(
                    StatusCode::PAYLOAD_TOO_LARGE,
                    None,
                    code::INVALID_REQUEST,
                    &message,
                )))
            }
            Err(error) => {
                let message = format!("the body broke off: {error}");
                Err(Box::new(reply::failure(StatusCode::BAD_REQUEST, None, code::PARSE, &message)))
            }
        }
    }

    fn delete(&self, headers: &HeaderMap) -> Result<Response<Reply>, Box<Response<Reply>>> {
        let config = self.config.load_full();
        let client = self.client(&config, headers, None)?;
        self.end(&client);
        Ok(reply::empty(StatusCode::OK))
    }

    /// Ends a client session, and the slot that held its state.
    fn end(&self, client: &Arc<ClientSession>) {
        self.clients.end(client);
        self.release(client);
    }

    /// Lets go of what the pool holds for a client.
    fn release(&self, client: &ClientSession) {
        Self::leave(client);
        if let Some(key) = client.bind(None) {
            self.pool.retire(&key);
        }
        if self.config.load().sticky_source().is_some() {
            self.pool.unbind(affinity::of_client(client));
        }
    }

    /// Ends the client sessions that were unused for too long, and lets go of those that went on at another proxy.
    pub fn expire_clients(&self) {
        let idle = self.config.load().settings.client_session_idle;
        let is_stray =
            |claims: &Claims, used| self.peers.as_ref().is_some_and(|peers| peers.is_stray(claims, used));
        for client in self.clients.expire(idle, is_stray) {
            self.release(&client);
        }
    }

    /// The key of the slots that may serve a client's request. A client that has a slot of its own keeps it while the
    /// configuration allows, in or outside the pool.
    fn key_of(&self, config: &Config, client: &ClientSession, headers: &HeaderMap) -> SessionKey {
        let key = key(config, headers, &client.claims, &client.capabilities);
        let Some(bound) = client.bound().filter(|bound| *bound != key) else { return key };
        let own = SessionKey {
            scope: bound.scope,
            capabilities: Arc::clone(&bound.capabilities),
            principal: bound.principal,
            ..key.clone()
        };
        if own == bound && (key.is_bound() || client.is_pinned()) {
            if config.allows(&bound) {
                return bound;
            }
            let renamed = SessionKey { scope: config.own_scope(client.claims.id), ..bound.clone() };
            if self.pool.rename(&bound, &renamed) {
                client.bind(Some(renamed.clone()));
                return renamed;
            }
        }
        self.pool.retire(&bound);
        client.bind(None);
        client.lose_state();
        key
    }

    /// The client session that a request names.
    fn client(
        &self,
        config: &Config,
        headers: &HeaderMap,
        id: Option<&str>,
    ) -> Result<Arc<ClientSession>, Box<Response<Reply>>> {
        if !headers.contains_key(mcp::SESSION_ID) {
            let message =
                "the Mcp-Session-Id header is missing: send initialize first, then the id from its answer";
            return Err(Box::new(reply::failure(StatusCode::BAD_REQUEST, id, code::SERVER, message)));
        }
        let unknown = |message: &str| {
            Box::new(reply::failure(StatusCode::NOT_FOUND, id, code::SESSION_NOT_FOUND, message))
        };
        let Some((claims, key)) = self.claims(headers) else {
            return Err(unknown("session not found: initialize again"));
        };
        if key.principal(headers, &config.identity_headers).binding() != claims.principal {
            self.requests.count_foreign();
            return Err(unknown("session not found: initialize again"));
        }
        let changed = self.peers.as_ref().map(|peers| peers.directory().changed());
        let found = self.clients.find(claims, config.settings.client_session_idle, changed);
        found.map_err(|_| unknown("the session has ended: initialize again"))
    }
}

/// The key of the slots that may serve a client. One whose capabilities can't be shared has a slot of its own.
fn key(config: &Config, headers: &HeaderMap, claims: &Claims, capabilities: &Capabilities) -> SessionKey {
    let scope = config.scope(claims.id, claims.principal);
    let (scope, capabilities) = match (scope, &capabilities.shared) {
        (Scope::Client(_) | Scope::Direct(_), _) => (scope, Arc::clone(&capabilities.own)),
        // Another proxy may get what the client answers: it is asked nothing.
        (scope, _) if config.is_many => (scope, "{}".into()),
        (scope, Some(shared)) => (scope, Arc::clone(shared)),
        (_, None) => (Scope::Client(claims.id), Arc::clone(&capabilities.own)),
    };
    let forwarded = config
        .forwarded_headers
        .iter()
        .flat_map(|name| headers.get_all(name).iter().map(move |value| (name.clone(), value.clone())));
    let identified = !matches!(scope, Scope::Shared) && claims.principal != [0; 16];
    SessionKey {
        version: claims.version,
        capabilities,
        scope,
        principal: identified.then_some(claims.principal),
        headers: ForwardedHeaders::new(forwarded.collect()),
    }
}

/// What a slot is to the client whose request it carries.
fn ties(key: &SessionKey, ask: Ask, lease: &Lease<HttpConnector>) -> Ties {
    let own = key.is_bound();
    Ties { own, state: own || (ask.affinity.is_some() && !lease.is_fresh()) }
}

fn refuse(rejection: checks::Rejection) -> Box<Response<Reply>> {
    Box::new(rejection.into())
}
