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

/// Identity of a client session, as its token has it.
type ClientId = [u8; 16];

/// The table of client sessions, by the id in their tokens.
pub struct Clients {
    table: Mutex<Table>,
    started: Instant,
}

#[derive(Default)]
struct Table {
    live: HashMap<ClientId, Arc<ClientSession>>,
    /// When each was ended, in seconds since the start; kept until its token would have expired anyway. A client that opens a
    /// session for each call leaves many, so that each is no larger than it must be.
    ended: HashMap<ClientId, u32>,
    /// Ended ones of which requests may still run.
    ending: Vec<Weak<ClientSession>>,
    /// Those of which none runs are looked for when there are so many.
    crowd: usize,
}

/// Ended sessions that are kept at least before it is looked which of them are left.
const CROWD: usize = 64;

impl Table {
    fn end(&mut self, client: &Arc<ClientSession>, second: u32) {
        self.live.remove(&client.claims.id);
        self.ended.insert(client.claims.id, second);
        if self.ending.len() >= self.crowd {
            self.ending.retain(|client| client.strong_count() > 0);
            self.crowd = CROWD.max(2 * self.ending.len());
        }
        self.ending.push(Arc::downgrade(client));
    }
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
        self.table.lock().live.insert(client.claims.id, Arc::clone(&client));
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
        if let Some(client) = table.live.get(&claims.id) {
            client.touch();
            return Ok(Arc::clone(client));
        }
        if table.ended.contains_key(&claims.id) {
            return Err(NotFound::Ended);
        }
        if settled.elapsed() >= idle && age(&claims) >= idle {
            return Err(NotFound::Expired);
        }
        let client = Arc::new(ClientSession::new(claims));
        // What state it had in a server session went with the process that held it.
        client.lose_state();
        table.live.insert(client.claims.id, Arc::clone(&client));
        Ok(client)
    }

    /// Ends a client session: its token is not good any more.
    pub fn end(&self, client: &Arc<ClientSession>) {
        client.ended.cancel();
        self.table.lock().end(client, self.second());
    }

    /// All client sessions of which anything is left: those that have not ended, and those with requests that still run.
    pub fn all(&self) -> Vec<Arc<ClientSession>> {
        let table = self.table.lock();
        table.live.values().cloned().chain(table.ending.iter().filter_map(Weak::upgrade)).collect()
    }

    /// Takes out what was unused for `idle`, or is a stray for its last use, and gives it back.
    pub fn expire(
        &self,
        idle: Duration,
        is_stray: impl Fn(&Claims, Instant) -> bool,
    ) -> Vec<Arc<ClientSession>> {
        let mut expired = Vec::new();
        let (now, kept) = (self.second(), u32::try_from(idle.as_secs()).unwrap_or(u32::MAX));
        let mut table = self.table.lock();
        table.ended.retain(|_, second| now.saturating_sub(*second) <= kept);
        if table.ended.capacity() > 4 * table.ended.len().max(CROWD) {
            table.ended.shrink_to_fit();
        }
        table.live.retain(|_, client| {
            let live = client.idle_since().is_none_or(|since| since.elapsed() < idle)
                && !client.last_used().is_some_and(|used| is_stray(&client.claims, used));
            if !live {
                expired.push(Arc::clone(client));
            }
            live
        });
        drop(table);
        for client in &expired {
            client.ended.cancel();
        }
        expired
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.table.lock().live.len()
    }

    fn second(&self) -> u32 {
        u32::try_from(self.started.elapsed().as_secs()).unwrap_or(u32::MAX)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mcp::ProtocolVersion;

    fn claims(number: u8) -> Claims {
        Claims {
            id: [number; 16],
            principal: [0; 16],
            version: ProtocolVersion::V2025_11_25,
            issued: 0,
            home: None,
            capabilities: "{}".into(),
        }
    }

    #[tokio::test]
    async fn an_ended_session_stays_ended_and_leaves_little() {
        let clients = Clients::default();
        let idle = Duration::from_secs(60);
        for number in 0..=u8::MAX {
            let client = clients.insert(claims(number));
            clients.end(&client);
        }
        assert_eq!(clients.len(), 0);
        assert_eq!(clients.find(claims(7), idle, None).err(), Some(NotFound::Ended));
        assert!(clients.table.lock().ending.len() <= CROWD, "what they were is not kept");
        assert!(clients.all().is_empty());
    }

    #[tokio::test]
    async fn one_whose_requests_run_is_found_until_they_end() {
        let clients = Clients::default();
        let running = clients.insert(claims(0));
        clients.end(&running);
        for number in 1..=u8::MAX {
            clients.end(&clients.insert(claims(number)));
        }
        assert_eq!(clients.all().len(), 1);
        drop(running);
        assert!(clients.all().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn what_expired_is_forgotten() {
        let clients = Clients::default();
        let idle = Duration::from_secs(60);
        clients.end(&clients.insert(claims(0)));
        clients.insert(claims(1));
        tokio::time::advance(Duration::from_secs(59)).await;
        assert!(clients.expire(idle, |_, _| false).is_empty());
        assert_eq!(clients.table.lock().ended.len(), 1);
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(clients.expire(idle, |_, _| false).len(), 1);
        let table = clients.table.lock();
        assert!(table.ended.is_empty() && table.live.is_empty());
    }
}
