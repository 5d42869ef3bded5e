//! What a slot's task reports: its session is open, could not be opened, or is closed.

use tokio::time::Instant;

use super::{
    Actions, State,
    bucket::BucketId,
    slot::{PinReason, Slot, SlotId},
};
use crate::pool::key::Key;

impl<K: Key, E: Clone> State<K, E> {
    /// The slot's session is open. `jitter`, 0 to 1, shortens its recycle time.
    pub fn opened(&mut self, slot_id: SlotId, jitter: f64, now: Instant, actions: &mut Actions<K, E>) {
        let Some(slot) = self.slots.get_mut(&slot_id) else { return };
        slot.open(jitter, now);
        let (at, endpoint, doomed) = (slot.bucket, slot.endpoint, slot.doomed);
        if let Some(endpoint) = self.endpoints.get_mut(endpoint) {
            endpoint.opening -= 1;
        }
        self.endpoints.opened(endpoint, now);
        self.last_error = None;
        let bucket = &mut self.buckets[at];
        bucket.try_again();
        self.counters.creates += u64::from(!bucket.direct);
        self.counters.direct_creates += u64::from(bucket.direct);
        if let Some(reason) = doomed {
            self.start_close(slot_id, reason, actions);
        } else {
            self.serve(at, now, actions);
            self.serve_all(now, actions);
            self.close_if_drained(slot_id, actions);
        }
    }

    /// The slot's session could not be opened. `jitter`, 0 to 1, is for the pause; `of_endpoint` tells
    /// an endpoint that fails from one that refuses this key.
    pub fn open_failed(
        &mut self,
        slot_id: SlotId,
        error: E,
        of_endpoint: bool,
        jitter: f64,
        now: Instant,
        actions: &mut Actions<K, E>,
    ) {
        let Some(slot) = self.drop_opening(slot_id) else { return };
        self.counters.connect_failures += 1;
        if of_endpoint {
            self.endpoints.open_failed(slot.endpoint, error.clone(), jitter, now);
        } else {
            self.buckets[slot.bucket].back_off(error.clone(), jitter, now);
        }
        if !of_endpoint || self.endpoints.are_failing() {
            self.last_error = Some(error);
        }
        self.fail_hopeless(slot.bucket, now, actions);
        if of_endpoint && self.endpoints.error(now).is_some() {
            self.fail_all_hopeless(now, actions);
        }
        self.serve_all(now, actions);
    }

    pub(super) fn fail_all_hopeless(&mut self, now: Instant, actions: &mut Actions<K, E>) {
        let all: Vec<_> = self.buckets.iter().map(|(at, _)| at).collect();
        for at in all {
            self.fail_hopeless(at, now, actions);
        }
    }

    /// Tells waiters at once that no session can be opened. With a slot alive the queue still moves.
    fn fail_hopeless(&mut self, at: BucketId, now: Instant, actions: &mut Actions<K, E>) {
        if self.buckets[at].waiters.is_empty() || self.has_slot(at) {
            return;
        }
        if let Some(failure) = self.refusing(at, now) {
            self.fail_waiters(at, &failure, actions);
        }
    }

    /// The slot's task was told to end before its session was open.
    pub fn open_cancelled(&mut self, slot_id: SlotId, now: Instant, actions: &mut Actions<K, E>) {
        if self.drop_opening(slot_id).is_some() {
            self.serve_all(now, actions);
        }
    }

    /// The slot's session is closed and its task ended.
    pub fn closed(&mut self, slot_id: SlotId, now: Instant, actions: &mut Actions<K, E>) {
        let Some(slot) = self.drop_slot(slot_id) else { return };
        let direct = self.buckets[slot.bucket].direct;
        self.counters.destroys += u64::from(!direct);
        self.counters.direct_destroys += u64::from(direct);
        if let Some(reason) = slot.doomed {
            self.counters.closed[reason as usize] += u64::from(!direct);
        }
        debug_assert_eq!(slot.leases, 0, "a slot closed under a lease");
        self.serve_all(now, actions);
    }

    /// Makes a shared slot one client's own, with a reason; `key` is that client's and bound. False if the slot can't be, or
    /// the key has one.
    pub fn pin(&mut self, slot_id: SlotId, key: &K, reason: PinReason, now: Instant) -> bool {
        let usable = self.slots.get(&slot_id).is_some_and(Slot::is_usable);
        let to = self.buckets.find_or_make(key, self.limits.strategy, now);
        if !usable || !self.buckets[to].slots.is_empty() {
            return false;
        }
        self.move_slot(slot_id, to);
        if let Some(slot) = self.slots.get_mut(&slot_id) {
            slot.pinned = Some(reason);
        }
        self.counters.pins[reason as usize] += 1;
        true
    }

    /// Gives a bound key's slot and waiters another bound key, without touching the session: the same client, in or outside
    /// the pool. False if that would be one slot too many there.
    pub fn rename(&mut self, old: &K, new: &K, now: Instant) -> bool {
        let Some(from) = self.buckets.find(old) else { return false };
        let to = self.buckets.find_or_make(new, self.limits.strategy, now);
        let enters = self.buckets[from].direct && !self.buckets[to].direct;
        let leaves = !self.buckets[from].direct && self.buckets[to].direct;
        let moved = self.buckets[from].slots.len();
        let full = (enters && self.pooled + moved > self.limits.max)
            || (leaves && self.direct + moved > self.limits.max_direct)
            || self.buckets[to].principal.is_some_and(|principal| enters && self.is_capped(principal));
        if full || !self.buckets[to].slots.is_empty() {
            return false;
        }
        for id in self.buckets[from].slots.clone() {
            self.move_slot(id, to);
        }
        let waiters = std::mem::take(&mut self.buckets[from].waiters);
        self.buckets[to].waiters.extend(waiters);
        self.buckets[to].waiters.make_contiguous().sort_unstable_by_key(|waiter| waiter.id);
        true
    }

    /// Makes a slot another key's.
    pub(super) fn move_slot(&mut self, slot_id: SlotId, to: BucketId) {
        let Some(slot) = self.slots.get_mut(&slot_id) else { return };
        let from = std::mem::replace(&mut slot.bucket, to);
        let open = slot.phase != super::Phase::Opening;
        self.count_slot(from, -1);
        self.count_slot(to, 1);
        self.buckets[from].remove(slot_id);
        self.buckets[to].add(slot_id);
        // A session that leaves or enters the pool was created and is destroyed in both accounts.
        let (left, entered) = (self.buckets[from].direct, self.buckets[to].direct);
        if open && !left && entered {
            self.counters.destroys += 1;
            self.counters.closed[super::CloseReason::Outdated as usize] += 1;
            self.counters.direct_creates += 1;
        } else if open && left && !entered {
            self.counters.direct_destroys += 1;
            self.counters.creates += 1;
        }
    }

    fn drop_opening(&mut self, slot_id: SlotId) -> Option<Slot> {
        let slot = self.drop_slot(slot_id)?;
        if let Some(endpoint) = self.endpoints.get_mut(slot.endpoint) {
            endpoint.opening -= 1;
        }
        Some(slot)
    }

    fn drop_slot(&mut self, slot_id: SlotId) -> Option<Slot> {
        let slot = self.slots.remove(&slot_id)?;
        self.buckets[slot.bucket].remove(slot_id);
        self.count_slot(slot.bucket, -1);
        if let Some(endpoint) = self.endpoints.get_mut(slot.endpoint) {
            endpoint.slots -= 1;
        }
        Some(slot)
    }
}
