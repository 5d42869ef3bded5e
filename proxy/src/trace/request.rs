//! A client's request, from its arrival until its answer leaves.

use std::{fmt::Write, sync::Arc, time::SystemTime};

use hyper::{HeaderMap, Response, StatusCode, Uri, Version};
use opentelemetry::{
    Key, KeyValue,
    trace::{Link, SpanKind, Tracer as _},
};
use serde_json::value::RawValue;

use super::{
    CallSpan, Tracer, WaitSpan,
    attributes::{self as name, text},
    context,
    outcome::Failure,
    span::Open,
};
use crate::{
    downstream::{reply::Reply, token::Claims},
    mcp::{self, Message, envelope::Params},
};

/// Shared by all that work on the request; it ends once.
#[derive(Debug, Clone)]
pub struct RequestSpan(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    tracer: Tracer,
    name: String,
    /// What calls to the server for this request have in common with it.
    common: Vec<KeyValue>,
    open: Open,
}

impl Tracer {
    /// Begins the span of a client's message; none for its answers to the server, which belong to a span of the server's.
    pub fn request(
        &self,
        message: &Message<'_>,
        headers: &HeaderMap,
        version: Version,
    ) -> Option<RequestSpan> {
        let (id, method, params) = match message {
            Message::Request { id, method, params } => (Some(*id), &**method, *params),
            Message::Notification { method, params } => (None, &**method, *params),
            Message::Response { .. } => return None,
        };
        let (parent, around) = context::read(headers, params);
        let common = about(method, params);
        let target =
            common.iter().find(|attribute| matches!(attribute.key.as_str(), name::TOOL | name::PROMPT));
        let mut title = name::cut(method).to_owned();
        if let Some(target) = target {
            let _ = write!(title, " {}", target.value);
        }
        let mut attributes = common.clone();
        attributes.extend([
            KeyValue::new(name::NETWORK_PROTOCOL, "http"),
            KeyValue::new(name::NETWORK_VERSION, if version == Version::HTTP_2 { "2" } else { "1.1" }),
            KeyValue::new(name::NETWORK_TRANSPORT, "tcp"),
        ]);
        attributes.extend(id.map(|id| text(name::REQUEST_ID, id.trim_matches('"'))));
        let builder = self
            .0
            .span_builder(title.clone())
            .with_kind(SpanKind::Server)
            .with_attributes(attributes)
            .with_links(around.into_iter().map(Link::with_context).collect());
        let open = Open::begin(&self.0, builder, &parent);
        Some(RequestSpan(Arc::new(Inner { tracer: self.clone(), name: title, common, open })))
    }
}

/// What a message is about, as far as it is no secret.
fn about(method: &str, params: Option<&RawValue>) -> Vec<KeyValue> {
    let mut attributes = vec![text(name::METHOD, method)];
    let params = Params::parse(params);
    match (method, params.name, params.uri) {
        ("tools/call", Some(tool), _) => {
            attributes.extend([text(name::TOOL, &tool), KeyValue::new(name::OPERATION, "execute_tool")]);
        }
        ("prompts/get", Some(prompt), _) => attributes.push(text(name::PROMPT, &prompt)),
        ("resources/read" | "resources/subscribe" | "resources/unsubscribe", _, Some(uri)) => {
            attributes.push(text(name::RESOURCE, &name::resource(&uri)));
        }
        _ => {}
    }
    attributes
}

impl RequestSpan {
    /// Notes the client session that it belongs to.
    pub fn of_session(&self, claims: &Claims) {
        if self.0.open.is_recording() {
            let id = u128::from_be_bytes(claims.id);
            self.0.open.span().set_attributes([
                KeyValue::new(name::SESSION, format!("{id:032x}")),
                KeyValue::new(name::PROTOCOL, claims.version.as_str()),
            ]);
        }
    }

    /// Begins the time that it waits for a session.
    pub fn wait(&self, since: SystemTime) -> WaitSpan {
        let builder = self.0.tracer.0.span_builder("wait for session").with_start_time(since);
        WaitSpan { open: Open::begin(&self.0.tracer.0, builder, self.0.open.context()), since }
    }

    /// Begins sending it to the server. `resends` says how often it was sent before.
    pub fn call(
        &self,
        uri: &Uri,
        version: mcp::ProtocolVersion,
        id: u64,
        slot: u64,
        resends: u32,
    ) -> CallSpan {
        let Inner { tracer: Tracer(sdk), name: title, common, open } = &*self.0;
        let mut builder = sdk.span_builder(title.clone()).with_kind(SpanKind::Client);
        if open.is_recording() {
            let mut attributes = common.clone();
            attributes.extend(name::of_upstream(uri));
            attributes.extend([
                KeyValue::new(name::PROTOCOL, version.as_str()),
                KeyValue::new(name::REQUEST_ID, id.to_string()),
                KeyValue::new(Key::from_static_str(name::SLOT), i64::try_from(slot).unwrap_or(i64::MAX)),
            ]);
            attributes.extend((resends > 0).then(|| KeyValue::new(name::RESEND, i64::from(resends))));
            builder = builder.with_attributes(attributes);
        }
        CallSpan(Open::begin(sdk, builder, open.context()))
    }

    /// The response is there: a stream takes the span along, anything else ends it.
    pub fn respond(self, response: &mut Response<Reply>) {
        let status = response.status();
        match response.body_mut() {
            Reply::Events(exchange) => exchange.carry(self),
            Reply::Full(Some(body)) => {
                if self.0.open.is_recording() {
                    let failure = super::outcome::of(body).or_else(|| of_status(status));
                    self.0.open.end(failure);
                }
            }
            Reply::Full(None) | Reply::Listen(_) | Reply::Relay(_) => self.0.open.end(of_status(status)),
        }
    }

    /// Ends it with what an answer says.
    pub fn answered(&self, answer: &[u8]) {
        self.0.open.answered(answer);
    }

    /// Ends it with a failure, in one word.
    pub fn failed(&self, kind: &'static str) {
        self.0.open.end(Some(Failure::Other(kind.into())));
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // Nobody is there who could be answered.
        if self.open.is_recording() {
            self.open.end(Some(Failure::Other("disconnected".into())));
        }
    }
}

fn of_status(status: StatusCode) -> Option<Failure> {
    (!status.is_success()).then(|| Failure::Other(status.as_str().to_owned().into()))
}
