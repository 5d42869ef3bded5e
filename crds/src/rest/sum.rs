//! Statistics of several proxies as those of one pool.

use std::collections::BTreeMap;

use super::history::Growth;
use crate::wire::{AgeQuantiles, EndpointStats, PoolStats};

/// What went wrong in a pool apart from waits in vain: sessions that could not be opened, requests refused since too many
/// waited, clients that lost their state, and calls that a drain cut off.
pub fn errors(stats: &PoolStats) -> u64 {
    stats.connect_failures + stats.total_refusals + stats.state_losses + stats.drain_aborts
}

/// The sum of what several proxies tell. Quantiles of ages are weighed by sessions; of words the first stands.
pub fn sum<'a>(stats: impl Iterator<Item = &'a PoolStats>) -> PoolStats {
    let mut all = stats.peekable();
    let Some(first) = all.peek() else { return PoolStats::default() };
    let mut sum = PoolStats {
        pool_id: first.pool_id.clone(),
        server_id: first.server_id.clone(),
        strategy: first.strategy.clone(),
        status: first.status.clone(),
        generation: first.generation,
        config_revision: first.config_revision.clone(),
        ..PoolStats::default()
    };
    for one in all {
        add(&mut sum, one);
    }
    sum
}

fn add(sum: &mut PoolStats, one: &PoolStats) {
    sum.session_age_seconds = ages(sum, one);
    gauges(sum, one);
    counters(sum, one);
    sum.max_wait_seconds = sum.max_wait_seconds.max(one.max_wait_seconds);
    sum.epoch = sum.epoch.max(one.epoch);
    sum.ready |= one.ready;
    sum.generation = sum.generation.min(one.generation);
    let or = |known: &mut Option<String>, other: &Option<String>| {
        if known.is_none() {
            known.clone_from(other);
        }
    };
    or(&mut sum.reset_token, &one.reset_token);
    or(&mut sum.config_error, &one.config_error);
    if sum.config_revision != one.config_revision {
        sum.config_revision = None;
    }
    // Whoever does not reach the server is what people want to hear of.
    if sum.upstream.reachable != Some(false) && one.upstream.reachable.is_some() {
        sum.upstream = one.upstream.clone();
    }
    for endpoint in &one.endpoints {
        add_endpoint(&mut sum.endpoints, endpoint);
    }
}

fn gauges(sum: &mut PoolStats, one: &PoolStats) {
    sum.total_sessions += one.total_sessions;
    sum.active_sessions += one.active_sessions;
    sum.available_sessions += one.available_sessions;
    sum.unhealthy_sessions += one.unhealthy_sessions;
    sum.min_size += one.min_size;
    sum.max_size += one.max_size;
    sum.active_leases += one.active_leases;
    sum.waiting += one.waiting;
    sum.initializing += one.initializing;
    sum.direct_sessions += one.direct_sessions;
    sum.client_sessions += one.client_sessions;
    sum.needs_check += one.needs_check;
    sum.bound_keys += one.bound_keys;
    sum.outdated_sessions += one.outdated_sessions;
    sum.memory_bytes += one.memory_bytes;
    sum.memory_at_ready_bytes += one.memory_at_ready_bytes;
    add_counts(&mut sum.pinned, &one.pinned);
}

fn counters(sum: &mut PoolStats, one: &PoolStats) {
    sum.total_acquisitions += one.total_acquisitions;
    sum.total_releases += one.total_releases;
    sum.total_timeouts += one.total_timeouts;
    sum.total_creates += one.total_creates;
    sum.total_destroys += one.total_destroys;
    sum.connect_failures += one.connect_failures;
    sum.total_wait_seconds += one.total_wait_seconds;
    sum.total_calls += one.total_calls;
    sum.total_call_seconds += one.total_call_seconds;
    sum.total_call_seconds_squared += one.total_call_seconds_squared;
    sum.total_refusals += one.total_refusals;
    sum.recycle_deferrals += one.recycle_deferrals;
    sum.state_losses += one.state_losses;
    sum.repeats += one.repeats;
    sum.drain_refusals += one.drain_refusals;
    sum.drain_aborts += one.drain_aborts;
    sum.unattributed_requests += one.unattributed_requests;
    sum.unattributed_notifications += one.unattributed_notifications;
    add_counts(&mut sum.total_pins, &one.total_pins);
    add_counts(&mut sum.destroys_by_reason, &one.destroys_by_reason);
}

fn add_counts(sum: &mut BTreeMap<String, u64>, one: &BTreeMap<String, u64>) {
    for (name, count) in one {
        *sum.entry(name.clone()).or_default() += count;
    }
}

fn add_endpoint(all: &mut Vec<EndpointStats>, one: &EndpointStats) {
    let Some(known) = all.iter_mut().find(|known| known.endpoint == one.endpoint) else {
        all.push(one.clone());
        return;
    };
    known.sessions += one.sessions;
    known.leases += one.leases;
    known.failures = known.failures.max(one.failures);
    known.call_seconds = known.call_seconds.max(one.call_seconds);
    if known.state == "active" {
        known.state.clone_from(&one.state);
    }
}

