//! Names that operator, proxies, chart and tests share.

use std::collections::BTreeMap;

/// The API group.
pub const GROUP: &str = "mcpgateway.io";
/// Group and version.
pub const API_VERSION: &str = "mcpgateway.io/v1alpha1";
/// The kind.
pub const KIND: &str = "SessionPool";
/// The field manager of all that the operator applies.
pub const FIELD_MANAGER: &str = "sessionpool-operator";

/// The field manager of all that REST applies.
pub const API_FIELD_MANAGER: &str = "sessionpool-api";

/// Label: what an object is.
pub const NAME_LABEL: &str = "app.kubernetes.io/name";
/// Label: the pool that an object belongs to.
pub const INSTANCE_LABEL: &str = "app.kubernetes.io/instance";
/// Label: its part in the pool.
pub const COMPONENT_LABEL: &str = "app.kubernetes.io/component";
/// Label: who looks after it.
pub const MANAGED_BY_LABEL: &str = "app.kubernetes.io/managed-by";
/// Label of every pod with a proxy: the pool that it belongs to.
pub const POOL_LABEL: &str = "mcpgateway.io/pool";
/// Label or annotation of a pod that is to get a proxy: the pool that this belongs to.
pub const INJECT: &str = "mcpgateway.io/inject";
/// Label of the Service through which Prometheus finds the proxies.
pub const SCRAPE_LABEL: &str = "mcpgateway.io/scrape";
/// Value of [`NAME_LABEL`] on a pool's objects.
pub const PROXY_NAME: &str = "sessionpool-proxy";

/// Annotation: hash of a rendering, on the rendering and on pods that were told of it.
pub const CONFIG_REVISION: &str = "mcpgateway.io/config-revision";
/// Annotation: changed to have the kubelet refresh a pod's configuration at once.
pub const CONFIG_NUDGE: &str = "mcpgateway.io/config-nudge";
/// Annotation on a rendering: the URL to dial when none of its endpoints answers.
pub const SERVICE_URL: &str = "mcpgateway.io/service-url";

/// Annotation on a rendering: when a drain ends what still runs (RFC 3339). Without it the time counts from when a proxy
/// first sees the drain.
pub const DRAIN_DEADLINE: &str = "mcpgateway.io/drain-deadline";

/// Annotation on a rendering: `true` where more than one proxy serves the pool, so that a client's messages may reach any.
pub const MANY: &str = "mcpgateway.io/many";

/// Name of the proxy's container.
pub const PROXY_CONTAINER: &str = "proxy";
/// Name of a proxy's container in a pod of somebody else's making.
pub const INJECTED_CONTAINER: &str = "sessionpool-proxy";
/// The port for clients of such a proxy: its server may have the usual one.
pub const INJECTED_PORT: u16 = 18080;
/// Name of the MCP server's container.
pub const SERVER_CONTAINER: &str = "mcp-server";
/// Key of the configuration in its `ConfigMap`, and its file name.
pub const CONFIG_FILE: &str = "pool.yaml";
/// Key of the session key in its Secret, and its file name.
pub const SESSION_KEY_FILE: &str = "session.key";
/// The path that MCP is served at.
pub const MCP_PATH: &str = "/mcp";
/// Name of the port that clients use.
pub const MCP_PORT_NAME: &str = "mcp";
/// The proxy's port for clients.
pub const MCP_PORT: u16 = 8080;
/// Name of the port for health, metrics and statistics.
pub const ADMIN_PORT_NAME: &str = "admin";
/// The proxy's port for health, metrics and statistics.
pub const ADMIN_PORT: u16 = 9090;

/// Name of the port that the pool's other proxies use.
pub const PEER_PORT_NAME: &str = "peers";
/// The proxy's port for the pool's other proxies.
pub const PEER_PORT: u16 = 9091;

/// The `ConfigMap` of a pool.
pub fn config_map(pool: &str) -> String {
    format!("{pool}-pool")
}

/// The Deployment of a pool.
pub fn deployment(pool: &str) -> String {
    format!("{pool}-pool")
}

/// The Service that a pool's clients use.
pub fn service(pool: &str) -> String {
    format!("{pool}-pool")
}

/// The headless Service of a pool's proxies.
pub fn peers_service(pool: &str) -> String {
    format!("{pool}-pool-peers")
}

/// The `PodDisruptionBudget` of a pool's proxies.
pub fn disruption_budget(pool: &str) -> String {
    format!("{pool}-pool")
}

/// The `NetworkPolicy` of a pool's proxies.
pub fn network_policy(pool: &str) -> String {
    format!("{pool}-pool")
}

/// The Secret that a pool's client sessions are sealed with.
pub fn session_key_secret(pool: &str) -> String {
    format!("{pool}-pool-session-key")
}

/// The labels that select a pool's pods. They never change.
pub fn selector_labels(pool: &str) -> BTreeMap<String, String> {
    pairs(&[(POOL_LABEL, pool)])
}

/// All labels of a pool's objects.
pub fn labels(pool: &str) -> BTreeMap<String, String> {
    pairs(&[
        (NAME_LABEL, PROXY_NAME),
        (INSTANCE_LABEL, pool),
        (POOL_LABEL, pool),
        (COMPONENT_LABEL, "proxy"),
        (MANAGED_BY_LABEL, "sessionpool-operator"),
    ])
}

fn pairs(labels: &[(&str, &str)]) -> BTreeMap<String, String> {
    labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}
