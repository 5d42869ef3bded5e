//! Spans: what a client asked, how long it waited for a session, and what was sent to the server for it.
//!
//! Their names, kinds and attributes: <https://github.com/open-telemetry/semantic-conventions-genai>, docs/gen-ai/mcp.md. Without
//! an endpoint to export to there is no [`Tracer`], and a request meets nothing but an `Option`.
//!
//! Spans hold no secret and nothing that tools take or give: neither arguments and results, nor the ids of sessions on either
//! side, nor the texts of errors, which may repeat any of them.

pub mod attributes;
mod context;
mod export;
mod outcome;
mod request;
mod span;

use opentelemetry::{
    Context,
    trace::{SpanKind, Tracer as _},
};
use opentelemetry_sdk::trace::SdkTracer;

use self::{attributes as name, span::Open};
pub use self::{
    export::{Exporter, start},
    request::RequestSpan,
    span::{CallSpan, WaitSpan},
};
use crate::upstream::endpoints::Endpoint;

/// Begins spans.
#[derive(Debug, Clone)]
pub struct Tracer(SdkTracer);

impl Tracer {
    /// The handshake of a session that is opened for the pool. It belongs to no request, so it begins a trace of its own; a
    /// request that waited for it has a link to it.
    pub fn handshake(&self, endpoint: &Endpoint) -> CallSpan {
        let attributes = name::of_upstream(&endpoint.uri)
            .into_iter()
            .chain([name::text(name::METHOD, "initialize")])
            .collect::<Vec<_>>();
        let builder =
            self.0.span_builder("initialize").with_kind(SpanKind::Client).with_attributes(attributes);
        CallSpan(Open::begin(&self.0, builder, &Context::new()))
    }
}
