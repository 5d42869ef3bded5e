use super::*;
use crds::{PoolDefaults, SessionPoolSpec, optimize::Reason};

fn spec(mode: OptimizationMode) -> SessionPoolSpec {
    let optimization = Optimization { mode, ..Optimization::default() };
    SessionPoolSpec { pool_enabled: true, optimization, ..SessionPoolSpec::default() }
}

fn asked(spec: &SessionPoolSpec) -> EffectiveSettings {
    EffectiveSettings::of(spec, &PoolDefaults::built_in())
}

fn parameters(of: &EffectiveSettings) -> Parameters {
    Parameters {
        pool_enabled: of.pool_enabled,
        pool_strategy: of.pool_strategy.snake_case().to_owned(),
        pool_min_size: u64::try_from(of.pool_min_size).unwrap(),
        pool_max_size: u64::try_from(of.pool_max_size).unwrap(),
        pool_timeout: 30,
        pool_recycle_seconds: 3600,
        pool_max_requests: 0,
        isolation: "principal".to_owned(),
    }
}

fn advice(of: &EffectiveSettings, code: &str, change: impl FnOnce(&mut Parameters)) -> Advice {
    let current = parameters(of);
    let mut recommended = current.clone();
    change(&mut recommended);
    let parameter = (recommended != current).then(|| "one".to_owned());
    let reason = Reason { code: code.to_owned(), parameter, message: format!("because of {code}") };
    Advice { current, recommended, reasons: vec![reason] }
}

/// One look at proxies that all say the same, and what it makes of the recommendation and the parameters in force.
fn look(
    spec: &SessionPoolSpec,
    before: Option<&Recommendation>,
    advice: &[Advice],
) -> (Option<Recommendation>, EffectiveSettings) {
    let asked = asked(spec);
    let in_force = in_force(spec, &asked, before);
    let situation = Situation { mode: spec.optimization.mode, asked: &asked, in_force: &in_force, before };
    let recommendation = recommend(situation, advice.iter(), Timestamp::UNIX_EPOCH);
    let next = super::in_force(spec, &asked, recommendation.as_ref());
    (recommendation, next)
}

fn bigger(of: &EffectiveSettings, size: u64) -> Advice {
    advice(of, "time_outs", |to| to.pool_max_size = size)
}

#[test]
fn advice_is_shown_or_applied_as_the_mode_says() {
    for (mode, shown, size) in [
        (OptimizationMode::Off, false, 10),
        (OptimizationMode::Recommend, true, 10),
        (OptimizationMode::Auto, true, 15),
    ] {
        let spec = spec(mode);
        let (recommendation, in_force) = look(&spec, None, &[bigger(&asked(&spec), 15)]);
        assert_eq!(recommendation.is_some(), shown, "{mode:?}");
        assert_eq!(in_force.pool_max_size, size, "{mode:?}");
        if let Some(recommendation) = recommendation {
            assert_eq!((recommendation.pool_max_size, recommendation.reason.as_str()), (15, "TimeOuts"));
        }
    }
}

#[test]
fn what_was_taken_stays_with_its_reason() {
    let spec = spec(OptimizationMode::Auto);
    let (first, in_force) = look(&spec, None, &[bigger(&asked(&spec), 15)]);
    // The proxies still run what was before.
    let (second, _) = look(&spec, first.as_ref(), &[bigger(&asked(&spec), 15)]);
    assert_eq!(second, first);
    let (third, last) = look(&spec, first.as_ref(), &[advice(&in_force, "nothing_to_change", |_| ())]);
    assert_eq!((&third, last.pool_max_size), (&first, 15));
    let (fourth, last) = look(&spec, third.as_ref(), &[bigger(&in_force, 22)]);
    assert_eq!((fourth.unwrap().pool_max_size, last.pool_max_size), (22, 22));
}

