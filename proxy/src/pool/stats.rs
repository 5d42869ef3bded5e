//! Numbers that a pool reports.

use std::time::Duration;

use super::state::SlotId;

/// Upper bounds of the wait-time histogram's buckets, in seconds.
pub const WAIT_BUCKETS: [f64; 10] = [0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0];

/// What only grows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Leases given.
    pub acquisitions: u64,
    /// Leases given back.
    pub releases: u64,
    /// Waits that ended at their deadline.
    pub timeouts: u64,
    /// Sessions opened.
    pub creates: u64,
    /// Sessions closed or lost.
    pub destroys: u64,
    /// Sessions that could not be opened.
    pub connect_failures: u64,
    /// Requests refused since too many waited.
    pub refusals: u64,
}

/// Numbers of one moment. total = active + available + unhealthy; creates - destroys = total + direct;
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
    /// Slots being opened.
    pub initializing: usize,
    /// Initialised slots outside the pool's size.
    pub direct: usize,
    /// Leases that are out.
    pub leases: usize,
    /// Requests that wait.
    pub waiting: usize,
    /// Counters since the start.
    pub counters: Counters,
    /// Ages of the pooled slots, ascending.
    pub ages: Vec<Duration>,
    /// Times from checkout to lease.
    pub wait: Histogram,
    /// Whether a session was ever opened.
    pub ever_connected: bool,
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
    /// Where the session lives.
    pub endpoint: String,
}

/// A cumulative histogram over [`WAIT_BUCKETS`].
#[derive(Debug, Clone, Default)]
pub struct Histogram {
    /// Observations at or below each bound.
    pub buckets: [u64; WAIT_BUCKETS.len()],
    /// All observations.
    pub count: u64,
    /// Their sum in seconds.
    pub sum: f64,
}

impl Histogram {
    /// Adds an observation.
    pub fn observe(&mut self, value: Duration) {
        let seconds = value.as_secs_f64();
        for (bucket, bound) in self.buckets.iter_mut().zip(WAIT_BUCKETS) {
            *bucket += u64::from(seconds <= bound);
        }
        self.count += 1;
        self.sum += seconds;
    }
}
