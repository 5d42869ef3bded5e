//! The desired state of a pool.

pub mod client_auth;
mod default;
mod grammar;
pub mod lifecycle;
pub mod pinning;
pub mod proxy;
pub mod sticky;
pub mod strategy;
pub mod upstream;

use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use self::{
    client_auth::ClientAuth,
    grammar::{HEADER_NAME, OBJECT_NAME},
    lifecycle::{DesiredState, Drain, Optimization},
    pinning::Pinning,
    proxy::{Guard, Proxy, ServiceSpec},
    sticky::Sticky,
    strategy::{Isolation, PoolStrategy},
    upstream::Upstream,
};
use crate::status::SessionPoolStatus;

/// Desired state of a pool of reusable sessions to one MCP server.
///
/// Sizes are those of each proxy replica. Times are in seconds.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "mcpgateway.io", version = "v1alpha1", kind = "SessionPool", plural = "sessionpools",
    shortname = "spool", category = "mcp", namespaced, status = "SessionPoolStatus", derive = "PartialEq", cel,
    doc = "A pool of reusable sessions to one MCP server, served by a fleet of proxies.",
    validation = Rule::new("self.metadata.name.size() <= 50").message("metadata.name must have at most 50 characters: the names of the pool's objects add a suffix"),
    validation = Rule::new("self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')").message("metadata.name must start with a letter and hold only lower-case letters, digits and '-': Services are named after it"),
    scale(spec_replicas_path = ".spec.replicas", status_replicas_path = ".status.replicas", label_selector_path = ".status.selector"),
    printcolumn(name = "Strategy", type_ = "string", json_path = ".status.effective.poolStrategy", description = "How a request picks a session"),
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase", description = "The conditions in one word"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].status", description = "Whether the pool serves"),
    printcolumn(name = "Active", type_ = "integer", json_path = ".status.stats.activeSessions", description = "Sessions that carry a request"),
    printcolumn(name = "Total", type_ = "integer", json_path = ".status.stats.totalSessions", description = "Open sessions"),
    printcolumn(name = "Max", type_ = "integer", json_path = ".status.stats.maxSize", description = "Most sessions, over all replicas"),
    printcolumn(name = "Replicas", type_ = "integer", json_path = ".status.readyReplicas", description = "Proxies that are ready"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Isolation", type_ = "string", json_path = ".spec.isolation", priority = 1),
    printcolumn(name = "Timeouts", type_ = "integer", json_path = ".status.stats.totalTimeouts", priority = 1, description = "Requests that waited for a session in vain"),
    printcolumn(name = "Unhealthy", type_ = "integer", json_path = ".status.stats.unhealthySessions", priority = 1),
    printcolumn(name = "URL", type_ = "string", json_path = ".status.url", priority = 1, description = "Where clients connect"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].reason", priority = 1),
    selectable = ".spec.desiredState",
    selectable = ".spec.poolStrategy",
    selectable = ".spec.isolation"
)]
#[x_kube(validation = Rule::new("!has(self.poolMinSize) || !has(self.poolMaxSize) || self.poolMinSize <= self.poolMaxSize").message("poolMinSize must not be greater than poolMaxSize").field_path(".poolMinSize"))]
#[x_kube(validation = Rule::new("!has(self.poolMaxPerPrincipal) || !has(self.poolMaxSize) || self.poolMaxPerPrincipal <= self.poolMaxSize").message("poolMaxPerPrincipal must not be greater than poolMaxSize").field_path(".poolMaxPerPrincipal"))]
#[x_kube(validation = Rule::new("!has(self.poolMaxPerPrincipal) || self.isolation != 'Shared'").message("poolMaxPerPrincipal needs isolation Principal or Session: with Shared all principals use the same sessions").field_path(".poolMaxPerPrincipal"))]
#[x_kube(validation = Rule::new("self.isolation != 'Shared' || !has(self.upstream.auth) || self.upstream.auth.type != 'Passthrough'").message("isolation Shared can't be used with upstream.auth.type Passthrough: a session that was opened with one client's credential must not serve another; use isolation Principal or a credential of the pool's own").field_path(".isolation"))]
#[x_kube(validation = Rule::new("!has(self.sticky) || self.poolStrategy == 'Sticky'").message("sticky is read by poolStrategy Sticky only: set poolStrategy to Sticky or remove sticky").field_path(".sticky"))]
#[x_kube(validation = Rule::new("self.identityHeaders.all(h, !(h.lowerAscii() in ['accept', 'connection', 'content-length', 'content-type', 'host', 'mcp-protocol-version', 'mcp-session-id', 'transfer-encoding']))").message("identityHeaders must not name a header of the transport, such as Host or Mcp-Session-Id: it does not tell principals apart").field_path(".identityHeaders"))]
#[x_kube(validation = Rule::new("self.forwardHeaders.all(h, !(h.lowerAscii() in ['accept', 'authorization', 'connection', 'content-length', 'content-type', 'host', 'mcp-protocol-version', 'mcp-session-id', 'transfer-encoding']))").message("forwardHeaders must not name a header of the transport or Authorization; to forward Authorization use upstream.auth.type Passthrough").field_path(".forwardHeaders"))]
#[x_kube(validation = Rule::new("!has(self.upstream.headers) || self.forwardHeaders.all(f, self.upstream.headers.all(h, h.lowerAscii() != f.lowerAscii()))").message("forwardHeaders must not name a header that upstream.headers sets: keep it in one of them").field_path(".forwardHeaders"))]
#[serde(rename_all = "camelCase")]
pub struct SessionPoolSpec {
    /// Whether sessions are pooled. When false each client session has an upstream session of its own.
    /// Default: false. Example: true.
    #[serde(default)]
    pub pool_enabled: bool,

