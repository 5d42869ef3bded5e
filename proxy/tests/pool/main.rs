//! The pool by the clock: time is paused and goes on only when everybody waits.

#![allow(clippy::expect_used, reason = "the helpers of tests are tests")]

mod memory;

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use memory::{Memory, Plain, Server};
use proxy::{
    pool::{Ask, CheckoutError, CloseReason, Lease, Limits, Pool, Refusal},
    strategy::StrategyKind,
};
use tokio::time::{Instant, sleep};

const KEY: Plain = Plain(0);

fn limits() -> Limits {
    Limits {
        strategy: StrategyKind::RoundRobin,
        min: 0,
        max: 2,
        max_per_principal: None,
        max_direct: 0,
        concurrency: 1,
        max_waiters: 100,
        recycle: None,
        idle: None,
        max_requests: None,
        check_after: None,
        keepalive: None,
        sticky_max_age: Duration::from_secs(86_400),
    }
}

fn seconds(number: u64) -> Duration {
    Duration::from_secs(number)
}

struct Bench {
    pool: Pool<Memory>,
    server: Arc<Server>,
}

impl Bench {
    fn new(limits: Limits) -> Self {
        Self::over(1, limits)
    }

    fn over(endpoints: u32, limits: Limits) -> Self {
        let server = Arc::new(Server::default());
        let pool = Pool::new(Memory { server: Arc::clone(&server), endpoints }, limits, Some(KEY));
        pool.start();
        Self { pool, server }
    }

    async fn lease_of(&self, key: &Plain) -> Lease<Memory> {
        self.pool.checkout(key, Ask::default(), Instant::now() + seconds(30)).await.expect("a lease")
    }

    async fn lease(&self) -> Lease<Memory> {
        self.lease_of(&KEY).await
    }

    fn total(&self) -> usize {
        self.pool.snapshot().total
    }

    fn closed(&self, reason: CloseReason) -> u64 {
        self.pool.snapshot().counters.closed[reason as usize]
    }
}

