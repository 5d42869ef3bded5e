//! The pool under a scheduler that tries interleavings: <https://docs.rs/shuttle>. A waiter that nobody serves is found as a
//! deadlock, for the tests' patience never ends.

#![allow(clippy::expect_used, reason = "the helpers of tests are tests")]

mod sessions;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use proxy::{
    pool::{Ask, CheckoutError, Lease, Limits, Pool, Refusal},
    strategy::StrategyKind,
};
use sessions::{Memory, Open, Plain, Refused, Server};
use shuttle::{
    Config, Runner,
    future::{JoinHandle, block_on, spawn, yield_now},
    rand::{Rng as _, thread_rng},
    scheduler::{PctScheduler, RandomScheduler},
};
use tokio::time::Instant;

/// Schedules of each test, for each of two schedulers.
const SCHEDULES: usize = 2_000;

/// Runs `test` under many schedules: steps at random, and the few preemptions that most races take (Burckhardt et al., "A
/// Randomized Scheduler with Probabilistic Guarantees of Finding Bugs", ASPLOS 2010).
fn explore<F: Future<Output = ()> + 'static>(test: fn() -> F) {
    let config = || {
        let mut config = Config::new();
        config.stack_size = 0x4_0000;
        config
    };
    let run = move || {
        fastrand::seed(1);
        block_on(test());
    };
    Runner::new(RandomScheduler::new(SCHEDULES), config()).run(run);
    Runner::new(PctScheduler::new(3, SCHEDULES), config()).run(run);
}

#[derive(Clone)]
struct Bench {
    pool: Pool<Memory>,
    server: Arc<Server>,
}

type Checkout = Result<Lease<Memory>, CheckoutError<Refused>>;

impl Bench {
    fn new(max: usize) -> Self {
        let limits = Limits {
            strategy: StrategyKind::RoundRobin,
            min: 0,
            max,
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
        };
        let server = Arc::new(Server::default());
        Self { pool: Pool::new(Memory(Arc::clone(&server)), limits, None), server }
    }

    /// A checkout whose deadline comes never, or at any moment.
    async fn checkout(&self, key: u8, patient: bool) -> Checkout {
        let patience = Duration::from_secs(if patient { 86_400 } else { 1 });
        self.pool.checkout(&Plain(key), Ask::default(), Instant::now() + patience).await
    }

    fn spawn<F: Future<Output = ()> + Send + 'static>(&self, task: impl FnOnce(Self) -> F) -> JoinHandle<()> {
        spawn(task(self.clone()))
    }

    /// Nothing is owed: a turn is there for the next one who asks. Then ends the pool.
    async fn rest(self) {
        let snapshot = self.pool.snapshot();
        assert_eq!((snapshot.leases, snapshot.waiting), (0, 0), "something is left: {snapshot:?}");
        assert_eq!(snapshot.counters.acquisitions, snapshot.counters.releases);
        drop(self.checkout(0, true).await.expect("a turn for the next one"));
        self.end().await;
    }

    async fn end(self) {
        self.pool.close(Instant::now() + Duration::from_secs(86_400)).await;
        assert_eq!(self.server.opened.load(SeqCst), self.server.closed.load(SeqCst), "left behind");
        assert_eq!(self.pool.snapshot().total, 0);
    }
}

async fn all(tasks: impl IntoIterator<Item = JoinHandle<()>>) {
    for task in tasks {
        task.await.expect("it ends");
    }
}

/// Uses a session for a while, alone.
async fn work(session: &Open) {
    assert_eq!(session.users.fetch_add(1, SeqCst), 0, "two at a time");
    yield_now().await;
    session.users.fetch_sub(1, SeqCst);
}

#[test]
fn each_waiter_has_its_turn_alone() {
    explore(|| async {
        let bench = Bench::new(2);
        all((0..4).map(|number| {
            bench.spawn(async move |bench| {
                for _ in 0..2 {
                    // Two keys: room for one is made at the cost of the other.
                    let lease = bench.checkout(number % 2, true).await.expect("a turn");
                    work(lease.session()).await;
                }
            })
        }))
        .await;
        bench.rest().await;
    });
}

