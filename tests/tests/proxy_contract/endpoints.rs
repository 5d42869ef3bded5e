//! Several addresses of one server.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use crds::wire::EndpointStats;
use serde_json::{Value, json};
use tests::Proxy;
use tests::eventually;
use tests::mcp_client::Session;
use tests::scripted::{Behaviour, Fault, Scripted};

use crate::call::{call, echo, start, whoami};
use crate::stage::PATIENCE;

struct Pair {
    servers: [Scripted; 2],
    proxy: Proxy,
}

/// Two servers whose calls take so many milliseconds, with these weights.
async fn pair(strategy: &str, milliseconds: [u64; 2], weights: [u32; 2], size: u32) -> Result<Pair> {
    let server = async |number: usize| {
        let call_time = Duration::from_millis(milliseconds[number]);
        Scripted::behaving(Behaviour { call_time, ..Behaviour::default() }).await
    };
    let servers = [server(0).await?, server(1).await?];
    let endpoints: Vec<Value> = servers
        .iter()
        .zip(weights)
        .map(|(server, weight)| json!({"url": server.url(), "weight": weight}))
        .collect();
    let spec = json!({
        "poolStrategy": strategy, "poolMinSize": 2, "poolMaxSize": size, "poolKeepaliveSeconds": 1,
        "upstream": {"endpoints": endpoints}
    });
    let proxy = Proxy::ready("http://127.0.0.1:9/mcp", &spec).await?;
    Ok(Pair { servers, proxy })
}

impl Pair {
    fn calls(&self, tool: &str) -> [usize; 2] {
        [self.servers[0].calls(tool).len(), self.servers[1].calls(tool).len()]
    }

    async fn endpoint(&self, url: &str) -> Result<EndpointStats> {
        endpoint(&self.proxy, url).await
    }
}

async fn endpoint(proxy: &Proxy, url: &str) -> Result<EndpointStats> {
    let stats = proxy.stats().await?;
    let found = stats.endpoints.iter().find(|endpoint| endpoint.endpoint == url).cloned();
    found.with_context(|| format!("no {url} in {stats:?}"))
}

/// One of them takes 20 times as long: it gets little, the other most.
#[tokio::test]
async fn weighted_prefers_the_fast_one() -> Result<()> {
    let pair = pair("Weighted", [100, 5], [1, 1], 4).await?;
    let client = Session::open(pair.proxy.mcp).await?;
    for number in 0..60 {
        echo(&client, &format!("{number}")).await?;
    }
    let [slow, fast] = pair.calls("echo");
    assert!(fast >= 45, "{slow} slow, {fast} fast");
    assert!(slow >= 1, "it was never tried");
    let (slow, fast) =
        (pair.endpoint(&pair.servers[0].url()).await?, pair.endpoint(&pair.servers[1].url()).await?);
    assert!(slow.call_seconds > 2.0 * fast.call_seconds && fast.call_seconds > 0.0, "{slow:?} {fast:?}");
    Ok(())
}

/// The slow one becomes the fast one: traffic follows.
#[tokio::test]
async fn weighted_follows_a_change_of_speed() -> Result<()> {
    let pair = pair("Weighted", [60, 3], [1, 1], 4).await?;
    let client = Session::open(pair.proxy.mcp).await?;
    for number in 0..30 {
        echo(&client, &format!("{number}")).await?;
    }
    let [slow, fast] = pair.calls("echo");
    assert!(fast > 2 * slow, "{slow} slow, {fast} fast");
    pair.servers[0].behave(|behaviour| behaviour.call_time = Duration::from_millis(3));
    pair.servers[1].behave(|behaviour| behaviour.call_time = Duration::from_millis(250));
    let before = pair.calls("echo");
    for number in 0..60 {
        echo(&client, &format!("{number}")).await?;
    }
    let after = pair.calls("echo");
    let (first, second) = (after[0] - before[0], after[1] - before[1]);
    assert!(first > 2 * second, "{first} at the one that is fast now, {second} at the other");
    Ok(())
}

