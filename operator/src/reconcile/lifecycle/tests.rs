use serde_json::{Value, json};

use super::*;
use crate::{conditions::follow, reconcile::resolve::tests::pool};

const REVISION: &str = "r";

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn object(spec: &Value) -> SessionPool {
    let mut whole = json!({"upstream": {"url": "http://mcp.example.com/mcp"}});
    whole.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
    pool(&whole)
}

/// Proxies that run the configuration, each changed by `change`.
fn fleet(count: usize, change: impl Fn(&mut PoolStats)) -> Fleet {
    let pods = (0..count).map(|number| {
        let mut pod = PodReport::example(&number.to_string(), Some(REVISION));
        if let Some(Ok(stats)) = &mut pod.stats {
            change(stats);
        }
        pod
    });
    Fleet { pods: pods.collect() }
}

/// One reconcile: what is stored afterwards.
fn step(pool: &mut SessionPool, fleet: &Fleet, now: Timestamp) -> (Lifecycle, Progress) {
    let mut lifecycle = begin(pool, now);
    let progress = lifecycle.follow(fleet, Some(REVISION), now);
    let status = pool.status.get_or_insert_default();
    status.observed_generation = Some(1);
    status.drain.clone_from(&lifecycle.drain);
    status.reset.clone_from(&lifecycle.reset);
    status.conditions = follow(&status.conditions, std::slice::from_ref(&progress.drained), Some(1), now);
    (lifecycle, progress)
}

fn change(pool: &mut SessionPool, spec: &Value) {
    pool.spec = object(spec).spec;
}

#[test]
fn a_drain_begins_once_and_ends_when_all_proxies_say_so() {
    let mut pool = object(&json!({}));
    let busy = fleet(2, |stats| {
        "draining".clone_into(&mut stats.status);
        (stats.total_sessions, stats.active_leases) = (1, 1);
    });
    let idle = fleet(2, |stats| "drained".clone_into(&mut stats.status));
    let (lifecycle, progress) = step(&mut pool, &busy, at(10));
    assert_eq!(progress.drained.reason, Reason::NotRequested);
    assert!(!lifecycle.is_moving() && !lifecycle.begins && lifecycle.deadline.is_none());

    change(&mut pool, &json!({"desiredState": "Drained", "drain": {"timeoutSeconds": 60}}));
    let (lifecycle, progress) = step(&mut pool, &busy, at(20));
    assert!(lifecycle.begins && lifecycle.is_moving());
    assert_eq!(lifecycle.deadline, Some(at(80)));
    assert_eq!((progress.drained.holds, progress.drained.reason), (false, Reason::Draining));
    assert_eq!(lifecycle.drain.unwrap().remaining_sessions, 2);

    let (lifecycle, _) = step(&mut pool, &busy, at(30));
    assert!(!lifecycle.begins);
    assert_eq!(lifecycle.deadline, Some(at(80)), "counted from the beginning");

    let (lifecycle, progress) = step(&mut pool, &idle, at(40));
    assert_eq!((progress.drained.holds, progress.drained.reason), (true, Reason::DrainCompleted));
    assert_eq!(lifecycle.drain.clone().unwrap().completion_time, Some(Time(at(40))));
    assert!(!lifecycle.is_moving());
    let (later, _) = step(&mut pool, &idle, at(50));
    assert_eq!(later.drain, lifecycle.drain, "nothing is written again");

    change(&mut pool, &json!({}));
    let (_, progress) = step(&mut pool, &busy, at(60));
    assert_eq!(progress.drained.reason, Reason::NotRequested);
    change(&mut pool, &json!({"desiredState": "Drained"}));
    let (lifecycle, _) = step(&mut pool, &busy, at(70));
    assert_eq!(lifecycle.drain.unwrap().start_time, Some(Time(at(70))), "another drain");
}

