//! Sending a request a second time after its answer was lost: only what does no harm when it is executed twice.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use hyper::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::{json, value::RawValue};
use tokio::time::Instant;

use super::{
    Gateway,
    exchange::{Call, Exchange, Head, Second},
    trouble,
};
use crate::{
    config::Config,
    downstream::client::ClientSession,
    mcp::{Message, envelope::Params},
    pool::{Ask, CheckoutError, Key, Refusal},
    trace::RequestSpan,
    upstream::{
        SessionKey, UpstreamSession,
        answer::{self, Framing},
    },
};

/// Methods that change nothing, or come to the same when repeated.
const HARMLESS: [&str; 10] = [
    "completion/complete",
    "logging/setLevel",
    "prompts/get",
    "prompts/list",
    "resources/list",
    "resources/read",
    "resources/subscribe",
    "resources/templates/list",
    "resources/unsubscribe",
    "tools/list",
];

/// The longest time that learning a tool's annotations may take.
const LOOK_UP_TIMEOUT: Duration = Duration::from_secs(10);

/// Pages of a tool list that are read at most.
const MAX_PAGES: usize = 64;

/// All that a request is made of.
pub(super) struct Repeat {
    pub gateway: Arc<Gateway>,
    pub config: Arc<Config>,
    pub client: Arc<ClientSession>,
    pub key: SessionKey,
    pub ask: Ask,
    pub message: Bytes,
    pub extra: HeaderMap,
    pub span: Option<RequestSpan>,
    /// How often it was sent before.
    pub resends: u32,
}

impl Repeat {
    /// Sends the request on another slot, if that does no harm; else gives `lost`, which says that the answer is gone.
    pub async fn run(self, lost: Bytes) -> Result<Second, Bytes> {
        let span = self.span.clone();
        let mut second = self.send(lost).await;
        if let Some(span) = span {
            match &mut second {
                Ok(Second::Stream(exchange)) => exchange.carry(span),
                Ok(Second::Answer(answer)) | Err(answer) => span.answered(answer),
            }
        }
        second
    }

    async fn send(self, lost: Bytes) -> Result<Second, Bytes> {
        let Ok(Message::Request { id, method, params }) = Message::parse(&self.message) else {
            return Err(lost);
        };
        if !self.gateway.may_repeat(&self.config, &self.key, self.ask, &method, params).await {
            return Err(lost);
        }
        self.gateway.requests.count_repeat();
        let deadline = Instant::now() + self.config.settings.timeout;
        let lease = match self.gateway.checkout(self.span.as_ref(), &self.key, self.ask, deadline).await {
            Ok(lease) => lease,
            Err(CheckoutError::Refused(Refusal::Lost)) => {
                self.client.bind(None);
                self.gateway.requests.count_state_loss();
                return Err(trouble::state_lost(id));
            }
            Err(_) => return Err(lost),
        };
        let token = Params::parse(params).meta.and_then(|meta| meta.progress_token).map(RawValue::get);
        let call =
            Call { message: &self.message, id, token, span: self.span.as_ref(), resends: self.resends };
        let grace = self.config.settings.disconnect_grace;
        let ties = super::ties(&self.key, self.ask, &lease);
        let mut exchange = Exchange::start(lease, &self.key, &self.client, call, &self.extra, ties, grace);
        match exchange.head().await {
            Head::Response(response) if response.status() == StatusCode::OK => {
                match answer::framing(&response) {
                    Ok(Framing::Events) => Ok(Second::Stream(Box::new(exchange))),
                    Ok(Framing::Json) => exchange.into_json().await.map(Second::Answer).map_err(|_| lost),
                    Err(_) => Err(lost),
                }
            }
            _ => Err(lost),
        }
    }
}

impl Gateway {
    /// Whether a request may be executed twice.
    pub(super) async fn may_repeat(
        &self,
        config: &Config,
        key: &SessionKey,
        ask: Ask,
        method: &str,
        params: Option<&RawValue>,
    ) -> bool {
        if method != "tools/call" {
            return HARMLESS.contains(&method);
        }
        let Some(tool) = Params::parse(params).name else { return false };
        let limit = LOOK_UP_TIMEOUT.min(config.settings.timeout);
        let ask = Ask { existing: ask.existing && key.is_bound(), ..ask };
        let look_up = async {
            let lease = self.pool.checkout(key, ask, Instant::now() + limit).await.ok()?;
            let harmless = is_harmless(lease.session(), &tool).await;
            lease.unused();
            harmless
        };
        matches!(tokio::time::timeout(limit, look_up).await, Ok(Some(true)))
    }
}

#[derive(Deserialize)]
struct Page {
    result: ToolList,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ToolList {
    tools: Vec<Tool>,
    #[serde(default)]
    next_cursor: Option<String>,
}

#[derive(Deserialize)]
struct Tool {
    name: String,
    #[serde(default)]
    annotations: Annotations,
}

/// <https://modelcontextprotocol.io/specification/2025-11-25/schema#toolannotations>
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Annotations {
    read_only_hint: bool,
    idempotent_hint: bool,
}

/// What the server's tool list says of a tool; none if it can't be had.
async fn is_harmless(session: &UpstreamSession, tool: &str) -> Option<bool> {
    let mut cursor: Option<String> = None;
    for _ in 0..MAX_PAGES {
        let id = session.next_id();
        let params = cursor.map_or_else(|| json!({}), |cursor| json!({ "cursor": cursor }));
        let message = json!({ "jsonrpc": "2.0", "id": id, "method": "tools/list", "params": params });
        let response = session.post(Bytes::from(message.to_string()), &HeaderMap::new()).await.ok()?;
        let body = answer::read(response, id).await.ok()?;
        session.touch();
        let page: Page = serde_json::from_slice(&body).ok()?;
        if let Some(found) = page.result.tools.iter().find(|candidate| candidate.name == tool) {
            return Some(found.annotations.read_only_hint || found.annotations.idempotent_hint);
        }
        cursor = Some(page.result.next_cursor?);
    }
    None
}
