//! Highest random weight hashing: every (affinity key, slot) pair has a score, and a key goes to its highest. A slot that
//! is added takes over only the keys for which it scores highest, 1/n of them; one that goes moves only its own.
//!
//! Source: D. Thaler, C. Ravishankar, "Using Name-Based Mappings to Increase Hit Rates", IEEE/ACM ToN 6(1), 1998.

/// What requests are kept together by: a hash of a client session, a principal or a header's value.
pub type Affinity = u128;

/// The score of a key for a slot.
pub fn score(affinity: Affinity, slot: u64) -> u64 {
    let (low, high) = (affinity & u128::from(u64::MAX), affinity >> 64);
    let folded = u64::try_from(low ^ high).unwrap_or_default();
    mix(folded ^ mix(slot))
}

/// The score of a key for an endpoint that is to get keys in proportion to its weight.
pub fn weighted_score(affinity: Affinity, endpoint: u64, weight: f64) -> f64 {
    // Uniform in (0, 1]: -ln of it is exponential, and the least of exponentials falls to each by its rate.
    let uniform = (score(affinity, endpoint) >> 11) as f64 / (1_u64 << 53) as f64;
    weight / -(uniform.max(f64::MIN_POSITIVE)).ln()
}

/// The finalizer of `SplitMix64`: each bit of the input moves about half of the output's.
fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: u128 = 10_000;

    fn owner(key: Affinity, slots: std::ops::Range<u64>) -> u64 {
        slots.max_by_key(|slot| score(key, *slot)).unwrap()
    }

    #[test]
    fn spreads_keys_evenly() {
        let mut counts = [0_u32; 8];
        for key in 0..KEYS {
            counts[usize::try_from(owner(key, 0..8)).unwrap()] += 1;
        }
        assert!(counts.iter().all(|count| (1100..1400).contains(count)), "{counts:?}");
    }

    #[test]
    fn a_new_slot_takes_its_share_and_moves_nothing_else() {
        let moved: Vec<_> = (0..KEYS).filter(|&key| owner(key, 0..8) != owner(key, 0..9)).collect();
        assert!((950..1300).contains(&moved.len()), "{} of {KEYS} moved", moved.len());
        assert!(moved.iter().all(|&key| owner(key, 0..9) == 8), "only to the new one");
    }

    #[test]
    fn weights_are_kept() {
        let weights = [1.0, 3.0];
        let heavy =
            (0..KEYS).filter(|&key| weighted_score(key, 1, weights[1]) > weighted_score(key, 0, weights[0]));
        let heavy = heavy.count();
        assert!((7200..7800).contains(&heavy), "{heavy}");
    }
}
