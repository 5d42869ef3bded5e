//! The JSON of pools.

use serde::Serialize;
use utoipa::ToSchema;

use super::{access::Permissions, config::Strategy, id::ServerId};
use crate::{
    DesiredState, EffectiveSettings, OperationStatus, Phase, Recommendation, ResetStatus, SessionPool,
    SessionPoolStatus,
    wire::{AgeQuantiles, PoolStats, SessionInfo},
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// `GET /api/servers`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, ToSchema)]
pub struct Servers {
    /// The pools that the caller may see, by namespace and name.
    pub servers: Vec<Summary>,
}

/// The most important about a pool. Numbers are sums over its proxies.
#[derive(Debug, Clone, Default, PartialEq, Serialize, ToSchema)]
pub struct Summary {
    /// `<namespace>.<name>`.
    pub server_id: String,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// pending, active, disabled, draining, drained, resetting, degraded or failed.
    #[schema(value_type = PhaseWord)]
    pub phase: String,
    /// Why it is in that phase; none where that is active.
    #[schema(required = true)]
    pub phase_message: Option<String>,
    /// Whether sessions are pooled.
    pub pool_enabled: bool,
    /// How a request picks a session.
    #[schema(value_type = Strategy)]
    pub strategy: String,
    /// Whose requests share a session: session, principal or shared.
    pub isolation: String,
    /// Sessions that each proxy keeps open.
    pub min_size: i32,
    /// Most sessions of each proxy.
    pub max_size: i32,
    /// Proxies that are wanted; of a sidecar's pool those that are there.
    pub replicas: i32,
    /// Proxies that are ready.
    pub ready_replicas: i32,
    /// Where clients connect.
    #[schema(required = true)]
    pub url: Option<String>,
    /// Open sessions.
    pub total_sessions: u64,
    /// Those that carry a request.
    pub active_sessions: u64,
    /// Those that may take one.
    pub available_sessions: u64,
    /// Those that failed a check and are not yet closed.
    pub unhealthy_sessions: u64,
    /// Requests that wait for a session.
    pub waiting: u64,
    /// Sessions handed to requests.
    pub total_acquisitions: u64,
    /// Requests that waited in vain.
    pub total_timeouts: u64,
    /// Sessions that could not be opened, requests refused since too many waited, clients that lost their state, and calls
    /// that a drain cut off.
    pub total_errors: u64,
    /// How old the open sessions are.
    #[schema(required = true)]
    pub session_age_seconds: Option<AgeQuantiles>,
    /// Whether something should be changed, as `recommendation` of a pool tells.
    pub has_recommendation: bool,
    /// When the numbers were taken.
    #[schema(required = true, format = "date-time")]
    pub observed_time: Option<String>,
    /// Whether the numbers are older ones, since not every proxy answers.
    pub stale: bool,
}

/// See [`Summary::phase`].
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
#[expect(dead_code, reason = "its schema is what is used")]
pub(super) enum PhaseWord {
    Pending,
    Active,
    Disabled,
    Draining,
    Drained,
    Resetting,
    Degraded,
    Failed,
}

/// `GET /api/servers/{id}`: everything about a pool.
#[derive(Debug, Clone, Default, PartialEq, Serialize, ToSchema)]
pub struct Detail {
    /// The most important.
    #[serde(flatten)]
    pub summary: Summary,
    /// What the operator finds of it.
    pub conditions: Vec<Condition>,
    /// Its proxies.
    pub replicas_list: Vec<Replica>,
    /// What should be changed, where `optimization` asks for advice.
    #[schema(required = true)]
    pub recommendation: Option<Recommended>,
    /// The last drain.
    #[schema(required = true)]
    pub drain: Option<Operation>,
    /// The last reset.
    #[schema(required = true)]
    pub reset: Option<ResetState>,
    /// Whether it is to be active or drained.
    pub desired_state: String,
    /// What the caller may do to it.
    pub permissions: Permissions,
    /// How often its specification was changed.
    #[schema(required = true)]
    pub generation: Option<i64>,
    /// The generation that the operator has seen.
    #[schema(required = true)]
    pub observed_generation: Option<i64>,
}

/// What the operator finds of a pool.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Condition {
    /// What it is about.
    #[serde(rename = "type")]
    #[schema(rename = "type")]
    pub kind: String,
    /// True, False or Unknown.
    pub status: String,
    /// Why, in one word.
    pub reason: String,
    /// Why, in a sentence.
    pub message: String,
    /// Since when.
    #[schema(format = "date-time")]
    pub last_transition_time: String,
}

