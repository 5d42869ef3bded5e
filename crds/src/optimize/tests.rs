use super::*;
use crate::{PoolDefaults, wire::EndpointStats};

/// A pool with traffic that calls for nothing, changed by `change`.
fn advice(change: impl FnOnce(&mut SessionPoolSpec, &mut PoolStats, &mut Vec<SessionInfo>)) -> Advice {
    let mut spec = SessionPoolSpec { pool_enabled: true, isolation: Isolation::Shared, ..Default::default() };
    let mut stats = PoolStats {
        total_acquisitions: 1000,
        total_releases: 1000,
        total_creates: 4,
        total_sessions: 4,
        total_calls: 1000,
        total_call_seconds: 100.0,
        total_call_seconds_squared: 11.0,
        memory_bytes: 20 << 20,
        memory_at_ready_bytes: 18 << 20,
        ..PoolStats::default()
    };
    let mut sessions = Vec::new();
    change(&mut spec, &mut stats, &mut sessions);
    let settings = Settings::resolve(&spec, &PoolDefaults::built_in()).unwrap();
    advise(&Observed { settings: &settings, spec: &spec, stats: &stats, sessions: &sessions, seconds: 100.0 })
}

fn codes(advice: &Advice) -> Vec<&str> {
    advice.reasons.iter().map(|reason| reason.code.as_str()).collect()
}

#[test]
fn a_good_pool_is_left_alone() {
    let advice = advice(|_, _, _| ());
    assert_eq!(codes(&advice), ["nothing_to_change"]);
    assert_eq!(advice.current, advice.recommended);
}

#[test]
fn little_traffic_tells_nothing() {
    let advice = advice(|_, stats, _| (stats.total_acquisitions, stats.total_calls) = (49, 49));
    assert_eq!(codes(&advice), ["too_little_traffic"]);
}

#[test]
fn time_outs_raise_the_maximum_by_littles_law() {
    // 20 requests a second of 2 s each keep 40 sessions busy: twice that.
    let many = advice(|_, stats, _| {
        (stats.total_acquisitions, stats.total_timeouts) = (1900, 100);
        (stats.total_calls, stats.total_call_seconds) = (1900, 3800.0);
        stats.total_call_seconds_squared = 7600.0;
    });
    assert_eq!(codes(&many), ["time_outs"]);
    assert_eq!(many.recommended.pool_max_size, 80);
    let few = advice(|_, stats, _| stats.total_timeouts = 2);
    assert_eq!(few.recommended.pool_max_size, 15, "by half at least");
    let capped = advice(|spec, stats, _| {
        stats.total_timeouts = 100;
        spec.optimization.max_size = Some(12);
    });
    assert_eq!(capped.recommended.pool_max_size, 12);
    assert_eq!(codes(&advice(|_, stats, _| stats.total_timeouts = 0)), ["nothing_to_change"]);
    assert_eq!(
        codes(&advice(|_, stats, _| {
            (stats.total_acquisitions, stats.total_timeouts) = (10_000, 1);
        })),
        ["nothing_to_change"],
        "one in ten thousand"
    );
}

#[test]
fn sessions_that_are_not_reused_have_a_reason() {
    let destroyed = |reason: &'static str| {
        advice(move |spec, stats, _| {
            stats.total_creates = 900;
            stats.destroys_by_reason = [(reason.to_owned(), 890)].into();
            spec.pool_recycle_seconds = Some(5);
            spec.pool_max_requests = 1;
        })
    };
    assert_eq!(destroyed("age").recommended.pool_recycle_seconds, 600);
    assert_eq!(destroyed("requests").recommended.pool_max_requests, 100);
    assert_eq!(destroyed("room").recommended.pool_max_size, 20);
    assert_eq!(destroyed("idle").recommended.pool_min_size, 2);
    let lost = destroyed("lost");
    assert_eq!(codes(&lost), ["sessions_not_reused"]);
    assert_eq!(lost.recommended, lost.current);
    let own = advice(|spec, stats, _| {
        spec.isolation = Isolation::Session;
        stats.total_creates = 900;
    });
    assert_eq!(own.recommended.isolation, "principal");
    let none = advice(|spec, stats, _| {
        spec.pool_min_size = Some(0);
        stats.total_creates = 900;
    });
    assert_eq!(none.recommended.pool_min_size, 1);
    let off = advice(|spec, _, _| spec.pool_enabled = false);
    assert_eq!((codes(&off), off.recommended.pool_enabled), (vec!["pooling_disabled"], true));
    assert_eq!(codes(&advice(|_, stats, _| stats.total_creates = 499)), ["nothing_to_change"]);
}

