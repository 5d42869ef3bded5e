//! Sessions without a server that notice who uses them, and with whom.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::SeqCst},
};
use std::time::Duration;

use proxy::pool::{ConnectFailure, Connector, EndpointId, EndpointSpec, Key, Session, key::Principal};
use shuttle::future::yield_now;

/// A key of shared slots.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Plain(pub u8);

impl Key for Plain {
    fn is_bound(&self) -> bool {
        false
    }
    fn is_direct(&self) -> bool {
        false
    }
    fn principal(&self) -> Option<Principal> {
        None
    }
    fn warm(&self) -> Option<Self> {
        None
    }
}

/// What a test sees of its sessions, and sets.
#[derive(Default)]
pub struct Server {
    pub opened: AtomicUsize,
    pub closed: AtomicUsize,
    /// So many of the next openings fail.
    pub refuses: AtomicUsize,
    /// Resets that were begun.
    pub resets: AtomicUsize,
}

pub struct Memory(pub Arc<Server>);

/// One session.
pub struct Open {
    server: Arc<Server>,
    /// Resets begun before it.
    pub resets: usize,
    pub users: AtomicUsize,
    ended: AtomicUsize,
}

#[derive(Debug, Clone, thiserror::Error)]
#[error("refused")]
pub struct Refused;

impl ConnectFailure for Refused {
    fn is_of_endpoint(&self) -> bool {
        false
    }
}

impl Connector for Memory {
    type Key = Plain;
    type Session = Open;
    type Error = Refused;

    async fn connect(&self, _: &Plain, _: EndpointId) -> Result<Open, Refused> {
        let server = Arc::clone(&self.0);
        let resets = server.resets.load(SeqCst);
        yield_now().await;
        if server.refuses.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1)).is_ok() {
            return Err(Refused);
        }
        // The server has it before the proxy knows.
        server.opened.fetch_add(1, SeqCst);
        yield_now().await;
        Ok(Open { server, resets, users: AtomicUsize::new(0), ended: AtomicUsize::new(0) })
    }

    fn endpoints(&self) -> Vec<EndpointSpec> {
        vec![EndpointSpec { id: 0, weight: 1, fallback: false }]
    }
}

impl Session for Open {
    async fn check(&self) -> bool {
        yield_now().await;
        true
    }

    async fn close(&self) {
        assert_eq!(self.ended.fetch_add(1, SeqCst), 0, "closed twice");
        assert_eq!(self.users.load(SeqCst), 0, "closed under a lease");
        self.server.closed.fetch_add(1, SeqCst);
        yield_now().await;
    }

    fn quiet_for(&self) -> Duration {
        Duration::ZERO
    }

    fn endpoint(&self) -> &'static str {
        "memory"
    }

    fn is_current(&self) -> bool {
        true
    }
}
