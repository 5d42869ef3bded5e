//! The observed state of a pool.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::spec::strategy::{Isolation, PoolStrategy};

/// Observed state of a SessionPool.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SessionPoolStatus {
    /// The generation that this status is of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The conditions in one word, for people; programs read the conditions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<Phase>,
    /// Ready, Progressing, Degraded, Resolved and Drained.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "conditions")]
    pub conditions: Vec<Condition>,
    /// Proxies that exist.
    #[serde(default)]
    pub replicas: i32,
    /// Proxies that are ready.
    #[serde(default)]
    pub ready_replicas: i32,
    /// Proxies that run the configuration of the observed generation.
    #[serde(default)]
    pub updated_replicas: i32,
    /// Label selector of the proxies' pods, for autoscalers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<String>,
    /// Where clients connect, inside the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The documented parameters in force, after the operator's defaults.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effective: Option<EffectiveSettings>,
    /// Sums over the proxies, sampled at most every 30 s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stats: Option<PoolStatsStatus>,
    /// The last drain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drain: Option<OperationStatus>,
    /// The last reset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reset: Option<ResetStatus>,
    /// Advice on sizes and strategy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recommendation: Option<Recommendation>,
}

fn conditions(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
    let item = generator.subschema_for::<Condition>();
    schemars::json_schema!({
        "type": "array", "items": item, "maxItems": 16,
        "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]
    })
}

/// The conditions in one word.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
pub enum Phase {
    /// Not yet serving.
    #[default]
    Pending,
    /// Serving.
    Active,
    /// Serving without pooling.
    Disabled,
    /// Finishing what runs.
    Draining,
    /// Taking no work.
    Drained,
    /// Replacing every session.
    Resetting,
    /// Serving badly.
    Degraded,
    /// Not understood; what ran before goes on.
    Failed,
}

/// The documented parameters in force.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EffectiveSettings {
    /// Whether sessions are pooled.
    pub pool_enabled: bool,
    /// How a request picks a session.
    pub pool_strategy: PoolStrategy,
    /// Sessions that each proxy keeps open.
    pub pool_min_size: i32,
    /// Most sessions of each proxy.
    pub pool_max_size: i32,
    /// Seconds that a request waits for a session.
    pub pool_timeout: i32,
    /// Age in seconds at which a session is replaced; 0 means never.
    pub pool_recycle_seconds: i32,
    /// Whether idle sessions are pinged before use.
    pub pool_pre_ping: bool,
}

/// Statistics summed over the proxies.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PoolStatsStatus {
    /// When they were last seen to change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_time: Option<Time>,
    /// Open sessions.
    pub total_sessions: i64,
    /// Those that carry a request.
    pub active_sessions: i64,
    /// Those that may take one.
    pub available_sessions: i64,
    /// Those that failed a check.
    pub unhealthy_sessions: i64,
    /// Sessions kept open.
    pub min_size: i64,
    /// Most sessions.
    pub max_size: i64,
    /// Sessions handed to requests.
    pub total_acquisitions: i64,
    /// Sessions given back.
    pub total_releases: i64,
    /// Requests that waited in vain.
    pub total_timeouts: i64,
    /// Sessions opened.
    pub total_creates: i64,
    /// Sessions closed or lost.
    pub total_destroys: i64,
}

/// How a drain or a reset went.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OperationStatus {
    /// When it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_time: Option<Time>,
    /// When it was done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completion_time: Option<Time>,
    /// Sessions that it waits for.
    #[serde(default)]
    pub remaining_sessions: i64,
    /// Sessions that it closed.
    #[serde(default)]
    pub closed_sessions: i64,
}

/// How a reset went, and which were done before.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResetStatus {
    /// The last token that was carried out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_token: Option<String>,
    /// The last 16 tokens that were carried out: none of them acts again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub observed_tokens: Vec<String>,
    /// How it went.
    #[serde(flatten)]
    pub run: OperationStatus,
}

/// Advice, from what the proxies measured since the parameters in force came into force.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Recommendation {
    /// The strategy that fits.
    pub pool_strategy: PoolStrategy,
    /// The minimum that fits.
    pub pool_min_size: i32,
    /// The maximum that fits.
    pub pool_max_size: i32,
    /// Whether pooling should be on, where that should change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool_enabled: Option<bool>,
    /// The isolation that fits, where that should change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub isolation: Option<Isolation>,
    /// The age in seconds that fits, where that should change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool_recycle_seconds: Option<i32>,
    /// The number of requests that fits, where that should change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool_max_requests: Option<i32>,
    /// Why, in one word.
    pub reason: String,
    /// Why, in a sentence.
    pub message: String,
    /// What the specification and the operator's defaults asked for then. When that changes, the advice is dropped.
    #[serde(default)]
    pub basis: RecommendationBasis,
    /// When it was worked out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_time: Option<Time>,
}

/// The parameters that a recommendation departs from.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RecommendationBasis {
    /// The strategy.
    pub pool_strategy: PoolStrategy,
    /// The minimum.
    pub pool_min_size: i32,
    /// The maximum.
    pub pool_max_size: i32,
}
