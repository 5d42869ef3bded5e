//! Drain and reset: what the object asks for, what its status remembers, what the proxies report. Pure.
//!
//! Proxies are told by their configuration only. Each takes note of a reset token once, and ends a drain at the deadline by
//! itself; so whatever becomes of the operator, nothing is done twice.

#[cfg(test)]
mod tests;

use crds::{DesiredState, OperationStatus, ResetStatus, SessionPool, wire::PoolStats};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::{
    conditions::{Kind, Reason, Verdict, stored},
    reconcile::observe::{Fleet, PodReport},
};

/// A proxy that says nothing for so long after a drain's deadline counts as drained.
const SILENCE: SignedDuration = SignedDuration::from_secs(15);

/// Reset tokens that the status remembers.
const REMEMBERED: usize = 16;

/// Where a pool stands, and what its proxies are to be told.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Lifecycle {
    /// The status of the last drain.
    pub drain: Option<OperationStatus>,
    /// The status of the last reset.
    pub reset: Option<ResetStatus>,
    /// When proxies end what a drain waits for.
    pub deadline: Option<Timestamp>,
    /// The reset token that proxies are told.
    pub token: Option<String>,
    /// The status has to be stored before proxies are told.
    pub begins: bool,
    drained: bool,
    resetting: bool,
}

/// What the conditions say of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Progress {
    /// The condition Drained.
    pub drained: Verdict,
    /// What a reset waits for; none if there is none.
    pub resetting: Option<String>,
}

/// What the object asks for, before the proxies are looked at.
pub fn begin(pool: &SessionPool, now: Timestamp) -> Lifecycle {
    let now = whole(now);
    let status = pool.status.clone().unwrap_or_default();
    let drained = pool.spec.desired_state == DesiredState::Drained;
    let known = stored(&status.conditions, Kind::Drained);
    let under_way = known.is_some_and(|condition| condition.reason != Reason::NotRequested.name());
    let begins = drained && (!under_way || status.drain.is_none());
    let drain = if begins {
        Some(OperationStatus { start_time: Some(Time(now)), ..OperationStatus::default() })
    } else {
        status.drain
    };
    let timeout = SignedDuration::from_secs(i64::from(pool.spec.drain.timeout_seconds));
    let started = drain.as_ref().and_then(|drain| drain.start_time.as_ref()).map(|time| time.0);
    let mut lifecycle = Lifecycle {
        deadline: started.filter(|_| drained).and_then(|time| time.checked_add(timeout).ok()),
        drain,
        reset: status.reset,
        token: pool.spec.reset_token.clone(),
        begins,
        drained,
        resetting: false,
    };
    let created = status.observed_generation.is_none();
    lifecycle.begin_reset(created || drained, now);
    lifecycle
}

impl Lifecycle {
    fn begin_reset(&mut self, only_record: bool, now: Timestamp) {
        let Some(token) = self.token.clone() else { return };
        let known = self.reset.as_ref();
        let observed = known.and_then(|reset| reset.observed_token.clone());
        if known.is_some_and(|reset| reset.observed_tokens.contains(&token)) {
            // One that is not the last is not told again: a proxy that started since would take it for new.
            self.token = observed;
            return;
        }
        if only_record {
            self.observe(token, None);
            return;
        }
        self.resetting = true;
        let reset = self.reset.get_or_insert_default();
        if reset.run.start_time.is_none() || reset.run.completion_time.is_some() {
            reset.run = OperationStatus { start_time: Some(Time(now)), ..OperationStatus::default() };
        }
    }

    fn observe(&mut self, token: String, completed: Option<Timestamp>) {
        let reset = self.reset.get_or_insert_default();
        reset.observed_tokens.push(token.clone());
        let surplus = reset.observed_tokens.len().saturating_sub(REMEMBERED);
        reset.observed_tokens.drain(..surplus);
        reset.observed_token = Some(token);
        if let Some(completed) = completed {
            reset.run.completion_time = Some(Time(completed));
        }
    }

    /// Whether it should be looked at again soon.
    pub fn is_moving(&self) -> bool {
        let draining =
            self.drained && self.drain.as_ref().is_some_and(|drain| drain.completion_time.is_none());
        draining || self.resetting
    }

