//! The control session of a key: one ordinary slot's session, on which the proxy listens for what the server announces, and
//! subscribes for its clients. The role holds no lease: the slot goes on serving calls.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::{Response, StatusCode, body::Incoming};
use serde_json::{json, value::RawValue};
use tokio::time::Instant;

use super::{Gateway, audience::Audience};
use crate::{
    mcp::{
        Message,
        envelope::Params,
        error::{code, error, result},
        logging,
        sse::Decoder,
    },
    pool::Ask,
    upstream::{UpstreamSession, answer},
};

/// Servers announce their lists once more right after the handshake: nothing has changed for anybody.
const WARM_UP: Duration = Duration::from_secs(1);

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// How a turn as control session ended.
enum Turn {
    /// Nobody needs one any more.
    Unneeded,
    /// The session or its stream is over.
    Over,
    /// The session is one client's own now.
    Taken,
}

impl Gateway {
    /// Sees to it that the key has a control session while one is needed.
    pub(super) fn control(self: &Arc<Self>, audience: &Arc<Audience>) {
        if audience.begin_control() {
            tokio::spawn(Arc::clone(self).look_after(Arc::clone(audience)));
        }
    }

    async fn look_after(self: Arc<Self>, audience: Arc<Audience>) {
        let mut pause = FIRST_PAUSE;
        while !self.shutdown.is_cancelled() {
            let Some(session) = self.candidate(&audience).await else {
                if audience.needs_control() || !audience.end_control() {
                    self.rest(&mut pause).await;
                    continue;
                }
                return;
            };
            let started = Instant::now();
            for uri in audience.subscriptions() {
                let _ = subscribe(&session, "resources/subscribe", &uri).await;
            }
            audience.control.send_replace(Some(Arc::clone(&session)));
            let turn = self.take_turn(&audience, &session).await;
            audience.control.send_replace(None);
            match turn {
                Turn::Unneeded if audience.end_control() => return,
                // Another one takes the role at once.
                Turn::Taken => {
                    for uri in audience.subscriptions() {
                        let _ = subscribe(&session, "resources/unsubscribe", &uri).await;
                    }
                    continue;
                }
                Turn::Unneeded | Turn::Over => {}
            }
            if started.elapsed() > LONGEST_PAUSE {
                pause = FIRST_PAUSE;
            }
            self.rest(&mut pause).await;
        }
    }

    async fn rest(&self, pause: &mut Duration) {
        tokio::select! {
            () = tokio::time::sleep(*pause) => {}
            () = self.shutdown.cancelled() => {}
        }
        *pause = (*pause * 2).min(LONGEST_PAUSE);
    }

    /// A session of the key: one that is open, else one that is opened for it.
    async fn candidate(&self, audience: &Audience) -> Option<Arc<UpstreamSession>> {
        if !audience.needs_control() {
            return None;
        }
        if let Some(session) = self.pool.peek(&audience.key) {
            return Some(session);
        }
        let deadline = Instant::now() + self.config.load().settings.timeout;
        let lease = self.pool.checkout(&audience.key, Ask::default(), deadline).await.ok()?;
        let session = Arc::clone(lease.session());
        lease.unused();
        Some(session)
    }

    async fn take_turn(&self, audience: &Arc<Audience>, session: &Arc<UpstreamSession>) -> Turn {
        let mut demand = audience.demand.subscribe();
        let gone = session.gone();
        let mut stream = open(session).await.map(|body| (body, Decoder::new(answer::ANSWER_LIMIT)));
        loop {
            if !audience.needs_control() {
                return Turn::Unneeded;
            }
            if let Some(level) = audience.level() {
                let _ = set_level(session, level).await;
            }
            tokio::select! {
                _ = demand.changed() => {}
                () = gone.cancelled() => return Turn::Over,
                () = session.is_own() => return Turn::Taken,
                () = self.shutdown.cancelled() => return Turn::Over,
                read = read(&mut stream) => match read {
                    Some(messages) => messages.iter().for_each(|message| self.hear(audience, session, message)),
                    None => return Turn::Over,
                },
            }
        }
    }

