//! An MCP server that costs next to nothing, so that what is in front of it shows.

use std::{
    collections::HashSet,
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use anyhow::Result;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{
    Method, Request, Response, StatusCode, body::Incoming, header::HeaderValue, server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::net::TcpListener;

#[derive(Default)]
struct Server {
    sessions: Mutex<HashSet<String>>,
    next: AtomicU64,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
    method: &'a str,
    #[serde(borrow, default)]
    params: Option<Params<'a>>,
}

#[derive(Deserialize)]
struct Params<'a> {
    #[serde(borrow, default)]
    arguments: Option<Arguments<'a>>,
}

#[derive(Deserialize)]
struct Arguments<'a> {
    #[serde(borrow)]
    message: &'a RawValue,
}

/// Serves Streamable HTTP with sessions on a loopback port: `initialize`, `tools/call` of `echo`, `ping`, `DELETE`.
///
/// # Errors
/// If no port can be had.
pub async fn start() -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let server = Arc::new(Server::default());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let _ = stream.set_nodelay(true);
            let server = Arc::clone(&server);
            tokio::spawn(async move {
                let service = service_fn(move |request| {
                    let server = Arc::clone(&server);
                    async move { Ok::<_, Infallible>(server.answer(request).await) }
                });
                let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    Ok(address)
}

impl Server {
    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let (head, body) = request.into_parts();
        let session = head.headers.get("mcp-session-id").and_then(|id| id.to_str().ok()).map(str::to_owned);
        if head.method == Method::DELETE {
            let known = session.is_some_and(|id| self.sessions.lock().remove(&id));
            return empty(if known { StatusCode::OK } else { StatusCode::NOT_FOUND });
        }
        if head.method != Method::POST {
            return empty(StatusCode::METHOD_NOT_ALLOWED);
        }
        let Ok(body) = body.collect().await else { return empty(StatusCode::BAD_REQUEST) };
        let body = body.to_bytes();
        let Ok(message) = serde_json::from_slice::<Message<'_>>(&body) else {
            return empty(StatusCode::BAD_REQUEST);
        };
        let id = message.id.map_or("null", RawValue::get);
        if message.method == "initialize" {
            return self.initialize(id);
        }
        if !session.is_some_and(|id| self.sessions.lock().contains(&id)) {
            return empty(StatusCode::NOT_FOUND);
        }
        let arguments = message.params.and_then(|params| params.arguments);
        match (message.id, arguments) {
            (None, _) => empty(StatusCode::ACCEPTED),
            (Some(_), None) => json(format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{}}}}"#)),
            (Some(_), Some(arguments)) => {
                let text = arguments.message.get();
                events(format!(
                    "event: message\ndata: {{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":{{\"content\":[{{\"type\":\"text\",\"text\":{text}}}]}}}}\n\n"
                ))
            }
        }
    }

    fn initialize(&self, id: &str) -> Response<Full<Bytes>> {
        let session = format!("session-{}", self.next.fetch_add(1, Ordering::Relaxed));
        let mut response = json(format!(
            r#"{{"jsonrpc":"2.0","id":{id},"result":{{"protocolVersion":"2025-11-25","capabilities":{{"tools":{{}}}},"serverInfo":{{"name":"fast","version":"1"}}}}}}"#
        ));
        if let Ok(value) = HeaderValue::from_str(&session) {
            response.headers_mut().insert("mcp-session-id", value);
        }
        self.sessions.lock().insert(session);
        response
    }
}

fn empty(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    response
}

fn json(body: String) -> Response<Full<Bytes>> {
    typed("application/json", body)
}

fn events(body: String) -> Response<Full<Bytes>> {
    typed("text/event-stream", body)
}

fn typed(kind: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(body));
    response.headers_mut().insert("content-type", HeaderValue::from_static(kind));
    response
}
