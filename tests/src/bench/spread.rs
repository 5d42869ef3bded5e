//! A number that was measured several times.

use serde::Serialize;

/// The median of several rounds, and the least and the most of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Spread {
    pub median: f64,
    pub least: f64,
    pub most: f64,
}

impl Spread {
    /// Of at least one round.
    pub fn of(rounds: impl IntoIterator<Item = f64>) -> Self {
        let mut rounds: Vec<f64> = rounds.into_iter().collect();
        rounds.sort_by(f64::total_cmp);
        let at = |index: usize| rounds.get(index).copied().unwrap_or_default();
        let last = rounds.len().saturating_sub(1);
        Self { median: f64::midpoint(at(last / 2), at(rounds.len() / 2)), least: at(0), most: at(last) }
    }

    /// `median (least–most)`.
    pub fn text(&self, digits: usize) -> String {
        let Self { median, least, most } = self;
        format!("{median:.digits$} ({least:.digits$}–{most:.digits$})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        assert_eq!(Spread::of([3.0, 1.0, 2.0]), Spread { median: 2.0, least: 1.0, most: 3.0 });
        let median = Spread::of([4.0, 1.0, 2.0, 3.0]).median;
        assert!((median - 2.5).abs() < f64::EPSILON, "{median}");
        assert_eq!(Spread::of([7.0]).text(1), "7.0 (7.0–7.0)");
    }
}