/// One proxy of a pool.
#[derive(Debug, Clone, Default, PartialEq, Serialize, ToSchema)]
pub struct Replica {
    /// Its pod's name.
    pub name: String,
    /// Whether clients may come.
    pub ready: bool,
    /// Whether it answered just now.
    pub answered: bool,
    /// Why it did not, or what keeps it from running.
    #[schema(required = true)]
    pub error: Option<String>,
    /// Open sessions.
    pub total_sessions: u64,
    /// Those that carry a request.
    pub active_sessions: u64,
    /// Requests that wait for one.
    pub waiting: u64,
    /// Its memory, in bytes.
    pub memory_bytes: u64,
    /// Whether it runs the newest configuration.
    pub config_current: bool,
}

/// Parameters that fit better than those that were asked for.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Recommended {
    /// The strategy that fits.
    #[schema(value_type = Strategy)]
    pub pool_strategy: String,
    /// The minimum that fits.
    pub pool_min_size: i32,
    /// The maximum that fits.
    pub pool_max_size: i32,
    /// Whether pooling should be on, where that should change.
    #[schema(required = true)]
    pub pool_enabled: Option<bool>,
    /// The isolation that fits, where that should change.
    #[schema(required = true)]
    pub isolation: Option<String>,
    /// The age in seconds that fits, where that should change.
    #[schema(required = true)]
    pub pool_recycle_seconds: Option<i32>,
    /// The number of requests that fits, where that should change.
    #[schema(required = true)]
    pub pool_max_requests: Option<i32>,
    /// Why, in one word.
    pub reason: String,
    /// Why, in a sentence.
    pub message: String,
    /// When it was worked out.
    #[schema(required = true, format = "date-time")]
    pub observed_time: Option<String>,
}

/// How a drain or a reset went.
#[derive(Debug, Clone, Default, PartialEq, Serialize, ToSchema)]
pub struct Operation {
    /// When it began.
    #[schema(required = true, format = "date-time")]
    pub start_time: Option<String>,
    /// When it was done.
    #[schema(required = true, format = "date-time")]
    pub completion_time: Option<String>,
    /// Sessions that it waits for.
    pub remaining_sessions: i64,
    /// Sessions that it closed.
    pub closed_sessions: i64,
}

/// How a reset went.
#[derive(Debug, Clone, Default, PartialEq, Serialize, ToSchema)]
pub struct ResetState {
    /// The token that was carried out last.
    #[schema(required = true)]
    pub observed_token: Option<String>,
    /// How it went.
    #[serde(flatten)]
    pub run: Operation,
}

/// `GET .../pool/stats`: the documented fifteen first, then what else is known. Sums over the proxies.
#[derive(Debug, Clone, Default, PartialEq, Serialize, ToSchema)]
pub struct Stats {
    /// The numbers.
    #[serde(flatten)]
    pub pool: PoolStats,
    /// Proxies whose numbers these are.
    pub replicas: u64,
    /// When they were taken.
    #[schema(required = true, format = "date-time")]
    pub observed_time: Option<String>,
    /// Whether they are older ones, since not every proxy answers.
    pub stale: bool,
}

/// `GET .../pool/sessions`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, ToSchema)]
pub struct Sessions {
    /// `<namespace>.<name>`.
    pub server_id: String,
    /// Every session of every proxy that answered.
    pub sessions: Vec<ReplicaSession>,
    /// Proxies that did not answer.
    pub unanswered: Vec<String>,
}

/// A session and the proxy that has it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, ToSchema)]
pub struct ReplicaSession {
    /// The session.
    #[serde(flatten)]
    pub session: SessionInfo,
    /// The proxy's pod.
    pub replica: String,
}

/// What is answered to an operation: it is under way.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Accepted {
    /// `<namespace>.<name>`.
    pub server_id: String,
    /// drain, resume or reset.
    pub operation: String,
    /// The time that a drain was given in seconds, where the request said so.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub timeout: Option<i32>,
    /// The token of a reset: it is done when `reset.observed_token` of the pool is this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub reset_token: Option<String>,
}

impl Summary {
    /// What object and status tell, without numbers of the proxies. `effective` are the parameters in force.
    pub fn of(pool: &SessionPool, id: &ServerId, effective: &EffectiveSettings) -> Self {
        let status = pool.status.clone().unwrap_or_default();
        let phase = status.phase.unwrap_or_default();
        let replicas =
            if pool.spec.upstream.sidecar.is_some() { status.replicas } else { pool.spec.replicas };
        Self {
            server_id: id.to_string(),
            namespace: id.namespace.clone(),
            name: id.name.clone(),
            phase: word_of(phase).to_owned(),
            phase_message: reason_of(phase, &status),
            pool_enabled: effective.pool_enabled,
            strategy: effective.pool_strategy.snake_case().to_owned(),
            isolation: pool.spec.isolation.snake_case().to_owned(),
            min_size: effective.pool_min_size,
            max_size: effective.pool_max_size,
            replicas,
            ready_replicas: status.ready_replicas,
            has_recommendation: status
                .recommendation
                .as_ref()
                .is_some_and(|advised| Recommended::from(advised).changes(effective)),
            url: status.url,
            ..Self::default()
        }
    }

