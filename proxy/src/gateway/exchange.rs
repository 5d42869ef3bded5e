//! One request on a leased slot, from sending it to its answer.
//!
//! The exchange holds the lease. When the client goes away first, it lives on in a task of its own: a disconnect is not
//! a cancel, and a slot that still works on a request is not free.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use futures::FutureExt;
use hyper::{
    HeaderMap, Response, StatusCode,
    body::{Body, Incoming},
    header::HeaderValue,
};
use hyper_util::client::legacy::{Error as ClientError, ResponseFuture};

use super::linger;
use crate::{
    downstream::client::{ClientSession, InFlight},
    mcp::{
        Message,
        envelope::Params,
        error::{code, error, result},
        logging,
        rewrite::{Edit, rewrite},
        sse::{self, Decoder, Event},
    },
    pool::{CloseReason, Lease},
    upstream::{
        HttpConnector,
        answer::{self, AnswerError, Framing},
    },
};

/// A client's request and the bytes in it that are replaced.
#[derive(Clone, Copy)]
pub struct Call<'a> {
    /// The whole message.
    pub message: &'a Bytes,
    /// Its id, a slice of the message.
    pub id: &'a str,
    /// Its progress token, a slice of the message.
    pub token: Option<&'a str>,
}

/// See the module's text.
pub struct Exchange {
    inner: Option<Inner>,
    grace: Duration,
}

pub(super) struct Inner {
    /// Given back as soon as the answer is read: what is left of the stream then concerns the client only.
    lease: Option<Lease<HttpConnector>>,
    client: Arc<ClientSession>,
    pub request: Arc<InFlight>,
    upstream_id: String,
    token: Option<Box<str>>,
    /// Whether server requests can be passed on, since the slot serves this client only.
    bound: bool,
    stream: Stream,
    decoder: Decoder,
    last_event: Option<HeaderValue>,
    resumes: u32,
    pub answered: bool,
    /// Runs once the answer is there and the stream does not end.
    end: Option<Pin<Box<tokio::time::Sleep>>>,
}

enum Stream {
    /// The response's head is waited for.
    Head(ResponseFuture),
    /// One JSON message.
    Json(Incoming, BytesMut),
    Events(Incoming),
    /// Asked for again, after its last event.
    Resume(ResponseFuture),
    /// Neither: a refusal, or no MCP.
    Other(Incoming),
    Over,
}

/// A stream is asked for again at most so often in a row without an event.
const MAX_RESUMES: u32 = 3;

impl Exchange {
    /// Sends the request on the leased slot.
    pub fn start(
        lease: Lease<HttpConnector>,
        client: &Arc<ClientSession>,
        call: Call<'_>,
        headers: &HeaderMap,
        bound: bool,
        grace: Duration,
    ) -> Self {
        let session = lease.session();
        let number = session.next_id();
        let upstream_id = number.to_string();
        let mut edits = vec![Edit { old: call.id, new: &upstream_id }];
        if let Some(token) = call.token {
            edits.push(Edit { old: token, new: &upstream_id });
        }
        let sending = session.post(rewrite(call.message, &mut edits), headers);
        let request = Arc::new(InFlight::new(call.id, number, Arc::clone(session)));
        client.add(Arc::clone(&request));
        let inner = Inner {
            lease: Some(lease),
            client: Arc::clone(client),
            request,
            upstream_id,
            token: call.token.map(Into::into),
            bound,
            stream: Stream::Head(sending),
            decoder: Decoder::new(answer::ANSWER_LIMIT),
            last_event: None,
            resumes: 0,
            answered: false,
            end: None,
        };
        Self { inner: Some(inner), grace }
    }

    /// Waits for the response's head; none if the client cancelled the request.
    pub async fn head(&mut self) -> Option<Result<Response<()>, ClientError>> {
        std::future::poll_fn(|cx| self.inner.as_mut().map_or(Poll::Ready(None), |inner| inner.poll_head(cx)))
            .await
    }

    /// Ends the exchange and gives its lease and body; only after the head.
    pub fn into_body(mut self) -> Option<(Lease<HttpConnector>, Option<Incoming>)> {
        let inner = self.inner.take()?;
        inner.client.remove(&inner.request);
        let body = match inner.stream {
            Stream::Json(body, _) | Stream::Events(body) | Stream::Other(body) => Some(body),
            Stream::Head(_) | Stream::Resume(_) | Stream::Over => None,
        };
        Some((inner.lease?, body))
    }

