//! What checkout and check-in of an idle slot cost, beside a semaphore of tokio, which counts permits and does nothing else.

#![allow(clippy::expect_used, reason = "a benchmark that can't begin is to end")]

#[path = "../tests/pool/memory.rs"]
#[allow(dead_code)]
mod memory;

use std::{hint::black_box, sync::Arc, time::Duration};

use criterion::{Criterion, criterion_group, criterion_main};
use memory::{Memory, Plain, Server};
use proxy::{
    pool::{Ask, Limits, Pool},
    strategy::StrategyKind,
};
use tokio::{
    runtime::{Builder, Runtime},
    sync::Semaphore,
    time::Instant,
};

const KEY: Plain = Plain(0);
const TASKS: u64 = 64;

fn pool(strategy: StrategyKind, size: usize) -> Pool<Memory> {
    let limits = Limits {
        strategy,
        min: size,
        max: size,
        max_per_principal: None,
        max_direct: 0,
        concurrency: 1,
        max_waiters: 10_000,
        recycle: None,
        idle: None,
        max_requests: None,
        check_after: Some(Duration::from_secs(5)),
        keepalive: None,
        sticky_max_age: Duration::from_secs(86_400),
    };
    let pool = Pool::new(Memory { server: Arc::new(Server::default()), endpoints: 1 }, limits, Some(KEY));
    pool.start();
    pool
}

async fn full(pool: &Pool<Memory>, size: usize) {
    while pool.snapshot().total < size {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn once(pool: &Pool<Memory>, deadline: Instant) {
    if let Ok(lease) = pool.checkout(&KEY, Ask::default(), deadline).await {
        black_box(lease.slot());
    }
}

fn far() -> Instant {
    Instant::now() + Duration::from_secs(3600)
}

fn uncontended(criterion: &mut Criterion, runtime: &Runtime) {
    let mut group = criterion.benchmark_group("uncontended");
    for (name, strategy) in [
        ("round robin", StrategyKind::RoundRobin),
        ("least connections", StrategyKind::LeastConnections),
        ("weighted", StrategyKind::Weighted),
    ] {
        let pool = runtime.block_on(async {
            let pool = pool(strategy, 10);
            full(&pool, 10).await;
            pool
        });
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|times| {
                runtime.block_on(async {
                    let (begin, deadline) = (Instant::now(), far());
                    for _ in 0..times {
                        once(&pool, deadline).await;
                    }
                    begin.elapsed()
                })
            });
        });
    }
    let semaphore = Semaphore::new(10);
    group.bench_function("reference: semaphore", |bencher| {
        bencher.iter_custom(|times| {
            runtime.block_on(async {
                let begin = Instant::now();
                for _ in 0..times {
                    drop(black_box(semaphore.acquire().await));
                }
                begin.elapsed()
            })
        });
    });
    group.finish();
}

fn contended(criterion: &mut Criterion, runtime: &Runtime) {
    let mut group = criterion.benchmark_group("64 tasks");
    for size in [64_usize, 16] {
        let pool = runtime.block_on(async {
            let pool = pool(StrategyKind::RoundRobin, size);
            full(&pool, size).await;
            pool
        });
        group.bench_function(format!("{size} slots"), |bencher| {
            bencher.iter_custom(|times| {
                runtime.block_on(async {
                    let (begin, deadline) = (Instant::now(), far());
                    let tasks = (0..TASKS).map(|_| {
                        let pool = pool.clone();
                        tokio::spawn(async move {
                            for _ in 0..times.div_ceil(TASKS) {
                                once(&pool, deadline).await;
                            }
                        })
                    });
                    futures::future::join_all(tasks).await;
                    begin.elapsed()
                })
            });
        });
        let semaphore = Arc::new(Semaphore::new(size));
        group.bench_function(format!("reference: semaphore of {size}"), |bencher| {
            bencher.iter_custom(|times| {
                runtime.block_on(async {
                    let begin = Instant::now();
                    let tasks = (0..TASKS).map(|_| {
                        let semaphore = Arc::clone(&semaphore);
                        tokio::spawn(async move {
                            for _ in 0..times.div_ceil(TASKS) {
                                drop(black_box(semaphore.acquire().await));
                            }
                        })
                    });
                    futures::future::join_all(tasks).await;
                    begin.elapsed()
                })
            });
        });
    }
    group.finish();
}

fn all(criterion: &mut Criterion) {
    let one = Builder::new_current_thread().enable_all().build().expect("a runtime");
    uncontended(criterion, &one);
    let many = Builder::new_multi_thread().enable_all().build().expect("a runtime");
    contended(criterion, &many);
}

criterion_group!(benches, all);
criterion_main!(benches);
