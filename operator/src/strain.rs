//! Whether a pool serves worse than it should although everything runs: what its proxies counted within the last minute.

use std::collections::{BTreeMap, VecDeque};

use crds::wire::PoolStats;
use jiff::{SignedDuration, Timestamp};

use crate::{
    conditions::{Kind, Reason, Verdict},
    reconcile::observe::Fleet,
};

/// How long a count speaks against a pool.
const WINDOW: SignedDuration = SignedDuration::from_secs(60);
/// Sessions that may fail their check within it: one that does is what checks are for.
const FAILED_CHECKS: u64 = 2;

/// What one proxy counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Counts {
    /// Requests that got no session: in time, or at all since too many waited.
    unserved: u64,
    /// Sessions closed since they failed a check.
    failed: u64,
}

impl From<&PoolStats> for Counts {
    fn from(stats: &PoolStats) -> Self {
        Self {
            unserved: stats.total_timeouts + stats.total_refusals,
            failed: stats.destroys_by_reason.get("unhealthy").copied().unwrap_or_default(),
        }
    }
}

/// The last counts by proxy, and what came on top of them when. Lives as long as the operator.
#[derive(Debug, Clone, Default)]
pub struct Strain {
    seen: BTreeMap<String, Counts>,
    grown: VecDeque<(Timestamp, Counts)>,
}

impl Strain {
    /// Takes in what a fleet reports, and says what is wrong. What a proxy counted before it was first seen is old.
    pub fn observe(&mut self, fleet: &Fleet, now: Timestamp) -> Option<Verdict> {
        let reports: Vec<(&str, &PoolStats)> =
            fleet.pods.iter().filter_map(|pod| Some((pod.incarnation.as_str(), pod.answered()?))).collect();
        let mut growth = Counts::default();
        for (incarnation, stats) in &reports {
            let counts = Counts::from(*stats);
            if let Some(before) = self.seen.insert((*incarnation).to_owned(), counts) {
                growth.unserved += counts.unserved.saturating_sub(before.unserved);
                growth.failed += counts.failed.saturating_sub(before.failed);
            }
        }
        self.seen.retain(|known, _| fleet.pods.iter().any(|pod| pod.incarnation == *known));
        if growth != Counts::default() {
            self.grown.push_back((now, growth));
        }
        self.grown.retain(|(time, _)| now.duration_since(*time) <= WINDOW);
        let sum = |count: fn(&Counts) -> u64| self.grown.iter().map(|(_, counts)| count(counts)).sum::<u64>();
        let (unserved, failed) = (sum(|counts| counts.unserved), sum(|counts| counts.failed));
        if unserved > 0 {
            return Some(Verdict::yes(Kind::Degraded, Reason::PoolExhausted, exhausted(unserved, &reports)));
        }
        (failed >= FAILED_CHECKS).then(|| {
            let text = format!(
                "{failed} sessions failed their check within a minute and were replaced: look at the MCP server's log for \
                 restarts, and at how long it keeps sessions"
            );
            Verdict::yes(Kind::Degraded, Reason::UnhealthySessions, text)
        })
    }
}

fn exhausted(unserved: u64, reports: &[(&str, &PoolStats)]) -> String {
    let sum = |value: fn(&PoolStats) -> u64| reports.iter().map(|(_, stats)| value(stats)).sum::<u64>();
    format!(
        "{unserved} requests found no free session within a minute, {} wait, and {} of at most {} sessions are open: raise \
         poolMaxSize or replicas, or have the server answer sooner",
        sum(|stats| stats.waiting),
        sum(|stats| stats.total_sessions),
        sum(|stats| stats.max_size),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reconcile::observe::PodReport;

    fn fleet(timeouts: u64, refusals: u64, failed: u64) -> Fleet {
        let mut pod = PodReport::example("a", None);
        let Some(Ok(stats)) = &mut pod.stats else { panic!("no statistics") };
        (stats.total_timeouts, stats.total_refusals) = (timeouts, refusals);
        (stats.total_sessions, stats.max_size, stats.waiting) = (10, 10, 3);
        stats.destroys_by_reason = [("unhealthy".to_owned(), failed)].into();
        Fleet { pods: vec![pod] }
    }

    fn observe(strain: &mut Strain, fleet: &Fleet, second: i64) -> Option<Reason> {
        strain.observe(fleet, Timestamp::from_second(second).unwrap()).map(|verdict| verdict.reason)
    }

    #[test]
    fn requests_without_a_session_are_told_for_a_minute() {
        let mut strain = Strain::default();
        assert_eq!(observe(&mut strain, &fleet(5, 0, 0), 0), None, "from before");
        assert_eq!(observe(&mut strain, &fleet(6, 0, 0), 30), Some(Reason::PoolExhausted));
        assert_eq!(observe(&mut strain, &fleet(6, 0, 0), 90), Some(Reason::PoolExhausted));
        assert_eq!(observe(&mut strain, &fleet(6, 0, 0), 91), None);
        assert_eq!(observe(&mut strain, &fleet(6, 1, 0), 100), Some(Reason::PoolExhausted));
        let told = strain.observe(&fleet(8, 1, 9), Timestamp::from_second(101).unwrap()).unwrap();
        let counts =
            "3 requests found no free session within a minute, 3 wait, and 10 of at most 10 sessions";
        assert!(told.message.starts_with(counts), "{}", told.message);
    }

    #[test]
    fn one_failed_check_is_what_checks_are_for() {
        let mut strain = Strain::default();
        observe(&mut strain, &fleet(0, 0, 0), 0);
        assert_eq!(observe(&mut strain, &fleet(0, 0, 1), 1), None);
        assert_eq!(observe(&mut strain, &fleet(0, 0, 2), 40), Some(Reason::UnhealthySessions));
        assert_eq!(observe(&mut strain, &fleet(0, 0, 2), 62), None, "the first is over a minute old");
    }

    #[test]
    fn a_restarted_proxy_counts_afresh() {
        let mut strain = Strain::default();
        observe(&mut strain, &fleet(5, 0, 0), 0);
        let mut again = fleet(7, 0, 0);
        "uid-a/1".clone_into(&mut again.pods[0].incarnation);
        assert_eq!(observe(&mut strain, &again, 1), None);
    }
}
