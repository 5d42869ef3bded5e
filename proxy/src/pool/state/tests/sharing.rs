//! Keys that share a full pool.

use super::*;

/// One slot, which carries two requests at once.
fn crowded() -> Bench {
    Bench::new(Limits { max: 1, concurrency: 2, max_waiters: 9, ..limits() })
}

#[test]
fn a_slot_that_is_never_idle_is_given_up_for_a_key_that_waits() {
    let mut bench = crowded();
    let slot = bench.lease(&Shared(1));
    assert_eq!(bench.lease(&Shared(1)), slot);
    let (same, other) = (bench.wait(&Shared(1)), bench.wait(&Shared(2)));
    bench.now += Duration::from_secs(1);
    bench.release(slot);
    assert_eq!(bench.granted.iter().map(|(waiter, _)| *waiter).collect::<Vec<_>>(), [same], "it came first");
    bench.granted.clear();
    let last = bench.wait(&Shared(1));
    bench.release(slot);
    assert!(bench.granted.is_empty(), "it takes nothing new, not even {last}");
    bench.release(slot);
    assert_eq!(bench.closed, [slot]);
    assert_eq!(bench.granted.last().map(|(waiter, _)| *waiter), Some(other));
}

#[test]
fn a_principal_at_its_cap_does_not_keep_others_from_their_turn() {
    let mut bench = Bench::new(Limits { max: 3, max_per_principal: Some(1), max_waiters: 9, ..limits() });
    let capped = bench.lease(&Shared(10));
    bench.wait(&Shared(10));
    let (a, b) = (bench.lease(&Shared(1)), bench.lease(&Shared(1)));
    let (_own, other) = (bench.wait(&Shared(1)), bench.wait(&Shared(2)));
    bench.now += Duration::from_secs(1);
    bench.release(a);
    bench.granted.clear();
    bench.release(b);
    assert_eq!(bench.closed, [b]);
    assert_eq!(bench.granted.iter().map(|(waiter, _)| *waiter).collect::<Vec<_>>(), [other]);
    assert_eq!(bench.state.slots[&capped].leases, 1);
}

#[test]
fn no_slot_is_given_up_for_a_client_that_waits_for_its_own() {
    let mut bench = Bench::new(Limits { max: 3, ..limits() });
    let own = bench.lease(&Bound(1));
    bench.wait(&Bound(1));
    let (a, b) = (bench.lease(&Shared(1)), bench.lease(&Shared(1)));
    bench.now += Duration::from_secs(1);
    bench.release(a);
    bench.release(b);
    assert!(bench.closed.is_empty(), "{:?} for the client of {own}", bench.closed);
}

#[test]
fn a_drained_pool_says_so_also_to_a_client_whose_slot_is_gone() {
    let mut bench = Bench::new(Limits { strategy: StrategyKind::Sticky, ..limits() });
    let ask = Ask { existing: false, affinity: Some(7) };
    let acquire = |bench: &mut Bench| {
        let mut actions = vec![];
        let answer = bench.state.acquire(&Shared(1), ask, bench.now, &mut actions);
        bench.run(actions);
        answer
    };
    acquire(&mut bench).unwrap();
    let slot = bench.opened[0];
    bench.release(slot);
    let mut actions = vec![];
    bench.state.drain(bench.now + Duration::from_secs(9), &mut actions);
    bench.run(actions);
    for _ in 0..2 {
        assert_eq!(acquire(&mut bench), Err(Failure::Refused(Refusal::Draining)));
    }
    let mut actions = vec![];
    bench.state.resume(bench.now, &mut actions);
    bench.run(actions);
    assert_eq!(acquire(&mut bench), Err(Failure::Refused(Refusal::Lost)), "told once it can be helped");
    acquire(&mut bench).unwrap();
}

#[test]
fn a_session_that_does_not_open_is_not_waited_for_where_there_is_another_endpoint() {
    for several in [false, true] {
        let mut bench = Bench::new(Limits { max: 4, ..limits() });
        let specs = [0, 1].map(|id| EndpointSpec { id, weight: 1, fallback: false });
        bench.state.endpoints.configure(if several { &specs } else { &specs[..1] });
        bench.hold = true;
        bench.wait(&Shared(1));
        bench.maintain();
        assert_eq!(bench.opened.len(), 1);
        bench.pass(1);
        bench.pass(1);
        let endpoints: Vec<_> = bench.opened.iter().map(|id| bench.state.slots[id].endpoint).collect();
        assert_eq!(endpoints, if several { vec![0, 1] } else { vec![0] });
    }
}
