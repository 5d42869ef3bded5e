//! Sends spans away, over OTLP with HTTP, from a thread of its own. What can't be sent in time is dropped; no request waits.

use std::{env, time::Duration};

use anyhow::{Context, bail, ensure};
use async_trait::async_trait;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{Request, Response, Uri};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use opentelemetry::{KeyValue, trace::TracerProvider};
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::{
    Resource,
    resource::{EnvResourceDetector, TelemetryResourceDetector},
    trace::SdkTracerProvider,
};
use tokio::runtime::Handle;

use super::{Tracer, attributes};

/// The name of the service unless the environment gives one.
const SERVICE: &str = "sessionpool-proxy";

/// How long the collector has for an answer unless the environment says otherwise.
const TIMEOUT: Duration = Duration::from_secs(10);

/// How long the last spans may take.
const FLUSH: Duration = Duration::from_secs(5);

/// Bytes of the collector's answer that are read.
const ANSWER_LIMIT: usize = 1 << 20;

/// Variables whose meaning this exporter does not have, and which would be missed.
const NOT_SUPPORTED: [&str; 6] = [
    "OTEL_EXPORTER_OTLP_CERTIFICATE",
    "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE",
    "OTEL_EXPORTER_OTLP_CLIENT_KEY",
    "OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE",
    "OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE",
    "OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY",
];

/// Exports spans until it is closed.
#[derive(Debug)]
pub struct Exporter(SdkTracerProvider);

/// Starts to export if `endpoint` or the environment says where to; needs the runtime. The rest is read from the environment:
/// <https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables>.
///
/// # Errors
/// If something is asked for that is not supported.
pub fn start(endpoint: Option<&str>, server_id: &str) -> anyhow::Result<Option<Exporter>> {
    let disabled = variable("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true"));
    let endpoint = endpoint
        .map(|base| format!("{}/v1/traces", base.trim_end_matches('/')))
        .or_else(|| variable("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"))
        .or_else(|| {
            let base = variable("OTEL_EXPORTER_OTLP_ENDPOINT")?;
            Some(format!("{}/v1/traces", base.trim_end_matches('/')))
        });
    let Some(endpoint) = endpoint.filter(|_| !disabled) else { return Ok(None) };
    match variable("OTEL_TRACES_EXPORTER").as_deref() {
        None | Some("otlp") => {}
        Some("none") => return Ok(None),
        Some(other) => bail!("OTEL_TRACES_EXPORTER={other} is not supported: otlp or none"),
    }
    check()?;
    let uri: Uri = endpoint
        .parse()
        .ok()
        .filter(|uri: &Uri| matches!(uri.scheme_str(), Some("http" | "https")))
        .context("the OTLP endpoint must be an http or https URL, for example http://collector:4318")?;
    let exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(Sender::new())
        .with_endpoint(&endpoint)
        .build()
        .context("spans can't be exported")?;
    let provider =
        SdkTracerProvider::builder().with_resource(resource(server_id)).with_batch_exporter(exporter).build();
    tracing::info!(host = uri.host(), "spans are exported");
    Ok(Some(Exporter(provider)))
}

impl Exporter {
    /// Begins spans that are exported.
    pub fn tracer(&self) -> Tracer {
        let scope = opentelemetry::InstrumentationScope::builder(SERVICE)
            .with_version(env!("CARGO_PKG_VERSION"))
            .build();
        Tracer(self.0.tracer_with_scope(scope))
    }

    /// Sends what is left, and ends.
    pub async fn close(self) {
        let closing = tokio::task::spawn_blocking(move || self.0.shutdown_with_timeout(FLUSH));
        match closing.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the last spans were not exported"),
            Err(error) => tracing::warn!(%error, "the last spans were not exported"),
        }
    }
}

/// Refuses what would be ignored.
fn check() -> anyhow::Result<()> {
    let protocol =
        variable("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL").or_else(|| variable("OTEL_EXPORTER_OTLP_PROTOCOL"));
    if let Some(protocol) = protocol.filter(|protocol| protocol != "http/protobuf") {
        bail!(
            "OTLP with {protocol} is not supported: use http/protobuf, which collectors serve on port 4318"
        );
    }
    let compression = variable("OTEL_EXPORTER_OTLP_TRACES_COMPRESSION")
        .or_else(|| variable("OTEL_EXPORTER_OTLP_COMPRESSION"));
    if let Some(compression) = compression.filter(|compression| compression != "none") {
        bail!("OTLP compressed with {compression} is not supported: spans are sent as they are");
    }
    if let Some(name) = NOT_SUPPORTED.iter().find(|name| variable(name).is_some()) {
        bail!(
            "{name} is not supported: the collector's certificate must be one of a public authority, or use http"
        );
    }
    if let Some(propagators) = variable("OTEL_PROPAGATORS") {
        let known = |name: &str| matches!(name.trim(), "tracecontext" | "baggage");
        ensure!(
            propagators.split(',').all(known),
            "OTEL_PROPAGATORS={propagators} is not supported: tracecontext,baggage"
        );
    }
    Ok(())
}

fn resource(server_id: &str) -> Resource {
    let mut builder = Resource::builder_empty()
        .with_attributes([
            KeyValue::new("service.name", SERVICE),
            KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
            KeyValue::new(attributes::SERVER_ID, server_id.to_owned()),
        ])
        .with_detectors(&[Box::new(TelemetryResourceDetector), Box::new(EnvResourceDetector::new())]);
    if let Some(name) = variable("OTEL_SERVICE_NAME") {
        builder = builder.with_service_name(name);
    }
    builder.build()
}

/// An environment variable that is not empty.
fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.trim().is_empty())
}

/// The proxy's own kind of HTTP client. The exporter's thread is none of the runtime's, where connections live.
#[derive(Debug)]
struct Sender {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    runtime: Handle,
    timeout: Duration,
}

impl Sender {
    fn new() -> Self {
        let tls =
            HttpsConnectorBuilder::new().with_webpki_roots().https_or_http().enable_all_versions().build();
        let timeout = variable("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT")
            .or_else(|| variable("OTEL_EXPORTER_OTLP_TIMEOUT"))
            .and_then(|milliseconds| milliseconds.parse().ok().map(Duration::from_millis));
        Self {
            client: Client::builder(TokioExecutor::new()).pool_timer(TokioTimer::new()).build(tls),
            runtime: Handle::current(),
            timeout: timeout.unwrap_or(TIMEOUT),
        }
    }
}

#[async_trait]
impl HttpClient for Sender {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let client = self.client.clone();
        let exchange = async move {
            let (head, body) = client.request(request.map(Full::new)).await?.into_parts();
            let body = Limited::new(body, ANSWER_LIMIT).collect().await?.to_bytes();
            Ok::<_, HttpError>(Response::from_parts(head, body))
        };
        let limit = self.timeout;
        self.runtime.spawn(async move { tokio::time::timeout(limit, exchange).await? }).await?
    }
}
