//! `make bench-operator`: how long the operator takes for 1,000 pools on a control plane without nodes, what it writes
//! once they are at rest, and how much memory it holds.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
    process::{ExitCode, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use crds::SessionPool;
use futures::{StreamExt, TryStreamExt, stream};
use kube::{
    Api, ResourceExt,
    api::{ListParams, PostParams, WatchEvent, WatchParams},
};
use serde_json::{Value, json};
use tests::{ControlPlane, bench::usage, eventually, repository};
use tokio::{process::Command, signal::unix};

const USER: &str = "bench-operator";
const POOLS: usize = 1000;
const NAMESPACES: usize = 10;
/// Objects that are created at once.
const AT_ONCE: usize = 32;
/// What is promised.
const PROMISED_TIME: Duration = Duration::from_secs(60);
const PROMISED_MIB: f64 = 100.0;
/// The rest is watched for so long.
const REST: Duration = Duration::from_secs(60);
/// The longest that a run may take.
const LIMIT: Duration = Duration::from_secs(480);

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let mut terminate = unix::signal(unix::SignalKind::terminate())?;
    // Whatever ends the run, what it started ends with it.
    tokio::select! {
        result = run() => result,
        () = tokio::time::sleep(LIMIT) => bail!("the run took longer than {} s", LIMIT.as_secs()),
        _ = terminate.recv() => bail!("terminated"),
        _ = tokio::signal::ctrl_c() => bail!("interrupted"),
    }
}

async fn run() -> Result<ExitCode> {
    let plane = ControlPlane::start().await?;
    plane.apply_yaml(&std::fs::read_to_string(repository().join("crds/sessionpool.yaml"))?).await?;
    let pools: Api<SessionPool> = Api::all(plane.client()?);
    eventually(Duration::from_secs(30), "the API server to serve SessionPools", async || {
        Ok(pools.list(&ListParams::default()).await?)
    })
    .await?;

    let mut operator = Command::new(tests::binary("sessionpool-operator")?)
        .env_clear()
        .env("KUBECONFIG", kubeconfig(&plane)?)
        .env("RUST_LOG", "warn")
        .args(["--proxy-image=proxy.test/proxy:1", "--admin-listen=127.0.0.1:0", "--api-listen=127.0.0.1:0"])
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    let pid = operator.id().context("the operator ended")?;

    println!("creating {POOLS} SessionPools in {NAMESPACES} namespaces");
    let mut names = Vec::new();
    for number in 0..NAMESPACES {
        names.push(plane.namespace(&format!("bench-{number}")).await?);
    }
    let begin = Instant::now();
    let create = |number: usize| {
        let client = plane.client();
        let namespace = names[number % NAMESPACES].clone();
        async move {
            let pools: Api<SessionPool> = Api::namespaced(client?, &namespace);
            let pool = serde_json::from_value(pool(number))?;
            pools.create(&PostParams::default(), &pool).await?;
            Ok::<_, anyhow::Error>(())
        }
    };
    stream::iter(0..POOLS).map(create).buffer_unordered(AT_ONCE).try_collect::<()>().await?;
    let created = begin.elapsed();
    tokio::time::timeout(Duration::from_secs(180), all_done(&pools))
        .await
        .context("not all are reconciled")??;
    let reconciled = begin.elapsed();
    println!(
        "created in {:.1} s, all reconciled after {:.1} s; {} writes, {:.1} s of the operator's processor time",
        created.as_secs_f64(),
        reconciled.as_secs_f64(),
        writes(&plane.state().join("log/audit.log"))?,
        usage::of(pid)?.seconds
    );

    println!("waiting until they are at rest, then watching for {} s", REST.as_secs());
    let log = plane.state().join("log/audit.log");
    let mut before = writes(&log)?;
    eventually(Duration::from_secs(120), "the operator to be at rest", async || {
        tokio::time::sleep(Duration::from_secs(5)).await;
        let now = writes(&log)?;
        let grown = now - std::mem::replace(&mut before, now);
        anyhow::ensure!(grown == 0, "{grown} writes in 5 s");
        Ok(())
    })
    .await?;
    let (before, used) = (writes(&log)?, usage::of(pid)?);
    tokio::time::sleep(REST).await;
    let (written, now) = (writes(&log)? - before, usage::of(pid)?);
    operator.kill().await?;

    let rows = [
        ("all reconciled", format!("{:.1} s", reconciled.as_secs_f64()), reconciled <= PROMISED_TIME, "60 s"),
        ("writes in a minute at rest", written.to_string(), written == 0, "0"),
        ("resident memory", format!("{:.0} MiB", now.memory), now.memory < PROMISED_MIB, "100 MiB"),
    ];
    println!("\n| {POOLS} pools | measured | promised |\n|---|---|---|");
    for (what, measured, _, promised) in &rows {
        println!("| {what} | {measured} | {promised} |");
    }
    println!("| CPU in a minute at rest | {:.1} s | – |", now.seconds - used.seconds);
    Ok(if rows.iter().all(|(_, _, kept, _)| *kept) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn pool(number: usize) -> Value {
    json!({
        "apiVersion": "mcpgateway.io/v1alpha1", "kind": "SessionPool",
        "metadata": {"name": format!("pool-{number}")},
        "spec": {
            "poolEnabled": true, "isolation": "Shared", "replicas": 1,
            "upstream": {"url": format!("http://server-{number}.example.com/mcp")}
        }
    })
}

/// Waits until every pool is reconciled: by a watch, since lists of all would keep the API server from its work.
async fn all_done(pools: &Api<SessionPool>) -> Result<()> {
    let mut done = HashSet::new();
    let mut changes = pools.watch(&WatchParams::default().timeout(200), "0").await?.boxed();
    while let Some(change) = changes.try_next().await? {
        if let WatchEvent::Added(pool) | WatchEvent::Modified(pool) = change
            && is_done(&pool)
        {
            done.insert((pool.namespace(), pool.name_any()));
            if done.len() == POOLS {
                return Ok(());
            }
        }
    }
    bail!("the watch ended with {} of {POOLS}", done.len())
}

/// Whether a pool's status is of its specification and its Deployment's pod is counted.
fn is_done(pool: &SessionPool) -> bool {
    let status = pool.status.as_ref();
    status.is_some_and(|status| {
        status.observed_generation == pool.metadata.generation && !status.conditions.is_empty()
    })
}

/// Writes that the API server has logged of the operator.
fn writes(log: &Path) -> Result<usize> {
    let text = std::fs::read_to_string(log).with_context(|| log.display().to_string())?;
    let who = format!("\"impersonatedUser\":{{\"username\":\"{USER}\"");
    Ok(text.lines().filter(|line| line.contains(&who)).count())
}

/// A kubeconfig file by which an administrator is told from others in the audit log.
fn kubeconfig(plane: &ControlPlane) -> Result<PathBuf> {
    let mut file: serde_yaml::Value = serde_yaml::from_str(&std::fs::read_to_string(plane.kubeconfig())?)?;
    file["users"][0]["user"]["as"] = USER.into();
    file["users"][0]["user"]["as-groups"] = serde_yaml::to_value(["system:masters"])?;
    let path = plane.state().join("operator.kubeconfig");
    std::fs::write(&path, serde_yaml::to_string(&file)?)?;
    Ok(path)
}
