//! Spans, as an OpenTelemetry collector gets them over OTLP, and as Python's SDK writes them to files.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{HeaderMap, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value as Any};
use opentelemetry_proto::tonic::trace::v1::Span as Exported;
use parking_lot::Mutex;
use prost::Message;
use serde_json::Value;
use tokio::net::TcpListener;

/// One span, whoever told of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// Name of the service.
    pub service: String,
    /// What the service says of itself.
    pub resource: BTreeMap<String, String>,
    /// Trace, as hexadecimal digits.
    pub trace: String,
    /// Its own id.
    pub id: String,
    /// The id of the span that it is a part of.
    pub parent: Option<String>,
    pub name: String,
    /// CLIENT, SERVER or INTERNAL.
    pub kind: String,
    /// Values as text.
    pub attributes: BTreeMap<String, String>,
    /// Ids of the spans that it is linked to.
    pub links: Vec<String>,
    pub is_error: bool,
    /// Nanoseconds since 1970; 0 where a file tells.
    pub start: u64,
    pub end: u64,
}

impl Span {
    /// An attribute's text.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.get(name).map(String::as_str)
    }
}

#[derive(Default)]
struct Received {
    spans: Vec<Span>,
    headers: Vec<HeaderMap>,
    bytes: Vec<u8>,
}

/// Takes spans at `/v1/traces`; ended when dropped.
pub struct Collector {
    /// Where it listens.
    pub address: SocketAddr,
    received: Arc<Mutex<Received>>,
    task: tokio::task::JoinHandle<()>,
}

impl Collector {
    /// Starts one.
    pub async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let received = Arc::new(Mutex::new(Received::default()));
        let sink = Arc::clone(&received);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let sink = Arc::clone(&sink);
                tokio::spawn(async move {
                    let service = service_fn(move |request| take(request, Arc::clone(&sink)));
                    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Ok(Self { address, received, task })
    }

    /// What `--otlp-endpoint` names.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// All spans that came.
    pub fn spans(&self) -> Vec<Span> {
        self.received.lock().spans.clone()
    }

    /// The headers of each export.
    pub fn headers(&self) -> Vec<HeaderMap> {
        self.received.lock().headers.clone()
    }

    /// Whether a text is anywhere in what came.
    pub fn holds(&self, text: &str) -> bool {
        self.received.lock().bytes.windows(text.len()).any(|part| part == text.as_bytes())
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn take(
    request: Request<Incoming>,
    sink: Arc<Mutex<Received>>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let mut response = Response::new(Full::default());
    let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    match ExportTraceServiceRequest::decode(body.clone()) {
        Ok(export) if head.uri.path() == "/v1/traces" => {
            let mut sink = sink.lock();
            sink.spans.extend(spans(export));
            sink.headers.push(head.headers);
            sink.bytes.extend_from_slice(&body);
        }
        _ => *response.status_mut() = StatusCode::BAD_REQUEST,
    }
    Ok(response)
}

fn spans(export: ExportTraceServiceRequest) -> Vec<Span> {
    let mut all = Vec::new();
    for group in export.resource_spans {
        let resource = attributes(&group.resource.map(|resource| resource.attributes).unwrap_or_default());
        let spans = group.scope_spans.into_iter().flat_map(|scope| scope.spans);
        all.extend(spans.map(|span| exported(&span, &resource)));
    }
    all
}

fn exported(span: &Exported, resource: &BTreeMap<String, String>) -> Span {
    let kind = ["", "INTERNAL", "SERVER", "CLIENT"].get(usize::try_from(span.kind).unwrap_or_default());
    Span {
        service: resource.get("service.name").cloned().unwrap_or_default(),
        resource: resource.clone(),
        trace: hex(&span.trace_id),
        id: hex(&span.span_id),
        parent: Some(hex(&span.parent_span_id)).filter(|parent| !parent.is_empty()),
        name: span.name.clone(),
        kind: (*kind.unwrap_or(&"")).to_owned(),
        attributes: attributes(&span.attributes),
        links: span.links.iter().map(|link| hex(&link.span_id)).collect(),
        is_error: span.status.as_ref().is_some_and(|status| status.code == 2),
        start: span.start_time_unix_nano,
        end: span.end_time_unix_nano,
    }
}

fn attributes(list: &[KeyValue]) -> BTreeMap<String, String> {
    let text = |value: Option<&Any>| match value {
        Some(Any::StringValue(text)) => text.clone(),
        Some(Any::IntValue(number)) => number.to_string(),
        other => format!("{other:?}"),
    };
    let pair = |pair: &KeyValue| {
        (pair.key.clone(), text(pair.value.as_ref().and_then(|value| value.value.as_ref())))
    };
    list.iter().map(pair).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The spans that `tests/upstreams/python/traced.py` wrote.
///
/// # Errors
/// If the file is not there or holds something else.
pub fn written(file: &Path) -> Result<Vec<Span>> {
    let text = std::fs::read_to_string(file).with_context(|| format!("can't read {}", file.display()))?;
    text.lines().map(|line| from_python(&serde_json::from_str(line)?)).collect()
}

fn from_python(span: &Value) -> Result<Span> {
    let id = |value: &Value| value.as_str().map(|text| text.trim_start_matches("0x").to_owned());
    let texts = |value: &Value| {
        let fields = value.as_object().into_iter().flatten();
        fields.map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned())).collect()
    };
    let resource: BTreeMap<_, _> = texts(&span["resource"]["attributes"]);
    Ok(Span {
        service: resource.get("service.name").cloned().unwrap_or_default(),
        resource,
        trace: id(&span["context"]["trace_id"]).context("no trace")?,
        id: id(&span["context"]["span_id"]).context("no id")?,
        parent: id(&span["parent_id"]),
        name: span["name"].as_str().unwrap_or_default().to_owned(),
        kind: span["kind"].as_str().unwrap_or_default().trim_start_matches("SpanKind.").to_owned(),
        attributes: texts(&span["attributes"]),
        links: Vec::new(),
        is_error: span["status"]["status_code"] == "ERROR",
        start: 0,
        end: 0,
    })
}
