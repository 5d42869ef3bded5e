//! A proxy tells the others that it is there before clients may come: so no message of its client sessions goes to another
//! once one has come to it. When it ends it says so first: nobody sends it a request that it would not answer any more.

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use futures::future::join_all;
use http_body_util::Full;
use hyper::{Method, Request, Uri};

use super::{Peers, proof};

/// How long the others may take to hear it. Those who don't find out by themselves.
const PATIENCE: Duration = Duration::from_secs(3);

/// What a proxy tells the others about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Word {
    /// It is about to serve.
    Hello,
    /// It is about to end, and takes no more requests from them.
    Goodbye,
}

impl Word {
    /// Where it is told; the address follows, where the proof covers it.
    const fn path(self) -> &'static str {
        match self {
            Self::Hello => "/hello/",
            Self::Goodbye => "/goodbye/",
        }
    }

    /// What a request for this path says, and who says it.
    pub(super) fn read(path: &str) -> Option<(Self, SocketAddr)> {
        [Self::Hello, Self::Goodbye]
            .into_iter()
            .find_map(|word| Some((word, path.strip_prefix(word.path())?.parse().ok()?)))
    }
}

impl Peers {
    /// Makes the others known to this proxy, and this proxy to them.
    pub async fn meet(&self) {
        self.directory.refresh().await;
        self.tell(Word::Hello).await;
    }

    /// Has the others take over this proxy's client sessions.
    pub async fn part(&self) {
        self.directory.refresh().await;
        self.tell(Word::Goodbye).await;
    }

    async fn tell(&self, word: Word) {
        let tries = self.directory.others().into_iter().map(async |peer| {
            let Some(request) = self.telling(word, peer) else { return };
            match tokio::time::timeout(PATIENCE, self.client.request(request)).await {
                Ok(Ok(response)) if response.status().is_success() => {}
                Ok(Ok(response)) => {
                    tracing::warn!(%peer, ?word, status = %response.status(), "a peer refused a word");
                }
                Ok(Err(error)) => tracing::debug!(%peer, ?word, %error, "a peer did not hear a word"),
                Err(_) => tracing::debug!(%peer, ?word, "a peer did not answer a word in time"),
            }
        });
        join_all(tries).await;
    }

    fn telling(&self, word: Word, peer: SocketAddr) -> Option<Request<Full<Bytes>>> {
        let path = format!("{}{}", word.path(), self.own());
        let mut request = Request::new(Full::default());
        *request.method_mut() = Method::POST;
        let proof = self.keyring.prove(&Method::POST, &path, request.headers())?;
        request.headers_mut().insert(proof::HEADER, proof);
        let uri = Uri::builder().scheme("http").authority(peer.to_string()).path_and_query(path);
        *request.uri_mut() = uri.build().ok()?;
        Some(request)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::downstream::{keyring::Keyring, session_key::Secrets};

    #[test]
    fn is_told_by_every_family_of_addresses() {
        for own in ["10.0.0.1:9091", "[fd00::1]:9091"] {
            let keyring = Keyring::new(&Secrets::new([7; 32], Vec::new()), "default.a").unwrap();
            let peers = Peers::new("", own.parse().unwrap(), Arc::new(keyring));
            for word in [Word::Hello, Word::Goodbye] {
                let request = peers.telling(word, ([10, 0, 0, 2], 9091).into()).unwrap();
                assert_eq!(Word::read(request.uri().path()), Some((word, own.parse().unwrap())));
                assert!(peers.keyring.accepts(request.method(), request.uri().path(), request.headers()));
            }
        }
        assert_eq!(Word::read("/mcp"), None);
        assert_eq!(Word::read("/hello/proxy-0"), None);
    }
}
