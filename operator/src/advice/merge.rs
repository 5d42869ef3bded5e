//! One recommendation of what all proxies of a pool advise.

use crds::{
    EffectiveSettings, Isolation, PoolStrategy, Recommendation,
    optimize::{Advice, Parameters, Reason},
};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::basis;

/// Codes that find nothing.
const IDLE: [&str; 2] = ["too_little_traffic", "nothing_to_change"];

/// Sizes are those of the proxy that needs most.
pub(super) fn merge<'a>(
    advice: impl Iterator<Item = &'a Advice>,
    asked: &EffectiveSettings,
    now: Timestamp,
) -> Option<Recommendation> {
    let advice: Vec<&Advice> = advice.collect();
    let first = *advice.first()?;
    let all = || advice.iter().map(|advice| &advice.recommended);
    let changed = |differs: fn(&Parameters, &Parameters) -> bool| {
        advice
            .iter()
            .filter(move |advice| differs(&advice.current, &advice.recommended))
            .map(|advice| &advice.recommended)
    };
    let strategy = changed(|a, b| a.pool_strategy != b.pool_strategy)
        .filter_map(|to| PoolStrategy::of_snake_case(&to.pool_strategy))
        // What keeps state comes first.
        .max_by_key(|strategy| *strategy == PoolStrategy::Sticky)
        .or_else(|| PoolStrategy::of_snake_case(&first.current.pool_strategy))?;
    let mut reasons: Vec<&Reason> = Vec::new();
    for reason in advice.iter().flat_map(|advice| &advice.reasons) {
        if !reasons.iter().any(|known| known.code == reason.code) {
            reasons.push(reason);
        }
    }
    // Where one proxy has something to say, nobody needs to hear that others have not.
    if reasons.iter().any(|reason| reason.parameter.is_some()) {
        reasons.retain(|reason| !IDLE.contains(&reason.code.as_str()));
    }
    let texts: Vec<&str> = reasons.iter().map(|reason| reason.message.as_str()).collect();
    Some(Recommendation {
        pool_strategy: strategy,
        pool_min_size: size(all().map(|to| to.pool_min_size).max()?),
        pool_max_size: size(all().map(|to| to.pool_max_size).max()?),
        pool_enabled: changed(|a, b| a.pool_enabled != b.pool_enabled).map(|to| to.pool_enabled).next(),
        isolation: changed(|a, b| a.isolation != b.isolation).find_map(|to| isolation(&to.isolation)),
        pool_recycle_seconds: changed(|a, b| a.pool_recycle_seconds != b.pool_recycle_seconds)
            .map(|to| size(to.pool_recycle_seconds))
            .max(),
        pool_max_requests: changed(|a, b| a.pool_max_requests != b.pool_max_requests)
            .map(|to| size(to.pool_max_requests))
            .max(),
        reason: reasons.first().map(|reason| camel(&reason.code)).unwrap_or_default(),
        message: texts.join("; "),
        basis: basis(asked),
        observed_time: Some(Time(now)),
    })
}

fn isolation(text: &str) -> Option<Isolation> {
    match text {
        "session" => Some(Isolation::Session),
        "principal" => Some(Isolation::Principal),
        "shared" => Some(Isolation::Shared),
        _ => None,
    }
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
