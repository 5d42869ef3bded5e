//! The rules, in the order in which they are asked.

use super::{Change, Finding, LEAST_TRAFFIC, Observed, Reason};
use crate::{Isolation, PoolStrategy};

/// Share of requests that may wait in vain before the pool counts as too small.
const TIMEOUT_SHARE: f64 = 0.001;

/// Sessions that are opened for each request above which reuse has failed.
const REUSE_FAILED: f64 = 0.5;

/// Coefficient of variation of call times from which slow calls hold up others. Equal calls have 0, an exponential
/// distribution 1.
const VARIED: f64 = 1.0;

/// Standard deviation of call times, in seconds, below which nobody notices who waits behind whom.
const VARIED_SECONDS: f64 = 0.05;

/// Headroom over the sessions that are busy on average.
const HEADROOM: f64 = 2.0;

/// How much longer one address's calls take than another's before weights are worth it.
const UNLIKE: f64 = 2.0;

/// Growth of memory that is looked at: by half, and by at least this many bytes.
const GROWTH: f64 = 1.5;
const GROWTH_BYTES: u64 = 32 << 20;

/// Requests in an hour below which sessions are not worth keeping open.
const RARE_PER_HOUR: f64 = 6.0;

type Rule = fn(&Observed<'_>) -> Option<Finding>;

pub(super) const ALL: [Rule; 8] =
    [disabled, time_outs, no_reuse, state_seen, uneven, varied_calls, memory_growth, hardly_used];

#[expect(clippy::unnecessary_wraps, reason = "what rules give")]
fn finding(code: &'static str, message: String, change: Change) -> Option<Finding> {
    Some(Finding { code, message, change: Some(change) })
}

fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// Seconds that a call takes on average.
fn mean_call(observed: &Observed<'_>) -> f64 {
    observed.stats.total_call_seconds / (observed.stats.total_calls.max(1)) as f64
}

/// Requests in a second.
fn arrivals(observed: &Observed<'_>) -> f64 {
    let stats = observed.stats;
    (stats.total_acquisitions + stats.total_timeouts) as f64 / observed.seconds.max(1.0)
}

/// Sessions that are busy on average if nobody waits: arrivals in a second times seconds of a call.
///
/// Source: J. D. C. Little, "A Proof for the Queuing Formula L = λW", Operations Research 9(3), 1961.
fn busy(observed: &Observed<'_>) -> f64 {
    arrivals(observed) * mean_call(observed)
}

fn whole(value: f64) -> u64 {
    // Sizes are small and positive.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let value = value.clamp(0.0, 10_000.0).ceil() as u64;
    value
}

fn disabled(observed: &Observed<'_>) -> Option<Finding> {
    if observed.spec.pool_enabled && observed.settings.strategy != PoolStrategy::None {
        return None;
    }
    let stats = observed.stats;
    if stats.total_acquisitions < LEAST_TRAFFIC {
        return None;
    }
    let message = format!(
        "pooling is off: {} clients have a session each, and each of them waited for a handshake; turn it on where \
         clients come and go",
        stats.client_sessions
    );
    let change = if observed.spec.pool_enabled {
        Change::Strategy(PoolStrategy::RoundRobin)
    } else {
        Change::Enabled(true)
    };
    finding("pooling_disabled", message, change)
}

fn time_outs(observed: &Observed<'_>) -> Option<Finding> {
    let stats = observed.stats;
    let asked = stats.total_acquisitions + stats.total_timeouts;
    let failed = stats.total_timeouts + stats.total_refusals;
    if failed == 0 || share(failed, asked) < TIMEOUT_SHARE {
        return None;
    }
    let max = observed.settings.max_size as u64;
    let concurrency = f64::from(observed.settings.session_concurrency);
    let needed = whole(busy(observed) * HEADROOM / concurrency);
    // Load that was refused does not show in full: the pool grows by half at least.
    let size = needed.max(max + max.div_ceil(2));
    let message = format!(
        "{failed} of {asked} requests found no session in time: {:.1} requests a second of {:.3} s each keep {:.1} \
         sessions busy, and at most {max} are allowed. Raise pool_max_size; if calls become slower with it, the server is \
         the limit: then lower pool_timeout to fail faster, or add servers",
        arrivals(observed),
        mean_call(observed),
        busy(observed) / concurrency,
    );
    finding("time_outs", message, Change::MaxSize(size))
}

fn no_reuse(observed: &Observed<'_>) -> Option<Finding> {
    let stats = observed.stats;
    let pooled = observed.spec.pool_enabled && observed.settings.strategy != PoolStrategy::None;
    if !pooled
        || stats.total_creates < 10
        || share(stats.total_creates, stats.total_acquisitions) < REUSE_FAILED
    {
        return None;
    }
    let (creates, requests) = (stats.total_creates, stats.total_acquisitions);
    let said = |why: String| format!("{creates} sessions were opened for {requests} requests: {why}");
    let closed = |reason: &str| stats.destroys_by_reason.get(reason).copied().unwrap_or_default();
    let most = stats.destroys_by_reason.iter().max_by_key(|(_, count)| **count);
    match most.map(|(reason, count)| (reason.as_str(), *count)) {
        _ if observed.spec.isolation == Isolation::Session => finding(
            "sessions_not_reused",
            said("with isolation Session each client session has its own; use Principal where a user's clients may share".to_owned()),
            Change::Isolation(Isolation::Principal),
        ),
        Some(("requests", count)) => finding(
            "sessions_not_reused",
            said(format!("{count} were replaced after poolMaxRequests requests; raise it")),
            Change::MaxRequests(observed.settings.max_requests.unwrap_or(1).saturating_mul(10).max(100)),
        ),
        Some(("age", count)) => finding(
            "sessions_not_reused",
            said(format!("{count} were replaced for their age; raise pool_recycle_seconds")),
            Change::RecycleSeconds(observed.settings.recycle.map_or(3600, |age| (age.as_secs() * 10).max(600))),
        ),
        Some(("room", count)) => finding(
            "sessions_not_reused",
            said(format!("{count} made room for other clients' keys; raise pool_max_size, or share by isolation Shared")),
            Change::MaxSize((observed.settings.max_size as u64) * 2),
        ),
        Some(("idle", count)) => finding(
            "sessions_not_reused",
            said(format!("{count} were closed for being idle before the next request came; raise pool_min_size")),
            Change::MinSize((observed.settings.min_size as u64).max(1) + 1),
        ),
        _ if closed("unhealthy") + closed("lost") + closed("abandoned") > 0 => Some(Finding {
            code: "sessions_not_reused",
            message: said(format!(
                "{} failed a check, {} were lost by the server and {} were left by calls without an answer; look at the \
                 server: no parameter mends that",
                closed("unhealthy"),
                closed("lost"),
                closed("abandoned")
            )),
            change: None,
        }),
        _ if observed.settings.min_size == 0 => finding(
            "sessions_not_reused",
            said("none is kept open between requests; raise pool_min_size".to_owned()),
            Change::MinSize(1),
        ),
        _ => None,
    }
}

fn state_seen(observed: &Observed<'_>) -> Option<Finding> {
    let stats = observed.stats;
    let strategy = observed.settings.strategy;
    if observed.spec.isolation == Isolation::Session
        || matches!(strategy, PoolStrategy::None | PoolStrategy::Sticky)
    {
        return None;
    }
    let pins: u64 = stats.total_pins.values().sum();
    let asked = stats.unattributed_requests;
    if pins + asked == 0 {
        return None;
    }
    let message = format!(
        "the server keeps state in its sessions: {pins} clients were pinned to one, and it asked {asked} questions that no \
         client could be given. Sticky keeps a client on its session; with isolation Session nobody else comes near it"
    );
    finding("state_seen", message, Change::Strategy(PoolStrategy::Sticky))
}

fn uneven(observed: &Observed<'_>) -> Option<Finding> {
    let speeds = observed.stats.endpoints.iter().filter(|endpoint| endpoint.call_seconds > 0.0);
    let speeds: Vec<f64> = speeds.map(|endpoint| endpoint.call_seconds).collect();
    let slowest = speeds.iter().copied().fold(0.0, f64::max);
    let quickest = speeds.iter().copied().fold(f64::INFINITY, f64::min);
    let strategy = observed.settings.strategy;
    let enough = observed.stats.total_calls >= LEAST_TRAFFIC;
    if speeds.len() > 1
        && enough
        && slowest > quickest * UNLIKE
        && matches!(strategy, PoolStrategy::RoundRobin | PoolStrategy::LeastConnections)
    {
        let message = format!(
            "the server's addresses differ: a call takes {quickest:.3} s at the quickest and {slowest:.3} s at the slowest; \
             Weighted sends more to the quicker ones"
        );
        return finding("unlike_endpoints", message, Change::Strategy(PoolStrategy::Weighted));
    }
    let used: Vec<u64> = observed.sessions.iter().map(|session| session.requests).collect();
    let (most, all) = (used.iter().copied().max().unwrap_or(0), used.iter().sum::<u64>());
    if strategy != PoolStrategy::Sticky || used.len() < 2 || all < LEAST_TRAFFIC {
        return None;
    }
    let even = all as f64 / used.len() as f64;
    if (most as f64) < even * 1.8 {
        return None;
    }
    let message = format!(
        "one of {} sessions served {most} of {all} requests: few clients make most of the traffic, and Sticky keeps each on \
         one session. Where nothing is kept in sessions, LeastConnections spreads them",
        used.len()
    );
    finding("uneven_use", message, Change::Strategy(PoolStrategy::LeastConnections))
}

fn varied_calls(observed: &Observed<'_>) -> Option<Finding> {
    let stats = observed.stats;
    let in_turn = observed.spec.pool_enabled && observed.settings.strategy == PoolStrategy::RoundRobin;
    if !in_turn || stats.total_calls < LEAST_TRAFFIC {
        return None;
    }
    let mean = mean_call(observed);
    let variance = stats.total_call_seconds_squared / stats.total_calls as f64 - mean * mean;
    let deviation = variance.max(0.0).sqrt();
    let variation = deviation / mean.max(f64::MIN_POSITIVE);
    if variation < VARIED || deviation < VARIED_SECONDS {
        return None;
    }
    let message = format!(
        "calls take {mean:.3} s on average and vary by {variation:.1} times that: LeastConnections keeps quick calls from \
         waiting behind slow ones, and lets surplus sessions close"
    );
    finding("varied_calls", message, Change::Strategy(PoolStrategy::LeastConnections))
}

fn memory_growth(observed: &Observed<'_>) -> Option<Finding> {
    let stats = observed.stats;
    let (now, then) = (stats.memory_bytes, stats.memory_at_ready_bytes);
    let grown = now.saturating_sub(then);
    if then == 0 || grown < GROWTH_BYTES || (now as f64) < then as f64 * GROWTH {
        return None;
    }
    if observed.settings.max_requests.is_some() {
        return None;
    }
    let message = format!(
        "the proxy's memory grew from {} to {} MiB over {} requests; many servers keep something for each request of a \
         session too. Replace sessions after a number of requests (pool_max_requests), or sooner (pool_recycle_seconds)",
        then >> 20,
        now >> 20,
        stats.total_acquisitions
    );
    finding("memory_growth", message, Change::MaxRequests(1000))
}

fn hardly_used(observed: &Observed<'_>) -> Option<Finding> {
    let hours = observed.seconds / 3600.0;
    let stats = observed.stats;
    let rate = stats.total_acquisitions as f64 / hours.max(f64::MIN_POSITIVE);
    let kept = observed.settings.min_size;
    if hours < 1.0 || rate >= RARE_PER_HOUR || kept == 0 || !observed.spec.pool_enabled {
        return None;
    }
    let message = format!(
        "{} requests came in {hours:.1} h, and {kept} sessions are kept open for them; with pool_min_size 0 the server \
         holds none while nobody asks, and the first request waits for a handshake",
        stats.total_acquisitions
    );
    finding("hardly_used", message, Change::MinSize(0))
}

/// What is said when no rule has found anything.
pub(super) fn nothing(observed: &Observed<'_>) -> Reason {
    let stats = observed.stats;
    let (code, message) = if stats.total_acquisitions < LEAST_TRAFFIC {
        let message = format!(
            "{} requests are too few to tell; ask again after {LEAST_TRAFFIC}",
            stats.total_acquisitions
        );
        ("too_little_traffic", message)
    } else {
        let message = format!(
            "nothing to change: {} requests on {} sessions, {} time-outs, calls of {:.3} s",
            stats.total_acquisitions,
            stats.total_creates,
            stats.total_timeouts,
            mean_call(observed)
        );
        ("nothing_to_change", message)
    };
    Reason { code: code.to_owned(), parameter: None, message }
}