    /// The same with numbers.
    #[must_use]
    pub fn with(self, stats: &Stats) -> Self {
        let pool = &stats.pool;
        Self {
            total_sessions: pool.total_sessions,
            active_sessions: pool.active_sessions,
            available_sessions: pool.available_sessions,
            unhealthy_sessions: pool.unhealthy_sessions,
            waiting: pool.waiting,
            total_acquisitions: pool.total_acquisitions,
            total_timeouts: pool.total_timeouts,
            total_errors: super::sum::errors(pool),
            session_age_seconds: pool.session_age_seconds,
            observed_time: stats.observed_time.clone(),
            stale: stats.stale,
            ..self
        }
    }
}

impl Detail {
    /// What object and status tell beside the summary.
    pub fn of(
        pool: &SessionPool,
        summary: Summary,
        replicas: Vec<Replica>,
        permissions: Permissions,
    ) -> Self {
        let status = pool.status.clone().unwrap_or_default();
        let condition = |condition: k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition| Condition {
            kind: condition.type_,
            status: condition.status,
            reason: condition.reason,
            message: condition.message,
            last_transition_time: date(&condition.last_transition_time),
        };
        Self {
            summary,
            conditions: status.conditions.into_iter().map(condition).collect(),
            replicas_list: replicas,
            recommendation: status.recommendation.as_ref().map(Recommended::from),
            drain: status.drain.as_ref().map(Operation::from),
            reset: status.reset.as_ref().map(ResetState::from),
            desired_state: match pool.spec.desired_state {
                DesiredState::Active => "active",
                DesiredState::Drained => "drained",
            }
            .to_owned(),
            permissions,
            generation: pool.metadata.generation,
            observed_generation: status.observed_generation,
        }
    }
}

impl Recommended {
    fn changes(&self, effective: &EffectiveSettings) -> bool {
        self.pool_strategy != effective.pool_strategy.snake_case()
            || self.pool_min_size != effective.pool_min_size
            || self.pool_max_size != effective.pool_max_size
            || self.pool_enabled.is_some()
            || self.isolation.is_some()
            || self.pool_recycle_seconds.is_some()
            || self.pool_max_requests.is_some()
    }
}

impl From<&Recommendation> for Recommended {
    fn from(advised: &Recommendation) -> Self {
        Self {
            pool_strategy: advised.pool_strategy.snake_case().to_owned(),
            pool_min_size: advised.pool_min_size,
            pool_max_size: advised.pool_max_size,
            pool_enabled: advised.pool_enabled,
            isolation: advised.isolation.map(|isolation| isolation.snake_case().to_owned()),
            pool_recycle_seconds: advised.pool_recycle_seconds,
            pool_max_requests: advised.pool_max_requests,
            reason: advised.reason.clone(),
            message: advised.message.clone(),
            observed_time: advised.observed_time.as_ref().map(date),
        }
    }
}

impl From<&OperationStatus> for Operation {
    fn from(status: &OperationStatus) -> Self {
        Self {
            start_time: status.start_time.as_ref().map(date),
            completion_time: status.completion_time.as_ref().map(date),
            remaining_sessions: status.remaining_sessions,
            closed_sessions: status.closed_sessions,
        }
    }
}

impl From<&ResetStatus> for ResetState {
    fn from(status: &ResetStatus) -> Self {
        Self { observed_token: status.observed_token.clone(), run: Operation::from(&status.run) }
    }
}

/// A phase as REST spells it.
pub const fn word_of(phase: Phase) -> &'static str {
    match phase {
        Phase::Pending => "pending",
        Phase::Active => "active",
        Phase::Disabled => "disabled",
        Phase::Draining => "draining",
        Phase::Drained => "drained",
        Phase::Resetting => "resetting",
        Phase::Degraded => "degraded",
        Phase::Failed => "failed",
    }
}

/// Why a pool is in a phase, in the words of the condition that it comes from.
fn reason_of(phase: Phase, status: &SessionPoolStatus) -> Option<String> {
    let kind = match phase {
        Phase::Active => return None,
        Phase::Pending | Phase::Disabled => "Ready",
        Phase::Draining | Phase::Drained => "Drained",
        Phase::Resetting => "Progressing",
        Phase::Degraded => "Degraded",
        Phase::Failed => "Resolved",
    };
    let message = status.conditions.iter().find(|condition| condition.type_ == kind);
    let unseen = "the operator has not looked at it yet: see its log if that stays";
    Some(message.map_or(unseen, |condition| condition.message.as_str()).to_owned())
}

fn date(time: &Time) -> String {
    time.0.to_string()
}
