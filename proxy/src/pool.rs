//! A pool of sessions: who may use which slot, and when slots are opened and closed.
//!
//! Nothing here knows HTTP or MCP: sessions come from a [`Connector`], are told apart by a [`Key`], and are lent
//! out as [`Lease`] guards. All decisions are made by [`state::State`], a plain value whose methods take the
//! clock; this module only carries out what it decides, never with its lock held.

pub mod key;
pub mod lease;
pub mod limits;
mod monitor;
mod shared;
mod slot_task;
pub mod state;
pub mod stats;
mod sync;

use std::{sync::Arc, time::Duration};

use tokio::{sync::oneshot, time::Instant};
use tokio_util::sync::CancellationToken;

pub use self::{
    key::Key,
    lease::Lease,
    limits::Limits,
    state::{Ask, CloseReason, EndpointId, EndpointSpec, PinReason, Refusal, SlotId},
    stats::{EndpointInfo, Pressure, SlotInfo, Snapshot},
};
use self::{
    shared::{Shared, Turn},
    state::{State, WaiterId},
};
use crate::strategy::Affinity;

/// Opens sessions. The pool calls it from the task that will own the session.
pub trait Connector: Send + Sync + 'static {
    /// What sessions are told apart by: a session serves requests of one key only.
    type Key: Key;
    /// An open session.
    type Session: Session;
    /// Why a session could not be opened; given to everyone who waited for it.
    type Error: ConnectFailure;

    /// Opens a session for `key` to one of the server's addresses.
    fn connect(
        &self,
        key: &Self::Key,
        endpoint: EndpointId,
    ) -> impl Future<Output = Result<Self::Session, Self::Error>> + Send;

    /// The server's addresses.
    fn endpoints(&self) -> Vec<EndpointSpec>;
}

/// Why a session could not be opened.
pub trait ConnectFailure: Clone + Send + Sync + std::fmt::Display + 'static {
    /// Whether it is the endpoint that fails, so that another one may do better; else this key is refused.
    fn is_of_endpoint(&self) -> bool;
}

/// An open session, used by leases and owned by its slot's task.
pub trait Session: Send + Sync + 'static {
    /// Asks the server whether the session still exists.
    fn check(&self) -> impl Future<Output = bool> + Send;
    /// Ends the session in the server's eyes, as far as the server can still be reached.
    fn close(&self) -> impl Future<Output = ()> + Send;
    /// How long nothing was sent or received.
    fn quiet_for(&self) -> Duration;
    /// Where the session lives, for people.
    fn endpoint(&self) -> &str;
    /// Whether the session still fits the configuration in force.
    fn is_current(&self) -> bool;
}

/// Why [`Pool::checkout`] gave no lease.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CheckoutError<E> {
    /// No slot came free in time.
    #[error("no session came free in time")]
    Timeout(Pressure),
    /// The pool refused at once.
    #[error("{0}")]
    Refused(Refusal),
    /// A session was needed and could not be opened.
    #[error("{0}")]
    Connect(E),
}

/// The pool; clones share it.
pub struct Pool<C: Connector>(Arc<Shared<C>>);

impl<C: Connector> Clone for Pool<C> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<C: Connector> Pool<C> {
    /// Makes a pool. `warm` is the key of the sessions kept open without a client.
    pub fn new(connector: C, limits: Limits, warm: Option<C::Key>) -> Self {
        Self(Arc::new(Shared::new(connector, limits, warm)))
    }

    /// Starts to keep sessions warm and to look after them.
    pub fn start(&self) {
        monitor::spawn(&self.0);
    }

    /// Leases a slot of `key`, waiting in turn until `deadline`.
    ///
    /// # Errors
    /// See [`CheckoutError`]. Dropping the future gives up the place in the queue.
    pub async fn checkout(
        &self,
        key: &C::Key,
        ask: Ask,
        deadline: Instant,
    ) -> Result<Lease<C>, CheckoutError<C::Error>> {
        let patience = patience(key, ask, deadline.saturating_duration_since(Instant::now()));
        loop {
            let mut lease = self.acquire(key, ask, deadline).await?;
            if !lease.needs_check() {
                return Ok(lease);
            }
            let limit = Instant::now() + patience;
            let alive = sync::timeout_at(limit.min(deadline), lease.session().check()).await;
            if matches!(alive, Ok(true)) {
                lease.checked();
                return Ok(lease);
            }
            if alive.is_err() && deadline < limit {
                // It had no time to answer: the next request asks it again.
                drop(lease);
                return Err(self.0.timed_out(key));
            }
            let fresh = lease.is_fresh();
            lease.unhealthy();
            if let Some(affinity) = ask.affinity.filter(|_| fresh) {
                self.told(affinity);
            }
        }
    }

