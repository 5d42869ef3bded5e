//! Closing slots: at once, at check-in, at a reset, in a drain.

use tokio::time::Instant;

use super::{
    Action, Actions, Failure, Refusal, State,
    slot::{CloseReason, Phase, SlotId},
};
use crate::pool::key::Key;

impl<K: Key, E: Clone> State<K, E> {
    /// Marks a slot as closing. It counts until its task reports that the session is closed.
    pub(super) fn start_close(&mut self, id: SlotId, reason: CloseReason, actions: &mut Actions<K, E>) {
        let Some(slot) = self.slots.get_mut(&id) else { return };
        slot.doomed = slot.doomed.or(Some(reason));
        if slot.phase == Phase::Open {
            slot.phase = Phase::Closing;
            let bucket = slot.bucket;
            self.buckets[bucket].bindings.lose(id);
            actions.push(Action::Close(id));
        }
    }

    /// The slot is not to be used again: it is closed, at check-in if leased.
    pub fn condemn(&mut self, id: SlotId, reason: CloseReason, actions: &mut Actions<K, E>) {
        let Some(slot) = self.slots.get_mut(&id) else { return };
        slot.doomed = slot.doomed.or(Some(reason));
        let idle = slot.is_idle();
        let bucket = slot.bucket;
        self.buckets[bucket].bindings.lose(id);
        if idle {
            self.start_close(id, reason, actions);
        }
    }

    fn condemn_where(
        &mut self,
        reason: CloseReason,
        actions: &mut Actions<K, E>,
        doomed: impl Fn(&Self, SlotId) -> bool,
    ) {
        let mut ids: Vec<_> = self.slots.keys().copied().filter(|id| doomed(self, *id)).collect();
        ids.sort_unstable();
        for id in ids {
            self.condemn(id, reason, actions);
        }
    }

    /// At check-in: dooms the slot if it is one more than may be, or worn while it holds no client's state.
    pub(super) fn wear(&mut self, id: SlotId, now: Instant) {
        let over = self.exceeds_max() || self.exceeds_cap(id);
        let Some(slot) = self.slots.get(&id) else { return };
        let bucket = &self.buckets[slot.bucket];
        if slot.doomed.is_some() {
            return;
        }
        let worn = if bucket.bound { None } else { slot.worn(&self.limits, now) };
        let reason = worn.filter(|_| !self.defers(id, now));
        let reason = reason.or((over && !bucket.direct).then_some(CloseReason::OverMax));
        self.note_deferral(id, reason.is_none(), now);
        if let Some(slot) = self.slots.get_mut(&id) {
            slot.doomed = reason;
        }
    }

    /// Whether recycling the slot has to wait for the keys that are bound to it.
    pub(super) fn defers(&self, id: SlotId, now: Instant) -> bool {
        let Some(slot) = self.slots.get(&id) else { return false };
        let bindings = &self.buckets[slot.bucket].bindings;
        slot.age(now) < self.limits.sticky_max_age && bindings.alive(id, self.limits.binding_idle(), now) > 0
    }

    /// Counts, once for each slot, that it was due and stayed.
    pub(super) fn note_deferral(&mut self, id: SlotId, stays: bool, now: Instant) {
        let Some(slot) = self.slots.get_mut(&id) else { return };
        let bound = self.buckets[slot.bucket].bound;
        if stays && !bound && !slot.deferred && slot.worn(&self.limits, now).is_some() {
            slot.deferred = true;
            self.counters.deferrals += 1;
        }
    }

    /// Closes the key's slots, busy ones at check-in: nobody will ask for it again.
    pub fn retire(&mut self, key: &K, actions: &mut Actions<K, E>) {
        let Some(at) = self.buckets.find(key) else { return };
        for id in self.buckets[at].slots.clone() {
            self.condemn(id, CloseReason::Retired, actions);
        }
    }

    /// Closes the slots of every key that is not allowed any more, busy ones at check-in.
    pub fn close_keys(&mut self, allowed: impl Fn(&K) -> bool, actions: &mut Actions<K, E>) {
        self.condemn_where(CloseReason::Outdated, actions, |state, id| {
            state.slots.get(&id).is_some_and(|slot| !allowed(&state.buckets[slot.bucket].key))
        });
        let gone = self.buckets.iter().filter(|(_, bucket)| !allowed(&bucket.key)).map(|(at, _)| at);
        for at in gone.collect::<Vec<_>>() {
            self.fail_waiters(at, &Failure::Refused(Refusal::Outdated), actions);
        }
    }

    /// Replaces every slot: idle ones now, busy ones at check-in.
    pub fn reset(&mut self, now: Instant, actions: &mut Actions<K, E>) {
        self.epoch += 1;
        let epoch = self.epoch;
        self.condemn_where(CloseReason::Reset, actions, |state, id| {
            state.slots.get(&id).is_some_and(|slot| slot.epoch < epoch)
        });
        self.maintain(now, actions);
    }

    /// Takes no new work. What runs, and who is in line at a slot, goes on until `deadline`; idle slots close now.
    pub fn drain(&mut self, deadline: Instant, actions: &mut Actions<K, E>) {
        if self.drain.replace(deadline).is_some() {
            return;
        }
        let mut ids: Vec<_> = self.slots.keys().copied().collect();
        ids.sort_unstable();
        for id in ids {
            self.close_if_drained(id, actions);
        }
        let hopeless: Vec<_> =
            self.buckets.iter().map(|(at, _)| at).filter(|at| !self.has_slot(*at)).collect();
        for at in hopeless {
            self.fail_waiters(at, &Failure::Refused(Refusal::Draining), actions);
        }
    }

    /// Takes work again.
    pub fn resume(&mut self, now: Instant, actions: &mut Actions<K, E>) {
        self.drain = None;
        self.maintain(now, actions);
    }

    /// During a drain: closes an idle slot that no client holds on to and nobody waits for.
    pub(super) fn close_if_drained(&mut self, id: SlotId, actions: &mut Actions<K, E>) {
        let Some(slot) = self.slots.get(&id).filter(|_| self.drain.is_some()) else { return };
        let awaited = !self.buckets[slot.bucket].waiters.is_empty();
        if slot.is_idle() && slot.pinned.is_none() && !awaited {
            self.start_close(id, CloseReason::Drain, actions);
        }
    }

    /// At a drain's deadline: who still waits is refused, and all slots are to go.
    pub(super) fn end_drain(&mut self, now: Instant, actions: &mut Actions<K, E>) {
        if self.drain.is_none_or(|deadline| now < deadline) {
            return;
        }
        self.condemn_where(CloseReason::Drain, actions, |state, id| {
            state.slots.get(&id).is_some_and(|slot| slot.doomed.is_none())
        });
        self.refuse_all(Refusal::Draining, actions);
    }

    /// Takes no more work; idle slots close now, the others at check-in.
    pub fn shut(&mut self, actions: &mut Actions<K, E>) {
        self.closed = true;
        self.condemn_where(CloseReason::Shutdown, actions, |_, _| true);
        self.refuse_all(Refusal::Closed, actions);
    }

    fn refuse_all(&mut self, refusal: Refusal, actions: &mut Actions<K, E>) {
        let all: Vec<_> = self.buckets.iter().map(|(at, _)| at).collect();
        for at in all {
            self.fail_waiters(at, &Failure::Refused(refusal), actions);
        }
    }
}
