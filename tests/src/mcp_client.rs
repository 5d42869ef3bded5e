//! An MCP client that shows and sets every byte: HTTP requests and replies, SSE events, JSON-RPC texts.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::{HeaderMap, Request};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};

/// The newest protocol version with sessions.
pub const VERSION: &str = "2025-11-25";

/// What a client sends with every POST.
pub const POST_HEADERS: [(&str, &str); 2] =
    [("content-type", "application/json"), ("accept", "application/json, text/event-stream")];

/// No answer takes longer in a test that succeeds.
const PATIENCE: Duration = Duration::from_secs(20);

/// An HTTP server that is spoken to.
#[derive(Debug, Clone)]
pub struct Endpoint {
    client: Client<HttpConnector, Full<Bytes>>,
    address: SocketAddr,
}

impl Endpoint {
    /// The server at `address`.
    pub fn new(address: SocketAddr) -> Self {
        Self { client: Client::builder(TokioExecutor::new()).build_http(), address }
    }

    /// Where it is.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sends one request and waits for the reply's head.
    pub async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Result<Reply> {
        let mut request = Request::builder().method(method).uri(format!("http://{}{path}", self.address));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let sending = self.client.request(request.body(Full::new(body.into()))?);
        let response = tokio::time::timeout(PATIENCE, sending)
            .await
            .with_context(|| format!("{method} {path}: no reply"))??;
        let (head, body) = response.into_parts();
        Ok(Reply { status: head.status.as_u16(), headers: head.headers, body, unread: Vec::new() })
    }

    /// POSTs a message to `/mcp` without a session.
    pub async fn post(&self, body: &str) -> Result<Reply> {
        self.send("POST", "/mcp", &POST_HEADERS, body.to_owned()).await
    }
}

/// The head of a reply, and a body that is read on demand.
#[derive(Debug)]
pub struct Reply {
    /// Status code.
    pub status: u16,
    /// Headers.
    pub headers: HeaderMap,
    body: Incoming,
    unread: Vec<u8>,
}

impl Reply {
    /// A header, when there and text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Whether the body is an SSE stream.
    pub fn is_stream(&self) -> bool {
        self.header("content-type").is_some_and(|kind| kind.starts_with("text/event-stream"))
    }

    /// The whole body.
    pub async fn text(mut self) -> Result<String> {
        while self.read_more().await? {}
        Ok(String::from_utf8(self.unread)?)
    }

    /// Status and whole body.
    pub async fn status_and_text(self) -> Result<(u16, String)> {
        Ok((self.status, self.text().await?))
    }

    /// The next SSE event; none at the end. Comments are left out.
    pub async fn event(&mut self) -> Result<Option<Event>> {
        let mut searched = 0;
        loop {
            if let Some(at) = self.unread[searched..].windows(2).position(|pair| pair == b"\n\n") {
                let block: Vec<u8> = self.unread.drain(..searched + at + 2).collect();
                searched = 0;
                if let Some(event) = Event::parse(std::str::from_utf8(&block)?) {
                    return Ok(Some(event));
                }
                continue;
            }
            searched = self.unread.len().saturating_sub(1);
            if !self.read_more().await? {
                return Ok(None);
            }
        }
    }

    /// The JSON-RPC response as it was sent: the body, or the first event that is neither request nor notification.
    pub async fn answer(mut self) -> Result<String> {
        if !self.is_stream() {
            return self.text().await;
        }
        while let Some(event) = self.event().await? {
            if !event.data.is_empty() && event.json()?.get("method").is_none() {
                return Ok(event.data);
            }
        }
        bail!("the stream ended without a response")
    }

    async fn read_more(&mut self) -> Result<bool> {
        let frame =
            tokio::time::timeout(PATIENCE, self.body.frame()).await.context("the body does not go on")?;
        let Some(frame) = frame else { return Ok(false) };
        if let Ok(data) = frame?.into_data() {
            self.unread.extend(data.iter().filter(|byte| **byte != b'\r'));
        }
        Ok(true)
    }
}

/// One SSE event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The event's id.
    pub id: Option<String>,
    /// Its data, lines joined.
    pub data: String,
}

impl Event {
    fn parse(block: &str) -> Option<Self> {
        let (mut id, mut data) = (None, Vec::new());
        for line in block.lines() {
            let (name, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match name {
                "data" => data.push(value),
                "id" => id = Some(value.to_owned()),
                _ => {}
            }
        }
        (id.is_some() || !data.is_empty()).then(|| Self { id, data: data.join("\n") })
    }

    /// The data as JSON.
    pub fn json(&self) -> Result<Value> {
        serde_json::from_str(&self.data).with_context(|| format!("an event that is no JSON: {}", self.data))
    }
}

/// A client session after its handshake.
#[derive(Debug, Clone)]
pub struct Session {
    /// Where it was opened.
    pub endpoint: Endpoint,
    /// Its `Mcp-Session-Id`; empty when the server gave none.
    pub id: String,
    /// The answer to `initialize`.
    pub handshake: Value,
    headers: Vec<(String, String)>,
    next_id: Arc<AtomicU64>,
}

impl Session {
    /// Opens one without capabilities or further headers.
    pub async fn open(address: SocketAddr) -> Result<Self> {
        Self::open_as(address, &[]).await
    }

