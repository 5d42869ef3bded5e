//! Carrying out what a change of configuration asks for.

use std::sync::Arc;

use tokio::time::Instant;

use super::Gateway;
use crate::{
    config::Config,
    downstream::client::{ClientSession, Halt},
    operations::Operation,
    pool::Key,
    upstream::{Scope, SessionKey},
};

impl Gateway {
    /// Puts a configuration in force. Sessions and client sessions that it allows stay as they are.
    pub fn take_over(self: &Arc<Self>, config: Config) {
        self.pool.connector().set_destination(config.destination());
        self.pool.take_endpoints();
        let config = Arc::new(config);
        self.config.store(Arc::clone(&config));
        // Clients' own slots change sides while there is room for them on the other one.
        if config.is_pooled() {
            self.pool.set_limits(config.limits(), config.warm_key());
            self.rename_bound(&config);
        } else {
            self.rename_bound(&config);
            self.pool.set_limits(config.limits(), config.warm_key());
        }
        self.pool.close_outdated();
        self.pool.close_keys(|key| config.allows(key));
    }

    /// Carries out operations in their order.
    pub fn operate(self: &Arc<Self>, operations: &[Operation]) {
        for operation in operations {
            tracing::info!(?operation, "operation");
            match *operation {
                Operation::Drain(deadline) => {
                    *self.drain.lock() = Some(deadline);
                    self.pool.drain(deadline);
                    tokio::spawn(Arc::clone(self).end_drain(deadline));
                }
                Operation::Resume => {
                    *self.drain.lock() = None;
                    self.pool.resume();
                }
                Operation::Reset => self.pool.reset(),
            }
        }
    }

    /// Whether new work is refused.
    pub fn is_draining(&self) -> bool {
        self.drain.lock().is_some()
    }

    /// At the deadline, unless it was moved or the pool was resumed: what still runs gets an error.
    async fn end_drain(self: Arc<Self>, deadline: Instant) {
        tokio::time::sleep_until(deadline).await;
        if *self.drain.lock() != Some(deadline) {
            return;
        }
        let aborted = self.clients.all().iter().map(|client| client.halt_all(Halt::Drained)).sum();
        if aborted > 0 {
            tracing::warn!(aborted, "the drain's deadline ended running requests");
        }
        self.requests.count_drain_aborts(aborted);
    }

    /// A client's own slot goes on serving it when pooling is turned on or off, and is closed where clients share now.
    fn rename_bound(&self, config: &Config) {
        for client in self.clients.all() {
            let Some(old) = client.bound() else { continue };
            if Self::shares(config, &client) {
                self.pool.retire(&old);
                client.bind(None);
            } else if old.is_direct() == config.is_pooled() {
                let new = SessionKey { scope: config.own_scope(client.claims.id), ..old.clone() };
                if self.pool.rename(&old, &new) {
                    client.bind(Some(new));
                }
            }
        }
    }

    /// Whether a client's requests go to slots that it shares with others.
    fn shares(config: &Config, client: &ClientSession) -> bool {
        let scope = config.scope(client.claims.id, client.claims.principal);
        let shares = client.capabilities.shared.is_some() || config.is_many;
        shares && !client.is_pinned() && matches!(scope, Scope::Shared | Scope::Principal(_))
    }
}
