//! A client session whose proxy ends.

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use tests::{
    scripted::{Behaviour, Scripted},
    upstream::Upstream,
};

use crate::fleet::{Fleet, event};

#[tokio::test]
async fn a_shared_session_goes_on_without_an_error() -> Result<()> {
    let server = Upstream::rmcp().await?;
    let mut fleet = Fleet::start(3, &server.url(), &json!({})).await?;
    let mut clients = Vec::new();
    for _ in 0..8 {
        let client = fleet.client(0, "a").await?;
        client.at(1).tool("echo", &json!({"message": "before"})).await?;
        clients.push(client);
    }
    fleet.kill(0).await?;
    for client in clients {
        let client = client.without(0);
        for _ in 0..4 {
            assert_eq!(client.tool("echo", &json!({"message": "after"})).await?, "after");
        }
        assert_eq!(client.next().listen().await?.status, 200);
    }
    let unreachable = fleet.forwarded(1, "unreachable").await? + fleet.forwarded(2, "unreachable").await?;
    assert!((1..=8).contains(&unreachable), "a dead peer is not tried for each message: {unreachable}");
    Ok(())
}

#[tokio::test]
async fn state_that_is_gone_is_told_once_and_kept_in_one_place_then() -> Result<()> {
    let server = Upstream::rmcp().await?;
    for spec in [json!({"isolation": "Session"}), json!({"isolation": "Shared", "poolStrategy": "None"})] {
        let mut fleet = Fleet::start(3, &server.url(), &spec).await?;
        let mut clients = Vec::new();
        for _ in 0..6 {
            let client = fleet.client(0, "a").await?;
            client.tool("remember", &json!({"message": "old"})).await?;
            clients.push(client);
        }
        fleet.kill(0).await?;
        for (number, client) in clients.into_iter().enumerate() {
            let client = client.without(0);
            let call = json!({"name": "recall", "arguments": {}});
            let mut told = 0;
            for _ in 0..4 {
                let (status, text) = client.next().request("tools/call", &call).await?;
                ensure!(status == 200, "{status} {text}");
                told += usize::from(text.contains("session_state_lost"));
            }
            assert_eq!(told, 1, "{spec}");
            let mine = format!("new {number}");
            client.tool("remember", &json!({"message": mine})).await?;
            for _ in 0..4 {
                assert_eq!(client.tool("recall", &json!({})).await?, mine, "{spec}");
            }
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_call_that_was_under_way_is_told_lost_with_its_id() -> Result<()> {
    let server = Upstream::rmcp().await?;
    let mut fleet = Fleet::start(2, &server.url(), &json!({})).await?;
    let client = fleet.client(0, "a").await?;
    let mut reply = client.call(77, "sleep", &json!({"message": "m", "ms": 20_000})).await?;
    let mut stream = client.at(1).listen().await?;
    event(&mut reply).await?;
    fleet.kill(0).await?;
    let answer = event(&mut reply).await?;
    assert_eq!(
        (&answer["id"], &answer["error"]["data"]["reason"]),
        (&json!(77), &json!("answer_lost")),
        "{answer}"
    );
    assert_eq!(answer["error"]["data"]["executed"], "unknown", "{answer}");
    assert!(reply.event().await?.is_none(), "nothing comes after it");
    assert_eq!(fleet.forwarded(1, "lost").await?, 1);
    assert!(stream.event().await?.is_none(), "its own stream ends, so that the client opens another");
    assert_eq!(client.at(1).tool("echo", &json!({"message": "on"})).await?, "on");
    Ok(())
}

/// SIGTERM: what was forwarded is answered, and the client session goes on elsewhere.
#[tokio::test]
async fn a_proxy_that_ends_in_good_order_loses_nothing() -> Result<()> {
    let server = Upstream::rmcp().await?;
    let mut fleet = Fleet::start(2, &server.url(), &json!({})).await?;
    let client = fleet.client(0, "a").await?;
    let mut reply = client.call(1, "sleep", &json!({"message": "to the end", "ms": 1500})).await?;
    event(&mut reply).await?;
    let home = fleet.proxies.remove(0);
    let (exit, answer, on) = tokio::join!(home.terminate(), reply.answer(), async {
        for _ in 0..20 {
            client.at(1).tool("echo", &json!({"message": "on"})).await?;
        }
        anyhow::Ok(())
    });
    on?;
    let answer: Value = serde_json::from_str(&answer?)?;
    assert_eq!(answer["result"]["content"][0]["text"], "to the end", "{answer}");
    assert_eq!(exit?.code, Some(0));
    assert_eq!(client.at(1).tool("echo", &json!({"message": "on"})).await?, "on");
    Ok(())
}

/// What a call that still runs at home is asked and told comes from elsewhere; new calls stay elsewhere.
#[tokio::test]
async fn a_proxy_that_ends_gets_the_answer_it_waits_for() -> Result<()> {
    let server = Upstream::rmcp().await?;
    let mut fleet = Fleet::start(2, &server.url(), &json!({})).await?;
    let client = fleet.client(0, "a").await?;
    let mut reply = client.call(1, "ask", &json!({"message": "who"})).await?;
    let question = event(&mut reply).await?;
    ensure!(question["method"] == "sampling/createMessage", "{question}");
    let home = fleet.proxies.remove(0);
    let (exit, answer, told) = tokio::join!(home.terminate(), event(&mut reply), async {
        fleet.is_left(0).await?;
        assert_eq!(client.at(1).tool("echo", &json!({"message": "elsewhere"})).await?, "elsewhere");
        let result = json!({"role": "assistant", "model": "m", "content": {"type": "text", "text": "me"}});
        let answer = json!({"jsonrpc": "2.0", "id": question["id"], "result": result});
        assert_eq!(client.at(1).post(&answer.to_string()).await?.status, 202);
        anyhow::Ok(())
    });
    told?;
    let answer = answer?;
    assert_eq!(answer["result"]["content"][0]["text"], "me", "{answer}");
    assert_eq!(exit?.code, Some(0));
    Ok(())
}

/// A proxy that ends closes the streams that it relays, as it does its own.
#[tokio::test]
async fn a_relayed_stream_does_not_hold_the_end_up() -> Result<()> {
    let server = Upstream::rmcp().await?;
    let mut fleet = Fleet::start(2, &server.url(), &json!({})).await?;
    let client = fleet.client(0, "a").await?;
    let mut stream = client.at(1).listen().await?;
    assert_eq!(stream.status, 200);
    let relaying = fleet.proxies.remove(1);
    let (exit, end) = tokio::join!(relaying.terminate(), stream.event());
    assert_eq!(exit?.code, Some(0));
    assert!(end?.is_none());
    Ok(())
}

/// The proxies that took over let go of what they hold, and of the stream that a client has there.
#[tokio::test]
async fn a_home_that_is_back_gets_its_sessions_back() -> Result<()> {
    let server = Upstream::rmcp().await?;
    let mut fleet =
        Fleet::start(3, &server.url(), &json!({"isolation": "Session", "poolMinSize": 0})).await?;
    let mut before = Vec::new();
    for proxy in &fleet.proxies[1..] {
        before.push(proxy.stats().await?.total_sessions);
    }
    let client = fleet.client(0, "a").await?;
    let session = client.at(0).clone();
    fleet.kill(0).await?;
    let left = client.without(0);
    let (_, told) = left.next().request("ping", &json!({})).await?;
    ensure!(!told.contains("error"), "a ping needs no state: {told}");
    left.next().request("tools/call", &json!({"name": "recall", "arguments": {}})).await?;
    left.tool("remember", &json!({"message": "away"})).await?;
    let mut stream = left.next().listen().await?;
    assert_eq!(stream.status, 200);

    let back = fleet.proxy(fleet.peers[0], &fleet.peers, "session.key").await?;
    fleet.proxies[0] = back;
    let client = fleet.roaming(&session, 0);
    let (_, told) = client.at(1).request("tools/call", &json!({"name": "recall", "arguments": {}})).await?;
    ensure!(told.contains("session_state_lost"), "{told}");
    client.tool("remember", &json!({"message": "home"})).await?;
    for _ in 0..3 {
        assert_eq!(client.tool("recall", &json!({})).await?, "home");
    }
    for (proxy, before) in fleet.proxies[1..].iter().zip(before) {
        proxy
            .stats_when("nothing to be left", |now| now.total_sessions <= before && now.client_sessions == 0)
            .await?;
    }
    while stream.event().await?.is_some() {}
    for _ in 0..3 {
        assert_eq!(client.tool("recall", &json!({})).await?, "home");
    }
    Ok(())
}

/// A proxy beside a server of its own may run before that does: what would fail there stays elsewhere until then.
#[tokio::test]
async fn a_proxy_whose_server_still_starts_is_sent_nothing() -> Result<()> {
    let server = Scripted::start().await?;
    let address = tests::free_address()?;
    let mut fleet = Fleet::start(3, &server.url(), &json!({})).await?;
    let mut clients = Vec::new();
    for _ in 0..16 {
        clients.push(fleet.client(0, "a").await?.at(1).clone());
    }
    fleet.kill(2).await?;
    let url = format!("http://{address}/mcp");
    fleet.proxies[2] = fleet.proxy_of(&url, fleet.peers[2], &fleet.peers).await?;
    fleet.kill(0).await?;
    for client in &clients {
        for _ in 0..2 {
            assert_eq!(client.tool("echo", &json!({"message": "early"})).await?, "early");
        }
    }
    let own = Scripted::at(address, Behaviour::default()).await?;
    fleet.proxies[2].wait_until_ready().await?;
    for client in &clients {
        assert_eq!(client.tool("echo", &json!({"message": "late"})).await?, "late");
    }
    ensure!(!own.calls("echo").is_empty(), "it takes part once its server is there");
    Ok(())
}
