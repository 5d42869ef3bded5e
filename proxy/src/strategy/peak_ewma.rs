//! How long an endpoint's calls take, with an ear for trouble: a slower call than expected counts in full at once, quicker
//! ones bring the figure down over time.
//!
//! Source: the "peak EWMA" load metric of Finagle, <https://twitter.github.io/finagle/guide/Clients.html#load-balancing>.

use std::time::Duration;

use tokio::time::Instant;

/// In this time an old figure loses 63 % of its weight.
const DECAY: Duration = Duration::from_secs(10);

/// A moving average of call times.
#[derive(Debug, Clone, Copy, Default)]
pub struct PeakEwma {
    last: Option<(f64, Instant)>,
}

impl PeakEwma {
    /// Adds a call's time.
    pub fn observe(&mut self, took: Duration, now: Instant) {
        let took = took.as_secs_f64();
        self.last = Some(match self.last {
            Some((figure, at)) if took < figure => {
                let keep = keep(now.saturating_duration_since(at));
                (figure * keep + took * (1.0 - keep), now)
            }
            _ => (took, now),
        });
    }

    /// Seconds that a call is expected to take; none before the first. It falls while there are no calls, so that an
    /// endpoint that was slow once gets another chance.
    pub fn estimate(&self, now: Instant) -> Option<f64> {
        let (figure, at) = self.last?;
        Some(figure * keep(now.saturating_duration_since(at)))
    }
}

fn keep(passed: Duration) -> f64 {
    (-passed.as_secs_f64() / DECAY.as_secs_f64()).exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peaks_at_once_and_decays() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut ewma = PeakEwma::default();
        assert_eq!(ewma.estimate(start), None);
        ewma.observe(Duration::from_millis(10), start);
        ewma.observe(Duration::from_millis(500), start);
        assert_eq!(ewma.estimate(start), Some(0.5));
        ewma.observe(Duration::from_millis(10), at(10));
        let estimate = ewma.estimate(at(10)).unwrap();
        assert!((0.15..0.25).contains(&estimate), "{estimate}");
        assert!(ewma.estimate(at(40)).unwrap() < 0.02);
    }
}
