//! Whether this replica may get clients.

use std::{
    sync::{
        OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use crate::{
    gateway::Gateway,
    memory,
    pool::{Connector, Session},
    upstream::{ConnectError, Scope, SessionKey},
};

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Becomes true once, after the first handshake with the server and when the peers know of it; false for good when the process is to end. A later
/// outage of the server does not take clients away: they get errors that say so.
#[derive(Debug, Default)]
pub struct Readiness {
    proven: AtomicBool,
    ending: AtomicBool,
    /// Memory of this process when it had become ready, in bytes.
    memory: AtomicU64,
    since: OnceLock<Instant>,
}

impl Readiness {
    /// Whether clients may come.
    pub fn is_ready(&self) -> bool {
        self.proven.load(Ordering::Relaxed) && !self.ending.load(Ordering::Relaxed)
    }

    /// Time since it became ready.
    pub fn ready_for(&self) -> Duration {
        self.since.get().map_or(Duration::ZERO, Instant::elapsed)
    }

    /// Memory of this process when it had become ready, in bytes; 0 before.
    pub fn memory(&self) -> u64 {
        self.memory.load(Ordering::Relaxed)
    }

    /// Takes no more clients.
    pub fn end(&self) {
        self.ending.store(true, Ordering::Relaxed);
    }

    /// Clients may come.
    pub fn begin(&self) {
        self.memory.store(memory::resident(), Ordering::Relaxed);
        let _ = self.since.set(Instant::now());
        self.proven.store(true, Ordering::Relaxed);
        tracing::info!("ready");
    }

    /// Waits for the first handshake. Where the pool opens none of its own accord, one is made and ended again.
    pub async fn prove(&self, gateway: &Gateway) {
        let mut pause = FIRST_PAUSE;
        loop {
            let config = gateway.config.load_full();
            let idle = !config.is_pooled() || gateway.is_draining();
            let proven = if idle || gateway.pool.snapshot().ever_connected {
                true
            } else if config.warm_key().is_none() {
                pause = (pause * 2).min(LONGEST_PAUSE);
                handshake(gateway).await
            } else {
                pause = FIRST_PAUSE;
                false
            };
            if proven {
                return;
            }
            tokio::time::sleep(pause).await;
        }
    }
}

/// Whether the server can be spoken to at one of its addresses. One that wants a client's credentials can.
async fn handshake(gateway: &Gateway) -> bool {
    let connector = gateway.pool.connector();
    for endpoint in connector.endpoints() {
        match connector.connect(&SessionKey::warm(Scope::Warm), endpoint.id).await {
            Ok(session) => {
                session.close().await;
                return true;
            }
            Err(ConnectError::Unauthorized { .. }) => return true,
            Err(_) => {}
        }
    }
    false
}
