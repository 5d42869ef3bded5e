//! The right to use a slot for one request.

use std::sync::Arc;

use super::{
    Connector,
    shared::Shared,
    state::{CloseReason, SlotId},
};

/// A guard: dropping it, in whatever way, gives the slot back.
pub struct Lease<C: Connector> {
    shared: Arc<Shared<C>>,
    session: Arc<C::Session>,
    slot: SlotId,
    check: bool,
    discard: Option<CloseReason>,
}

impl<C: Connector> Lease<C> {
    pub(super) fn new(shared: Arc<Shared<C>>, session: Arc<C::Session>, slot: SlotId, check: bool) -> Self {
        Self { shared, session, slot, check, discard: None }
    }

    /// The slot's session.
    pub fn session(&self) -> &Arc<C::Session> {
        &self.session
    }

    /// The slot's number.
    pub fn slot(&self) -> SlotId {
        self.slot
    }

    /// Ends the lease and the slot with it.
    pub fn discard(mut self, reason: CloseReason) {
        self.discard = Some(reason);
    }

    /// Has the slot closed when the lease ends.
    pub fn condemn(&mut self, reason: CloseReason) {
        self.discard = Some(reason);
    }

    /// The server lost the session: the slot is closed, and its endpoint's other slots are checked before use.
    pub fn lost(mut self) {
        self.discard = Some(CloseReason::Lost);
        self.shared.suspect(self.session.as_ref());
    }

    /// Ends a lease that sent nothing: it does not count as a request of the slot.
    pub fn unused(self) {
        self.shared.uncount(self.slot);
    }

    pub(super) fn needs_check(&self) -> bool {
        self.check
    }

    pub(super) fn checked(&self) {
        self.shared.checked(self.slot);
    }
}

impl<C: Connector> Drop for Lease<C> {
    fn drop(&mut self) {
        self.shared.release(self.slot, self.discard);
    }
}
