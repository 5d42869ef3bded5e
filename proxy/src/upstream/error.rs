//! Why a session could not be opened.

use std::sync::Arc;

use hyper::{StatusCode, header::HeaderValue};

use crate::pool;

/// Cloned for everyone who waited for the session.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ConnectError {
    /// There is no address to dial.
    #[error("the upstream has no endpoint: is any pod of the Service ready?")]
    NoEndpoint,
    /// No connection, or it broke.
    #[error("upstream {endpoint} can't be reached: {reason}")]
    Unreachable {
        /// The address that was dialled.
        endpoint: Arc<str>,
        /// What went wrong.
        reason: Arc<str>,
    },
    /// The server took too long.
    #[error("upstream {endpoint} did not finish the handshake within {seconds} s")]
    Timeout {
        /// The address that was dialled.
        endpoint: Arc<str>,
        /// The time it had.
        seconds: u64,
    },
    /// The server wants other credentials.
    #[error("upstream {endpoint} refused the credentials with HTTP {status}")]
    Unauthorized {
        /// The address that was dialled.
        endpoint: Arc<str>,
        /// 401 or 403.
        status: StatusCode,
        /// The server's challenge, for the client.
        challenge: Option<HeaderValue>,
    },
    /// The server answers, but not as an MCP server does.
    #[error(
        "upstream {endpoint} is no MCP server: {what}; check the host, the port and the path (often /mcp)"
    )]
    NotMcp {
        /// The address that was dialled.
        endpoint: Arc<str>,
        /// What it answered to `initialize`.
        what: Arc<str>,
    },
    /// The server answered `initialize` with an error.
    #[error("upstream {endpoint} refused to initialize: {message}")]
    Refused {
        /// The address that was dialled.
        endpoint: Arc<str>,
        /// The server's words.
        message: Arc<str>,
    },
}

impl ConnectError {
    /// It in one word.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::NoEndpoint => "no_endpoint",
            Self::Unreachable { .. } => "unreachable",
            Self::Timeout { .. } => "timeout",
            Self::Unauthorized { .. } => "unauthorized",
            Self::NotMcp { .. } => "not_mcp",
            Self::Refused { .. } => "refused",
        }
    }
}

impl pool::ConnectFailure for ConnectError {
    fn is_of_endpoint(&self) -> bool {
        !matches!(self, Self::Unauthorized { .. } | Self::NoEndpoint)
    }
}

/// The innermost cause, which says most.
pub fn root_cause(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
