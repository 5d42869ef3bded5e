//! Conditions of a pool: their types, their reasons, and how a new set follows an old one.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

/// Longest message of a condition, in characters.
const MESSAGE_LIMIT: usize = 1024;

/// A condition's type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Every wanted proxy serves.
    Ready,
    /// Proxies are being started, replaced or reconfigured.
    Progressing,
    /// The pool serves worse than it should.
    Degraded,
    /// The object could be turned into a configuration.
    Resolved,
    /// The pool was drained as asked.
    Drained,
}

impl Kind {
    /// The word in `type`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ready => "Ready",
            Self::Progressing => "Progressing",
            Self::Degraded => "Degraded",
            Self::Resolved => "Resolved",
            Self::Drained => "Drained",
        }
    }
}

/// Why a condition is what it is. The names are part of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// Ready: as many proxies are ready as are wanted.
    AllProxiesReady,
    /// Ready: the same, and every client has sessions of its own, since pooling is off.
    PoolingDisabled,
    /// Ready: some proxies are not ready.
    ProxiesNotReady,
    /// Ready: `spec.replicas` is 0.
    ScaledToZero,
    /// Ready: no pod of somebody else's making carries a proxy of the pool.
    NoInjectedPods,
    /// Ready, Resolved: an object of a child's name belongs to somebody else.
    NameConflict,
    /// Ready, Resolved: the object contradicts itself once the operator's defaults are in.
    InvalidSpec,
    /// Ready, Resolved: a field is set that this build does not implement.
    NotSupported,
    /// Resolved: the Service of `upstream.serviceRef` is not there.
    ServiceNotFound,
    /// Resolved: the Service of `upstream.serviceRef` lacks the port.
    PortNotFound,
    /// Resolved: the object and all that it refers to is understood.
    SpecResolved,
    /// Ready, Progressing: the API server refused an object; the message says which.
    ApplyFailed,
    /// Progressing: pods are being started or replaced.
    RollingOut,
    /// Progressing: proxies have not taken the newest configuration yet.
    Reconfiguring,
    /// Progressing: the rollout stopped making progress.
    RolloutStalled,
    /// Progressing: every proxy runs the newest configuration.
    UpToDate,
    /// Progressing: the newest specification can't be used, so nothing is changed.
    Blocked,
    /// Degraded: the MCP server does not answer the proxies.
    UpstreamUnreachable,
    /// Degraded: a proxy refused its configuration and keeps the one before.
    ConfigurationRejected,
    /// Degraded: a ready proxy's statistics can't be read.
    ProxiesUnreachable,
    /// Degraded: a container of a proxy's pod does not start.
    PodsFailing,
    /// Degraded: requests found no free session.
    PoolExhausted,
    /// Degraded: sessions failed their checks.
    UnhealthySessions,
    /// Degraded: the pool works as it should.
    AsExpected,
    /// Progressing: sessions from before a reset are being replaced.
    Resetting,
    /// Drained: nobody asked for it.
    NotRequested,
    /// Drained: requests still run, or sessions are still open.
    Draining,
    /// Drained: no session is open.
    DrainCompleted,
    /// Drained: no session is open, and requests were ended at the deadline.
    DeadlineExceeded,
    /// Drained: some proxies did not say so in time.
    Unconfirmed,
}

impl Reason {
    /// The word in `reason`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::AllProxiesReady => "AllProxiesReady",
            Self::PoolingDisabled => "PoolingDisabled",
            Self::ProxiesNotReady => "ProxiesNotReady",
            Self::ScaledToZero => "ScaledToZero",
            Self::NoInjectedPods => "NoInjectedPods",
            Self::NameConflict => "NameConflict",
            Self::InvalidSpec => "InvalidSpec",
            Self::NotSupported => "NotSupported",
            Self::ServiceNotFound => "ServiceNotFound",
            Self::PortNotFound => "PortNotFound",
            Self::SpecResolved => "SpecResolved",
            Self::ApplyFailed => "ApplyFailed",
            Self::RollingOut => "RollingOut",
            Self::Reconfiguring => "Reconfiguring",
            Self::RolloutStalled => "RolloutStalled",
            Self::UpToDate => "UpToDate",
            Self::Blocked => "Blocked",
            Self::UpstreamUnreachable => "UpstreamUnreachable",
            Self::ConfigurationRejected => "ConfigurationRejected",
            Self::ProxiesUnreachable => "ProxiesUnreachable",
            Self::PodsFailing => "PodsFailing",
            Self::PoolExhausted => "PoolExhausted",
            Self::UnhealthySessions => "UnhealthySessions",
            Self::AsExpected => "AsExpected",
            Self::Resetting => "Resetting",
            Self::NotRequested => "NotRequested",
            Self::Draining => "Draining",
            Self::DrainCompleted => "DrainCompleted",
            Self::DeadlineExceeded => "DeadlineExceeded",
            Self::Unconfirmed => "Unconfirmed",
        }
    }
}

