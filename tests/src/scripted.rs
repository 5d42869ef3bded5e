//! An MCP server inside the test: it counts what it is asked, waits at gates, and misbehaves on demand.

use std::collections::HashSet;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use bytes::Bytes;
use futures::stream;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderMap};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use crate::eventually::eventually;

mod state;
mod tools;

use state::State;

const PATIENCE: Duration = Duration::from_secs(20);

/// Bytes that a proxy must not touch: unknown fields, number spellings, escapes, order.
pub const TOOLS: &str = r#"{"tools":[{"name":"echo","zeta":{"b":1.0,"a":1e2,"n":12345678901234567890123},"inputSchema":{"type":"object"},"é":"\u00e9\/"}],"_later":[null , true]}"#;

/// How the server differs from a good one.
#[derive(Debug, Clone, Default)]
pub struct Behaviour {
    /// Sessions have no id.
    pub no_session_ids: bool,
    /// Status and body for an unknown session, in place of 404 and a JSON-RPC error.
    pub unknown_session: Option<(u16, String)>,
    /// Answers are JSON in place of an SSE stream.
    pub json_answers: bool,
    /// Status, content type and body in place of the answer to `initialize`.
    pub initialize: Option<(u16, String, String)>,
    /// The answer to `initialize` waits for this gate.
    pub initialize_gate: Option<String>,
    /// Status, content type and body in place of answers to `ping`.
    pub ping: Option<(u16, String, String)>,
    /// `DELETE` is answered 405.
    pub no_delete: bool,
    /// Methods that it answers with -32601.
    pub unknown_methods: Vec<String>,
    /// What each call takes longer.
    pub call_time: Duration,
    /// The result of `tools/list` as JSON text, in place of [`TOOLS`].
    pub tools: Option<String>,
}

/// What becomes of a call that was executed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Its connection is closed before the reply's head.
    Disconnect,
    /// Its stream ends without an answer.
    EndOfStream,
    /// It is answered 404, though its session is known.
    NotFound,
}

/// One HTTP request that came.
#[derive(Debug, Clone)]
pub struct Seen {
    /// HTTP method.
    pub http: String,
    /// JSON-RPC method.
    pub method: Option<String>,
    /// Session id.
    pub session: Option<String>,
    /// All headers.
    pub headers: HeaderMap,
    /// The message.
    pub message: Value,
    /// The message as it came.
    pub text: String,
    /// When it came.
    pub at: Instant,
}

/// The running server; ended when dropped.
#[derive(Debug)]
pub struct Scripted {
    /// Where it answers, at `/mcp`.
    pub address: SocketAddr,
    state: Arc<State>,
    accepting: JoinHandle<()>,
}

type Body = UnsyncBoxBody<Bytes, Infallible>;

impl Scripted {
    /// Starts a good server.
    pub async fn start() -> Result<Self> {
        Self::behaving(Behaviour::default()).await
    }

    /// Starts one that behaves so.
    pub async fn behaving(behaviour: Behaviour) -> Result<Self> {
        Self::on(crate::free_listener().await?, behaviour)
    }

    /// Starts one at an address.
    pub async fn at(address: SocketAddr, behaviour: Behaviour) -> Result<Self> {
        Self::on(TcpListener::bind(address).await?, behaviour)
    }

    fn on(listener: TcpListener, behaviour: Behaviour) -> Result<Self> {
        let address = listener.local_addr()?;
        let state = Arc::new(State::new(behaviour));
        let accepting = tokio::spawn(accept(listener, Arc::clone(&state)));
        Ok(Self { address, state, accepting })
    }

    /// The URL that a pool names.
    pub fn url(&self) -> String {
        format!("http://{}/mcp", self.address)
    }

    /// Changes how it behaves from now on.
    pub fn behave(&self, change: impl FnOnce(&mut Behaviour)) {
        change(&mut self.state.behaviour());
    }

    /// Forgets every session, as a server that was started again.
    pub fn forget_sessions(&self) {
        self.state.streams().clear();
        self.state.sessions().clear();
    }

    /// Sends a message on every open stream of a session; gives their number.
    pub async fn push(&self, message: &Value) -> usize {
        let streams: Vec<_> = self.state.streams().values().cloned().collect();
        let mut reached = 0;
        for stream in streams {
            reached += usize::from(stream.send(message.to_string()).await.is_ok());
        }
        reached
    }

