//! Everything a pool knows, as one plain value.
//!
//! Methods take the clock, do no I/O, and push what is to be done onto a list of [`Action`]s, which the caller
//! carries out after it has let go of its lock.

mod bucket;
mod maintain;
mod slot;
#[cfg(test)]
mod tests;

use std::{collections::HashMap, time::Duration};

use tokio::time::Instant;

use self::{bucket::Bucket, slot::Slot};
pub use self::{
    bucket::WaiterId,
    slot::{CloseReason, SlotId},
};
use super::{
    key::Key,
    limits::Limits,
    stats::{Counters, Histogram},
};
use crate::strategy::Candidate;

/// Sessions that are opened at the same time: more would be a herd on a server that just came up.
const MAX_OPENING: usize = 8;

/// What the pool has to do.
#[derive(Debug, PartialEq)]
pub enum Action<K, E> {
    /// Give the waiter its lease.
    Grant(WaiterId, Grant),
    /// Give the waiter an error.
    Fail(WaiterId, Failure<E>),
    /// Start the task that opens and owns the slot.
    Open(SlotId, K),
    /// Tell the slot's task to end; no lease is out.
    Close(SlotId),
}

/// A lease that the state has counted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Grant {
    /// The slot that was given.
    pub slot: SlotId,
    /// Whether the session is to be checked before it is used.
    pub check: bool,
}

/// What an acquire came to.
#[derive(Debug, PartialEq)]
pub enum Acquired {
    /// A slot was free.
    Slot(Grant),
    /// The request has a place in the queue.
    Wait(WaiterId),
}

/// Why an acquire came to nothing.
#[derive(Debug, Clone, PartialEq)]
pub enum Failure<E> {
    /// The pool's own reason.
    Refused(Refusal),
    /// No session can be opened at present.
    Connect(E),
}

/// Reasons of the pool itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// As many requests wait as may.
    #[error("too many requests wait for a session")]
    QueueFull,
    /// As many direct sessions are open as may.
    #[error("too many direct sessions are open")]
    DirectFull,
    /// The bound slot, and with it the client's state in the server, is gone.
    #[error("the session that held this client's state is gone")]
    Lost,
    /// The pool is shutting down.
    #[error("the pool is shutting down")]
    Closed,
}

/// See the module's text.
#[derive(Debug)]
pub struct State<K, E> {
    limits: Limits,
    warm: Option<K>,
    slots: HashMap<SlotId, Slot<K>>,
    buckets: HashMap<K, Bucket<E>>,
    next_slot: SlotId,
    next_waiter: WaiterId,
    waiting: usize,
    pooled: usize,
    direct: usize,
    opening: usize,
    leases: usize,
    closed: bool,
    last_error: Option<E>,
    pub(super) counters: Counters,
    pub(super) wait: Histogram,
}

type Actions<K, E> = Vec<Action<K, E>>;

impl<K: Key, E: Clone> State<K, E> {
    pub fn new(limits: Limits, warm: Option<K>) -> Self {
        Self {
            limits,
            warm,
            slots: HashMap::new(),
            buckets: HashMap::new(),
            next_slot: 1,
            next_waiter: 1,
            waiting: 0,
            pooled: 0,
            direct: 0,
            opening: 0,
            leases: 0,
            closed: false,
            last_error: None,
            counters: Counters::default(),
            wait: Histogram::default(),
        }
    }

    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    pub fn last_error(&self) -> Option<&E> {
        self.last_error.as_ref()
    }

    /// Gives a slot of `key`, or a place in its queue. With `existing`, a bound key gets no new slot.
    pub fn acquire(
        &mut self,
        key: &K,
        existing: bool,
        now: Instant,
        actions: &mut Actions<K, E>,
    ) -> Result<Acquired, Failure<E>> {
        if self.closed {
            return Err(Failure::Refused(Refusal::Closed));
        }
        if !self.buckets.contains_key(key) {
            self.buckets.insert(key.clone(), Bucket::new(self.limits.strategy, now));
        }
        let bucket = self.bucket(key);
        bucket.used = now;
        if bucket.waiters.is_empty()
            && let Some(grant) = self.take(key, now, actions)
        {
            return Ok(Acquired::Slot(grant));
        }
        if existing && key.is_bound() && !self.has_slot(key) {
            return Err(Failure::Refused(Refusal::Lost));
        }
        if !self.has_slot(key)
            && let Some(error) = self.bucket(key).backing_off(now)
        {
            return Err(Failure::Connect(error));
        }
        if self.waiting >= self.limits.max_waiters {
            self.counters.refusals += 1;
            return Err(Failure::Refused(Refusal::QueueFull));
        }
        if key.is_direct() && !self.has_slot(key) && self.direct >= self.limits.max_direct {
            self.counters.refusals += 1;
            return Err(Failure::Refused(Refusal::DirectFull));
        }
        let waiter = self.next_waiter;
        self.next_waiter += 1;
        self.waiting += 1;
        self.bucket(key).waiters.push_back(waiter);
        self.open_for(key, now, actions);
        Ok(Acquired::Wait(waiter))
    }

