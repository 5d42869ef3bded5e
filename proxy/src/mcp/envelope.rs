//! The outer shape of a JSON-RPC message, borrowed from its bytes.
//!
//! Only what routing needs is looked at; everything else is skipped and later forwarded as it came.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

/// Why bytes are not a message.
#[derive(Debug, thiserror::Error)]
pub enum EnvelopeError {
    /// Not JSON.
    #[error("the body is not valid JSON: {0}")]
    Syntax(serde_json::Error),
    /// A JSON array.
    #[error("batches were removed from MCP in 2025-06-18: send one message in each request")]
    Batch,
    /// JSON, but no JSON-RPC 2.0 message.
    #[error("not a JSON-RPC 2.0 message: {0}")]
    Invalid(String),
}

/// A JSON-RPC message by what it asks for.
#[derive(Debug)]
pub enum Message<'a> {
    /// Has a method and an id: an answer is due.
    Request {
        /// The id as it was written.
        id: &'a str,
        method: Cow<'a, str>,
        params: Option<&'a RawValue>,
    },
    /// Has a method and no id.
    Notification { method: Cow<'a, str>, params: Option<&'a RawValue> },
    /// Has an id and a result or an error.
    Response { id: &'a str, result: Option<&'a RawValue> },
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow, default)]
    jsonrpc: Option<Cow<'a, str>>,
    // A raw value tells a null id from a missing one.
    #[serde(borrow, default, deserialize_with = "raw")]
    id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    method: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "raw")]
    params: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "raw")]
    result: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "raw")]
    error: Option<&'a RawValue>,
}

/// For an optional raw value: tells null from what is missing.
pub(crate) fn raw<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

impl<'a> Message<'a> {
    /// Reads one message.
    ///
    /// # Errors
    /// If the bytes are no JSON, a batch, or no JSON-RPC message.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, EnvelopeError> {
        let first = bytes.iter().find(|byte| !byte.is_ascii_whitespace());
        if first == Some(&b'[') {
            serde_json::from_slice::<serde::de::IgnoredAny>(bytes).map_err(EnvelopeError::Syntax)?;
            return Err(EnvelopeError::Batch);
        }
        let envelope: Envelope<'a> = serde_json::from_slice(bytes).map_err(|error| {
            if error.is_data() {
                EnvelopeError::Invalid(error.to_string())
            } else {
                EnvelopeError::Syntax(error)
            }
        })?;
        envelope.classify()
    }

    /// The method, unless it is a response.
    pub fn method(&self) -> Option<&str> {
        match self {
            Self::Request { method, .. } | Self::Notification { method, .. } => Some(method),
            Self::Response { .. } => None,
        }
    }

    /// The id as it was written, unless it is a notification.
    pub fn id(&self) -> Option<&'a str> {
        match self {
            Self::Request { id, .. } | Self::Response { id, .. } => Some(id),
            Self::Notification { .. } => None,
        }
    }
}

impl<'a> Envelope<'a> {
    fn classify(self) -> Result<Message<'a>, EnvelopeError> {
        let invalid = |text: &str| Err(EnvelopeError::Invalid(text.to_owned()));
        if self.jsonrpc.as_deref() != Some("2.0") {
            return invalid("\"jsonrpc\" must be \"2.0\"");
        }
        let id = self.id.map(RawValue::get);
        if id.is_some_and(|id| !id.starts_with(['"', '-']) && !id.starts_with(|c: char| c.is_ascii_digit())) {
            // An answer to a message whose id could not be read has the id null.
            if self.method.is_none() && self.error.is_some() {
                return Ok(Message::Response { id: "null", result: None });
            }
            return invalid("\"id\" must be a string or a number");
        }
        match (self.method, id) {
            (Some(method), Some(id)) => Ok(Message::Request { id, method, params: self.params }),
            (Some(method), None) => Ok(Message::Notification { method, params: self.params }),
            (None, Some(id)) if self.result.is_some() != self.error.is_some() => {
                Ok(Message::Response { id, result: self.result })
            }
            (None, Some(_)) => invalid("a response has either \"result\" or \"error\""),
            (None, None) => invalid("\"method\" is missing"),
        }
    }
}

