//! What a proxy that is about to end still takes from its peers: what is about a request that runs here.

use std::sync::Arc;

use bytes::Bytes;
use hyper::{HeaderMap, Method, Request, Response, body::Incoming};

use super::{Gateway, messages};
use crate::{
    downstream::{client::ClientSession, reply::Reply},
    mcp::Message,
};

/// This proxy is about to end, and leaves what a peer forwarded to another.
#[derive(Debug, Clone, Copy)]
pub struct Leaving;

impl Gateway {
    /// Takes a forwarded message only if it belongs to a request that runs here.
    pub(super) async fn finish(
        self: &Arc<Self>,
        request: Request<Incoming>,
    ) -> Result<Response<Reply>, Leaving> {
        if request.method() != Method::POST {
            return Err(Leaving);
        }
        let (head, body) = request.into_parts();
        let body = self.collect(body).await.map_err(|_| Leaving)?;
        self.finish_message(&head.headers, &body).await
    }

    async fn finish_message(&self, headers: &HeaderMap, body: &Bytes) -> Result<Response<Reply>, Leaving> {
        let message = Message::parse(body).map_err(|_| Leaving)?;
        let client = self.client(&self.config.load_full(), headers, None).map_err(|_| Leaving)?;
        if !concerns(&message, &client) {
            return Err(Leaving);
        }
        match message {
            Message::Response { id, .. } => Ok(self.response(&client, id, body).await),
            Message::Notification { method, params } => {
                Ok(self.notification(&client, body, &method, params).await)
            }
            Message::Request { .. } => Err(Leaving),
        }
    }
}

/// Whether a message is about a request that runs here.
fn concerns(message: &Message<'_>, client: &ClientSession) -> bool {
    match message {
        Message::Request { .. } => false,
        Message::Response { id, .. } => client.questions.lock().find(id).is_some(),
        Message::Notification { method, params } => match &**method {
            "notifications/cancelled" => {
                messages::cancelled(client, *params).is_some() || messages::cancels_queued(client, *params)
            }
            "notifications/progress" => messages::question(client, *params).is_some(),
            _ => false,
        },
    }
}