    /// Takes a waiter out of its queue; false if it was granted or failed already.
    pub fn forget(&mut self, waiter: WaiterId) -> bool {
        let found = self.buckets.values_mut().any(|bucket| {
            let place = bucket.waiters.iter().position(|&w| w == waiter);
            place.map(|index| bucket.waiters.remove(index)).is_some()
        });
        self.waiting -= usize::from(found);
        found
    }

    /// Ends a lease. With `discard` the slot is not to be used again.
    pub fn release(
        &mut self,
        slot_id: SlotId,
        discard: Option<CloseReason>,
        now: Instant,
        actions: &mut Actions<K, E>,
    ) {
        self.counters.releases += 1;
        self.leases -= 1;
        let over = self.pooled > self.limits.max;
        let Some(slot) = self.slots.get_mut(&slot_id) else {
            debug_assert!(false, "a lease of a slot that is gone");
            return;
        };
        slot.leases -= 1;
        slot.idle_since = now;
        slot.doomed = slot.doomed.or(discard);
        if slot.doomed.is_none() && !slot.key.is_bound() {
            slot.doomed = slot.worn(&self.limits, now).or(over.then_some(CloseReason::OverMax));
        }
        let (key, idle, doomed) = (slot.key.clone(), slot.leases == 0, slot.doomed);
        match doomed {
            Some(reason) => {
                if idle {
                    self.start_close(slot_id, reason, actions);
                }
                if key.is_bound() {
                    self.fail_waiters(&key, &Failure::Refused(Refusal::Lost), actions);
                }
            }
            None => {
                self.serve(&key, now, actions);
                if self.waiting > 0 {
                    self.make_room(&key, now, actions);
                }
            }
        }
    }

    /// The slot's session is open.
    pub fn opened(&mut self, slot_id: SlotId, jitter: f64, now: Instant, actions: &mut Actions<K, E>) {
        let Some(slot) = self.slots.get_mut(&slot_id) else { return };
        slot.open(jitter, now);
        self.opening -= 1;
        self.last_error = None;
        let (key, direct, doomed) = (slot.key.clone(), slot.key.is_direct(), slot.doomed);
        self.counters.creates += u64::from(!direct);
        self.bucket(&key).backoff = None;
        if let Some(reason) = doomed {
            self.start_close(slot_id, reason, actions);
        } else {
            self.serve(&key, now, actions);
            self.serve_all(now, actions);
        }
    }

    /// The slot's session could not be opened. `pause` is how long no other is tried, before jitter and growth.
    pub fn open_failed(
        &mut self,
        slot_id: SlotId,
        error: E,
        pause: Duration,
        now: Instant,
        actions: &mut Actions<K, E>,
    ) {
        let Some(slot) = self.drop_slot(slot_id) else { return };
        self.opening -= 1;
        self.counters.connect_failures += 1;
        self.last_error = Some(error.clone());
        let key = slot.key;
        self.bucket(&key).back_off(error.clone(), pause, now);
        // With another slot alive the queue still moves.
        if !self.has_slot(&key) {
            self.fail_waiters(&key, &Failure::Connect(error), actions);
        }
        self.serve_all(now, actions);
    }

    /// The slot's task was told to end before its session was open.
    pub fn open_cancelled(&mut self, slot_id: SlotId) {
        if self.drop_slot(slot_id).is_some() {
            self.opening -= 1;
        }
    }

    /// The slot's session is closed and its task ended.
    pub fn closed(&mut self, slot_id: SlotId, now: Instant, actions: &mut Actions<K, E>) {
        let Some(slot) = self.drop_slot(slot_id) else { return };
        self.counters.destroys += u64::from(!slot.key.is_direct());
        debug_assert_eq!(slot.leases, 0, "a slot closed under a lease");
        self.serve_all(now, actions);
    }

    /// The slot answered a check.
    pub fn checked(&mut self, slot_id: SlotId, now: Instant) {
        if let Some(slot) = self.slots.get_mut(&slot_id) {
            slot.suspect = false;
            slot.alive_at = now;
        }
    }

    /// The slot's newest lease sent no request.
    pub fn uncount(&mut self, slot_id: SlotId) {
        if let Some(slot) = self.slots.get_mut(&slot_id) {
            slot.requests = slot.requests.saturating_sub(1);
        }
    }

    /// The slot failed a check, or its session was lost: it is closed, at check-in if leased.
    pub fn condemn(&mut self, slot_id: SlotId, reason: CloseReason, actions: &mut Actions<K, E>) {
        let Some(slot) = self.slots.get_mut(&slot_id) else { return };
        slot.doomed = slot.doomed.or(Some(reason));
        if slot.is_idle() {
            self.start_close(slot_id, reason, actions);
        }
    }

