//! Which proxies there are, which of them live, and whose a client session is.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, SystemTime},
};

use arc_swap::ArcSwap;
use futures::future::join_all;
use parking_lot::Mutex;
use tokio::{
    net::{TcpStream, lookup_host},
    time::Instant,
};

use super::CONNECT_TIMEOUT;
use crate::{downstream::token::Claims, strategy::rendezvous};

/// How often names are resolved, and peers that were gone are tried.
const PERIOD: Duration = Duration::from_secs(1);

/// How long a peer that could not be reached is left alone at least.
const DEAD_TIME: Duration = Duration::from_secs(2);

/// How long a peer that said goodbye is not asked whether it is back. One that is says so by itself.
const LEAVING_TIME: Duration = Duration::from_secs(60);

/// A peer that is not listed may be new; this long after it made a client session it would be.
const LISTING_TIME: Duration = Duration::from_secs(60);

/// See the module's text.
pub struct Directory {
    own: SocketAddr,
    names: Vec<String>,
    listed: ArcSwap<Vec<SocketAddr>>,
    /// Those that don't get requests, and since when.
    gone: Mutex<HashMap<SocketAddr, (Gone, Instant)>>,
    changed: Mutex<Instant>,
}

/// Why a peer gets no requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Gone {
    /// It can't be reached.
    Dead,
    /// It said goodbye: it only finishes what it has begun.
    Leaving,
}

/// What is to be sent to a client session's proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Errand {
    /// Something new.
    New,
    /// Something about a request that runs: it goes to a proxy that is about to end as well.
    Running,
}

impl Directory {
    pub(super) fn new(names: &str, own: SocketAddr) -> Self {
        let names = names.split(',').map(str::trim).filter(|name| !name.is_empty());
        Self {
            own,
            names: names.map(ToOwned::to_owned).collect(),
            listed: ArcSwap::default(),
            gone: Mutex::default(),
            changed: Mutex::new(Instant::now()),
        }
    }

    /// This proxy.
    pub(super) fn own(&self) -> SocketAddr {
        self.own
    }

    /// When somebody came or went last: client sessions may have changed their proxy then.
    pub fn changed(&self) -> Instant {
        *self.changed.lock()
    }

    /// The proxy that a client session is with: its home while that lives, else the one that all others agree on.
    pub fn owner(&self, claims: &Claims) -> SocketAddr {
        self.owner_for(claims, || Errand::New)
    }

    /// The proxy that an errand is for. What errand it is, is only asked when it matters.
    pub(super) fn owner_for(&self, claims: &Claims, errand: impl Fn() -> Errand) -> SocketAddr {
        let listed = self.listed.load();
        let gone = self.gone.lock();
        let lives = |peer: &SocketAddr| {
            *peer == self.own
                || match gone.get(peer) {
                    None => true,
                    Some((Gone::Dead, _)) => false,
                    Some((Gone::Leaving, _)) => errand() == Errand::Running,
                }
        };
        let known = |peer: &SocketAddr| *peer == self.own || listed.contains(peer) || is_new(claims);
        if let Some(home) = claims.home.filter(|home| lives(home) && known(home)) {
            return home;
        }
        let id = u128::from_le_bytes(claims.id);
        let left = listed.iter().filter(|peer| lives(peer));
        left.max_by_key(|peer| (rendezvous::score(id, number(peer)), **peer)).copied().unwrap_or(self.own)
    }

    /// Notes that a peer could not be reached.
    pub(super) fn lost(&self, peer: SocketAddr) {
        let before = self.gone.lock().insert(peer, (Gone::Dead, Instant::now()));
        if before.is_none() {
            tracing::warn!(%peer, "a peer can't be reached: its client sessions go to others");
            self.touch();
        }
    }

    /// Notes that a peer is about to end.
    pub(super) fn leaves(&self, peer: SocketAddr) {
        let before = self.gone.lock().insert(peer, (Gone::Leaving, Instant::now()));
        if before.is_none() {
            tracing::info!(%peer, "a peer is about to end: its client sessions go to others");
            self.touch();
        }
    }

    /// Notes that a peer says that it is there.
    pub(super) fn heard(&self, peer: SocketAddr) {
        if self.gone.lock().remove(&peer).is_some() {
            tracing::info!(%peer, "a peer is back");
            self.touch();
        }
    }

    /// Every listed proxy but this one.
    pub(super) fn others(&self) -> Vec<SocketAddr> {
        self.listed.load().iter().filter(|peer| **peer != self.own).copied().collect()
    }

    /// Keeps the directory for ever.
    pub async fn keep(&self) {
        loop {
            self.refresh().await;
            tokio::time::sleep(PERIOD).await;
        }
    }

    /// Resolves the names and tries the peers that were gone.
    pub async fn refresh(&self) {
        let (found, ()) = tokio::join!(self.resolve(), self.revive());
        // Without an answer the last one stands.
        if let Some(found) = found.filter(|found| **self.listed.load() != *found) {
            tracing::info!(peers = ?found, "peers");
            self.listed.store(Arc::new(found));
            self.touch();
        }
    }

