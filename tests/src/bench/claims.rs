//! The documented gains, measured: a client that opens a session, calls once and ends it, direct beside pooled, on servers
//! that people run.

use std::time::Duration;

use anyhow::{Context, Result};
use serde::Serialize;
use serde_json::json;

use super::{
    load::{self, Mode, Target},
    spread::Spread,
    usage,
};
use crate::{proxy::Proxy, upstream::Upstream};

/// As how many users the workers come under `isolation: Principal`.
const USERS: usize = 4;

/// How long and how often is measured.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Workers at once, one after the other.
    pub workers: Vec<usize>,
    /// Rounds of each way.
    pub rounds: usize,
    /// One round of one way, without its warm-up.
    pub time: Duration,
    /// What each way does before its first round.
    pub warm_up: Duration,
}

/// A server that is measured.
#[derive(Debug, Clone, Copy)]
pub enum Server {
    /// The MCP project's server-everything, for Node.js.
    Everything,
    /// On the Python package `mcp`.
    Python,
    /// On the Python package `fastmcp`.
    Fastmcp,
}

impl Server {
    pub fn name(self) -> &'static str {
        match self {
            Self::Everything => "server-everything",
            Self::Python => "mcp (Python)",
            Self::Fastmcp => "fastmcp",
        }
    }

    async fn start(self) -> Result<Upstream> {
        match self {
            Self::Everything => Upstream::everything().await,
            Self::Python => Upstream::python().await,
            Self::Fastmcp => Upstream::fastmcp().await,
        }
    }
}

/// A way to a server. Each has a server of its own, so that none pays for what another left in it.
struct Way {
    name: &'static str,
    users: usize,
    server: Upstream,
    proxy: Option<Proxy>,
}

/// One way under one load.
#[derive(Debug, Clone, Serialize)]
pub struct Line {
    pub server: &'static str,
    /// direct, or the pool's isolation.
    pub way: &'static str,
    pub workers: usize,
    pub calls_per_second: Spread,
    pub p50_ms: Spread,
    pub p99_ms: Spread,
    /// Each over the direct one of the same round.
    pub throughput_to_direct: Spread,
    pub p50_to_direct: Spread,
    pub p99_to_direct: Spread,
    /// Handshakes that the server did for a thousand calls: those of the clients, or those that the pool counted.
    pub handshakes_per_1000_calls: Spread,
    /// Milliseconds of processor time for each call.
    pub server_cpu_ms: Spread,
    pub proxy_cpu_ms: Spread,
    /// Over the direct one of the same round: what is left of the server's work.
    pub server_cpu_to_direct: Spread,
}

struct Round {
    throughput: f64,
    p50: f64,
    p99: f64,
    handshakes: f64,
    server_cpu: f64,
    proxy_cpu: f64,
}

/// Measures all ways to a server; the rounds of the ways alternate.
///
/// # Errors
/// If something can't be started, or a call fails.
pub async fn measure(server: Server, plan: &Plan) -> Result<Vec<Line>> {
    let ways = [
        way(server, "direct", 0).await?,
        way(server, "Shared", 0).await?,
        way(server, "Principal", USERS).await?,
    ];
    // Compilers and pools warm up: what people run has been running.
    let most = plan.workers.iter().copied().max().unwrap_or(1);
    for way in &ways {
        way.round(most, plan.warm_up).await?;
    }
    let mut lines = Vec::new();
    for &workers in &plan.workers {
        eprintln!("{}, {workers} workers", server.name());
        let mut rounds = [Vec::new(), Vec::new(), Vec::new()];
        for _ in 0..plan.rounds {
            for (way, rounds) in ways.iter().zip(&mut rounds) {
                rounds.push(way.round(workers, plan.time).await?);
            }
        }
        let [direct, ..] = &rounds;
        let names = ways.iter().map(|way| way.name);
        lines.extend(names.zip(&rounds).map(|(name, own)| line(server.name(), name, workers, own, direct)));
    }
    Ok(lines)
}

async fn way(server: Server, name: &'static str, users: usize) -> Result<Way> {
    let server = server.start().await?;
    let proxy = if name == "direct" {
        None
    } else {
        let spec = json!({"isolation": name, "poolMinSize": 2, "poolMaxSize": 64});
        Some(Proxy::ready(&server.url(), &spec).await?)
    };
    Ok(Way { name, users, server, proxy })
}

impl Way {
    async fn round(&self, workers: usize, time: Duration) -> Result<Round> {
        let address = self.proxy.as_ref().map_or(self.server.address, |proxy| proxy.mcp);
        let target = Target { address, users: self.users };
        let before = self.used().await?;
        let sample = load::run_on_one_thread(target, Mode::PerCall, workers, time)
            .await
            .with_context(|| format!("way {:?}", self.name))?;
        let after = self.used().await?;
        let calls = sample.calls as f64;
        let milliseconds = |percent| sample.quantile(percent).as_secs_f64() * 1000.0;
        Ok(Round {
            throughput: sample.throughput,
            p50: milliseconds(50),
            p99: milliseconds(99),
            handshakes: after.creates.zip(before.creates).map_or(1000.0, |(a, b)| (a - b) * 1000.0 / calls),
            server_cpu: (after.server - before.server) * 1000.0 / calls,
            proxy_cpu: (after.proxy - before.proxy) * 1000.0 / calls,
        })
    }

    async fn used(&self) -> Result<Used> {
        let server = usage::of(self.server.pid().context("the server has ended")?)?.seconds;
        let Some(proxy) = &self.proxy else { return Ok(Used { server, proxy: 0.0, creates: None }) };
        let creates = proxy.stats().await?.total_creates as f64;
        let proxy = usage::of(proxy.pid().context("the proxy has ended")?)?.seconds;
        Ok(Used { server, proxy, creates: Some(creates) })
    }
}

/// Seconds of processor time since the start, and the pool's handshakes.
struct Used {
    server: f64,
    proxy: f64,
    creates: Option<f64>,
}

fn line(server: &'static str, way: &'static str, workers: usize, own: &[Round], direct: &[Round]) -> Line {
    let spread = |get: fn(&Round) -> f64| Spread::of(own.iter().map(get));
    let ratio = |get: fn(&Round) -> f64| {
        Spread::of(own.iter().zip(direct).map(|(own, direct)| get(own) / get(direct)))
    };
    Line {
        server,
        way,
        workers,
        calls_per_second: spread(|round| round.throughput),
        p50_ms: spread(|round| round.p50),
        p99_ms: spread(|round| round.p99),
        throughput_to_direct: ratio(|round| round.throughput),
        p50_to_direct: ratio(|round| round.p50),
        p99_to_direct: ratio(|round| round.p99),
        handshakes_per_1000_calls: spread(|round| round.handshakes),
        server_cpu_ms: spread(|round| round.server_cpu),
        proxy_cpu_ms: spread(|round| round.proxy_cpu),
        server_cpu_to_direct: ratio(|round| round.server_cpu),
    }
}
