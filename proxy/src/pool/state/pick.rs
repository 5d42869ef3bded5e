//! Which slot a request gets, and which waiter gets a slot.

use std::time::Duration;

use tokio::time::Instant;

use super::{
    Action, Actions, Grant, State,
    bucket::BucketId,
    endpoints::EndpointId,
    slot::{Slot, SlotId},
};
use crate::{
    pool::{key::Key, limits::Limits},
    strategy::{Affinity, Candidate, StrategyKind},
};

/// A slot, and where one more is to be opened.
#[derive(Default)]
struct Pick {
    slot: Option<SlotId>,
    grow: Option<EndpointId>,
    /// No other slot will do.
    bound: bool,
}

impl<K: Key, E: Clone> State<K, E> {
    /// A usable slot of the key, leased.
    pub(super) fn take(
        &mut self,
        at: BucketId,
        affinity: Option<Affinity>,
        now: Instant,
        actions: &mut Actions<K, E>,
    ) -> Option<Grant> {
        let pick = self.pick(at, affinity, now);
        let id = pick.slot.or_else(|| if pick.bound { None } else { self.claim_warm(at) })?;
        if let Some(endpoint) = pick.grow {
            self.grow(at, endpoint, now, actions);
        }
        let slot = self.slots.get_mut(&id)?;
        let check = slot.needs_check(&self.limits, now);
        slot.leases += 1;
        slot.requests += 1;
        if let Some(endpoint) = self.endpoints.get_mut(slot.endpoint) {
            endpoint.leases += 1;
        }
        self.leases += 1;
        self.counters.acquisitions += 1;
        let fresh = affinity.is_some_and(|affinity| self.buckets[at].bindings.bind(affinity, id, now));
        Some(Grant { slot: id, check, fresh })
    }

    fn pick(&mut self, at: BucketId, affinity: Option<Affinity>, now: Instant) -> Pick {
        let Self { slots, buckets, endpoints, limits, .. } = self;
        let bucket = &mut buckets[at];
        let most = most(limits, bucket.direct);
        if let Some(own) = affinity.and_then(|affinity| bucket.bindings.slot(affinity)) {
            let free = slots.get(&own).is_some_and(|slot| is_free(slot, most));
            return Pick { slot: free.then_some(own), grow: None, bound: true };
        }
        let strategy = &mut bucket.strategy;
        let ids = &bucket.slots;
        let among = |wanted: &dyn Fn(&Slot) -> bool, strategy: &mut crate::strategy::Strategy| {
            let free = ids.iter().filter_map(|id| {
                let slot = slots.get(id)?;
                (is_free(slot, most) && wanted(slot)).then_some(Candidate {
                    slot: *id,
                    leases: slot.leases,
                    released: slot.released,
                })
            });
            strategy.pick(affinity, free)
        };
        if bucket.bound || !endpoints.are_several() {
            let picked = among(&|_| true, strategy);
            let busy = picked.filter(|candidate| candidate.leases > 0 && !bucket.bound);
            let grow = busy.and_then(|candidate| slots.get(&candidate.slot)).map(|slot| slot.endpoint);
            return Pick { slot: picked.map(|candidate| candidate.slot), grow, bound: false };
        }
        // Sticky keys are spread over slots: an endpoint gets its share of them by its share of the slots.
        let preferred = match limits.strategy {
            StrategyKind::Sticky => None,
            kind => endpoints.preferred(kind, affinity, now),
        };
        let picked = preferred.and_then(|wanted| among(&|slot| slot.endpoint == wanted, strategy));
        let grow = preferred.filter(|_| picked.is_none_or(|candidate| candidate.leases > 0));
        let picked = picked
            .or_else(|| among(&|slot| endpoints.is_available(slot.endpoint, now), strategy))
            .or_else(|| among(&|_| true, strategy));
        Pick { slot: picked.map(|candidate| candidate.slot), grow, bound: false }
    }

    /// Makes an idle warm slot the key's own.
    fn claim_warm(&mut self, at: BucketId) -> Option<SlotId> {
        let bucket = &self.buckets[at];
        // A client's state is in one session: while its own is being opened it gets no other.
        if bucket.bound && !bucket.slots.is_empty() {
            return None;
        }
        let warm = self.buckets.find(&bucket.key.warm()?)?;
        if bucket.principal.is_some_and(|principal| self.is_capped(principal)) {
            return None;
        }
        let mut idle = self.buckets[warm].slots.iter().copied();
        let id = idle.find(|id| self.slots.get(id).is_some_and(Slot::is_idle_usable))?;
        self.move_slot(id, at);
        Some(id)
    }

    /// Gives free slots of the key to its waiters, in turn. Who is bound to a slot is passed over until that one is free.
    pub(super) fn serve(&mut self, at: BucketId, now: Instant, actions: &mut Actions<K, E>) {
        let mut place = 0;
        while let Some(waiter) = self.buckets[at].waiters.get(place).copied() {
            if waiter.affinity.is_some_and(|affinity| self.buckets[at].bindings.take_lost(affinity)) {
                self.buckets[at].waiters.remove(place);
                self.waiting -= 1;
                actions.push(Action::Fail(waiter.id, super::Failure::Refused(super::Refusal::Lost)));
                continue;
            }
            if let Some(grant) = self.take(at, waiter.affinity, now, actions) {
                self.buckets[at].waiters.remove(place);
                self.waiting -= 1;
                self.counters.wait.observe(now.saturating_duration_since(waiter.since));
                actions.push(Action::Grant(waiter.id, grant));
            } else if waiter.affinity.is_some() {
                place += 1;
            } else {
                return;
            }
        }
    }

    /// Serves every queue, the one with the oldest waiter first, and opens slots where there is room.
    pub(super) fn serve_all(&mut self, now: Instant, actions: &mut Actions<K, E>) {
        if self.waiting == 0 {
            return;
        }
        let queues = self.buckets.iter().filter_map(|(at, bucket)| Some((bucket.waiters.front()?.id, at)));
        let mut queues: Vec<_> = queues.collect();
        queues.sort_unstable();
        for (_, at) in queues {
            self.serve(at, now, actions);
            self.open_for(at, now, actions);
        }
    }

    /// Time that the request at the front of all queues has waited.
    pub(super) fn longest_wait(&self, now: Instant) -> Duration {
        let fronts = self.buckets.iter().filter_map(|(_, bucket)| bucket.waiters.front());
        let waits = fronts.map(|waiter| now.saturating_duration_since(waiter.since));
        waits.max().unwrap_or_default()
    }
}

/// Requests that a slot carries at once.
pub(super) fn most(limits: &Limits, direct: bool) -> u32 {
    if direct { u32::MAX } else { limits.concurrency }
}

fn is_free(slot: &Slot, most: u32) -> bool {
    slot.is_usable() && slot.leases < most
}
