//! Opening and closing: who gets room, what is recycled, what is kept warm.

use std::time::Duration;

use tokio::time::Instant;

use super::{
    Action, Actions, Failure, MAX_OPENING, Refusal, State,
    slot::{CloseReason, Phase, Slot, SlotId},
};
use crate::pool::{
    key::Key,
    limits::Limits,
    stats::{SlotInfo, Snapshot},
};

impl<K: Key, E: Clone> State<K, E> {
    /// Opens slots for the key's waiters as far as there is room, and makes room if there is none.
    pub(super) fn open_for(&mut self, key: &K, now: Instant, actions: &mut Actions<K, E>) {
        loop {
            let Some(bucket) = self.buckets.get(key) else { return };
            let waiters = bucket.waiters.len();
            let coming = bucket.slots.iter().filter(|id| self.is_opening(**id)).count();
            let wanted = match (key.is_bound(), waiters) {
                (_, 0) => 0,
                (true, _) => usize::from(bucket.slots.is_empty()),
                (false, _) => waiters.div_ceil(self.limits.concurrency as usize),
            };
            if coming >= wanted || self.opening >= MAX_OPENING || bucket.backing_off(now).is_some() {
                return;
            }
            if key.is_direct() {
                if self.direct >= self.limits.max_direct {
                    self.fail_waiters(key, &Failure::Refused(Refusal::DirectFull), actions);
                    return;
                }
            } else if self.pooled >= self.limits.max {
                self.evict_for(key, now, actions);
                return;
            }
            self.open(key, now, actions);
        }
    }

    /// Opens one more slot of a key whose slots are all in use, if there is room.
    pub(super) fn grow(&mut self, key: &K, now: Instant, actions: &mut Actions<K, E>) {
        let backing_off = self.buckets.get(key).is_some_and(|bucket| bucket.backing_off(now).is_some());
        if self.opening == 0 && self.pooled < self.limits.max && !backing_off {
            self.open(key, now, actions);
        }
    }

    fn open(&mut self, key: &K, now: Instant, actions: &mut Actions<K, E>) {
        let id = self.next_slot;
        self.next_slot += 1;
        self.slots.insert(id, Slot::opening(key.clone(), now));
        self.bucket(key).add(id);
        self.opening += 1;
        if key.is_direct() {
            self.direct += 1;
        } else {
            self.pooled += 1;
        }
        actions.push(Action::Open(id, key.clone()));
    }

    /// Marks a slot as closing. It counts until its task reports that the session is closed.
    pub(super) fn start_close(&mut self, id: SlotId, reason: CloseReason, actions: &mut Actions<K, E>) {
        let Some(slot) = self.slots.get_mut(&id) else { return };
        slot.doomed = slot.doomed.or(Some(reason));
        if slot.phase == Phase::Open {
            slot.phase = Phase::Closing;
            actions.push(Action::Close(id));
        }
    }

    /// Closes the longest idle slot of another key, unless enough are being closed already.
    fn evict_for(&mut self, key: &K, now: Instant, actions: &mut Actions<K, E>) {
        let closing = self.slots.values().filter(|slot| slot.phase == Phase::Closing).count();
        if closing >= self.waiting {
            return;
        }
        let idle = self.slots.iter().filter(|(_, slot)| {
            slot.is_idle_usable() && !slot.key.is_bound() && !slot.key.is_direct() && slot.key != *key
        });
        let oldest = idle.max_by_key(|(_, slot)| now.duration_since(slot.idle_since)).map(|(id, _)| *id);
        if let Some(id) = oldest {
            self.start_close(id, CloseReason::Room, actions);
        }
    }

    /// After a check-in: lets another key that waits at the cap have the slot's room.
    pub(super) fn make_room(&mut self, released: &K, now: Instant, actions: &mut Actions<K, E>) {
        let starving = self.buckets.iter().find(|(key, bucket)| {
            *key != released && !bucket.waiters.is_empty() && !key.is_direct() && !self.has_slot(key)
        });
        let Some(key) = starving.map(|(key, _)| key.clone()) else { return };
        self.serve(&key, now, actions);
        self.open_for(&key, now, actions);
    }

    /// Recycles, trims and refills. To be called a few times a second.
    pub fn maintain(&mut self, now: Instant, actions: &mut Actions<K, E>) {
        if self.closed {
            return;
        }
        self.close_worn(now, actions);
        self.close_surplus(now, actions);
        self.serve_all(now, actions);
        self.keep_warm(now, actions);
        self.buckets.retain(|_, bucket| !bucket.is_spent(now));
    }

    fn close_worn(&mut self, now: Instant, actions: &mut Actions<K, E>) {
        let limits = &self.limits;
        let due: Vec<_> = self
            .slots
            .iter()
            .filter(|(_, slot)| slot.is_idle() && !slot.key.is_bound())
            .filter_map(|(id, slot)| Some((*id, slot.worn(limits, now)?)))
            .collect();
        for (id, reason) in due {
            self.start_close(id, reason, actions);
        }
    }

    /// Closes idle slots above the maximum, then those above the minimum that were idle for too long.
    fn close_surplus(&mut self, now: Instant, actions: &mut Actions<K, E>) {
        let mut idle: Vec<_> = self
            .slots
            .iter()
            .filter(|(_, slot)| slot.is_idle_usable() && !slot.key.is_bound() && !slot.key.is_direct())
            .map(|(id, slot)| (slot.idle_since, *id))
            .collect();
        idle.sort_unstable();
        let doomed = |slot: &Slot<K>| slot.doomed.is_some() && !slot.key.is_direct();
        let mut kept = self.pooled - self.slots.values().filter(|slot| doomed(slot)).count();
        for (since, id) in idle {
            let old = self.limits.idle.is_some_and(|most| now.duration_since(since) >= most);
            let reason = if kept > self.limits.max {
                CloseReason::OverMax
            } else if old && kept > self.limits.min {
                CloseReason::Idle
            } else {
                continue;
            };
            self.start_close(id, reason, actions);
            kept -= 1;
        }
    }

