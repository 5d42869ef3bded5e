//! Which slot an affinity key is bound to, and which keys have lost theirs.

use std::time::Duration;

use foldhash::{HashMap, HashMapExt};
use tokio::time::Instant;

use super::slot::SlotId;
use crate::strategy::Affinity;

/// Of one pool key.
#[derive(Debug)]
pub struct Bindings {
    keys: HashMap<Affinity, Binding>,
}

#[derive(Debug, Clone, Copy)]
struct Binding {
    /// None once that slot is gone and the client was not told.
    slot: Option<SlotId>,
    used: Instant,
}

impl Bindings {
    pub fn new() -> Self {
        Self { keys: HashMap::new() }
    }

    /// The slot that the key is bound to.
    pub fn slot(&self, key: Affinity) -> Option<SlotId> {
        self.keys.get(&key)?.slot
    }

    /// Binds the key, or notes another use; true if it was not bound before.
    pub fn bind(&mut self, key: Affinity, slot: SlotId, now: Instant) -> bool {
        self.keys.insert(key, Binding { slot: Some(slot), used: now }).is_none()
    }

    /// Whether the key's slot is gone; it counts as told from now on.
    pub fn take_lost(&mut self, key: Affinity) -> bool {
        let lost = self.keys.get(&key).is_some_and(|binding| binding.slot.is_none());
        lost && self.keys.remove(&key).is_some()
    }

    /// The key's client is gone.
    pub fn unbind(&mut self, key: Affinity) {
        self.keys.remove(&key);
    }

    /// The slot is gone: its keys are to be told.
    pub fn lose(&mut self, slot: SlotId) {
        for binding in self.keys.values_mut().filter(|binding| binding.slot == Some(slot)) {
            binding.slot = None;
        }
    }

    /// Keys bound to the slot that were used within `idle`.
    pub fn alive(&self, slot: SlotId, idle: Duration, now: Instant) -> usize {
        let alive = |binding: &&Binding| {
            binding.slot == Some(slot) && now.saturating_duration_since(binding.used) < idle
        };
        self.keys.values().filter(alive).count()
    }

    /// Forgets keys that were not used for `longest`.
    pub fn prune(&mut self, longest: Duration, now: Instant) {
        self.keys.retain(|_, binding| now.saturating_duration_since(binding.used) < longest);
    }

    /// Keys that are bound to a slot.
    pub fn len(&self) -> usize {
        self.keys.values().filter(|binding| binding.slot.is_some()).count()
    }

    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }
}
