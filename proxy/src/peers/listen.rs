//! The port that peers forward to.

use std::{sync::Arc, time::Duration};

use hyper::{Request, Response, StatusCode, body::Incoming, header::HeaderValue};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::{Peers, hello::Word, proof};
use crate::{
    downstream::reply::{self, Reply},
    gateway::{Gateway, Leaving},
    mcp::error::code,
    server::{self, Ending},
};

/// What [`proof::HEADER`] says in an answer to somebody who is no peer.
pub(super) const REFUSED: &str = "refused";

/// What it says when this proxy is about to end and leaves the message to another.
pub(super) const LEAVING: &str = "leaving";

/// How long a message may be on its way that was sent before its peer heard that this proxy is about to end.
const FAREWELL: Duration = Duration::from_millis(500);

/// Serves peers until `stop`, then lets running requests finish for at most `grace`.
pub async fn serve(listener: TcpListener, gateway: Arc<Gateway>, stop: CancellationToken, grace: Duration) {
    let handle = move |request| {
        let gateway = Arc::clone(&gateway);
        async move { answer(&gateway, request).await }
    };
    let ending = Ending { farewell: FAREWELL, grace };
    server::serve(listener, handle, stop, ending).await;
}

async fn answer(gateway: &Arc<Gateway>, mut request: Request<Incoming>) -> Response<Reply> {
    let proved =
        |peers: &&Peers| peers.keyring.accepts(request.method(), request.uri().path(), request.headers());
    let Some(peers) = gateway.peers.as_ref().filter(proved) else {
        let message = "this port is for the pool's own proxies, which prove that they know the session key";
        let mut response = reply::failure(StatusCode::UNAUTHORIZED, None, code::INVALID_REQUEST, message);
        response.headers_mut().insert(proof::HEADER, HeaderValue::from_static(REFUSED));
        return response;
    };
    match Word::read(request.uri().path()) {
        Some((Word::Hello, peer)) => peers.directory.heard(peer),
        Some((Word::Goodbye, peer)) => peers.directory.leaves(peer),
        None => {
            request.headers_mut().remove(proof::HEADER);
            return gateway.handle_forwarded(request).await.unwrap_or_else(leaving);
        }
    }
    reply::empty(StatusCode::NO_CONTENT)
}

fn leaving(_: Leaving) -> Response<Reply> {
    let mut response = reply::empty(StatusCode::SERVICE_UNAVAILABLE);
    response.headers_mut().insert(proof::HEADER, HeaderValue::from_static(LEAVING));
    response
}