#[test]
fn silence_after_the_deadline_counts_as_drained() {
    let mut pool = object(&json!({"desiredState": "Drained", "drain": {"timeoutSeconds": 5}}));
    let mut silent = fleet(1, |_| ());
    silent.pods[0].stats = Some(Err("no answer".to_owned()));
    let mut reasons = Vec::new();
    for second in [0, 19, 20] {
        reasons.push(step(&mut pool, &silent, at(second)).1.drained.reason);
    }
    assert_eq!(reasons, [Reason::Draining, Reason::Draining, Reason::Unconfirmed]);
}

#[test]
fn calls_that_were_cut_are_told() {
    let mut pool = object(&json!({"desiredState": "Drained"}));
    let cut = fleet(2, |stats| {
        "drained".clone_into(&mut stats.status);
        stats.drain_aborts = 3;
    });
    let (_, progress) = step(&mut pool, &cut, at(0));
    assert_eq!((progress.drained.holds, progress.drained.reason), (true, Reason::DeadlineExceeded));
    assert!(progress.drained.message.starts_with("6 requests"));
}

#[test]
fn a_pool_without_proxies_is_drained_at_once() {
    let mut pool = object(&json!({"desiredState": "Drained"}));
    assert!(step(&mut pool, &Fleet::default(), at(0)).1.drained.holds);
}

#[test]
fn a_token_is_observed_once_every_proxy_has_replaced_its_sessions() {
    let mut pool = object(&json!({"resetToken": "first"}));
    let with = |token: &'static str, outdated| {
        fleet(2, move |stats| {
            stats.reset_token = Some(token.to_owned());
            stats.outdated_sessions = outdated;
        })
    };
    let (lifecycle, progress) = step(&mut pool, &with("first", 0), at(0));
    assert_eq!(progress.resetting, None, "one that is there at creation is only recorded");
    assert_eq!(lifecycle.reset.unwrap().observed_token.as_deref(), Some("first"));

    change(&mut pool, &json!({"resetToken": "second"}));
    let (lifecycle, progress) = step(&mut pool, &with("first", 0), at(10));
    assert!(progress.resetting.unwrap().contains("0/2"));
    assert_eq!(lifecycle.reset.unwrap().run.start_time, Some(Time(at(10))));
    let (lifecycle, progress) = step(&mut pool, &with("second", 1), at(11));
    assert!(progress.resetting.is_some() && lifecycle.is_moving(), "two sessions are in use");
    let (lifecycle, progress) = step(&mut pool, &with("second", 0), at(12));
    assert_eq!(progress.resetting, None);
    let reset = lifecycle.reset.clone().unwrap();
    assert_eq!(reset.observed_token.as_deref(), Some("second"));
    assert_eq!(reset.run.completion_time, Some(Time(at(12))));
    assert!(!lifecycle.is_moving());

    change(&mut pool, &json!({"resetToken": "first"}));
    let (lifecycle, progress) = step(&mut pool, &with("second", 0), at(20));
    assert_eq!((progress.resetting, lifecycle.reset), (None, Some(reset)), "an old token does nothing");
    assert_eq!(lifecycle.token.as_deref(), Some("second"), "and is not told");
}

#[test]
fn a_token_is_only_recorded_while_drained() {
    let mut pool = object(&json!({}));
    step(&mut pool, &Fleet::default(), at(0));
    change(&mut pool, &json!({"desiredState": "Drained", "resetToken": "x"}));
    let (lifecycle, progress) = step(&mut pool, &Fleet::default(), at(1));
    assert_eq!(progress.resetting, None);
    assert_eq!(lifecycle.reset.unwrap().observed_tokens, ["x"]);
}

#[test]
fn sixteen_tokens_are_remembered() {
    let mut pool = object(&json!({}));
    step(&mut pool, &Fleet::default(), at(0));
    for number in 0..20 {
        change(&mut pool, &json!({"resetToken": number.to_string()}));
        step(&mut pool, &Fleet::default(), at(number));
    }
    let reset = pool.status.unwrap().reset.unwrap();
    assert_eq!(reset.observed_tokens.len(), 16);
    assert_eq!(reset.observed_tokens.last().map(String::as_str), Some("19"));
}
