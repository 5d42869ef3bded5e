//! Which of several usable slots takes a request. Strategies see numbers only.

mod round_robin;

use self::round_robin::RoundRobin;

/// The strategies there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StrategyKind {
    /// Circular order.
    RoundRobin,
}

/// A slot that may take a request.
#[derive(Debug, Clone, Copy)]
pub struct Candidate {
    /// Grows with each slot opened, so that it orders slots by age.
    pub slot: u64,
    /// Requests that the slot carries now.
    pub leases: u32,
}

/// One key's running strategy.
#[derive(Debug)]
pub enum Strategy {
    /// See [`StrategyKind::RoundRobin`].
    RoundRobin(RoundRobin),
}

impl Strategy {
    /// A strategy that has not picked yet.
    pub fn new(kind: StrategyKind) -> Self {
        match kind {
            StrategyKind::RoundRobin => Self::RoundRobin(RoundRobin::default()),
        }
    }

    /// Picks one of `candidates`, which come in the order in which they were opened.
    pub fn pick(&mut self, candidates: impl Iterator<Item = Candidate>) -> Option<Candidate> {
        match self {
            Self::RoundRobin(strategy) => strategy.pick(candidates),
        }
    }
}
