//! Which of several usable slots takes a request. Strategies see numbers only.

mod least_connections;
pub mod peak_ewma;
pub mod rendezvous;
mod round_robin;

use self::round_robin::RoundRobin;
pub use self::{peak_ewma::PeakEwma, rendezvous::Affinity};

/// The strategies there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StrategyKind {
    /// Circular order.
    RoundRobin,
    /// The fewest requests in flight; of several such, the one that was used last, so that surplus ages out.
    LeastConnections,
    /// The one that the affinity key's hash points to, until the key is bound to it.
    Sticky,
    /// The endpoint with the lowest cost, see [`PeakEwma`]; in it as under least connections.
    Weighted,
}

/// A slot that may take a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate {
    /// Grows with each slot opened, so that it orders slots by age.
    pub slot: u64,
    /// Requests that the slot carries now.
    pub leases: u32,
    /// Grows with each release of a slot, so that it orders slots by their last use.
    pub released: u64,
}

/// One key's running strategy.
#[derive(Debug)]
pub enum Strategy {
    /// See [`StrategyKind::RoundRobin`].
    RoundRobin(RoundRobin),
    /// See [`StrategyKind::LeastConnections`] and [`StrategyKind::Weighted`].
    LeastConnections,
    /// See [`StrategyKind::Sticky`].
    Sticky,
}

impl Strategy {
    /// A strategy that has not picked yet.
    pub fn new(kind: StrategyKind) -> Self {
        match kind {
            StrategyKind::RoundRobin => Self::RoundRobin(RoundRobin::default()),
            StrategyKind::LeastConnections | StrategyKind::Weighted => Self::LeastConnections,
            StrategyKind::Sticky => Self::Sticky,
        }
    }

    /// Picks one of `candidates`, which come in the order in which they were opened.
    pub fn pick(
        &mut self,
        affinity: Option<Affinity>,
        candidates: impl Iterator<Item = Candidate>,
    ) -> Option<Candidate> {
        match (self, affinity) {
            (Self::RoundRobin(strategy), _) => strategy.pick(candidates),
            (Self::Sticky, Some(affinity)) => {
                candidates.max_by_key(|candidate| rendezvous::score(affinity, candidate.slot))
            }
            (Self::LeastConnections | Self::Sticky, _) => least_connections::pick(candidates),
        }
    }
}
