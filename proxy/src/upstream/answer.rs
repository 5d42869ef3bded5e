//! Reading the one answer that a request of our own gets.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::{Response, body::Incoming, header};

use crate::{
    downstream::client::Halt,
    mcp::{
        Message,
        sse::{Decoder, EventTooLarge},
    },
};

/// The largest answer or event that is read. Servers return images and files inside JSON.
pub const ANSWER_LIMIT: usize = 64 << 20;

/// How long a stream may go on after its answer.
pub const END_TIMEOUT: Duration = Duration::from_secs(1);

/// How long the proxy waits for the answer to a request of its own.
pub const OWN_TIMEOUT: Duration = Duration::from_secs(10);

/// Why a response holds no answer.
#[derive(Debug, thiserror::Error)]
pub enum AnswerError {
    /// Neither JSON nor an event stream.
    #[error("its answer is {0}, not JSON or an event stream")]
    ContentType(String),
    /// The body broke off or is too large.
    #[error("its answer broke off: {0}")]
    Broken(String),
    /// The stream ended first.
    #[error("its event stream ended without an answer")]
    Ended,
    /// It is not waited for any longer.
    #[error("it is not waited for any longer")]
    Halted(Halt),
    /// An event is too large.
    #[error(transparent)]
    TooLarge(#[from] EventTooLarge),
}

/// How a response's body is framed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// One JSON message.
    Json,
    /// Server-sent events.
    Events,
}

/// The framing that the response declares.
pub fn framing<B>(response: &Response<B>) -> Result<Framing, AnswerError> {
    let value = response.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let kind = value.and_then(|value| value.split(';').next()).unwrap_or("").trim();
    if kind.eq_ignore_ascii_case("text/event-stream") {
        Ok(Framing::Events)
    } else if kind.eq_ignore_ascii_case("application/json") {
        Ok(Framing::Json)
    } else {
        Err(AnswerError::ContentType(if kind.is_empty() { "of no type".into() } else { kind.into() }))
    }
}

/// The whole body, up to `limit` bytes.
pub async fn collect(body: Incoming, limit: usize) -> Result<Bytes, AnswerError> {
    let collected = Limited::new(body, limit).collect().await;
    collected.map(http_body_util::Collected::to_bytes).map_err(|error| AnswerError::Broken(error.to_string()))
}

/// The message that answers request `id`; what else comes on its stream is dropped.
pub async fn read(response: Response<Incoming>, id: u64) -> Result<Bytes, AnswerError> {
    if framing(&response)? == Framing::Json {
        return collect(response.into_body(), ANSWER_LIMIT).await;
    }
    let mut body = response.into_body();
    let mut decoder = Decoder::new(ANSWER_LIMIT);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| AnswerError::Broken(error.to_string()))?;
        let Ok(data) = frame.into_data() else { continue };
        decoder.push(&data);
        while let Some(event) = decoder.next_event()? {
            let data = event.data.unwrap_or_default();
            if is_answer(&data, id) {
                // Read to the end, so that the connection can be used again.
                let _ = tokio::time::timeout(END_TIMEOUT, body.collect()).await;
                return Ok(data);
            }
        }
    }
    Err(AnswerError::Ended)
}

fn is_answer(data: &[u8], id: u64) -> bool {
    matches!(Message::parse(data), Ok(Message::Response { id: answered, .. }) if answered == id.to_string())
}