    /// After a loss: slots for which `same_endpoint` holds are checked before their next use.
    pub fn suspect(&mut self, same_endpoint: impl Fn(SlotId) -> bool) {
        for (&id, slot) in &mut self.slots {
            slot.suspect |= same_endpoint(id);
        }
    }

    /// A usable slot of `key`, not leased by this.
    pub fn peek(&self, key: &K) -> Option<SlotId> {
        let bucket = self.buckets.get(key)?;
        bucket.slots.iter().copied().find(|id| self.slots.get(id).is_some_and(Slot::is_usable))
    }

    /// A usable slot of `key`, leased.
    fn take(&mut self, key: &K, now: Instant, actions: &mut Actions<K, E>) -> Option<Grant> {
        let most = if key.is_direct() { u32::MAX } else { self.limits.concurrency };
        let slots = &self.slots;
        let bucket = self.buckets.get_mut(key)?;
        let candidates = bucket.slots.iter().filter_map(|id| {
            let slot = slots.get(id)?;
            (slot.is_usable() && slot.leases < most).then_some(Candidate { slot: *id, leases: slot.leases })
        });
        let picked = bucket.strategy.pick(candidates);
        let picked = picked.map(|candidate| (candidate.slot, candidate.leases)).or_else(|| {
            let id = self.claim_warm(key)?;
            Some((id, 0))
        });
        let (id, leases) = picked?;
        if leases > 0 && !key.is_bound() {
            self.grow(key, now, actions);
        }
        let slot = self.slots.get_mut(&id)?;
        let check = slot.needs_check(&self.limits, now);
        slot.leases += 1;
        slot.requests += 1;
        self.leases += 1;
        self.counters.acquisitions += 1;
        Some(Grant { slot: id, check })
    }

    /// Makes an idle warm slot the key's own.
    fn claim_warm(&mut self, key: &K) -> Option<SlotId> {
        let warm = key.warm()?;
        let slots = &self.slots;
        let bucket = self.buckets.get_mut(&warm)?;
        let at = bucket.slots.iter().position(|id| slots.get(id).is_some_and(Slot::is_idle_usable))?;
        let id = bucket.slots.remove(at);
        self.slots.get_mut(&id)?.key = key.clone();
        self.bucket(key).add(id);
        Some(id)
    }

    /// Gives free slots of `key` to its waiters, in turn.
    fn serve(&mut self, key: &K, now: Instant, actions: &mut Actions<K, E>) {
        while self.buckets.get(key).is_some_and(|bucket| !bucket.waiters.is_empty()) {
            let Some(grant) = self.take(key, now, actions) else { break };
            if let Some(waiter) = self.bucket(key).waiters.pop_front() {
                self.waiting -= 1;
                actions.push(Action::Grant(waiter, grant));
            }
        }
    }

    /// Serves every queue, the one with the oldest waiter first, and opens slots where there is room.
    fn serve_all(&mut self, now: Instant, actions: &mut Actions<K, E>) {
        if self.waiting == 0 {
            return;
        }
        let mut queues: Vec<(WaiterId, K)> = self
            .buckets
            .iter()
            .filter_map(|(key, bucket)| Some((*bucket.waiters.front()?, key.clone())))
            .collect();
        queues.sort_unstable_by_key(|(waiter, _)| *waiter);
        for (_, key) in queues {
            self.serve(&key, now, actions);
            self.open_for(&key, now, actions);
        }
    }

    fn fail_waiters(&mut self, key: &K, failure: &Failure<E>, actions: &mut Actions<K, E>) {
        let waiters = std::mem::take(&mut self.bucket(key).waiters);
        self.waiting -= waiters.len();
        actions.extend(waiters.into_iter().map(|waiter| Action::Fail(waiter, failure.clone())));
    }

    /// The bucket of a key; made when missing.
    fn bucket(&mut self, key: &K) -> &mut Bucket<E> {
        let strategy = self.limits.strategy;
        self.buckets.entry(key.clone()).or_insert_with(|| Bucket::new(strategy, Instant::now()))
    }

    /// Whether the key has a slot that is open, or being opened, and not marked for closing.
    fn has_slot(&self, key: &K) -> bool {
        let slots = self.buckets.get(key).into_iter().flat_map(|bucket| &bucket.slots);
        slots.filter_map(|id| self.slots.get(id)).any(|slot| slot.doomed.is_none())
    }

    fn drop_slot(&mut self, slot_id: SlotId) -> Option<Slot<K>> {
        let slot = self.slots.remove(&slot_id)?;
        if let Some(bucket) = self.buckets.get_mut(&slot.key) {
            bucket.slots.retain(|id| *id != slot_id);
        }
        if slot.key.is_direct() {
            self.direct -= 1;
        } else {
            self.pooled -= 1;
        }
        Some(slot)
    }
}
