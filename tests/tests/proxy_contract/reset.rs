//! Reset: every session is replaced once for each new token.

use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Result, ensure};
use futures::future::try_join_all;
use serde_json::{Value, json};
use tests::eventually;

use crate::call::{echo, hold};
use crate::stage::{PATIENCE, Stage, check_sums};

fn token(token: &str) -> Value {
    json!({"poolMinSize": 2, "poolMaxSize": 3, "resetToken": token})
}

#[tokio::test]
async fn token_at_the_start_is_only_recorded() -> Result<()> {
    let stage = Stage::full(&token("first")).await?;
    let before = stage.server.sessions();
    let client = stage.client().await?;
    echo(&client, "x").await?;
    // The same token in a file that is read again.
    let mut larger = token("first");
    larger["poolMaxSize"] = json!(4);
    stage.change(&larger).await?;
    echo(&client, "x").await?;
    assert_eq!((stage.server.sessions(), stage.opened()), (before, 2));
    assert_eq!((stage.rest().await?.epoch, stage.deleted().len()), (0, 0));
    Ok(())
}

/// Each token acts once, an old one never again.
#[tokio::test]
async fn each_token_acts_once() -> Result<()> {
    let stage = Stage::full(&token("first")).await?;
    let epoch = async || anyhow::Ok(stage.rest().await?.epoch);
    for (name, epochs, acts) in [
        ("second", 1, true),
        ("second", 1, false),
        ("third", 2, true),
        ("second", 2, false),
        ("first", 2, false),
    ] {
        let before = stage.server.sessions();
        stage.change(&token(name)).await?;
        if acts {
            stage.server_sessions("others", |open| open.len() == 2 && open.is_disjoint(&before)).await?;
        }
        stage.when("two sessions", |stats| stats.available_sessions == 2).await?;
        assert_eq!(epoch().await?, epochs, "{name}");
        if !acts {
            // What would be replaced is used, and is still there.
            echo(&stage.client().await?, name).await?;
            assert_eq!(stage.server.sessions(), before, "{name}");
        }
    }
    // A file without a token takes nothing back.
    stage.change(&json!({"poolMinSize": 2, "poolMaxSize": 3})).await?;
    assert_eq!(epoch().await?, 2);
    check_sums(&stage.rest().await?)
}

#[tokio::test]
async fn busy_sessions_take_no_further_call() -> Result<()> {
    let stage = Stage::full(&json!({"poolMaxSize": 1})).await?;
    let client = stage.client().await?;
    let held = hold(&client, "g");
    let old = stage.session_of("g").await?;
    stage.change(&json!({"poolMaxSize": 1, "resetToken": "one"})).await?;
    let next = hold(&client, "next");
    stage.when("a waiter", |stats| stats.waiting == 1).await?;
    assert!(!held.is_finished() && stage.server.sessions().contains(&old), "it was cut");
    stage.server.open("g");
    assert_eq!(held.await??.text()?, "g");
    assert_ne!(stage.session_of("next").await?, old);
    stage.server.open("next");
    assert_eq!(next.await??.status, 200);
    assert!(stage.deleted().contains(&old));
    Ok(())
}

/// Listed sessions say of which epoch they are; calls go on.
#[tokio::test]
async fn under_traffic_no_call_is_lost() -> Result<()> {
    let stage = Stage::full(&json!({"poolMinSize": 2, "poolMaxSize": 3})).await?;
    let clients = try_join_all((0..4).map(|_| stage.client())).await?;
    let (done, resets) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let traffic = try_join_all(clients.iter().enumerate().map(async |(number, client)| {
        let mut calls = 0;
        while resets.load(Ordering::Relaxed) < 4 {
            echo(client, &format!("{number}/{calls}")).await?;
            calls += 1;
            done.fetch_add(1, Ordering::Relaxed);
        }
        anyhow::Ok(calls)
    }));
    let change = async {
        for number in 1..=4 {
            stage.change(&token(&format!("token {number}"))).await?;
            let enough = done.load(Ordering::Relaxed) + 20;
            eventually(PATIENCE, "calls", async || {
                ensure!(done.load(Ordering::Relaxed) >= enough, "{done:?} of {enough}");
                Ok(())
            })
            .await?;
            resets.fetch_add(1, Ordering::Relaxed);
        }
        anyhow::Ok(())
    };
    let (calls, ()) = futures::try_join!(traffic, change)?;
    assert_eq!(stage.server.calls("echo").len(), calls.iter().sum::<usize>(), "each once");
    let stats = stage.rest().await?;
    check_sums(&stats)?;
    assert_eq!(stats.epoch, 4, "{stats:?}");
    eventually(PATIENCE, "sessions of the last epoch only", async || {
        let slots = stage.slots().await?;
        ensure!(slots.len() >= 2 && slots.iter().all(|slot| slot.epoch == 4), "{slots:?}");
        Ok(())
    })
    .await
}
