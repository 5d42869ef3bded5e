//! Client sessions: what belongs to whom, and their end.

use anyhow::{Context, Result};
use serde_json::{Value, json};
use tests::mcp_client::{Session, tool_call};

use crate::in_front;

async fn status(session: &Session) -> Result<(u16, String)> {
    session.post(&tool_call("1", "echo", &json!({"message": "x"}))).await?.status_and_text().await
}

#[tokio::test]
async fn ended_session_is_not_found() -> Result<()> {
    let (server, proxy) = in_front(json!({"poolMinSize": 1})).await?;
    let session = Session::open(proxy.mcp).await?;
    let other = Session::open(proxy.mcp).await?;
    assert_eq!(status(&session).await?.0, 200);
    let ended = session.end().await?;
    assert!((200..=204).contains(&ended), "{ended}");
    let (gone, text) = status(&session).await?;
    assert_eq!(gone, 404, "{text}");
    assert!(text.contains("initialize"), "it says what to do: {text}");
    assert_eq!(session.end().await?, 404);
    assert_eq!(session.listen().await?.status, 404);
    assert_eq!(status(&other).await?.0, 200);
    assert_eq!(server.seen_as("DELETE").len(), 0, "a shared session outlives its clients");
    Ok(())
}

#[tokio::test]
async fn id_that_the_proxy_never_gave() -> Result<()> {
    let (server, proxy) = in_front(json!({"poolMinSize": 1})).await?;
    let session = Session::open(proxy.mcp).await?;
    let upstream = server.sessions().into_iter().next().context("no session")?;
    let mut ids =
        vec![upstream, "x".to_owned(), "A".repeat(600), "9f4e2a4e-2b51-4f6a-9a52-2b0d8f6f6c1e".to_owned()];
    for position in [0, session.id.len() / 2, session.id.len() - 2] {
        let mut tampered = session.id.clone().into_bytes();
        tampered[position] = if tampered[position] == b'A' { b'B' } else { b'A' };
        ids.push(String::from_utf8(tampered)?);
    }
    ids.push(session.id[..session.id.len() - 1].to_owned());
    ids.push(format!("{0}{0}", session.id));
    for id in ids {
        let foreign = session.with_id(&id);
        let (got, text) = status(&foreign).await?;
        assert_eq!(got, 404, "{id}: {text}");
        let answer: Value = serde_json::from_str(&text)?;
        assert!(answer["error"]["message"].is_string(), "{text}");
    }
    Ok(())
}

#[tokio::test]
async fn missing_id() -> Result<()> {
    let (_server, proxy) = in_front(json!({})).await?;
    let session = Session::open(proxy.mcp).await?;
    let bare = session.with_id("");
    let (got, text) = status(&bare).await?;
    assert_eq!(got, 400);
    assert!(text.to_lowercase().contains("mcp-session-id"), "{text}");
    assert_eq!(bare.end().await?, 400);
    assert_eq!(bare.listen().await?.status, 400);
    Ok(())
}

#[tokio::test]
async fn session_of_another_principal() -> Result<()> {
    for isolation in ["Principal", "Session"] {
        let (_server, proxy) = in_front(json!({"isolation": isolation})).await?;
        let owner = [("authorization", "Bearer secret-of-a")];
        let session = Session::open_as(proxy.mcp, &owner).await?;
        assert_eq!(status(&session).await?.0, 200);
        for headers in [&[("authorization", "Bearer secret-of-b")][..], &[]] {
            let thief = session.with_headers(headers);
            assert_eq!(status(&thief).await?.0, 404, "{isolation} {headers:?}");
            assert_eq!(thief.end().await?, 404, "{isolation} {headers:?}");
            assert_eq!(thief.listen().await?.status, 404, "{isolation} {headers:?}");
        }
        assert_eq!(status(&session).await?.0, 200, "{isolation}: the owner goes on");
    }
    Ok(())
}

#[tokio::test]
async fn stream_of_server_messages_opens() -> Result<()> {
    let (_server, proxy) = in_front(json!({})).await?;
    let session = Session::open(proxy.mcp).await?;
    let stream = session.listen().await?;
    assert_eq!(stream.status, 200);
    assert!(stream.is_stream(), "{:?}", stream.headers);
    let second = session.listen().await?.status;
    assert!(second == 409 || second == 200, "{second}");
    let reply = session.send("GET", &[("accept", "application/json")], "").await?;
    assert_eq!(reply.status, 406);
    assert_eq!(status(&session).await?.0, 200, "an open stream does not hold the session up");
    Ok(())
}

#[tokio::test]
async fn client_sessions_are_counted() -> Result<()> {
    let (_server, proxy) = in_front(json!({})).await?;
    let one = Session::open(proxy.mcp).await?;
    let _other = Session::open(proxy.mcp).await?;
    proxy.stats_when("two client sessions", |stats| stats.client_sessions == 2).await?;
    one.end().await?;
    proxy.stats_when("one client session", |stats| stats.client_sessions == 1).await?;
    Ok(())
}
