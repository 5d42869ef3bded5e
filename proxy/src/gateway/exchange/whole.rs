//! Streams that are over as soon as they begin.

use std::{future::poll_fn, task::Poll};

use bytes::Bytes;
use futures::poll;

use super::Exchange;

/// Bytes of a stream that are gathered before the client gets them, at most.
const PIECE: usize = 64 * 1024;

/// How often the connection to the server gets its turn to bring what it has received.
const TURNS: usize = 2;

impl Exchange {
    /// The whole stream, if it came with the response's head, as it does from servers that answer at once: then the client
    /// gets it in one piece, too.
    pub(in super::super) async fn whole(&mut self) -> Option<Bytes> {
        let mut events: Vec<Bytes> = Vec::new();
        let mut size = 0;
        for _ in 0..TURNS {
            while size < PIECE
                && let Poll::Ready(event) = poll!(poll_fn(|cx| self.poll_stream(cx)))
            {
                let Some(event) = event else { return Some(joined(events)) };
                size += event.len();
                events.push(event);
            }
            tokio::task::yield_now().await;
        }
        self.come = (!events.is_empty()).then(|| joined(events));
        None
    }
}

/// Several events as one piece; a single one is not copied.
fn joined(mut events: Vec<Bytes>) -> Bytes {
    match events.len() {
        0 => Bytes::new(),
        1 => events.swap_remove(0),
        _ => events.concat().into(),
    }
}
