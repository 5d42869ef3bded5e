//! Who may use whose session: the declared isolation, seen through what a server keeps in its sessions.

use std::collections::HashSet;
use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use tests::eventually;
use tests::mcp_client::Session;
use tests::proxy::Proxy;
use tests::scripted::Scripted;
use tests::upstream::Upstream;

use crate::in_front;

const A: [(&str, &str); 1] = [("authorization", "Bearer credential-of-a")];
const B: [(&str, &str); 1] = [("authorization", "Bearer credential-of-b")];

async fn remember(client: &Session, message: &str) -> Result<()> {
    client.tool("remember", &json!({"message": message})).await?;
    Ok(())
}

/// What the client finds in sessions, over more calls than there are sessions.
async fn recall(client: &Session) -> Result<HashSet<String>> {
    let mut found = HashSet::new();
    for _ in 0..6 {
        found.insert(client.tool("recall", &json!({})).await?);
    }
    Ok(found)
}

fn set(texts: &[&str]) -> HashSet<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

#[tokio::test]
async fn shared_sessions_are_everyones() -> Result<()> {
    let (_server, proxy) = in_front(json!({"isolation": "Shared", "poolMaxSize": 1})).await?;
    let a = Session::open_as(proxy.mcp, &A).await?;
    let b = Session::open_as(proxy.mcp, &B).await?;
    remember(&a, "a").await?;
    assert_eq!(recall(&b).await?, set(&["a"]));
    Ok(())
}

#[tokio::test]
async fn principals_never_meet() -> Result<()> {
    for size in [1, 2, 4] {
        let (_server, proxy) =
            in_front(json!({"isolation": "Principal", "poolMinSize": 0, "poolMaxSize": size})).await?;
        let a = Session::open_as(proxy.mcp, &A).await?;
        let b = Session::open_as(proxy.mcp, &B).await?;
        for client in [&a, &b] {
            recall(client).await?;
        }
        remember(&a, "a").await?;
        assert_eq!(recall(&b).await?, set(&[""]), "size {size}");
        remember(&b, "b").await?;
        assert!(!recall(&a).await?.contains("b"), "size {size}");
    }
    Ok(())
}

#[tokio::test]
async fn a_principals_clients_share() -> Result<()> {
    let (server, proxy) =
        in_front(json!({"isolation": "Principal", "poolMinSize": 0, "poolMaxSize": 1})).await?;
    let one = Session::open_as(proxy.mcp, &A).await?;
    remember(&one, "a").await?;
    let other = Session::open_as(proxy.mcp, &A).await?;
    assert_eq!(recall(&other).await?, set(&["a"]));
    let used: HashSet<_> = server.seen_as("tools/call").into_iter().map(|call| call.session).collect();
    assert_eq!(used.len(), 1, "{used:?}");
    Ok(())
}

/// There is no shared anonymous principal.
#[tokio::test]
async fn clients_without_credential_are_apart() -> Result<()> {
    let (_server, proxy) = in_front(json!({"isolation": "Principal", "poolMaxSize": 4})).await?;
    let one = Session::open(proxy.mcp).await?;
    let other = Session::open(proxy.mcp).await?;
    remember(&one, "one").await?;
    assert_eq!(recall(&other).await?, set(&[""]));
    assert_eq!(recall(&one).await?, set(&["one"]), "its own state stays");
    Ok(())
}

#[tokio::test]
async fn client_sessions_are_apart() -> Result<()> {
    let (server, proxy) =
        in_front(json!({"isolation": "Session", "poolMinSize": 2, "poolMaxSize": 4})).await?;
    let one = Session::open_as(proxy.mcp, &A).await?;
    let other = Session::open_as(proxy.mcp, &A).await?;
    remember(&one, "one").await?;
    assert_eq!(recall(&other).await?, set(&[""]), "the same credential, another session");
    assert_eq!(recall(&one).await?, set(&["one"]));
    let used = one.tool("whoami", &json!({})).await?;
    one.end().await?;
    eventually(Duration::from_secs(10), "the end of the session that it used", async || {
        ensure!(!server.sessions().contains(&used), "{:?}", server.sessions());
        Ok(())
    })
    .await?;
    let third = Session::open_as(proxy.mcp, &A).await?;
    assert_eq!(recall(&third).await?, set(&[""]));
    Ok(())
}

#[tokio::test]
async fn own_session_ends_with_an_idle_client() -> Result<()> {
    let spec =
        json!({"isolation": "Session", "poolMinSize": 0, "poolMaxSize": 1, "clientSessionIdleSeconds": 1});
    let (server, proxy) = in_front(spec).await?;
    let gone = Session::open(proxy.mcp).await?;
    let used = gone.tool("whoami", &json!({})).await?;
    eventually(Duration::from_secs(15), "the end of the idle client's session", async || {
        ensure!(!server.sessions().contains(&used), "{:?}", server.sessions());
        Ok(())
    })
    .await?;
    assert_eq!(gone.request("ping", &json!({})).await?.0, 404);
    let next = Session::open(proxy.mcp).await?;
    assert_ne!(next.tool("whoami", &json!({})).await?, used);
    Ok(())
}

#[tokio::test]
async fn identity_headers_tell_principals_apart() -> Result<()> {
    let spec = json!({"isolation": "Principal", "poolMaxSize": 4, "identityHeaders": ["X-User"]});
    let (_server, proxy) = in_front(spec).await?;
    let one = Session::open_as(proxy.mcp, &[("x-user", "one"), A[0]]).await?;
    let other = Session::open_as(proxy.mcp, &[("x-user", "other"), A[0]]).await?;
    remember(&one, "one").await?;
    assert_eq!(recall(&other).await?, set(&[""]));
    let again = Session::open_as(proxy.mcp, &[A[0], ("X-USER", "one")]).await?;
    assert!(recall(&again).await?.contains("one"), "a header's name has no case");
    assert_eq!(one.with_headers(&[("x-user", "other"), A[0]]).request("ping", &json!({})).await?.0, 404);
    Ok(())
}