    async fn acquire(
        &self,
        key: &C::Key,
        ask: Ask,
        deadline: Instant,
    ) -> Result<Lease<C>, CheckoutError<C::Error>> {
        let (waiter, mut granted) = match self.0.acquire(key, ask)? {
            Turn::Lease(lease) => return Ok(lease),
            Turn::Wait(waiter, granted) => (waiter, granted),
        };
        let place = Place { shared: &self.0, key, waiter };
        match sync::timeout_at(deadline, &mut granted).await {
            Ok(Ok(answer)) => answer,
            // The sender is dropped only when the pool closes.
            Ok(Err(_)) => Err(CheckoutError::Refused(Refusal::Closed)),
            Err(_) => {
                drop(place);
                // A grant may have been sent between the deadline and here: it is ours then.
                match granted.try_recv() {
                    Ok(answer) => answer,
                    Err(_) => Err(self.0.timed_out(key)),
                }
            }
        }
    }

    /// An open session of `key`, leased or not, for what needs no turn of its own.
    pub fn peek(&self, key: &C::Key) -> Option<Arc<C::Session>> {
        self.0.peek(key)
    }

    /// Puts new limits in force; slots that they still allow stay.
    pub fn set_limits(&self, limits: Limits, warm: Option<C::Key>) {
        self.0.keepalive.send_replace(limits.keepalive);
        self.0.update(|state, now, actions| state.set_limits(limits, warm, now, actions));
    }

    /// Puts the connector's addresses in force.
    pub fn take_endpoints(&self) {
        let endpoints = self.0.connector.endpoints();
        self.0.update(|state, now, actions| state.set_endpoints(&endpoints, now, actions));
    }

    /// Closes every idle slot whose session no longer fits the configuration, and busy ones at check-in.
    pub fn close_outdated(&self) {
        self.0.close_outdated();
    }

    /// Closes the slots of `key`, busy ones at check-in: nobody will ask for it again.
    pub fn retire(&self, key: &C::Key) {
        self.0.update(|state, _, actions| state.retire(key, actions));
    }

    /// Closes the slots of every key that is not `allowed`, busy ones at check-in.
    pub fn close_keys(&self, allowed: impl Fn(&C::Key) -> bool) {
        self.0.update(|state, _, actions| state.close_keys(allowed, actions));
    }

    /// Gives the slot of one bound key another: the same client, in or outside the pool. False if there is no room for it
    /// there.
    pub fn rename(&self, old: &C::Key, new: &C::Key) -> bool {
        self.0.rename(old, new)
    }

    /// The affinity key's client is gone: nothing holds its slot for it any more.
    pub fn unbind(&self, affinity: Affinity) {
        self.0.update(|state, _, _| state.unbind(affinity));
    }

    /// The affinity key's client was told that its slot is gone.
    pub fn told(&self, affinity: Affinity) {
        self.0.update(|state, _, _| state.told(affinity));
    }

    /// Replaces every slot: idle ones now, busy ones at check-in.
    pub fn reset(&self) {
        self.0.update(State::reset);
    }

    /// Takes no new work until [`Self::resume`]. What runs goes on until `deadline`; idle slots close now.
    pub fn drain(&self, deadline: Instant) {
        self.0.update(|state, _, actions| state.drain(deadline, actions));
    }

    /// Takes work again after [`Self::drain`].
    pub fn resume(&self) {
        self.0.update(State::resume);
    }

    /// Numbers of this moment.
    pub fn snapshot(&self) -> Snapshot {
        self.0.snapshot()
    }

    /// Every slot of this moment.
    pub fn slots(&self) -> Vec<SlotInfo<C::Key>> {
        self.0.slots()
    }

    /// Every endpoint of this moment.
    pub fn endpoints(&self) -> Vec<(EndpointId, EndpointInfo)> {
        self.0.endpoints()
    }

    /// What opens this pool's sessions.
    pub fn connector(&self) -> &C {
        &self.0.connector
    }

    /// Why the last session could not be opened, if none was opened since.
    pub fn last_connect_error(&self) -> Option<C::Error> {
        self.0.last_connect_error()
    }

    /// Whether the last attempt to open a session succeeded; none before the first. `now` is a snapshot of this moment.
    pub fn reachable(&self, now: &Snapshot) -> Option<bool> {
        if self.0.last_connect_error().is_some() { Some(false) } else { now.ever_connected.then_some(true) }
    }

    /// Takes no more work, closes idle slots now and leased ones as they come back; at `deadline` the rest.
    pub async fn close(&self, deadline: Instant) {
        self.0.close(deadline).await;
    }
}

/// How long a session may take to answer a check before a request that has `whole` left: where others can serve it as well,
/// one that hangs must not use that up.
fn patience<K: Key>(key: &K, ask: Ask, whole: Duration) -> Duration {
    if key.is_bound() || ask.affinity.is_some() {
        whole.mul_f64(0.9)
    } else {
        (whole / 2).min(slot_task::CHECK_TIMEOUT)
    }
}

/// A waiter's place in the queue, given up on drop.
struct Place<'a, C: Connector> {
    shared: &'a Shared<C>,
    key: &'a C::Key,
    waiter: WaiterId,
}

impl<C: Connector> Drop for Place<'_, C> {
    fn drop(&mut self) {
        self.shared.forget(self.key, self.waiter);
    }
}

type Granted<C> = oneshot::Receiver<Result<Lease<C>, CheckoutError<<C as Connector>::Error>>>;

/// A slot's session and the way to tell its task to end.
struct Live<S> {
    session: Option<Arc<S>>,
    close: CancellationToken,
}
