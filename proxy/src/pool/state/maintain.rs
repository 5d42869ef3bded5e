//! What is looked after a few times a second: recycling, surplus, the warm minimum, waiters.

use tokio::time::Instant;

use super::{
    Actions, EndpointSpec, Failure, Refusal, State,
    bucket::BucketId,
    slot::{CloseReason, SlotId},
};
use crate::{
    pool::{key::Key, limits::Limits},
    strategy::Strategy,
};

impl<K: Key, E: Clone> State<K, E> {
    /// Recycles, trims and refills. To be called a few times a second.
    pub fn maintain(&mut self, now: Instant, actions: &mut Actions<K, E>) {
        if self.closed {
            return;
        }
        self.end_drain(now, actions);
        self.close_worn(now, actions);
        self.close_surplus(now, actions);
        self.even_out(now, actions);
        self.serve_all(now, actions);
        self.keep_warm(now, actions);
        let longest = self.limits.sticky_max_age.max(self.limits.binding_idle());
        for (_, bucket) in self.buckets.iter_mut() {
            bucket.bindings.prune(longest, now);
        }
        self.buckets.drop_spent(now);
    }

    fn close_worn(&mut self, now: Instant, actions: &mut Actions<K, E>) {
        let idle =
            self.slots.iter().filter(|(_, slot)| slot.is_idle_usable() && !self.buckets[slot.bucket].bound);
        let mut due: Vec<_> =
            idle.filter_map(|(id, slot)| Some((*id, slot.worn(&self.limits, now)?))).collect();
        due.sort_unstable_by_key(|(id, _)| *id);
        for (id, reason) in due {
            if self.defers(id, now) {
                self.note_deferral(id, true, now);
            } else {
                self.start_close(id, reason, actions);
            }
        }
    }

    /// Closes idle slots above the maximum, then those above the minimum that were idle for too long.
    fn close_surplus(&mut self, now: Instant, actions: &mut Actions<K, E>) {
        let mut kept = self.kept();
        let idle =
            self.slots.iter().filter(|(_, slot)| slot.is_idle_usable() && !self.buckets[slot.bucket].direct);
        // Clients' own slots last: with them goes what a client keeps in its session.
        let mut idle: Vec<_> =
            idle.map(|(id, slot)| (!self.is_movable(*id, slot, now), slot.idle_since, *id)).collect();
        idle.sort_unstable();
        for (held, since, id) in idle {
            let of_capped = self.exceeds_cap(id);
            let old = self.limits.idle.is_some_and(|most| now.saturating_duration_since(since) >= most);
            let reason = if kept > self.limits.max || of_capped {
                CloseReason::OverMax
            } else if old && kept > self.limits.min {
                CloseReason::Idle
            } else {
                continue;
            };
            // A smaller pool is the user's word; idleness alone ends nothing that a client keeps.
            if reason == CloseReason::OverMax || !held {
                self.start_close(id, reason, actions);
                kept -= 1;
            }
        }
    }

    /// Slots of the pool without those that are going.
    fn kept(&self) -> usize {
        let going =
            self.slots.values().filter(|slot| slot.doomed.is_some() && !self.buckets[slot.bucket].direct);
        self.pooled - going.count()
    }

    /// Whether the pool has more slots than it may, without those that are going.
    pub(super) fn exceeds_max(&self) -> bool {
        self.pooled > self.limits.max && self.kept() > self.limits.max
    }

    /// Whether the slot's principal has more slots than it may, without those that are going.
    pub(super) fn exceeds_cap(&self, id: SlotId) -> bool {
        let Some(most) = self.limits.max_per_principal else { return false };
        let Some(slot) = self.slots.get(&id) else { return false };
        let Some(principal) = self.buckets[slot.bucket].principal else { return false };
        let kept = self.slots.values().filter(|slot| {
            let bucket = &self.buckets[slot.bucket];
            slot.doomed.is_none() && !bucket.direct && bucket.principal == Some(principal)
        });
        kept.count() > most
    }

