//! Sessions that are opened before they are needed: which, how many at once, and how often after failures.

use anyhow::{Result, ensure};
use serde_json::json;
use tests::Proxy;
use tests::eventually;
use tests::mcp_client::Session;
use tests::scripted::{Behaviour, Scripted};

use crate::call::whoami;
use crate::stage::{PATIENCE, Stage};

/// A server is not stormed: few handshakes at a time, however many sessions are wanted.
#[tokio::test]
async fn few_at_a_time() -> Result<()> {
    let initialize_gate = Some("handshake".to_owned());
    let server = Scripted::behaving(Behaviour { initialize_gate, ..Behaviour::default() }).await?;
    let spec = json!({"poolMinSize": 20, "poolMaxSize": 20, "poolPrePing": false});
    let proxy = Proxy::start(&server.url(), &spec).await?;
    let stats = proxy.stats_when("handshakes", |stats| stats.initializing >= 1).await?;
    // The pool has had its time: it has done what it does at once.
    eventually(PATIENCE, "a second", async || {
        let age = server.seen_as("initialize").first().map(|first| first.at.elapsed());
        ensure!(age.is_some_and(|age| age.as_secs_f64() > 1.0), "{age:?}");
        Ok(())
    })
    .await?;
    let handshakes = server.seen_as("initialize").len();
    assert!((1..=8).contains(&handshakes), "{handshakes} at the same time; {stats:?}");
    server.open("handshake");
    proxy.stats_when("all of them", |stats| stats.available_sessions == 20).await?;
    assert_eq!(server.sessions().len(), 20);
    Ok(())
}

/// A server that is down is asked now and then, not in step with every other proxy.
#[tokio::test]
async fn failures_back_off() -> Result<()> {
    let initialize = Some((500, "text/plain".to_owned(), "down".to_owned()));
    let server = Scripted::behaving(Behaviour { initialize, ..Behaviour::default() }).await?;
    let proxy = Proxy::start(&server.url(), &json!({"poolMinSize": 5})).await?;
    eventually(PATIENCE, "eight seconds", async || {
        let age = server.seen_as("initialize").first().map(|first| first.at.elapsed());
        ensure!(age.is_some_and(|age| age.as_secs_f64() > 8.0), "{age:?}");
        Ok(())
    })
    .await?;
    let attempts = server.seen_as("initialize");
    let gaps = attempts.windows(2).map(|pair| (pair[1].at - pair[0].at).as_secs_f64());
    let pauses: Vec<_> = gaps.filter(|gap| *gap > 0.1).collect();
    assert!(attempts.len() <= 40, "{} attempts in eight seconds", attempts.len());
    // The median, since a busy machine delays one or the other.
    let usual = median(pauses.iter().copied());
    let spread = median(pauses.iter().map(|pause| (pause - usual).abs()));
    assert!(spread > 0.01, "without jitter all proxies ask at once: {pauses:?}");
    assert!(proxy.stats().await?.connect_failures >= 3);
    server.behave(|behaviour| behaviour.initialize = None);
    proxy.stats_when("five sessions", |stats| stats.available_sessions == 5).await?;
    Ok(())
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

/// A key that can't be known before it came is kept warm from then on: what it loses is there again before it asks.
#[tokio::test]
async fn observed_key_is_kept_warm() -> Result<()> {
    for more in [json!({"isolation": "Principal"}), json!({"forwardHeaders": ["X-Tenant"]})] {
        let spec = |token: &str| {
            let mut spec = json!({"poolMinSize": 2, "poolMaxSize": 4, "resetToken": token});
            for (name, value) in more.as_object().into_iter().flatten() {
                spec[name] = value.clone();
            }
            spec
        };
        let stage = Stage::ready(&spec("one")).await?;
        let headers = [("authorization", "Bearer ann"), ("x-tenant", "hers")];
        let ann = Session::open_as(stage.proxy.mcp, &headers).await?;
        let first = whoami(&ann).await?;
        stage.change(&spec("two")).await?;
        stage.server_sessions("two others", |open| open.len() == 2 && !open.contains(&first)).await?;
        let ready = stage.when("both", |stats| stats.available_sessions == 2).await?;
        let open = stage.server.sessions();
        let next = whoami(&ann).await?;
        assert!(open.contains(&next), "{more}: {next} was opened for the call: {ready:?}");
    }
    Ok(())
}

/// Sessions that are opened ahead are such as the clients need that come: with what those can be asked.
#[tokio::test]
async fn sessions_fit_the_clients_that_come() -> Result<()> {
    for isolation in ["Shared", "Principal", "Session"] {
        let spec = |token: &str| json!({"isolation": isolation, "poolMinSize": 2, "poolMaxSize": 4, "resetToken": token});
        let stage = Stage::full(&spec("one")).await?;
        let asked = json!({"sampling": {}});
        let ann = Session::open_with(stage.proxy.mcp, &[("authorization", "Bearer ann")], &asked).await?;
        whoami(&ann).await?;
        ann.end().await?;
        let before = stage.server.sessions();
        stage.change(&spec("two")).await?;
        let open =
            stage.server_sessions("two others", |open| open.len() == 2 && open.is_disjoint(&before)).await?;
        stage.when("both", |stats| stats.available_sessions == 2).await?;
        let bob = Session::open_with(stage.proxy.mcp, &[("authorization", "Bearer bob")], &asked).await?;
        let used = whoami(&bob).await?;
        assert!(open.contains(&used), "{isolation}: {used} was opened for the call");
    }
    Ok(())
}