#[test]
fn calls_of_varying_length_want_least_connections() {
    let varied = |squared| advice(move |_, stats, _| stats.total_call_seconds_squared = squared);
    // The mean is 0.1 s, so its square is 0.01: 20 / 1000 is a variance of 0.01, a variation of 1.
    assert_eq!(varied(20.1).recommended.pool_strategy, "least_connections");
    assert_eq!(codes(&varied(19.0)), ["nothing_to_change"]);
    let short = advice(|_, stats, _| {
        // A mean of 2 ms that varies by twice that.
        (stats.total_call_seconds, stats.total_call_seconds_squared) = (2.0, 0.02);
    });
    assert_eq!(codes(&short), ["nothing_to_change"]);
}

#[test]
fn state_in_sessions_wants_sticky() {
    let pinned = advice(|_, stats, _| stats.total_pins = [("tool".to_owned(), 1)].into());
    assert_eq!(pinned.recommended.pool_strategy, "sticky");
    let asked = advice(|_, stats, _| stats.unattributed_requests = 1);
    assert_eq!(codes(&asked), ["state_seen"]);
    let own = advice(|spec, stats, _| {
        spec.isolation = Isolation::Session;
        stats.unattributed_requests = 1;
    });
    assert_eq!(codes(&own), ["nothing_to_change"]);
}

#[test]
fn uneven_use_wants_another_strategy() {
    let use_of = |requests: &'static [u64]| {
        advice(move |spec, _, sessions| {
            spec.pool_strategy = PoolStrategy::Sticky;
            let session = |requests| SessionInfo { requests, ..SessionInfo::default() };
            sessions.extend(requests.iter().copied().map(session));
        })
    };
    assert_eq!(use_of(&[95, 3, 2]).recommended.pool_strategy, "least_connections");
    assert_eq!(codes(&use_of(&[30, 40, 30])), ["nothing_to_change"]);
    let endpoints = |slow: f64| {
        advice(move |_, stats, _| {
            let endpoint = |call_seconds| EndpointStats { call_seconds, ..EndpointStats::default() };
            stats.endpoints = vec![endpoint(0.01), endpoint(slow)];
        })
    };
    assert_eq!(endpoints(0.03).recommended.pool_strategy, "weighted");
    assert_eq!(codes(&endpoints(0.015)), ["nothing_to_change"]);
}

#[test]
fn growing_memory_wants_younger_sessions() {
    let grown = |mib: u64| advice(move |_, stats, _| stats.memory_bytes = mib << 20);
    assert_eq!(grown(80).recommended.pool_max_requests, 1000);
    assert_eq!(codes(&grown(40)), ["nothing_to_change"]);
}

#[test]
fn a_pool_that_hardly_anybody_uses_keeps_nothing_open() {
    let spec = SessionPoolSpec { pool_enabled: true, ..Default::default() };
    let settings = Settings::resolve(&spec, &PoolDefaults::built_in()).unwrap();
    let stats = PoolStats { total_acquisitions: 3, ..PoolStats::default() };
    let over = |seconds| {
        advise(&Observed { settings: &settings, spec: &spec, stats: &stats, sessions: &[], seconds })
    };
    assert_eq!(over(7200.0).recommended.pool_min_size, 0);
    assert_eq!(codes(&over(600.0)), ["too_little_traffic"]);
}
