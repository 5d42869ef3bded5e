//! `make bench`: throughput and latency of a call, direct, through nginx and through the proxy, in one run on loopback.
//!
//! `--quick` shortens the run. Exits with 1 when the proxy has less than half of nginx's throughput on kept sessions with
//! 32 workers.

use std::{net::SocketAddr, process::ExitCode, time::Duration};

use anyhow::{Context, Result, bail};
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

use tests::{
    bench::{
        fast_server,
        load::{self, Mode},
        nginx::Nginx,
        table::{self, Row},
        usage,
    },
    proxy::Proxy,
};

/// The least that the proxy's throughput may be, to nginx's.
const LEAST: f64 = 0.5;

struct Way {
    name: &'static str,
    address: SocketAddr,
    pid: Option<u32>,
}

/// The longest that a run may take.
const LIMIT: Duration = Duration::from_secs(240);

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let mut terminate = signal(SignalKind::terminate())?;
    // Whatever ends the run, what it started ends with it.
    tokio::select! {
        result = run() => result,
        () = tokio::time::sleep(LIMIT) => bail!("the run took longer than {} s", LIMIT.as_secs()),
        _ = terminate.recv() => bail!("terminated"),
        _ = tokio::signal::ctrl_c() => bail!("interrupted"),
    }
}

async fn run() -> Result<ExitCode> {
    let quick = std::env::args().any(|argument| argument == "--quick");
    let (time, rounds) =
        if quick { (Duration::from_millis(400), 1) } else { (Duration::from_millis(1500), 3) };

    let server = fast_server::start().await?;
    let nginx = Nginx::start(server).await?;
    let spec = json!({"poolMinSize": 4, "poolMaxSize": 64, "poolMaxWaiters": 10_000, "poolPrePing": true});
    let proxy = Proxy::ready(&format!("http://{server}/mcp"), &spec).await?;
    let ways = [
        Way { name: "direct", address: server, pid: None },
        Way { name: "nginx", address: nginx.address, pid: nginx.pid() },
        Way {
            name: "sessionpool",
            address: proxy.mcp,
            pid: Some(proxy.pid().context("the proxy has ended")?),
        },
    ];

    let mut rows = Vec::new();
    for mode in [Mode::Kept, Mode::PerCall] {
        for workers in [1, 8, 32, 64] {
            eprintln!("{mode:?}, {workers} workers");
            let mut samples = [Vec::new(), Vec::new(), Vec::new()];
            for _ in 0..rounds {
                for (way, samples) in ways.iter().zip(&mut samples) {
                    samples.push(measure(way, mode, workers, time).await?);
                }
            }
            rows.extend(samples.into_iter().filter_map(table::median));
        }
    }
    let stats = proxy.stats().await?;
    let text = table::markdown(&rows);
    println!("{text}");
    println!("{} calls were served over {} sessions.", stats.total_acquisitions, stats.total_creates);
    let ratio = table::ratio(&rows, "sessionpool", "nginx", Mode::Kept, 32).context("no such line")?;
    let passed = ratio >= LEAST;
    let verdict = if passed { "PASS" } else { "FAIL" };
    println!("{verdict}: kept sessions, 32 workers: {ratio:.2} of nginx's throughput (at least {LEAST})");
    Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn measure(way: &Way, mode: Mode, workers: usize, time: Duration) -> Result<Row> {
    let before = way.pid.map(usage::of).transpose()?;
    let sample =
        load::run(way.address, mode, workers, time).await.with_context(|| format!("through {}", way.name))?;
    let after = way.pid.map(usage::of).transpose()?;
    // The warm-up's calls are not in the sample, but their share is the warm-up's share of the time.
    let calls = sample.latencies.len() as f64 * 1.2;
    let cpu = before.zip(after).map(|(before, after)| (after.seconds - before.seconds) * 1e6 / calls);
    Ok(Row { way: way.name, mode, workers, sample, cpu, memory: after.map(|after| after.memory) })
}
