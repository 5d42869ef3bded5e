//! What the pool's state holds for one key.

use std::collections::VecDeque;

use tokio::time::Instant;

use super::{
    backoff::{self, LONGEST_PAUSE},
    bindings::Bindings,
    slot::SlotId,
};
use crate::{
    pool::key::{Key, Principal},
    strategy::{Affinity, Strategy, StrategyKind},
};

/// Numbers waiters in the order in which they came.
pub type WaiterId = u64;

/// Names a bucket while it exists.
pub type BucketId = usize;

/// See the module's text.
#[derive(Debug)]
pub struct Bucket<K, E> {
    pub key: K,
    pub bound: bool,
    pub direct: bool,
    pub principal: Option<Principal>,
    /// In the order in which they were opened.
    pub slots: Vec<SlotId>,
    /// First come, first served.
    pub waiters: VecDeque<Waiter>,
    pub strategy: Strategy,
    pub bindings: Bindings,
    /// When the key was last asked for.
    pub used: Instant,
    backoff: Option<Backoff<E>>,
}

/// A request that waits for a slot.
#[derive(Debug, Clone, Copy)]
pub struct Waiter {
    pub id: WaiterId,
    pub affinity: Option<Affinity>,
    pub since: Instant,
}

/// No session is opened until `until`.
#[derive(Debug)]
struct Backoff<E> {
    until: Instant,
    failures: u32,
    error: E,
}

impl<K: Key, E: Clone> Bucket<K, E> {
    pub fn new(key: K, strategy: StrategyKind, now: Instant) -> Self {
        Self {
            bound: key.is_bound(),
            direct: key.is_direct(),
            principal: key.principal(),
            key,
            slots: Vec::new(),
            waiters: VecDeque::new(),
            strategy: Strategy::new(strategy),
            bindings: Bindings::new(),
            used: now,
            backoff: None,
        }
    }

    /// Adds a slot in its place by age.
    pub fn add(&mut self, slot: SlotId) {
        let at = self.slots.partition_point(|&id| id < slot);
        self.slots.insert(at, slot);
    }

    /// Takes a slot out; the keys bound to it have lost their state.
    pub fn remove(&mut self, slot: SlotId) {
        self.slots.retain(|id| *id != slot);
        self.bindings.lose(slot);
    }

    /// The error of the last attempt with this key, while no other is made.
    pub fn backing_off(&self, now: Instant) -> Option<E> {
        self.backoff.as_ref().filter(|backoff| now < backoff.until).map(|backoff| backoff.error.clone())
    }

    /// Notes an attempt that failed for this key: the pause doubles with each one in a row.
    pub fn back_off(&mut self, error: E, jitter: f64, now: Instant) {
        let failures = self.backoff.as_ref().map_or(0, |backoff| backoff.failures) + 1;
        let until = now + backoff::pause(failures, jitter);
        self.backoff = Some(Backoff { until, failures, error });
    }

    /// The key may be tried again.
    pub fn try_again(&mut self) {
        self.backoff = None;
    }

    /// Whether nothing would be lost with it.
    pub fn is_spent(&self, now: Instant) -> bool {
        let backing_off = self.backoff.as_ref().is_some_and(|backoff| now < backoff.until + LONGEST_PAUSE);
        self.slots.is_empty() && self.waiters.is_empty() && self.bindings.is_empty() && !backing_off
    }
}
