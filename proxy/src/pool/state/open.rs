//! Opening slots: where there is room, and how room is made.

use std::time::Duration;

use tokio::time::Instant;

use super::{
    Action, Actions, Failure, Refusal, State,
    bucket::{BucketId, Waiter},
    endpoints::EndpointId,
    slot::{CloseReason, Phase, Slot, SlotId},
};
use crate::pool::key::{Key, Principal};

/// A waiter that has waited this long has a claim to the next slot that comes back, whatever its key.
const PATIENCE: Duration = Duration::from_millis(100);

/// A session that takes longer to open is not waited for where another endpoint may be quicker.
const SLOW_OPENING: Duration = Duration::from_secs(1);

impl<K: Key, E: Clone> State<K, E> {
    /// Opens slots for the key's waiters as far as there is room, and makes room if there is none.
    pub(super) fn open_for(&mut self, at: BucketId, now: Instant, actions: &mut Actions<K, E>) {
        loop {
            let bucket = &self.buckets[at];
            // Who waits for a slot of its own is not helped by another one.
            let own = |affinity| bucket.bindings.slot(affinity).is_some();
            let waiters = bucket.waiters.iter().filter(|waiter| !waiter.affinity.is_some_and(own)).count();
            let opening = bucket.slots.iter().filter(|id| self.is_coming(**id));
            let slow = opening.clone().filter(|id| self.slots[id].age(now) >= SLOW_OPENING).count();
            let coming = opening.count();
            let wanted = match (bucket.bound, waiters) {
                (_, 0) => 0,
                (true, _) => usize::from(bucket.slots.is_empty()),
                (false, _) => waiters.div_ceil(self.limits.concurrency as usize),
            };
            if coming - slow >= wanted || self.drain.is_some() || bucket.backing_off(now).is_some() {
                return;
            }
            let elsewhere = coming >= wanted;
            if elsewhere && !self.endpoints.are_several() {
                return;
            }
            if bucket.direct {
                if self.direct >= self.limits.max_direct {
                    self.fail_waiters(at, &Failure::Refused(Refusal::DirectFull), actions);
                    return;
                }
            } else {
                let capped = bucket.principal.filter(|principal| self.is_capped(*principal));
                if capped.is_some() || self.pooled >= self.limits.max {
                    if !elsewhere {
                        self.evict(at, capped, now, actions);
                    }
                    return;
                }
            }
            let Some(endpoint) = self.endpoints.for_opening(self.limits.strategy, true, now) else { return };
            if elsewhere && self.endpoints.get(endpoint).is_none_or(|endpoint| endpoint.opening > 0) {
                return;
            }
            self.open(at, endpoint, now, actions);
        }
    }

    /// Opens one more slot of a key whose slots are in use or at other endpoints, if there is room.
    pub(super) fn grow(
        &mut self,
        at: BucketId,
        endpoint: EndpointId,
        now: Instant,
        actions: &mut Actions<K, E>,
    ) {
        let bucket = &self.buckets[at];
        let coming = bucket.slots.iter().any(|id| self.is_coming(*id));
        let capped = bucket.principal.is_some_and(|principal| self.is_capped(principal));
        let room = self.pooled < self.limits.max && !capped && self.drain.is_none();
        if !coming && room && bucket.backing_off(now).is_none() && self.endpoints.can_open(endpoint, now) {
            self.open(at, endpoint, now, actions);
        }
    }

    pub(super) fn open(
        &mut self,
        at: BucketId,
        endpoint: EndpointId,
        now: Instant,
        actions: &mut Actions<K, E>,
    ) {
        let id = self.next_slot;
        self.next_slot += 1;
        self.slots.insert(id, Slot::opening(at, endpoint, self.epoch, now));
        let bucket = &mut self.buckets[at];
        bucket.add(id);
        let key = bucket.key.clone();
        self.count_slot(at, 1);
        if let Some(endpoint) = self.endpoints.get_mut(endpoint) {
            endpoint.slots += 1;
            endpoint.opening += 1;
        }
        actions.push(Action::Open(id, key, endpoint));
    }

    /// Adds to or takes from what the caps look at.
    pub(super) fn count_slot(&mut self, at: BucketId, change: isize) {
        let bucket = &self.buckets[at];
        let count = if bucket.direct { &mut self.direct } else { &mut self.pooled };
        *count = count.saturating_add_signed(change);
        let Some(principal) = bucket.principal.filter(|_| !bucket.direct) else { return };
        let count = self.principals.entry(principal).or_default();
        *count = count.saturating_add_signed(change);
        if *count == 0 {
            self.principals.remove(&principal);
        }
    }

