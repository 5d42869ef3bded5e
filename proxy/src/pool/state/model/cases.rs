//! What numbers stand for: keys, limits and endpoints.

use std::time::Duration;

use super::super::EndpointSpec;
use crate::{
    pool::{
        key::{Key, Principal},
        limits::Limits,
    },
    strategy::StrategyKind,
};

#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TestKey {
    /// Shared by one principal's requests; two keys for each of two principals.
    Of(u8),
    Bound(u8),
    Direct(u8),
    Warm,
}

pub use TestKey::{Bound, Direct, Of, Warm};

impl Key for TestKey {
    fn is_bound(&self) -> bool {
        matches!(self, Bound(_) | Direct(_))
    }
    fn is_direct(&self) -> bool {
        matches!(self, Direct(_))
    }
    fn principal(&self) -> Option<Principal> {
        match self {
            Of(number) => Some([number / 2; 16]),
            _ => None,
        }
    }
    fn warm(&self) -> Option<Self> {
        (!matches!(self, Warm | Direct(_))).then_some(Warm)
    }
}

pub fn key(number: u8) -> TestKey {
    match number % 8 {
        number @ 0..=3 => Of(number),
        number @ 4..=5 => Bound(number - 4),
        number => Direct(number - 6),
    }
}

pub fn limits(number: u8) -> Limits {
    let strategies = [
        StrategyKind::RoundRobin,
        StrategyKind::LeastConnections,
        StrategyKind::Sticky,
        StrategyKind::Weighted,
    ];
    Limits {
        strategy: strategies[usize::from(number) % 4],
        min: usize::from(number / 4 % 3),
        max: usize::from(number / 12 % 4) + 2,
        max_per_principal: (number >= 128).then_some(usize::from(number % 3) + 1),
        max_direct: 2,
        concurrency: 1 + u32::from(number.is_multiple_of(5)),
        max_waiters: 6,
        recycle: Some(Duration::from_secs(20)),
        idle: Some(Duration::from_secs(10)),
        max_requests: number.is_multiple_of(7).then_some(3),
        check_after: Some(Duration::from_secs(2)),
        keepalive: None,
        sticky_max_age: Duration::from_secs(100_000),
    }
}

pub fn endpoints(number: u8) -> Vec<EndpointSpec> {
    let count = u32::from(number % 3) + 1;
    (0..count).map(|id| EndpointSpec { id, weight: 1 + id, fallback: id == 2 }).collect()
}
