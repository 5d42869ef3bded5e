//! Checkout and check-in of an idle slot allocate nothing.

#![allow(clippy::expect_used, reason = "the helpers of tests are tests")]

#[path = "pool/memory.rs"]
#[allow(dead_code, reason = "this test needs a part of it")]
mod memory;

use std::{sync::Arc, time::Duration};

use memory::{Memory, Plain, Server};
use proxy::{
    pool::{Ask, Limits, Pool},
    strategy::StrategyKind,
};
use tokio::time::Instant;

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

const KEY: Plain = Plain(0);

async fn filled(strategy: StrategyKind) -> Pool<Memory> {
    let limits = Limits {
        strategy,
        min: 4,
        max: 4,
        max_per_principal: None,
        max_direct: 0,
        concurrency: 1,
        max_waiters: 10,
        recycle: None,
        idle: None,
        max_requests: None,
        check_after: Some(Duration::from_secs(60)),
        keepalive: None,
        sticky_max_age: Duration::from_secs(60),
    };
    let pool = Pool::new(Memory { server: Arc::new(Server::default()), endpoints: 2 }, limits, Some(KEY));
    pool.start();
    while pool.snapshot().available < 4 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    pool
}

#[tokio::test(start_paused = true)]
async fn an_idle_slot_is_lent_without_an_allocation() {
    let profiler = dhat::Profiler::builder().testing().build();
    for strategy in [
        StrategyKind::RoundRobin,
        StrategyKind::LeastConnections,
        StrategyKind::Sticky,
        StrategyKind::Weighted,
    ] {
        let pool = filled(strategy).await;
        let affinity = (strategy == StrategyKind::Sticky).then_some(7);
        let ask = Ask { affinity, ..Ask::default() };
        let deadline = Instant::now() + Duration::from_secs(10);
        // The first binds the affinity key.
        drop(pool.checkout(&KEY, ask, deadline).await.expect("a lease"));
        let before = dhat::HeapStats::get().total_blocks;
        assert!(before > 0, "opening allocates");
        for _ in 0..1000 {
            drop(pool.checkout(&KEY, ask, deadline).await.expect("a lease"));
        }
        let blocks = dhat::HeapStats::get().total_blocks - before;
        assert_eq!(blocks, 0, "{strategy:?}");
    }
    drop(profiler);
}
