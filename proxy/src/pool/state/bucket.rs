//! What the pool's state holds for one key.

use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;

use super::slot::SlotId;
use crate::strategy::{Strategy, StrategyKind};

/// Numbers waiters in the order in which they came.
pub type WaiterId = u64;

/// The longest pause between attempts to open a session. Requests get the last error meanwhile, with the advice to come
/// back after a second.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// See the module's text.
#[derive(Debug)]
pub struct Bucket<E> {
    /// In the order in which they were opened.
    pub slots: Vec<SlotId>,
    /// First come, first served.
    pub waiters: VecDeque<WaiterId>,
    pub strategy: Strategy,
    /// When the key was last asked for.
    pub used: Instant,
    pub backoff: Option<Backoff<E>>,
}

/// No session is opened until `until`.
#[derive(Debug)]
pub struct Backoff<E> {
    until: Instant,
    failures: u32,
    error: E,
}

impl<E: Clone> Bucket<E> {
    pub fn new(strategy: StrategyKind, now: Instant) -> Self {
        Self {
            slots: Vec::new(),
            waiters: VecDeque::new(),
            strategy: Strategy::new(strategy),
            used: now,
            backoff: None,
        }
    }

    /// Adds a slot in its place by age.
    pub fn add(&mut self, slot: SlotId) {
        let at = self.slots.partition_point(|&id| id < slot);
        self.slots.insert(at, slot);
    }

    /// The error of the last attempt, while no other is made.
    pub fn backing_off(&self, now: Instant) -> Option<E> {
        self.backoff.as_ref().filter(|backoff| now < backoff.until).map(|backoff| backoff.error.clone())
    }

    /// Notes a failed attempt: the pause doubles with each one in a row.
    pub fn back_off(&mut self, error: E, pause: Duration, now: Instant) {
        let failures = self.backoff.as_ref().map_or(0, |backoff| backoff.failures) + 1;
        let pause = pause.saturating_mul(1 << (failures - 1).min(8)).min(LONGEST_PAUSE);
        self.backoff = Some(Backoff { until: now + pause, failures, error });
    }

    /// Whether nothing would be lost with it.
    pub fn is_spent(&self, now: Instant) -> bool {
        let backing_off = self.backoff.as_ref().is_some_and(|backoff| now < backoff.until + LONGEST_PAUSE);
        self.slots.is_empty() && self.waiters.is_empty() && !backing_off
    }
}
