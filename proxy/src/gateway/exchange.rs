//! One request on a leased slot, from sending it to its answer.
//!
//! The exchange holds the lease. When the client goes away first, it lives on in a task of its own: a disconnect is not
//! a cancel, and a slot that still works on a request is not free.

mod events;
mod spans;
mod whole;

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use futures::{FutureExt, future::BoxFuture};
use hyper::{
    HeaderMap, Response, StatusCode,
    body::{Body, Incoming},
    header::HeaderValue,
};
use hyper_util::client::legacy::{Error as ClientError, ResponseFuture};
use tokio::time::Instant;

use self::spans::Spans;
use super::{linger, repeat::Repeat, trouble};
use crate::{
    downstream::client::{ClientSession, Halt, InFlight},
    mcp::{
        Message,
        error::{code, error},
        rewrite::{Edit, rewrite},
        sse::{self, Decoder},
    },
    pool::{CloseReason, Lease},
    trace::RequestSpan,
    upstream::{
        HttpConnector, SessionKey,
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
    /// Its span, if it is traced.
    pub span: Option<&'a RequestSpan>,
    /// How often it was sent before.
    pub resends: u32,
}

/// What a request's slot is to its client.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ties {
    /// It serves this client only: messages of the server pass as they are.
    pub own: bool,
    /// It holds something that the client would miss.
    pub state: bool,
}

/// See the module's text.
pub struct Exchange {
    inner: Option<Inner>,
    grace: Duration,
    /// What of the stream has come already, for the client.
    come: Option<Bytes>,
    /// Sends the request again should its answer be lost; none the second time.
    repeat: Option<Box<Repeat>>,
    /// The second attempt, once it is being made.
    again: Option<BoxFuture<'static, Result<Second, Bytes>>>,
}

/// What a second attempt came to: another stream, or all that there is to say.
pub(super) enum Second {
    Stream(Box<Exchange>),
    Answer(Bytes),
}

pub(super) struct Inner {
    /// Given back as soon as the answer is read: what is left of the stream then concerns the client only.
    lease: Option<Lease<HttpConnector>>,
    client: Arc<ClientSession>,
    pub request: Arc<InFlight>,
    upstream_id: String,
    token: Option<Box<str>>,
    ties: Ties,
    /// The key of a slot of the client's own, should this one become that.
    own_key: Option<SessionKey>,
    spans: Spans,
    stream: Stream,
    decoder: Decoder,
    last_event: Option<HeaderValue>,
    resumes: u32,
    sent: Instant,
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

/// What came before a response's body.
pub(super) enum Head {
    Response(Response<()>),
    Failed(ClientError),
    Halted(Halt),
}

/// What an event stream gives.
enum Next {
    /// Bytes for the client.
    Frame(Bytes),
    /// The answer was given and the stream is over, or the client cancelled.
    End,
    /// It ended without an answer.
    Lost(String),
    Halted(Halt),
}

/// A stream is asked for again at most so often in a row without an event.
const MAX_RESUMES: u32 = 3;

const NO_ANSWER: &str = "the upstream's answer is no answer to this request";

impl Exchange {
    /// Sends the request on the leased slot.
    pub(super) fn start(
        lease: Lease<HttpConnector>,
        key: &SessionKey,
        client: &Arc<ClientSession>,
        call: Call<'_>,
        headers: &HeaderMap,
        ties: Ties,
        grace: Duration,
    ) -> Self {
        let session = lease.session();
        let number = session.next_id();
        let upstream_id = number.to_string();
        let mut edits = vec![Edit { old: call.id, new: &upstream_id }];
        if let Some(token) = call.token {
            edits.push(Edit { old: token, new: &upstream_id });
        }
        let span = call
            .span
            .map(|span| span.call(session.uri(), session.version(), number, lease.slot(), call.resends));
        let traced = span.as_ref().map(|span| span.edits(call.message)).unwrap_or_default();
        edits.extend(traced.iter().map(|(old, new)| Edit { old, new }));
        let message = rewrite(call.message, &mut edits);
        let sending = match &span {
            None => session.post(message, headers),
            Some(span) => {
                let mut headers = headers.clone();
                span.write_headers(&mut headers);
                session.post(message, &headers)
            }
        };
        let request = Arc::new(InFlight::new(call.id, number, Arc::clone(session)));
        client.add(Arc::clone(&request));
        let inner = Inner {
            lease: Some(lease),
            client: Arc::clone(client),
            request,
            upstream_id,
            token: call.token.map(Into::into),
            ties,
            own_key: (!ties.own).then(|| key.owned_by(client.claims.id)),
            spans: Spans { call: span, request: None },
            stream: Stream::Head(sending),
            decoder: Decoder::new(answer::ANSWER_LIMIT),
            last_event: None,
            resumes: 0,
            sent: Instant::now(),
            answered: false,
            end: None,
        };
        Self { inner: Some(inner), grace, come: None, repeat: None, again: None }
    }