fn ages(sum: &PoolStats, one: &PoolStats) -> Option<AgeQuantiles> {
    let (Some(a), Some(b)) = (sum.session_age_seconds, one.session_age_seconds) else {
        return sum.session_age_seconds.or(one.session_age_seconds);
    };
    let (m, n) = (sum.total_sessions.max(1) as f64, one.total_sessions.max(1) as f64);
    let mean = |a: f64, b: f64| (a * m + b * n) / (m + n);
    Some(AgeQuantiles { p50: mean(a.p50, b.p50), p95: mean(a.p95, b.p95), p99: mean(a.p99, b.p99) })
}

/// What a pool's proxies have told, by proxy: sums whose counters don't fall when one goes, and what they grew by.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    gone: PoolStats,
    live: BTreeMap<String, PoolStats>,
    growth: Growth,
}

impl Tally {
    /// Takes in what proxies told. `present` are the lives of proxies that are there, whether or not they answered.
    pub fn observe<'a>(&mut self, present: &[&str], told: impl Iterator<Item = (&'a str, &'a PoolStats)>) {
        for (life, stats) in told {
            // What a proxy counted before it was first seen belongs to no interval that is known.
            if let Some(before) = self.live.insert(life.to_owned(), stats.clone()) {
                self.growth = grown(self.growth, &stats.since(&before));
            }
        }
        let ended: Vec<String> =
            self.live.keys().filter(|life| !present.contains(&life.as_str())).cloned().collect();
        for stats in ended.iter().filter_map(|life| self.live.remove(life)) {
            counters(&mut self.gone, &stats);
            // Its requests have ended, and its sessions with it.
            self.gone.total_releases = self.gone.total_acquisitions;
            self.gone.total_destroys = self.gone.total_creates;
        }
    }

    /// The sum over all that are there, with the counters of those that are gone.
    pub fn sum(&self) -> PoolStats {
        let mut sum = sum(self.live.values());
        counters(&mut sum, &self.gone);
        sum
    }

    /// What was counted since the last call.
    pub fn take_growth(&mut self) -> Growth {
        std::mem::take(&mut self.growth)
    }
}

fn grown(before: Growth, more: &PoolStats) -> Growth {
    Growth {
        acquisitions: before.acquisitions + more.total_acquisitions,
        timeouts: before.timeouts + more.total_timeouts,
        errors: before.errors + errors(more),
        calls: before.calls + more.total_calls,
        call_seconds: before.call_seconds + more.total_call_seconds.max(0.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stats(acquisitions: u64, sessions: u64) -> PoolStats {
        PoolStats {
            total_sessions: sessions,
            total_acquisitions: acquisitions,
            total_releases: acquisitions,
            total_creates: sessions,
            total_calls: acquisitions,
            total_call_seconds: acquisitions as f64 / 2.0,
            connect_failures: 1,
            ready: true,
            ..PoolStats::default()
        }
    }

    #[test]
    fn proxies_are_summed_and_stay_counted() {
        let mut tally = Tally::default();
        let (a, b) = (stats(10, 2), stats(5, 3));
        tally.observe(&["a", "b"], [("a", &a), ("b", &b)].into_iter());
        let sum = tally.sum();
        assert_eq!((sum.total_acquisitions, sum.total_sessions, errors(&sum), sum.ready), (15, 5, 2, true));
        assert_eq!(tally.take_growth(), Growth::default(), "nobody knows when that was");
        tally.observe(&["b"], [("b", &stats(9, 3))].into_iter());
        let sum = tally.sum();
        assert_eq!((sum.total_acquisitions, sum.total_sessions), (19, 3));
        assert_eq!(sum.total_creates - sum.total_destroys, 3);
        let growth = tally.take_growth();
        assert_eq!((growth.acquisitions, growth.calls, growth.call_seconds), (4, 4, 2.0));
        tally.observe(&["b"], std::iter::empty());
        assert_eq!(tally.sum(), sum, "a silent one keeps its numbers");
    }

    #[test]
    fn whoever_does_not_reach_the_server_is_told() {
        let mut one = stats(1, 1);
        one.upstream.reachable = Some(true);
        let mut other = stats(1, 1);
        other.upstream.reachable = Some(false);
        other.upstream.message = Some("refused".to_owned());
        for order in [[&one, &other], [&other, &one]] {
            assert_eq!(sum(order.into_iter()).upstream, other.upstream);
        }
    }

    #[test]
    fn ages_are_weighed() {
        let aged = |sessions, age| PoolStats {
            session_age_seconds: Some(AgeQuantiles { p50: age, p95: age, p99: age }),
            ..stats(0, sessions)
        };
        let all = [aged(1, 10.0), aged(3, 50.0), stats(0, 0)];
        assert_eq!(sum(all.iter()).session_age_seconds.map(|ages| ages.p50), Some(40.0));
    }
}
