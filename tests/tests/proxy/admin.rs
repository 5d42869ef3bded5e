//! The admin port: statistics, metrics, sessions, probes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result};
use crds::wire::{PoolStats, SessionInfo};
use futures::future::try_join_all;
use serde_json::{Value, json};
use tests::mcp_client::{Endpoint, Session, tool_call};

use crate::in_front;

const DOCUMENTED: [&str; 15] = [
    "pool_id",
    "server_id",
    "strategy",
    "status",
    "total_sessions",
    "active_sessions",
    "available_sessions",
    "unhealthy_sessions",
    "min_size",
    "max_size",
    "total_acquisitions",
    "total_releases",
    "total_timeouts",
    "total_creates",
    "total_destroys",
];

#[tokio::test]
async fn statistics_have_the_documented_keys() -> Result<()> {
    let (_server, proxy) = in_front(json!({"poolMinSize": 2, "poolMaxSize": 7})).await?;
    let client = Session::open(proxy.mcp).await?;
    client.tool("echo", &json!({"message": "x"})).await?;
    proxy.stats_when("rest", |stats| stats.total_sessions == 2 && stats.active_leases == 0).await?;
    let stats: BTreeMap<String, Value> = serde_json::from_str(&proxy.admin("/pool/stats").await?.1)?;
    for name in DOCUMENTED {
        let value = stats.get(name).with_context(|| format!("no {name}"))?;
        assert!(value.is_string() || value.is_u64(), "{name}: {value}");
    }
    assert!(stats.keys().all(|name| name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')));
    assert_eq!(stats["server_id"], "default.test");
    assert_eq!(stats["pool_id"], "pool-test");
    assert_eq!(stats["strategy"], "round_robin");
    assert_eq!(stats["status"], "active");
    assert_eq!((&stats["min_size"], &stats["max_size"]), (&json!(2), &json!(7)));
    assert_eq!((&stats["total_acquisitions"], &stats["total_releases"]), (&json!(1), &json!(1)));
    Ok(())
}

fn check(stats: &PoolStats) {
    let parts = stats.active_sessions + stats.available_sessions + stats.unhealthy_sessions;
    assert_eq!(stats.total_sessions, parts, "{stats:?}");
    assert_eq!(stats.total_creates - stats.total_destroys, stats.total_sessions, "{stats:?}");
    assert_eq!(stats.total_acquisitions - stats.total_releases, stats.active_leases, "{stats:?}");
    assert!(stats.total_sessions <= stats.max_size, "{stats:?}");
}

/// In every snapshot, also while sessions come, go and get lost.
#[tokio::test]
async fn statistics_add_up_at_any_time() -> Result<()> {
    let (server, proxy) = in_front(json!({"poolMinSize": 1, "poolMaxSize": 4, "poolMaxRequests": 5})).await?;
    let done = Arc::new(AtomicBool::new(false));
    let finished = Arc::clone(&done);
    let clients = try_join_all((0..8).map(|_| Session::open(proxy.mcp))).await?;
    let load = async {
        try_join_all(clients.iter().map(async |client| {
            for call in 0..25 {
                if call == 10 {
                    server.forget_sessions();
                }
                client.request("tools/call", &json!({"name": "echo", "arguments": {"message": "x"}})).await?;
            }
            anyhow::Ok(())
        }))
        .await?;
        finished.store(true, Ordering::Relaxed);
        anyhow::Ok(())
    };
    let watch = async {
        let mut snapshots = 0;
        while !done.load(Ordering::Relaxed) {
            check(&proxy.stats().await?);
            snapshots += 1;
        }
        anyhow::Ok(snapshots)
    };
    let ((), snapshots) = futures::try_join!(load, watch)?;
    assert!(snapshots > 3, "{snapshots}");
    check(&proxy.stats_when("rest", |stats| stats.active_leases == 0 && stats.initializing == 0).await?);
    Ok(())
}

/// Name to value of every sample.
fn samples(text: &str) -> Result<BTreeMap<String, f64>> {
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| {
            let (name, value) = line.rsplit_once(' ').with_context(|| line.to_owned())?;
            Ok((name.to_owned(), value.parse().with_context(|| line.to_owned())?))
        })
        .collect()
}

#[tokio::test]
async fn metrics_have_the_documented_names() -> Result<()> {
    let (server, proxy) = in_front(json!({"poolMinSize": 1, "poolMaxSize": 1, "poolTimeout": 1})).await?;
    let client = Session::open(proxy.mcp).await?;
    let held = client.clone();
    let call = tokio::spawn(async move { held.tool("hold", &json!({"gate": "g"})).await });
    server.calls_reach("hold", 1).await?;
    assert_eq!(client.request("tools/call", &json!({"name": "echo", "arguments": {}})).await?.0, 503);
    let (status, text) = proxy.admin("/metrics").await?;
    assert_eq!(status, 200);
    let metrics = samples(&text)?;
    let value = |name: &str| metrics.get(name).copied().with_context(|| format!("no {name} in\n{text}"));
    assert!(
        (value(r#"mcpgateway_pool_sessions_total{server_id="default.test",status="active"}"#)? - 1.0).abs()
            < 0.1
    );
    assert!((value(r#"mcpgateway_pool_acquisitions_total{server_id="default.test"}"#)? - 1.0).abs() < 0.1);
    assert!((value(r#"mcpgateway_pool_timeouts_total{server_id="default.test"}"#)? - 1.0).abs() < 0.1);
    assert!(value(r#"mcpgateway_pool_session_age_seconds{server_id="default.test",quantile="0.5"}"#)? > 0.0);
    // Each family is explained before its samples.
    for name in metrics.keys() {
        let base = name.split('{').next().unwrap_or_default();
        let family =
            ["_bucket", "_sum", "_count"].iter().find_map(|end| base.strip_suffix(end)).unwrap_or(base);
        let known = [base, family].iter().any(|family| text.contains(&format!("# TYPE {family} ")));
        assert!(known, "{name} has no TYPE");
    }
    server.open("g");
    call.await??;
    Ok(())
}

#[tokio::test]
async fn sessions_are_listed_without_secrets() -> Result<()> {
    let (server, proxy) = in_front(json!({"isolation": "Principal", "poolMinSize": 0})).await?;
    let client = Session::open_as(proxy.mcp, &[("authorization", "Bearer very-secret-token")]).await?;
    client.tool("echo", &json!({"message": "x"})).await?;
    let (status, text) = proxy.admin("/pool/sessions").await?;
    assert_eq!(status, 200);
    let sessions: Vec<SessionInfo> = serde_json::from_str(&text)?;
    assert_eq!((sessions.len(), sessions[0].scope.as_str()), (1, "principal"), "{text}");
    let pages = [text, proxy.admin("/pool/stats").await?.1, proxy.admin("/metrics").await?.1, proxy.log()];
    for page in pages {
        for session in server.sessions() {
            assert!(!page.contains(&session), "the server's session id is in: {page}");
        }
        assert!(!page.contains("very-secret-token") && !page.contains(&client.id), "{page}");
    }
    Ok(())
}

#[tokio::test]
async fn only_known_pages_and_methods() -> Result<()> {
    let (_server, proxy) = in_front(json!({})).await?;
    let admin = Endpoint::new(proxy.admin);
    assert_eq!(proxy.admin("/").await?.0, 404);
    assert_eq!(proxy.admin("/mcp").await?.0, 404);
    for path in ["/readyz", "/livez", "/metrics", "/pool/stats", "/pool/sessions"] {
        assert_eq!(proxy.admin(path).await?.0, 200, "{path}");
        let reply = admin.send("POST", path, &[], "").await?;
        assert_eq!(reply.status, 405, "{path}");
    }
    Ok(())
}

/// What it refuses costs no session.
#[tokio::test]
async fn refused_requests_take_no_session() -> Result<()> {
    let (_server, proxy) = in_front(json!({"poolMinSize": 1})).await?;
    let client = Session::open(proxy.mcp).await?;
    client.post("{").await?;
    client.with_id("x").post(&tool_call("1", "echo", &json!({}))).await?;
    client.result("ping", &json!({})).await?;
    assert_eq!(proxy.stats().await?.total_acquisitions, 0);
    Ok(())
}
