//! Who may use the port for peers, and what a token that nobody sealed is worth.

use anyhow::Result;
use serde_json::json;
use tests::mcp_client::{Endpoint, POST_HEADERS, Session};
use tests::proxy::{Setup, manifest};
use tests::upstream::Upstream;

use crate::fleet::{Fleet, own_address};

const PING: &str = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;

#[tokio::test]
async fn the_port_for_peers_takes_nothing_without_a_proof() -> Result<()> {
    let server = Upstream::rmcp().await?;
    let fleet = Fleet::start(2, &server.url(), &json!({})).await?;
    let client = fleet.client(0, "a").await?;
    let session = client.at(0).id.clone();
    let peer = Endpoint::new(fleet.peers[0]);
    let mac = "A".repeat(43);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_secs();
    for proof in [String::new(), "refused".to_owned(), format!("{now}."), format!("{now}.{mac}")] {
        for (method, body) in [("POST", PING), ("GET", ""), ("DELETE", "")] {
            let mut headers = POST_HEADERS.to_vec();
            headers.extend([("mcp-session-id", session.as_str()), ("authorization", "a")]);
            if !proof.is_empty() {
                headers.push(("x-sessionpool-peer", &proof));
            }
            let reply = peer.send(method, "/mcp", &headers, body).await?;
            assert_eq!(reply.status, 401, "{method} with {proof:?}");
        }
    }
    let reply = peer.send("POST", "/hello/127.0.0.1:1", &[], "").await?;
    assert_eq!(reply.status, 401, "hello");
    let reply = peer.post(&tests::mcp_client::initialize("2025-11-25")).await?;
    assert_eq!(reply.status, 401, "initialize");
    assert_eq!(client.tool("echo", &json!({"message": "untouched"})).await?, "untouched");
    Ok(())
}

/// The header means nothing at the port for clients, whoever sends it.
#[tokio::test]
async fn a_client_can_not_keep_its_message_from_its_home() -> Result<()> {
    let server = Upstream::rmcp().await?;
    let fleet = Fleet::start(2, &server.url(), &json!({"isolation": "Session"})).await?;
    let client = fleet.client(0, "a").await?;
    let reply = client
        .at(1)
        .send("POST", &[&POST_HEADERS[..], &[("x-sessionpool-peer", "1.A")]].concat(), PING)
        .await?;
    assert_eq!(reply.status, 200);
    assert_eq!(fleet.forwarded(1, "answered").await?, 1);
    Ok(())
}

#[tokio::test]
async fn another_principal_is_refused_at_every_proxy() -> Result<()> {
    let server = Upstream::rmcp().await?;
    let fleet = Fleet::start(3, &server.url(), &json!({"isolation": "Principal"})).await?;
    let client = fleet.client(0, "a").await?;
    for at in 0..3 {
        let thief = client.at(at).with_headers(&[("authorization", "b")]);
        assert_eq!(thief.request("ping", &json!({})).await?.0, 404, "{at}");
        assert_eq!(thief.end().await?, 404, "{at}");
    }
    assert_eq!(client.tool("echo", &json!({"message": "mine"})).await?, "mine");
    Ok(())
}

#[tokio::test]
async fn a_token_that_was_changed_is_unknown_everywhere() -> Result<()> {
    let server = Upstream::rmcp().await?;
    let fleet = Fleet::start(2, &server.url(), &json!({})).await?;
    let client = fleet.client(0, "a").await?;
    for at in 0..2 {
        let session = client.at(at);
        for (position, letter) in session.id.char_indices().step_by(7) {
            let other = if letter == 'A' { "B" } else { "A" };
            let mut id = session.id.clone();
            id.replace_range(position..=position, other);
            assert_eq!(session.with_id(&id).request("ping", &json!({})).await?.0, 404, "{position} at {at}");
        }
    }
    assert_eq!(fleet.forwarded(1, "answered").await?, 0, "nothing of it is sent on");
    Ok(())
}

/// A proxy that the others do not see yet makes client sessions that are found all the same.
#[tokio::test]
async fn a_home_that_is_not_listed_yet_is_found() -> Result<()> {
    let server = Upstream::rmcp().await?;
    let fleet = Fleet::start(2, &server.url(), &json!({"isolation": "Session"})).await?;
    let own = own_address();
    let peers = [&fleet.peers[..], &[own]].concat();
    let young = fleet.proxy(own, &peers, "session.key").await?;
    let session = Session::open_as(young.mcp, &[("authorization", "a")]).await?;
    session.tool("remember", &json!({"message": "by the young one"})).await?;
    let client = fleet.roaming(&session, 0);
    for _ in 0..4 {
        assert_eq!(client.tool("recall", &json!({})).await?, "by the young one");
    }
    Ok(())
}

/// A wrong key at one proxy keeps it from the others' clients; nobody else suffers.
#[tokio::test]
async fn a_peer_with_another_key_gets_nothing() -> Result<()> {
    let server = Upstream::rmcp().await?;
    let mut fleet = Fleet::start(2, &server.url(), &json!({})).await?;
    let session = fleet.client(0, "a").await?.at(0).clone();
    fleet.kill(0).await?;
    let stranger = fleet.proxy(fleet.peers[0], &fleet.peers, "other.key").await?;
    let client = fleet.roaming(&session, 0);
    for _ in 0..3 {
        assert_eq!(client.at(1).tool("echo", &json!({"message": "on"})).await?, "on");
    }
    let sent = session.moved_to(stranger.mcp);
    assert_eq!(sent.request("ping", &json!({})).await?.0, 404);
    Ok(())
}

#[tokio::test]
async fn flags_that_make_no_sense_end_it_at_once() -> Result<()> {
    let text = manifest("http://127.0.0.1:1/mcp", &json!({})).to_string();
    let key = "--session-key-file={folder}/session.key";
    let peers = "--peers=127.0.0.1:1";
    let cases: [(&[&str], &str); 4] = [
        (&[peers, key], "--peer-listen"),
        (&[peers, "--peer-listen=127.0.0.1:0"], "--session-key-file"),
        (&[peers, key, "--peer-listen=0.0.0.0:0"], "--peer-address"),
        (&[peers, key, "--peer-listen=127.0.0.1:0", "--peer-address=proxy-0"], "IP address"),
    ];
    for (arguments, named) in cases {
        let exit = Setup::new(&text)?.arguments(arguments).run().await?;
        assert!(exit.code.is_some_and(|code| code != 0), "{arguments:?}: {exit:?}");
        assert!(exit.log.contains(named), "{arguments:?}: {}", exit.log);
    }
    Ok(())
}
