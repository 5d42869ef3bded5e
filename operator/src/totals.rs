//! Sums of the proxies' statistics that never go backwards when pods come, go or restart.

use std::collections::BTreeMap;

use crds::{PoolStatsStatus, wire::PoolStats};

use crate::reconcile::observe::Fleet;

/// What only grows, of one proxy or of a pool.
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
}

impl Counters {
    fn plus(self, other: Self) -> Self {
        Self {
            acquisitions: self.acquisitions.saturating_add(other.acquisitions),
            releases: self.releases.saturating_add(other.releases),
            timeouts: self.timeouts.saturating_add(other.timeouts),
            creates: self.creates.saturating_add(other.creates),
            destroys: self.destroys.saturating_add(other.destroys),
        }
    }

    /// The counters once the proxy is gone: its leases have ended and its sessions are closed.
    fn ended(self) -> Self {
        Self { releases: self.acquisitions, destroys: self.creates, ..self }
    }

    /// What has to be added to `self` so that no counter is below `floor`. The pairs move together, so that the sum
    /// still says how many sessions and leases there are.
    fn shortfall(self, floor: Self) -> Self {
        let pair = |a: u64, floor_a: u64, b: u64, floor_b: u64| {
            floor_a.saturating_sub(a).max(floor_b.saturating_sub(b))
        };
        let leases = pair(self.acquisitions, floor.acquisitions, self.releases, floor.releases);
        let sessions = pair(self.creates, floor.creates, self.destroys, floor.destroys);
        Self {
            acquisitions: leases,
            releases: leases,
            timeouts: floor.timeouts.saturating_sub(self.timeouts),
            creates: sessions,
            destroys: sessions,
        }
    }
}

/// What rises and falls, of one proxy or of a pool.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Gauges {
    /// Initialised sessions.
    pub total: u64,
    /// Those that carry a request.
    pub active: u64,
    /// Those that may take one.
    pub available: u64,
    /// Those that failed a check.
    pub unhealthy: u64,
    /// Sessions kept open.
    pub min_size: u64,
    /// Most sessions.
    pub max_size: u64,
}

impl Gauges {
    fn plus(self, other: Self) -> Self {
        Self {
            total: self.total.saturating_add(other.total),
            active: self.active.saturating_add(other.active),
            available: self.available.saturating_add(other.available),
            unhealthy: self.unhealthy.saturating_add(other.unhealthy),
            min_size: self.min_size.saturating_add(other.min_size),
            max_size: self.max_size.saturating_add(other.max_size),
        }
    }
}

/// The statistics of one proxy, or their sum.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sample {
    /// What only grows.
    pub counters: Counters,
    /// What rises and falls.
    pub gauges: Gauges,
}

impl From<&PoolStats> for Sample {
    fn from(stats: &PoolStats) -> Self {
        Self {
            counters: Counters {
                acquisitions: stats.total_acquisitions,
                releases: stats.total_releases,
                timeouts: stats.total_timeouts,
                creates: stats.total_creates,
                destroys: stats.total_destroys,
            },
            gauges: Gauges {
                total: stats.total_sessions,
                active: stats.active_sessions,
                available: stats.available_sessions,
                unhealthy: stats.unhealthy_sessions,
                min_size: stats.min_size,
                max_size: stats.max_size,
            },
        }
    }
}

impl From<&PoolStatsStatus> for Sample {
    fn from(stats: &PoolStatsStatus) -> Self {
        let unsigned = |number: i64| u64::try_from(number).unwrap_or_default();
        Self {
            counters: Counters {
                acquisitions: unsigned(stats.total_acquisitions),
                releases: unsigned(stats.total_releases),
                timeouts: unsigned(stats.total_timeouts),
                creates: unsigned(stats.total_creates),
                destroys: unsigned(stats.total_destroys),
            },
            gauges: Gauges {
                total: unsigned(stats.total_sessions),
                active: unsigned(stats.active_sessions),
                available: unsigned(stats.available_sessions),
                unhealthy: unsigned(stats.unhealthy_sessions),
                min_size: unsigned(stats.min_size),
                max_size: unsigned(stats.max_size),
            },
        }
    }
}

/// What the pool counted so far, by proxy. Lives as long as the operator; the stored status bridges its restarts.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    gone: Counters,
    live: BTreeMap<String, Sample>,
    opened: bool,
}

impl Ledger {
    /// Takes in what a fleet reports, and gives the pool's sum. Nothing is known before each ready proxy has answered
    /// once: what the stored sum holds of a silent one could not be told.
    pub fn observe(&mut self, fleet: &Fleet, stored: Option<Counters>) -> Option<Sample> {
        let silent = fleet.ready().any(|pod| pod.answered().is_none());
        let reports: Vec<(String, Sample)> = fleet
            .pods
            .iter()
            .filter_map(|pod| Some((pod.incarnation.clone(), Sample::from(pod.answered()?))))
            .collect();
        if !self.opened && (silent || reports.is_empty()) {
            return None;
        }
        let present: Vec<String> = fleet.pods.iter().map(|pod| pod.incarnation.clone()).collect();
        Some(self.update(&present, &reports, stored))
    }

