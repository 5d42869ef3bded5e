//! Sends a client's message to the proxy that its client session is with.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{
    HeaderMap, Method, Request, Response, StatusCode, Uri, Version,
    body::Incoming,
    header::{self, HeaderName, HeaderValue},
    http::request::Parts,
};
use tokio_util::sync::CancellationToken;

use super::{
    Peers, Relay,
    directory::Errand,
    listen::{LEAVING, REFUSED},
    proof,
};
use crate::{
    downstream::{
        reply::{self, Reply},
        token::Claims,
    },
    gateway::{PATH, trouble},
    mcp::Message,
};

/// Headers that are about one connection, not about the message.
const HOP_BY_HOP: [HeaderName; 7] = [
    header::CONNECTION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::EXPECT,
    HeaderName::from_static("keep-alive"),
];

/// What became of forwarded messages.
#[derive(Debug, Default)]
pub struct Outcomes {
    counts: [AtomicU64; 3],
}

/// What became of one.
#[derive(Debug, Clone, Copy)]
pub(super) enum Outcome {
    /// The peer began to answer.
    Answered,
    /// The peer could not be reached; the message went elsewhere.
    Unreachable,
    /// The peer was gone before its answer had come whole.
    Lost,
}

impl Outcomes {
    pub(super) fn count(&self, outcome: Outcome) {
        self.counts[outcome as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Each outcome and its count.
    pub fn by_name(&self) -> [(&'static str, u64); 3] {
        let [answered, unreachable, lost] = &self.counts;
        [("answered", answered), ("unreachable", unreachable), ("lost", lost)]
            .map(|(name, count)| (name, count.load(Ordering::Relaxed)))
    }
}

/// What a peer makes of a message.
enum Answer {
    Head(Response<Incoming>),
    /// It did not get it, or did not take it.
    Untouched,
    /// It is about to end, and did not take it.
    Leaving,
    Lost(String),
}

impl Peers {
    /// The answer of the proxy that the client session is with; none if that is this one. Only what was not sent is tried
    /// elsewhere.
    pub async fn forward(
        &self,
        claims: &Claims,
        head: &Parts,
        body: &Bytes,
        shutdown: &CancellationToken,
    ) -> Option<Response<Reply>> {
        let mut left = false;
        let errand = |left: bool| if left { Errand::New } else { errand(head, body) };
        loop {
            let owner = self.directory.owner_for(claims, || errand(left));
            if owner == self.own() {
                return None;
            }
            match self.send(owner, head, body).await {
                Answer::Head(response) => {
                    return Some(self.relay(response, head, body, shutdown).await);
                }
                Answer::Untouched => {
                    self.outcomes.count(Outcome::Unreachable);
                    self.directory.lost(owner);
                }
                Answer::Leaving => {
                    left = true;
                    self.directory.leaves(owner);
                }
                Answer::Lost(reason) => {
                    tracing::warn!(peer = %owner, reason, "a peer's answer was lost");
                    return Some(self.lost(body, &reason));
                }
            }
        }
    }

    async fn send(&self, owner: SocketAddr, head: &Parts, body: &Bytes) -> Answer {
        let Some(request) = self.request(owner, head, body) else {
            return Answer::Lost("the message can't be forwarded".into());
        };
        match self.client.request(request).await {
            Ok(response) => match response.headers().get(proof::HEADER) {
                None => Answer::Head(response),
                Some(word) if word == LEAVING => Answer::Leaving,
                Some(word) => {
                    debug_assert!(word == REFUSED);
                    tracing::error!(peer = %owner, "a peer has another session key, or its clock differs by minutes");
                    Answer::Untouched
                }
            },
            Err(error) if error.is_connect() => Answer::Untouched,
            Err(error) => Answer::Lost(error.to_string()),
        }
    }

    fn request(&self, owner: SocketAddr, head: &Parts, body: &Bytes) -> Option<Request<Full<Bytes>>> {
        let uri = Uri::builder().scheme("http").authority(owner.to_string()).path_and_query(PATH);
        let mut request = Request::new(Full::new(body.clone()));
        *request.method_mut() = head.method.clone();
        *request.uri_mut() = uri.build().ok()?;
        *request.version_mut() = Version::HTTP_11;
        let headers = request.headers_mut();
        headers.clone_from(&head.headers);
        strip(headers);
        if let (None, Some(host)) = (headers.get(header::HOST), head.uri.authority()) {
            headers.insert(header::HOST, HeaderValue::from_str(host.as_str()).ok()?);
        }
        headers.remove(header::CONTENT_LENGTH);
        let proof = self.keyring.prove(&head.method, PATH, headers)?;
        headers.insert(proof::HEADER, proof);
        Some(request)
    }

    /// Passes a peer's answer on: a stream as it comes, anything else when it is whole.
    async fn relay(
        &self,
        response: Response<Incoming>,
        head: &Parts,
        body: &Bytes,
        shutdown: &CancellationToken,
    ) -> Response<Reply> {
        let (mut answer, stream) = response.into_parts();
        strip(&mut answer.headers);
        let kind = answer.headers.get(header::CONTENT_TYPE);
        let reply = if kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream")) {
            // What is said in place of what a peer that ends owes has another length.
            answer.headers.remove(header::CONTENT_LENGTH);
            let relay = if head.method == Method::GET {
                Relay::listening(stream, shutdown)
            } else {
                Relay::answering(stream, body.clone(), Arc::clone(&self.outcomes))
            };
            Reply::Relay(Box::new(relay))
        } else {
            match stream.collect().await {
                Ok(whole) => Reply::Full(Some(whole.to_bytes()).filter(|whole| !whole.is_empty())),
                Err(error) => return self.lost(body, &error.to_string()),
            }
        };
        self.outcomes.count(Outcome::Answered);
        answer.version = Version::default();
        answer.extensions.clear();
        Response::from_parts(answer, reply)
    }

    fn lost(&self, body: &Bytes, reason: &str) -> Response<Reply> {
        self.outcomes.count(Outcome::Lost);
        reply::json(StatusCode::BAD_GATEWAY, lost(body, reason))
    }
}

/// What a client is told whose message is lost with a peer.
pub(super) fn lost(body: &[u8], reason: &str) -> Bytes {
    let id = match Message::parse(body) {
        Ok(Message::Request { id, .. }) => id,
        _ => "null",
    };
    trouble::answer_lost(id, &format!("the proxy that holds this session broke off: {reason}"))
}

/// Answers and notifications are about requests that run.
fn errand(head: &Parts, body: &[u8]) -> Errand {
    if head.method != Method::POST {
        return Errand::New;
    }
    match Message::parse(body) {
        Ok(Message::Response { .. } | Message::Notification { .. }) => Errand::Running,
        _ => Errand::New,
    }
}

fn strip(headers: &mut HeaderMap) {
    for name in HOP_BY_HOP {
        headers.remove(name);
    }
}
