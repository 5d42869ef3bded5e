//! The right to use a slot for one request.

use std::{sync::Arc, time::Duration};

use super::{
    Connector,
    shared::Shared,
    state::{CloseReason, Ending, Grant, PinReason, SlotId},
};
use crate::strategy::Affinity;

/// A guard: dropping it, in whatever way, gives the slot back.
pub struct Lease<C: Connector> {
    shared: Arc<Shared<C>>,
    session: Arc<C::Session>,
    grant: Grant,
    ending: Ending,
}

impl<C: Connector> Lease<C> {
    pub(super) fn new(shared: Arc<Shared<C>>, session: Arc<C::Session>, grant: Grant) -> Self {
        let ending = Ending { unchecked: grant.check, ..Ending::default() };
        Self { shared, session, grant, ending }
    }

    /// The slot's session.
    pub fn session(&self) -> &Arc<C::Session> {
        &self.session
    }

    /// The slot's number.
    pub fn slot(&self) -> SlotId {
        self.grant.slot
    }

    /// Whether the request's affinity key was bound to the slot by this lease: it has left nothing there yet.
    pub fn is_fresh(&self) -> bool {
        self.grant.fresh
    }

    /// Ends the lease and the slot with it.
    pub fn discard(mut self, reason: CloseReason) {
        self.condemn(reason);
    }

    /// Has the slot closed when the lease ends.
    pub fn condemn(&mut self, reason: CloseReason) {
        self.ending.discard = Some(reason);
    }

    /// Notes that the request was answered, `took` after it was sent.
    pub fn answered(&mut self, took: Duration) {
        self.ending.took = Some(took);
    }

    /// Notes that the endpoint failed: it broke the connection, or answered that it can't serve.
    pub fn failed(&mut self) {
        self.ending.failed = true;
    }

    /// The server lost the session: the slot is closed, and its endpoint's other slots are checked before use.
    pub fn lost(mut self) {
        self.condemn(CloseReason::Lost);
        self.shared.suspect(self.grant.slot);
    }

    /// The session failed its check: like [`Self::lost`], but the server may still have it.
    pub(super) fn unhealthy(mut self) {
        self.condemn(CloseReason::Unhealthy);
        self.shared.suspect(self.grant.slot);
    }

    /// Something is wrong at the endpoint: its slots, this one too, are checked before their next use.
    pub fn doubted(self) {
        self.shared.suspect(self.grant.slot);
    }

    /// Makes the slot one client's own, for which `key` is bound. False if the slot is to be closed already, or that client
    /// has a slot of its own.
    pub fn pin(&self, key: &C::Key, reason: PinReason) -> bool {
        self.shared.pin(self.grant.slot, key, reason)
    }

    /// The affinity key's client need not be told that its slot is gone.
    pub fn told(&self, affinity: Affinity) {
        self.shared.update(|state, _, _| state.told(affinity));
    }

    /// Ends a lease that sent nothing: it does not count as a request of the slot.
    pub fn unused(self) {
        self.shared.uncount(self.grant.slot);
    }

    pub(super) fn needs_check(&self) -> bool {
        self.grant.check
    }

    pub(super) fn checked(&mut self) {
        self.ending.unchecked = false;
        self.shared.checked(self.grant.slot);
    }
}

impl<C: Connector> Drop for Lease<C> {
    fn drop(&mut self) {
        self.shared.release(self.grant.slot, self.ending);
    }
}
