//! The trace that a message belongs to: read from and written to HTTP headers and `params._meta`.
//!
//! <https://www.w3.org/TR/trace-context/>; in `_meta` the same names stand without a prefix.

use std::borrow::Cow;

use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::{
    Context,
    propagation::{Extractor, TextMapPropagator},
    trace::{SpanContext, TraceContextExt},
};
use opentelemetry_http::HeaderExtractor;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::mcp::envelope::raw;

const PARENT: HeaderName = HeaderName::from_static("traceparent");
const STATE: HeaderName = HeaderName::from_static("tracestate");

#[derive(Default, Deserialize)]
struct Carrier<'a> {
    #[serde(borrow, default)]
    traceparent: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    tracestate: Option<Cow<'a, str>>,
}

impl Extractor for Carrier<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        match key {
            "traceparent" => self.traceparent.as_deref(),
            "tracestate" => self.tracestate.as_deref(),
            _ => None,
        }
    }

    fn keys(&self) -> Vec<&str> {
        vec!["traceparent", "tracestate"]
    }
}

/// The span that a request says it comes from, and another that its HTTP request comes from.
pub(super) fn read(headers: &HeaderMap, params: Option<&RawValue>) -> (Context, Option<SpanContext>) {
    let propagator = TraceContextPropagator::new();
    let of = |carrier: &dyn Extractor| {
        let context = propagator.extract_with_context(&Context::new(), carrier);
        let remote = context.span().span_context().clone();
        (context, remote)
    };
    let (around, outer) = of(&HeaderExtractor(headers));
    let meta = meta(params).and_then(|meta| object::<Carrier<'_>>(meta.get()));
    let (context, inner) = of(&meta.unwrap_or_default());
    if !inner.is_valid() {
        return (around, None);
    }
    let other =
        outer.is_valid() && (outer.trace_id(), outer.span_id()) != (inner.trace_id(), inner.span_id());
    (context, other.then_some(outer))
}

/// Has an HTTP request say that it comes from `span`.
pub(super) fn write_headers(span: &SpanContext, headers: &mut HeaderMap) {
    headers.remove(STATE);
    if let Ok(parent) = HeaderValue::from_str(&parent(span)) {
        headers.insert(PARENT, parent);
    }
    let state = span.trace_state().header();
    if let Some(state) = HeaderValue::from_str(&state).ok().filter(|state| !state.is_empty()) {
        headers.insert(STATE, state);
    }
}

/// What to replace in a message, so that it says that it comes from `span`: slices of the message and their successors.
/// Nothing where `params` or `_meta` are no objects.
pub(super) fn edits<'a>(
    span: &SpanContext,
    message: &'a str,
    params: Option<&'a RawValue>,
) -> Vec<(&'a str, String)> {
    let parent = format!("\"{}\"", parent(span));
    let state = span.trace_state().header();
    let state = (!state.is_empty()).then(|| serde_json::Value::from(state).to_string());
    let both = || {
        let state = state.as_ref().map(|state| format!(",\"tracestate\":{state}")).unwrap_or_default();
        format!("\"traceparent\":{parent}{state}")
    };
    let Some(params) = params.map(RawValue::get) else {
        let fields = format!("\"params\":{{\"_meta\":{{{}}}}}", both());
        return inside(message, fields).into_iter().collect();
    };
    let Some(found) = object::<Params<'_>>(params) else { return Vec::new() };
    let Some(meta) = found.meta.map(RawValue::get) else {
        return inside(params, format!("\"_meta\":{{{}}}", both())).into_iter().collect();
    };
    let Some(old) = object::<Places<'_>>(meta) else { return Vec::new() };
    match (old.traceparent, old.tracestate) {
        (Some(old_parent), Some(old_state)) => {
            vec![(old_parent.get(), parent), (old_state.get(), state.unwrap_or_else(|| "\"\"".into()))]
        }
        (Some(old_parent), None) => {
            let state = state.map(|state| format!("{parent},\"tracestate\":{state}"));
            vec![(old_parent.get(), state.unwrap_or(parent))]
        }
        (None, Some(old_state)) => {
            let state = state.unwrap_or_else(|| "\"\"".into());
            vec![(old_state.get(), format!("{state},\"traceparent\":{parent}"))]
        }
        (None, None) => inside(meta, both()).into_iter().collect(),
    }
}