    /// Ends the exchange with an answer of one JSON message; gives it with the client's id.
    pub async fn into_json(mut self) -> Result<Bytes, AnswerError> {
        // The inner part stays in place while waiting, so that a disconnect lets it live on.
        let body = std::future::poll_fn(|cx| match &mut self.inner {
            Some(inner) => inner.poll_json(cx),
            None => Poll::Ready(Err(AnswerError::Ended)),
        })
        .await;
        let Some(mut inner) = self.inner.take() else { return Err(AnswerError::Ended) };
        inner.client.remove(&inner.request);
        if body.is_err() {
            inner.condemn();
        }
        let body = body?;
        Ok(match Message::parse(&body) {
            Ok(Message::Response { id, .. }) if id == inner.upstream_id => {
                rewrite(&body, &mut [Edit { old: id, new: &inner.request.id }])
            }
            _ => error(
                Some(&inner.request.id),
                code::SERVER,
                "the upstream's answer is no answer to this request",
                None,
            ),
        })
    }

    /// The next bytes for the client.
    pub fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let Some(inner) = &mut self.inner else { return Poll::Ready(None) };
        let event = ready!(inner.poll_event(cx));
        if event.is_none()
            && let Some(inner) = self.inner.take()
        {
            inner.client.remove(&inner.request);
        }
        Poll::Ready(event)
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let Some(inner) = self.inner.take() else { return };
        inner.client.remove(&inner.request);
        tokio::spawn(linger::run(inner, self.grace));
    }
}

impl Inner {
    /// Has the slot closed when the lease ends.
    pub fn condemn(&mut self) {
        if let Some(lease) = &mut self.lease {
            lease.condemn(CloseReason::Abandoned);
        }
    }

    pub fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Response<()>, ClientError>>> {
        if self.request.poll_given_up(cx) {
            self.condemn();
            return Poll::Ready(None);
        }
        let Stream::Head(sending) = &mut self.stream else { return Poll::Ready(None) };
        Poll::Ready(Some(ready!(sending.poll_unpin(cx)).map(|response| {
            self.request.session.touch();
            let framing =
                (response.status() == StatusCode::OK).then(|| answer::framing(&response).ok()).flatten();
            let (head, body) = response.into_parts();
            self.stream = match framing {
                Some(Framing::Json) => Stream::Json(body, BytesMut::new()),
                Some(Framing::Events) => Stream::Events(body),
                None => Stream::Other(body),
            };
            Response::from_parts(head, ())
        })))
    }

