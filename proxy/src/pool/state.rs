//! Everything a pool knows, as one plain value.
//!
//! Methods take the clock, do no I/O, and push what is to be done onto a list of [`Action`]s, which the caller
//! carries out after it has let go of its lock.

mod backoff;
mod bindings;
mod bucket;
mod buckets;
mod close;
mod endpoints;
mod lifecycle;
mod maintain;
#[cfg(test)]
mod model;
mod open;
mod pick;
mod report;
mod slot;
#[cfg(test)]
mod tests;

use std::time::Duration;

use foldhash::{HashMap, HashMapExt};
use tokio::time::Instant;

pub use self::{
    bucket::WaiterId,
    endpoints::{EndpointId, EndpointSpec},
    slot::{CloseReason, PinReason, SlotId},
};
use self::{
    bucket::{BucketId, Waiter},
    buckets::Buckets,
    endpoints::Endpoints,
    slot::{Phase, Slot},
};
use super::{
    key::{Key, Principal},
    limits::Limits,
    stats::Counters,
};
use crate::strategy::Affinity;

/// What the pool has to do.
#[derive(Debug, PartialEq)]
pub enum Action<K, E> {
    /// Give the waiter its lease.
    Grant(WaiterId, Grant),
    /// Give the waiter an error.
    Fail(WaiterId, Failure<E>),
    /// Start the task that opens and owns the slot.
    Open(SlotId, K, EndpointId),
    /// Tell the slot's task to end; no lease is out.
    Close(SlotId),
}

type Actions<K, E> = Vec<Action<K, E>>;

/// What a request asks for beside its key.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ask {
    /// A bound key has had its slot: it gets that one or [`Refusal::Lost`], never a new one.
    pub existing: bool,
    /// What the request is kept on one slot by, under Sticky.
    pub affinity: Option<Affinity>,
}

/// A lease that the state has counted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Grant {
    /// The slot that was given.
    pub slot: SlotId,
    /// Whether the session is to be checked before it is used.
    pub check: bool,
    /// The affinity key, if any, was bound to the slot by this lease: it has left nothing there yet.
    pub fresh: bool,
}

/// How a lease ended.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Ending {
    /// The slot is not to be used again.
    pub discard: Option<CloseReason>,
    /// Time from sending the request to its answer.
    pub took: Option<Duration>,
    /// The endpoint broke the connection or answered that it can't serve.
    pub failed: bool,
    /// The check that the slot was due for did not come to an end.
    pub unchecked: bool,
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
    #[error(
        "as many sessions outside the pool are open as may be; raise maxDirectSessions, or have clients end theirs"
    )]
    DirectFull,
    /// The server has no address.
    #[error("the server has no address")]
    NoEndpoint,
    /// The configuration no longer has such keys: the asker is to work its key out again.
    #[error("the configuration has changed")]
    Outdated,
    /// The slot that held the client's state in the server is gone.
    #[error("the session that held this client's state is gone")]
    Lost,
    /// The pool is drained, or being drained.
    #[error("the pool is being drained")]
    Draining,
    /// The pool is shutting down.
    #[error("the pool is shutting down")]
    Closed,
}

/// See the module's text.
#[derive(Debug)]
pub struct State<K, E> {
    limits: Limits,
    warm: Option<K>,
    /// The key of sessions that the last request to wait would have found useful.
    missed: Option<K>,
    slots: HashMap<SlotId, Slot>,
    buckets: Buckets<K, E>,
    endpoints: Endpoints<E>,
    principals: HashMap<Principal, usize>,
    next_slot: SlotId,
    next_waiter: WaiterId,
    releases: u64,
    waiting: usize,
    pooled: usize,
    direct: usize,
    leases: usize,
    epoch: u64,
    /// When a drain closes what is left; none while the pool takes work.
    drain: Option<Instant>,
    closed: bool,
    last_error: Option<E>,
    pub(super) counters: Counters,
}

impl<K: Key, E: Clone> State<K, E> {
    /// An empty pool. The seed decides between endpoints where chance does.
    pub fn new(limits: Limits, warm: Option<K>, endpoints: &[EndpointSpec], seed: u64) -> Self {
        let mut known = Endpoints::new(seed);
        known.configure(endpoints);
        Self {
            limits,
            warm,
            missed: None,
            slots: HashMap::new(),
            buckets: Buckets::new(),
            endpoints: known,
            principals: HashMap::new(),
            next_slot: 1,
            next_waiter: 1,
            releases: 0,
            waiting: 0,
            pooled: 0,
            direct: 0,
            leases: 0,
            epoch: 0,
            drain: None,
            closed: false,
            last_error: None,
            counters: Counters::default(),
        }
    }

    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Why the server can't be reached; none while it can.
    pub fn last_error(&self) -> Option<&E> {
        self.last_error.as_ref()
    }

