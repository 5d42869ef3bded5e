//! What is known of a pool from outside.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    time::Duration,
};

use tokio::time::Instant;

use super::{
    super::{
        Acquired, Action, Ask, CloseReason, Ending, Failure, Grant, PinReason, Refusal, SlotId, State,
        WaiterId,
    },
    Op,
    cases::{Bound, Direct, TestKey, Warm, endpoints, key, limits},
};
use crate::{
    pool::{key::Key, limits::Limits},
    strategy::StrategyKind,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Opening,
    Open,
    /// The task was told to end.
    Closing,
}

#[derive(Debug)]
struct Slot {
    key: TestKey,
    phase: Phase,
    leases: u32,
    pinned: bool,
    /// The state was told that it must go.
    condemned: bool,
}

#[derive(Debug)]
struct Waiter {
    key: TestKey,
    affinity: Option<u128>,
}

type Check = Result<(), String>;

/// The state and the model side by side.
pub struct World {
    state: State<TestKey, &'static str>,
    limits: Limits,
    now: Instant,
    slots: BTreeMap<SlotId, Slot>,
    leases: Vec<SlotId>,
    waiters: BTreeMap<WaiterId, Waiter>,
    /// Slots that affinity keys are bound to; none once lost and not told.
    bound: HashMap<(TestKey, u128), Option<SlotId>>,
    ended: HashSet<WaiterId>,
    draining: bool,
    acquisitions: u64,
}

fn ensure(holds: bool, what: impl FnOnce() -> String) -> Check {
    if holds { Ok(()) } else { Err(what()) }
}

/// One of a collection, chosen by a number.
fn choose<T: Copy>(all: impl ExactSizeIterator<Item = T>, number: u8) -> Option<T> {
    let count = all.len();
    let mut all = all;
    if count == 0 { None } else { all.nth(usize::from(number) % count) }
}

impl World {
    pub fn new() -> Self {
        let limits = limits(12);
        Self {
            state: State::new(limits.clone(), Some(Warm), &endpoints(1), 7),
            limits,
            now: Instant::now(),
            slots: BTreeMap::new(),
            leases: Vec::new(),
            waiters: BTreeMap::new(),
            bound: HashMap::new(),
            ended: HashSet::new(),
            draining: false,
            acquisitions: 0,
        }
    }

    fn in_phase(&self, phase: Phase) -> Vec<SlotId> {
        self.slots.iter().filter(|(_, slot)| slot.phase == phase).map(|(id, _)| *id).collect()
    }

    pub fn step(&mut self, op: &Op) -> Check {
        let mut actions = Vec::new();
        let now = self.now;
        match *op {
            Op::Acquire { key: number, affinity, existing } => {
                self.acquire(&key(number), affinity.map(u128::from), existing, &mut actions)?;
            }
            Op::Cancel(number) => {
                let Some(waiter) =
                    choose(self.waiters.keys().copied().collect::<Vec<_>>().into_iter(), number)
                else {
                    return Ok(());
                };
                let Some(known) = self.waiters.remove(&waiter) else { return Ok(()) };
                self.ended.insert(waiter);
                ensure(self.state.forget(&known.key, waiter), || format!("waiter {waiter} was not in line"))?;
            }
            Op::Release { lease, how } => self.release(lease, how, &mut actions),
            Op::Opened(number) => {
                if let Some(id) = choose(self.in_phase(Phase::Opening).into_iter(), number) {
                    self.open(id, f64::from(number) / 255.0, &mut actions);
                }
            }
            Op::OpenFailed { slot, of_endpoint } => {
                if let Some(id) = choose(self.in_phase(Phase::Opening).into_iter(), slot) {
                    self.slots.remove(&id);
                    self.state.open_failed(id, "down", of_endpoint, 0.5, now, &mut actions);
                }
            }
            Op::Closed(number) => {
                if let Some(id) = choose(self.in_phase(Phase::Closing).into_iter(), number) {
                    self.close(id, &mut actions);
                }
            }
            Op::Suspect(number) => {
                if let Some(id) = choose(self.leases.iter().copied(), number) {
                    self.state.suspect(id);
                }
            }
            Op::Checked(number) => {
                if let Some(id) = choose(self.in_phase(Phase::Open).into_iter(), number) {
                    self.state.checked(id, now);
                }
            }
            Op::Condemn(number) => {
                if let Some(id) = choose(self.in_phase(Phase::Open).into_iter(), number) {
                    self.condemn(|_, other| other == id);
                    self.state.condemn(id, CloseReason::Unhealthy, &mut actions);
                }
            }
            Op::Pin { lease, client } => self.pin(lease, &Bound(client % 2)),
            Op::Rename { client, direct } => {
                let (old, new) = (Bound(client % 2), Direct(client % 2));
                let (old, new) = if direct { (old, new) } else { (new, old) };
                self.rename(&old, &new)?;
            }
            Op::Retire(client) => {
                let key = key(4 + client % 4);
                self.condemn(|slot, _| slot.key == key);
                self.state.retire(&key, &mut actions);
            }
            Op::Unbind(affinity) => {
                let affinity = u128::from(affinity % 3);
                self.bound.retain(|(_, other), _| *other != affinity);
                self.state.unbind(affinity);
            }
            Op::Reset => {
                self.condemn(|_, _| true);
                self.state.reset(now, &mut actions);
            }
            Op::Drain(seconds) => {
                self.draining = true;
                self.state.drain(now + Duration::from_secs(u64::from(seconds % 8)), &mut actions);
            }
            Op::Resume => {
                self.draining = false;
                self.state.resume(now, &mut actions);
            }
            Op::Limits(number) => {
                self.limits = limits(number);
                self.state.set_limits(self.limits.clone(), Some(Warm), now, &mut actions);
            }
            Op::Endpoints(number) => self.state.set_endpoints(&endpoints(number), now, &mut actions),
            Op::Pass(time) => {
                self.now += Duration::from_millis(u64::from(time) * 40);
                self.state.maintain(self.now, &mut actions);
            }
        }
        self.carry_out(actions)?;
        self.agree()
    }