    /// Has the request sent again should its stream end without an answer.
    pub(super) fn repeat_with(&mut self, repeat: Repeat) {
        self.repeat = Some(Box::new(repeat));
    }

    /// Has the client's span end when the answer leaves.
    pub fn carry(&mut self, span: RequestSpan) {
        if let Some(inner) = &mut self.inner {
            inner.spans.request = Some(span);
        }
    }

    /// Waits for the response's head.
    pub(super) async fn head(&mut self) -> Head {
        std::future::poll_fn(|cx| match &mut self.inner {
            Some(inner) => inner.poll_head(cx),
            None => Poll::Ready(Head::Halted(Halt::Cancelled)),
        })
        .await
    }

    /// Ends the exchange and gives its lease and body; only after the head.
    pub fn into_body(mut self) -> Option<(Lease<HttpConnector>, Option<Incoming>)> {
        let inner = self.inner.take()?;
        inner.forget();
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
        inner.forget();
        match (&body, inner.lease.take()) {
            (Err(AnswerError::Halted(_)), Some(mut lease)) => lease.condemn(CloseReason::Abandoned),
            (Err(_), Some(lease)) => trouble::broken(lease, inner.ties.state),
            (Ok(_), _) | (_, None) => {}
        }
        let body = body?;
        inner.spans.answered(&body);
        Ok(match Message::parse(&body) {
            Ok(Message::Response { id, .. }) if id == inner.upstream_id => {
                rewrite(&body, &mut [Edit { old: id, new: &inner.request.id }])
            }
            _ => error(Some(&inner.request.id), code::SERVER, NO_ANSWER, None),
        })
    }

    /// The next bytes for the client.
    pub fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        match self.come.take() {
            Some(come) => Poll::Ready(Some(come)),
            None => self.poll_stream(cx),
        }
    }

    fn poll_stream(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        loop {
            if let Some(again) = &mut self.again {
                let second = ready!(again.poll_unpin(cx));
                self.again = None;
                match second {
                    Ok(Second::Stream(exchange)) => *self = *exchange,
                    Ok(Second::Answer(answer)) | Err(answer) => {
                        return Poll::Ready(Some(sse::encode(&answer)));
                    }
                }
            }
            let Some(inner) = &mut self.inner else { return Poll::Ready(None) };
            let next = ready!(inner.poll_next(cx));
            if let Next::Frame(frame) = next {
                return Poll::Ready(Some(frame));
            }
            let Some(mut inner) = self.inner.take() else { return Poll::Ready(None) };
            inner.forget();
            match next {
                Next::Frame(_) | Next::End => return Poll::Ready(None),
                Next::Halted(Halt::Cancelled) => {
                    inner.spans.leave("cancelled");
                    return Poll::Ready(None);
                }
                Next::Halted(Halt::Drained) => {
                    let drained = trouble::drained(&inner.request.id);
                    inner.spans.answered(&drained);
                    return Poll::Ready(Some(sse::encode(&drained)));
                }
                Next::Lost(reason) => {
                    let lost = trouble::answer_lost(&inner.request.id, &reason);
                    inner.spans.failed("answer_lost");
                    if let Some(lease) = inner.lease.take() {
                        trouble::broken(lease, inner.ties.state);
                    }
                    match self.repeat.take() {
                        Some(repeat) => self.again = Some(Box::pin(repeat.run(lost))),
                        None => {
                            inner.spans.answered(&lost);
                            return Poll::Ready(Some(sse::encode(&lost)));
                        }
                    }
                }
            }
        }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let Some(inner) = self.inner.take() else { return };
        inner.spans.leave("disconnected");
        tokio::spawn(linger::run(inner, self.grace));
    }
}

impl Inner {
    /// The client has no such request any more.
    pub fn forget(&self) {
        self.client.remove(&self.request);
    }