/// The value of `_meta` for a message that has none.
pub(super) fn fresh_meta(span: &SpanContext) -> String {
    format!("{{\"traceparent\":\"{}\"}}", parent(span))
}

#[derive(Deserialize)]
struct Params<'a> {
    #[serde(borrow, default, rename = "_meta", deserialize_with = "raw")]
    meta: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Places<'a> {
    #[serde(borrow, default, deserialize_with = "raw")]
    traceparent: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "raw")]
    tracestate: Option<&'a RawValue>,
}

fn meta(params: Option<&RawValue>) -> Option<&RawValue> {
    object::<Params<'_>>(params?.get())?.meta
}

/// Reads an object, and not the array that serde would take for one.
fn object<'a, T: Deserialize<'a>>(json: &'a str) -> Option<T> {
    json.starts_with('{').then(|| serde_json::from_str(json).ok()).flatten()
}

fn parent(span: &SpanContext) -> String {
    format!("00-{}-{}-{:02x}", span.trace_id(), span.span_id(), span.trace_flags())
}

/// Puts fields first into a JSON object.
fn inside(object: &str, fields: String) -> Option<(&str, String)> {
    let start = object.find('{')? + 1;
    let is_empty = object[start..].trim_start().starts_with('}');
    let comma = if is_empty { "" } else { "," };
    Some((&object[start..start], fields + comma))
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::{SpanId, TraceFlags, TraceId, TraceState};

    use super::*;
    use crate::mcp::{
        Message,
        rewrite::{Edit, rewrite},
    };

    const OURS: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn span(state: &str) -> SpanContext {
        SpanContext::new(
            TraceId::from_hex("0af7651916cd43dd8448eb211c80319c").unwrap(),
            SpanId::from_hex("b7ad6b7169203331").unwrap(),
            TraceFlags::SAMPLED,
            false,
            state.parse::<TraceState>().unwrap(),
        )
    }

    fn written(message: &str, state: &str) -> String {
        let Ok(Message::Request { params, .. }) = Message::parse(message.as_bytes()) else { panic!() };
        let span = span(state);
        let edits = edits(&span, message, params);
        let mut edits: Vec<_> = edits.iter().map(|(old, new)| Edit { old, new }).collect();
        String::from_utf8(rewrite(message.as_bytes(), &mut edits).to_vec()).unwrap()
    }

    #[test]
    fn a_message_is_changed_where_it_must_be() {
        let cases = [
            (
                r#" {"jsonrpc":"2.0","id":1,"method":"a"}"#,
                "",
                r#" {"params":{"_meta":{"traceparent":"P"}},"jsonrpc":"2.0","id":1,"method":"a"}"#,
            ),
            (
                r#"{"params" : { },"jsonrpc":"2.0","id":1,"method":"a"}"#,
                "",
                r#"{"params" : {"_meta":{"traceparent":"P"} },"jsonrpc":"2.0","id":1,"method":"a"}"#,
            ),
            (
                r#"{"params":{ "x":"{1}"},"jsonrpc":"2.0","id":1,"method":"a"}"#,
                "k=v",
                r#"{"params":{"_meta":{"traceparent":"P","tracestate":"k=v"}, "x":"{1}"},"jsonrpc":"2.0","id":1,"method":"a"}"#,
            ),
            (
                r#"{"params":{"_meta":{"progressToken":7}},"jsonrpc":"2.0","id":1,"method":"a"}"#,
                "",
                r#"{"params":{"_meta":{"traceparent":"P","progressToken":7}},"jsonrpc":"2.0","id":1,"method":"a"}"#,
            ),
            (
                r#"{"params":{"_meta":{"traceparent" : "old","tracestate":"old=1"}},"jsonrpc":"2.0","id":1,"method":"a"}"#,
                "k=v",
                r#"{"params":{"_meta":{"traceparent" : "P","tracestate":"k=v"}},"jsonrpc":"2.0","id":1,"method":"a"}"#,
            ),
            (
                r#"{"params":{"_meta":{"tracestate":"old=1","baggage":"x=1","traceparent":"old"}},"jsonrpc":"2.0","id":1,"method":"a"}"#,
                "",
                r#"{"params":{"_meta":{"tracestate":"","baggage":"x=1","traceparent":"P"}},"jsonrpc":"2.0","id":1,"method":"a"}"#,
            ),
            (
                r#"{"params":{"_meta":{"tracestate":"old=1"}},"jsonrpc":"2.0","id":1,"method":"a"}"#,
                "",
                r#"{"params":{"_meta":{"tracestate":"","traceparent":"P"}},"jsonrpc":"2.0","id":1,"method":"a"}"#,
            ),
            (
                r#"{"params":{"_meta":{"traceparent":"old"}},"jsonrpc":"2.0","id":1,"method":"a"}"#,
                "k=v",
                r#"{"params":{"_meta":{"traceparent":"P","tracestate":"k=v"}},"jsonrpc":"2.0","id":1,"method":"a"}"#,
            ),
            (
                r#"{"params":{"_meta":null},"jsonrpc":"2.0","id":1,"method":"a"}"#,
                "",
                r#"{"params":{"_meta":null},"jsonrpc":"2.0","id":1,"method":"a"}"#,
            ),
            (
                r#"{"params":{"_meta":{"traceparent":null}},"jsonrpc":"2.0","id":1,"method":"a"}"#,
                "",
                r#"{"params":{"_meta":{"traceparent":"P"}},"jsonrpc":"2.0","id":1,"method":"a"}"#,
            ),
            (
                r#"{"params":[{}],"jsonrpc":"2.0","id":1,"method":"a"}"#,
                "",
                r#"{"params":[{}],"jsonrpc":"2.0","id":1,"method":"a"}"#,
            ),
            (
                r#"{"params":{"_meta":3},"jsonrpc":"2.0","id":1,"method":"a"}"#,
                "",
                r#"{"params":{"_meta":3},"jsonrpc":"2.0","id":1,"method":"a"}"#,
            ),
        ];
        for (message, state, expected) in cases {
            let written = written(message, state);
            assert_eq!(written, expected.replace("\"P\"", &format!("\"{OURS}\"")));
            serde_json::from_str::<serde_json::Value>(&written).unwrap();
        }
    }

    #[test]
    fn the_message_says_more_than_its_http_request() {
        let mut headers = HeaderMap::new();
        write_headers(&span("k=v"), &mut headers);
        assert_eq!(headers["traceparent"], OURS);
        assert_eq!(headers["tracestate"], "k=v");
        let (context, other) = read(&headers, None);
        assert_eq!(context.span().span_context().span_id(), span("").span_id());
        assert_eq!(context.span().span_context().trace_state().header(), "k=v");
        assert_eq!(other, None);

        let meta = r#"{"_meta":{"traceparent":"00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-00"}}"#;
        let params: Box<RawValue> = serde_json::from_str(meta).unwrap();
        let (context, other) = read(&headers, Some(&params));
        assert_eq!(context.span().span_context().span_id().to_string(), "00f067aa0ba902b7");
        assert!(!context.span().span_context().is_sampled());
        assert_eq!(other.map(|other| other.span_id()), Some(span("").span_id()));

        let nonsense: Box<RawValue> = serde_json::from_str(r#"{"_meta":{"traceparent":"x"}}"#).unwrap();
        assert_eq!(read(&headers, Some(&nonsense)).0.span().span_context().span_id(), span("").span_id());
        assert!(!read(&HeaderMap::new(), None).0.span().span_context().is_valid());
    }
}
