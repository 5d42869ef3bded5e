//! What a pool tells about itself.

use std::time::Duration;

use tokio::time::Instant;

use super::{
    EndpointId, State,
    slot::{CloseReason, Phase, PinReason, Slot, SlotId},
};
use crate::pool::{
    key::Key,
    stats::{EndpointInfo, Pressure, SlotInfo, Snapshot},
};

impl<K: Key, E: Clone> State<K, E> {
    /// How full the pool is for a key.
    pub fn pressure(&self, key: &K) -> Pressure {
        let bucket = self.buckets.find(key).map(|at| &self.buckets[at]);
        let principal = bucket.and_then(|bucket| bucket.principal);
        let capped = principal.filter(|principal| self.is_capped(*principal));
        let of_principal = capped.and_then(|principal| self.principals.get(&principal).copied());
        Pressure {
            size: of_principal.unwrap_or(self.pooled),
            limit: capped.and(self.limits.max_per_principal).unwrap_or(self.limits.max),
            waiters: self.waiting,
            of_principal: capped.is_some(),
        }
    }

    /// Numbers of this moment.
    pub fn snapshot(&self, now: Instant) -> Snapshot {
        let mut snapshot = Snapshot {
            waiting: self.waiting,
            longest_wait: self.longest_wait(now),
            leases: self.leases,
            epoch: self.epoch,
            draining: self.drain.is_some(),
            drained: self.drain.is_some() && self.slots.is_empty(),
            counters: self.counters.clone(),
            bound_keys: self.buckets.iter().map(|(_, bucket)| bucket.bindings.len()).sum(),
            ..Snapshot::default()
        };
        for slot in self.slots.values() {
            if let Some(reason) = slot.pinned {
                snapshot.pinned[reason as usize] += 1;
            }
            snapshot.outdated += usize::from(slot.epoch < self.epoch);
            match slot.phase {
                Phase::Opening => snapshot.initializing += 1,
                _ if self.buckets[slot.bucket].direct => snapshot.direct += 1,
                _ => {
                    snapshot.total += 1;
                    snapshot.ages.push(slot.age(now));
                    snapshot.needs_check +=
                        usize::from(slot.is_idle_usable() && slot.needs_check(&self.limits, now));
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

    /// Every slot; the endpoint's name is the caller's to fill in.
    pub fn slots(&self, now: Instant) -> Vec<SlotInfo<K>> {
        let mut slots: Vec<_> = self.slots.iter().map(|(id, slot)| self.describe(*id, slot, now)).collect();
        slots.sort_unstable_by_key(|slot| slot.id);
        slots
    }

    /// Every endpoint with what is known of it.
    pub fn endpoints(&self, now: Instant) -> Vec<(EndpointId, EndpointInfo)> {
        let describe = |endpoint: &super::endpoints::Endpoint<E>| EndpointInfo {
            state: endpoint.state(now),
            weight: endpoint.spec.weight,
            slots: endpoint.slots,
            leases: endpoint.leases,
            latency: endpoint.latency.estimate(now).unwrap_or_default(),
            failures: endpoint.failures,
        };
        self.endpoints.iter().map(|endpoint| (endpoint.spec.id, describe(endpoint))).collect()
    }

    fn describe(&self, id: SlotId, slot: &Slot, now: Instant) -> SlotInfo<K> {
        let bucket = &self.buckets[slot.bucket];
        let state = match (slot.phase, slot.leases) {
            (Phase::Opening, _) => "opening",
            (Phase::Closing, _) if slot.doomed == Some(CloseReason::Unhealthy) => "unhealthy",
            (Phase::Closing, _) => "closing",
            (Phase::Open, 0) => "idle",
            (Phase::Open, _) => "active",
        };
        let idle = now.saturating_duration_since(slot.idle_since);
        SlotInfo {
            id,
            key: bucket.key.clone(),
            state,
            age: slot.age(now),
            idle: if slot.leases > 0 { Duration::ZERO } else { idle },
            requests: slot.requests,
            pinned: slot.pinned.map(PinReason::as_str),
            bound_keys: bucket.bindings.alive(id, Duration::MAX, now),
            needs_check: slot.is_idle_usable() && slot.needs_check(&self.limits, now),
            epoch: slot.epoch,
            endpoint: String::new(),
        }
    }
}
