//! What becomes of the proxies' advice: one recommendation for the pool, and under `Auto` the parameters in force. Pure.

mod merge;
#[cfg(test)]
mod tests;

use crds::{
    EffectiveSettings, Optimization, OptimizationMode, PoolStrategy, Recommendation, RecommendationBasis,
    SessionPoolSpec, SessionPoolStatus,
    optimize::{Advice, Parameters},
};
use jiff::Timestamp;

use self::merge::{merge, size};
use crate::events::Notice;

/// Under `Auto` a pool grows to so many times its specified size where `optimization.maxSize` does not say how far.
const AUTO_GROWTH: i32 = 4;

/// The parameters in force: those that are asked for, or under `Auto` those that a recommendation has made of them.
pub fn in_force(
    spec: &SessionPoolSpec,
    asked: &EffectiveSettings,
    recommendation: Option<&Recommendation>,
) -> EffectiveSettings {
    let automatic = spec.optimization.mode == OptimizationMode::Auto;
    let Some(advised) = recommendation.filter(|advised| automatic && advised.basis == basis(asked)) else {
        return asked.clone();
    };
    let Optimization { min_size, max_size, .. } = bounds(&spec.optimization, asked);
    let most = max_size.unwrap_or(i32::MAX).max(1);
    let pool_max_size = advised.pool_max_size.clamp(1, most);
    let least = min_size.unwrap_or(0).min(pool_max_size);
    EffectiveSettings {
        pool_strategy: if may_take(asked.pool_strategy, advised.pool_strategy) {
            advised.pool_strategy
        } else {
            asked.pool_strategy
        },
        pool_min_size: advised.pool_min_size.clamp(least, pool_max_size),
        pool_max_size,
        ..asked.clone()
    }
}

/// The bounds that proxies advise within, for their rendering.
pub fn bounds(optimization: &Optimization, asked: &EffectiveSettings) -> Optimization {
    let automatic = optimization.mode == OptimizationMode::Auto;
    let growth = automatic.then(|| asked.pool_max_size.saturating_mul(AUTO_GROWTH).min(10_000));
    Optimization {
        max_size: optimization.max_size.or(growth),
        // Proxies give advice and apply none.
        mode: if automatic { OptimizationMode::Recommend } else { optimization.mode },
        ..optimization.clone()
    }
}

/// Whoever chose Sticky relies on what sessions keep, and whoever chose None shares none: only people take that back.
fn may_take(asked: PoolStrategy, advised: PoolStrategy) -> bool {
    !matches!(asked, PoolStrategy::Sticky | PoolStrategy::None) && advised != PoolStrategy::None
}

fn basis(asked: &EffectiveSettings) -> RecommendationBasis {
    RecommendationBasis {
        pool_strategy: asked.pool_strategy,
        pool_min_size: asked.pool_min_size,
        pool_max_size: asked.pool_max_size,
    }
}

/// What is known of a pool when its proxies' advice is weighed.
#[derive(Debug, Clone, Copy)]
pub struct Situation<'a> {
    /// What becomes of advice.
    pub mode: OptimizationMode,
    /// The parameters that the specification asks for.
    pub asked: &'a EffectiveSettings,
    /// Those in force.
    pub in_force: &'a EffectiveSettings,
    /// The recommendation so far.
    pub before: Option<&'a Recommendation>,
}

/// The recommendation after the proxies gave this advice. One that says nothing new stays as it is.
pub fn recommend<'a>(
    situation: Situation<'_>,
    advice: impl Iterator<Item = &'a Advice>,
    now: Timestamp,
) -> Option<Recommendation> {
    let Situation { mode, asked, in_force, before } = situation;
    let before = before.filter(|before| mode != OptimizationMode::Off && before.basis == basis(asked));
    if mode == OptimizationMode::Off {
        return None;
    }
    // A proxy that runs other parameters speaks about them.
    let about = |advice: &&Advice| is_about(&advice.current, in_force);
    let Some(merged) = merge(advice.filter(about), asked, now) else { return before.cloned() };
    match before {
        // Nothing more is to be changed: why it was is still worth knowing.
        Some(before) if changes_nothing(&merged, in_force) && departs(in_force, asked) => {
            Some(before.clone())
        }
        Some(before) if says_the_same(before, &merged) => Some(before.clone()),
        _ => Some(merged),
    }
}

fn is_about(parameters: &Parameters, in_force: &EffectiveSettings) -> bool {
    parameters.pool_enabled == in_force.pool_enabled
        && parameters.pool_strategy == in_force.pool_strategy.snake_case()
        && size(parameters.pool_min_size) == in_force.pool_min_size
        && size(parameters.pool_max_size) == in_force.pool_max_size
}

fn departs(in_force: &EffectiveSettings, asked: &EffectiveSettings) -> bool {
    basis(in_force) != basis(asked)
}

fn changes_nothing(merged: &Recommendation, in_force: &EffectiveSettings) -> bool {
    let Recommendation { pool_strategy, pool_min_size, pool_max_size, .. } = *merged;
    let others = merged.pool_enabled.is_none()
        && merged.isolation.is_none()
        && merged.pool_recycle_seconds.is_none()
        && merged.pool_max_requests.is_none();
    others && RecommendationBasis { pool_strategy, pool_min_size, pool_max_size } == basis(in_force)
}

/// Messages hold numbers that never stand still.
fn says_the_same(before: &Recommendation, merged: &Recommendation) -> bool {
    let same = Recommendation {
        message: before.message.clone(),
        observed_time: before.observed_time.clone(),
        ..merged.clone()
    };
    *before == same
}

/// What people are told when advice is taken, or given for the first time.
pub fn notice(
    mode: OptimizationMode,
    asked: &EffectiveSettings,
    before: Option<&SessionPoolStatus>,
    now: &SessionPoolStatus,
) -> Option<Notice> {
    let advice = now.recommendation.as_ref()?;
    let in_force = now.effective.as_ref()?;
    let known = before.and_then(|before| before.recommendation.as_ref());
    let tell = |reason, note| Some(Notice { warning: false, reason, action: "Optimize", note });
    match mode {
        OptimizationMode::Auto if departs(in_force, asked) => {
            let earlier = before.and_then(|before| before.effective.as_ref()).unwrap_or(asked);
            let changes = changes(earlier, in_force);
            if changes.is_empty() {
                return None;
            }
            tell("AdviceTaken", format!("{changes}: {}", advice.message))
        }
        OptimizationMode::Recommend
            if known.is_none_or(|known| !says_the_same(known, advice))
                && !changes_nothing(advice, in_force) =>
        {
            let advised = EffectiveSettings {
                pool_strategy: advice.pool_strategy,
                pool_min_size: advice.pool_min_size,
                pool_max_size: advice.pool_max_size,
                ..in_force.clone()
            };
            let changes = changes(in_force, &advised);
            let colon = if changes.is_empty() { "" } else { ": " };
            tell("AdviceGiven", format!("{changes}{colon}{}", advice.message))
        }
        _ => None,
    }
}

fn changes(before: &EffectiveSettings, now: &EffectiveSettings) -> String {
    let mut changes = Vec::new();
    if before.pool_strategy != now.pool_strategy {
        changes.push(format!("poolStrategy {:?} -> {:?}", before.pool_strategy, now.pool_strategy));
    }
    for (name, old, new) in [
        ("poolMinSize", before.pool_min_size, now.pool_min_size),
        ("poolMaxSize", before.pool_max_size, now.pool_max_size),
    ] {
        if old != new {
            changes.push(format!("{name} {old} -> {new}"));
        }
    }
    changes.join(", ")
}