    async fn resolve(&self) -> Option<Vec<SocketAddr>> {
        let mut found = Vec::new();
        for name in &self.names {
            match lookup_host(name).await {
                Ok(addresses) => {
                    found
                        .extend(addresses.map(|peer| SocketAddr::new(peer.ip().to_canonical(), peer.port())));
                }
                Err(error) => {
                    tracing::debug!(name, %error, "peers not resolved");
                    return None;
                }
            }
        }
        found.sort_unstable();
        found.dedup();
        Some(found)
    }

    async fn revive(&self) {
        let due: Vec<_> = {
            let gone = self.gone.lock();
            let due = |(why, since): &(Gone, Instant)| match why {
                Gone::Dead => since.elapsed() >= DEAD_TIME,
                Gone::Leaving => since.elapsed() >= LEAVING_TIME,
            };
            gone.iter().filter(|(_, gone)| due(gone)).map(|(peer, _)| *peer).collect()
        };
        let tries = due.into_iter().map(async |peer| {
            let connected = tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect(peer)).await;
            let lives = connected.is_ok_and(|connected| connected.is_ok());
            // Nothing goes to one that is neither listed nor new.
            let forgotten =
                self.gone.lock().get(&peer).is_some_and(|(_, since)| since.elapsed() >= LISTING_TIME)
                    && !self.listed.load().contains(&peer);
            if lives {
                self.heard(peer);
            } else if forgotten {
                self.gone.lock().remove(&peer);
            }
        });
        join_all(tries).await;
    }

    fn touch(&self) {
        *self.changed.lock() = Instant::now();
    }
}

fn is_new(claims: &Claims) -> bool {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    now.saturating_sub(Duration::from_secs(claims.issued)) < LISTING_TIME
}

/// The same on every proxy.
fn number(peer: &SocketAddr) -> u64 {
    let ip = match peer.ip() {
        std::net::IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        std::net::IpAddr::V6(ip) => ip,
    };
    rendezvous::score(ip.to_bits(), peer.port().into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mcp::ProtocolVersion;

    fn peer(number: u8) -> SocketAddr {
        ([10, 0, 0, number], 9091).into()
    }

    fn directory(own: u8, listed: &[u8]) -> Directory {
        let directory = Directory::new("", peer(own));
        directory.listed.store(Arc::new(listed.iter().map(|number| peer(*number)).collect()));
        directory
    }

    fn claims(id: u8, home: u8, issued: u64) -> Claims {
        Claims {
            id: u128::from(id).to_le_bytes(),
            principal: [0; 16],
            version: ProtocolVersion::LATEST,
            issued,
            home: Some(peer(home)),
            capabilities: "{}".into(),
        }
    }

    #[tokio::test]
    async fn a_session_is_at_home_while_that_lives() {
        let directory = directory(1, &[1, 2, 3]);
        assert_eq!(directory.owner(&claims(7, 2, 0)), peer(2));
        assert_eq!(directory.owner(&claims(7, 1, 0)), peer(1));
        directory.lost(peer(2));
        assert_ne!(directory.owner(&claims(7, 2, 0)), peer(2));
    }

    #[tokio::test]
    async fn one_that_leaves_gets_what_it_has_begun() {
        let directory = directory(1, &[1, 2, 3]);
        let claims = claims(7, 2, 0);
        directory.leaves(peer(2));
        assert_ne!(directory.owner(&claims), peer(2));
        assert_eq!(directory.owner_for(&claims, || Errand::Running), peer(2));
        directory.lost(peer(2));
        assert_ne!(directory.owner_for(&claims, || Errand::Running), peer(2));
        directory.heard(peer(2));
        assert_eq!(directory.owner(&claims), peer(2));
    }

    #[tokio::test]
    async fn those_who_are_left_agree() {
        let [one, three] = [1, 3].map(|own| directory(own, &[1, 2, 3]));
        one.lost(peer(2));
        three.lost(peer(2));
        let owners: Vec<_> = (0..=255).map(|id| one.owner(&claims(id, 2, 0))).collect();
        assert!((0..=255).all(|id| three.owner(&claims(id, 2, 0)) == owners[usize::from(id)]));
        for number in [1, 3] {
            let share = owners.iter().filter(|owner| **owner == peer(number)).count();
            assert!((80..176).contains(&share), "{share} of 256 for {number}");
        }
    }

    #[tokio::test]
    async fn a_home_that_is_not_listed_is_known_while_it_may_be_new() {
        let directory = directory(1, &[1]);
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
        assert_eq!(directory.owner(&claims(7, 2, now)), peer(2));
        assert_eq!(directory.owner(&claims(7, 2, now - 100)), peer(1));
        directory.lost(peer(2));
        assert_eq!(directory.owner(&claims(7, 2, now)), peer(1));
    }

    #[tokio::test]
    async fn names_that_are_not_found_leave_the_list_as_it_is() {
        let directory = Directory::new("10.0.0.1:9091, 10.0.0.2:9091", peer(1));
        directory.refresh().await;
        assert_eq!(**directory.listed.load(), [peer(1), peer(2)]);
        let broken = Directory::new("no-such-host.invalid:9091", peer(1));
        broken.listed.store(Arc::new(vec![peer(3)]));
        broken.refresh().await;
        assert_eq!(**broken.listed.load(), [peer(3)]);
    }
}
