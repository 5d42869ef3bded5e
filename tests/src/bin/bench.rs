//! `make bench`: what the pool gains on real servers with a session for each call, what it costs, and what the proxy costs
//! beside nginx, in one run on loopback.
//!
//! `--quick` shortens the run; `--json FILE` also writes the results for programs. Exits with 1 when a documented figure is
//! not reached.

use std::{path::PathBuf, process::ExitCode, time::Duration};

use anyhow::{Context, Result, bail};
use tokio::signal::unix::{SignalKind, signal};

use tests::bench::{
    claims::{self, Plan, Server},
    overhead,
    report::{self, Report},
    resources,
};

/// The longest that a run may take.
const LIMIT: Duration = Duration::from_secs(300);

struct Asked {
    quick: bool,
    json: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let asked = arguments()?;
    let mut terminate = signal(SignalKind::terminate())?;
    // Whatever ends the run, what it started ends with it.
    tokio::select! {
        result = run(&asked) => result,
        () = tokio::time::sleep(LIMIT) => bail!("the run took longer than {} s", LIMIT.as_secs()),
        _ = terminate.recv() => bail!("terminated"),
        _ = tokio::signal::ctrl_c() => bail!("interrupted"),
    }
}

fn arguments() -> Result<Asked> {
    let mut asked = Asked { quick: false, json: None };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--quick" => asked.quick = true,
            "--json" => asked.json = Some(arguments.next().context("--json needs a file")?.into()),
            other => bail!("unknown argument {other}: there are --quick and --json FILE"),
        }
    }
    Ok(asked)
}

async fn run(asked: &Asked) -> Result<ExitCode> {
    let milliseconds = Duration::from_millis;
    let plan = if asked.quick {
        Plan { workers: vec![1, 32], rounds: 3, time: milliseconds(500), warm_up: milliseconds(1000) }
    } else {
        Plan { workers: vec![1, 8, 32], rounds: 5, time: milliseconds(800), warm_up: milliseconds(2000) }
    };
    let mut lines = Vec::new();
    for server in [Server::Everything, Server::Python, Server::Fastmcp] {
        lines.extend(claims::measure(server, &plan).await?);
    }
    let resources = resources::measure(Duration::from_secs(if asked.quick { 2 } else { 5 })).await?;
    let (time, rounds) = if asked.quick { (milliseconds(300), 1) } else { (milliseconds(700), 3) };
    let overhead = overhead::measure(time, rounds).await?;

    let verdicts = report::verdicts(&lines, &resources, &overhead);
    let cores = std::thread::available_parallelism()?.get();
    let report = Report { quick: asked.quick, cores, claims: lines, resources, overhead, verdicts };
    println!("{}", report::markdown(&report));
    if let Some(path) = &asked.json {
        std::fs::write(path, serde_json::to_vec_pretty(&report)?)?;
        println!("The same for programs: {}", path.display());
    }
    let passed = report.verdicts.iter().all(|verdict| verdict.passed);
    Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