    /// Waits until a stream of a session is open.
    pub async fn stream_opens(&self) -> Result<()> {
        eventually(PATIENCE, "a stream at the server", async || {
            self.state.streams().retain(|_, stream| !stream.is_closed());
            ensure!(!self.state.streams().is_empty(), "there is none");
            Ok(())
        })
        .await
    }

    /// Lets all pass that wait or will wait at `gate`.
    pub fn open(&self, gate: &str) {
        self.state.gates.send_modify(|gates| {
            gates.insert(gate.to_owned());
        });
    }

    /// Lets the next `count` calls of a tool end so, after they were executed.
    pub fn fail_next(&self, tool: &str, fault: Fault, count: usize) {
        self.state.faults().extend(std::iter::repeat_n((tool.to_owned(), fault), count));
    }

    /// Sessions that are open.
    pub fn sessions(&self) -> HashSet<String> {
        self.state.sessions().clone()
    }

    /// The most calls that a session carried at the same time.
    pub fn most_at_once(&self) -> usize {
        self.state.most_at_once()
    }

    /// Everything that came.
    pub fn seen(&self) -> Vec<Seen> {
        self.state.seen().clone()
    }

    /// What came with this JSON-RPC method, or for `DELETE` and `GET` this HTTP method.
    pub fn seen_as(&self, method: &str) -> Vec<Seen> {
        let is_it = |seen: &Seen| seen.method.as_deref().unwrap_or(&seen.http) == method;
        self.seen().into_iter().filter(is_it).collect()
    }

    /// Calls that came for a tool.
    pub fn calls(&self, tool: &str) -> Vec<Seen> {
        self.seen_as("tools/call").into_iter().filter(|seen| seen.message["params"]["name"] == tool).collect()
    }

    /// Waits until `count` calls came for a tool.
    pub async fn calls_reach(&self, tool: &str, count: usize) -> Result<()> {
        eventually(PATIENCE, "calls at the server", async || {
            let calls = self.calls(tool).len();
            ensure!(calls >= count, "{calls} of {count} calls of {tool}");
            Ok(())
        })
        .await
    }

    /// Waits until `count` messages of a method came.
    pub async fn messages_reach(&self, method: &str, count: usize) -> Result<()> {
        eventually(PATIENCE, "messages at the server", async || {
            let messages = self.seen_as(method).len();
            ensure!(messages >= count, "{messages} of {count} {method}");
            Ok(())
        })
        .await
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, state: Arc<State>) {
    // Dropped with this task, and all connections with it.
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((socket, _)) = listener.accept().await {
        let _ = socket.set_nodelay(true);
        let state = Arc::clone(&state);
        connections.spawn(async move {
            let service = service_fn(move |request| answer(Arc::clone(&state), request));
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(socket), service)
                .await;
        });
        while connections.try_join_next().is_some() {}
    }
}

