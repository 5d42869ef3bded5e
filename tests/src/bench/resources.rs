//! What a pool costs while nothing is asked of it: memory of a session, processor time, and the time
//! until it is warm.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde::Serialize;
use serde_json::json;

use super::{
    load::{self, Mode, Target},
    usage::{self, Usage},
};
use crate::{
    proxy::{self, Proxy},
    upstream::Upstream,
};

/// Sessions that the memory of one is worked out from.
const SESSIONS: u64 = 200;

/// Time until a pool that nobody asks is at rest.
const SETTLE: Duration = Duration::from_secs(5);

/// Sessions that a warm pool has, in the time until it is warm.
const WARM: u64 = 5;

/// What was measured, on server-everything.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Resources {
    /// Resident memory of the proxy that each further session takes, in MiB, after all of them were used.
    pub session_mib: f64,
    /// The proxy's share of one core while it keeps them all, in percent.
    pub idle_cpu_percent: f64,
    /// From the proxy's start until the pool had its first five sessions, in milliseconds.
    pub warm_up_ms: f64,
}

/// Measures for about `rest` and a few seconds more.
///
/// # Errors
/// If something can't be started, or a call fails.
pub async fn measure(rest: Duration) -> Result<Resources> {
    eprintln!("memory and processor time of {SESSIONS} sessions");
    let server = Upstream::everything().await?;
    let warm_up = until_warm(&server).await?;

    let sizes = |size: u64| json!({"poolMinSize": size, "poolMaxSize": size, "poolPrePing": false});
    let proxy = Proxy::ready(&server.url(), &sizes(1)).await?;
    let one = used(&proxy).await?;
    proxy.write_config(&proxy::manifest(&server.url(), &sizes(SESSIONS)).to_string())?;
    proxy.stats_when("the sessions", |stats| stats.total_sessions == SESSIONS).await?;
    // Connections to the server are closed when they were idle for a while.
    tokio::time::sleep(SETTLE).await;
    let before = usage(&proxy)?;
    tokio::time::sleep(rest).await;
    let idle = usage(&proxy)?.seconds - before.seconds;
    let all = used(&proxy).await?;
    Ok(Resources {
        session_mib: (all.memory - one.memory) / (SESSIONS - 1) as f64,
        idle_cpu_percent: idle * 100.0 / rest.as_secs_f64(),
        warm_up_ms: warm_up * 1000.0,
    })
}

/// Usage after a load with as many workers as the larger pool has sessions.
async fn used(proxy: &Proxy) -> Result<Usage> {
    let target = Target { address: proxy.mcp, users: 0 };
    let workers = usize::try_from(SESSIONS)?;
    load::run(target, Mode::PerCall, workers, Duration::from_secs(1)).await?;
    usage(proxy)
}

fn usage(proxy: &Proxy) -> Result<Usage> {
    usage::of(proxy.pid().context("the proxy has ended")?)
}

/// Seconds from the proxy's start until the pool had its sessions: as long as the youngest of them was not there.
async fn until_warm(server: &Upstream) -> Result<f64> {
    let started = Instant::now();
    let proxy = Proxy::start(&server.url(), &json!({"poolMinSize": WARM, "poolMaxSize": WARM})).await?;
    proxy.stats_when("a warm pool", |stats| stats.total_sessions == WARM).await?;
    let ages = proxy.sessions().await?.into_iter().map(|session| session.age_seconds);
    let passed = started.elapsed().as_secs_f64();
    Ok(passed - ages.reduce(f64::min).context("no session")?)
}