    /// Gives a slot of `key`, or a place in its queue.
    pub fn acquire(
        &mut self,
        key: &K,
        ask: Ask,
        now: Instant,
        actions: &mut Actions<K, E>,
    ) -> Result<Acquired, Failure<E>> {
        if self.closed {
            return Err(Failure::Refused(Refusal::Closed));
        }
        if self.limits.max == 0 && !key.is_direct() {
            return Err(Failure::Refused(Refusal::Outdated));
        }
        let at = self.buckets.find_or_make(key, self.limits.strategy, now);
        self.buckets[at].used = now;
        if self.drain.is_some() && !self.has_pinned(at) {
            return Err(Failure::Refused(Refusal::Draining));
        }
        let bucket = &mut self.buckets[at];
        if let Some(affinity) = ask.affinity
            && bucket.bindings.take_lost(affinity)
        {
            return Err(Failure::Refused(Refusal::Lost));
        }
        let in_line = !bucket.waiters.is_empty();
        let bound = bucket.bound;
        // A free slot that nobody in the queue may have, can only be the asker's own.
        if (!in_line || ask.affinity.is_some())
            && let Some(grant) = self.take(at, ask.affinity, now, actions)
        {
            self.counters.wait.observe(Duration::ZERO);
            return Ok(Acquired::Slot(grant));
        }
        let has_slot = self.has_slot(at);
        if ask.existing && bound && !has_slot {
            return Err(Failure::Refused(Refusal::Lost));
        }
        if !has_slot && let Some(failure) = self.refusing(at, now) {
            return Err(failure);
        }
        if self.waiting >= self.limits.max_waiters {
            self.counters.refusals += 1;
            return Err(Failure::Refused(Refusal::QueueFull));
        }
        let bucket = &mut self.buckets[at];
        if bucket.direct && !has_slot && self.direct >= self.limits.max_direct {
            self.counters.refusals += 1;
            return Err(Failure::Refused(Refusal::DirectFull));
        }
        let id = self.next_waiter;
        self.next_waiter += 1;
        self.waiting += 1;
        bucket.waiters.push_back(Waiter { id, affinity: ask.affinity, since: now });
        if !bucket.direct {
            let shared = || (!bucket.bound).then(|| bucket.key.clone());
            self.missed = bucket.key.warm().or_else(shared).or(self.missed.take());
        }
        self.open_for(at, now, actions);
        Ok(Acquired::Wait(id))
    }

    /// Takes a waiter out of its queue; false if it was granted or failed already.
    pub fn forget(&mut self, key: &K, waiter: WaiterId) -> bool {
        let found = |bucket: &bucket::Bucket<K, E>| {
            bucket.waiters.binary_search_by_key(&waiter, |waiter| waiter.id).ok()
        };
        let home = self.buckets.find(key).and_then(|at| Some((at, found(&self.buckets[at])?)));
        // It may have been renamed while it waited.
        let place = home.or_else(|| self.buckets.iter().find_map(|(at, bucket)| Some((at, found(bucket)?))));
        let Some((at, place)) = place else { return false };
        self.buckets[at].waiters.remove(place);
        self.waiting -= 1;
        true
    }

    /// Ends a lease.
    pub fn release(&mut self, slot_id: SlotId, ending: Ending, now: Instant, actions: &mut Actions<K, E>) {
        self.counters.releases += 1;
        self.leases -= 1;
        self.releases += 1;
        // Servers need not answer a request that was cancelled: no reason to lose what a client keeps in the session. It is
        // checked before it is used again.
        let kept = ending.discard == Some(CloseReason::Abandoned) && self.holds_state(slot_id, now);
        let Some(slot) = self.slots.get_mut(&slot_id) else {
            debug_assert!(false, "a lease of a slot that is gone");
            return;
        };
        slot.leases -= 1;
        slot.idle_since = now;
        slot.released = self.releases;
        let (at, endpoint) = (slot.bucket, slot.endpoint);
        slot.suspect |= kept || ending.unchecked;
        slot.doomed = slot.doomed.or(ending.discard.filter(|_| !kept));
        if let Some(endpoint) = self.endpoints.get_mut(endpoint) {
            endpoint.leases -= 1;
        }
        if let Some(took) = ending.took {
            self.counters.call.observe(took);
            self.counters.call_squared += took.as_secs_f64().powi(2);
        }
        if ending.failed || ending.took.is_some() {
            self.endpoints.called(endpoint, ending.took, ending.failed, now);
        }
        self.wear(slot_id, now);
        let Some(slot) = self.slots.get(&slot_id) else { return };
        let (idle, doomed) = (slot.leases == 0, slot.doomed);
        if let Some(reason) = doomed {
            if idle {
                self.start_close(slot_id, reason, actions);
            }
            if self.buckets[at].bound {
                self.fail_waiters(at, &Failure::Refused(Refusal::Lost), actions);
            }
            return;
        }
        if self.waiting > 0 {
            if self.owes_room(slot_id, now) {
                // What it still carries goes on; it takes nothing new.
                self.condemn(slot_id, CloseReason::Room, actions);
                return;
            }
            self.serve(at, now, actions);
            self.make_room(at, now, actions);
        }
        self.close_if_drained(slot_id, actions);
    }