/// Equal speed: overlapping calls are shared by weight, three quarters and one, or half and half.
#[tokio::test]
async fn weight_is_respected() -> Result<()> {
    let heavy = shares([3, 1]).await?;
    assert!((72..=108).contains(&heavy), "90 of 120 were predicted: {heavy}");
    let equal = shares([1, 1]).await?;
    assert!((42..=78).contains(&equal), "60 of 120 were predicted: {equal}");
    Ok(())
}

/// Calls of 120 that the first of two equally fast servers got.
async fn shares(weights: [u32; 2]) -> Result<usize> {
    let pair = pair("Weighted", [20, 20], weights, 8).await?;
    let client = Session::open(pair.proxy.mcp).await?;
    for _ in 0..15 {
        let calls: Vec<_> = (0..8).map(|_| start(&client, "echo", json!({"message": "x"}))).collect();
        for call in calls {
            assert_eq!(call.await??.status, 200);
        }
    }
    let [first, second] = pair.calls("echo");
    ensure!(first + second == 120, "{first} and {second}");
    Ok(first)
}

/// Weight 0 takes none.
#[tokio::test]
async fn no_weight_takes_none() -> Result<()> {
    for strategy in ["RoundRobin", "Weighted"] {
        let pair = pair(strategy, [0, 0], [1, 0], 4).await?;
        let client = Session::open(pair.proxy.mcp).await?;
        for _ in 0..4 {
            let calls: Vec<_> = (0..4).map(|_| start(&client, "echo", json!({"message": "x"}))).collect();
            for call in calls {
                assert_eq!(call.await??.status, 200);
            }
        }
        assert_eq!(pair.calls("echo"), [16, 0], "{strategy}");
        assert_eq!(pair.servers[1].seen().len(), 0, "{strategy}");
    }
    Ok(())
}

#[tokio::test]
async fn round_robin_uses_both() -> Result<()> {
    let pair = pair("RoundRobin", [0, 0], [1, 1], 4).await?;
    let client = Session::open(pair.proxy.mcp).await?;
    for _ in 0..10 {
        whoami(&client).await?;
        let calls: Vec<_> = (0..4).map(|_| start(&client, "echo", json!({"message": "x"}))).collect();
        for call in calls {
            assert_eq!(call.await??.status, 200);
        }
    }
    let [one, other] = pair.calls("echo");
    assert!(one >= 10 && other >= 10, "{one} and {other} of 40");
    Ok(())
}

/// One is killed: after what its loss cost no call fails, it is left alone, and it is used again when it is back.
#[tokio::test]
async fn dead_one_is_left_alone_and_comes_back() -> Result<()> {
    for strategy in ["Weighted", "RoundRobin", "LeastConnections"] {
        dead_and_back(strategy).await?;
    }
    Ok(())
}

async fn dead_and_back(strategy: &str) -> Result<()> {
    let Pair { servers: [mortal, survivor], proxy } = pair(strategy, [0, 0], [1, 1], 4).await?;
    let client = Session::open(proxy.mcp).await?;
    for _ in 0..4 {
        overlapping(&client).await?;
    }
    let (address, url) = (mortal.address, mortal.url());
    drop(mortal);
    // The first calls may meet the dead sessions.
    eventually(PATIENCE, "it to be noticed", async || {
        call(&client, "echo", &json!({"message": "x"})).await?;
        let endpoint = endpoint(&proxy, &url).await?;
        ensure!(endpoint.sessions == 0 && endpoint.state != "active", "{endpoint:?}");
        Ok(())
    })
    .await?;
    for number in 0..20 {
        echo(&client, &format!("{strategy} {number}")).await?;
    }
    let before = survivor.calls("echo").len();
    for _ in 0..3 {
        overlapping(&client).await?;
    }
    assert_eq!(survivor.calls("echo").len(), before + 12, "{strategy}");

    let mortal =
        eventually(PATIENCE, "the port", async || Scripted::at(address, Behaviour::default()).await).await?;
    eventually(Duration::from_secs(40), "it to be used again", async || {
        overlapping(&client).await?;
        ensure!(!mortal.calls("echo").is_empty(), "{:?}", proxy.stats().await?.endpoints);
        Ok(())
    })
    .await?;
    eventually(Duration::from_secs(40), "it to be well again", async || {
        overlapping(&client).await?;
        let endpoint = endpoint(&proxy, &url).await?;
        ensure!(endpoint.state == "active" && endpoint.failures == 0, "{endpoint:?}");
        Ok(())
    })
    .await
}