    fn acquire(
        &mut self,
        key: &TestKey,
        affinity: Option<u128>,
        existing: bool,
        actions: &mut Vec<Action<TestKey, &'static str>>,
    ) -> Check {
        // Affinity is a matter of shared keys under Sticky.
        let sticky = self.limits.strategy == StrategyKind::Sticky && !key.is_bound();
        let affinity = affinity.filter(|_| sticky);
        let lost = affinity.is_some_and(|affinity| self.bound.get(&(key.clone(), affinity)) == Some(&None));
        // Who is refused in a drain is told afterwards.
        let lost = lost && !self.draining;
        let ask = Ask { existing: existing && key.is_bound(), affinity };
        let answer = self.state.acquire(key, ask, self.now, actions);
        if lost {
            let told = answer == Err(Failure::Refused(Refusal::Lost));
            self.bound.retain(|(of, other), _| of != key || Some(*other) != affinity);
            return ensure(told, || format!("a loss was hidden from {key:?}: {answer:?}"));
        }
        match answer {
            Ok(Acquired::Slot(grant)) => self.grant(key, affinity, grant, true),
            Ok(Acquired::Wait(id)) => {
                let pinned = self.slots.values().any(|slot| slot.key == *key && slot.pinned);
                ensure(!self.draining || pinned, || format!("{key:?} waits during a drain"))?;
                self.waiters.insert(id, Waiter { key: key.clone(), affinity });
                ensure(self.waiters.len() <= self.limits.max_waiters, || "too many wait".to_owned())
            }
            Err(Failure::Refused(Refusal::Lost)) if affinity.is_some() => {
                let slot = affinity.and_then(|affinity| self.bound.remove(&(key.clone(), affinity)));
                let in_use =
                    slot.flatten().and_then(|id| self.slots.get(&id)).is_some_and(|slot| slot.leases > 0);
                ensure(in_use, || format!("{key:?} was told of a loss that was none"))
            }
            Err(Failure::Refused(Refusal::Lost)) => {
                // One in use may be due to go when it comes back.
                let idle = |slot: &Slot| slot.phase == Phase::Open && slot.leases == 0 && !slot.condemned;
                let alive = self.slots.values().any(|slot| slot.key == *key && idle(slot));
                ensure(ask.existing && !alive, || format!("{key:?} was told of a loss that was none"))
            }
            Err(_) => Ok(()),
        }
    }

    fn release(&mut self, lease: u8, how: u8, actions: &mut Vec<Action<TestKey, &'static str>>) {
        if self.leases.is_empty() {
            return;
        }
        let id = self.leases.swap_remove(usize::from(lease) % self.leases.len());
        let slot = self.slots.get_mut(&id).expect("leased slots exist");
        slot.leases -= 1;
        let ending = match how % 6 {
            0 => Ending { discard: Some(CloseReason::Lost), failed: true, ..Ending::default() },
            1 => Ending { failed: true, ..Ending::default() },
            _ => Ending { took: Some(Duration::from_millis(u64::from(how))), ..Ending::default() },
        };
        slot.condemned |= ending.discard.is_some();
        self.state.release(id, ending, self.now, actions);
    }