    /// Opens one that sends `headers` with every request.
    pub async fn open_as(address: SocketAddr, headers: &[(&str, &str)]) -> Result<Self> {
        Self::open_with(address, headers, &json!({})).await
    }

    /// Opens one with these client capabilities.
    pub async fn open_with(
        address: SocketAddr,
        headers: &[(&str, &str)],
        capabilities: &Value,
    ) -> Result<Self> {
        let endpoint = Endpoint::new(address);
        let all: Vec<_> = POST_HEADERS.iter().chain(headers).copied().collect();
        let reply = endpoint.send("POST", "/mcp", &all, handshake(VERSION, capabilities)).await?;
        let (status, id) = (reply.status, reply.header("mcp-session-id").unwrap_or_default().to_owned());
        let answer = reply.answer().await?;
        ensure!(status == 200, "initialize: {status} {answer}");
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let handshake = serde_json::from_str(&answer)?;
        let session = Self { endpoint, id, handshake, headers, next_id: Arc::new(AtomicU64::new(1)) };
        let (status, text) = session
            .post(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#)
            .await?
            .status_and_text()
            .await?;
        ensure!(status == 202 && text.is_empty(), "notifications/initialized: {status} {text}");
        Ok(session)
    }

    /// The same session spoken at another address: the proxy was started again.
    #[must_use]
    pub fn moved_to(&self, address: SocketAddr) -> Self {
        Self { endpoint: Endpoint::new(address), ..self.clone() }
    }

    /// The same session with another id.
    #[must_use]
    pub fn with_id(&self, id: &str) -> Self {
        Self { id: id.to_owned(), ..self.clone() }
    }

    /// The same session id, sent with other headers.
    #[must_use]
    pub fn with_headers(&self, headers: &[(&str, &str)]) -> Self {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Self { headers, ..self.clone() }
    }

    /// Sends one request of this session.
    pub async fn send(&self, method: &str, more: &[(&str, &str)], body: &str) -> Result<Reply> {
        let mut headers = more.to_vec();
        headers.extend(self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        headers.push((
            "mcp-protocol-version",
            self.handshake["result"]["protocolVersion"].as_str().unwrap_or(VERSION),
        ));
        if !self.id.is_empty() {
            headers.push(("mcp-session-id", &self.id));
        }
        self.endpoint.send(method, "/mcp", &headers, body.to_owned()).await
    }

    /// POSTs a message as it stands.
    pub async fn post(&self, body: &str) -> Result<Reply> {
        self.send("POST", &POST_HEADERS, body).await
    }

    /// Opens the session's stream of server messages.
    pub async fn listen(&self) -> Result<Reply> {
        self.send("GET", &[("accept", "text/event-stream")], "").await
    }

    /// Ends the session; gives the status.
    pub async fn end(&self) -> Result<u16> {
        Ok(self.send("DELETE", &[], "").await?.status)
    }

    /// Sends a request and gives status and text of the answer.
    pub async fn request(&self, method: &str, params: &Value) -> Result<(u16, String)> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let body = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
        let reply = self.post(&body.to_string()).await?;
        Ok((reply.status, reply.answer().await?))
    }

    /// The result of a request that must succeed.
    pub async fn result(&self, method: &str, params: &Value) -> Result<Value> {
        let (status, text) = self.request(method, params).await?;
        let answer: Value =
            serde_json::from_str(&text).with_context(|| format!("{method}: {status} {text}"))?;
        answer.get("result").cloned().with_context(|| format!("{method}: {status} {text}"))
    }

    /// The first text of a tool's result, which must not be an error.
    pub async fn tool(&self, name: &str, arguments: &Value) -> Result<String> {
        let result = self.result("tools/call", &json!({"name": name, "arguments": arguments})).await?;
        ensure!(result["isError"] != json!(true), "{name}: {result}");
        Ok(result["content"][0]["text"].as_str().with_context(|| format!("{name}: {result}"))?.to_owned())
    }
}

/// The text of an `initialize` request with id 0.
pub fn initialize(version: &str) -> String {
    handshake(version, &json!({}))
}

fn handshake(version: &str, capabilities: &Value) -> String {
    json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
        "protocolVersion": version, "capabilities": capabilities, "clientInfo": {"name": "suite", "version": "1"}
    }})
    .to_string()
}

/// The text of a `tools/call` request; `id` is JSON text.
pub fn tool_call(id: &str, name: &str, arguments: &Value) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"{name}","arguments":{arguments}}}}}"#
    )
}
