//! S4: each strategy takes the sessions that its rule predicts, and not those of another.

use anyhow::Result;
use serde_json::json;
use tests::Proxy;
use tests::mcp_client::Session;
use tests::scripted::{Behaviour, Scripted};

use crate::call::{hold, sequence, whoami};
use crate::stage::Stage;

#[tokio::test]
async fn s04_strategies() -> Result<()> {
    let (circle, fewest) =
        futures::try_join!(order_under_load("RoundRobin"), order_under_load("LeastConnections"))?;
    assert_eq!(circle, [0, 1, 2, 0, 1, 2], "RoundRobin: in circular order, whatever they carry");
    assert_eq!(fewest, [1; 6], "LeastConnections: the one that carries nothing");
    futures::try_join!(fewest_follows_the_load(), same_user_same_session(), weighted(), none())?;
    Ok(())
}

fn three(strategy: &str) -> serde_json::Value {
    json!({
        "poolStrategy": strategy, "poolMinSize": 3, "poolMaxSize": 3, "poolSessionConcurrency": 8,
        "poolPrePing": false
    })
}

/// Three calls are held, the second ends: which of their sessions do the next six calls take?
async fn order_under_load(strategy: &str) -> Result<Vec<usize>> {
    let stage = Stage::full(&three(strategy)).await?;
    let client = stage.client().await?;
    let (mut sessions, mut held) = (Vec::new(), Vec::new());
    for gate in ["first", "second", "third"] {
        held.push(hold(&client, gate));
        sessions.push(stage.session_of(gate).await?);
    }
    stage.server.open("second");
    held.remove(1).await??;
    stage.when("two calls", |stats| stats.active_leases == 2).await?;
    let used = sequence(&client, 6).await?;
    let numbers = used.iter().map(|id| sessions.iter().position(|session| session == id).unwrap_or(9));
    Ok(numbers.collect())
}

async fn fewest_follows_the_load() -> Result<()> {
    let stage = Stage::full(&three("LeastConnections")).await?;
    let client = stage.client().await?;
    let mut sessions = Vec::new();
    let mut held = Vec::new();
    for gate in ["a", "b", "c", "d", "e", "f"] {
        held.push(hold(&client, gate));
        sessions.push(stage.session_of(gate).await?);
    }
    for three in sessions.chunks(3) {
        let different: std::collections::HashSet<_> = three.iter().collect();
        assert_eq!(different.len(), 3, "two each: {sessions:?}");
    }
    // The freed one is taken next, then again: it still carries the fewest.
    for (gate, freed) in [("b", 1), ("f", 5)] {
        stage.server.open(gate);
        (&mut held[freed]).await??;
        stage.when("the call's end", |stats| stats.active_leases < 6).await?;
        assert_eq!(whoami(&client).await?, sessions[freed], "{gate} of {sessions:?}");
        let again = format!("again {gate}");
        held.push(hold(&client, &again));
        assert_eq!(stage.session_of(&again).await?, sessions[freed], "{gate} of {sessions:?}");
    }
    Ok(())
}

/// Also while it is busier than others, and for another client of the user.
async fn same_user_same_session() -> Result<()> {
    let mut spec = three("Sticky");
    spec["sticky"] = json!({"source": "Principal"});
    let stage = Stage::full(&spec).await?;
    let mut homes = std::collections::HashSet::new();
    for number in 0..12 {
        let user = format!("user-{number}");
        let one = stage.user(&user).await?;
        let home = whoami(&one).await?;
        let gate = format!("hold-{number}");
        let _held = hold(&one, &gate);
        assert_eq!(stage.session_of(&gate).await?, home);
        let other = stage.user(&user).await?;
        assert_eq!(sequence(&other, 3).await?, [home.as_str(); 3], "{user}");
        stage.server.open(&gate);
        homes.insert(home);
    }
    assert!(homes.len() >= 2, "twelve users are spread over three sessions: {homes:?}");
    Ok(())
}

/// Latency times requests in flight over weight: with equal latency, weights 4 and 1 share ten calls 8 to 2.
async fn weighted() -> Result<()> {
    let (heavy, light) = (paced(60).await?, paced(60).await?);
    let spec = json!({
        "poolStrategy": "Weighted", "poolMinSize": 2, "poolMaxSize": 10, "poolPrePing": false, "upstream": {
            "endpoints": [{"url": heavy.url(), "weight": 4}, {"url": light.url(), "weight": 1}]
        }
    });
    let proxy = Proxy::ready(&heavy.url(), &spec).await?;
    let client = Session::open(proxy.mcp).await?;
    sequence(&client, 6).await?;
    let mut held = Vec::new();
    for number in 1..=10 {
        held.push(hold(&client, "g"));
        proxy.stats_when("one more call", |stats| stats.active_leases == number).await?;
    }
    tests::eventually(crate::stage::PATIENCE, "ten calls", async || {
        anyhow::ensure!(heavy.calls("hold").len() + light.calls("hold").len() == 10, "fewer");
        Ok(())
    })
    .await?;
    let shares = (heavy.calls("hold").len(), light.calls("hold").len());
    heavy.open("g");
    light.open("g");
    for call in held {
        call.await??;
    }
    assert!((7..=9).contains(&shares.0), "8 to 2 was predicted: {shares:?}");
    Ok(())
}

async fn paced(milliseconds: u64) -> Result<Scripted> {
    let call_time = std::time::Duration::from_millis(milliseconds);
    Scripted::behaving(Behaviour { call_time, ..Behaviour::default() }).await
}

/// No pool: each client has a session of its own.
async fn none() -> Result<()> {
    let stage = Stage::ready(&json!({"poolStrategy": "None"})).await?;
    let (one, other) = (stage.client().await?, stage.client().await?);
    let own = whoami(&one).await?;
    let held = hold(&one, "g");
    assert_eq!(stage.session_of("g").await?, own, "direct: the session is not left while it is busy");
    assert!(sequence(&other, 3).await?.iter().all(|session| *session != own));
    assert_eq!(sequence(&one, 2).await?, [own.as_str(); 2]);
    let stats = stage.proxy.stats().await?;
    assert_eq!((stats.direct_sessions, stats.total_sessions), (2, 0), "{stats:?}");
    stage.server.open("g");
    assert_eq!(held.await??.status, 200);
    Ok(())
}