    /// Has the slot closed when the lease ends.
    pub fn condemn(&mut self) {
        if let Some(lease) = &mut self.lease {
            lease.condemn(CloseReason::Abandoned);
        }
    }

    /// The answer is there: the slot is free.
    fn answer(&mut self) {
        self.answered = true;
        if let Some(mut lease) = self.lease.take() {
            lease.answered(self.sent.elapsed());
        }
    }

    pub(super) fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Head> {
        if let Some(halt) = self.request.poll_halted(cx) {
            self.condemn();
            self.spans.halted(halt);
            return Poll::Ready(Head::Halted(halt));
        }
        let Stream::Head(sending) = &mut self.stream else {
            return Poll::Ready(Head::Halted(Halt::Cancelled));
        };
        let response = match ready!(sending.poll_unpin(cx)) {
            Ok(response) => response,
            Err(error) => {
                self.spans.failed(if error.is_connect() { "unreachable" } else { "answer_lost" });
                return Poll::Ready(Head::Failed(error));
            }
        };
        self.request.session.touch();
        let framing =
            (response.status() == StatusCode::OK).then(|| answer::framing(&response).ok()).flatten();
        let (head, body) = response.into_parts();
        self.stream = match framing {
            Some(Framing::Json) => Stream::Json(body, BytesMut::new()),
            Some(Framing::Events) => Stream::Events(body),
            None => Stream::Other(body),
        };
        if framing.is_none() {
            self.spans.refused(head.status);
        }
        Poll::Ready(Head::Response(Response::from_parts(head, ())))
    }

    /// What the event stream gives next.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Next> {
        loop {
            match self.decoder.next_event() {
                Ok(Some(event)) => match self.on_event(event) {
                    Some(frame) => return Poll::Ready(Next::Frame(frame)),
                    None => continue,
                },
                Ok(None) => {}
                Err(too_large) => return Poll::Ready(Next::Lost(too_large.to_string())),
            }
            if let Some(halt) = self.request.poll_halted(cx).filter(|_| !self.answered) {
                self.condemn();
                self.spans.halted(halt);
                return Poll::Ready(Next::Halted(halt));
            }
            match self.poll_stream(cx) {
                Poll::Ready(true) => {}
                Poll::Ready(false) if self.answered => return Poll::Ready(Next::End),
                Poll::Ready(false) => {
                    if !self.resume() {
                        self.stream = Stream::Over;
                        let message = "the upstream's stream ended without an answer";
                        return Poll::Ready(Next::Lost(message.to_owned()));
                    }
                }
                Poll::Pending if self.answered => {
                    let end =
                        self.end.get_or_insert_with(|| Box::pin(tokio::time::sleep(answer::END_TIMEOUT)));
                    return end.poll_unpin(cx).map(|()| Next::End);
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
        if let Some(halt) = self.request.poll_halted(cx) {
            self.spans.halted(halt);
            return Poll::Ready(Err(AnswerError::Halted(halt)));
        }
        let Stream::Json(body, buffer) = &mut self.stream else {
            return Poll::Ready(Err(AnswerError::Ended));
        };
        while let Some(frame) = ready!(Pin::new(&mut *body).poll_frame(cx)) {
            let frame = frame.map_err(|error| {
                self.spans.failed("answer_lost");
                AnswerError::Broken(error.to_string())
            })?;
            buffer.extend_from_slice(frame.data_ref().map_or(&[], |data| data));
            if buffer.len() > answer::ANSWER_LIMIT {
                return Poll::Ready(Err(AnswerError::Broken("it is too large".into())));
            }
        }
        let body = buffer.split().freeze();
        self.answer();
        Poll::Ready(Ok(body))
    }

    /// Reads on when nobody listens, until the slot is free; false if it is not to be used again.
    pub fn poll_rest(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        if matches!(self.stream, Stream::Head(_)) && !matches!(ready!(self.poll_head(cx)), Head::Response(_))
        {
            return Poll::Ready(false);
        }
        match &self.stream {
            Stream::Json(..) => self.poll_json(cx).map(|answer| answer.is_ok()),
            Stream::Events(_) | Stream::Resume(_) => loop {
                match ready!(self.poll_next(cx)) {
                    Next::Frame(_) => {}
                    Next::End => return Poll::Ready(true),
                    Next::Lost(_) | Next::Halted(_) => return Poll::Ready(false),
                }
            },
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
}
