//! From when on the counters speak about the parameters in force: advice must not go by what others did.

use crds::{optimize::Parameters, wire::PoolStats};
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::config::Config;

/// Remembers the counters at the last change of a parameter.
#[derive(Debug, Default)]
pub struct Measured(Mutex<Option<Start>>);

#[derive(Debug)]
struct Start {
    time: Instant,
    stats: PoolStats,
}

impl Measured {
    /// Notes that `new` takes over from `old`; `stats` are those of now.
    pub fn change(&self, old: &Config, new: &Config, stats: impl FnOnce() -> PoolStats) {
        let parameters = |config: &Config| Parameters::of(&config.settings, &config.pool.spec);
        if parameters(old) != parameters(new) {
            *self.0.lock() = Some(Start { time: Instant::now(), stats: stats() });
        }
    }

    /// What `stats` have become since the last change, and the seconds since; nothing when there was none.
    pub fn of(&self, stats: &PoolStats) -> Option<(PoolStats, f64)> {
        let start = self.0.lock();
        start.as_ref().map(|start| (stats.since(&start.stats), start.time.elapsed().as_secs_f64()))
    }
}