    /// The slot answered a check.
    pub fn checked(&mut self, slot_id: SlotId, now: Instant) {
        if let Some(slot) = self.slots.get_mut(&slot_id) {
            slot.suspect = false;
            slot.alive_at = now;
        }
    }

    /// The slot did not answer a check: if it is leased, it is checked before its next use, and that is all.
    pub fn doubt_if_leased(&mut self, slot_id: SlotId) -> bool {
        let leased = self.slots.get_mut(&slot_id).filter(|slot| slot.leases > 0);
        leased.map(|slot| slot.suspect = true).is_some()
    }

    /// The slot's newest lease sent no request.
    pub fn uncount(&mut self, slot_id: SlotId) {
        if let Some(slot) = self.slots.get_mut(&slot_id) {
            slot.requests = slot.requests.saturating_sub(1);
        }
    }

    /// After a loss: slots on the same endpoint that are no younger are checked before their next use.
    pub fn suspect(&mut self, lost: SlotId) {
        let Some(endpoint) = self.slots.get(&lost).map(|slot| slot.endpoint) else { return };
        for slot in self.slots.values_mut().filter(|slot| slot.endpoint == endpoint) {
            slot.suspect = true;
        }
    }

    /// A usable slot of `key`, not leased by this.
    pub fn peek(&self, key: &K) -> Option<SlotId> {
        let bucket = &self.buckets[self.buckets.find(key)?];
        bucket.slots.iter().copied().find(|id| self.slots.get(id).is_some_and(Slot::is_usable))
    }

    /// The affinity key's client is gone.
    pub fn unbind(&mut self, affinity: Affinity) {
        for (_, bucket) in self.buckets.iter_mut() {
            bucket.bindings.unbind(affinity);
        }
    }

    /// The affinity key's client was told that its slot is gone.
    pub fn told(&mut self, affinity: Affinity) {
        for (_, bucket) in self.buckets.iter_mut() {
            bucket.bindings.take_lost(affinity);
        }
    }

    fn fail_waiters(&mut self, at: BucketId, failure: &Failure<E>, actions: &mut Actions<K, E>) {
        let waiters = std::mem::take(&mut self.buckets[at].waiters);
        self.waiting -= waiters.len();
        actions.extend(waiters.into_iter().map(|waiter| Action::Fail(waiter.id, failure.clone())));
    }

    /// Why no session can be opened for the key at present.
    fn refusing(&self, at: BucketId, now: Instant) -> Option<Failure<E>> {
        if self.endpoints.are_none() {
            return Some(Failure::Refused(Refusal::NoEndpoint));
        }
        let error = self.buckets[at].backing_off(now).or_else(|| self.endpoints.error(now));
        error.map(Failure::Connect)
    }

    /// Whether the key has a slot that is open, or being opened, and not marked for closing.
    fn has_slot(&self, at: BucketId) -> bool {
        let mut slots = self.buckets[at].slots.iter().filter_map(|id| self.slots.get(id));
        slots.any(|slot| slot.doomed.is_none())
    }

    fn has_pinned(&self, at: BucketId) -> bool {
        let mut slots = self.buckets[at].slots.iter().filter_map(|id| self.slots.get(id));
        slots.any(|slot| slot.pinned.is_some() && slot.is_usable())
    }

    /// Whether a slot is being opened, and may be used then.
    fn is_coming(&self, id: SlotId) -> bool {
        self.slots.get(&id).is_some_and(|slot| slot.phase == Phase::Opening && slot.doomed.is_none())
    }
}
