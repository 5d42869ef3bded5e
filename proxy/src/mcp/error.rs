//! JSON-RPC errors that the proxy itself answers with.

use bytes::Bytes;
use serde_json::{Value, json};

/// Codes of JSON-RPC 2.0 and of MCP.
pub mod code {
    /// The body is no JSON.
    pub const PARSE: i32 = -32700;
    /// The body is no JSON-RPC message, or one that is not allowed here.
    pub const INVALID_REQUEST: i32 = -32600;
    /// The method does not exist or is not carried.
    pub const METHOD_NOT_FOUND: i32 = -32601;
    /// The parameters are wrong.
    pub const INVALID_PARAMS: i32 = -32602;
    /// Something failed on the way.
    pub const SERVER: i32 = -32000;
    /// The session is not known.
    pub const SESSION_NOT_FOUND: i32 = -32001;
}

/// An error answer. `id` is the request's id as it was written; none becomes null.
pub fn error(id: Option<&str>, code: i32, message: &str, data: Option<Value>) -> Bytes {
    let mut error = json!({ "code": code, "message": message });
    if let Some(data) = data {
        error["data"] = data;
    }
    let id = id.unwrap_or("null");
    Bytes::from(format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{error}}}"#))
}

/// A result answer. `result` is JSON.
pub fn result(id: &str, result: &str) -> Bytes {
    Bytes::from(format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#))
}
