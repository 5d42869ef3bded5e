//! What a proxy tells about itself on its admin port.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// `GET /pool/stats`. The first fifteen are the documented ones. At rest total = active + available + unhealthy,
/// creates - destroys = total, acquisitions - releases = `active_leases`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "rest", derive(utoipa::ToSchema))]
pub struct PoolStats {
    /// The pool's own id.
    pub pool_id: String,
    /// `<namespace>.<name>`.
    pub server_id: String,
    /// The strategy in force, in snake case.
    pub strategy: String,
    /// One word: pending, active, draining, drained, disabled or degraded.
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
    /// How long the request that waits longest has waited, in seconds.
    pub max_wait_seconds: f64,
    /// Time that requests spent waiting for a session since the start, in seconds.
    pub total_wait_seconds: f64,
    /// Requests that an upstream answered since the start.
    pub total_calls: u64,
    /// Time from sending them to their answers, in seconds.
    pub total_call_seconds: f64,
    /// The same time squared and summed: with the two above it gives the spread.
    pub total_call_seconds_squared: f64,
    /// Requests refused at once, since too many waited.
    pub total_refusals: u64,
    /// Idle sessions that are checked before their next use.
    pub needs_check: u64,
    /// Sessions that serve one client only since it left something in them, by reason.
    pub pinned: BTreeMap<String, u64>,
    /// Clients that were pinned since the start, by reason.
    pub total_pins: BTreeMap<String, u64>,
    /// Sessions closed or lost since the start, by reason.
    pub destroys_by_reason: BTreeMap<String, u64>,
    /// Affinity keys that are bound to a session now.
    pub bound_keys: u64,
    /// Sessions that were due for recycling and stayed, since keys are bound to them.
    pub recycle_deferrals: u64,
    /// Clients that were told that their state in a session is gone.
    pub state_losses: u64,
    /// Requests that were sent a second time after a loss.
    pub repeats: u64,
    /// Requests refused since the pool drained or was drained.
    pub drain_refusals: u64,
    /// Requests that a drain's deadline ended.
    pub drain_aborts: u64,
    /// Requests of the server that no client could be asked, and were refused.
    pub unattributed_requests: u64,
    /// Notifications of the server that belong to no one client.
    pub unattributed_notifications: u64,
    /// How often the pool was reset.
    pub epoch: u64,
    /// The last reset token that was taken note of, whether it acted or not.
    pub reset_token: Option<String>,
    /// Sessions from before the last reset that are still open.
    pub outdated_sessions: u64,
    /// How old the open sessions are; none while there is none.
    pub session_age_seconds: Option<AgeQuantiles>,
    /// Memory of this process, in bytes.
    pub memory_bytes: u64,
    /// Its memory when it had become ready, in bytes.
    pub memory_at_ready_bytes: u64,
    /// The server's addresses.
    pub endpoints: Vec<EndpointStats>,
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

impl PoolStats {
    /// The same with the counters as they have grown since `before`.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        Self {
            total_acquisitions: self.total_acquisitions.saturating_sub(before.total_acquisitions),
            total_releases: self.total_releases.saturating_sub(before.total_releases),
            total_timeouts: self.total_timeouts.saturating_sub(before.total_timeouts),
            total_creates: self.total_creates.saturating_sub(before.total_creates),
            total_destroys: self.total_destroys.saturating_sub(before.total_destroys),
            connect_failures: self.connect_failures.saturating_sub(before.connect_failures),
            total_wait_seconds: self.total_wait_seconds - before.total_wait_seconds,
            total_calls: self.total_calls.saturating_sub(before.total_calls),
            total_call_seconds: self.total_call_seconds - before.total_call_seconds,
            total_call_seconds_squared: self.total_call_seconds_squared - before.total_call_seconds_squared,
            total_refusals: self.total_refusals.saturating_sub(before.total_refusals),
            total_pins: growth(&self.total_pins, &before.total_pins),
            destroys_by_reason: growth(&self.destroys_by_reason, &before.destroys_by_reason),
            recycle_deferrals: self.recycle_deferrals.saturating_sub(before.recycle_deferrals),
            state_losses: self.state_losses.saturating_sub(before.state_losses),
            repeats: self.repeats.saturating_sub(before.repeats),
            drain_refusals: self.drain_refusals.saturating_sub(before.drain_refusals),
            drain_aborts: self.drain_aborts.saturating_sub(before.drain_aborts),
            unattributed_requests: self.unattributed_requests.saturating_sub(before.unattributed_requests),
            unattributed_notifications: self
                .unattributed_notifications
                .saturating_sub(before.unattributed_notifications),
            ..self.clone()
        }
    }
}

fn growth(now: &BTreeMap<String, u64>, before: &BTreeMap<String, u64>) -> BTreeMap<String, u64> {
    let grown = now.iter().map(|(name, count)| {
        let before = before.get(name).copied().unwrap_or_default();
        (name.clone(), count.saturating_sub(before))
    });
    grown.filter(|(_, count)| *count > 0).collect()
}

/// How old sessions are, in seconds: that of the median, and the ages that 95 and 99 of 100 sessions do not exceed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "rest", derive(utoipa::ToSchema))]
pub struct AgeQuantiles {
    /// The median.
    pub p50: f64,
    /// The 95th percentile.
    pub p95: f64,
    /// The 99th percentile.
    pub p99: f64,
}

impl AgeQuantiles {
    /// Those of ages in ascending order; none without any.
    pub fn of(ascending: &[f64]) -> Option<Self> {
        let at = |share: usize| ascending.get(ascending.len().saturating_sub(1) * share / 100).copied();
        Some(Self { p50: at(50)?, p95: at(95)?, p99: at(99)? })
    }
}

/// One of the server's addresses.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "rest", derive(utoipa::ToSchema))]
pub struct EndpointStats {
    /// The address, without what may be secret in it.
    pub endpoint: String,
    /// `active`, `recovering`, `backing_off` or `ejected`.
    pub state: String,
    /// Its configured weight.
    pub weight: u32,
    /// Sessions to it.
    pub sessions: u64,
    /// Requests that it works on.
    pub leases: u64,
    /// Peak-sensitive moving average of its calls' time, in seconds; 0 before the first.
    pub call_seconds: f64,
    /// Failures in a row.
    pub failures: u32,
}

/// What a proxy knows of its MCP server.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "rest", derive(utoipa::ToSchema))]
pub struct UpstreamState {
    /// Whether the last attempt to open a session succeeded; none before the first.
    pub reachable: Option<bool>,
    /// Why it did not.
    pub message: Option<String>,
}

/// One entry of `GET /pool/sessions`. Holds no credential and no id of the server.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "rest", derive(utoipa::ToSchema))]
pub struct SessionInfo {
    /// The pool's own number of the slot.
    pub id: u64,
    /// idle, active, opening, unhealthy or closing.
    pub state: String,
    /// Whose requests it serves: shared, principal, client, direct or warm.
    pub scope: String,
    /// Short hash of the principal, client session and forwarded headers that it serves: equal for equal ones, secret in
    /// neither direction.
    pub key: String,
    /// Capabilities that it declares to the server, by name.
    pub capabilities: Vec<String>,
    /// Why it serves one client only; none if it is not pinned.
    pub pinned: Option<String>,
    /// Affinity keys that are bound to it.
    pub bound_keys: u64,
    /// Whether it is checked before its next use.
    pub needs_check: bool,
    /// How many resets the pool had seen when it was opened.
    pub epoch: u64,
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
