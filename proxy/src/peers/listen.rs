//! The port that peers forward to.

use std::{sync::Arc, time::Duration};

use hyper::{Request, Response, StatusCode, body::Incoming, header::HeaderValue};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::{Peers, hello, proof};
use crate::{
    downstream::reply::{self, Reply},
    gateway::Gateway,
    mcp::error::code,
    server,
};

/// What [`proof::HEADER`] says in an answer to somebody who is no peer.
pub(super) const REFUSED: &str = "refused";

/// Serves peers until `stop`, then lets running requests finish for at most `grace`.
pub async fn serve(listener: TcpListener, gateway: Arc<Gateway>, stop: CancellationToken, grace: Duration) {
    let handle = move |request| {
        let gateway = Arc::clone(&gateway);
        async move { answer(&gateway, request).await }
    };
    server::serve(listener, handle, stop, grace).await;
}

async fn answer(gateway: &Arc<Gateway>, mut request: Request<Incoming>) -> Response<Reply> {
    let proved =
        |peers: &&Peers| peers.prover.accepts(request.method(), request.uri().path(), request.headers());
    let Some(peers) = gateway.peers.as_ref().filter(proved) else {
        let message = "this port is for the pool's own proxies, which prove that they know the session key";
        let mut response = reply::failure(StatusCode::UNAUTHORIZED, None, code::INVALID_REQUEST, message);
        response.headers_mut().insert(proof::HEADER, HeaderValue::from_static(REFUSED));
        return response;
    };
    if let Some(peer) = hello::speaker(request.uri().path()) {
        peers.directory.heard(peer);
        return reply::empty(StatusCode::NO_CONTENT);
    }
    request.headers_mut().remove(proof::HEADER);
    gateway.handle_forwarded(request).await
}
