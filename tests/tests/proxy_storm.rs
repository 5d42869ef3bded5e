//! 64 clients call without a pause while sessions are recycled and reset and the server is killed: every answer reaches
//! its asker. STORM_CALLS sets the calls of each client.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use futures::future::try_join_all;
use serde_json::{Value, json};
use tests::eventually::eventually;
use tests::mcp_client::{Session, tool_call};
use tests::proxy::{Proxy, Setup, manifest};
use tests::upstream::Upstream;

const CLIENTS: usize = 64;
const PRINCIPALS: usize = 4;
/// A call that fails for the server's death is made again for this long.
const PATIENCE: Duration = Duration::from_secs(60);
const KILLS: u64 = 2;

/// What happened, for people.
#[derive(Default)]
struct Tally {
    calls: AtomicU64,
    again: AtomicU64,
    resets: AtomicU64,
    kills: AtomicU64,
    running: AtomicUsize,
}

fn calls_of_each() -> Result<u64> {
    std::env::var("STORM_CALLS").map_or(Ok(2_000), |calls| calls.parse().context("STORM_CALLS is no number"))
}

fn spec(token: u64) -> Value {
    json!({
        "isolation": "Principal", "poolStrategy": "LeastConnections", "poolMinSize": 2, "poolMaxSize": 16,
        "poolSessionConcurrency": 4, "poolMaxRequests": 40, "poolRecycleSeconds": 5, "poolTimeout": 30,
        "poolMaxWaiters": 1000, "resetToken": format!("token {token}")
    })
}

/// Makes the calls of one client; gives the sessions of the server that served it.
async fn client(proxy: &Proxy, number: usize, calls: u64, tally: &Tally) -> Result<HashSet<String>> {
    let principal = format!("principal {}", number % PRINCIPALS);
    let session = Session::open_as(proxy.mcp, &[("authorization", &principal)]).await?;
    let mut served = HashSet::new();
    for turn in 0..calls {
        // All clients use the same ids.
        if turn % 20 == 0 {
            served.insert(answer(&session, turn, "whoami", &json!({}), tally).await?);
        }
        let message = format!("client {number} turn {turn} {}", "x".repeat(usize::try_from(turn % 200)?));
        let text = answer(&session, turn, "echo", &json!({"message": message}), tally).await?;
        ensure!(text == message, "client {number} got {text:?} in place of {message:?}");
        tally.calls.fetch_add(1, Ordering::Relaxed);
    }
    tally.running.fetch_sub(1, Ordering::Relaxed);
    Ok(served)
}

/// The text of a call, which is made again while the pool says that it failed.
async fn answer(session: &Session, id: u64, tool: &str, arguments: &Value, tally: &Tally) -> Result<String> {
    let begin = Instant::now();
    loop {
        let reply = session.post(&tool_call(&id.to_string(), tool, arguments)).await?;
        let (status, text) = (reply.status, reply.answer().await?);
        let answer: Value = serde_json::from_str(&text).with_context(|| format!("{status} {text}"))?;
        ensure!(answer["id"] == id, "{status} to {id}: {text}");
        if let Some(text) = answer["result"]["content"][0]["text"].as_str() {
            return Ok(text.to_owned());
        }
        ensure!(answer["error"]["data"]["reason"].is_string(), "not the pool's error: {status} {text}");
        if begin.elapsed() > PATIENCE {
            bail!("no answer for {} s: {status} {text}", PATIENCE.as_secs());
        }
        tally.again.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Resets the pool and kills the server, at parts of the way.
async fn disturb(proxy: &Proxy, server: &mut Upstream, calls: u64, tally: &Tally) -> Result<()> {
    let all = CLIENTS as u64 * calls;
    let mut token = 0;
    while tally.running.load(Ordering::Relaxed) > 0 {
        token += 1;
        let url = server.url();
        proxy.write_config(&manifest(&url, &spec(token)).to_string())?;
        tally.resets.fetch_add(1, Ordering::Relaxed);
        let kills = tally.kills.load(Ordering::Relaxed);
        if kills < KILLS && tally.calls.load(Ordering::Relaxed) > all * (kills + 1) / (KILLS + 1) {
            server.restart().await?;
            tally.kills.fetch_add(1, Ordering::Relaxed);
        }
        // The load goes on for about this long: no state is waited for.
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_reaches_its_asker() -> Result<()> {
    let calls = calls_of_each()?;
    let mut server = Upstream::rmcp().await?;
    let manifest = manifest(&server.url(), &spec(0)).to_string();
    // More threads than it would take here: what they do to each other is to be seen.
    let proxy = Setup::new(&manifest)?.arguments(&["--threads=4"]).start().await?;
    proxy.wait_until_ready().await?;
    let tally = Tally { running: AtomicUsize::new(CLIENTS), ..Tally::default() };
    let begin = Instant::now();
    let load = try_join_all((0..CLIENTS).map(|number| client(&proxy, number, calls, &tally)));
    let (met, ()) = futures::try_join!(load, disturb(&proxy, &mut server, calls, &tally))?;
    for (one, sessions) in met.iter().enumerate() {
        for (other, others) in met.iter().enumerate().skip(one + 1) {
            let apart = one % PRINCIPALS != other % PRINCIPALS;
            ensure!(
                !apart || sessions.is_disjoint(others),
                "clients {one} and {other} met: {sessions:?} {others:?}"
            );
        }
    }
    let stats = eventually(Duration::from_secs(20), "the pool to rest", async || {
        let stats = proxy.stats().await?;
        ensure!(stats.active_leases == 0 && stats.waiting == 0, "{stats:?}");
        Ok(stats)
    })
    .await?;
    let count = |number: &AtomicU64| number.load(Ordering::Relaxed);
    println!(
        "{} calls of {CLIENTS} clients in {:.0} s; {} made again; {} resets, {} kills of the server; sessions: {} opened, {:?} closed",
        count(&tally.calls),
        begin.elapsed().as_secs_f64(),
        count(&tally.again),
        count(&tally.resets),
        count(&tally.kills),
        stats.total_creates,
        stats.destroys_by_reason,
    );
    ensure!(count(&tally.calls) == CLIENTS as u64 * calls && count(&tally.kills) == KILLS);
    ensure!(stats.total_acquisitions == stats.total_releases, "{stats:?}");
    for reason in ["reset", "requests", "lost"] {
        ensure!(stats.destroys_by_reason.get(reason).is_some_and(|count| *count > 0), "{reason}: {stats:?}");
    }
    Ok(())
}
