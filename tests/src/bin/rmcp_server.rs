//! An MCP server on the crate `rmcp`, at 127.0.0.1:$PORT/mcp. Its tools show what a session keeps and who is told what.

#![allow(deprecated, reason = "clients with sessions have what stateless ones no longer have")]

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::Result;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use parking_lot::Mutex;
use rmcp::ErrorData;
use rmcp::ServerHandler;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, CreateMessageRequestParams,
    JsonObject, ListToolsResult, LoggingLevel, LoggingMessageNotificationParam, PaginatedRequestParams,
    ProgressNotificationParam, ResourceUpdatedNotificationParam, SamplingMessage, ServerCapabilities,
    ServerConfig, SetLevelRequestParams, SubscribeRequestParams, Tool, ToolAnnotations,
    UnsubscribeRequestParams,
};
use rmcp::service::{Peer, RequestContext, RoleServer};
use rmcp::transport::streamable_http_server::{
    StreamableHttpServerConfig, StreamableHttpService, session::local::LocalSessionManager,
};
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// Tools that change nothing.
const READING: [&str; 4] = ["echo", "recall", "whoami", "cancelled"];
const CHANGING: [&str; 6] = ["sleep", "steps", "remember", "say", "ask", "touch"];

/// What all sessions of the process share.
#[derive(Default)]
struct Shared {
    sessions: AtomicUsize,
    /// Who wants to know of which resource.
    subscribers: Mutex<HashMap<String, HashMap<usize, Peer<RoleServer>>>>,
    /// The messages of calls that were cancelled.
    cancelled: Mutex<Vec<String>>,
}

/// One session.
struct Session {
    shared: Arc<Shared>,
    number: usize,
    memory: Mutex<String>,
    level: Mutex<u8>,
}

impl Session {
    fn new(shared: Arc<Shared>) -> Self {
        let number = shared.sessions.fetch_add(1, Ordering::Relaxed);
        Self { shared, number, memory: Mutex::default(), level: Mutex::default() }
    }

    async fn run(
        &self,
        tool: &str,
        of: &Arguments,
        context: RequestContext<RoleServer>,
    ) -> Result<String, ErrorData> {
        let message = of.text("message");
        match tool {
            "echo" => return Ok(message),
            "whoami" => return Ok(format!("{}/{}", std::process::id(), self.number)),
            "recall" => return Ok(self.memory.lock().clone()),
            "cancelled" => return Ok(json!(*self.shared.cancelled.lock()).to_string()),
            "remember" => *self.memory.lock() = message,
            "sleep" => {
                self.tell(&message, 0, &context).await?;
                tokio::select! {
                    () = tokio::time::sleep(Duration::from_millis(of.number("ms"))) => return Ok(message),
                    () = context.ct.cancelled() => self.shared.cancelled.lock().push(message),
                }
            }
            "steps" => self.steps(&message, of.number("count"), &context).await?,
            "say" => self.say(&message, &of.text("level"), &context).await?,
            "ask" => return ask(&message, &context).await,
            "touch" => self.touch(&of.text("uri")).await?,
            other => return Err(ErrorData::invalid_params(format!("no tool {other}"), None)),
        }
        Ok("done".to_owned())
    }

    async fn steps(
        &self,
        name: &str,
        count: u64,
        context: &RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        for step in 1..=count {
            self.tell(name, step, context).await?;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    }

    async fn tell(
        &self,
        name: &str,
        step: u64,
        context: &RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        let Some(token) = context.meta.get_progress_token() else { return Ok(()) };
        let progress = ProgressNotificationParam::new(token, step as f64).with_message(name);
        context.peer.notify_progress(progress).await.map_err(internal)
    }

    async fn say(
        &self,
        message: &str,
        level: &str,
        context: &RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        let level: LoggingLevel = serde_json::from_value(json!(level)).map_err(internal)?;
        if level as u8 >= *self.level.lock() {
            let log = LoggingMessageNotificationParam::new(level, json!(message));
            context.peer.notify_logging_message(log).await.map_err(internal)?;
        }
        Ok(())
    }

    async fn touch(&self, uri: &str) -> Result<(), ErrorData> {
        let peers: Vec<_> =
            self.shared.subscribers.lock().get(uri).into_iter().flat_map(HashMap::values).cloned().collect();
        for peer in peers {
            let gone = peer.notify_resource_updated(ResourceUpdatedNotificationParam::new(uri)).await;
            // A session that has ended is not told.
            let _ = gone;
        }
        Ok(())
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        for subscribers in self.shared.subscribers.lock().values_mut() {
            subscribers.remove(&self.number);
        }
    }
}

async fn ask(message: &str, context: &RequestContext<RoleServer>) -> Result<String, ErrorData> {
    let question = CreateMessageRequestParams::new(vec![SamplingMessage::user_text(message)], 10);
    let answer = context.peer.create_message(question).await.map_err(internal)?;
    let text = answer.message.content.first().and_then(|block| block.as_text());
    Ok(text.map(|text| text.text.clone()).unwrap_or_default())
}

#[allow(clippy::needless_pass_by_value, reason = "map_err gives it")]
fn internal(error: impl ToString) -> ErrorData {
    ErrorData::internal_error(error.to_string(), None)
}

/// A tool's arguments.
struct Arguments(JsonObject);

impl Arguments {
    fn text(&self, name: &str) -> String {
        self.0.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
    }

    fn number(&self, name: &str) -> u64 {
        self.0.get(name).and_then(Value::as_u64).unwrap_or_default()
    }
}

impl ServerHandler for Session {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(
            ServerCapabilities::builder()
                .enable_tools()
                .enable_logging()
                .enable_resources()
                .enable_resources_subscribe()
                .build(),
        )
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let schema: Arc<JsonObject> = Arc::new(JsonObject::from_iter([("type".to_owned(), json!("object"))]));
        let tool = |name: &'static str, reads: bool| {
            let tool = Tool::new(name, name, Arc::clone(&schema));
            tool.with_annotations(ToolAnnotations::new().read_only(reads))
        };
        let tools =
            READING.map(|name| tool(name, true)).into_iter().chain(CHANGING.map(|name| tool(name, false)));
        Ok(ListToolsResult { tools: tools.collect(), ..ListToolsResult::default() })
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let arguments = Arguments(request.arguments.unwrap_or_default());
        let text = self.run(&request.name, &arguments, context).await?;
        Ok(CallToolResult::success(vec![ContentBlock::text(text)]).into())
    }

    async fn set_level(
        &self,
        request: SetLevelRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        *self.level.lock() = request.level as u8;
        Ok(())
    }

    async fn subscribe(
        &self,
        request: SubscribeRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.shared.subscribers.lock().entry(request.uri).or_default().insert(self.number, context.peer);
        Ok(())
    }

    async fn unsubscribe(
        &self,
        request: UnsubscribeRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        if let Some(subscribers) = self.shared.subscribers.lock().get_mut(&request.uri) {
            subscribers.remove(&self.number);
        }
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let port: u16 = std::env::var("PORT")?.parse()?;
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    let shared = Arc::new(Shared::default());
    let service = StreamableHttpService::new(
        move || Ok(Session::new(Arc::clone(&shared))),
        Arc::new(LocalSessionManager::default()),
        StreamableHttpServerConfig::default(),
    );
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let service = TowerToHyperService::new(service.clone());
        tokio::spawn(async move {
            // A client that goes away ends its connection only.
            let _ = Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
        });
    }
}