    fn open(&mut self, id: SlotId, jitter: f64, actions: &mut Vec<Action<TestKey, &'static str>>) {
        if let Some(slot) = self.slots.get_mut(&id) {
            slot.phase = Phase::Open;
        }
        self.state.opened(id, jitter, self.now, actions);
    }

    fn close(&mut self, id: SlotId, actions: &mut Vec<Action<TestKey, &'static str>>) {
        self.slots.remove(&id);
        self.state.closed(id, self.now, actions);
    }

    fn pin(&mut self, lease: u8, key: &TestKey) {
        let Some(id) = choose(self.leases.iter().copied(), lease) else { return };
        let Some(slot) = self.slots.get_mut(&id).filter(|slot| !slot.key.is_bound()) else { return };
        let before = slot.key.clone();
        if self.state.pin(id, key, PinReason::Tool, self.now) {
            slot.key = key.clone();
            slot.pinned = true;
            self.lose(|of, slot| of == before && slot == id);
        }
    }

    fn rename(&mut self, old: &TestKey, new: &TestKey) -> Check {
        let room = if new.is_direct() { self.limits.max_direct } else { self.limits.max };
        if !self.state.rename(old, new, self.now) {
            return Ok(());
        }
        for slot in self.slots.values_mut().filter(|slot| slot.key == *old) {
            slot.key = new.clone();
        }
        for waiter in self.waiters.values_mut().filter(|waiter| waiter.key == *old) {
            waiter.key = new.clone();
        }
        ensure(self.count(new.is_direct()) <= room, || format!("{new:?} is one too many"))
    }

    fn condemn(&mut self, doomed: impl Fn(&Slot, SlotId) -> bool) {
        let mut gone = BTreeSet::new();
        for (id, slot) in &mut self.slots {
            if slot.phase != Phase::Closing && doomed(slot, *id) {
                slot.condemned = true;
                gone.insert(*id);
            }
        }
        self.lose(|_, slot| gone.contains(&slot));
    }

    fn lose(&mut self, gone: impl Fn(TestKey, SlotId) -> bool) {
        for ((key, _), slot) in &mut self.bound {
            if slot.is_some_and(|slot| gone(key.clone(), slot)) {
                *slot = None;
            }
        }
    }

    fn count(&self, direct: bool) -> usize {
        self.slots.values().filter(|slot| slot.key.is_direct() == direct).count()
    }

    /// A lease was given: it must be one that may be.
    fn grant(&mut self, key: &TestKey, affinity: Option<u128>, grant: Grant, at_once: bool) -> Check {
        let id = grant.slot;
        let pinned = self.slots.get(&id).is_some_and(|slot| slot.pinned);
        ensure(!self.draining || pinned || !at_once, || format!("{key:?} got a slot during a drain"))?;
        if let Some(Some(own)) = affinity.and_then(|affinity| self.bound.get(&(key.clone(), affinity))) {
            ensure(*own == id, || format!("{key:?} is bound to {own} and got {id}"))?;
        }
        let slot = self.slots.get_mut(&id).ok_or_else(|| format!("slot {id} is gone and was given"))?;
        if slot.key == Warm && key.warm() == Some(Warm) {
            slot.key = key.clone();
        }
        ensure(slot.key == *key, || format!("a slot of {:?} was given to {key:?}", slot.key))?;
        ensure(slot.phase == Phase::Open && !slot.condemned, || {
            format!("slot {id} is not to be used: {slot:?}")
        })?;
        let most = if key.is_direct() { u32::MAX } else { self.limits.concurrency };
        slot.leases += 1;
        ensure(slot.leases <= most, || format!("slot {id} has {} leases of {most}", slot.leases))?;
        self.leases.push(id);
        self.acquisitions += 1;
        let own = self.slots.values().filter(|slot| slot.key == *key && !slot.condemned).count();
        ensure(!key.is_bound() || own == 1, || format!("the state of {key:?} is spread over {own} slots"))?;
        if let Some(affinity) = affinity {
            self.bound.insert((key.clone(), affinity), Some(id));
        }
        Ok(())
    }

