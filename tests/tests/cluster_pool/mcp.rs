//! A client session of MCP, spoken to a pool's Service through the API server.

use anyhow::{Context as _, Result, ensure};
use crds::names;
use http_body_util::BodyExt;
use hyper::{Request, Response};
use kube::{Client, client::Body};
use serde_json::{Value, json};

use crate::field::Field;

/// An initialised client session.
pub struct Session {
    client: Client,
    path: String,
    /// Its id.
    pub id: String,
}

const VERSION: &str = "2025-11-25";

fn path(field: &Field, target: &str) -> String {
    format!("/api/v1/namespaces/{}/{target}/proxy/mcp", field.namespace)
}

impl Session {
    /// Opens one to a pool.
    pub async fn open(field: &Field, pool: &str) -> Result<Self> {
        Self::through(field, &names::service(pool)).await
    }

    /// Opens one to a Service, whose port has the usual name.
    pub async fn through(field: &Field, service: &str) -> Result<Self> {
        Self::begin(field, &format!("services/{service}:{}", names::MCP_PORT_NAME)).await
    }

    /// Opens one to a proxy's pod.
    pub async fn with(field: &Field, pod: &str) -> Result<Self> {
        Self::begin(field, &format!("pods/{pod}:{}", names::MCP_PORT)).await
    }

    /// The same client session, spoken to another proxy's pod.
    pub fn at(&self, field: &Field, pod: &str) -> Self {
        let path = path(field, &format!("pods/{pod}:{}", names::MCP_PORT));
        Self { client: self.client.clone(), path, id: self.id.clone() }
    }

    async fn begin(field: &Field, target: &str) -> Result<Self> {
        let mut session = Self { client: field.client.clone(), path: path(field, target), id: String::new() };
        let params = json!({
            "protocolVersion": VERSION, "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}
        });
        let (response, text) = session
            .post(&json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params}))
            .await?;
        ensure!(response.status().is_success(), "initialize: {} {text}", response.status());
        let id = response.headers().get("mcp-session-id").context("no session id")?;
        session.id = id.to_str()?.to_owned();
        let (response, text) =
            session.post(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"})).await?;
        ensure!(response.status().is_success(), "initialized: {} {text}", response.status());
        Ok(session)
    }

    /// Calls the server's echo tool; gives the whole answer.
    pub async fn echo(&self, message: &str) -> Result<String> {
        self.tool(&json!({"name": "echo", "arguments": {"message": message}})).await
    }

    /// Has the server work for some seconds; gives the whole answer.
    pub async fn operation(&self, seconds: u32) -> Result<String> {
        let arguments = json!({"duration": seconds, "steps": 1});
        self.tool(&json!({"name": "trigger-long-running-operation", "arguments": arguments})).await
    }

    async fn tool(&self, params: &Value) -> Result<String> {
        let (response, text) =
            self.post(&json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params})).await?;
        ensure!(
            response.status().is_success() && text.contains("\"result\""),
            "{} {text}",
            response.status()
        );
        Ok(text)
    }

    async fn post(&self, message: &Value) -> Result<(Response<()>, String)> {
        let mut request = Request::post(&self.path)
            .header("content-type", "application/json")
            .header("accept", "application/json, text/event-stream");
        if !self.id.is_empty() {
            request = request.header("mcp-session-id", &self.id).header("mcp-protocol-version", VERSION);
        }
        let response = self.client.send(request.body(Body::from(message.to_string().into_bytes()))?).await?;
        let (parts, body) = response.into_parts();
        let text = String::from_utf8(body.collect().await?.to_bytes().to_vec())?;
        Ok((Response::from_parts(parts, ()), text))
    }
}