    /// Takes in what the proxies report. `revision` is the configuration that they were told; none if they can't be told.
    pub fn follow(&mut self, fleet: &Fleet, revision: Option<&str>, now: Timestamp) -> Progress {
        let Some(revision) = revision else {
            let text = "the specification can't be used, so the proxies are not told";
            let drained = if self.drained {
                Verdict::no(Kind::Drained, Reason::Draining, text)
            } else {
                Verdict::no(Kind::Drained, Reason::NotRequested, "spec.desiredState is Active")
            };
            return Progress { drained, resetting: self.resetting.then(|| text.to_owned()) };
        };
        let now = whole(now);
        let resetting = self.resetting.then(|| self.follow_reset(fleet, revision, now)).flatten();
        Progress { drained: self.follow_drain(fleet, revision, now), resetting }
    }

    fn follow_drain(&mut self, fleet: &Fleet, revision: &str, now: Timestamp) -> Verdict {
        let no = |reason, text: String| Verdict::no(Kind::Drained, reason, text);
        if !self.drained {
            return no(Reason::NotRequested, "spec.desiredState is Active".to_owned());
        }
        let deadline = self.deadline.unwrap_or(now);
        let Some(drain) = &mut self.drain else {
            return no(Reason::Draining, "the drain has not begun".to_owned());
        };
        let told = |stats: &&PoolStats| stats.config_revision.as_deref() == Some(revision);
        let answers: Vec<&PoolStats> = running(fleet).filter_map(PodReport::answered).filter(told).collect();
        let silent = running(fleet).count() - answers.len();
        let sum = |value: fn(&PoolStats) -> u64| answers.iter().map(|stats| value(stats)).sum::<u64>();
        let left = sum(|stats| stats.total_sessions + stats.direct_sessions);
        let unfinished = answers.iter().filter(|stats| stats.status != "drained").count();
        drain.remaining_sessions = signed(left);
        drain.closed_sessions = signed(sum(closed_by_drain));
        let aborted = sum(|stats| stats.drain_aborts);
        if silent + unfinished > 0 && now < deadline.checked_add(SILENCE).unwrap_or(deadline) {
            let leases = sum(|stats| stats.active_leases);
            let text = format!(
                "{left} sessions are open and {leases} requests run on them; what is left at {deadline} is ended"
            );
            let quiet =
                if silent > 0 { format!("; {silent} proxies have not answered yet") } else { String::new() };
            return no(Reason::Draining, format!("{text}{quiet}"));
        }
        if drain.completion_time.is_none() {
            drain.completion_time = Some(Time(now));
        }
        let yes = |reason, text: String| Verdict::yes(Kind::Drained, reason, text);
        if silent + unfinished > 0 {
            let text = format!("{} proxies did not confirm it; look at their pods", silent + unfinished);
            yes(Reason::Unconfirmed, text)
        } else if aborted > 0 {
            yes(Reason::DeadlineExceeded, format!("{aborted} requests were ended at the deadline"))
        } else {
            yes(
                Reason::DrainCompleted,
                "no session is open; set spec.desiredState to Active to resume".to_owned(),
            )
        }
    }

    /// What the reset waits for; none once it is done.
    fn follow_reset(&mut self, fleet: &Fleet, revision: &str, now: Timestamp) -> Option<String> {
        let token = self.token.clone()?;
        let done = |stats: &&PoolStats| {
            stats.config_revision.as_deref() == Some(revision)
                && stats.reset_token.as_ref() == Some(&token)
                && stats.outdated_sessions == 0
        };
        let all = running(fleet).count();
        let ready = running(fleet).filter_map(PodReport::answered).filter(done).count();
        let answers = || running(fleet).filter_map(PodReport::answered);
        let left: u64 = answers().map(|stats| stats.outdated_sessions).sum();
        let closed: u64 = answers().map(closed_by_reset).sum();
        if let Some(reset) = &mut self.reset {
            reset.run.remaining_sessions = signed(left);
            reset.run.closed_sessions = signed(closed);
        }
        if ready < all {
            return Some(format!(
                "{ready}/{all} proxies have replaced their sessions; {left} from before the reset are still in use"
            ));
        }
        self.observe(token, Some(now));
        self.resetting = false;
        None
    }
}

/// Kubernetes stores times in whole seconds: what is worked out before and after storing has to be the same.
fn whole(now: Timestamp) -> Timestamp {
    Timestamp::from_second(now.as_second()).unwrap_or(now)
}

fn running(fleet: &Fleet) -> impl Iterator<Item = &PodReport> {
    fleet.pods.iter().filter(|pod| pod.running && !pod.terminating)
}

fn closed_by_drain(stats: &PoolStats) -> u64 {
    stats.destroys_by_reason.get("drain").copied().unwrap_or_default()
}

fn closed_by_reset(stats: &PoolStats) -> u64 {
    stats.destroys_by_reason.get("reset").copied().unwrap_or_default()
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
