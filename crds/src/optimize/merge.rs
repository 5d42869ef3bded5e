//! One advice of what all proxies of a pool advise.

use super::{Advice, Parameters, Reason};
use crate::PoolStrategy;

/// Codes that find nothing.
const IDLE: [&str; 2] = ["too_little_traffic", "nothing_to_change"];

/// Sizes are those of the proxy that needs most; of other parameters what a proxy wants changed goes before what others are
/// content with. Nothing without any advice.
pub fn merge<'a>(advice: impl Iterator<Item = &'a Advice>) -> Option<Advice> {
    let advice: Vec<&Advice> = advice.collect();
    let current = advice.first()?.current.clone();
    let all = || advice.iter().map(|advice| &advice.recommended);
    let sticky = PoolStrategy::Sticky.snake_case();
    let pool_strategy = changed(&advice, |parameters| &parameters.pool_strategy)
        // What keeps state comes first.
        .max_by_key(|strategy| *strategy == sticky)
        .unwrap_or(&current.pool_strategy);
    let recommended = Parameters {
        pool_enabled: *changed(&advice, |to| &to.pool_enabled).next().unwrap_or(&current.pool_enabled),
        pool_strategy: pool_strategy.clone(),
        pool_min_size: all().map(|to| to.pool_min_size).max()?,
        pool_max_size: all().map(|to| to.pool_max_size).max()?,
        pool_timeout: *changed(&advice, |to| &to.pool_timeout).max().unwrap_or(&current.pool_timeout),
        pool_recycle_seconds: *changed(&advice, |to| &to.pool_recycle_seconds)
            .max()
            .unwrap_or(&current.pool_recycle_seconds),
        pool_max_requests: *changed(&advice, |to| &to.pool_max_requests)
            .max()
            .unwrap_or(&current.pool_max_requests),
        isolation: changed(&advice, |to| &to.isolation).next().unwrap_or(&current.isolation).clone(),
    };
    Some(Advice { recommended, reasons: reasons(&advice), current })
}

/// The values of one parameter that proxies want changed.
fn changed<'a, T: PartialEq + 'a>(
    advice: &'a [&Advice],
    parameter: impl Fn(&Parameters) -> &T + 'a,
) -> impl Iterator<Item = &'a T> {
    advice.iter().filter_map(move |advice| {
        let (from, to) = (parameter(&advice.current), parameter(&advice.recommended));
        (from != to).then_some(to)
    })
}

fn reasons(advice: &[&Advice]) -> Vec<Reason> {
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
    reasons.into_iter().cloned().collect()
}