    /// Whether the principal has as many slots as it may.
    pub(super) fn is_capped(&self, principal: Principal) -> bool {
        let most = self.limits.max_per_principal;
        most.is_some_and(|most| self.principals.get(&principal).is_some_and(|count| *count >= most))
    }

    /// Closes the longest idle slot of another key, unless enough are being closed already. Slots on endpoints that fail go
    /// first; at a principal's own cap only its slots help.
    fn evict(&mut self, at: BucketId, of: Option<Principal>, now: Instant, actions: &mut Actions<K, E>) {
        let closing = self.slots.values().filter(|slot| slot.phase == Phase::Closing).count();
        if closing >= self.waiting {
            return;
        }
        let idle = self.slots.iter().filter(|(id, slot)| {
            slot.bucket != at
                && self.is_movable(**id, slot, now)
                && (of.is_none() || self.buckets[slot.bucket].principal == of)
        });
        let oldest = idle.min_by_key(|(id, slot)| {
            (self.endpoints.is_available(slot.endpoint, now), slot.idle_since, **id)
        });
        if let Some(id) = oldest.map(|(id, _)| *id) {
            self.start_close(id, CloseReason::Room, actions);
        }
    }

    /// Whether a slot is idle and holds no client's state.
    pub(super) fn is_movable(&self, id: SlotId, slot: &Slot, now: Instant) -> bool {
        slot.is_idle_usable() && !self.holds_state(id, now)
    }

    /// Whether some client counts on finding in the slot what it left there.
    pub(super) fn holds_state(&self, id: SlotId, now: Instant) -> bool {
        let Some(slot) = self.slots.get(&id) else { return false };
        let bucket = &self.buckets[slot.bucket];
        bucket.bound || bucket.direct || bucket.bindings.alive(id, self.limits.binding_idle(), now) > 0
    }

    /// Whether the slot that has just lost a lease is due to a waiter of another key that waits longer, has lost patience, and
    /// has fewer slots.
    pub(super) fn owes_room(&self, id: SlotId, now: Instant) -> bool {
        let Some(slot) = self.slots.get(&id) else { return false };
        let at = slot.bucket;
        if self.drain.is_some() || self.pooled < self.limits.max || self.holds_state(id, now) {
            return false;
        }
        let claims = self.buckets.iter().filter_map(|(other, _)| Some((self.claim(other, at)?, other)));
        let Some((waiter, other)) = claims.min_by_key(|(waiter, _)| waiter.id) else { return false };
        if other == at || now.saturating_duration_since(waiter.since) < PATIENCE {
            return false;
        }
        let held = |at: BucketId| self.buckets[at].slots.len();
        let fewer = held(other) < held(at) || held(other) == 0;
        // One that still carries requests is given up only where none is on its way: nobody knows how long they take.
        let busy = slot.leases > 0;
        let going = self
            .slots
            .values()
            .filter(|slot| slot.phase == Phase::Closing || (busy && slot.doomed == Some(CloseReason::Room)));
        fewer && going.count() < self.waiting
    }

    /// The key's first waiter whom the room of one of `from`'s slots would help.
    fn claim(&self, at: BucketId, from: BucketId) -> Option<Waiter> {
        let bucket = &self.buckets[at];
        if bucket.direct || (at != from && bucket.bound && !bucket.slots.is_empty()) {
            return None;
        }
        let capped = bucket.principal.filter(|principal| self.is_capped(*principal));
        if at != from && capped.is_some() && capped != self.buckets[from].principal {
            return None;
        }
        let own = |waiter: &Waiter| waiter.affinity.is_some_and(|key| bucket.bindings.slot(key).is_some());
        bucket.waiters.iter().find(|waiter| !own(waiter)).copied()
    }

    /// After a check-in: lets keys that wait without a slot have the room of what is idle.
    pub(super) fn make_room(&mut self, released: BucketId, now: Instant, actions: &mut Actions<K, E>) {
        let starving = self.buckets.iter().filter(|(at, bucket)| {
            *at != released && !bucket.waiters.is_empty() && !bucket.direct && !self.has_slot(*at)
        });
        let longest = starving.filter_map(|(at, bucket)| Some((bucket.waiters.front()?.id, at))).min();
        if let Some((_, at)) = longest {
            self.serve(at, now, actions);
            self.open_for(at, now, actions);
        }
    }
}
