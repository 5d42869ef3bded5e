//! A client's notifications, and its answers to the server's requests.

use std::sync::Arc;

use bytes::Bytes;
use hyper::{Response, StatusCode};
use serde_json::value::RawValue;

use super::{Gateway, linger::CANCEL_GRACE};
use crate::{
    downstream::{
        client::{ClientSession, Halt, InFlight},
        questions::Question,
        reply::{self, Reply},
    },
    mcp::{
        envelope::Params,
        rewrite::{Edit, rewrite},
    },
    upstream::UpstreamSession,
};

impl Gateway {
    /// Takes a notification.
    pub(super) async fn notification(
        &self,
        client: &Arc<ClientSession>,
        body: &Bytes,
        method: &str,
        params: Option<&RawValue>,
    ) -> Response<Reply> {
        match method {
            // The slot's own handshake sent it.
            "notifications/initialized" => {}
            "notifications/cancelled" => cancel(client, body, params),
            "notifications/progress" => match question(client, params) {
                Some((ours, question)) => {
                    let theirs = question.token.as_deref().unwrap_or(&question.theirs);
                    let message = rewrite(body, &mut [Edit { old: ours, new: theirs }]);
                    deliver(&question.session, message).await;
                }
                None => self.forward(client, body.clone()).await,
            },
            _ => self.forward(client, body.clone()).await,
        }
        reply::empty(StatusCode::ACCEPTED)
    }

    /// Takes an answer to a request of the server.
    pub(super) async fn response(
        &self,
        client: &Arc<ClientSession>,
        id: &str,
        body: &Bytes,
    ) -> Response<Reply> {
        let question = client.questions.lock().answer(id);
        match question {
            Some(question) => {
                let message = rewrite(body, &mut [Edit { old: id, new: &question.theirs }]);
                deliver(&question.session, message).await;
            }
            None => self.forward(client, body.clone()).await,
        }
        reply::empty(StatusCode::ACCEPTED)
    }

    /// Sends a message as it is to the client's own slot; without one it has no addressee.
    async fn forward(&self, client: &Arc<ClientSession>, body: Bytes) {
        let Some(session) = client.bound().and_then(|key| self.pool.peek(&key)) else { return };
        deliver(&session, body).await;
    }
}

/// Sends a client's message to the session that it is for.
async fn deliver(session: &UpstreamSession, message: Bytes) {
    if let Err(error) = session.notify(message).await {
        tracing::debug!(%error, "a client's message did not reach the upstream");
    }
}

/// The open question that a client's progress is about, and the token as the client wrote it.
pub(super) fn question<'a>(
    client: &ClientSession,
    params: Option<&'a RawValue>,
) -> Option<(&'a str, Question)> {
    let token = Params::parse(params).progress_token?.get();
    let found = client.questions.lock().find(token);
    found.map(|question| (token, question))
}

/// The request on its way that a client's cancel is for, and its id as the client wrote it.
pub(super) fn cancelled<'a>(
    client: &ClientSession,
    params: Option<&'a RawValue>,
) -> Option<(&'a str, Arc<InFlight>)> {
    let id = Params::parse(params).request_id?.get();
    client.find(id).map(|request| (id, request))
}

/// Whether a client's cancel is for a request that waits for a slot.
pub(super) fn cancels_queued(client: &ClientSession, params: Option<&RawValue>) -> bool {
    Params::parse(params).request_id.is_some_and(|id| client.is_queued(id.get()))
}

/// Passes a cancel on, and gives the server a moment to answer before the slot is replaced.
fn cancel(client: &Arc<ClientSession>, body: &Bytes, params: Option<&RawValue>) {
    let Some((id, request)) = cancelled(client, params) else {
        if let Some(id) = Params::parse(params).request_id {
            client.cancel_queued(id.get());
        }
        return;
    };
    let upstream_id = request.upstream_id.to_string();
    let message = rewrite(body, &mut [Edit { old: id, new: &upstream_id }]);
    tokio::spawn(async move {
        if let Err(error) = request.session.notify(message).await {
            tracing::debug!(%error, "a cancel did not reach the upstream");
        }
        tokio::time::sleep(CANCEL_GRACE).await;
        request.halt(Halt::Cancelled);
    });
}
