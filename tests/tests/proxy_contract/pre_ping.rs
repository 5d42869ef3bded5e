//! Sessions are checked before use when they were idle for long, or when others were lost.

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use tests::eventually;

use crate::call::{echo, sequence, whoami};
use crate::stage::{PATIENCE, Stage};

fn one(pre_ping: bool, delay: u32) -> Value {
    json!({
        "poolMaxSize": 1, "poolPrePing": pre_ping, "poolPrePingDelaySeconds": delay,
        "poolKeepaliveSeconds": 0
    })
}

/// JSON-RPC methods of one session, in order.
fn methods(stage: &Stage, session: &str) -> Vec<String> {
    let seen = stage.server.seen().into_iter().filter(|seen| seen.session.as_deref() == Some(session));
    seen.filter_map(|seen| seen.method).collect()
}

#[tokio::test]
async fn lost_session_is_found_before_the_call() -> Result<()> {
    let stage = Stage::full(&one(true, 0)).await?;
    let client = stage.client().await?;
    let lost = whoami(&client).await?;
    stage.server.forget_sessions();
    let fresh = whoami(&client).await?;
    assert_ne!(fresh, lost);
    let calls = methods(&stage, &lost).iter().filter(|method| *method == "tools/call").count();
    assert_eq!(calls, 1, "the dead session got a ping, not the call");
    assert_eq!(methods(&stage, &lost).last().map(String::as_str), Some("ping"));
    let stats = stage.rest().await?;
    assert_eq!((stats.total_destroys, stats.repeats, stats.total_sessions), (1, 0, 1), "{stats:?}");
    Ok(())
}

/// Refused by the server, so not executed: it is repeated on a fresh session, and executed once.
#[tokio::test]
async fn without_it_the_call_finds_out() -> Result<()> {
    let stage = Stage::full(&one(false, 0)).await?;
    let client = stage.client().await?;
    let lost = whoami(&client).await?;
    stage.server.forget_sessions();
    let fresh = whoami(&client).await?;
    assert_ne!(fresh, lost);
    let calls: Vec<_> = stage.server.calls("whoami").into_iter().filter_map(|call| call.session).collect();
    assert_eq!(calls, [lost.clone(), lost, fresh]);
    assert_eq!(stage.server.seen_as("ping").len(), 0);
    assert_eq!(stage.rest().await?.repeats, 1);
    Ok(())
}

#[tokio::test]
async fn only_after_the_delay() -> Result<()> {
    let stage = Stage::full(&one(true, 2)).await?;
    let client = stage.client().await?;
    let session = whoami(&client).await?;
    sequence(&client, 4).await?;
    let calls = methods(&stage, &session);
    let quick = calls.windows(2).filter(|pair| pair == &["tools/call", "ping"]).count();
    assert_eq!(quick, 0, "it was not idle: {calls:?}");
    eventually(PATIENCE, "the session to be idle", async || {
        let slots = stage.slots().await?;
        ensure!(slots.iter().all(|slot| slot.idle_seconds > 2.1), "{slots:?}");
        Ok(())
    })
    .await?;
    whoami(&client).await?;
    let calls = methods(&stage, &session);
    assert_eq!(calls[calls.len() - 2..], ["ping", "tools/call"], "{calls:?}");
    Ok(())
}

/// Any JSON-RPC answer is a sign of life.
#[tokio::test]
async fn server_without_ping_is_alive() -> Result<()> {
    let stage = Stage::full(&one(true, 0)).await?;
    stage.server.behave(|behaviour| behaviour.unknown_methods = vec!["ping".to_owned()]);
    let client = stage.client().await?;
    let used = sequence(&client, 3).await?;
    assert!(used.iter().all(|session| *session == used[0]), "{used:?}");
    assert!(stage.server.seen_as("ping").len() >= 2);
    assert_eq!(stage.opened(), 1);
    Ok(())
}

/// One loss makes the others suspect: they are asked before they get a call, though pre-ping is off.
#[tokio::test]
async fn after_a_loss_the_others_are_checked() -> Result<()> {
    let spec = json!({"poolMinSize": 3, "poolMaxSize": 3, "poolPrePing": false, "poolKeepaliveSeconds": 0});
    let stage = Stage::full(&spec).await?;
    let client = stage.client().await?;
    let old = stage.server.sessions();
    stage.server.forget_sessions();
    for number in 0..6 {
        echo(&client, &format!("{number}")).await?;
    }
    let to_old = stage.server.calls("echo").into_iter().filter_map(|call| call.session);
    let to_old: Vec<_> = to_old.filter(|session| old.contains(session)).collect();
    assert_eq!(to_old.len(), 1, "one call found the loss: {to_old:?}");
    let stats = stage.when("three fresh ones", |stats| stats.available_sessions == 3).await?;
    assert_eq!((stats.repeats, stats.needs_check, stats.total_destroys), (1, 0, 3), "{stats:?}");
    Ok(())
}

/// What answers with something else than MCP is not used; but the server may have the session, and is told that it has ended.
#[tokio::test]
async fn odd_answer_is_no_sign_of_life_nor_of_a_loss() -> Result<()> {
    let stage = Stage::full(&one(true, 0)).await?;
    let client = stage.client().await?;
    let first = whoami(&client).await?;
    stage.server.behave(|behaviour| {
        behaviour.ping = Some((502, "text/html".to_owned(), "<p>Bad Gateway</p>".to_owned()));
    });
    assert_ne!(whoami(&client).await?, first);
    stage.server_sessions("the new one alone", |open| open.len() == 1 && !open.contains(&first)).await?;
    assert!(stage.deleted().contains(&first));
    Ok(())
}
