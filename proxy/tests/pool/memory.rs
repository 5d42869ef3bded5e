//! Sessions without a server, for tests and benchmarks of the pool alone.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use proxy::pool::{ConnectFailure, Connector, EndpointId, EndpointSpec, Key, Session, key::Principal};
use tokio::time::Instant;

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
    pub checks: AtomicUsize,
    /// Addresses that refuse.
    pub down: [AtomicBool; 2],
    /// Sessions fail their checks.
    pub deaf: AtomicBool,
    /// Sessions don't answer checks at all.
    pub mute: AtomicBool,
}

/// Opens sessions at `endpoints` addresses.
pub struct Memory {
    pub server: Arc<Server>,
    pub endpoints: u32,
}

/// One session.
pub struct Open {
    server: Arc<Server>,
    pub endpoint: EndpointId,
    /// When it was last heard of.
    touched: Mutex<Instant>,
}

#[derive(Debug, Clone, thiserror::Error)]
#[error("down")]
pub struct Down;

impl ConnectFailure for Down {
    fn is_of_endpoint(&self) -> bool {
        true
    }
}

impl Connector for Memory {
    type Key = Plain;
    type Session = Open;
    type Error = Down;

    async fn connect(&self, _: &Plain, endpoint: EndpointId) -> Result<Open, Down> {
        if self.server.down[endpoint as usize % 2].load(Ordering::Relaxed) {
            return Err(Down);
        }
        self.server.opened.fetch_add(1, Ordering::Relaxed);
        Ok(Open { server: Arc::clone(&self.server), endpoint, touched: Mutex::new(Instant::now()) })
    }

    fn endpoints(&self) -> Vec<EndpointSpec> {
        (0..self.endpoints).map(|id| EndpointSpec { id, weight: 1, fallback: false }).collect()
    }
}

impl Session for Open {
    async fn check(&self) -> bool {
        self.server.checks.fetch_add(1, Ordering::Relaxed);
        *self.touched.lock() = Instant::now();
        if self.server.mute.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
        !self.server.deaf.load(Ordering::Relaxed)
    }

    async fn close(&self) {
        self.server.closed.fetch_add(1, Ordering::Relaxed);
    }

    fn quiet_for(&self) -> Duration {
        self.touched.lock().elapsed()
    }

    fn endpoint(&self) -> &'static str {
        "memory"
    }

    fn is_current(&self) -> bool {
        true
    }
}
