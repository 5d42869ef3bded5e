mod sharing;

use std::time::Duration;

use tokio::time::Instant;

use super::*;
use crate::strategy::StrategyKind;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum TestKey {
    Shared(u8),
    Bound(u8),
    Direct(u8),
    Warm,
}

impl Key for TestKey {
    fn is_bound(&self) -> bool {
        matches!(self, Self::Bound(_) | Self::Direct(_))
    }
    fn is_direct(&self) -> bool {
        matches!(self, Self::Direct(_))
    }
    fn principal(&self) -> Option<crate::pool::key::Principal> {
        match self {
            // Keys 10 to 19 are those of one principal, and so on.
            Self::Shared(number) if *number >= 10 => Some([number / 10; 16]),
            _ => None,
        }
    }
    fn warm(&self) -> Option<Self> {
        matches!(self, Self::Bound(_)).then_some(Self::Warm)
    }
}

use TestKey::{Bound, Direct, Shared, Warm};

fn limits() -> Limits {
    Limits {
        strategy: StrategyKind::RoundRobin,
        min: 0,
        max: 2,
        max_per_principal: None,
        max_direct: 2,
        concurrency: 1,
        max_waiters: 3,
        recycle: Some(Duration::from_secs(100)),
        idle: Some(Duration::from_secs(50)),
        max_requests: None,
        check_after: Some(Duration::from_secs(5)),
        keepalive: None,
        sticky_max_age: Duration::from_secs(10_000),
    }
}

/// A pool whose slots open and close at once, unless a test holds them.
struct Bench {
    state: State<TestKey, &'static str>,
    now: Instant,
    granted: Vec<(WaiterId, SlotId)>,
    failed: Vec<(WaiterId, Failure<&'static str>)>,
    opened: Vec<SlotId>,
    closed: Vec<SlotId>,
    refuse: bool,
    hold: bool,
}

impl Bench {
    fn new(limits: Limits) -> Self {
        Self {
            state: State::new(limits, None, &[EndpointSpec { id: 0, weight: 1, fallback: false }], 1),
            now: Instant::now(),
            granted: vec![],
            failed: vec![],
            opened: vec![],
            closed: vec![],
            refuse: false,
            hold: false,
        }
    }

    fn run(&mut self, mut actions: Vec<Action<TestKey, &'static str>>) {
        while !actions.is_empty() {
            for action in std::mem::take(&mut actions) {
                match action {
                    Action::Grant(waiter, grant) => self.granted.push((waiter, grant.slot)),
                    Action::Fail(waiter, failure) => self.failed.push((waiter, failure)),
                    Action::Open(slot, ..) if self.hold => self.opened.push(slot),
                    Action::Open(slot, ..) if self.refuse => {
                        self.state.open_failed(slot, "down", true, 0.0, self.now, &mut actions);
                    }
                    Action::Open(slot, ..) => {
                        self.opened.push(slot);
                        self.state.opened(slot, 0.0, self.now, &mut actions);
                    }
                    Action::Close(slot) => {
                        self.closed.push(slot);
                        if !self.hold {
                            self.state.closed(slot, self.now, &mut actions);
                        }
                    }
                }
            }
        }
        let snapshot = self.state.snapshot(self.now);
        assert_eq!(snapshot.total, snapshot.active + snapshot.available + snapshot.unhealthy);
        let counters = &snapshot.counters;
        assert_eq!(counters.creates - counters.destroys, snapshot.total as u64);
        assert_eq!(counters.acquisitions - counters.releases, snapshot.leases as u64);
        assert!(snapshot.total + snapshot.initializing <= self.state.limits.max.max(snapshot.total));
    }

    fn acquire(&mut self, key: &TestKey) -> Result<Acquired, Failure<&'static str>> {
        let mut actions = vec![];
        let result = self.state.acquire(key, Ask::default(), self.now, &mut actions);
        self.run(actions);
        result
    }

    /// A lease that is there at once, if need be by opening a slot.
    fn lease(&mut self, key: &TestKey) -> SlotId {
        match self.acquire(key).unwrap() {
            Acquired::Slot(grant) => grant.slot,
            Acquired::Wait(waiter) => {
                let at = self.granted.iter().position(|(w, _)| *w == waiter).expect("granted");
                self.granted.remove(at).1
            }
        }
    }

    fn wait(&mut self, key: &TestKey) -> WaiterId {
        match self.acquire(key).unwrap() {
            Acquired::Wait(waiter) => {
                assert!(self.granted.is_empty(), "granted at once");
                waiter
            }
            Acquired::Slot(grant) => panic!("slot {} was free", grant.slot),
        }
    }