/// Two headers must not be told apart by joining their values.
#[tokio::test]
async fn identities_do_not_run_together() -> Result<()> {
    let spec = json!({"isolation": "Principal", "poolMaxSize": 8, "identityHeaders": ["X-One", "X-Two"]});
    let (_server, proxy) = in_front(spec).await?;
    let first = Session::open_as(proxy.mcp, &[("x-one", "ab"), ("x-two", "c")]).await?;
    remember(&first, "first").await?;
    for headers in [
        &[("x-one", "a"), ("x-two", "bc")][..],
        &[("x-one", "abc")],
        &[("x-two", "abc")],
        &[("x-one", "c"), ("x-two", "ab")],
    ] {
        let other = Session::open_as(proxy.mcp, headers).await?;
        assert_eq!(recall(&other).await?, set(&[""]), "{headers:?}");
    }
    Ok(())
}

#[tokio::test]
async fn more_principals_than_sessions() -> Result<()> {
    let (server, proxy) =
        in_front(json!({"isolation": "Principal", "poolMinSize": 0, "poolMaxSize": 2, "poolTimeout": 20}))
            .await?;
    for round in 0..3 {
        for principal in ["p1", "p2", "p3", "p4"] {
            let client = Session::open_as(proxy.mcp, &[("authorization", principal)]).await?;
            let message = format!("{principal} {round}");
            assert_eq!(client.tool("echo", &json!({"message": message})).await?, message);
            assert!(
                server.sessions().len() <= 3,
                "two, and one that is being ended: {:?}",
                server.sessions()
            );
        }
    }
    let stats = proxy.stats().await?;
    assert!(stats.total_sessions <= 2, "{stats:?}");
    Ok(())
}

#[tokio::test]
async fn credentials_stay_here_unless_passed_through() -> Result<()> {
    let secrets = [A[0], ("cookie", "c=1"), ("x-api-key", "k"), ("proxy-authorization", "Basic x")];
    for isolation in ["Shared", "Principal"] {
        let (server, proxy) = in_front(json!({"isolation": isolation})).await?;
        let client = Session::open_as(proxy.mcp, &secrets).await?;
        client.tool("echo", &json!({"message": "x"})).await?;
        for seen in server.seen() {
            for (name, _) in secrets {
                assert!(seen.headers.get(name).is_none(), "{isolation}: {name} reached the server");
            }
        }
    }
    let server = Scripted::start().await?;
    let upstream = json!({"url": server.url(), "auth": {"type": "Passthrough"}});
    let proxy = Proxy::start(&server.url(), &json!({"isolation": "Principal", "upstream": upstream})).await?;
    let client = Session::open_as(proxy.mcp, &A).await?;
    client.tool("echo", &json!({"message": "x"})).await?;
    let call = server.calls("echo").remove(0);
    assert_eq!(call.headers.get("authorization").and_then(|value| value.to_str().ok()), Some(A[0].1));
    let opened: Vec<_> =
        server.seen_as("initialize").into_iter().filter(|seen| seen.session.is_none()).collect();
    assert!(
        opened.iter().any(|seen| seen.headers.get("authorization").is_some()),
        "the handshake has it too"
    );
    Ok(())
}

#[tokio::test]
async fn named_headers_are_forwarded() -> Result<()> {
    let (server, proxy) = in_front(json!({"poolMaxSize": 4, "forwardHeaders": ["X-Tenant"]})).await?;
    let tenant = |name: &'static str| {
        [
            ("x-tenant", name),
            ("x-other", "not this"),
            ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        ]
    };
    let one = Session::open_as(proxy.mcp, &tenant("one")).await?;
    let other = Session::open_as(proxy.mcp, &tenant("other")).await?;
    remember(&one, "one").await?;
    remember(&other, "other").await?;
    assert!(!recall(&one).await?.contains("other"), "sessions are not shared between values");
    for seen in server.seen_as("tools/call") {
        assert!(
            seen.headers.get("x-tenant").is_some() && seen.headers.get("x-other").is_none(),
            "{:?}",
            seen.headers
        );
        assert!(seen.headers.get("traceparent").is_some(), "trace headers are forwarded");
    }
    Ok(())
}

/// State of a real server, kept by its session.
#[tokio::test]
async fn real_servers_state_is_apart() -> Result<()> {
    let server = Upstream::python().await?;
    for (isolation, seen) in [("Shared", json!("a")), ("Principal", Value::Null), ("Session", Value::Null)] {
        let proxy =
            Proxy::ready(&server.url(), &json!({"isolation": isolation, "poolMinSize": 0, "poolMaxSize": 1}))
                .await;
        let proxy = match proxy {
            Ok(proxy) => proxy,
            Err(error) => return Err(error.context(isolation)),
        };
        let a = Session::open_as(proxy.mcp, &A).await?;
        a.tool("set_state", &json!({"key": isolation, "value": "a"})).await?;
        if isolation == "Session" {
            a.end().await?;
        }
        let b = Session::open_as(proxy.mcp, &B).await?;
        let found: Value = serde_json::from_str(&b.tool("get_state", &json!({"key": isolation})).await?)?;
        assert_eq!(found, seen, "{isolation}");
    }
    Ok(())
}
