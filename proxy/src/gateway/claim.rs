//! A slot of a client's own that is being opened or fetched for it, and that nobody would give up if the client never came to
//! use it.

use std::sync::Arc;

use crate::{
    downstream::client::ClientSession,
    pool::{Key, Pool},
    upstream::{HttpConnector, SessionKey},
};

/// A guard: dropping it before the client has the slot closes that.
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