    fn release(&mut self, slot: SlotId) {
        self.end(slot, None);
    }

    fn end(&mut self, slot: SlotId, reason: Option<CloseReason>) {
        let mut actions = vec![];
        self.state.release(slot, Ending { discard: reason, ..Ending::default() }, self.now, &mut actions);
        self.run(actions);
    }

    fn maintain(&mut self) {
        let mut actions = vec![];
        self.state.maintain(self.now, &mut actions);
        self.run(actions);
    }

    fn pass(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
        self.maintain();
    }

    fn total(&self) -> usize {
        self.state.snapshot(self.now).total
    }
}

#[test]
fn slots_are_reused_in_circular_order() {
    let mut bench = Bench::new(limits());
    let (a, b) = (bench.lease(&Shared(1)), bench.lease(&Shared(1)));
    bench.release(a);
    bench.release(b);
    let order: Vec<_> = (0..4)
        .map(|_| {
            let slot = bench.lease(&Shared(1));
            bench.release(slot);
            slot
        })
        .collect();
    assert_eq!(order, [a, b, a, b]);
    assert_eq!(bench.opened.len(), 2);
}

#[test]
fn waiters_are_served_in_turn_and_a_cancelled_one_leaves_no_trace() {
    let mut bench = Bench::new(limits());
    let (a, b) = (bench.lease(&Shared(1)), bench.lease(&Shared(1)));
    let (first, second, third) = (bench.wait(&Shared(1)), bench.wait(&Shared(1)), bench.wait(&Shared(1)));
    assert_eq!(bench.acquire(&Shared(1)), Err(Failure::Refused(Refusal::QueueFull)));
    assert!(bench.state.forget(&Shared(1), second));
    assert!(!bench.state.forget(&Shared(1), second));
    bench.release(b);
    bench.release(a);
    assert_eq!(bench.granted, [(first, b), (third, a)]);
    assert_eq!(bench.state.waiting, 0);
}

#[test]
fn a_waiter_takes_whichever_comes_first() {
    let mut bench = Bench::new(limits());
    let a = bench.lease(&Shared(1));
    bench.hold = true;
    let waiter = bench.wait(&Shared(1));
    assert_eq!(bench.opened.len(), 2, "a second slot is being opened");
    bench.release(a);
    assert_eq!(bench.granted, [(waiter, a)]);
    let mut actions = vec![];
    bench.state.opened(bench.opened[1], 0.0, bench.now, &mut actions);
    assert_eq!(actions, []);
    assert_eq!(bench.state.snapshot(bench.now).available, 1);
}

#[test]
fn keys_share_the_cap_but_no_slot() {
    let mut bench = Bench::new(limits());
    let (a, b) = (bench.lease(&Shared(1)), bench.lease(&Shared(2)));
    assert_ne!(a, b);
    bench.release(a);
    // At the cap the longest idle slot of another key makes room.
    let c = bench.lease(&Shared(3));
    assert_eq!(bench.closed, [a]);
    // A key that waits with nothing idle gets the next slot that comes back, whatever its key.
    let waiter = bench.wait(&Shared(4));
    bench.release(c);
    assert_eq!(bench.granted.iter().map(|(w, _)| *w).collect::<Vec<_>>(), [waiter]);
    assert_eq!(bench.closed, [a, c]);
    assert_eq!(bench.total(), 2);
}

#[test]
fn a_bound_key_has_one_slot_that_is_neither_recycled_nor_evicted() {
    let mut bench = Bench::new(Limits { max: 1, ..limits() });
    let a = bench.lease(&Bound(1));
    let waiter = bench.wait(&Bound(1));
    bench.release(a);
    assert_eq!(bench.granted, [(waiter, a)]);
    bench.release(a);
    bench.pass(1000);
    assert!(bench.closed.is_empty());
    bench.granted.clear();
    let other = bench.wait(&Bound(2));
    assert!(bench.closed.is_empty());
    let mut actions = vec![];
    bench.state.retire(&Bound(1), &mut actions);
    bench.run(actions);
    assert_eq!(bench.closed, [a]);
    assert_eq!(bench.granted.last().map(|(w, _)| *w), Some(other));
}

