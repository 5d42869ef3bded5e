//! The wire format: JSON-RPC envelopes, SSE framing, protocol versions. Bodies stay bytes.

pub mod envelope;
pub mod error;
pub mod logging;
pub mod rewrite;
pub mod sse;
pub mod version;

pub use self::{envelope::Message, version::ProtocolVersion};

/// Header that carries a session's id.
pub const SESSION_ID: &str = "mcp-session-id";

/// Header that carries the negotiated protocol version.
pub const PROTOCOL_VERSION: &str = "mcp-protocol-version";