    /// Passes on what the server sends outside of calls.
    fn hear(&self, audience: &Audience, session: &Arc<UpstreamSession>, data: &Bytes) {
        let reached = match Message::parse(data) {
            Ok(Message::Request { id, method, .. }) => {
                if method != "ping" {
                    self.requests.count_unattributed_request();
                }
                refuse(session, id, &method);
                return;
            }
            Ok(Message::Notification { method, params }) => match &*method {
                "notifications/tools/list_changed"
                | "notifications/prompts/list_changed"
                | "notifications/resources/list_changed" => {
                    if session.age() < WARM_UP {
                        return;
                    }
                    audience.announce(data, &method)
                }
                "notifications/resources/updated" => {
                    Params::parse(params).uri.map_or(0, |uri| audience.updated(&uri, data))
                }
                "notifications/message" => {
                    let level = Params::parse(params).level.and_then(|level| logging::severity(&level));
                    audience.log(data, level.unwrap_or(u8::MAX))
                }
                _ => 0,
            },
            Ok(Message::Response { .. }) | Err(_) => 0,
        };
        if reached == 0 {
            self.requests.count_unattributed_notification();
        }
    }
}

/// The session's own stream; none where the server has none.
async fn open(session: &UpstreamSession) -> Option<Incoming> {
    let response = session.listen().await.ok()?;
    let events = response.status() == StatusCode::OK
        && matches!(answer::framing(&response), Ok(answer::Framing::Events));
    events.then(|| Response::into_body(response))
}

/// The next messages; none at the stream's end. A session without a stream never has any.
async fn read(stream: &mut Option<(Incoming, Decoder)>) -> Option<Vec<Bytes>> {
    let Some((body, decoder)) = stream else { return std::future::pending().await };
    loop {
        let mut messages = Vec::new();
        while let Some(event) = decoder.next_event().ok()? {
            messages.extend(event.data.filter(|data| !data.is_empty()));
        }
        if !messages.is_empty() {
            return Some(messages);
        }
        if let Ok(data) = body.frame().await?.ok()?.into_data() {
            decoder.push(&data);
        }
    }
}

/// Answers a server's request that no client can be asked.
pub(super) fn refuse(session: &Arc<UpstreamSession>, id: &str, method: &str) {
    let answer = if method == "ping" {
        result(id, "{}")
    } else {
        let message = "this request belongs to no one client: the session is shared; use isolation: Session";
        error(Some(id), code::METHOD_NOT_FOUND, message, None)
    };
    let session = Arc::clone(session);
    tokio::spawn(async move { session.notify(answer).await });
}

/// Has a session send log messages from a level on, unless it does.
pub(super) async fn set_level(session: &UpstreamSession, level: u8) -> bool {
    if !session.changes_level(level) {
        return true;
    }
    let params = json!({ "level": logging::name(level) });
    request(session, "logging/setLevel", &params.to_string()).await.is_some()
}

/// Subscribes a session to a resource, or ends that; gives the server's answer.
pub(super) async fn subscribe(session: &UpstreamSession, method: &str, uri: &str) -> Option<Bytes> {
    request(session, method, &json!({ "uri": uri }).to_string()).await
}

/// Sends a request of the proxy's own; gives the answer.
pub(super) async fn request(session: &UpstreamSession, method: &str, params: &str) -> Option<Bytes> {
    let id = session.next_id();
    let message =
        Bytes::from(format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{params}}}"#));
    let exchange = async {
        let response = session.post(message, &hyper::HeaderMap::new()).await.ok()?;
        answer::read(response, id).await.ok()
    };
    tokio::time::timeout(answer::OWN_TIMEOUT, exchange).await.ok().flatten()
}

/// The JSON of a request's parameters.
pub(super) fn text(params: Option<&RawValue>) -> &str {
    params.map_or("{}", RawValue::get)
}
