//! What the proxy costs beside nginx as a plain reverse proxy, in front of a server that does next to nothing.

use std::{fmt::Write, net::SocketAddr, time::Duration};

use anyhow::{Context, Result};
use serde::{Serialize, ser::SerializeStruct};
use serde_json::json;

use super::{
    fast_server,
    load::{self, Mode, Sample, Target},
    nginx::{self, Nginx},
    usage,
};
use crate::proxy::{Setup, manifest};

struct Way {
    name: &'static str,
    address: SocketAddr,
    pid: Option<u32>,
}

/// One line: a way to the server under one kind of load.
#[derive(Debug, Clone)]
pub struct Row {
    /// direct, nginx or sessionpool.
    pub way: &'static str,
    /// What a worker did.
    pub mode: Mode,
    /// Workers at once.
    pub workers: usize,
    /// What it came to.
    pub sample: Sample,
    /// Microseconds of the intermediary's processor time for each call.
    pub cpu: Option<f64>,
    /// MiB of the intermediary's memory at the end.
    pub memory: Option<f64>,
}

impl Serialize for Row {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let milliseconds = |percent| self.sample.quantile(percent).as_secs_f64() * 1000.0;
        let mut row = serializer.serialize_struct("Row", 8)?;
        row.serialize_field("way", self.way)?;
        row.serialize_field("sessions", self.mode.name())?;
        row.serialize_field("workers", &self.workers)?;
        row.serialize_field("calls_per_second", &self.sample.throughput)?;
        row.serialize_field("p50_ms", &milliseconds(50))?;
        row.serialize_field("p99_ms", &milliseconds(99))?;
        row.serialize_field("cpu_us_per_call", &self.cpu)?;
        row.serialize_field("memory_mib", &self.memory)?;
        row.end()
    }
}

/// The median of several rounds of one line, by throughput.
fn median(mut rounds: Vec<Row>) -> Option<Row> {
    rounds.sort_by(|a, b| a.sample.throughput.total_cmp(&b.sample.throughput));
    let middle = rounds.len() / 2;
    rounds.into_iter().nth(middle)
}

/// Throughput of `way` over that of `reference` under the same load.
pub fn ratio(rows: &[Row], way: &str, reference: &str, mode: Mode, workers: usize) -> Option<f64> {
    let find =
        |way: &str| rows.iter().find(|row| row.way == way && row.mode == mode && row.workers == workers);
    Some(find(way)?.sample.throughput / find(reference)?.sample.throughput)
}

/// Measures all ways under all loads; the rounds of the ways alternate.
///
/// # Errors
/// If something can't be started, or a call fails.
pub async fn measure(time: Duration, rounds: usize) -> Result<Vec<Row>> {
    let server = fast_server::start().await?;
    let nginx = Nginx::start(server).await?;
    let spec = json!({"poolMinSize": 4, "poolMaxSize": 64, "poolMaxWaiters": 10_000, "poolPrePing": true});
    // As many as nginx has workers.
    let threads = format!("--threads={}", nginx::WORKERS);
    let manifest = manifest(&format!("http://{server}/mcp"), &spec).to_string();
    let proxy = Setup::new(&manifest)?.arguments(&[&threads]).start().await?;
    proxy.wait_until_ready().await?;
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
                    samples.push(round(way, mode, workers, time).await?);
                }
            }
            rows.extend(samples.into_iter().filter_map(median));
        }
    }
    Ok(rows)
}

async fn round(way: &Way, mode: Mode, workers: usize, time: Duration) -> Result<Row> {
    let before = way.pid.map(usage::of).transpose()?;
    let target = Target { address: way.address, users: 0 };
    let sample =
        load::run(target, mode, workers, time).await.with_context(|| format!("through {}", way.name))?;
    let after = way.pid.map(usage::of).transpose()?;
    let used = before.zip(after).map(|(before, after)| after.seconds - before.seconds);
    let cpu = used.map(|seconds| seconds * 1e6 / sample.calls as f64);
    Ok(Row { way: way.name, mode, workers, sample, cpu, memory: after.map(|after| after.memory) })
}

/// All lines.
pub fn markdown(rows: &[Row]) -> String {
    let mut out = String::from(
        "| sessions | workers | way | calls/s | to direct | to nginx | p50 ms | p99 ms | CPU µs/call | RSS MiB |\n\
         |---|---|---|---|---|---|---|---|---|---|\n",
    );
    for row in rows {
        let mode = row.mode.name();
        let to = |reference| ratio(rows, row.way, reference, row.mode, row.workers).unwrap_or_default();
        let milliseconds = |percent| row.sample.quantile(percent).as_secs_f64() * 1000.0;
        let number = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), |value| format!("{value:.0}"));
        let _ = writeln!(
            out,
            "| {mode} | {} | {} | {:.0} | {:.2} | {:.2} | {:.2} | {:.2} | {} | {} |",
            row.workers,
            row.way,
            row.sample.throughput,
            to("direct"),
            to("nginx"),
            milliseconds(50),
            milliseconds(99),
            number(row.cpu),
            number(row.memory),
        );
    }
    out
}