    /// How a request picks one of several sessions. None opens one for each client session.
    /// Default: RoundRobin. Example: LeastConnections.
    #[serde(default)]
    pub pool_strategy: PoolStrategy,

    /// Sessions that each proxy keeps open. Default: the operator's POOL_MIN_SIZE, else 1. Example: 2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 10_000))]
    pub pool_min_size: Option<i32>,

    /// Most sessions that each proxy opens. Default: the operator's POOL_MAX_SIZE, else 10. Example: 20.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_000))]
    pub pool_max_size: Option<i32>,

    /// Seconds that a request waits for a session before it gets an error.
    /// Default: the operator's POOL_TIMEOUT, else 30. Example: 10.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 3600))]
    pub pool_timeout: Option<i32>,

    /// Age in seconds at which an idle session is replaced, less up to a tenth; 0 means never.
    /// Default: the operator's POOL_RECYCLE_SECONDS, else 3600. Example: 1800.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 2_592_000))]
    pub pool_recycle_seconds: Option<i32>,

    /// Whether a session that was idle is pinged before it is used.
    /// Default: the operator's POOL_PRE_PING, else true. Example: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool_pre_ping: Option<bool>,

    /// Whose requests share a session: those of one client session, those of one principal, or everyone's. Shared is your
    /// statement that the server keeps nothing in a session. Default: Principal. Example: Shared.
    #[serde(default)]
    pub isolation: Isolation,

    /// Requests that a session carries at the same time. Default: 1. Example: 4.
    #[serde(default = "default::session_concurrency")]
    #[schemars(range(min = 1, max = 1000))]
    pub pool_session_concurrency: i32,

    /// Seconds after which an idle session above poolMinSize is closed; 0 means never. Default: 600. Example: 120.
    #[serde(default = "default::idle_seconds")]
    #[schemars(range(min = 0, max = 2_592_000))]
    pub pool_idle_seconds: i32,

    /// Requests after which a session is replaced, for servers that leak; 0 means no limit. Default: 0. Example: 1000.
    #[serde(default)]
    #[schemars(range(min = 0, max = 1_000_000_000))]
    pub pool_max_requests: i32,

    /// Seconds of idleness after which poolPrePing pings; 0 means before every use. Default: 5. Example: 0.
    #[serde(default = "default::pre_ping_delay_seconds")]
    #[schemars(range(min = 0, max = 86_400))]
    pub pool_pre_ping_delay_seconds: i32,

    /// Seconds without traffic after which a session is pinged, idle or in a call; 0 means never. Default: 60. Example: 30.
    #[serde(default = "default::keepalive_seconds")]
    #[schemars(range(min = 0, max = 86_400))]
    pub pool_keepalive_seconds: i32,

    /// Requests that may wait for a session at the same time; further ones get an error at once.
    /// Default: 1000. Example: 100.
    #[serde(default = "default::max_waiters")]
    #[schemars(range(min = 0, max = 100_000))]
    pub pool_max_waiters: i32,