#[test]
fn a_bound_key_learns_that_its_slot_is_gone() {
    let mut bench = Bench::new(limits());
    let a = bench.lease(&Bound(1));
    let waiter = bench.wait(&Bound(1));
    bench.end(a, Some(CloseReason::Lost));
    assert_eq!(bench.failed, [(waiter, Failure::Refused(Refusal::Lost))]);
    let mut actions = vec![];
    let lost =
        bench.state.acquire(&Bound(1), Ask { existing: true, affinity: None }, bench.now, &mut actions);
    assert_eq!(lost, Err(Failure::Refused(Refusal::Lost)));
    bench.lease(&Bound(1));
}

#[test]
fn a_cancelled_request_without_an_answer_ends_no_clients_state() {
    let mut bench = Bench::new(limits());
    let own = bench.lease(&Bound(1));
    bench.end(own, Some(CloseReason::Abandoned));
    let Ok(Acquired::Slot(grant)) = bench.acquire(&Bound(1)) else { panic!("it waits") };
    assert_eq!((grant.slot, grant.check), (own, true), "it is checked first");
    let shared = bench.lease(&Shared(1));
    bench.end(shared, Some(CloseReason::Abandoned));
    assert_eq!(bench.closed, [shared]);
}

#[test]
fn warm_slots_are_claimed() {
    let mut bench = Bench::new(Limits { min: 1, ..limits() });
    bench.state.warm = Some(Warm);
    bench.maintain();
    let warm = bench.opened[0];
    assert_eq!(bench.lease(&Bound(1)), warm);
    bench.maintain();
    assert_eq!(bench.total(), 1, "the minimum counts over all keys");
    assert_ne!(bench.lease(&Bound(2)), warm);
}

#[test]
fn direct_slots_are_outside_the_cap_and_not_exclusive() {
    let mut bench = Bench::new(Limits { max: 0, ..limits() });
    let a = bench.lease(&Direct(1));
    assert_eq!(bench.lease(&Direct(1)), a);
    bench.lease(&Direct(2));
    assert_eq!(bench.acquire(&Direct(3)), Err(Failure::Refused(Refusal::DirectFull)));
    assert_eq!(bench.state.snapshot(bench.now).direct, 2);
    assert_eq!(bench.total(), 0);
}

#[test]
fn old_idle_and_worn_slots_go() {
    let mut bench = Bench::new(Limits { min: 1, max_requests: Some(2), ..limits() });
    bench.maintain();
    let (a, b) = (bench.lease(&Shared(1)), bench.lease(&Shared(1)));
    bench.release(a);
    bench.release(b);
    bench.pass(50);
    assert_eq!(bench.closed, [a], "idle above the minimum");
    assert_eq!(bench.lease(&Shared(1)), b);
    bench.release(b);
    assert_eq!(bench.closed, [a, b], "served two requests");
    let c = bench.lease(&Shared(1));
    bench.pass(100);
    assert_eq!(bench.closed, [a, b], "a busy slot is not recycled");
    bench.release(c);
    assert_eq!(bench.closed, [a, b, c], "its age is looked at when it comes back");
}

#[test]
fn the_minimum_is_kept_for_the_key_used_last() {
    let mut bench = Bench::new(Limits { min: 2, ..limits() });
    bench.maintain();
    assert_eq!(bench.total(), 0, "no key is known yet");
    let a = bench.lease(&Shared(1));
    bench.release(a);
    bench.maintain();
    assert_eq!(bench.total(), 2);
}

#[test]
fn a_lower_maximum_closes_idle_slots_now_and_busy_ones_at_check_in() {
    let mut bench = Bench::new(Limits { max: 3, ..limits() });
    let slots = [bench.lease(&Shared(1)), bench.lease(&Shared(1)), bench.lease(&Shared(1))];
    bench.release(slots[0]);
    let mut actions = vec![];
    bench.state.set_limits(Limits { max: 1, ..limits() }, None, bench.now, &mut actions);
    bench.run(actions);
    assert_eq!(bench.closed, [slots[0]]);
    bench.release(slots[1]);
    assert_eq!(bench.closed, [slots[0], slots[1]]);
    bench.release(slots[2]);
    assert_eq!(bench.total(), 1);
}

#[test]
fn failures_reach_waiters_and_back_off() {
    let mut bench = Bench::new(limits());
    bench.refuse = true;
    let Ok(Acquired::Wait(waiter)) = bench.acquire(&Shared(1)) else { panic!() };
    assert_eq!(bench.failed, [(waiter, Failure::Connect("down"))]);
    assert_eq!(bench.acquire(&Shared(1)), Err(Failure::Connect("down")));
    assert_eq!(bench.state.counters.connect_failures, 1, "no attempt while backing off");
    bench.now += Duration::from_secs(1);
    bench.refuse = false;
    bench.lease(&Shared(1));
}