#[test]
fn a_changed_specification_begins_anew() {
    let mut spec = spec(OptimizationMode::Auto);
    let (before, _) = look(&spec, None, &[bigger(&asked(&spec), 15)]);
    spec.pool_max_size = Some(4);
    let (after, in_force) = look(&spec, before.as_ref(), &[]);
    assert_eq!((after, in_force.pool_max_size), (None, 4));
}

#[test]
fn growth_has_bounds() {
    let mut spec = spec(OptimizationMode::Auto);
    let size = |spec: &SessionPoolSpec| look(spec, None, &[bigger(&asked(spec), 500)]).1.pool_max_size;
    assert_eq!(size(&spec), 40, "four times what is asked for");
    assert_eq!(bounds(&spec.optimization, &asked(&spec)).max_size, Some(40));
    spec.optimization.max_size = Some(12);
    assert_eq!(size(&spec), 12);
    spec.optimization.max_size = Some(100);
    assert_eq!(size(&spec), 100);
}

#[test]
fn only_people_give_up_state() {
    for (asks, advised, takes) in [
        (PoolStrategy::RoundRobin, PoolStrategy::LeastConnections, true),
        (PoolStrategy::RoundRobin, PoolStrategy::Sticky, true),
        (PoolStrategy::Sticky, PoolStrategy::LeastConnections, false),
        (PoolStrategy::None, PoolStrategy::RoundRobin, false),
    ] {
        let mut spec = spec(OptimizationMode::Auto);
        spec.pool_strategy = asks;
        let to = advised.snake_case();
        let advice =
            advice(&asked(&spec), "uneven_use", |parameters| parameters.pool_strategy = to.to_owned());
        let (shown, in_force) = look(&spec, None, &[advice]);
        assert_eq!(shown.unwrap().pool_strategy, advised);
        assert_eq!(in_force.pool_strategy, if takes { advised } else { asks });
    }
}

#[test]
fn the_proxy_that_needs_most_counts_and_idle_ones_are_silent() {
    let spec = spec(OptimizationMode::Recommend);
    let asked = asked(&spec);
    let idle = advice(&asked, "too_little_traffic", |_| ());
    let (shown, _) = look(&spec, None, &[idle, bigger(&asked, 15), bigger(&asked, 20)]);
    let shown = shown.unwrap();
    assert_eq!((shown.pool_max_size, shown.message.as_str()), (20, "because of time_outs"));
}

#[test]
fn what_people_must_change_is_shown() {
    let spec = spec(OptimizationMode::Auto);
    let asked = asked(&spec);
    let advice = advice(&asked, "sessions_not_reused", |to| to.pool_max_requests = 100);
    let (shown, in_force) = look(&spec, None, &[advice]);
    assert_eq!(shown.unwrap().pool_max_requests, Some(100));
    assert_eq!(in_force, asked);
}

#[test]
fn people_are_told_once() {
    let spec = spec(OptimizationMode::Auto);
    let asked = asked(&spec);
    let (recommendation, in_force) = look(&spec, None, &[bigger(&asked, 15)]);
    let status = |effective: &EffectiveSettings| SessionPoolStatus {
        effective: Some(effective.clone()),
        recommendation: recommendation.clone(),
        ..SessionPoolStatus::default()
    };
    let (before, after) = (status(&asked), status(&in_force));
    assert_eq!(notice(OptimizationMode::Auto, &asked, None, &before), None, "not yet in force");
    let told = notice(OptimizationMode::Auto, &asked, Some(&before), &after).unwrap();
    assert_eq!(
        (told.reason, told.note.as_str()),
        ("AdviceTaken", "poolMaxSize 10 -> 15: because of time_outs")
    );
    assert_eq!(notice(OptimizationMode::Auto, &asked, Some(&after), &after), None);
    let told = notice(OptimizationMode::Recommend, &asked, None, &before).unwrap();
    assert_eq!(
        (told.reason, told.note.as_str()),
        ("AdviceGiven", "poolMaxSize 10 -> 15: because of time_outs")
    );
    assert_eq!(notice(OptimizationMode::Recommend, &asked, Some(&before), &before), None);
}
