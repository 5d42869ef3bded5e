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
        for _ in 0..TURNS {
            while self.come.as_ref().is_none_or(|come| come.len() < PIECE)
                && let Poll::Ready(event) = poll!(poll_fn(|cx| self.poll_stream(cx)))
            {
                match (event, self.come.take()) {
                    (None, come) => return Some(come.unwrap_or_default()),
                    (Some(event), None) => self.come = Some(event),
                    (Some(event), Some(come)) => self.come = Some([come, event].concat().into()),
                }
            }
            tokio::task::yield_now().await;
        }
        None
    }
}
