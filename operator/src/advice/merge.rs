//! One recommendation of what all proxies of a pool advise.

use crds::{
    EffectiveSettings, Isolation, PoolStrategy, Recommendation,
    optimize::{self, Advice},
};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::basis;

/// What is to be changed stands in it; what may stay is left out, but for strategy and sizes.
pub(super) fn merge<'a>(
    advice: impl Iterator<Item = &'a Advice>,
    asked: &EffectiveSettings,
    now: Timestamp,
) -> Option<Recommendation> {
    let Advice { current: from, recommended: to, reasons } = optimize::merge(advice)?;
    let texts: Vec<&str> = reasons.iter().map(|reason| reason.message.as_str()).collect();
    Some(Recommendation {
        pool_strategy: PoolStrategy::of_snake_case(&to.pool_strategy)?,
        pool_min_size: size(to.pool_min_size),
        pool_max_size: size(to.pool_max_size),
        pool_enabled: (from.pool_enabled != to.pool_enabled).then_some(to.pool_enabled),
        isolation: (from.isolation != to.isolation)
            .then(|| Isolation::of_snake_case(&to.isolation))
            .flatten(),
        pool_recycle_seconds: (from.pool_recycle_seconds != to.pool_recycle_seconds)
            .then(|| size(to.pool_recycle_seconds)),
        pool_max_requests: (from.pool_max_requests != to.pool_max_requests)
            .then(|| size(to.pool_max_requests)),
        reason: reasons.first().map(|reason| camel(&reason.code)).unwrap_or_default(),
        message: texts.join("; "),
        basis: basis(asked),
        observed_time: Some(Time(now)),
    })
}

/// `time_outs` as conditions spell it: `TimeOuts`.
fn camel(code: &str) -> String {
    let words = code.split('_').map(|word| {
        let mut letters = word.chars();
        let first = letters.next().map(|letter| letter.to_ascii_uppercase());
        first.into_iter().chain(letters).collect::<String>()
    });
    words.collect()
}

pub(super) fn size(value: u64) -> i32 {
    i32::try_from(value).unwrap_or(i32::MAX)
}
