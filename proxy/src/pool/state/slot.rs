//! One slot's part of the pool's state.

use std::time::Duration;

use tokio::time::Instant;

use super::{bucket::BucketId, endpoints::EndpointId};
use crate::pool::limits::Limits;

/// Numbers slots in the order in which they are opened; never used twice.
pub type SlotId = u64;

/// Why a slot is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CloseReason {
    /// Older than it may get.
    Age,
    /// Unused for longer than it may be.
    Idle,
    /// Served as many requests as it may.
    Requests,
    /// Failed a check.
    Unhealthy,
    /// The server no longer knows the session, or can't be reached.
    Lost,
    /// Carried a request whose end is unknown, and no client's state.
    Abandoned,
    /// Another key or endpoint needs the room.
    Room,
    /// The pool was made smaller.
    OverMax,
    /// Its client session ended.
    Retired,
    /// The configuration no longer leads to its server, or no longer allows whom it serves.
    Outdated,
    /// The pool was reset.
    Reset,
    /// The pool is drained.
    Drain,
    /// The pool is shutting down.
    Shutdown,
}

impl CloseReason {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::Age,
        Self::Idle,
        Self::Requests,
        Self::Unhealthy,
        Self::Lost,
        Self::Abandoned,
        Self::Room,
        Self::OverMax,
        Self::Retired,
        Self::Outdated,
        Self::Reset,
        Self::Drain,
        Self::Shutdown,
    ];

    /// The reason as a metric's label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Age => "age",
            Self::Idle => "idle",
            Self::Requests => "requests",
            Self::Unhealthy => "unhealthy",
            Self::Lost => "lost",
            Self::Abandoned => "abandoned",
            Self::Room => "room",
            Self::OverMax => "over_max",
            Self::Retired => "retired",
            Self::Outdated => "outdated",
            Self::Reset => "reset",
            Self::Drain => "drain",
            Self::Shutdown => "shutdown",
        }
    }
}

/// Why a slot serves one client only, although its key's slots are shared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PinReason {
    /// The client called a tool that the configuration lists.
    Tool,
    /// The client read a resource whose URI the configuration lists.
    Resource,
    /// The server announced a change of its lists during the client's call.
    ListChanged,
}

impl PinReason {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Tool, Self::Resource, Self::ListChanged];

    /// The reason as a metric's label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tool => "tool",
            Self::Resource => "resource",
            Self::ListChanged => "list_changed",
        }
    }
}

/// What a slot is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Its session is being opened.
    Opening,
    /// Its session is open.
    Open,
    /// Its session is being closed; it counts until that is done.
    Closing,
}

/// See the module's text.
#[derive(Debug)]
pub struct Slot {
    pub bucket: BucketId,
    pub endpoint: EndpointId,
    pub phase: Phase,
    pub leases: u32,
    pub opened: Instant,
    pub idle_since: Instant,
    /// Grows with each release of any slot: orders slots by their last use.
    pub released: u64,
    /// When the session was last known to be alive.
    pub alive_at: Instant,
    pub requests: u64,
    /// To be closed as soon as no lease is out.
    pub doomed: Option<CloseReason>,
    /// To be checked before the next use, however short it was idle.
    pub suspect: bool,
    /// Resets that the pool had seen when the slot was opened.
    pub epoch: u64,
    pub pinned: Option<PinReason>,
    /// It was due for recycling and stayed.
    pub deferred: bool,
    /// 0 to 1: which part of the recycle time's jitter applies.
    jitter: f64,
}

impl Slot {
    /// A slot whose session is being opened.
    pub fn opening(bucket: BucketId, endpoint: EndpointId, epoch: u64, now: Instant) -> Self {
        Self {
            bucket,
            endpoint,
            phase: Phase::Opening,
            leases: 0,
            opened: now,
            idle_since: now,
            released: 0,
            alive_at: now,
            requests: 0,
            doomed: None,
            suspect: false,
            epoch,
            pinned: None,
            deferred: false,
            jitter: 0.0,
        }
    }

    /// The session is open.
    pub fn open(&mut self, jitter: f64, now: Instant) {
        self.phase = Phase::Open;
        self.jitter = jitter.clamp(0.0, 1.0);
        (self.opened, self.idle_since, self.alive_at) = (now, now, now);
    }

    /// Whether it may take requests.
    pub fn is_usable(&self) -> bool {
        self.phase == Phase::Open && self.doomed.is_none()
    }

    /// Whether it is open and carries no request.
    pub fn is_idle(&self) -> bool {
        self.phase == Phase::Open && self.leases == 0
    }

    /// Whether it may take requests and carries none.
    pub fn is_idle_usable(&self) -> bool {
        self.is_usable() && self.leases == 0
    }

    /// Time since it was opened.
    pub fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.opened)
    }

    /// Whether age or use make it due for replacement.
    pub fn worn(&self, limits: &Limits, now: Instant) -> Option<CloseReason> {
        let recycle = limits.recycle.map(|age| age.mul_f64(1.0 - 0.1 * self.jitter));
        if recycle.is_some_and(|age| self.age(now) >= age) {
            Some(CloseReason::Age)
        } else if limits.max_requests.is_some_and(|most| self.requests >= most) {
            Some(CloseReason::Requests)
        } else {
            None
        }
    }

    /// Whether it was not heard of for so long that it is checked before use.
    pub fn needs_check(&self, limits: &Limits, now: Instant) -> bool {
        let heard = now.saturating_duration_since(self.alive_at.max(self.idle_since));
        // A session that was opened in this moment need not be checked, whatever the delay.
        let stale = |delay: Duration| if self.requests > 0 { heard >= delay } else { heard > delay };
        self.leases == 0 && (self.suspect || limits.check_after.is_some_and(stale))
    }
}
