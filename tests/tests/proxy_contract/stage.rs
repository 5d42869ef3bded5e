//! A scripted server, and a proxy in front of it whose file can be changed.

use std::collections::HashSet;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use crds::wire::{PoolStats, SessionInfo};
use serde_json::{Value, json};
use tests::mcp_client::Session;
use tests::proxy::manifest;
use tests::scripted::Scripted;
use tests::{Proxy, eventually};

/// The longest wait for a state in a test that succeeds.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// What a test plays on.
pub struct Stage {
    /// The MCP server.
    pub server: Scripted,
    /// The proxy in front of it.
    pub proxy: Proxy,
    generation: AtomicI64,
}

impl Stage {
    /// Starts both, with `spec` as in [`manifest`], and waits until clients may come.
    pub async fn ready(spec: &Value) -> Result<Self> {
        Self::before(Scripted::start().await?, spec).await
    }

    /// The same with a server that runs.
    pub async fn before(server: Scripted, spec: &Value) -> Result<Self> {
        let proxy = Proxy::ready(&server.url(), spec).await?;
        Ok(Self { server, proxy, generation: AtomicI64::new(1) })
    }

    /// Also waits until all of `poolMinSize` sessions wait for work.
    pub async fn full(spec: &Value) -> Result<Self> {
        let stage = Self::ready(spec).await?;
        stage.when("the smallest size", |stats| stats.available_sessions >= stats.min_size).await?;
        Ok(stage)
    }

    /// Puts `spec` into the file and waits until it is in force.
    pub async fn change(&self, spec: &Value) -> Result<PoolStats> {
        let generation = self.generation.fetch_add(1, Ordering::Relaxed) + 1;
        let mut whole = manifest(&self.server.url(), spec);
        whole["metadata"]["generation"] = json!(generation);
        self.proxy.write_config(&whole.to_string())?;
        self.proxy.signal("HUP")?;
        self.when("the changed file to be in force", |stats| {
            stats.generation == Some(generation) && stats.config_error.is_none()
        })
        .await
    }

    /// A client without a credential.
    pub async fn client(&self) -> Result<Session> {
        Session::open(self.proxy.mcp).await
    }

    /// A client with a credential of this name; equal names are one principal.
    pub async fn user(&self, name: &str) -> Result<Session> {
        Session::open_as(self.proxy.mcp, &[("authorization", &format!("Bearer {name}"))]).await
    }

    /// Statistics, once `check` accepts them.
    pub async fn when(&self, what: &str, check: impl Fn(&PoolStats) -> bool) -> Result<PoolStats> {
        self.proxy.stats_when(what, check).await
    }

    /// Statistics, once nothing runs, waits or is being opened.
    pub async fn rest(&self) -> Result<PoolStats> {
        self.when("rest", |stats| stats.active_leases == 0 && stats.waiting == 0 && stats.initializing == 0)
            .await
    }

    /// The pool's list of its sessions.
    pub async fn slots(&self) -> Result<Vec<SessionInfo>> {
        let (status, text) = self.proxy.admin("/pool/sessions").await?;
        ensure!(status == 200, "{status} {text}");
        serde_json::from_str(&text).context(text)
    }

    /// Waits until the server's open sessions are as `check` wants them.
    pub async fn server_sessions(
        &self,
        what: &str,
        check: impl Fn(&HashSet<String>) -> bool,
    ) -> Result<HashSet<String>> {
        eventually(PATIENCE, what, async || {
            let sessions = self.server.sessions();
            ensure!(check(&sessions), "open at the server: {sessions:?}");
            Ok(sessions)
        })
        .await
    }

    /// Sessions that the server was asked to end.
    pub fn deleted(&self) -> HashSet<String> {
        self.server.seen_as("DELETE").into_iter().filter_map(|seen| seen.session).collect()
    }

    /// Sessions that were opened so far.
    pub fn opened(&self) -> usize {
        self.server.seen_as("initialize").len()
    }

    /// The upstream session that the held call with this gate runs on; waits until it has come.
    pub async fn session_of(&self, gate: &str) -> Result<String> {
        eventually(PATIENCE, "the held call", async || {
            let calls = self.server.calls("hold");
            let call = calls.iter().find(|call| call.message["params"]["arguments"]["gate"] == gate);
            call.and_then(|call| call.session.clone()).with_context(|| format!("no call of gate {gate}"))
        })
        .await
    }
}

/// The invariants of the statistics, which hold in every snapshot.
pub fn check_sums(stats: &PoolStats) -> Result<()> {
    let parts = stats.active_sessions + stats.available_sessions + stats.unhealthy_sessions;
    ensure!(stats.total_sessions == parts, "total = active + available + unhealthy: {stats:?}");
    ensure!(stats.total_creates - stats.total_destroys == stats.total_sessions, "creates: {stats:?}");
    ensure!(stats.total_acquisitions - stats.total_releases == stats.active_leases, "leases: {stats:?}");
    Ok(())
}
