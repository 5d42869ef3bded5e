//! Load: workers that call one tool as fast as they get answers, and check each answer.

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Method, Request, Response, StatusCode, body::Incoming};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};

/// Numbers payloads over all rounds, so that no old answer passes for a new one.
static NEXT_PAYLOAD: AtomicU64 = AtomicU64::new(0);

/// What a worker does for each call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Calls on one session that it keeps.
    Kept,
    /// Opens a session, calls once, ends the session.
    PerCall,
}

impl Mode {
    /// How tables name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Kept => "kept",
            Self::PerCall => "one per call",
        }
    }
}

/// Where the load goes, and whose it is.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// What serves `/mcp`.
    pub address: SocketAddr,
    /// As how many users the workers come, each with a credential; 0: without one.
    pub users: usize,
}

/// What a run came to.
#[derive(Debug, Clone, Default)]
pub struct Sample {
    /// Calls in a second.
    pub throughput: f64,
    /// All calls, those of the warm-up too.
    pub calls: usize,
    /// Times of single calls, ascending.
    pub latencies: Vec<Duration>,
}

impl Sample {
    /// The time that `share` of the calls did not exceed.
    pub fn quantile(&self, percent: usize) -> Duration {
        let at = self.latencies.len().saturating_sub(1) * percent / 100;
        self.latencies.get(at).copied().unwrap_or_default()
    }
}

/// Runs `workers` for `time`, after a short warm-up that is not counted.
///
/// # Errors
/// If any call fails or gets another's answer.
pub async fn run(target: Target, mode: Mode, workers: usize, time: Duration) -> Result<Sample> {
    let warm = Instant::now() + time / 5;
    let end = warm + time;
    let tasks: Vec<_> =
        (0..workers).map(|number| tokio::spawn(worker(target, mode, number, warm, end))).collect();
    let mut sample = Sample::default();
    for task in tasks {
        let (calls, latencies) = task.await??;
        sample.calls += calls;
        sample.latencies.extend(latencies);
    }
    sample.latencies.sort_unstable();
    sample.throughput = sample.latencies.len() as f64 / time.as_secs_f64();
    Ok(sample)
}

/// The same on one thread: enough for servers that people run, and least in their way where processor cores are few.
///
/// # Errors
/// If any call fails or gets another's answer.
pub async fn run_on_one_thread(target: Target, mode: Mode, workers: usize, time: Duration) -> Result<Sample> {
    tokio::task::spawn_blocking(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(run(target, mode, workers, time))
    })
    .await?
}

async fn worker(
    target: Target,
    mode: Mode,
    number: usize,
    warm: Instant,
    end: Instant,
) -> Result<(usize, Vec<Duration>)> {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let client = McpClient {
        http: Client::builder(TokioExecutor::new()).build(connector),
        url: format!("http://{}/mcp", target.address),
        credential: (target.users > 0).then(|| format!("Bearer user-{}", number % target.users)),
    };
    let mut calls = 0;
    let mut latencies = Vec::new();
    let mut kept = None;
    loop {
        let start = Instant::now();
        if start >= end {
            break;
        }
        let session = match (mode, kept.take()) {
            (Mode::Kept, Some(session)) => session,
            _ => client.open().await?,
        };
        let payload = NEXT_PAYLOAD.fetch_add(1, Ordering::Relaxed);
        client.echo(&session, &format!("payload {payload} of worker {number}")).await?;
        match mode {
            Mode::Kept => kept = Some(session),
            Mode::PerCall => client.end(&session).await?,
        }
        calls += 1;
        if start >= warm {
            latencies.push(start.elapsed());
        }
    }
    if let Some(session) = kept {
        client.end(&session).await?;
    }
    Ok((calls, latencies))
}

struct McpClient {
    http: Client<HttpConnector, Full<Bytes>>,
    url: String,
    credential: Option<String>,
}

impl McpClient {
    async fn send(&self, method: Method, session: Option<&str>, body: String) -> Result<Response<Incoming>> {
        let mut request = Request::builder()
            .method(method)
            .uri(&self.url)
            .header("content-type", "application/json")
            .header("accept", "application/json, text/event-stream");
        if let Some(session) = session {
            request = request.header("mcp-session-id", session).header("mcp-protocol-version", "2025-11-25");
        }
        if let Some(credential) = &self.credential {
            request = request.header("authorization", credential);
        }
        Ok(self.http.request(request.body(Full::from(body))?).await?)
    }

    async fn open(&self) -> Result<String> {
        let body = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"bench","version":"1"}}}"#;
        let response = self.send(Method::POST, None, body.to_owned()).await?;
        ensure!(response.status() == StatusCode::OK, "initialize: HTTP {}", response.status());
        let session = response.headers().get("mcp-session-id").context("no session id")?.to_str()?.to_owned();
        response.into_body().collect().await?;
        let body = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
        let response = self.send(Method::POST, Some(&session), body.to_owned()).await?;
        response.into_body().collect().await?;
        Ok(session)
    }

    async fn echo(&self, session: &str, payload: &str) -> Result<()> {
        let body = format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"echo","arguments":{{"message":"{payload}"}}}}}}"#
        );
        let response = self.send(Method::POST, Some(session), body).await?;
        let status = response.status();
        let answer = response.into_body().collect().await?.to_bytes();
        let answer = String::from_utf8_lossy(&answer);
        // Some servers put a word before it.
        let found = status == StatusCode::OK
            && answer.contains(&format!("{payload}\""))
            && !answer.contains("\"isError\":true");
        ensure!(found, "asked {payload:?}, got HTTP {status} {answer}");
        Ok(())
    }

    async fn end(&self, session: &str) -> Result<()> {
        let response = self.send(Method::DELETE, Some(session), String::new()).await?;
        ensure!(response.status().is_success(), "DELETE: HTTP {}", response.status());
        response.into_body().collect().await?;
        Ok(())
    }
}