#[tokio::test(start_paused = true)]
async fn age_is_jittered_and_busy_slots_wait() {
    let bench = Bench::new(Limits { min: 2, recycle: Some(seconds(100)), ..limits() });
    sleep(seconds(2)).await;
    let busy = bench.lease().await;
    sleep(seconds(87)).await;
    assert_eq!(bench.server.closed.load(Relaxed), 0, "never before nine tenths");
    sleep(seconds(12)).await;
    assert_eq!(bench.server.closed.load(Relaxed), 1, "the idle one");
    drop(busy);
    sleep(seconds(1)).await;
    assert_eq!((bench.closed(CloseReason::Age), bench.total()), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn idle_slots_above_the_minimum_close() {
    let bench = Bench::new(Limits { min: 1, idle: Some(seconds(10)), ..limits() });
    let both = (bench.lease().await, bench.lease().await);
    drop(both);
    sleep(seconds(9)).await;
    assert_eq!(bench.total(), 2);
    sleep(seconds(2)).await;
    assert_eq!((bench.closed(CloseReason::Idle), bench.total()), (1, 1));
    sleep(seconds(1000)).await;
    assert_eq!(bench.total(), 1);
}

#[tokio::test(start_paused = true)]
async fn requests_are_counted() {
    let bench = Bench::new(Limits { max_requests: Some(3), ..limits() });
    for _ in 0..6 {
        drop(bench.lease().await);
        sleep(seconds(1)).await;
    }
    assert_eq!((bench.closed(CloseReason::Requests), bench.server.opened.load(Relaxed)), (2, 2));
    bench.lease().await.unused();
    assert_eq!(bench.server.opened.load(Relaxed), 3);
}

#[tokio::test(start_paused = true)]
async fn slots_are_checked_after_the_delay() {
    for (delay, checks) in [(0, 3), (5, 1), (60, 0)] {
        let bench = Bench::new(Limits { max: 1, check_after: Some(seconds(delay)), ..limits() });
        sleep(Duration::from_millis(1)).await;
        drop(bench.lease().await);
        let before = bench.server.checks.load(Relaxed);
        drop(bench.lease().await);
        sleep(seconds(3)).await;
        drop(bench.lease().await);
        sleep(seconds(6)).await;
        drop(bench.lease().await);
        assert_eq!(bench.server.checks.load(Relaxed) - before, checks, "delay {delay}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_slot_that_fails_its_check_is_replaced() {
    let bench = Bench::new(Limits { max: 1, check_after: Some(seconds(1)), ..limits() });
    drop(bench.lease().await);
    sleep(seconds(2)).await;
    bench.server.deaf.store(true, Relaxed);
    drop(bench.lease().await);
    assert_eq!((bench.closed(CloseReason::Unhealthy), bench.server.opened.load(Relaxed)), (1, 2));
}

#[tokio::test(start_paused = true)]
async fn quiet_sessions_are_pinged_also_during_a_call() {
    let bench = Bench::new(Limits { max: 1, keepalive: Some(seconds(60)), ..limits() });
    let lease = bench.lease().await;
    sleep(seconds(61)).await;
    assert!(bench.server.checks.load(Relaxed) >= 1);
    bench.server.deaf.store(true, Relaxed);
    sleep(seconds(61)).await;
    assert_eq!(bench.total(), 1, "a busy one is not closed");
    drop(lease);
    sleep(seconds(1)).await;
    assert_eq!(bench.closed(CloseReason::Unhealthy), 1);
}

#[tokio::test(start_paused = true)]
async fn a_reset_replaces_everything_once() {
    let bench = Bench::new(Limits { min: 2, ..limits() });
    sleep(seconds(1)).await;
    let busy = bench.lease().await;
    bench.pool.reset();
    sleep(seconds(1)).await;
    assert_eq!((bench.closed(CloseReason::Reset), bench.total()), (1, 2), "the idle one was replaced");
    drop(busy);
    sleep(seconds(1)).await;
    assert_eq!((bench.closed(CloseReason::Reset), bench.total()), (2, 2));
    sleep(seconds(100)).await;
    assert_eq!(bench.server.opened.load(Relaxed), 4);
}

#[tokio::test(start_paused = true)]
async fn a_drain_ends_at_its_deadline_and_is_taken_back() {
    let bench = Bench::new(Limits { min: 2, ..limits() });
    sleep(seconds(1)).await;
    let busy = bench.lease().await;
    bench.pool.drain(Instant::now() + seconds(10));
    sleep(seconds(1)).await;
    let now = bench.pool.snapshot();
    assert_eq!((now.total, now.draining, now.drained), (1, true, false));
    let refused = bench.pool.checkout(&KEY, Ask::default(), Instant::now() + seconds(5)).await;
    assert!(matches!(refused, Err(CheckoutError::Refused(Refusal::Draining))));
    drop(busy);
    sleep(seconds(1)).await;
    assert!(bench.pool.snapshot().drained);
    bench.pool.resume();
    sleep(seconds(1)).await;
    assert_eq!(bench.total(), 2);

    let waits = bench.lease().await;
    bench.pool.drain(Instant::now() + seconds(10));
    sleep(seconds(11)).await;
    drop(waits);
    sleep(seconds(1)).await;
    assert!(bench.pool.snapshot().drained, "what comes back after the deadline is closed");
}

#[tokio::test(start_paused = true)]
async fn a_waiter_gives_up_at_its_deadline_and_not_before() {
    let bench = Bench::new(limits());
    let _both = (bench.lease().await, bench.lease().await);
    let begin = Instant::now();
    let waited = bench.pool.checkout(&KEY, Ask::default(), begin + Duration::from_millis(1234)).await;
    let Err(CheckoutError::Timeout(pressure)) = waited else { panic!("it was served") };
    // The runtime's timer counts whole milliseconds.
    let took = begin.elapsed().as_millis();
    assert!((1234..=1235).contains(&took), "{took}");
    assert_eq!((pressure.size, pressure.limit, pressure.waiters), (2, 2, 0));
    let now = bench.pool.snapshot();
    assert_eq!((now.waiting, now.counters.timeouts), (0, 1));
}

/// One key has every slot and a second request in the queue, another key has waited for `wait`: is that one first when
/// a slot comes back?
async fn other_key_is_first_after(wait: Duration) -> bool {
    let bench = Bench::new(limits());
    let (back, kept) = (bench.lease().await, bench.lease().await);
    let waits = |key: Plain| {
        let pool = bench.pool.clone();
        tokio::spawn(async move {
            pool.checkout(&key, Ask::default(), Instant::now() + seconds(9)).await.expect("a lease")
        })
    };
    let mut other = waits(Plain(9));
    tokio::task::yield_now().await;
    let mut same = waits(KEY);
    sleep(wait).await;
    drop(back);
    tokio::select! {
        lease = &mut other => {
            drop((lease, kept));
            same.await.expect("served as well");
            true
        }
        lease = &mut same => {
            drop((lease, kept));
            other.await.expect("served as well");
            false
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_without_a_slot_goes_first_after_a_tenth_of_a_second() {
    assert!(!other_key_is_first_after(Duration::from_millis(50)).await);
    assert!(other_key_is_first_after(Duration::from_millis(150)).await);
}

#[tokio::test(start_paused = true)]
async fn an_address_that_fails_is_left_alone_and_comes_back() {
    let bench = Bench::over(2, Limits { min: 4, max: 4, ..limits() });
    sleep(seconds(1)).await;
    let state = |bench: &Bench| bench.pool.endpoints().iter().map(|(_, info)| info.state).collect::<Vec<_>>();
    assert_eq!(state(&bench), ["active", "active"]);
    bench.server.down[0].store(true, Relaxed);
    bench.pool.reset();
    sleep(seconds(1)).await;
    assert_eq!(state(&bench)[0], "ejected");
    let all = [bench.lease().await, bench.lease().await, bench.lease().await, bench.lease().await];
    assert!(all.iter().all(|lease| lease.session().endpoint == 1), "the other one serves all");
    drop(all);
    bench.server.down[0].store(false, Relaxed);
    sleep(seconds(120)).await;
    let slots = bench.pool.endpoints().iter().map(|(_, info)| info.slots).collect::<Vec<_>>();
    assert_eq!(slots, [2, 2], "room was made for the one that is back");
    sleep(seconds(20)).await;
    assert_eq!(state(&bench), ["active", "active"]);
}

#[tokio::test(start_paused = true)]
async fn failures_pause_and_recover() {
    let bench = Bench::new(Limits { min: 1, ..limits() });
    bench.server.down[0].store(true, Relaxed);
    sleep(seconds(10)).await;
    let failures = bench.pool.snapshot().counters.connect_failures;
    assert!((9..=20).contains(&failures), "{failures} attempts in ten seconds");
    let refused = bench.pool.checkout(&KEY, Ask::default(), Instant::now() + seconds(5)).await;
    assert!(matches!(refused, Err(CheckoutError::Connect(_))), "the error comes at once");
    bench.server.down[0].store(false, Relaxed);
    sleep(seconds(2)).await;
    assert_eq!(bench.total(), 1);
}

/// A server that answers nothing for a while costs a request one session at most, not all that it could have had.
#[tokio::test(start_paused = true)]
async fn checks_without_an_answer_don_t_use_up_the_pool() {
    let bench = Bench::new(Limits { min: 5, max: 5, check_after: Some(seconds(0)), ..limits() });
    sleep(seconds(2)).await;
    bench.server.mute.store(true, Relaxed);
    let begin = Instant::now();
    let waited = bench.pool.checkout(&KEY, Ask::default(), begin + seconds(2)).await;
    assert!(matches!(waited, Err(CheckoutError::Timeout(_))));
    assert_eq!(begin.elapsed().as_secs(), 2);
    assert_eq!((bench.closed(CloseReason::Unhealthy), bench.pool.snapshot().leases), (1, 0));
}

/// One hangs, another one serves.
#[tokio::test(start_paused = true)]
async fn a_session_that_hangs_does_not_use_up_a_request_s_time() {
    let bench = Bench::new(Limits { min: 2, check_after: Some(seconds(0)), ..limits() });
    sleep(seconds(2)).await;
    bench.server.mute.store(true, Relaxed);
    let server = Arc::clone(&bench.server);
    tokio::spawn(async move {
        sleep(seconds(5)).await;
        server.mute.store(false, Relaxed);
    });
    let begin = Instant::now();
    drop(bench.lease().await);
    assert_eq!(begin.elapsed().as_secs(), 10, "of 30");
    sleep(seconds(1)).await;
    assert_eq!(bench.closed(CloseReason::Unhealthy), 1);
}

/// Who goes away during the check leaves the next one to make it.
#[tokio::test(start_paused = true)]
async fn a_check_that_was_given_up_is_made_again() {
    let bench = Bench::new(Limits { max: 1, check_after: Some(seconds(5)), ..limits() });
    drop(bench.lease().await);
    sleep(seconds(6)).await;
    bench.server.mute.store(true, Relaxed);
    let _ = tokio::time::timeout(seconds(1), bench.lease()).await;
    bench.server.mute.store(false, Relaxed);
    let before = bench.server.checks.load(Relaxed);
    drop(bench.lease().await);
    assert_eq!(bench.server.checks.load(Relaxed), before + 1);
}

/// A server may be busy with the call: no reason to give up what a client has in the session.
#[tokio::test(start_paused = true)]
async fn a_ping_without_an_answer_during_a_call_ends_nothing() {
    let bench = Bench::new(Limits { max: 1, keepalive: Some(seconds(60)), ..limits() });
    let lease = bench.lease().await;
    bench.server.mute.store(true, Relaxed);
    sleep(seconds(200)).await;
    let pings = bench.server.checks.load(Relaxed);
    assert!((2..=4).contains(&pings), "{pings} pings in 200 s");
    bench.server.mute.store(false, Relaxed);
    drop(lease);
    let before = bench.server.checks.load(Relaxed);
    drop(bench.lease().await);
    assert_eq!((bench.server.opened.load(Relaxed), bench.server.checks.load(Relaxed)), (1, before + 1));
    bench.server.mute.store(true, Relaxed);
    sleep(seconds(71)).await;
    assert_eq!(bench.closed(CloseReason::Unhealthy), 1, "an idle one has nothing else to do");
}
