//! Circular order over the slots of a key.

use super::Candidate;

/// Remembers the slot that was picked last.
#[derive(Debug, Default)]
pub struct RoundRobin {
    last: u64,
}

impl RoundRobin {
    /// The next candidate after the last pick, or the first one.
    pub fn pick(&mut self, candidates: impl Iterator<Item = Candidate>) -> Option<Candidate> {
        let mut first = None;
        for candidate in candidates {
            if candidate.slot > self.last {
                self.last = candidate.slot;
                return Some(candidate);
            }
            first = first.or(Some(candidate));
        }
        if let Some(candidate) = first {
            self.last = candidate.slot;
        }
        first
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pick(strategy: &mut RoundRobin, slots: &[u64]) -> Option<u64> {
        strategy.pick(slots.iter().map(|&slot| Candidate { slot, leases: 0, released: 0 })).map(|c| c.slot)
    }

    #[test]
    fn goes_round() {
        let mut strategy = RoundRobin::default();
        let picks: Vec<_> = (0..5).map(|_| pick(&mut strategy, &[1, 2, 3]).unwrap()).collect();
        assert_eq!(picks, [1, 2, 3, 1, 2]);
    }

    #[test]
    fn skips_slots_that_are_busy_or_gone() {
        let mut strategy = RoundRobin::default();
        assert_eq!(pick(&mut strategy, &[1, 2, 3]), Some(1));
        assert_eq!(pick(&mut strategy, &[1, 3]), Some(3));
        assert_eq!(pick(&mut strategy, &[2]), Some(2));
        assert_eq!(pick(&mut strategy, &[]), None);
    }
}