/// What one condition should say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// The condition.
    pub kind: Kind,
    /// Whether it holds.
    pub holds: bool,
    /// Why.
    pub reason: Reason,
    /// The same for people.
    pub message: String,
}

impl Verdict {
    /// A condition that holds.
    pub fn yes(kind: Kind, reason: Reason, message: impl Into<String>) -> Self {
        Self { kind, holds: true, reason, message: message.into() }
    }

    /// A condition that does not hold.
    pub fn no(kind: Kind, reason: Reason, message: impl Into<String>) -> Self {
        Self { kind, holds: false, reason, message: message.into() }
    }
}

/// The verdict on one condition out of a set.
pub fn find(verdicts: &[Verdict], kind: Kind) -> Option<&Verdict> {
    verdicts.iter().find(|verdict| verdict.kind == kind)
}

/// Whether a condition held in a stored status; unknown when it was never set.
pub fn held(conditions: &[Condition], kind: Kind) -> Option<bool> {
    stored(conditions, kind).map(|condition| condition.status == "True")
}

/// A condition of a stored status.
pub fn stored(conditions: &[Condition], kind: Kind) -> Option<&Condition> {
    conditions.iter().find(|condition| condition.type_ == kind.name())
}

/// The conditions that follow `before`: transition times stay where the status stays.
pub fn follow(
    before: &[Condition],
    verdicts: &[Verdict],
    generation: Option<i64>,
    now: Timestamp,
) -> Vec<Condition> {
    verdicts
        .iter()
        .map(|verdict| {
            let status = if verdict.holds { "True" } else { "False" };
            let since = stored(before, verdict.kind)
                .filter(|condition| condition.status == status)
                .map_or(Time(now), |condition| condition.last_transition_time.clone());
            Condition {
                type_: verdict.kind.name().to_owned(),
                status: status.to_owned(),
                reason: verdict.reason.name().to_owned(),
                message: verdict.message.chars().take(MESSAGE_LIMIT).collect(),
                observed_generation: generation,
                last_transition_time: since,
            }
        })
        .collect()
}

/// Sets one condition of a stored status and leaves the others.
pub fn set(conditions: &mut Vec<Condition>, verdict: &Verdict, generation: Option<i64>, now: Timestamp) {
    let new = follow(conditions, std::slice::from_ref(verdict), generation, now);
    conditions.retain(|condition| condition.type_ != verdict.kind.name());
    conditions.extend(new);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transition_time_moves_with_the_status_only() {
        let (early, late) = (Timestamp::from_second(100).unwrap(), Timestamp::from_second(200).unwrap());
        let starting = [Verdict::no(Kind::Ready, Reason::ProxiesNotReady, "0/2")];
        let first = follow(&[], &starting, Some(1), early);
        let still =
            follow(&first, &[Verdict::no(Kind::Ready, Reason::ProxiesNotReady, "1/2")], Some(2), late);
        assert_eq!(still[0].last_transition_time.0, early);
        assert_eq!(still[0].message, "1/2");
        assert_eq!(still[0].observed_generation, Some(2));
        let ready =
            follow(&still, &[Verdict::yes(Kind::Ready, Reason::AllProxiesReady, "2/2")], Some(2), late);
        assert_eq!(ready[0].last_transition_time.0, late);
        assert_eq!(held(&ready, Kind::Ready), Some(true));
        assert_eq!(held(&ready, Kind::Degraded), None);
    }
}