    fn carry_out(&mut self, actions: Vec<Action<TestKey, &'static str>>) -> Check {
        for action in actions {
            match action {
                Action::Grant(id, grant) => {
                    ensure(!self.ended.contains(&id), || format!("waiter {id} had its end and was served"))?;
                    let waiter = self.waiters.remove(&id).ok_or_else(|| format!("waiter {id} is unknown"))?;
                    self.ended.insert(id);
                    let earlier = self.waiters.iter().find(|(other, queued)| {
                        **other < id && queued.key == waiter.key && queued.affinity.is_none()
                    });
                    ensure(earlier.is_none(), || format!("waiter {id} was served before {earlier:?}"))?;
                    self.grant(&waiter.key, waiter.affinity, grant, false)?;
                }
                Action::Fail(id, failure) => {
                    let waiter = self.waiters.remove(&id).ok_or_else(|| format!("waiter {id} is unknown"))?;
                    self.ended.insert(id);
                    if let (Failure::Refused(Refusal::Lost), Some(affinity)) = (failure, waiter.affinity) {
                        self.bound.remove(&(waiter.key, affinity));
                    }
                }
                Action::Open(id, key, _) => {
                    let principal = key.principal();
                    let direct = key.is_direct();
                    let slot =
                        Slot { key, phase: Phase::Opening, leases: 0, pinned: false, condemned: false };
                    ensure(self.slots.insert(id, slot).is_none(), || format!("slot {id} is used twice"))?;
                    ensure(!self.draining, || "a session is opened during a drain".to_owned())?;
                    let room = if direct { self.limits.max_direct } else { self.limits.max };
                    ensure(self.count(direct) <= room, || format!("{} slots of {room}", self.count(direct)))?;
                    let held = self
                        .slots
                        .values()
                        .filter(|slot| principal.is_some() && slot.key.principal() == principal);
                    let (held, cap) = (held.count(), self.limits.max_per_principal.unwrap_or(usize::MAX));
                    ensure(held <= cap, || format!("a principal has {held} slots of {cap}"))?;
                }
                Action::Close(id) => {
                    let slot =
                        self.slots.get_mut(&id).ok_or_else(|| format!("slot {id} is gone and closed"))?;
                    ensure(slot.phase == Phase::Open, || format!("slot {id} is closed twice: {slot:?}"))?;
                    ensure(slot.leases == 0, || format!("slot {id} is closed under a lease"))?;
                    (slot.phase, slot.condemned) = (Phase::Closing, true);
                    self.lose(|_, slot| slot == id);
                }
            }
        }
        Ok(())
    }

    /// The state's own numbers are the model's.
    fn agree(&self) -> Check {
        let now = self.state.snapshot(self.now);
        let open = |direct: bool| {
            let open = self.slots.values().filter(|slot| slot.phase != Phase::Opening);
            open.filter(|slot| slot.key.is_direct() == direct).count()
        };
        let counters = &now.counters;
        let pairs = [
            ("total", now.total, open(false)),
            ("direct", now.direct, open(true)),
            ("initializing", now.initializing, self.in_phase(Phase::Opening).len()),
            ("leases", now.leases, self.leases.len()),
            ("waiting", now.waiting, self.waiters.len()),
            ("parts of the total", now.active + now.available + now.unhealthy, now.total),
            (
                "creates - destroys",
                usize::try_from(counters.creates - counters.destroys).unwrap_or(usize::MAX),
                now.total,
            ),
            (
                "acquisitions",
                usize::try_from(counters.acquisitions - self.acquisitions).unwrap_or(usize::MAX),
                0,
            ),
            (
                "acquisitions - releases",
                usize::try_from(counters.acquisitions - counters.releases).unwrap_or(usize::MAX),
                now.leases,
            ),
        ];
        for (name, state, model) in pairs {
            ensure(state == model, || format!("{name}: {state} in the state, {model} in the model"))?;
        }
        ensure(now.drained == (self.draining && self.slots.is_empty()), || "drained or not".to_owned())
    }

    /// Once everybody lets go and every session opens, nobody waits any more; and a pool that ends leaves no session behind.
    pub fn finish(mut self) -> Check {
        self.step(&Op::Resume)?;
        self.step(&Op::Endpoints(1))?;
        for _ in 0..40 {
            while !self.leases.is_empty() {
                self.step(&Op::Release { lease: 0, how: 3 })?;
            }
            for client in 0..4 {
                self.step(&Op::Retire(client))?;
            }
            for affinity in 0..3 {
                self.step(&Op::Unbind(affinity))?;
            }
            for _ in 0..20 {
                self.step(&Op::Closed(0))?;
                self.step(&Op::Opened(0))?;
            }
            self.step(&Op::Pass(10))?;
        }
        ensure(self.waiters.is_empty(), || format!("forgotten: {:?} among {:?}", self.waiters, self.slots))?;

        let mut actions = Vec::new();
        self.state.shut(&mut actions);
        self.carry_out(actions)?;
        for id in self.in_phase(Phase::Opening) {
            let mut actions = Vec::new();
            self.open(id, 0.0, &mut actions);
            self.carry_out(actions)?;
        }
        while !self.leases.is_empty() {
            self.step(&Op::Release { lease: 0, how: 3 })?;
        }
        let left = self.in_phase(Phase::Open);
        ensure(left.is_empty(), || format!("left open: {left:?}"))
    }
}
