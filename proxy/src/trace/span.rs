//! Spans that are open.

use std::time::SystemTime;

use hyper::{HeaderMap, StatusCode};
use opentelemetry::{
    Context, KeyValue,
    trace::{SpanBuilder, SpanContext, SpanRef, Status, TraceContextExt, Tracer},
};
use opentelemetry_sdk::trace::SdkTracer;

use super::{
    attributes as name, context,
    outcome::{self, Failure},
};
use crate::mcp::Message;

/// A span that ends once, at the latest when it is dropped: then nobody has waited for its end.
#[derive(Debug)]
pub(super) struct Open(Context);

impl Open {
    pub(super) fn begin(tracer: &SdkTracer, builder: SpanBuilder, parent: &Context) -> Self {
        Self(parent.with_span(tracer.build_with_context(builder, parent)))
    }

    pub(super) fn context(&self) -> &Context {
        &self.0
    }

    pub(super) fn span(&self) -> SpanRef<'_> {
        self.0.span()
    }

    /// Whether anything that is said about it is exported.
    pub(super) fn is_recording(&self) -> bool {
        self.span().is_recording()
    }

    /// Ends it with what an answer says.
    pub(super) fn answered(&self, answer: &[u8]) {
        if self.is_recording() {
            self.end(outcome::of(answer));
        }
    }

    pub(super) fn end(&self, failure: Option<Failure>) {
        let span = self.span();
        if let Some(failure) = failure.filter(|_| span.is_recording()) {
            let kind = match failure {
                Failure::Code(code) => {
                    span.set_attribute(KeyValue::new(name::RPC_STATUS, code.to_string()));
                    code.to_string().into()
                }
                Failure::Tool => "tool_error".into(),
                Failure::Other(kind) => kind,
            };
            span.set_attribute(KeyValue::new(name::ERROR, kind));
            // The text of an error may repeat what the tool was given.
            span.set_status(Status::error(""));
        }
        span.end();
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if self.is_recording() {
            self.end(Some(Failure::Other("abandoned".into())));
        }
    }
}

/// Something that is sent to the server, from sending it to its answer.
#[derive(Debug)]
pub struct CallSpan(pub(super) Open);

impl CallSpan {
    /// What others may link to.
    pub fn context(&self) -> SpanContext {
        self.0.span().span_context().clone()
    }

    /// Has an HTTP request say that it comes from this span.
    pub fn write_headers(&self, headers: &mut HeaderMap) {
        context::write_headers(self.0.span().span_context(), headers);
    }

    /// What to replace in a message, so that it says that it comes from this span.
    pub fn edits<'a>(&self, message: &'a [u8]) -> Vec<(&'a str, String)> {
        let (Ok(text), Ok(Message::Request { params, .. })) =
            (std::str::from_utf8(message), Message::parse(message))
        else {
            return Vec::new();
        };
        context::edits(self.0.span().span_context(), text, params)
    }

    /// The value of `_meta` for a message that has none.
    pub fn fresh_meta(&self) -> String {
        context::fresh_meta(self.0.span().span_context())
    }

    /// Ends it with what an answer says.
    pub fn answered(&self, answer: &[u8]) {
        self.0.answered(answer);
    }

    /// Ends it: all went well.
    pub fn done(&self) {
        self.0.end(None);
    }

    /// Ends it: the server refused with an HTTP status.
    pub fn refused(&self, status: StatusCode) {
        self.failed(status.as_str().to_owned());
    }

    /// Ends it with a failure, in one word.
    pub fn failed(&self, kind: impl Into<std::borrow::Cow<'static, str>>) {
        self.0.end(Some(Failure::Other(kind.into())));
    }

    /// Notes an attribute.
    pub fn note(&self, attribute: KeyValue) {
        self.0.span().set_attribute(attribute);
    }
}

/// The time that a request waits for a session.
#[derive(Debug)]
pub struct WaitSpan {
    pub(super) open: Open,
    pub(super) since: SystemTime,
}

impl WaitSpan {
    /// When it began.
    pub fn since(&self) -> SystemTime {
        self.since
    }

    /// Ends it. `handshake` is that of the session that was opened meanwhile.
    pub fn served(&self, handshake: Option<&SpanContext>) {
        let span = self.open.span();
        if let Some(handshake) = handshake {
            span.add_link(handshake.clone(), Vec::new());
        }
        self.open.end(None);
    }

    /// Ends it without a session, for a reason in one word.
    pub fn refused(&self, why: &'static str) {
        self.open.end(Some(Failure::Other(why.into())));
    }
}
