//! Responses to clients.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use hyper::{
    Response, StatusCode,
    body::{Body, Frame, SizeHint},
    header::{self, HeaderValue},
};

use super::checks::Rejection;
use crate::{
    gateway::{exchange::Exchange, listen::Listen},
    mcp::error::{code, error},
    peers::Relay,
};

/// A response's body.
pub enum Reply {
    /// Known at once; none once it was sent.
    Full(Option<Bytes>),
    /// A request's stream.
    Events(Box<Exchange>),
    /// A client session's own stream.
    Listen(Box<Listen>),
    /// Either, as a peer sends it.
    Relay(Box<Relay>),
}

impl Body for Reply {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let bytes = match self.get_mut() {
            Self::Full(bytes) => Poll::Ready(bytes.take()),
            Self::Events(exchange) => exchange.poll_event(cx),
            Self::Listen(listen) => listen.poll_event(cx),
            Self::Relay(relay) => relay.poll_bytes(cx),
        };
        bytes.map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Full(None))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Full(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Self::Events(_) | Self::Listen(_) | Self::Relay(_) => SizeHint::default(),
        }
    }
}

/// A response without a body.
pub fn empty(status: StatusCode) -> Response<Reply> {
    let mut response = Response::new(Reply::Full(None));
    *response.status_mut() = status;
    response
}

/// A JSON response.
pub fn json(status: StatusCode, body: Bytes) -> Response<Reply> {
    let mut response = Response::new(Reply::Full(Some(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// An event stream.
pub fn events(body: Reply) -> Response<Reply> {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, no-transform"));
    // nginx buffers event streams unless told otherwise.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

/// A JSON-RPC error with an HTTP status.
pub fn failure(status: StatusCode, id: Option<&str>, code: i32, message: &str) -> Response<Reply> {
    json(status, error(id, code, message, None))
}

impl From<Rejection> for Response<Reply> {
    fn from(rejection: Rejection) -> Self {
        failure(rejection.status, None, code::INVALID_REQUEST, &rejection.message)
    }
}
