//! Opens sessions for the pool.

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use bytes::Bytes;
use http_body_util::Full;
use hyper::HeaderMap;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect},
    rt::{TokioExecutor, TokioTimer},
};

use super::{
    ConnectError, SessionKey, UpstreamSession,
    endpoints::{Endpoint, Endpoints},
    handshake,
};
use crate::pool::Connector;

/// How long a TCP connection may take.
const TCP_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a whole handshake may take.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(30);

/// Node's and uvicorn's servers close connections that were idle for 5 s. We close them a little earlier, so that no
/// request is written to a connection that the server is closing.
const CONNECTION_IDLE: Duration = Duration::from_secs(4);

pub(super) type HttpClient = Client<HttpsConnector<connect::HttpConnector>, Full<Bytes>>;

/// Where sessions go; replaced as a whole when the configuration changes.
#[derive(Debug)]
pub struct Target {
    /// The server's addresses.
    pub endpoints: Endpoints,
    /// Sent with every request.
    pub headers: HeaderMap,
    /// The version to open sessions with, instead of the client's.
    pub version: Option<crate::mcp::ProtocolVersion>,
}

impl Target {
    /// Whether a session to `endpoint` that was opened for the target `old` may stay.
    pub(super) fn still_fits(&self, old: &Self, endpoint: &Endpoint) -> bool {
        self.endpoints.contains(endpoint) && self.headers == old.headers && self.version == old.version
    }
}

/// Opens sessions over Streamable HTTP.
pub struct HttpConnector {
    target: Arc<ArcSwap<Target>>,
    tls: HttpsConnector<connect::HttpConnector>,
}

impl HttpConnector {
    /// A connector to `target`.
    pub fn new(target: Target) -> Self {
        let mut tcp = connect::HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(TCP_TIMEOUT));
        let tls = HttpsConnectorBuilder::new()
            .with_webpki_roots()
            .https_or_http()
            .enable_all_versions()
            .wrap_connector(tcp);
        Self { target: Arc::new(ArcSwap::from_pointee(target)), tls }
    }

    /// Has sessions opened to another target from now on.
    pub fn set_target(&self, target: Target) {
        self.target.store(Arc::new(target));
    }

    /// A client with connections of its own: through a virtual address each connection may lead to another pod.
    fn client(&self) -> HttpClient {
        Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(CONNECTION_IDLE)
            .build(self.tls.clone())
    }
}

impl Connector for HttpConnector {
    type Key = SessionKey;
    type Session = UpstreamSession;
    type Error = ConnectError;

    async fn connect(&self, key: &SessionKey) -> Result<UpstreamSession, ConnectError> {
        let target = self.target.load_full();
        let mut last = ConnectError::NoEndpoint;
        for endpoint in target.endpoints.order() {
            let handshake = handshake::open(self.client(), endpoint, &target, Arc::clone(&self.target), key);
            let error = match tokio::time::timeout(HANDSHAKE_TIMEOUT, handshake).await {
                Ok(Ok(session)) => {
                    tracing::debug!(endpoint = %endpoint.label, scope = ?key.scope, "session opened");
                    return Ok(session);
                }
                Ok(Err(error)) => error,
                Err(_) => ConnectError::Timeout {
                    endpoint: Arc::clone(&endpoint.label),
                    seconds: HANDSHAKE_TIMEOUT.as_secs(),
                },
            };
            tracing::warn!(%error, "session not opened");
            let final_word = !error.is_of_endpoint();
            last = error;
            if final_word {
                break;
            }
        }
        Err(last)
    }
}
