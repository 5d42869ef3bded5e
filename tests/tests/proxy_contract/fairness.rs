//! Several keys share one pool: limits for each, room for another, nobody starves.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures::future::try_join_all;
use serde_json::json;
use tests::eventually;

use crate::call::{call, echo, hold, whoami};
use crate::stage::{PATIENCE, Stage, check_sums};

/// One principal has its share, and the rest of the room is the others'.
#[tokio::test]
async fn limit_of_one_principal() -> Result<()> {
    let spec =
        json!({"isolation": "Principal", "poolMinSize": 0, "poolMaxSize": 4, "poolMaxPerPrincipal": 2});
    let stage = Stage::ready(&spec).await?;
    // Two client sessions, one principal.
    let (ann, again) = (stage.user("ann").await?, stage.user("ann").await?);
    let held = [hold(&ann, "a"), hold(&again, "a"), hold(&ann, "a"), hold(&again, "a")];
    stage.server.calls_reach("hold", 2).await?;
    stage.when("two of hers to wait", |stats| stats.waiting == 2).await?;
    let bob = stage.user("bob").await?;
    let answer = call(&bob, "echo", &json!({"message": "bob"})).await?;
    assert!(answer.text()? == "bob" && answer.took < Duration::from_secs(5), "{answer:?}");
    let more = [hold(&bob, "b"), hold(&bob, "b")];
    stage.server.calls_reach("hold", 4).await?;
    let stats = stage.proxy.stats().await?;
    assert_eq!((stats.active_sessions, stats.total_sessions, stats.waiting), (4, 4, 2), "{stats:?}");
    stage.server.open("a");
    stage.server.open("b");
    for call in held.into_iter().chain(more) {
        assert_eq!(call.await??.status, 200);
    }
    let of = |name: &str| {
        let wanted = name.to_owned();
        let calls = stage
            .server
            .calls("hold")
            .into_iter()
            .filter(move |call| call.message["params"]["arguments"]["gate"] == wanted.as_str());
        calls.filter_map(|call| call.session).collect::<HashSet<_>>()
    };
    assert!(of("a").len() == 2 && of("a").is_disjoint(&of("b")), "{:?} {:?}", of("a"), of("b"));
    check_sums(&stage.rest().await?)
}

/// A lower limit closes what is above it when it is idle.
#[tokio::test]
async fn limit_is_lowered() -> Result<()> {
    let spec = |limit: u32| json!({"isolation": "Principal", "poolMinSize": 0, "poolMaxSize": 4, "poolMaxPerPrincipal": limit});
    let stage = Stage::ready(&spec(3)).await?;
    let ann = stage.user("ann").await?;
    let held = [hold(&ann, "a"), hold(&ann, "a"), hold(&ann, "a")];
    stage.server.calls_reach("hold", 3).await?;
    stage.server.open("a");
    for call in held {
        assert_eq!(call.await??.status, 200);
    }
    let hers: HashSet<_> = stage.server.calls("hold").into_iter().filter_map(|call| call.session).collect();
    stage.change(&spec(1)).await?;
    stage.server_sessions("one of hers", |open| open.intersection(&hers).count() == 1).await?;
    echo(&ann, "x").await
}

/// At the cap the longest-idle session of another key makes room, at once.
#[tokio::test]
async fn room_for_another_key_at_the_cap() -> Result<()> {
    let spec = json!({"isolation": "Principal", "poolMinSize": 0, "poolMaxSize": 3});
    let stage = Stage::ready(&spec).await?;
    let ann = stage.user("ann").await?;
    let mut hers = Vec::new();
    let gates = ["first", "second", "third"];
    let mut held = Vec::new();
    for gate in gates {
        held.push(hold(&ann, gate));
        hers.push(stage.session_of(gate).await?);
    }
    // The second is given back first, so it is idle the longest.
    for (number, gate) in [(1, "second"), (0, "first"), (2, "third")] {
        stage.server.open(gate);
        (&mut held[number]).await??;
        stage.when("its end", |stats| stats.available_sessions > 0 || stats.active_leases == 0).await?;
    }
    stage.rest().await?;
    let bob = stage.user("bob").await?;
    let answer = call(&bob, "whoami", &json!({})).await?;
    assert!(answer.took < Duration::from_secs(5), "{answer:?}");
    let his = answer.text()?.to_owned();
    assert!(!hers.contains(&his), "{his} of {hers:?}");
    stage
        .server_sessions("room for his", |open| {
            open.len() <= 3 && open.contains(&his) && !open.contains(&hers[1])
        })
        .await?;
    let open = stage.server.sessions();
    assert!(open.contains(&hers[0]) && open.contains(&hers[2]), "one was enough: {open:?}");
    assert!(stage.deleted().contains(&hers[1]));
    let stats = stage.rest().await?;
    check_sums(&stats)?;
    assert!(stats.total_sessions <= 3, "{stats:?}");
    Ok(())
}