    /// The next bytes for the client, none at the end.
    pub fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        loop {
            match self.decoder.next_event() {
                Ok(Some(event)) => match self.on_event(event) {
                    Some(frame) => return Poll::Ready(Some(frame)),
                    None => continue,
                },
                Ok(None) => {}
                Err(too_large) => return Poll::Ready(Some(self.fail(&too_large.to_string()))),
            }
            if self.request.poll_given_up(cx) && !self.answered {
                self.condemn();
                return Poll::Ready(None);
            }
            match self.poll_stream(cx) {
                Poll::Ready(true) => {}
                Poll::Ready(false) if self.answered => return Poll::Ready(None),
                Poll::Ready(false) => {
                    if !self.resume() {
                        return Poll::Ready(Some(self.fail("the upstream's stream ended without an answer")));
                    }
                }
                Poll::Pending if self.answered => {
                    let end =
                        self.end.get_or_insert_with(|| Box::pin(tokio::time::sleep(answer::END_TIMEOUT)));
                    return end.poll_unpin(cx).map(|()| None);
                }
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// Takes in what came of the event stream; false at its end.
    fn poll_stream(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        match &mut self.stream {
            Stream::Events(body) => Poll::Ready(match ready!(Pin::new(body).poll_frame(cx)) {
                Some(Ok(frame)) => {
                    self.request.session.touch();
                    if let Ok(data) = frame.into_data() {
                        self.decoder.push(&data);
                    }
                    true
                }
                Some(Err(_)) | None => false,
            }),
            Stream::Resume(future) => {
                let response = ready!(future.poll_unpin(cx)).ok();
                let events =
                    response.filter(|response| matches!(answer::framing(response), Ok(Framing::Events)));
                let Some(response) = events else { return Poll::Ready(false) };
                self.decoder = Decoder::new(answer::ANSWER_LIMIT);
                self.stream = Stream::Events(response.into_body());
                Poll::Ready(true)
            }
            Stream::Head(_) | Stream::Json(..) | Stream::Other(_) | Stream::Over => Poll::Ready(false),
        }
    }

    /// The whole of a JSON answer.
    fn poll_json(&mut self, cx: &mut Context<'_>) -> Poll<Result<Bytes, AnswerError>> {
        let Stream::Json(body, buffer) = &mut self.stream else {
            return Poll::Ready(Err(AnswerError::Ended));
        };
        while let Some(frame) = ready!(Pin::new(&mut *body).poll_frame(cx)) {
            let frame = frame.map_err(|error| AnswerError::Broken(error.to_string()))?;
            buffer.extend_from_slice(frame.data_ref().map_or(&[], |data| data));
            if buffer.len() > answer::ANSWER_LIMIT {
                return Poll::Ready(Err(AnswerError::Broken("it is too large".into())));
            }
        }
        self.answered = true;
        Poll::Ready(Ok(buffer.split().freeze()))
    }

    /// Reads on when nobody listens, until the slot is free; false if it is not to be used again.
    pub fn poll_rest(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        if matches!(self.stream, Stream::Head(_))
            && ready!(self.poll_head(cx)).is_none_or(|head| head.is_err())
        {
            return Poll::Ready(false);
        }
        match &self.stream {
            Stream::Json(..) => self.poll_json(cx).map(|answer| answer.is_ok()),
            Stream::Events(_) | Stream::Resume(_) => {
                while ready!(self.poll_event(cx)).is_some() {}
                Poll::Ready(true)
            }
            Stream::Head(_) | Stream::Other(_) | Stream::Over => Poll::Ready(false),
        }
    }

    /// Goes on after the last event, if the server gives its events ids. True if it is being tried.
    fn resume(&mut self) -> bool {
        self.resumes += 1;
        let Some(last_event) = &self.last_event else { return false };
        if self.resumes > MAX_RESUMES {
            return false;
        }
        self.stream = Stream::Resume(self.request.session.resume(last_event));
        true
    }

    /// The end of a stream without an answer: the slot can't be trusted, and the client must know.
    fn fail(&mut self, message: &str) -> Bytes {
        self.answered = true;
        self.stream = Stream::Over;
        self.condemn();
        let data = serde_json::json!({ "reason": "answer_lost", "executed": "unknown" });
        let message = format!("{message}; the request may have been executed");
        sse::encode(&error(Some(&self.request.id), code::SERVER, &message, Some(data)))
    }

    /// What the client gets of an event.
    fn on_event(&mut self, event: Event) -> Option<Bytes> {
        if let Some(id) = event.id {
            self.last_event = HeaderValue::from_maybe_shared(id).ok();
            self.resumes = 0;
        }
        let data = event.data.filter(|data| !data.is_empty())?;
        match Message::parse(&data) {
            Ok(Message::Response { id, .. }) if id == self.upstream_id => {
                self.answered = true;
                self.lease = None;
                Some(sse::encode(&rewrite(&data, &mut [Edit { old: id, new: &self.request.id }])))
            }
            Ok(Message::Notification { method, params }) if method == "notifications/progress" => {
                let token = Params::parse(params).progress_token?.get();
                let ours = self.token.as_deref().filter(|_| token == self.upstream_id)?;
                Some(sse::encode(&rewrite(&data, &mut [Edit { old: token, new: ours }])))
            }
            Ok(Message::Notification { method, params }) if method == "notifications/message" => {
                let severity = Params::parse(params).level.and_then(|level| logging::severity(&level));
                severity.is_none_or(|severity| self.client.wants(severity)).then(|| sse::encode(&data))
            }
            Ok(Message::Notification { .. }) => Some(sse::encode(&data)),
            Ok(Message::Request { .. }) if self.bound => Some(sse::encode(&data)),
            Ok(Message::Request { id, method, .. }) => {
                self.refuse(id, &method);
                None
            }
            Ok(Message::Response { .. }) | Err(_) => {
                tracing::debug!("an event on a request's stream that is not its own");
                None
            }
        }
    }

    /// Answers a server's request that no client can be asked.
    fn refuse(&self, id: &str, method: &str) {
        let answer = if method == "ping" {
            result(id, "{}")
        } else {
            let message =
                "requests to the client are not carried over a shared session; use isolation: Session";
            error(Some(id), code::METHOD_NOT_FOUND, message, None)
        };
        let session = Arc::clone(&self.request.session);
        tokio::spawn(async move { session.notify(answer).await });
    }
}