    /// Opens slots up to the minimum. A pool that never had a session opens one: its readiness hangs on it.
    fn keep_warm(&mut self, now: Instant, actions: &mut Actions<K, E>) {
        let untried = usize::from(self.counters.creates == 0 && self.limits.max > 0);
        let least = self.limits.min.max(untried).min(self.limits.max);
        while self.pooled < least && self.opening < MAX_OPENING {
            let Some(key) = self.warmable(now) else { return };
            self.open(&key, now, actions);
        }
    }

    /// The key to open a session for without a client: the configured one, else the one used last.
    fn warmable(&self, now: Instant) -> Option<K> {
        let ready = |key: &K| self.buckets.get(key).is_none_or(|bucket| bucket.backing_off(now).is_none());
        let observed = || {
            let keys = self.buckets.iter().filter(|(key, _)| !key.is_bound() && !key.is_direct());
            keys.max_by_key(|(_, bucket)| bucket.used).map(|(key, _)| key.clone())
        };
        self.warm.clone().or_else(observed).filter(ready)
    }

    /// Puts new limits in force. Idle slots above a lower maximum are closed at once, busy ones at check-in.
    pub fn set_limits(&mut self, limits: Limits, warm: Option<K>, now: Instant, actions: &mut Actions<K, E>) {
        if limits.strategy != self.limits.strategy {
            for bucket in self.buckets.values_mut() {
                bucket.strategy = crate::strategy::Strategy::new(limits.strategy);
            }
        }
        self.limits = limits;
        self.warm = warm;
        for bucket in self.buckets.values_mut() {
            bucket.backoff = None;
        }
        self.maintain(now, actions);
    }

    /// Closes the key's slots, busy ones at check-in.
    pub fn retire(&mut self, key: &K, _now: Instant, actions: &mut Actions<K, E>) {
        let ids = self.buckets.get(key).map(|bucket| bucket.slots.clone()).unwrap_or_default();
        for id in ids {
            self.condemn(id, CloseReason::Retired, actions);
        }
    }

    /// Takes no more work; idle slots close now, the others at check-in.
    pub fn shut(&mut self, actions: &mut Actions<K, E>) {
        self.closed = true;
        let ids: Vec<_> = self.slots.keys().copied().collect();
        for id in ids {
            self.condemn(id, CloseReason::Shutdown, actions);
        }
        let keys: Vec<_> = self.buckets.keys().cloned().collect();
        for key in keys {
            self.fail_waiters(&key, &Failure::Refused(Refusal::Closed), actions);
        }
    }

    fn is_opening(&self, id: SlotId) -> bool {
        self.slots.get(&id).is_some_and(|slot| slot.phase == Phase::Opening)
    }

    /// Slots that exist or are being opened, the most that may, and the waiters.
    pub fn pressure(&self) -> (usize, usize, usize) {
        (self.pooled, self.limits.max, self.waiting)
    }

    /// Numbers of this moment.
    pub fn snapshot(&self, now: Instant) -> Snapshot {
        let mut snapshot = Snapshot {
            waiting: self.waiting,
            leases: self.leases,
            counters: self.counters,
            wait: self.wait.clone(),
            ..Snapshot::default()
        };
        for slot in self.slots.values() {
            match slot.phase {
                Phase::Opening => snapshot.initializing += 1,
                _ if slot.key.is_direct() => snapshot.direct += 1,
                _ => {
                    snapshot.total += 1;
                    snapshot.ages.push(now.duration_since(slot.opened));
                    if slot.leases > 0 {
                        snapshot.active += 1;
                    } else if matches!(slot.doomed, Some(CloseReason::Unhealthy | CloseReason::Lost)) {
                        snapshot.unhealthy += 1;
                    } else {
                        snapshot.available += 1;
                    }
                }
            }
        }
        snapshot.ages.sort_unstable();
        snapshot.ever_connected = self.counters.creates > 0 || snapshot.direct > 0;
        snapshot
    }

    /// Every slot; the endpoint is the caller's to fill in.
    pub fn slots(&self, now: Instant) -> Vec<SlotInfo<K>> {
        let mut slots: Vec<_> = self.slots.iter().map(|(id, slot)| describe(*id, slot, now)).collect();
        slots.sort_unstable_by_key(|slot| slot.id);
        slots
    }
}

fn describe<K: Key>(id: SlotId, slot: &Slot<K>, now: Instant) -> SlotInfo<K> {
    let state = match (slot.phase, slot.leases) {
        (Phase::Opening, _) => "opening",
        (Phase::Closing, _) if slot.doomed == Some(CloseReason::Unhealthy) => "unhealthy",
        (Phase::Closing, _) => "closing",
        (Phase::Open, 0) => "idle",
        (Phase::Open, _) => "active",
    };
    SlotInfo {
        id,
        key: slot.key.clone(),
        state,
        age: now.duration_since(slot.opened),
        idle: if slot.leases > 0 { Duration::ZERO } else { now.duration_since(slot.idle_since) },
        requests: slot.requests,
        endpoint: String::new(),
    }
}
