//! How a client comes by a slot of its own, so that it is always somebody's to give up.

use std::sync::Arc;

use super::affinity;
use crate::{
    downstream::client::ClientSession,
    pool::{CloseReason, Key, Lease, Pool},
    upstream::{HttpConnector, SessionKey},
};

/// A guard on a slot that is being opened or fetched for a client: dropping it before the client has the slot closes that.
pub(super) struct Claim<'a> {
    pool: &'a Pool<HttpConnector>,
    key: &'a SessionKey,
    client: Option<&'a Arc<ClientSession>>,
    open: bool,
}

impl<'a> Claim<'a> {
    /// On the slot of `key`, for a client session that is there already or is yet to be made. Shared slots are nobody's to
    /// give up.
    pub fn on(
        pool: &'a Pool<HttpConnector>,
        key: &'a SessionKey,
        client: Option<&'a Arc<ClientSession>>,
    ) -> Self {
        Self { pool, key, client, open: key.is_bound() }
    }

    /// The client has the slot, and gives it up when it ends.
    pub fn settle(mut self) {
        self.open = false;
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        let settled = self.client.and_then(|client| client.bound()).is_some_and(|bound| bound == *self.key);
        if self.open && !settled {
            self.pool.retire(self.key);
        }
    }
}

/// Notes that the leased slot, which was shared, was pinned to a client under `key`.
pub(super) fn take(lease: &mut Lease<HttpConnector>, client: &ClientSession, key: SessionKey) {
    client.pin(key);
    lease.session().become_own();
    // It has the slot itself now: that its affinity key has lost it is no news.
    lease.told(affinity::of_client(client));
    if client.ended.is_cancelled() {
        lease.condemn(CloseReason::Retired);
    }
}
