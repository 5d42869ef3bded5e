//! The last hour of a pool, kept small: operators remember it of a thousand pools.

use std::collections::VecDeque;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::wire::PoolStats;

/// Seconds between two samples.
const INTERVAL: u32 = 15;
/// Samples that are kept: those of an hour.
const KEPT: usize = 240;

/// The last hour, or what is known of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct History {
    /// From when on samples are known: an hour ago, or since whoever answers runs.
    #[schema(format = "date-time")]
    pub since: String,
    /// Seconds between two samples.
    pub interval_seconds: u32,
    /// From old to new. Where nothing was known of the pool one is missing.
    pub samples: Vec<HistorySample>,
}

/// What was at a time, and what happened in the interval before.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct HistorySample {
    /// The time.
    #[schema(format = "date-time")]
    pub time: String,
    /// Open sessions.
    pub total_sessions: u32,
    /// Those that carry a request.
    pub active_sessions: u32,
    /// Requests that wait.
    pub waiting: u32,
    /// Sessions handed to requests within the interval.
    pub acquisitions: u32,
    /// Requests that waited in vain within the interval.
    pub timeouts: u32,
    /// Errors within the interval; see `total_errors` of a pool.
    pub errors: u32,
    /// Mean time of the calls that ended within the interval, in seconds; none without any.
    #[schema(required = true)]
    pub call_seconds: Option<f32>,
}

/// What was counted since the last sample.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Growth {
    /// Sessions handed to requests.
    pub acquisitions: u64,
    /// Requests that waited in vain.
    pub timeouts: u64,
    /// Errors.
    pub errors: u64,
    /// Calls that ended.
    pub calls: u64,
    /// Their time in seconds.
    pub call_seconds: f64,
}

#[derive(Debug, Clone, Copy)]
struct Kept {
    /// Seconds since the epoch.
    second: u32,
    total: u32,
    active: u32,
    waiting: u32,
    acquisitions: u32,
    timeouts: u32,
    errors: u32,
    /// Not a number without a call.
    call_seconds: f32,
}

/// Samples as they are kept.
#[derive(Debug, Clone, Default)]
pub struct Recording(VecDeque<Kept>);

impl Recording {
    /// Takes a sample; the oldest goes when it is over an hour old.
    pub fn push(&mut self, now: Timestamp, gauges: &PoolStats, growth: Growth) {
        while self.0.len() >= KEPT {
            self.0.pop_front();
        }
        #[expect(clippy::cast_possible_truncation, reason = "a mean of seconds for a chart")]
        let call_seconds = (growth.call_seconds / growth.calls as f64) as f32;
        self.0.push_back(Kept {
            second: u32::try_from(now.as_second()).unwrap_or(u32::MAX),
            total: small(gauges.total_sessions),
            active: small(gauges.active_sessions),
            waiting: small(gauges.waiting),
            acquisitions: small(growth.acquisitions),
            timeouts: small(growth.timeouts),
            errors: small(growth.errors),
            call_seconds,
        });
    }

    /// What is known of the last hour. `since` is when recording began.
    pub fn history(&self, since: Timestamp, now: Timestamp) -> History {
        let hour_ago = now - jiff::SignedDuration::from_hours(1);
        let since = since.max(hour_ago);
        let samples = self.0.iter().filter(|kept| i64::from(kept.second) >= hour_ago.as_second());
        History {
            since: seconds(since),
            interval_seconds: INTERVAL,
            samples: samples.map(HistorySample::from).collect(),
        }
    }
}

impl From<&Kept> for HistorySample {
    fn from(kept: &Kept) -> Self {
        let time = Timestamp::from_second(i64::from(kept.second)).unwrap_or_default();
        Self {
            time: seconds(time),
            total_sessions: kept.total,
            active_sessions: kept.active,
            waiting: kept.waiting,
            acquisitions: kept.acquisitions,
            timeouts: kept.timeouts,
            errors: kept.errors,
            call_seconds: kept.call_seconds.is_finite().then_some(kept.call_seconds),
        }
    }
}

impl History {
    /// Time between two samples.
    pub const INTERVAL: std::time::Duration = std::time::Duration::from_secs(INTERVAL as u64);
}

fn seconds(time: Timestamp) -> String {
    format!("{time:.0}")
}

fn small(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_is_kept() {
        let mut recording = Recording::default();
        let at = |second| Timestamp::from_second(second).unwrap();
        let gauges = PoolStats { total_sessions: 3, active_sessions: 1, ..PoolStats::default() };
        for number in 0..300 {
            let calls = u64::from(number % 2 == 0) * 4;
            let growth =
                Growth { acquisitions: 7, calls, call_seconds: calls as f64 / 2.0, ..Growth::default() };
            recording.push(at(number * 15), &gauges, growth);
        }
        let history = recording.history(at(0), at(299 * 15));
        assert_eq!((history.samples.len(), history.interval_seconds), (240, 15));
        assert_eq!(history.since, "1970-01-01T00:14:45Z");
        assert_eq!(history.samples[0].time, "1970-01-01T00:15:00Z");
        assert_eq!((history.samples[0].call_seconds, history.samples[1].call_seconds), (Some(0.5), None));
        assert_eq!(recording.history(at(0), at(299 * 15 + 1800)).samples.len(), 120, "the rest is too old");
        assert_eq!(size_of::<Kept>(), 32, "a thousand pools take 8 MB");
    }
}