    /// Idle slots of the pool that are no client's own.
    fn idle(&self) -> impl Iterator<Item = SlotId> {
        let idle = self.slots.iter().filter(|(_, slot)| {
            let bucket = &self.buckets[slot.bucket];
            slot.is_idle_usable() && !bucket.bound && !bucket.direct
        });
        idle.map(|(id, _)| *id)
    }

    /// At the maximum, lets an endpoint that has too few sessions for its weight have the room of one that has too many: one
    /// session at a time.
    fn even_out(&mut self, now: Instant, actions: &mut Actions<K, E>) {
        let settled = self.slots.values().all(|slot| slot.phase == super::Phase::Open);
        if self.pooled < self.limits.max || !settled || self.drain.is_some() {
            return;
        }
        let Some((from, _)) = self.endpoints.uneven(self.limits.max, now) else { return };
        let movable = self.idle().filter(|id| {
            let slot = &self.slots[id];
            slot.endpoint == from && self.is_movable(*id, slot, now)
        });
        if let Some(id) = movable.min_by_key(|id| (self.slots[id].idle_since, *id)) {
            self.start_close(id, CloseReason::Room, actions);
        }
    }

    /// Opens slots up to the minimum. A pool that never had a session opens one: its readiness hangs on it.
    fn keep_warm(&mut self, now: Instant, actions: &mut Actions<K, E>) {
        if self.drain.is_some() {
            return;
        }
        let untried = usize::from(self.counters.creates == 0 && self.limits.max > 0);
        let least = self.limits.min.max(untried).min(self.limits.max);
        while self.pooled < least {
            let Some(at) = self.warmable(now) else { return };
            let Some(endpoint) = self.endpoints.for_opening(self.limits.strategy, false, now) else { return };
            self.open(at, endpoint, now, actions);
        }
    }

    /// The key to open a session for without a client: where one is configured, that or the like for what clients asked for
    /// last; else the key used last.
    fn warmable(&mut self, now: Instant) -> Option<BucketId> {
        let at = match self.warm.clone() {
            Some(warm) => {
                let key = self.missed.clone().unwrap_or(warm);
                self.buckets.find_or_make(&key, self.limits.strategy, now)
            }
            None => {
                let keys = self.buckets.iter().filter(|(_, bucket)| {
                    let capped = bucket.principal.is_some_and(|principal| self.is_capped(principal));
                    !bucket.bound && !bucket.direct && !capped
                });
                keys.max_by_key(|(at, bucket)| (bucket.used, *at)).map(|(at, _)| at)?
            }
        };
        self.buckets[at].backing_off(now).is_none().then_some(at)
    }

    /// Puts new limits in force. Idle slots above a lower maximum are closed at once, busy ones at check-in.
    pub fn set_limits(&mut self, limits: Limits, warm: Option<K>, now: Instant, actions: &mut Actions<K, E>) {
        let strategy = limits.strategy;
        let changed = strategy != self.limits.strategy;
        self.limits = limits;
        if self.warm != warm {
            (self.warm, self.missed) = (warm, None);
        }
        if self.limits.max == 0 {
            let pooled = self.buckets.iter().filter(|(_, bucket)| !bucket.direct).map(|(at, _)| at);
            for at in pooled.collect::<Vec<_>>() {
                self.fail_waiters(at, &Failure::Refused(Refusal::Outdated), actions);
            }
        }
        for (_, bucket) in self.buckets.iter_mut() {
            bucket.try_again();
            if changed {
                bucket.strategy = Strategy::new(strategy);
            }
        }
        self.maintain(now, actions);
    }

    /// Puts the server's addresses in force. Slots on those that are gone are the caller's to condemn.
    pub fn set_endpoints(&mut self, endpoints: &[EndpointSpec], now: Instant, actions: &mut Actions<K, E>) {
        self.endpoints.configure(endpoints);
        self.fail_all_hopeless(now, actions);
        self.maintain(now, actions);
    }
}
