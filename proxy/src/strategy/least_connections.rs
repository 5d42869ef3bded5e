//! The fewest requests in flight.

use std::cmp::Reverse;

use super::Candidate;

/// The candidate with the fewest leases; of several, the one that came back last: the others age out.
pub(super) fn pick(candidates: impl Iterator<Item = Candidate>) -> Option<Candidate> {
    candidates.max_by_key(|candidate| (Reverse(candidate.leases), candidate.released))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fewest_leases_then_last_used() {
        let slot = |slot, leases, released| Candidate { slot, leases, released };
        let pick = |slots: &[Candidate]| pick(slots.iter().copied()).map(|candidate| candidate.slot);
        assert_eq!(pick(&[slot(1, 2, 9), slot(2, 1, 3), slot(3, 3, 8)]), Some(2));
        assert_eq!(pick(&[slot(1, 0, 5), slot(2, 0, 7), slot(3, 0, 6)]), Some(2));
        assert_eq!(pick(&[]), None);
    }
}
