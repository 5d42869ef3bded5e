//! What a pool counts: sums over its proxies, and what became of them within an interval. Pure.

use std::collections::BTreeMap;

use crds::{PoolStatsStatus, SessionPool, wire::PoolStats};
use serde::Serialize;

use crate::pools;

/// Where numbers come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// The proxies said so just now.
    Proxies,
    /// The operator wrote so into the object's status.
    Status,
    /// Nobody counted yet.
    None,
}

/// A pool's numbers.
#[derive(Debug, Clone, Serialize)]
pub struct Numbers {
    /// The sums, with the documented keys first. From the status only those are known.
    #[serde(flatten)]
    pub sum: PoolStats,
    /// Where they come from.
    pub source: Source,
}

impl Numbers {
    /// The sums over the proxies that answered; else what the status says.
    pub fn of(pool: &SessionPool, answers: &[&PoolStats]) -> Self {
        let status = pool.status.as_ref();
        let (mut sum, source) = match (answers, status.and_then(|status| status.stats.as_ref())) {
            ([], None) => (PoolStats::default(), Source::None),
            ([], Some(stored)) => (stored_numbers(stored), Source::Status),
            (answers, _) => (sum(answers), Source::Proxies),
        };
        sum.pool_id = pool.metadata.uid.clone().unwrap_or_default();
        sum.server_id = pools::server_id(pool);
        let effective = status.and_then(|status| status.effective.as_ref());
        let strategy = effective.map_or(pool.spec.pool_strategy, |effective| effective.pool_strategy);
        strategy.snake_case().clone_into(&mut sum.strategy);
        let phase = status.and_then(|status| status.phase).unwrap_or_default();
        sum.status = format!("{phase:?}").to_lowercase();
        Self { sum, source }
    }
}

fn stored_numbers(stored: &PoolStatsStatus) -> PoolStats {
    let number = |value: i64| u64::try_from(value).unwrap_or_default();
    PoolStats {
        total_sessions: number(stored.total_sessions),
        active_sessions: number(stored.active_sessions),
        available_sessions: number(stored.available_sessions),
        unhealthy_sessions: number(stored.unhealthy_sessions),
        min_size: number(stored.min_size),
        max_size: number(stored.max_size),
        total_acquisitions: number(stored.total_acquisitions),
        total_releases: number(stored.total_releases),
        total_timeouts: number(stored.total_timeouts),
        total_creates: number(stored.total_creates),
        total_destroys: number(stored.total_destroys),
        ..PoolStats::default()
    }
}

/// The sums over proxies. What has no sum is left out.
pub fn sum(all: &[&PoolStats]) -> PoolStats {
    let add = |value: fn(&PoolStats) -> u64| all.iter().map(|stats| value(stats)).sum::<u64>();
    let seconds = |value: fn(&PoolStats) -> f64| all.iter().map(|stats| value(stats)).sum::<f64>();
    let most = |value: fn(&PoolStats) -> f64| all.iter().map(|stats| value(stats)).fold(0.0, f64::max);
    let by_name = |value: fn(&PoolStats) -> &BTreeMap<String, u64>| {
        let mut sums = BTreeMap::new();
        for (name, count) in all.iter().flat_map(|stats| value(stats)) {
            *sums.entry(name.clone()).or_default() += count;
        }
        sums
    };
    PoolStats {
        total_sessions: add(|stats| stats.total_sessions),
        active_sessions: add(|stats| stats.active_sessions),
        available_sessions: add(|stats| stats.available_sessions),
        unhealthy_sessions: add(|stats| stats.unhealthy_sessions),
        min_size: add(|stats| stats.min_size),
        max_size: add(|stats| stats.max_size),
        total_acquisitions: add(|stats| stats.total_acquisitions),
        total_releases: add(|stats| stats.total_releases),
        total_timeouts: add(|stats| stats.total_timeouts),
        total_creates: add(|stats| stats.total_creates),
        total_destroys: add(|stats| stats.total_destroys),
        active_leases: add(|stats| stats.active_leases),
        waiting: add(|stats| stats.waiting),
        initializing: add(|stats| stats.initializing),
        direct_sessions: add(|stats| stats.direct_sessions),
        client_sessions: add(|stats| stats.client_sessions),
        connect_failures: add(|stats| stats.connect_failures),
        max_wait_seconds: most(|stats| stats.max_wait_seconds),
        total_wait_seconds: seconds(|stats| stats.total_wait_seconds),
        total_calls: add(|stats| stats.total_calls),
        total_call_seconds: seconds(|stats| stats.total_call_seconds),
        total_call_seconds_squared: seconds(|stats| stats.total_call_seconds_squared),
        total_refusals: add(|stats| stats.total_refusals),
        needs_check: add(|stats| stats.needs_check),
        pinned: by_name(|stats| &stats.pinned),
        total_pins: by_name(|stats| &stats.total_pins),
        destroys_by_reason: by_name(|stats| &stats.destroys_by_reason),
        bound_keys: add(|stats| stats.bound_keys),
        recycle_deferrals: add(|stats| stats.recycle_deferrals),
        state_losses: add(|stats| stats.state_losses),
        repeats: add(|stats| stats.repeats),
        drain_refusals: add(|stats| stats.drain_refusals),
        drain_aborts: add(|stats| stats.drain_aborts),
        unattributed_requests: add(|stats| stats.unattributed_requests),
        unattributed_notifications: add(|stats| stats.unattributed_notifications),
        epoch: all.iter().map(|stats| stats.epoch).max().unwrap_or_default(),
        outdated_sessions: add(|stats| stats.outdated_sessions),
        memory_bytes: add(|stats| stats.memory_bytes),
        memory_at_ready_bytes: add(|stats| stats.memory_at_ready_bytes),
        ready: !all.is_empty() && all.iter().all(|stats| stats.ready),
        ..PoolStats::default()
    }
}

