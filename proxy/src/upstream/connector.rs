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
use parking_lot::Mutex;

use super::{
    ConnectError, SessionKey, UpstreamSession,
    endpoints::{Endpoint, Endpoints, Numbers},
    handshake,
};
use crate::{
    pool::{Connector, EndpointId, EndpointSpec},
    trace::Tracer,
};

/// How long a TCP connection may take.
const TCP_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a whole handshake may take.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(30);

/// Node's and uvicorn's servers close connections that were idle for 5 s. We close them a little earlier, so that no
/// request is written to a connection that the server is closing.
const CONNECTION_IDLE: Duration = Duration::from_secs(4);

pub(super) type HttpClient = Client<HttpsConnector<connect::HttpConnector>, Full<Bytes>>;

/// Where sessions are to go, as the configuration has it.
#[derive(Debug, Default)]
pub struct Destination {
    /// The server's addresses.
    pub endpoints: Vec<Endpoint>,
    /// Sent with every request.
    pub headers: HeaderMap,
    /// The version to open sessions with, instead of the client's.
    pub version: Option<crate::mcp::ProtocolVersion>,
}

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
    fn new(destination: Destination, numbers: &mut Numbers) -> Self {
        let Destination { endpoints, headers, version } = destination;
        Self { endpoints: numbers.number(endpoints), headers, version }
    }

    /// Whether a session to `endpoint` that was opened for the target `old` may stay.
    pub(super) fn still_fits(&self, old: &Self, endpoint: &Endpoint) -> bool {
        self.endpoints.contains(endpoint) && self.headers == old.headers && self.version == old.version
    }
}

/// Opens sessions over Streamable HTTP.
pub struct HttpConnector {
    target: Arc<ArcSwap<Target>>,
    numbers: Mutex<Numbers>,
    tls: HttpsConnector<connect::HttpConnector>,
    tracer: Option<Tracer>,
}

impl HttpConnector {
    /// A connector to `destination`. `tracer` tells of its handshakes.
    pub fn new(destination: Destination, tracer: Option<Tracer>) -> Self {
        let mut tcp = connect::HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(TCP_TIMEOUT));
        let tls = HttpsConnectorBuilder::new()
            .with_webpki_roots()
            .https_or_http()
            .enable_all_versions()
            .wrap_connector(tcp);
        let mut numbers = Numbers::default();
        let target = Arc::new(ArcSwap::from_pointee(Target::new(destination, &mut numbers)));
        Self { target, numbers: Mutex::new(numbers), tls, tracer }
    }

    /// Has sessions opened to another destination from now on.
    pub fn set_destination(&self, destination: Destination) {
        self.target.store(Arc::new(Target::new(destination, &mut self.numbers.lock())));
    }

    /// An address as it is shown to people.
    pub fn label(&self, endpoint: EndpointId) -> Option<Arc<str>> {
        self.target.load().endpoints.get(endpoint).map(|endpoint| Arc::clone(&endpoint.label))
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

    async fn connect(&self, key: &SessionKey, endpoint: EndpointId) -> Result<UpstreamSession, ConnectError> {
        let target = self.target.load_full();
        let Some(endpoint) = target.endpoints.get(endpoint) else { return Err(ConnectError::NoEndpoint) };
        let span = self.tracer.as_ref().map(|tracer| tracer.handshake(endpoint));
        let handshake =
            handshake::open(self.client(), endpoint, &target, Arc::clone(&self.target), key, span.as_ref());
        let error = match tokio::time::timeout(HANDSHAKE_TIMEOUT, handshake).await {
            Ok(Ok(session)) => {
                if let Some(span) = span {
                    span.done();
                }
                tracing::debug!(endpoint = %endpoint.label, scope = ?key.scope, "session opened");
                return Ok(session);
            }
            Ok(Err(error)) => error,
            Err(_) => ConnectError::Timeout {
                endpoint: Arc::clone(&endpoint.label),
                seconds: HANDSHAKE_TIMEOUT.as_secs(),
            },
        };
        if let Some(span) = span {
            span.failed(error.kind());
        }
        tracing::warn!(%error, "session not opened");
        Err(error)
    }

    fn endpoints(&self) -> Vec<EndpointSpec> {
        self.target.load().endpoints.specs()
    }
}
