//! The numbers that a pool keeps to.

use std::time::Duration;

use crate::strategy::StrategyKind;

/// Sizes and times of a pool. Replaced as a whole when the configuration changes.
#[derive(Debug, Clone, PartialEq)]
pub struct Limits {
    /// How a slot is picked.
    pub strategy: StrategyKind,
    /// Slots kept open, over all keys.
    pub min: usize,
    /// Most slots, over all keys; direct ones are not counted.
    pub max: usize,
    /// Most slots of one principal.
    pub max_per_principal: Option<usize>,
    /// Most direct slots.
    pub max_direct: usize,
    /// Requests that a slot carries at once.
    pub concurrency: u32,
    /// Most requests that wait at once.
    pub max_waiters: usize,
    /// Age at which an idle slot is replaced, shortened by up to a tenth for each slot.
    pub recycle: Option<Duration>,
    /// Idle time after which a slot above `min` is closed.
    pub idle: Option<Duration>,
    /// Requests after which a slot is replaced.
    pub max_requests: Option<u64>,
    /// Idle time after which a slot is checked before it is leased; none: never.
    pub check_after: Option<Duration>,
    /// Quiet time after which a session is pinged, idle or not; none: never.
    pub keepalive: Option<Duration>,
    /// Age at which a slot is replaced although affinity keys are bound to it.
    pub sticky_max_age: Duration,
}

impl Limits {
    /// How long an affinity key may be idle before its slot may be recycled in spite of it.
    pub fn binding_idle(&self) -> Duration {
        self.recycle.unwrap_or(self.sticky_max_age)
    }
}
