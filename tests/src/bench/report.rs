//! The results for people and for programs, and whether they keep what is documented.

use std::fmt::Write;

use serde::Serialize;

use super::{
    claims::{Line, Server},
    overhead::{self, Row},
    resources::Resources,
};
use crate::bench::load::Mode;

/// Everything that a run found.
#[derive(Debug, Serialize)]
pub struct Report {
    pub quick: bool,
    pub cores: usize,
    pub claims: Vec<Line>,
    pub resources: Resources,
    pub overhead: Vec<Row>,
    pub verdicts: Vec<Verdict>,
}

/// Something that was promised.
#[derive(Debug, Clone, Serialize)]
pub struct Verdict {
    pub what: String,
    pub value: f64,
    /// In words.
    pub wanted: String,
    pub passed: bool,
}

impl Verdict {
    fn at_least(what: String, value: f64, least: f64) -> Self {
        Self { what, value, wanted: format!("at least {least}"), passed: value >= least }
    }

    fn at_most(what: String, value: f64, most: f64) -> Self {
        Self { what, value, wanted: format!("at most {most}"), passed: value <= most }
    }
}

/// Holds what was measured against what is documented. "2-3x throughput for connection-heavy operations" is not enough for
/// server-everything, where five times is promised. One worker alone waits for its own answers: it shows latency only.
pub fn verdicts(claims: &[Line], resources: &Resources, overhead: &[Row]) -> Vec<Verdict> {
    let mut all = Vec::new();
    for line in claims.iter().filter(|line| line.way != "direct") {
        let of = |what: &str| format!("{}, {}, {} workers: {what}", line.server, line.way, line.workers);
        let busy = claims.iter().all(|other| other.server != line.server || other.workers <= line.workers);
        let least = if line.server == Server::Everything.name() { 5.0 } else { 2.0 };
        let saved = |ratio: f64| (1.0 - ratio) * 100.0;
        let throughput = line.throughput_to_direct.median;
        all.extend(busy.then(|| Verdict::at_least(of("throughput to direct"), throughput, least)));
        all.extend([
            Verdict::at_least(of("% less latency, p50"), saved(line.p50_to_direct.median), 30.0),
            Verdict::at_least(
                of("% fewer handshakes"),
                saved(line.handshakes_per_1000_calls.median / 1000.0),
                40.0,
            ),
        ]);
    }
    all.push(Verdict::at_most("MiB of memory for a pooled session".into(), resources.session_mib, 2.0));
    all.push(Verdict::at_most("% of a core for an idle pool".into(), resources.idle_cpu_percent, 1.0));
    if let Some(ratio) = overhead::ratio(overhead, "sessionpool", "nginx", Mode::Kept, 32) {
        all.push(Verdict::at_least("kept sessions, 32 workers: throughput to nginx".into(), ratio, 0.5));
    }
    all
}

/// The whole report as Markdown.
pub fn markdown(report: &Report) -> String {
    let mut out = String::from(
        "A session for each call, on servers that people run: median (least–most) of the rounds\n\n",
    );
    out += &claims(&report.claims);
    out += "\nThe same: what it costs\n\n";
    out += &costs(&report.claims);
    let Resources { session_mib, idle_cpu_percent, warm_up_ms } = report.resources;
    let _ = writeln!(
        out,
        "\nThe proxy takes {:.0} KiB for each further pooled session, and {idle_cpu_percent:.2} % of a core while 200 of \
         them are idle; five sessions were open {warm_up_ms:.0} ms after its start.\n\n\
         In front of a server that does next to nothing\n",
        session_mib * 1024.0
    );
    out += &overhead::markdown(&report.overhead);
    out.push('\n');
    for Verdict { what, value, wanted, passed } in &report.verdicts {
        let word = if *passed { "PASS" } else { "FAIL" };
        let _ = writeln!(out, "{word}: {what}: {value:.2} ({wanted})");
    }
    out
}

fn claims(lines: &[Line]) -> String {
    let mut out = String::from(
        "| server | workers | way | calls/s | to direct | p50 ms | to direct | p99 ms | to direct |\n\
         |---|---|---|---|---|---|---|---|---|\n",
    );
    for line in lines {
        let _ = writeln!(
            out,
            "| {} | {} | {} | {} | {} | {} | {} | {} | {} |",
            line.server,
            line.workers,
            line.way,
            line.calls_per_second.text(0),
            line.throughput_to_direct.text(2),
            line.p50_ms.text(2),
            line.p50_to_direct.text(2),
            line.p99_ms.text(2),
            line.p99_to_direct.text(2),
        );
    }
    out
}

fn costs(lines: &[Line]) -> String {
    let mut out = String::from(
        "| server | workers | way | handshakes/1000 calls | server CPU ms/call | to direct | proxy CPU ms/call | proxy's share of both |\n\
         |---|---|---|---|---|---|---|---|\n",
    );
    for line in lines {
        let (server, proxy) = (line.server_cpu_ms.median, line.proxy_cpu_ms.median);
        let _ = writeln!(
            out,
            "| {} | {} | {} | {} | {} | {} | {} | {:.0} % |",
            line.server,
            line.workers,
            line.way,
            line.handshakes_per_1000_calls.text(1),
            line.server_cpu_ms.text(3),
            line.server_cpu_to_direct.text(2),
            line.proxy_cpu_ms.text(3),
            100.0 * proxy / (server + proxy),
        );
    }
    out
}
