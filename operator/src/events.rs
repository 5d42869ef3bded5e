//! Events that a pool's owner sees in `kubectl describe`.

use k8s_openapi::{api::core::v1::ObjectReference, apimachinery::pkg::apis::meta::v1::Condition};
use kube::runtime::events::{Event, EventType, Recorder};

use crate::conditions::{Kind, Reason, Verdict, stored};

/// One thing worth telling.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// Whether somebody should act.
    pub warning: bool,
    /// The event's reason.
    pub reason: &'static str,
    /// What the operator was doing.
    pub action: &'static str,
    /// The event's text.
    pub note: String,
}

/// Longest note, in characters; the API server takes 1024 bytes.
const NOTE_LIMIT: usize = 250;

/// What changed between a stored set of conditions and a new one. A condition that stays what it is tells nothing.
pub fn between(before: &[Condition], now: &[Verdict]) -> Vec<Notice> {
    now.iter().filter_map(|verdict| notice(stored(before, verdict.kind), verdict)).collect()
}

fn notice(before: Option<&Condition>, verdict: &Verdict) -> Option<Notice> {
    let status = if verdict.holds { "True" } else { "False" };
    let same = before.is_some_and(|before| before.status == status && before.reason == verdict.reason.name());
    if same {
        return None;
    }
    let (warning, reason, action) = match (verdict.kind, verdict.holds, verdict.reason) {
        (Kind::Ready, true, Reason::PoolingDisabled) => (false, "PoolDisabled", "Observe"),
        (Kind::Ready, true, _) => (false, "PoolReady", "Observe"),
        (Kind::Resolved, false, reason) => (true, reason.name(), "Resolve"),
        (Kind::Degraded, true, reason) => (true, reason.name(), "Observe"),
        (Kind::Degraded, false, _) if before.is_some_and(|before| before.status == "True") => {
            (false, "Recovered", "Observe")
        }
        (Kind::Drained, false, Reason::Draining) => (false, "DrainStarted", "Drain"),
        (Kind::Drained, true, Reason::DeadlineExceeded) => (true, "DrainDeadlineExceeded", "Drain"),
        (Kind::Drained, true, Reason::Unconfirmed) => (true, "DrainUnconfirmed", "Drain"),
        (Kind::Drained, true, _) => (false, "DrainCompleted", "Drain"),
        (Kind::Drained, false, _) if before.is_some() => (false, "Resumed", "Drain"),
        (Kind::Progressing, true, Reason::Resetting) => (false, "ResetStarted", "Reset"),
        (Kind::Progressing, false, Reason::UpToDate)
            if before.is_some_and(|before| before.reason == Reason::Resetting.name()) =>
        {
            (false, "ResetCompleted", "Reset")
        }
        (Kind::Progressing, _, reason @ (Reason::RolloutStalled | Reason::ApplyFailed)) => {
            (true, reason.name(), "Apply")
        }
        _ => return None,
    };
    Some(Notice { warning, reason, action, note: verdict.message.clone() })
}

/// Publishes notices. One that can't be written is logged: an event is no reason to fail.
pub async fn publish(recorder: &Recorder, pool: &ObjectReference, notices: Vec<Notice>) {
    for Notice { warning, reason, action, note } in notices {
        let event = Event {
            type_: if warning { EventType::Warning } else { EventType::Normal },
            reason: reason.to_owned(),
            note: Some(note.chars().take(NOTE_LIMIT).collect()),
            action: action.to_owned(),
            secondary: None,
        };
        if let Err(error) = recorder.publish(&event, pool).await {
            tracing::warn!(%error, reason, "an event could not be written");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conditions::follow;
    use jiff::Timestamp;

    #[test]
    fn only_changes_are_told() {
        let starting = [
            Verdict::no(Kind::Ready, Reason::ProxiesNotReady, "0/1 proxies ready"),
            Verdict::no(Kind::Degraded, Reason::AsExpected, ""),
        ];
        assert_eq!(between(&[], &starting), []);
        let stored = follow(&[], &starting, None, Timestamp::UNIX_EPOCH);
        let ready = [
            Verdict::yes(Kind::Ready, Reason::AllProxiesReady, "1/1 proxies ready"),
            Verdict::yes(Kind::Degraded, Reason::UpstreamUnreachable, "connection refused"),
        ];
        let notices = between(&stored, &ready);
        let reasons: Vec<_> = notices.iter().map(|notice| (notice.reason, notice.warning)).collect();
        assert_eq!(reasons, [("PoolReady", false), ("UpstreamUnreachable", true)]);
        let stored = follow(&stored, &ready, None, Timestamp::UNIX_EPOCH);
        assert_eq!(between(&stored, &ready), []);
        let better = [Verdict::no(Kind::Degraded, Reason::AsExpected, "fine")];
        assert_eq!(between(&stored, &better)[0].reason, "Recovered");
    }
}
