//! Times between attempts and samples.

use std::time::Duration;

/// Delay after the first failure.
const FIRST: Duration = Duration::from_secs(1);
/// Longest delay.
const LONGEST: Duration = Duration::from_secs(300);

/// The delay after `failures` failures in a row: doubling from one second to five minutes. `jitter` in 0..1 adds up
/// to a quarter, so that pools that failed together do not return together.
pub fn delay(failures: u32, jitter: f64) -> Duration {
    let doubled = FIRST.saturating_mul(1 << failures.saturating_sub(1).min(16));
    spread(doubled.min(LONGEST), jitter)
}

/// `base` and up to a quarter more.
pub fn spread(base: Duration, jitter: f64) -> Duration {
    base.mul_f64(1.0 + jitter.clamp(0.0, 1.0) / 4.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_a_bound() {
        assert_eq!(delay(1, 0.0), Duration::from_secs(1));
        assert_eq!(delay(2, 0.0), Duration::from_secs(2));
        assert_eq!(delay(5, 0.0), Duration::from_secs(16));
        assert_eq!(delay(40, 0.0), Duration::from_secs(300));
        assert_eq!(delay(40, 1.0), Duration::from_secs(375));
    }
}