    /// Most sessions that one principal may have in each proxy. Default: no limit but poolMaxSize. Example: 4.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_000))]
    pub pool_max_per_principal: Option<i32>,

    /// Most upstream sessions of each proxy outside the pool (poolEnabled false, poolStrategy None).
    /// Default: 1000. Example: 200.
    #[serde(default = "default::max_direct_sessions")]
    #[schemars(range(min = 1, max = 100_000))]
    pub max_direct_sessions: i32,

    /// Seconds after which an unused client session ends. Default: 1800. Example: 600.
    #[serde(default = "default::client_session_idle_seconds")]
    #[schemars(range(min = 1, max = 2_592_000))]
    pub client_session_idle_seconds: i32,

    /// Seconds that a request goes on after its client disconnected, before it is cancelled. Default: 30. Example: 5.
    #[serde(default = "default::disconnect_grace_seconds")]
    #[schemars(range(min = 0, max = 3600))]
    pub disconnect_grace_seconds: i32,

    /// Request headers that tell principals apart, beside Authorization. Default: none. Example: ["X-User-Id"].
    #[serde(default)]
    #[schemars(
        length(max = 16),
        inner(length(min = 1, max = 128), regex(pattern = HEADER_NAME)),
        extend("x-kubernetes-list-type" = "set")
    )]
    pub identity_headers: Vec<String>,

    /// Request headers that are sent upstream. Requests with other values use other sessions.
    /// Default: none. Example: ["X-Tenant"].
    #[serde(default)]
    #[schemars(
        length(max = 16),
        inner(length(min = 1, max = 128), regex(pattern = HEADER_NAME)),
        extend("x-kubernetes-list-type" = "set")
    )]
    pub forward_headers: Vec<String>,

    /// What keeps a client on its session. Default: nothing. Example: {tools: [open_transaction]}.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pinning: Option<Pinning>,

    /// What poolStrategy Sticky goes by. Default: the client session. Example: {source: Principal}.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sticky: Option<Sticky>,

    /// The MCP server behind the pool.
    pub upstream: Upstream,

    /// Whether the pool takes work. Drained lets running requests finish and then keeps the pool closed until it is
    /// Active again. Leave it out of GitOps manifests. Default: Active. Example: Drained.
    #[serde(default)]
    pub desired_state: DesiredState,

    /// How a drain runs. Default: 60 s. Example: {timeoutSeconds: 300}.
    #[serde(default)]
    pub drain: Drain,

    /// Any value that was not used before has every session replaced once; see status.reset. Leave it out of GitOps
    /// manifests. Default: none. Example: "2026-11-22T10:00:00Z".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub reset_token: Option<String>,

    /// What becomes of advice on sizes and strategy. Default: {mode: "Off"}. Example: {mode: Recommend}.
    #[serde(default)]
    pub optimization: Optimization,

    /// How clients are authenticated. Default: not at all. Example: {tokenSecretRef: {name: clients, key: token}}.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<ClientAuth>,

    /// Secret of type kubernetes.io/tls that clients are served with. Default: plain HTTP. Example: github-pool-tls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = OBJECT_NAME))]
    pub tls_secret_name: Option<String>,

    /// Proxies. Leave it out of manifests when an autoscaler drives the scale subresource. Default: 1. Example: 3.
    #[serde(default = "default::replicas")]
    #[schemars(range(min = 0, max = 1000))]
    pub replicas: i32,

    /// Seconds that a proxy's pod has to end: longer than the longest request. Default: 75. Example: 300.
    #[serde(default = "default::termination_grace_period_seconds")]
    #[schemars(range(min = 10, max = 86_400))]
    pub termination_grace_period_seconds: i64,

    /// The proxies' container and pod. Default: the operator's image, no limits. Example: {logFilter: debug}.
    #[serde(default)]
    pub proxy: Proxy,

    /// The Service in front of the proxies. Default: a ClusterIP on port 8080. Example: {port: 80}.
    #[serde(default)]
    pub service: ServiceSpec,

    /// Objects that guard the proxies. Default: a disruption budget where replicas is more than 1. Example: {networkPolicy: Managed}.
    #[serde(default)]
    pub guard: Guard,
}