/// The parts of `params` that are rewritten or routed by.
#[derive(Debug, Default, Deserialize)]
pub struct Params<'a> {
    #[serde(borrow, default, rename = "_meta")]
    pub meta: Option<Meta<'a>>,
    /// In `notifications/progress`.
    #[serde(borrow, default, rename = "progressToken", deserialize_with = "raw")]
    pub progress_token: Option<&'a RawValue>,
    /// In `logging/setLevel` and `notifications/message`.
    #[serde(borrow, default)]
    pub level: Option<Cow<'a, str>>,
    /// In `tools/call`.
    #[serde(borrow, default)]
    pub name: Option<Cow<'a, str>>,
    /// In `resources/read` and `resources/subscribe`.
    #[serde(borrow, default)]
    pub uri: Option<Cow<'a, str>>,
    /// In `notifications/cancelled`.
    #[serde(borrow, default, rename = "requestId", deserialize_with = "raw")]
    pub request_id: Option<&'a RawValue>,
}

/// `params._meta`.
#[derive(Debug, Default, Deserialize)]
pub struct Meta<'a> {
    #[serde(borrow, default, rename = "progressToken", deserialize_with = "raw")]
    pub progress_token: Option<&'a RawValue>,
}

impl<'a> Params<'a> {
    /// Reads the parts; params of another shape have none of them.
    pub fn parse(params: Option<&'a RawValue>) -> Self {
        params.and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(text: &str) -> String {
        match Message::parse(text.as_bytes()) {
            Ok(Message::Request { id, method, .. }) => format!("request {id} {method}"),
            Ok(Message::Notification { method, .. }) => format!("notification {method}"),
            Ok(Message::Response { id, .. }) => format!("response {id}"),
            Err(EnvelopeError::Syntax(_)) => "syntax".into(),
            Err(EnvelopeError::Batch) => "batch".into(),
            Err(EnvelopeError::Invalid(_)) => "invalid".into(),
        }
    }

    #[test]
    fn tells_messages_apart() {
        let cases = [
            (r#"{"jsonrpc":"2.0","id":1,"method":"a"}"#, "request 1 a"),
            (r#"{"jsonrpc":"2.0","method":"a\u0062","id":"x y"}"#, "request \"x y\" ab"),
            (r#"{"jsonrpc":"2.0","id":-0.5e3,"method":"a"}"#, "request -0.5e3 a"),
            (
                r#"{"jsonrpc":"2.0","id":123456789012345678901234567890,"method":"a"}"#,
                "request 123456789012345678901234567890 a",
            ),
            (r#"{"jsonrpc":"2.0","method":"a"}"#, "notification a"),
            (r#"{"jsonrpc":"2.0","id":1,"result":null}"#, "response 1"),
            (r#"{"jsonrpc":"2.0","id":null,"error":{"code":1}}"#, "response null"),
            (r#" [{"jsonrpc":"2.0","id":1,"method":"a"}]"#, "batch"),
            ("[1,", "syntax"),
            ("{\"jsonrpc\":", "syntax"),
            ("", "syntax"),
            (r#"{"jsonrpc":"2.0","id":null,"method":"a"}"#, "invalid"),
            (r#"{"jsonrpc":"2.0","id":{},"method":"a"}"#, "invalid"),
            (r#"{"jsonrpc":"1.0","id":1,"method":"a"}"#, "invalid"),
            (r#"{"jsonrpc":"2.0","id":1,"id":2,"method":"a"}"#, "invalid"),
            (r#"{"jsonrpc":"2.0","id":1}"#, "invalid"),
            ("3", "invalid"),
        ];
        for (text, expected) in cases {
            assert_eq!(kind(text), expected, "{text}");
        }
    }
}
