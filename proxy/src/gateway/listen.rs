//! A client session's own stream (`GET`).
//!
//! A client with a slot of its own gets that slot's stream. Others get what the control session hears for them.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures::FutureExt;
use hyper::{
    HeaderMap, Response, StatusCode,
    body::{Body, Incoming},
};
use tokio::time::{Instant, Sleep};
use tokio_util::sync::WaitForCancellationFutureOwned;

use super::{Gateway, refuse};
use crate::{
    downstream::{
        checks,
        client::Listening,
        reply::{self, Reply},
    },
    mcp::{
        error::code,
        sse::{self, Decoder},
    },
    pool::Key,
    upstream::answer,
};

/// How often a quiet stream shows that it is alive: less than the usual idle limits of load balancers.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// See the module's text.
pub struct Listen {
    upstream: Option<(Incoming, Decoder)>,
    heartbeat: Pin<Box<Sleep>>,
    ended: Pin<Box<WaitForCancellationFutureOwned>>,
    shutdown: Pin<Box<WaitForCancellationFutureOwned>>,
    /// The session whose stream this is is over; or the client has one of its own, whose stream this is not.
    stale: Pin<Box<WaitForCancellationFutureOwned>>,
    greeted: bool,
    listening: Listening,
}

impl Gateway {
    /// Opens the stream.
    pub(super) async fn listen(
        self: &Arc<Self>,
        headers: &HeaderMap,
    ) -> Result<Response<Reply>, Box<Response<Reply>>> {
        checks::accepts_events(headers).map_err(refuse)?;
        let config = self.config.load_full();
        let client = self.client(&config, headers, None)?;
        checks::version(headers).map_err(refuse)?;
        let Some(listening) = client.listen() else {
            let message = "this session has a stream already: a second one is not served";
            return Ok(reply::failure(StatusCode::CONFLICT, None, code::SERVER, message));
        };
        let key = self.key_of(&config, &client, headers);
        if !key.is_bound() && !config.is_many {
            let audience = self.audience(&client, &key);
            audience.listen(client.claims.id, true);
            self.control(&audience);
        }
        let mut stale = client.settling();
        let mut upstream = None;
        if let Some(session) = client.bound().and_then(|key| self.pool.peek(&key)) {
            upstream = session.listen().await.ok().filter(|response| {
                response.status() == StatusCode::OK
                    && matches!(answer::framing(response), Ok(answer::Framing::Events))
            });
            if upstream.is_some() {
                stale = session.gone();
            }
        }
        Ok(reply::events(Reply::Listen(Box::new(Listen {
            upstream: upstream.map(|response| (response.into_body(), Decoder::new(answer::ANSWER_LIMIT))),
            heartbeat: Box::pin(tokio::time::sleep(HEARTBEAT)),
            ended: Box::pin(client.ended.clone().cancelled_owned()),
            shutdown: Box::pin(self.shutdown.clone().cancelled_owned()),
            stale: Box::pin(stale.cancelled_owned()),
            greeted: false,
            listening,
        }))))
    }
}

impl Listen {
    /// The next bytes for the client.
    pub fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        // Some clients wait for a first byte before they take the stream for open.
        if !std::mem::replace(&mut self.greeted, true) {
            return Poll::Ready(Some(Bytes::from_static(sse::HEARTBEAT)));
        }
        if self.ended.poll_unpin(cx).is_ready() || self.shutdown.poll_unpin(cx).is_ready() {
            return Poll::Ready(None);
        }
        if let Poll::Ready(event) = self.poll_upstream(cx) {
            return Poll::Ready(event);
        }
        if self.stale.poll_unpin(cx).is_ready() {
            return Poll::Ready(None);
        }
        if self.heartbeat.poll_unpin(cx).is_ready() {
            self.heartbeat.as_mut().reset(Instant::now() + HEARTBEAT);
            // Registers the timer anew.
            let _ = self.heartbeat.poll_unpin(cx);
            return Poll::Ready(Some(Bytes::from_static(sse::HEARTBEAT)));
        }
        Poll::Pending
    }

    /// What the server sends; its end is the stream's end, so that the client opens another.
    fn poll_upstream(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        // Also for a client with a slot of its own: it may have subscribed to something before it got that.
        if let Some(letter) = self.listening.client().mailbox.poll_take(cx) {
            return Poll::Ready(Some(sse::encode(&letter)));
        }
        let Some((body, decoder)) = &mut self.upstream else { return Poll::Pending };
        loop {
            match decoder.next_event() {
                Ok(Some(event)) => match event.data.filter(|data| !data.is_empty()) {
                    Some(data) => return Poll::Ready(Some(sse::encode(&data))),
                    None => continue,
                },
                Ok(None) => {}
                Err(_) => return Poll::Ready(None),
            }
            match std::task::ready!(Pin::new(&mut *body).poll_frame(cx)) {
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        decoder.push(&data);
                    }
                }
                Some(Err(_)) | None => return Poll::Ready(None),
            }
        }
    }
}
