//! The admin port: health, metrics, statistics. Read only, but for REST where that is asked for.

pub mod report;

use std::sync::Arc;

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode,
    body::Incoming,
    header::{self, HeaderValue},
};

use crate::{api::Rest, gateway::Gateway, metrics::Metrics, readiness::Readiness, reload::Reload};

/// Answers on the admin port.
pub struct Admin {
    gateway: Arc<Gateway>,
    readiness: Arc<Readiness>,
    reload: Arc<Reload>,
    metrics: Metrics,
    rest: Option<Rest>,
}

impl Admin {
    /// Reports on a running gateway.
    ///
    /// # Errors
    /// If a metric can't be registered.
    pub fn new(
        gateway: Arc<Gateway>,
        readiness: Arc<Readiness>,
        reload: Arc<Reload>,
        rest: Option<Rest>,
    ) -> prometheus::Result<Self> {
        let metrics = Metrics::new(&gateway, &reload)?;
        Ok(Self { gateway, readiness, reload, metrics, rest })
    }

    /// Answers one request.
    pub async fn handle(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        match &self.rest {
            Some(rest) if Rest::has(request.uri().path()) => rest.answer(request).await,
            _ => self.report(&request),
        }
    }

    fn report(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "this port is read only: use GET\n");
            response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
            return response;
        }
        match request.uri().path() {
            "/livez" => text(StatusCode::OK, "ok\n"),
            "/readyz" => self.ready(),
            "/metrics" => match self.metrics.text() {
                Ok(metrics) => respond(StatusCode::OK, Metrics::content_type(), metrics),
                Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
            },
            "/pool/stats" => json(&report::stats(&self.gateway, &self.readiness, &self.reload)),
            "/pool/sessions" => json(&report::sessions(&self.gateway)),
            "/pool/optimize" => json(&report::advice(&self.gateway, &self.readiness, &self.reload)),
            path if Rest::has(path) => text(
                StatusCode::NOT_FOUND,
                format!("nothing at {path}: start the proxy with --api-token-file to have REST here\n"),
            ),
            path => text(
                StatusCode::NOT_FOUND,
                format!(
                    "nothing at {path}; there are /livez /readyz /metrics /pool/stats /pool/sessions /pool/optimize\n"
                ),
            ),
        }
    }

    fn ready(&self) -> Response<Full<Bytes>> {
        if self.readiness.is_ready() {
            return text(StatusCode::OK, "ok\n");
        }
        let reason = match self.gateway.pool.last_connect_error() {
            Some(error) => error.to_string(),
            None => "no handshake with the upstream has succeeded yet".to_owned(),
        };
        text(StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {reason}\n"))
    }
}

fn json(value: &impl serde::Serialize) -> Response<Full<Bytes>> {
    match serde_json::to_vec_pretty(value) {
        Ok(mut body) => {
            body.push(b'\n');
            respond(StatusCode::OK, "application/json", body)
        }
        Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
    }
}

fn text(status: StatusCode, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    respond(status, "text/plain; charset=utf-8", body)
}

fn respond(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}
