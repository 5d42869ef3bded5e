//! All client sessions of this replica.

use std::{
    collections::HashMap,
    sync::{Arc, Weak},
    time::{Duration, SystemTime},
};

use parking_lot::Mutex;
use tokio::time::Instant;

use super::{client::ClientSession, token::Claims};

/// Why a token gives no client session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotFound {
    /// The client ended it.
    Ended,
    /// It was unused for too long.
    Expired,
}

/// The table of client sessions, by the id in their tokens.
pub struct Clients {
    table: Mutex<HashMap<[u8; 16], Entry>>,
    started: Instant,
}

enum Entry {
    Live(Arc<ClientSession>),
    /// Kept until its token would have expired anyway. Requests of it may still run.
    Ended(Instant, Weak<ClientSession>),
}

impl Default for Clients {
    fn default() -> Self {
        Self { table: Mutex::default(), started: Instant::now() }
    }
}

impl Clients {
    /// Adds a client session that was just made.
    pub fn insert(&self, claims: Claims) -> Arc<ClientSession> {
        let client = Arc::new(ClientSession::new(claims));
        self.table.lock().insert(client.claims.id, Entry::Live(Arc::clone(&client)));
        client
    }

    /// The client session of a token. One that this replica does not know goes on here: it comes from before a restart,
    /// or from another replica, unless it is so old that this replica would have to know it. `changed` is when replicas came
    /// or went last.
    pub fn find(
        &self,
        claims: Claims,
        idle: Duration,
        changed: Option<Instant>,
    ) -> Result<Arc<ClientSession>, NotFound> {
        let settled = changed.map_or(self.started, |changed| changed.max(self.started));
        let mut table = self.table.lock();
        match table.get(&claims.id) {
            Some(Entry::Live(client)) => {
                client.touch();
                Ok(Arc::clone(client))
            }
            Some(Entry::Ended(..)) => Err(NotFound::Ended),
            None if settled.elapsed() >= idle && age(&claims) >= idle => Err(NotFound::Expired),
            None => {
                let client = Arc::new(ClientSession::new(claims));
                // What state it had in a server session went with the process that held it.
                client.lose_state();
                table.insert(client.claims.id, Entry::Live(Arc::clone(&client)));
                Ok(client)
            }
        }
    }

    /// Ends a client session: its token is not good any more.
    pub fn end(&self, client: &Arc<ClientSession>) {
        client.ended.cancel();
        let entry = Entry::Ended(Instant::now(), Arc::downgrade(client));
        self.table.lock().insert(client.claims.id, entry);
    }

    /// All client sessions of which anything is left: those that have not ended, and those with requests that still run.
    pub fn all(&self) -> Vec<Arc<ClientSession>> {
        let table = self.table.lock();
        let left = table.values().filter_map(|entry| match entry {
            Entry::Live(client) => Some(Arc::clone(client)),
            Entry::Ended(_, client) => client.upgrade(),
        });
        left.collect()
    }

    /// Takes out what was unused for `idle`, or is a stray for its last use, and gives it back.
    pub fn expire(
        &self,
        idle: Duration,
        is_stray: impl Fn(&Claims, Instant) -> bool,
    ) -> Vec<Arc<ClientSession>> {
        let mut expired = Vec::new();
        self.table.lock().retain(|_, entry| match entry {
            Entry::Ended(at, _) => at.elapsed() < idle,
            Entry::Live(client) => {
                let live = client.idle_since().is_none_or(|since| since.elapsed() < idle)
                    && !client.last_used().is_some_and(|used| is_stray(&client.claims, used));
                if !live {
                    expired.push(Arc::clone(client));
                }
                live
            }
        });
        for client in &expired {
            client.ended.cancel();
        }
        expired
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.table.lock().values().filter(|entry| matches!(entry, Entry::Live(_))).count()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

fn age(claims: &Claims) -> Duration {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    now.saturating_sub(Duration::from_secs(claims.issued))
}
