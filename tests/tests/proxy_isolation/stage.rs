//! A server, a pool in front of it, and three clients.

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use tests::mcp_client::{Reply, Session, tool_call};
use tests::proxy::Proxy;
use tests::upstream::Upstream;

/// One of the servers with the suite's tools.
pub struct Server {
    pub name: &'static str,
    /// Whether it knows `resources/subscribe`.
    pub subscriptions: bool,
    /// Whether what a tool logs comes on its call's stream.
    pub logs_in_calls: bool,
    pub upstream: Upstream,
}

impl Server {
    pub async fn fastmcp() -> Result<Self> {
        let upstream = Upstream::fastmcp().await?;
        Ok(Self { name: "fastmcp", subscriptions: false, logs_in_calls: true, upstream })
    }

    pub async fn typescript() -> Result<Self> {
        let upstream = Upstream::typescript().await?;
        Ok(Self { name: "the TypeScript SDK", subscriptions: true, logs_in_calls: true, upstream })
    }

    pub async fn rmcp() -> Result<Self> {
        let upstream = Upstream::rmcp().await?;
        Ok(Self { name: "rmcp", subscriptions: true, logs_in_calls: false, upstream })
    }
}

/// How the pool is configured.
#[derive(Debug, Clone, Copy)]
pub struct Pool {
    pub isolation: &'static str,
    pub strategy: &'static str,
    pub concurrency: u32,
}

impl Pool {
    /// Small enough that all who may share a session do.
    fn spec(self) -> Value {
        let mut spec = json!({
            "isolation": self.isolation, "poolStrategy": self.strategy, "poolMinSize": 0,
            "poolMaxSize": if self.isolation == "Shared" { 1 } else { 4 },
            "poolSessionConcurrency": self.concurrency,
        });
        if self.isolation == "Principal" {
            spec["poolMaxPerPrincipal"] = json!(1);
        }
        spec
    }
}

/// A client and whose it is.
#[derive(Clone)]
pub struct Client {
    pub name: &'static str,
    pub principal: &'static str,
    pub session: Session,
}

pub struct Stage {
    pub pool: Pool,
    pub logs_in_calls: bool,
    pub proxy: Proxy,
    /// Two of principal a, one of b.
    pub clients: [Client; 3],
}

impl Stage {
    pub async fn new(server: &Server, pool: &Pool) -> Result<Self> {
        let proxy = Proxy::ready(&server.upstream.url(), &pool.spec()).await?;
        let clients = [
            Client::open(&proxy, "a1", "a").await?,
            Client::open(&proxy, "a2", "a").await?,
            Client::open(&proxy, "b1", "b").await?,
        ];
        let capabilities = &clients[0].session.handshake["result"]["capabilities"];
        ensure!(
            (capabilities["resources"]["subscribe"] == true) == server.subscriptions,
            "what the suite takes the server to be able to: {capabilities}"
        );
        Ok(Self { pool: *pool, logs_in_calls: server.logs_in_calls, proxy, clients })
    }

    /// Whether the pool may serve both with one session of the server.
    pub fn share(&self, one: &Client, other: &Client) -> bool {
        match (self.pool.isolation, self.pool.strategy) {
            (_, "None") | ("Session", _) => one.name == other.name,
            ("Principal", _) => one.principal == other.principal,
            _ => true,
        }
    }
}

impl Client {
    pub async fn open(proxy: &Proxy, name: &'static str, principal: &'static str) -> Result<Self> {
        let headers = [("authorization", principal)];
        let session = Session::open_with(proxy.mcp, &headers, &json!({"sampling": {}})).await?;
        Ok(Self { name, principal, session })
    }

    /// Calls a tool with this id and, as progress token, the same; gives the reply before its body is read.
    pub async fn call(&self, id: u32, tool: &str, arguments: &Value) -> Result<Reply> {
        let mut call: Value = serde_json::from_str(&tool_call(&id.to_string(), tool, arguments))?;
        call["params"]["_meta"] = json!({"progressToken": id});
        let reply = self.session.post(&call.to_string()).await?;
        ensure!(reply.status == 200, "{}: {tool}: {}", self.name, reply.status);
        Ok(reply)
    }

    /// Calls the tool that takes `ms` and answers with `message`; it runs when this returns.
    pub async fn begin(&self, id: u32, message: &str, ms: u64) -> Result<Running> {
        let reply = self.call(id, "sleep", &json!({"message": message, "ms": ms})).await?;
        let mut running = Running { reply };
        let note = event(&mut running.reply).await?;
        let params = &note["params"];
        let right = note["method"] == "notifications/progress"
            && params["progressToken"] == id
            && params["message"] == message;
        ensure!(right, "{}: {note}", self.name);
        Ok(running)
    }

    /// A tool's text.
    pub async fn tool(&self, tool: &str, arguments: &Value) -> Result<String> {
        self.session.tool(tool, arguments).await.with_context(|| self.name)
    }
}

/// A call that the server is executing.
pub struct Running {
    reply: Reply,
}

impl Running {
    /// The one message that is left.
    pub async fn answer(mut self) -> Result<Value> {
        let answer = event(&mut self.reply).await?;
        while let Some(event) = self.reply.event().await? {
            ensure!(event.data.is_empty(), "after the answer: {}", event.data);
        }
        Ok(answer)
    }
}

/// The next message of a stream.
pub async fn event(stream: &mut Reply) -> Result<Value> {
    loop {
        let event = stream.event().await?.context("the stream ended")?;
        if !event.data.is_empty() {
            return event.json();
        }
    }
}

/// Every message of a reply's stream.
pub async fn messages(mut reply: Reply) -> Result<Vec<Value>> {
    if !reply.is_stream() {
        return Ok(vec![serde_json::from_str(&reply.text().await?)?]);
    }
    let mut all = Vec::new();
    while let Some(event) = reply.event().await? {
        if !event.data.is_empty() {
            all.push(event.json()?);
        }
    }
    Ok(all)
}

/// The text of a tool's answer.
pub fn text(answer: &Value) -> Result<&str> {
    answer["result"]["content"][0]["text"].as_str().with_context(|| format!("no text: {answer}"))
}
