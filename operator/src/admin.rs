//! The operator's own HTTP endpoints: /livez, /readyz, /metrics and /log-filter.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Bytes, Incoming},
    header::CONTENT_TYPE,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;

use crate::{metrics::Metrics, telemetry::LogFilter};

/// Longest time for a request's head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest log filter that is taken, in bytes.
const FILTER_LIMIT: usize = 4096;

/// Whether the pools of every watched namespace have been listed once, or another operator acts and this one waits.
/// Clones share the answer.
#[derive(Debug, Clone)]
pub struct Readiness(Arc<State>);

#[derive(Debug)]
struct State {
    awaited: AtomicUsize,
    stands_by: AtomicBool,
}

impl Readiness {
    /// Nothing is listed yet; `lists` are awaited.
    pub fn awaiting(lists: usize) -> Self {
        Self(Arc::new(State { awaited: AtomicUsize::new(lists), stands_by: AtomicBool::new(false) }))
    }

    /// One more of them is there. Each is told once.
    pub fn listed(&self) {
        self.0.awaited.fetch_sub(1, Ordering::Relaxed);
    }

    /// Whether this operator waits for its turn.
    pub fn stand_by(&self, waits: bool) {
        self.0.stands_by.store(waits, Ordering::Relaxed);
    }

    fn get(&self) -> bool {
        self.0.stands_by.load(Ordering::Relaxed) || self.0.awaited.load(Ordering::Relaxed) == 0
    }
}

/// Binds the admin address.
pub async fn bind(address: SocketAddr) -> Result<TcpListener, AdminError> {
    TcpListener::bind(address).await.map_err(|source| AdminError::Bind { address, source })
}

/// What the endpoints tell of, and change.
#[derive(Clone)]
pub struct Admin {
    /// The operator's metrics.
    pub metrics: Metrics,
    /// Whether it is ready.
    pub ready: Readiness,
    /// What it logs.
    pub log: LogFilter,
}

/// Answers until it is dropped.
pub async fn serve(listener: TcpListener, admin: Admin) {
    loop {
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "no connection could be accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let admin = admin.clone();
        tokio::spawn(async move {
            let service = service_fn(|request| async {
                let response = admin.answer(request, peer.ip().to_canonical().is_loopback()).await;
                Ok::<_, Infallible>(response)
            });
            let served = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_TIMEOUT)
                .serve_connection(TokioIo::new(stream), service)
                .await;
            if let Err(error) = served {
                tracing::debug!(%error, "an admin connection broke");
            }
        });
    }
}

impl Admin {
    async fn answer(&self, request: Request<Incoming>, local: bool) -> Response<Full<Bytes>> {
        match (request.method(), request.uri().path()) {
            (&Method::PUT, "/log-filter") if local => self.set_log_filter(request.into_body()).await,
            (&Method::PUT, "/log-filter") => {
                text(StatusCode::FORBIDDEN, "change it through kubectl port-forward to the operator's pod\n")
            }
            (&Method::GET | &Method::HEAD, path) => self.get(path),
            _ => text(StatusCode::METHOD_NOT_ALLOWED, "use GET, or PUT /log-filter\n"),
        }
    }

    fn get(&self, path: &str) -> Response<Full<Bytes>> {
        match path {
            "/livez" => text(StatusCode::OK, "ok\n"),
            "/readyz" if self.ready.get() => text(StatusCode::OK, "ok\n"),
            "/readyz" => {
                text(StatusCode::SERVICE_UNAVAILABLE, "the pools have not been listed yet: see the log\n")
            }
            "/metrics" => match self.metrics.render() {
                Ok(body) => text(StatusCode::OK, body),
                Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
            },
            _ => text(StatusCode::NOT_FOUND, "there are /livez, /readyz, /metrics and /log-filter\n"),
        }
    }

    async fn set_log_filter(&self, body: Incoming) -> Response<Full<Bytes>> {
        let body = match tokio::time::timeout(HEAD_TIMEOUT, Limited::new(body, FILTER_LIMIT).collect()).await
        {
            Ok(Ok(body)) => body.to_bytes(),
            Ok(Err(error)) => return text(StatusCode::BAD_REQUEST, format!("{error}\n")),
            Err(_) => return text(StatusCode::REQUEST_TIMEOUT, "the filter did not come in time\n"),
        };
        let filter = String::from_utf8_lossy(&body);
        match self.log.set(filter.trim()) {
            Ok(()) => {
                tracing::info!(filter = filter.trim(), "the log filter was changed");
                text(StatusCode::OK, "ok\n")
            }
            Err(error) => text(StatusCode::BAD_REQUEST, format!("{error}\n")),
        }
    }
}

fn text(status: StatusCode, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(
        CONTENT_TYPE,
        hyper::header::HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8"),
    );
    response
}

/// Why the endpoints could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// The address can't be used.
    #[error("can't listen on {address}: choose another --admin-listen")]
    Bind {
        /// What was asked for.
        address: SocketAddr,
        /// Why not.
        source: std::io::Error,
    },
}