#[test]
fn who_gives_up_takes_no_turn_along() {
    explore(|| async {
        let bench = Bench::new(1);
        let hasty = (0..2).map(|_| {
            bench.spawn(async |bench| match bench.checkout(0, false).await {
                Ok(lease) => work(lease.session()).await,
                Err(CheckoutError::Timeout(_)) => {}
                Err(error) => panic!("{error}"),
            })
        });
        let gone = bench.spawn(async |bench| {
            // Dropped at any of its steps.
            let turns = thread_rng().gen_range(0..6);
            tokio::select! {
                biased;
                lease = bench.checkout(0, true) => drop(lease),
                () = async { for _ in 0..turns { yield_now().await } } => {}
            }
        });
        let patient = bench.spawn(async |bench| {
            let lease = bench.checkout(0, true).await.expect("a turn");
            work(lease.session()).await;
        });
        all(hasty.chain([gone, patient])).await;
        bench.rest().await;
    });
}

#[test]
fn a_failed_opening_is_told_to_each_waiter_once() {
    explore(|| async {
        let bench = Bench::new(2);
        bench.server.refuses.store(2, SeqCst);
        let told = Arc::new(AtomicUsize::new(0));
        all((0..3).map(|_| {
            let told = Arc::clone(&told);
            bench.spawn(async move |bench| match bench.checkout(0, true).await {
                Ok(lease) => work(lease.session()).await,
                Err(CheckoutError::Connect(Refused)) => drop(told.fetch_add(1, SeqCst)),
                Err(error) => panic!("{error}"),
            })
        }))
        .await;
        bench.server.refuses.store(0, SeqCst);
        let snapshot = bench.pool.snapshot();
        assert_eq!((snapshot.leases, snapshot.waiting), (0, 0), "{snapshot:?}");
        bench.end().await;
    });
}

#[test]
fn nobody_gets_a_session_from_before_a_reset() {
    explore(|| async {
        let bench = Bench::new(2);
        let done = Arc::new(AtomicUsize::new(0));
        let resetting = bench.spawn({
            let done = Arc::clone(&done);
            async move |bench| {
                for _ in 0..2 {
                    bench.server.resets.fetch_add(1, SeqCst);
                    bench.pool.reset();
                    done.fetch_add(1, SeqCst);
                    yield_now().await;
                }
            }
        });
        let clients = (0..3).map(|_| {
            let done = Arc::clone(&done);
            bench.spawn(async move |bench| {
                for _ in 0..2 {
                    let before = done.load(SeqCst);
                    let lease = bench.checkout(0, true).await.expect("a turn");
                    assert!(lease.session().resets >= before, "a session from before the reset");
                    work(lease.session()).await;
                }
            })
        });
        all(clients.chain([resetting])).await;
        bench.rest().await;
    });
}

#[test]
fn a_drain_refuses_or_serves_and_a_resume_serves_again() {
    explore(|| async {
        let bench = Bench::new(1);
        let operating = bench.spawn(async |bench| {
            bench.pool.drain(Instant::now() + Duration::from_secs(86_400));
            yield_now().await;
            bench.pool.resume();
        });
        let clients = (0..3).map(|_| {
            bench.spawn(async |bench| match bench.checkout(0, true).await {
                Ok(lease) => work(lease.session()).await,
                Err(CheckoutError::Refused(Refusal::Draining)) => {}
                Err(error) => panic!("{error}"),
            })
        });
        all(clients.chain([operating])).await;
        bench.rest().await;
    });
}

#[test]
fn a_close_leaves_nothing_and_nobody_behind() {
    explore(|| async {
        let bench = Bench::new(2);
        bench.pool.start();
        let clients: Vec<_> = (0..3)
            .map(|number| {
                bench.spawn(async move |bench| match bench.checkout(number % 2, true).await {
                    Ok(lease) => work(lease.session()).await,
                    Err(CheckoutError::Refused(Refusal::Closed)) => {}
                    Err(error) => panic!("{error}"),
                })
            })
            .collect();
        let closing = bench.spawn(|bench| bench.clone().end());
        all(clients.into_iter().chain([closing])).await;
        let snapshot = bench.pool.snapshot();
        assert_eq!((snapshot.leases, snapshot.waiting), (0, 0), "{snapshot:?}");
    });
}
