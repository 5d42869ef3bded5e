//! A proxy tells the others that it is there before it serves anything: so no message of its client sessions goes to another
//! once one has come to it.

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use futures::future::join_all;
use http_body_util::Full;
use hyper::{Method, Request, Uri};

use super::{Peers, proof};

/// How long the others may take to hear it. Those who don't find out by themselves.
const PATIENCE: Duration = Duration::from_secs(3);

/// The path it is told at; the address follows, where the proof covers it.
const PATH: &str = "/hello/";

/// Who says hello with a request for this path.
pub(super) fn speaker(path: &str) -> Option<SocketAddr> {
    path.strip_prefix(PATH)?.parse().ok()
}

impl Peers {
    /// Makes the others known to this proxy, and this proxy to them.
    pub async fn meet(&self) {
        self.directory.refresh().await;
        let tries = self.directory.others().into_iter().map(async |peer| {
            let Some(request) = self.hello(peer) else { return };
            match tokio::time::timeout(PATIENCE, self.client.request(request)).await {
                Ok(Ok(response)) if response.status().is_success() => {}
                Ok(Ok(response)) => {
                    tracing::warn!(%peer, status = %response.status(), "a peer refused a hello");
                }
                Ok(Err(error)) => tracing::debug!(%peer, %error, "a peer did not hear a hello"),
                Err(_) => tracing::debug!(%peer, "a peer did not answer a hello in time"),
            }
        });
        join_all(tries).await;
    }

    fn hello(&self, peer: SocketAddr) -> Option<Request<Full<Bytes>>> {
        let path = format!("{PATH}{}", self.own());
        let mut request = Request::new(Full::default());
        *request.method_mut() = Method::POST;
        let proof = self.prover.prove(&Method::POST, &path, request.headers())?;
        request.headers_mut().insert(proof::HEADER, proof);
        let uri = Uri::builder().scheme("http").authority(peer.to_string()).path_and_query(path);
        *request.uri_mut() = uri.build().ok()?;
        Some(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_told_by_every_family_of_addresses() {
        for own in ["10.0.0.1:9091", "[fd00::1]:9091"] {
            let prover = super::super::Prover::new(&[7; 32], "default.a").unwrap();
            let peers = Peers::new("", own.parse().unwrap(), prover);
            let hello = peers.hello(([10, 0, 0, 2], 9091).into()).unwrap();
            assert_eq!(speaker(hello.uri().path()), own.parse().ok());
            assert!(peers.prover.accepts(hello.method(), hello.uri().path(), hello.headers()));
        }
        assert_eq!(speaker("/mcp"), None);
        assert_eq!(speaker("/hello/proxy-0"), None);
    }
}
