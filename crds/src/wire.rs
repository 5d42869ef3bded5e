//! What a proxy tells about itself on its admin port.

use serde::{Deserialize, Serialize};

/// `GET /pool/stats`. The first fifteen are the documented ones. At rest total = active + available + unhealthy,
/// creates - destroys = total, acquisitions - releases = `active_leases`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PoolStats {
    /// The pool's own id.
    pub pool_id: String,
    /// `<namespace>.<name>`.
    pub server_id: String,
    /// The strategy in force, in snake case.
    pub strategy: String,
    /// One word: pending, active, disabled or degraded.
    pub status: String,
    /// Initialised sessions.
    pub total_sessions: u64,
    /// Those that carry a request.
    pub active_sessions: u64,
    /// Those that may take one.
    pub available_sessions: u64,
    /// Those that failed a check and are not yet closed.
    pub unhealthy_sessions: u64,
    /// Sessions kept open.
    pub min_size: u64,
    /// Most sessions.
    pub max_size: u64,
    /// Sessions handed to requests.
    pub total_acquisitions: u64,
    /// Sessions given back.
    pub total_releases: u64,
    /// Requests that waited in vain.
    pub total_timeouts: u64,
    /// Sessions opened.
    pub total_creates: u64,
    /// Sessions closed or lost.
    pub total_destroys: u64,
    /// Requests that hold a session now.
    pub active_leases: u64,
    /// Requests that wait for a session now.
    pub waiting: u64,
    /// Sessions that are being opened.
    pub initializing: u64,
    /// Sessions outside the pool, one for each client session.
    pub direct_sessions: u64,
    /// Client sessions that this replica knows.
    pub client_sessions: u64,
    /// Attempts to open a session that failed.
    pub connect_failures: u64,
    /// Whether clients may come.
    pub ready: bool,
    /// The object's generation that the configuration in force came from.
    pub generation: Option<i64>,
    /// Hash of the configuration in force.
    pub config_revision: Option<String>,
    /// Why the newest configuration is not in force.
    pub config_error: Option<String>,
    /// What is known of the server.
    pub upstream: UpstreamState,
}

/// What a proxy knows of its MCP server.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct UpstreamState {
    /// Whether the last attempt to open a session succeeded; none before the first.
    pub reachable: Option<bool>,
    /// Why it did not.
    pub message: Option<String>,
}

/// One entry of `GET /pool/sessions`. Holds no credential and no id of the server.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SessionInfo {
    /// The pool's own number of the slot.
    pub id: u64,
    /// idle, active, opening, unhealthy or closing.
    pub state: String,
    /// shared, principal, client, direct or warm.
    pub scope: String,
    /// The protocol version that it was asked for.
    pub protocol_version: String,
    /// Address of the server.
    pub endpoint: String,
    /// Seconds since it was opened.
    pub age_seconds: f64,
    /// Seconds since its last request ended; 0 while it carries one.
    pub idle_seconds: f64,
    /// Requests that it served.
    pub requests: u64,
}
