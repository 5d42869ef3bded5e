//! What the scripted server knows.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{Behaviour, Gates, Seen};

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) gates: Gates,
    behaviour: Mutex<Behaviour>,
    sessions: Mutex<HashSet<String>>,
    memory: Mutex<HashMap<String, String>>,
    seen: Mutex<Vec<Seen>>,
    opened: AtomicU64,
}

impl State {
    pub(super) fn new(behaviour: Behaviour) -> Self {
        Self { behaviour: Mutex::new(behaviour), ..Self::default() }
    }

    pub(super) fn behaviour(&self) -> MutexGuard<'_, Behaviour> {
        locked(&self.behaviour)
    }

    pub(super) fn sessions(&self) -> MutexGuard<'_, HashSet<String>> {
        locked(&self.sessions)
    }

    /// What tools remembered, by session.
    pub(super) fn memory(&self) -> MutexGuard<'_, HashMap<String, String>> {
        locked(&self.memory)
    }

    pub(super) fn seen(&self) -> MutexGuard<'_, Vec<Seen>> {
        locked(&self.seen)
    }

    pub(super) fn new_session(&self) -> String {
        let id = format!("upstream-session-{}", self.opened.fetch_add(1, Ordering::Relaxed));
        self.sessions().insert(id.clone());
        id
    }

    /// Waits until a gate is open.
    pub(super) async fn pass(&self, gate: &str) {
        let _ = self.gates.subscribe().wait_for(|gates| gates.contains(gate)).await;
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