#[test]
fn checks_come_after_the_delay_and_after_a_loss() {
    let mut bench = Bench::new(limits());
    let slot = bench.lease(&Shared(1));
    bench.release(slot);
    let check = |bench: &mut Bench| match bench.acquire(&Shared(1)) {
        Ok(Acquired::Slot(grant)) => {
            bench.release(grant.slot);
            grant.check
        }
        other => panic!("{other:?}"),
    };
    assert!(!check(&mut bench));
    bench.now += Duration::from_secs(5);
    assert!(check(&mut bench));
    bench.state.suspect(slot);
    assert!(check(&mut bench));
    bench.state.checked(slot, bench.now);
    assert!(!check(&mut bench));
}

#[test]
fn shutting_down_closes_everything_and_takes_nothing() {
    let mut bench = Bench::new(limits());
    let (a, b) = (bench.lease(&Shared(1)), bench.lease(&Shared(1)));
    bench.release(a);
    let mut actions = vec![];
    bench.state.shut(&mut actions);
    bench.run(actions);
    assert_eq!(bench.closed, [a]);
    bench.release(b);
    assert_eq!(bench.closed, [a, b]);
    assert_eq!(bench.acquire(&Shared(1)), Err(Failure::Refused(Refusal::Closed)));
}

#[test]
fn busy_slots_that_come_back_together_close_only_down_to_a_lower_maximum() {
    let mut bench = Bench::new(Limits { max: 4, ..limits() });
    let slots: Vec<_> = (0..4).map(|_| bench.lease(&Shared(1))).collect();
    let mut actions = vec![];
    bench.state.set_limits(Limits { max: 3, ..limits() }, None, bench.now, &mut actions);
    bench.run(actions);
    // The server takes its time to close one.
    bench.hold = true;
    for slot in &slots {
        bench.release(*slot);
    }
    assert_eq!(bench.closed, [slots[0]]);
}

#[test]
fn a_check_that_was_given_up_is_made_up_for() {
    let mut bench = Bench::new(limits());
    let slot = bench.lease(&Shared(1));
    bench.release(slot);
    bench.now += Duration::from_secs(5);
    let mut actions = vec![];
    // Twice the one who asks goes away before the answer.
    for (expected, unchecked) in [(true, true), (true, true), (true, false), (false, false)] {
        let Ok(Acquired::Slot(grant)) = bench.acquire(&Shared(1)) else { panic!("it waits") };
        assert_eq!(grant.check, expected);
        if !unchecked {
            bench.state.checked(slot, bench.now);
        }
        bench.state.release(slot, Ending { unchecked, ..Ending::default() }, bench.now, &mut actions);
    }
}

#[test]
fn a_reset_does_not_make_waiters_wait_for_a_handshake_that_is_void() {
    let mut bench = Bench::new(limits());
    bench.hold = true;
    bench.wait(&Shared(1));
    let mut actions = vec![];
    bench.state.reset(bench.now, &mut actions);
    bench.run(actions);
    assert_eq!(bench.opened.len(), 2, "another one is opened for it");
}

#[test]
fn the_minimum_is_kept_for_what_clients_last_waited_for() {
    let mut bench = Bench::new(Limits { min: 2, ..limits() });
    bench.state.warm = Some(Warm);
    bench.maintain();
    let of = |bench: &Bench| {
        let slots = bench.state.slots(bench.now);
        slots.into_iter().map(|slot| slot.key).collect::<Vec<_>>()
    };
    assert_eq!(of(&bench), [Warm, Warm]);
    let slot = bench.lease(&Shared(1));
    bench.release(slot);
    assert_eq!(of(&bench), [Warm, Shared(1)], "there was room for one only");
    let mut actions = vec![];
    bench.state.reset(bench.now, &mut actions);
    bench.run(actions);
    bench.maintain();
    assert_eq!(of(&bench), [Shared(1), Shared(1)]);
    for warm in [None, Some(Warm)] {
        let mut actions = vec![];
        bench.state.set_limits(bench.state.limits.clone(), warm, bench.now, &mut actions);
        bench.run(actions);
    }
    let mut actions = vec![];
    bench.state.reset(bench.now, &mut actions);
    bench.run(actions);
    bench.maintain();
    assert_eq!(of(&bench), [Warm, Warm], "with other sessions to open ahead it starts afresh");
}
