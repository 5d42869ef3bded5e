//! How long nothing is tried after failures: longer with each one in a row, and never quite as long as another proxy.

use std::time::Duration;

/// Pause after the first failure.
const FIRST: Duration = Duration::from_millis(250);

/// The longest pause where there is nowhere else to go. Requests get the last error meanwhile, with the advice to come back
/// after a second.
pub const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// How long an endpoint is left alone after its first failure while others serve.
const FIRST_EJECTION: Duration = Duration::from_secs(1);

/// The longest time that an endpoint is left alone.
const LONGEST_EJECTION: Duration = Duration::from_secs(60);

/// The pause after a number of failures in a row. `jitter`, 0 to 1, shortens it by up to a quarter.
pub fn pause(failures: u32, jitter: f64) -> Duration {
    grown(FIRST, LONGEST_PAUSE, failures).mul_f64(1.0 - 0.25 * jitter.clamp(0.0, 1.0))
}

/// The time that an endpoint is left alone after a number of failures in a row.
pub fn ejection(failures: u32) -> Duration {
    grown(FIRST_EJECTION, LONGEST_EJECTION, failures)
}

fn grown(first: Duration, longest: Duration, failures: u32) -> Duration {
    first.saturating_mul(1 << failures.saturating_sub(1).min(8)).min(longest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_to_its_limit_and_varies_there_too() {
        let of = |jitter| [1, 2, 3, 9, 40].map(|failures| pause(failures, jitter).as_millis());
        assert_eq!(of(0.0), [250, 500, 1000, 1000, 1000]);
        assert_eq!(of(1.0), [187, 375, 750, 750, 750]);
        assert_eq!([1, 2, 7, 40].map(|failures| ejection(failures).as_secs()), [1, 2, 60, 60]);
    }
}
