//! How a server is spoken to.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a server is spoken to.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum Transport {
    /// Streamable HTTP, since 2025-03-26.
    #[default]
    StreamableHTTP,
    /// HTTP with server-sent events, of 2024-11-05.
    SSE,
    /// Standard input and output of a process.
    Stdio,
}

/// The protocol version that sessions are opened with.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum ProtocolVersion {
    /// The client's.
    #[default]
    Auto,
    /// 2024-11-05
    #[serde(rename = "2024-11-05")]
    V2024_11_05,
    /// 2025-03-26
    #[serde(rename = "2025-03-26")]
    V2025_03_26,
    /// 2025-06-18
    #[serde(rename = "2025-06-18")]
    V2025_06_18,
    /// 2025-11-25
    #[serde(rename = "2025-11-25")]
    V2025_11_25,
    /// 2026-07-28, without sessions
    #[serde(rename = "2026-07-28")]
    V2026_07_28,
}

impl ProtocolVersion {
    /// The spelling in manifests.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "Auto",
            Self::V2024_11_05 => "2024-11-05",
            Self::V2025_03_26 => "2025-03-26",
            Self::V2025_06_18 => "2025-06-18",
            Self::V2025_11_25 => "2025-11-25",
            Self::V2026_07_28 => "2026-07-28",
        }
    }
}
