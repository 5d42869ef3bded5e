//! Numbers that a pool reports.

use std::time::Duration;

use super::state::{CloseReason, PinReason, SlotId};

/// Upper bounds of the histograms' buckets, in seconds.
pub const BUCKETS: [f64; 12] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0, 120.0];

/// What only grows.
#[derive(Debug, Clone, Default)]
pub struct Counters {
    /// Leases given.
    pub acquisitions: u64,
    /// Leases given back.
    pub releases: u64,
    /// Waits that ended at their deadline.
    pub timeouts: u64,
    /// Pooled sessions opened.
    pub creates: u64,
    /// Pooled sessions closed or lost.
    pub destroys: u64,
    /// Those by reason, in the order of [`CloseReason::ALL`].
    pub closed: [u64; CloseReason::ALL.len()],
    /// Sessions opened outside the pool.
    pub direct_creates: u64,
    /// Sessions outside the pool that were closed or lost.
    pub direct_destroys: u64,
    /// Sessions that could not be opened.
    pub connect_failures: u64,
    /// Requests refused at once, since there were too many.
    pub refusals: u64,
    /// Clients that were pinned, in the order of [`PinReason::ALL`].
    pub pins: [u64; PinReason::ALL.len()],
    /// Slots that were due for recycling and stayed for the keys bound to them.
    pub deferrals: u64,
    /// Times from asking for a slot to getting it.
    pub wait: Histogram,
    /// Times from sending a request to its answer.
    pub call: Histogram,
    /// The squares of those times, in seconds squared, summed.
    pub call_squared: f64,
}

/// Numbers of one moment. total = active + available + unhealthy; creates - destroys = total;
/// acquisitions - releases = leases.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// Initialised pooled slots.
    pub total: usize,
    /// Those with a lease.
    pub active: usize,
    /// Those that failed a check and are not yet closed.
    pub unhealthy: usize,
    /// The rest of them.
    pub available: usize,
    /// Idle ones that are checked before their next use.
    pub needs_check: usize,
    /// Slots being opened.
    pub initializing: usize,
    /// Initialised slots outside the pool's size.
    pub direct: usize,
    /// Slots that serve one client only, in the order of [`PinReason::ALL`].
    pub pinned: [usize; PinReason::ALL.len()],
    /// Slots from before the last reset.
    pub outdated: usize,
    /// Affinity keys that are bound to a slot.
    pub bound_keys: usize,
    /// Leases that are out.
    pub leases: usize,
    /// Requests that wait.
    pub waiting: usize,
    /// How long the first of them has waited.
    pub longest_wait: Duration,
    /// Resets so far.
    pub epoch: u64,
    /// No new work is taken.
    pub draining: bool,
    /// And no slot is left.
    pub drained: bool,
    /// Counters since the start.
    pub counters: Counters,
    /// Ages of the pooled slots, ascending.
    pub ages: Vec<Duration>,
    /// Whether a session was ever opened.
    pub ever_connected: bool,
}

/// How full a pool is for someone who waits in vain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pressure {
    /// Slots that exist or are being opened.
    pub size: usize,
    /// The most that may.
    pub limit: usize,
    /// Requests that wait.
    pub waiters: usize,
    /// Both are the principal's, whose own cap is reached.
    pub of_principal: bool,
}

/// One slot as a person may see it.
#[derive(Debug, Clone)]
pub struct SlotInfo<K> {
    /// The pool's own number of the slot.
    pub id: SlotId,
    /// What it serves.
    pub key: K,
    /// idle, active, opening, unhealthy or closing.
    pub state: &'static str,
    /// Time since it was opened.
    pub age: Duration,
    /// Time since its last lease ended; zero while leased.
    pub idle: Duration,
    /// Requests served.
    pub requests: u64,
    /// Why it serves one client only.
    pub pinned: Option<&'static str>,
    /// Affinity keys bound to it.
    pub bound_keys: usize,
    /// Whether it is checked before its next use.
    pub needs_check: bool,
    /// Resets that the pool had seen when it was opened.
    pub epoch: u64,
    /// Where the session lives.
    pub endpoint: String,
}

/// One endpoint as a person may see it.
#[derive(Debug, Clone)]
pub struct EndpointInfo {
    /// active, recovering, backing_off or ejected.
    pub state: &'static str,
    /// Its configured weight.
    pub weight: u32,
    /// Slots on it.
    pub slots: usize,
    /// Leases on them.
    pub leases: usize,
    /// Expected time of a call in seconds; 0 before the first.
    pub latency: f64,
    /// Failures in a row.
    pub failures: u32,
}

/// A cumulative histogram over [`BUCKETS`].
#[derive(Debug, Clone, Default)]
pub struct Histogram {
    /// Observations in each bucket, not yet summed up.
    counts: [u64; BUCKETS.len()],
    /// All observations.
    pub count: u64,
    /// Their sum in seconds.
    pub sum: f64,
}

impl Histogram {
    /// Adds an observation.
    pub fn observe(&mut self, value: Duration) {
        let seconds = value.as_secs_f64();
        let at = BUCKETS.partition_point(|bound| *bound < seconds);
        if let Some(count) = self.counts.get_mut(at) {
            *count += 1;
        }
        self.count += 1;
        self.sum += seconds;
    }

    /// Each bound and the observations at or below it.
    pub fn buckets(&self) -> impl Iterator<Item = (f64, u64)> {
        let sums = self.counts.iter().scan(0, |sum, count| {
            *sum += count;
            Some(*sum)
        });
        BUCKETS.into_iter().zip(sums.collect::<Vec<_>>())
    }
}