/// What happened per second between two looks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Rates {
    /// Seconds between them.
    pub seconds: f64,
    /// Sessions handed to requests.
    pub acquisitions: f64,
    /// Requests that waited in vain, or were refused at once.
    pub timeouts: f64,
    /// Sessions opened.
    pub creates: f64,
    /// Sessions closed or lost.
    pub destroys: f64,
    /// Attempts to open a session that failed.
    pub connect_failures: f64,
    /// Mean time of the calls that ended, in seconds; none where none did.
    pub call_seconds: Option<f64>,
    /// Mean time that a request waited for its session, in seconds; none where none did.
    pub wait_seconds: Option<f64>,
}

impl Rates {
    /// From two sums. A proxy that was started anew counts from nothing.
    pub fn between(before: &PoolStats, now: &PoolStats, seconds: f64) -> Self {
        let grown = now.since(before);
        let rate = |count: u64| if seconds > 0.0 { count as f64 / seconds } else { 0.0 };
        let mean = |sum: f64, count: u64| (count > 0).then(|| (sum / count as f64).max(0.0));
        Self {
            seconds,
            acquisitions: rate(grown.total_acquisitions),
            timeouts: rate(grown.total_timeouts + grown.total_refusals),
            creates: rate(grown.total_creates),
            destroys: rate(grown.total_destroys),
            connect_failures: rate(grown.connect_failures),
            call_seconds: mean(grown.total_call_seconds, grown.total_calls),
            wait_seconds: mean(grown.total_wait_seconds, grown.total_acquisitions),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxies_are_added_up() {
        let one = PoolStats {
            total_sessions: 2,
            max_wait_seconds: 1.5,
            pinned: BTreeMap::from([("tool".to_owned(), 1)]),
            ..PoolStats::default()
        };
        let two = PoolStats { total_sessions: 3, max_wait_seconds: 0.5, ..one.clone() };
        let sum = sum(&[&one, &two]);
        assert_eq!((sum.total_sessions, sum.max_wait_seconds, sum.pinned["tool"]), (5, 1.5, 2));
    }

    #[test]
    fn rates_are_per_second() {
        let before = PoolStats {
            total_acquisitions: 10,
            total_calls: 10,
            total_call_seconds: 1.0,
            ..PoolStats::default()
        };
        let now = PoolStats {
            total_acquisitions: 30,
            total_calls: 20,
            total_call_seconds: 3.0,
            ..PoolStats::default()
        };
        let rates = Rates::between(&before, &now, 2.0);
        assert_eq!((rates.acquisitions, rates.call_seconds), (10.0, Some(0.2)));
        let restarted = Rates::between(&now, &before, 2.0);
        assert_eq!((restarted.acquisitions, restarted.call_seconds), (0.0, None));
    }
}
