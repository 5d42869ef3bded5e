//! The results as a Markdown table.

use std::fmt::Write;

use super::load::{Mode, Sample};

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

/// The median of several rounds of one line, by throughput.
pub fn median(mut rounds: Vec<Row>) -> Option<Row> {
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

/// All lines.
pub fn markdown(rows: &[Row]) -> String {
    let mut out = String::from(
        "| sessions | workers | way | calls/s | to direct | to nginx | p50 ms | p99 ms | CPU µs/call | RSS MiB |\n\
         |---|---|---|---|---|---|---|---|---|---|\n",
    );
    for row in rows {
        let mode = match row.mode {
            Mode::Kept => "kept",
            Mode::PerCall => "one per call",
        };
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
