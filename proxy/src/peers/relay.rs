//! A peer's event stream on its way to the client.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use futures::FutureExt;
use hyper::body::{Body, Incoming};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use super::forward::{Outcome, Outcomes, lost};
use crate::mcp::sse;

/// See the module's text.
pub struct Relay {
    stream: Option<Incoming>,
    kind: Kind,
    /// The last bytes were the end of an event.
    whole: bool,
}

enum Kind {
    /// A client session's own stream. It ends with this process, and the client opens another.
    Listening(Pin<Box<WaitForCancellationFutureOwned>>),
    /// The answer to this message.
    Answering(Bytes, Arc<Outcomes>),
}

impl Relay {
    pub(super) fn listening(stream: Incoming, shutdown: &CancellationToken) -> Self {
        Self::new(stream, Kind::Listening(Box::pin(shutdown.clone().cancelled_owned())))
    }

    pub(super) fn answering(stream: Incoming, message: Bytes, outcomes: Arc<Outcomes>) -> Self {
        Self::new(stream, Kind::Answering(message, outcomes))
    }

    fn new(stream: Incoming, kind: Kind) -> Self {
        Self { stream: Some(stream), kind, whole: true }
    }

    /// The next bytes for the client. After a break it is told that its answer is lost, or may open another stream.
    pub fn poll_bytes(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if let Kind::Listening(shutdown) = &mut self.kind
            && shutdown.poll_unpin(cx).is_ready()
        {
            self.stream = None;
        }
        loop {
            let Some(stream) = &mut self.stream else { return Poll::Ready(None) };
            match ready!(Pin::new(stream).poll_frame(cx)) {
                Some(Ok(frame)) => {
                    let Ok(bytes) = frame.into_data() else { continue };
                    if !bytes.is_empty() {
                        self.whole = bytes.ends_with(b"\n\n") || bytes == b"\n"[..] && self.whole;
                        return Poll::Ready(Some(bytes));
                    }
                }
                Some(Err(error)) => {
                    self.stream = None;
                    return Poll::Ready(self.farewell(&error.to_string()));
                }
                None => self.stream = None,
            }
        }
    }

    fn farewell(&self, reason: &str) -> Option<Bytes> {
        let Kind::Answering(message, outcomes) = &self.kind else { return None };
        outcomes.count(Outcome::Lost);
        let event = sse::encode(&lost(message, reason));
        // Half an event must not run into ours.
        Some(if self.whole { event } else { [&b"\n\n"[..], &event].concat().into() })
    }
}
