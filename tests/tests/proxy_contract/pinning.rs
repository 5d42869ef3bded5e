//! A client that left something in a session is kept on it, and the session is nobody else's after.

use std::collections::HashSet;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::call::{call, echo, hold, sequence, whoami};
use crate::stage::Stage;

fn pinning() -> Value {
    json!({
        "poolMinSize": 3, "poolMaxSize": 4, "poolPrePing": false, "poolKeepaliveSeconds": 0,
        "pinning": {"tools": ["remember"], "resourceURIPrefixes": ["session://"]}
    })
}

/// The session that a read of a resource runs on.
async fn read(client: &tests::mcp_client::Session, uri: &str) -> Result<String> {
    let result = client.result("resources/read", &json!({"uri": uri})).await?;
    Ok(result["contents"][0]["text"].as_str().context("no text")?.to_owned())
}

#[tokio::test]
async fn by_tool() -> Result<()> {
    let stage = Stage::full(&pinning()).await?;
    let (ann, bob) = (stage.client().await?, stage.client().await?);
    echo(&ann, "nothing that pins").await?;
    assert!(stage.proxy.stats().await?.pinned.values().all(|count| *count == 0));

    call(&ann, "remember", &json!({"message": "hers"})).await?.text()?;
    let remembered = stage.server.calls("remember").pop().and_then(|call| call.session).context("no call")?;
    assert_eq!(sequence(&ann, 6).await?, vec![remembered.clone(); 6], "hers is where she left something");
    assert_eq!(call(&ann, "recall", &json!({})).await?.text()?, "hers");
    let others = sequence(&bob, 8).await?;
    assert!(!others.contains(&remembered), "{others:?}");

    let stats = stage.proxy.stats().await?;
    assert_eq!((stats.pinned.get("tool"), stats.total_pins.get("tool")), (Some(&1), Some(&1)), "{stats:?}");
    let slots = stage.slots().await?;
    let pinned: Vec<_> = slots.iter().filter_map(|slot| slot.pinned.as_deref()).collect();
    assert_eq!(pinned, ["tool"], "{slots:?}");

    // A second such call is the same pin.
    call(&ann, "remember", &json!({"message": "more"})).await?.text()?;
    assert_eq!(stage.proxy.stats().await?.total_pins.get("tool"), Some(&1));

    ann.end().await?;
    stage.server_sessions("its end", |open| !open.contains(&remembered)).await?;
    assert!(stage.deleted().contains(&remembered));
    let stats = stage.when("no pin", |stats| stats.pinned.values().all(|count| *count == 0)).await?;
    assert_eq!(stats.total_pins.get("tool"), Some(&1), "{stats:?}");
    stage.when("the smallest size", |stats| stats.available_sessions >= 3).await?;
    Ok(())
}

#[tokio::test]
async fn by_resource() -> Result<()> {
    let stage = Stage::full(&pinning()).await?;
    let (ann, bob) = (stage.client().await?, stage.client().await?);
    let free: HashSet<_> =
        [read(&ann, "file:///a").await?, read(&ann, "file:///a").await?, read(&ann, "file:///a").await?]
            .into_iter()
            .collect();
    assert_eq!(free.len(), 3, "another URI pins nothing: {free:?}");
    let own = read(&ann, "session://basket").await?;
    assert_eq!(sequence(&ann, 4).await?, vec![own.clone(); 4]);
    assert_eq!(read(&ann, "file:///a").await?, own);
    assert!(!sequence(&bob, 8).await?.contains(&own));
    let stats = stage.proxy.stats().await?;
    assert_eq!((stats.pinned.get("resource"), stats.total_pins.get("resource")), (Some(&1), Some(&1)));
    Ok(())
}

/// Two clients have a session each; together with the free ones they stay within the size.
#[tokio::test]
async fn two_clients() -> Result<()> {
    let stage = Stage::full(&pinning()).await?;
    let clients = [stage.client().await?, stage.client().await?];
    for (client, state) in clients.iter().zip(["one", "two"]) {
        call(client, "remember", &json!({"message": state})).await?.text()?;
    }
    for _ in 0..3 {
        for (client, state) in clients.iter().zip(["one", "two"]) {
            assert_eq!(call(client, "recall", &json!({})).await?.text()?, state);
        }
    }
    let stats = stage.rest().await?;
    assert!(stats.total_sessions <= 4 && stats.pinned.get("tool") == Some(&2), "{stats:?}");
    let free = stage.client().await?;
    let homes = [whoami(&clients[0]).await?, whoami(&clients[1]).await?];
    assert!(sequence(&free, 6).await?.iter().all(|session| !homes.contains(session)));
    Ok(())
}

