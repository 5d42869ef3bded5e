//! A tool call whose whole answer matters: status, headers, error, time.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tests::mcp_client::{Endpoint, POST_HEADERS, Reply, Session, initialize, tool_call};
use tokio::task::JoinHandle;

/// What a client got.
#[derive(Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// `Retry-After`, in seconds.
    pub retry_after: Option<u64>,
    /// The JSON-RPC response.
    pub body: Value,
    /// From sending to the end of the answer.
    pub took: Duration,
}

impl Answer {
    async fn read(reply: Reply, begin: Instant) -> Result<Self> {
        let status = reply.status;
        let retry_after = reply.header("retry-after").and_then(|seconds| seconds.parse().ok());
        let text = reply.answer().await?;
        let body = serde_json::from_str(&text).with_context(|| format!("{status} {text}"))?;
        Ok(Self { status, retry_after, body, took: begin.elapsed() })
    }

    /// The tool's text.
    pub fn text(&self) -> Result<&str> {
        ensure!(self.status == 200, "{self:?}");
        self.body["result"]["content"][0]["text"].as_str().with_context(|| format!("{self:?}"))
    }

    /// Why there is none.
    pub fn reason(&self) -> &str {
        self.body["error"]["data"]["reason"].as_str().unwrap_or_default()
    }

    /// Checks that it is 503 for this reason, as JSON-RPC error and with `Retry-After`.
    pub fn is_refused(&self, reason: &str) -> Result<()> {
        let said = self.body["error"]["message"].as_str().is_some_and(|message| !message.is_empty());
        let complete = self.status == 503 && self.retry_after.is_some_and(|seconds| seconds >= 1) && said;
        ensure!(complete && self.reason() == reason, "not refused as {reason}: {self:?}");
        Ok(())
    }
}

/// Calls a tool.
pub async fn call(client: &Session, tool: &str, arguments: &Value) -> Result<Answer> {
    static IDS: AtomicU64 = AtomicU64::new(1);
    let id = IDS.fetch_add(1, Ordering::Relaxed);
    let begin = Instant::now();
    let reply = client.post(&tool_call(&id.to_string(), tool, arguments)).await?;
    let answer = Answer::read(reply, begin).await?;
    ensure!(answer.body["id"] == id, "the answer to another call than {id}: {answer:?}");
    Ok(answer)
}

/// Asks for a client session.
pub async fn handshake(endpoint: &Endpoint) -> Result<Answer> {
    let begin = Instant::now();
    let reply = endpoint.send("POST", "/mcp", &POST_HEADERS, initialize("2025-11-25")).await?;
    Answer::read(reply, begin).await
}

/// Calls a tool in the background.
pub fn start(client: &Session, tool: &'static str, arguments: Value) -> JoinHandle<Result<Answer>> {
    let client = client.clone();
    tokio::spawn(async move { call(&client, tool, &arguments).await })
}

/// Starts a call that waits at the server until `gate` opens, and answers the gate's name.
pub fn hold(client: &Session, gate: &str) -> JoinHandle<Result<Answer>> {
    start(client, "hold", json!({"gate": gate, "message": gate}))
}

/// Calls `echo`, which must succeed.
pub async fn echo(client: &Session, message: &str) -> Result<()> {
    let answer = call(client, "echo", &json!({"message": message})).await?;
    ensure!(answer.text()? == message, "another answer than {message}: {answer:?}");
    Ok(())
}

/// The upstream session that the next call runs on.
pub async fn whoami(client: &Session) -> Result<String> {
    Ok(call(client, "whoami", &json!({})).await?.text()?.to_owned())
}

/// The upstream sessions that the next `count` calls run on, one after another.
pub async fn sequence(client: &Session, count: usize) -> Result<Vec<String>> {
    let mut used = Vec::new();
    for _ in 0..count {
        used.push(whoami(client).await?);
    }
    Ok(used)
}