    /// `present` are the incarnations (pod and restart count) that exist, whether or not they answered: a silent one
    /// keeps its last numbers. The first call makes up for what was counted before this operator started.
    fn update(
        &mut self,
        present: &[String],
        reports: &[(String, Sample)],
        stored: Option<Counters>,
    ) -> Sample {
        self.live.extend(reports.iter().cloned());
        for (incarnation, sample) in std::mem::take(&mut self.live) {
            if present.contains(&incarnation) {
                self.live.insert(incarnation, sample);
            } else {
                self.gone = self.gone.plus(sample.counters.ended());
            }
        }
        let gauges = self.live.values().fold(Gauges::default(), |sum, sample| sum.plus(sample.gauges));
        let counters = self.live.values().fold(self.gone, |sum, sample| sum.plus(sample.counters));
        if std::mem::replace(&mut self.opened, true) {
            return Sample { counters, gauges };
        }
        let before = counters.shortfall(stored.unwrap_or_default());
        self.gone = self.gone.plus(before);
        Sample { counters: counters.plus(before), gauges }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counters(creates: u64, destroys: u64, acquisitions: u64, releases: u64) -> Counters {
        Counters { acquisitions, releases, timeouts: 0, creates, destroys }
    }

    fn update(ledger: &mut Ledger, reports: &[(&str, Counters)], stored: Option<Counters>) -> Counters {
        let present: Vec<String> = reports.iter().map(|(name, _)| (*name).to_owned()).collect();
        let reports: Vec<_> = reports
            .iter()
            .map(|(name, counters)| {
                ((*name).to_owned(), Sample { counters: *counters, gauges: Gauges::default() })
            })
            .collect();
        ledger.update(&present, &reports, stored).counters
    }

    #[test]
    fn a_vanished_pod_stays_counted_and_its_sessions_are_destroyed() {
        let mut ledger = Ledger::default();
        update(&mut ledger, &[("a", counters(5, 2, 100, 98)), ("b", counters(4, 0, 50, 50))], None);
        let sum = update(&mut ledger, &[("b", counters(4, 0, 51, 50))], None);
        assert_eq!(sum, counters(9, 5, 151, 150));
    }

    #[test]
    fn a_silent_pod_keeps_its_last_numbers() {
        let mut ledger = Ledger::default();
        update(&mut ledger, &[("a", counters(5, 2, 100, 98))], None);
        assert_eq!(ledger.update(&["a".to_owned()], &[], None).counters, counters(5, 2, 100, 98));
    }

    #[test]
    fn a_restarted_operator_goes_on_from_the_status() {
        let stored = counters(9, 5, 151, 150);
        let mut ledger = Ledger::default();
        let sum = update(&mut ledger, &[("b", counters(4, 0, 51, 50))], Some(stored));
        assert_eq!(sum, stored);
        let sum = update(&mut ledger, &[("b", counters(6, 1, 61, 60))], Some(stored));
        assert_eq!(sum, counters(11, 6, 161, 160));
    }

    #[test]
    fn growth_while_the_operator_was_away_is_kept() {
        let mut ledger = Ledger::default();
        let sum = update(&mut ledger, &[("a", counters(8, 3, 200, 199))], Some(counters(5, 2, 100, 98)));
        assert_eq!(sum, counters(8, 3, 200, 199));
    }

    #[test]
    fn the_sum_never_goes_backwards_and_keeps_its_invariants() {
        let mut ledger = Ledger::default();
        let rounds = [
            vec![("a/0", counters(3, 0, 10, 9)), ("b/0", counters(2, 1, 5, 5))],
            vec![("a/1", counters(1, 0, 1, 0)), ("b/0", counters(3, 1, 8, 7))],
            vec![("b/0", counters(3, 3, 9, 9))],
            vec![],
        ];
        let mut before = Counters::default();
        for round in rounds {
            let live_sessions: u64 = round.iter().map(|(_, c)| c.creates - c.destroys).sum();
            let live_leases: u64 = round.iter().map(|(_, c)| c.acquisitions - c.releases).sum();
            let sum = update(&mut ledger, &round, Some(before));
            assert!(sum.creates >= before.creates && sum.destroys >= before.destroys);
            assert!(sum.acquisitions >= before.acquisitions && sum.releases >= before.releases);
            assert_eq!(sum.creates - sum.destroys, live_sessions);
            assert_eq!(sum.acquisitions - sum.releases, live_leases);
            before = sum;
        }
    }
}
