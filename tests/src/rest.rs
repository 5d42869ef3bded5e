//! A caller of REST, and the commands that its page documents.

use std::net::SocketAddr;
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tokio::process::Command;

use crate::mcp_client::Endpoint;

/// Somebody with a token.
#[derive(Debug)]
pub struct Caller {
    endpoint: Endpoint,
    token: Option<String>,
}

/// What was answered.
#[derive(Debug)]
pub struct Answer {
    /// Status code.
    pub status: u16,
    /// Its entity tag.
    pub etag: Option<String>,
    /// Its type.
    pub kind: String,
    /// What the header WWW-Authenticate holds.
    pub challenge: Option<String>,
    /// The body; null where there is none.
    pub body: Value,
}

impl Answer {
    /// The body, which must be one of success.
    pub fn good(self) -> Result<Value> {
        ensure!((200..300).contains(&self.status), "{self:?}");
        Ok(self.body)
    }

    /// What is wrong, which must have this status and be told as problem details.
    pub fn problem(self, status: u16) -> Result<String> {
        ensure!(self.status == status, "not {status}: {self:?}");
        ensure!(self.kind == "application/problem+json", "{self:?}");
        ensure!(self.body["status"] == status && self.body["title"].is_string(), "{self:?}");
        Ok(self.body["detail"].as_str().with_context(|| format!("no detail: {:?}", self.body))?.to_owned())
    }
}

impl Caller {
    /// Somebody who calls REST at an address.
    pub fn new(address: SocketAddr, token: Option<&str>) -> Self {
        Self { endpoint: Endpoint::new(address), token: token.map(ToOwned::to_owned) }
    }

    /// `GET`.
    pub async fn get(&self, path: &str) -> Result<Answer> {
        self.send("GET", path, &[], "").await
    }

    /// `PUT` of JSON.
    pub async fn put(&self, path: &str, body: &Value) -> Result<Answer> {
        self.send("PUT", path, &[("content-type", "application/json")], &body.to_string()).await
    }

    /// `POST` without a body.
    pub async fn post(&self, path: &str) -> Result<Answer> {
        self.send("POST", path, &[], "").await
    }

    /// Any request.
    pub async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Result<Answer> {
        let token = self.token.as_ref().map(|token| format!("Bearer {token}"));
        let mut all = headers.to_vec();
        all.extend(token.iter().map(|token| ("authorization", token.as_str())));
        let reply = self.endpoint.send(method, path, &all, body.to_owned()).await?;
        let header = |name: &str| reply.header(name).map(ToOwned::to_owned);
        let (status, etag, kind) = (reply.status, header("etag"), header("content-type").unwrap_or_default());
        let challenge = header("www-authenticate");
        let text = reply.text().await?;
        let body = if text.is_empty() {
            Value::Null
        } else {
            serde_json::from_str(&text).with_context(|| format!("{method} {path}: no JSON: {text}"))?
        };
        Ok(Answer { status, etag, kind, challenge, body })
    }
}

/// The commands of the documented page, each with the status that it is answered with. They are run as they stand there.
pub const DOCUMENTED: [(&str, u16); 7] = [
    (
        r#"curl -X PUT http://localhost:8000/api/servers/{server_id}/pool/config \
  -H "Authorization: Bearer $TOKEN" \
  -H "Content-Type: application/json" \
  -d '{
    "pool_enabled": true,
    "pool_strategy": "least_connections",
    "pool_min_size": 3,
    "pool_max_size": 10,
    "pool_timeout": 30,
    "pool_recycle_seconds": 3600,
    "pool_pre_ping": true
  }'"#,
        200,
    ),
    (
        r#"curl http://localhost:8000/api/servers/{server_id}/pool/stats \
  -H "Authorization: Bearer $TOKEN""#,
        200,
    ),
    (
        r#"curl http://localhost:8000/api/servers/{server_id}/pool/sessions \
  -H "Authorization: Bearer $TOKEN""#,
        200,
    ),
    (
        r#"curl http://localhost:8000/api/servers/{server_id}/pool/optimize \
  -H "Authorization: Bearer $TOKEN""#,
        200,
    ),
    (
        r#"curl -X POST http://localhost:8000/api/servers/{server_id}/pool/reset \
  -H "Authorization: Bearer $TOKEN""#,
        202,
    ),
    (
        r#"curl -X POST http://localhost:8000/api/servers/{server_id}/pool/drain \
  -H "Authorization: Bearer $TOKEN" \
  -H "Content-Type: application/json" \
  -d '{"timeout": 60}'"#,
        202,
    ),
    (
        r#"curl -X PUT http://localhost:8000/api/servers/{server_id}/pool/config \
  -H "Authorization: Bearer $TOKEN" \
  -H "Content-Type: application/json" \
  -d '{"pool_enabled": false}'"#,
        200,
    ),
];

/// Runs a documented command with the real curl, and gives what it prints.
pub async fn documented(
    command: &str,
    address: SocketAddr,
    server: &str,
    token: &str,
) -> Result<(u16, Value)> {
    let command = command
        .replace("localhost:8000", &address.to_string())
        .replace("{server_id}", server)
        .replacen("curl ", "curl --silent --show-error --write-out '\\n%{http_code}' ", 1);
    let output = Command::new("bash")
        .args(["-c", &command])
        .env("TOKEN", token)
        .env_remove("http_proxy")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await?;
    let text = String::from_utf8(output.stdout)?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command}: {errors}");
    let (body, status) = text.rsplit_once('\n').context("no status")?;
    let body = serde_json::from_str(body).with_context(|| format!("{command}: no JSON: {text}"))?;
    Ok((status.parse()?, body))
}