/// Never more sessions than the cap, whoever comes.
#[tokio::test]
async fn many_principals_at_a_small_cap() -> Result<()> {
    let spec = json!({"isolation": "Principal", "poolMinSize": 0, "poolMaxSize": 3});
    let stage = Stage::ready(&spec).await?;
    let users = try_join_all((0..10).map(async |number| stage.user(&format!("user-{number}")).await)).await?;
    let done = AtomicBool::new(false);
    let load = async {
        let used = try_join_all(users.iter().map(async |user| {
            let mut used = HashSet::new();
            for _ in 0..6 {
                used.insert(whoami(user).await?);
            }
            anyhow::Ok(used)
        }))
        .await?;
        done.store(true, Ordering::Relaxed);
        anyhow::Ok(used)
    };
    let watch = async {
        let mut most = 0;
        while !done.load(Ordering::Relaxed) {
            let stats = stage.proxy.stats().await?;
            check_sums(&stats)?;
            ensure!(stats.total_sessions + stats.initializing <= 3, "{stats:?}");
            most = most.max(stage.server.sessions().len());
        }
        anyhow::Ok(most)
    };
    let (used, most) = futures::try_join!(load, watch)?;
    // One more may be on its way out.
    assert!(most <= 4, "{most} at the server");
    for (number, one) in used.iter().enumerate() {
        let others = used[number + 1..].iter();
        assert!(others.clone().all(|other| one.is_disjoint(other)), "two principals met: {used:?}");
    }
    let stats = stage.rest().await?;
    assert_eq!(stats.total_timeouts, 0, "{stats:?}");
    Ok(())
}

/// One key keeps the only session busy without a gap; another's call gets its turn all the same.
#[tokio::test]
async fn starving_key_is_served() -> Result<()> {
    let spec = json!({"isolation": "Principal", "poolMinSize": 0, "poolMaxSize": 1, "poolTimeout": 15});
    let stage = Stage::ready(&spec).await?;
    let ann = stage.user("ann").await?;
    let bob = stage.user("bob").await?;
    let done = AtomicBool::new(false);
    let flood = try_join_all((0..6).map(async |_| {
        while !done.load(Ordering::Relaxed) {
            let answer = call(&ann, "sleep", &json!({"ms": 20})).await?;
            ensure!(answer.status == 200, "{answer:?}");
        }
        anyhow::Ok(())
    }));
    let single = async {
        stage.server.calls_reach("sleep", 20).await?;
        let mut took = Vec::new();
        for number in 0..3 {
            let answer = call(&bob, "echo", &json!({"message": format!("{number}")})).await;
            took.push(answer.as_ref().map(|answer| (answer.status, answer.took)).ok());
            let enough = answer.is_err();
            if enough {
                break;
            }
        }
        done.store(true, Ordering::Relaxed);
        anyhow::Ok(took)
    };
    let (_, took) = futures::try_join!(flood, single)?;
    for answer in &took {
        let (status, time) = answer.context("no answer")?;
        assert!(status == 200 && time < Duration::from_secs(3), "{took:?}");
    }
    assert_eq!(stage.server.calls("echo").len(), 3);
    // And the flood is served after it.
    echo(&ann, "ann").await?;
    eventually(PATIENCE, "one session", async || {
        ensure!(stage.server.sessions().len() == 1, "{:?}", stage.server.sessions());
        Ok(())
    })
    .await
}
