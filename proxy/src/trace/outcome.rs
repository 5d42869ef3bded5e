//! What an answer says about success.

use std::borrow::Cow;

use serde::Deserialize;

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    result: Option<Outcome>,
    #[serde(default)]
    error: Option<RpcError>,
}

#[derive(Deserialize)]
struct Outcome {
    #[serde(default, rename = "isError")]
    is_error: bool,
}

#[derive(Deserialize)]
struct RpcError {
    code: i64,
}

/// How a request failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failure {
    /// With a JSON-RPC error of this code.
    Code(i64),
    /// The tool ran and says that it failed.
    Tool,
    /// Otherwise, in one word.
    Other(Cow<'static, str>),
}

/// The failure that an answer tells of.
pub(super) fn of(answer: &[u8]) -> Option<Failure> {
    // A result of another shape is none of a tool.
    let answer: Answer = serde_json::from_slice(answer).ok()?;
    match (answer.error, answer.result) {
        (Some(error), _) => Some(Failure::Code(error.code)),
        (None, Some(Outcome { is_error: true })) => Some(Failure::Tool),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures() {
        for (answer, failure) in [
            (r#"{"jsonrpc":"2.0","id":1,"result":{"content":[]}}"#, None),
            (r#"{"jsonrpc":"2.0","id":1,"result":{"content":[],"isError":false}}"#, None),
            (r#"{"jsonrpc":"2.0","id":1,"result":{"isError":true}}"#, Some(Failure::Tool)),
            (
                r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"m"}}"#,
                Some(Failure::Code(-32602)),
            ),
            (r#"{"jsonrpc":"2.0","id":1,"result":"text"}"#, None),
            ("", None),
        ] {
            assert_eq!(of(answer.as_bytes()), failure, "{answer}");
        }
    }
}