/// While the call that pins runs, the client's next one waits for that session or goes there after it.
#[tokio::test]
async fn busy_pin_is_waited_for() -> Result<()> {
    let mut spec = pinning();
    spec["pinning"]["tools"] = json!(["hold"]);
    let stage = Stage::full(&spec).await?;
    let ann = stage.client().await?;
    let held = hold(&ann, "first");
    let own = stage.session_of("first").await?;
    stage.server.open("first");
    held.await??;
    let held = hold(&ann, "second");
    assert_eq!(stage.session_of("second").await?, own);
    let next = tokio::spawn({
        let ann = ann.clone();
        async move { whoami(&ann).await }
    });
    stage.when("her next call to wait", |stats| stats.waiting == 1).await?;
    stage.server.open("second");
    assert_eq!(held.await??.status, 200);
    assert_eq!(next.await??, own);
    Ok(())
}

/// What was left is gone with the session: the client is told once, and is free again.
#[tokio::test]
async fn loss_of_a_pinned_session() -> Result<()> {
    let stage = Stage::full(&pinning()).await?;
    let ann = stage.client().await?;
    call(&ann, "remember", &json!({"message": "hers"})).await?.text()?;
    stage.server.forget_sessions();
    let answer = call(&ann, "recall", &json!({})).await?;
    assert_eq!((answer.status, answer.reason()), (200, "session_state_lost"), "{answer:?}");
    echo(&ann, "goes on").await?;
    assert_eq!(call(&ann, "recall", &json!({})).await?.text()?, "");
    let stats = stage.when("no pin", |stats| stats.pinned.values().all(|count| *count == 0)).await?;
    assert_eq!(stats.state_losses, 1, "{stats:?}");
    Ok(())
}

/// A drain lets pinned work end, and closes its session.
#[tokio::test]
async fn drain_of_a_pinned_session() -> Result<()> {
    let stage = Stage::full(&pinning()).await?;
    let ann = stage.client().await?;
    call(&ann, "remember", &json!({"message": "hers"})).await?.text()?;
    let mut spec = pinning();
    spec["desiredState"] = json!("Drained");
    spec["drain"] = json!({"timeoutSeconds": 2});
    stage.change(&spec).await?;
    stage.when("drained", |stats| stats.status == "drained" && stats.total_sessions == 0).await?;
    stage.server_sessions("no session", HashSet::is_empty).await?;
    assert_eq!(stage.deleted().len(), stage.opened());
    Ok(())
}

/// Pinned work goes on in a drain, until its client ends; other clients' calls are refused.
#[tokio::test]
async fn drain_during_pinned_work() -> Result<()> {
    let stage = Stage::full(&pinning()).await?;
    let (ann, bob) = (stage.client().await?, stage.client().await?);
    call(&ann, "remember", &json!({"message": "hers"})).await?.text()?;
    let held = hold(&ann, "g");
    let own = stage.session_of("g").await?;
    let mut spec = pinning();
    spec["desiredState"] = json!("Drained");
    spec["drain"] = json!({"timeoutSeconds": 60});
    stage.change(&spec).await?;
    stage.server_sessions("hers alone", |open| open.len() == 1 && open.contains(&own)).await?;
    call(&bob, "echo", &json!({"message": "x"})).await?.is_refused("draining")?;
    assert!(!held.is_finished());
    stage.server.open("g");
    assert_eq!(held.await??.text()?, "g");
    assert_eq!(call(&ann, "recall", &json!({})).await?.text()?, "hers");
    assert_eq!(stage.proxy.stats().await?.status, "draining");
    let end = std::time::Instant::now();
    ann.end().await?;
    stage.when("drained", |stats| stats.status == "drained").await?;
    assert!(end.elapsed().as_secs() < 15, "it did not wait for the deadline");
    stage.server_sessions("no session", HashSet::is_empty).await?;
    assert_eq!(stage.proxy.stats().await?.drain_aborts, 0);
    Ok(())
}

/// With Sticky there are two reasons to stay, and one message when it comes to nothing.
#[tokio::test]
async fn loss_of_a_pinned_session_of_a_sticky_client() -> Result<()> {
    let mut spec = pinning();
    spec["poolStrategy"] = json!("Sticky");
    let stage = Stage::full(&spec).await?;
    let ann = stage.client().await?;
    echo(&ann, "bound").await?;
    call(&ann, "remember", &json!({"message": "hers"})).await?.text()?;
    stage.server.forget_sessions();
    let answer = call(&ann, "recall", &json!({})).await?;
    assert_eq!((answer.status, answer.reason()), (200, "session_state_lost"), "{answer:?}");
    for _ in 0..3 {
        echo(&ann, "goes on").await?;
    }
    Ok(())
}