async fn answer(state: Arc<State>, request: Request<Incoming>) -> Result<Response<Body>> {
    let (head, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let message = serde_json::from_slice(&body).unwrap_or(Value::Null);
    let session = head
        .headers
        .get("mcp-session-id")
        .and_then(|id| id.to_str().ok())
        .filter(|id| !id.is_empty())
        .map(str::to_owned);
    let seen = Seen {
        http: head.method.to_string(),
        method: message["method"].as_str().map(str::to_owned),
        session: session.clone(),
        headers: head.headers,
        message: message.clone(),
        text: String::from_utf8_lossy(&body).into_owned(),
        at: Instant::now(),
    };
    state.seen().push(seen);
    let behaviour = state.behaviour().clone();

    if message["method"] == "initialize" {
        return initialize(&state, &behaviour, &message).await;
    }
    let known = session.as_ref().is_some_and(|id| state.sessions().contains(id));
    if !known && !behaviour.no_session_ids {
        let not_found =
            json!({"jsonrpc": "2.0", "id": null, "error": {"code": -32001, "message": "Session not found"}});
        let (status, text) = behaviour.unknown_session.unwrap_or((404, not_found.to_string()));
        return full(status, "application/json", text);
    }
    if let Some((status, kind, text)) = behaviour.ping.filter(|_| message["method"] == "ping") {
        return full(status, &kind, text);
    }
    if message["method"] == "tools/call" {
        if !behaviour.call_time.is_zero() {
            tokio::time::sleep(behaviour.call_time).await;
        }
        match state.take_fault(&message["params"]["name"]) {
            Some(Fault::Disconnect) => bail!("the test asked for it"),
            Some(Fault::EndOfStream) => return Ok(streaming(None, async |_| {})),
            Some(Fault::NotFound) => return full(404, "text/plain", "no such page".to_owned()),
            None => {}
        }
    }
    match head.method.as_str() {
        "DELETE" if behaviour.no_delete => full(405, "text/plain", String::new()),
        "DELETE" => {
            let session = session.unwrap_or_default();
            state.streams().remove(&session);
            state.sessions().remove(&session);
            full(200, "text/plain", String::new())
        }
        "GET" => Ok(streaming(None, async move |sender| {
            let gone = sender.clone();
            state.streams().insert(session.unwrap_or_default(), sender);
            gone.closed().await;
        })),
        _ if message.get("method").is_none() => {
            state.answered(session.as_deref().unwrap_or_default(), &message);
            full(202, "text/plain", String::new())
        }
        _ if message.get("id").is_none() => full(202, "text/plain", String::new()),
        _ if behaviour.json_answers => {
            let (sender, mut receiver) = mpsc::channel(64);
            tools::run(&state, &message, session.as_deref(), &sender).await;
            drop(sender);
            let mut last = String::new();
            while let Some(text) = receiver.recv().await {
                last = text;
            }
            full(200, "application/json", last)
        }
        _ => Ok(streaming(None, async move |sender| {
            tools::run(&state, &message, session.as_deref(), &sender).await;
        })),
    }
}

async fn initialize(state: &State, behaviour: &Behaviour, message: &Value) -> Result<Response<Body>> {
    if let Some((status, kind, text)) = &behaviour.initialize {
        return full(*status, kind, text.clone());
    }
    if let Some(gate) = &behaviour.initialize_gate {
        state.pass(gate).await;
    }
    let answer = json!({"jsonrpc": "2.0", "id": message["id"], "result": {
        "protocolVersion": message["params"]["protocolVersion"],
        "capabilities": {"tools": {"listChanged": true}, "resources": {"subscribe": true}, "logging": {}, "experimental": {"odd": {"a": [1]}}},
        "serverInfo": {"name": "scripted", "title": "Scripted", "version": "7.1"},
        "instructions": "Ask \"nicely\"."
    }})
    .to_string();
    let id = (!behaviour.no_session_ids).then(|| state.new_session());
    if behaviour.json_answers {
        let mut response = full(200, "application/json", answer)?;
        if let Some(id) = id {
            response.headers_mut().insert("mcp-session-id", id.parse()?);
        }
        return Ok(response);
    }
    Ok(streaming(id, async move |sender| {
        let _ = sender.send(answer).await;
    }))
}

fn full(status: u16, kind: &str, text: String) -> Result<Response<Body>> {
    let body = Full::new(Bytes::from(text)).boxed_unsync();
    Ok(Response::builder().status(status).header(CONTENT_TYPE, kind).body(body)?)
}

/// An SSE stream of the messages that `write` sends; it ends when `write` does.
fn streaming<F>(
    id: Option<String>,
    write: impl FnOnce(mpsc::Sender<String>) -> F + Send + 'static,
) -> Response<Body>
where
    F: Future<Output = ()> + Send + 'static,
{
    let (sender, receiver) = mpsc::channel::<String>(1);
    tokio::spawn(write(sender));
    let events = stream::unfold(receiver, async |mut receiver| {
        let message = receiver.recv().await?;
        let event = Bytes::from(format!("event: message\ndata: {message}\n\n"));
        Some((Ok::<_, Infallible>(Frame::data(event)), receiver))
    });
    let mut response = Response::new(StreamBody::new(events).boxed_unsync());
    response.headers_mut().insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static("text/event-stream"));
    if let Some(id) = id.and_then(|id| id.parse().ok()) {
        response.headers_mut().insert("mcp-session-id", id);
    }
    response
}

/// The gates that are open.
type Gates = watch::Sender<HashSet<String>>;