/// Four calls at once.
async fn overlapping(client: &Session) -> Result<()> {
    let calls: Vec<_> = (0..4).map(|_| start(client, "echo", json!({"message": "x"}))).collect();
    for call in calls {
        let answer = call.await??;
        ensure!(answer.text()? == "x", "{answer:?}");
    }
    Ok(())
}

/// Two of three are dead: never more than half are ejected, and the third serves.
#[tokio::test]
async fn at_most_half_are_ejected() -> Result<()> {
    let servers = [Scripted::start().await?, Scripted::start().await?, Scripted::start().await?];
    let endpoints: Vec<_> = servers.iter().map(|server| json!({"url": server.url()})).collect();
    let spec = json!({
        "poolStrategy": "RoundRobin", "poolMinSize": 3, "poolMaxSize": 6, "poolKeepaliveSeconds": 1,
        "upstream": {"endpoints": endpoints}
    });
    let proxy = Proxy::ready("http://127.0.0.1:9/mcp", &spec).await?;
    let client = Session::open(proxy.mcp).await?;
    overlapping(&client).await?;
    let [first, second, survivor] = servers;
    let dead = [first.url(), second.url()];
    drop((first, second));
    let well = async || {
        call(&client, "echo", &json!({"message": "x"})).await?;
        let stats = proxy.stats().await?;
        let ejected = stats.endpoints.iter().filter(|endpoint| endpoint.state == "ejected").count();
        assert!(ejected <= 1, "{:?}", stats.endpoints);
        let sessions = stats.endpoints.iter().filter(|endpoint| dead.contains(&endpoint.endpoint));
        ensure!(sessions.map(|endpoint| endpoint.sessions).sum::<u64>() == 0, "{:?}", stats.endpoints);
        anyhow::Ok(())
    };
    eventually(PATIENCE, "the dead ones to be noticed", well).await?;
    for _ in 0..10 {
        overlapping(&client).await?;
        well().await?;
    }
    assert!(survivor.calls("echo").len() >= 40);
    Ok(())
}

/// Sessions can be opened at one of them, and no call comes to an end there: it is left alone all the same, longer each time.
#[tokio::test]
async fn one_whose_calls_fail_is_left_alone() -> Result<()> {
    let pair = pair("RoundRobin", [0, 0], [1, 1], 4).await?;
    let client = Session::open(pair.proxy.mcp).await?;
    pair.servers[0].fail_next("echo", Fault::Disconnect, 10_000);
    let url = pair.servers[0].url();
    for failures in 1..=3 {
        eventually(PATIENCE, "it to be left alone", async || {
            call(&client, "echo", &json!({"message": "x"})).await?;
            let endpoint = pair.endpoint(&url).await?;
            ensure!(endpoint.state == "ejected" && endpoint.failures >= failures, "{endpoint:?}");
            Ok(())
        })
        .await?;
        let before = pair.calls("echo")[0];
        for number in 0..10 {
            echo(&client, &format!("{number}")).await?;
        }
        assert_eq!(pair.calls("echo")[0], before, "it got calls");
    }
    Ok(())
}
