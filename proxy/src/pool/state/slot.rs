//! One slot's part of the pool's state.

use std::time::Duration;

use tokio::time::Instant;

use crate::pool::limits::Limits;

/// Numbers slots in the order in which they are opened; never used twice.
pub type SlotId = u64;

/// Why a slot is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
    /// Carried a request whose end is unknown.
    Abandoned,
    /// Another key needs the room.
    Room,
    /// The pool was made smaller.
    OverMax,
    /// Its client session ended.
    Retired,
    /// The configuration no longer leads to its server.
    Outdated,
    /// The pool is shutting down.
    Shutdown,
}

impl CloseReason {
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
            Self::Shutdown => "shutdown",
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
pub struct Slot<K> {
    pub key: K,
    pub phase: Phase,
    pub leases: u32,
    pub opened: Instant,
    pub idle_since: Instant,
    /// When the session was last known to be alive.
    pub alive_at: Instant,
    pub requests: u64,
    /// To be closed as soon as no lease is out.
    pub doomed: Option<CloseReason>,
    /// To be checked before the next use, however short it was idle.
    pub suspect: bool,
    /// 0 to 1: which part of the recycle time's jitter applies.
    jitter: f64,
}

impl<K> Slot<K> {
    /// A slot whose session is being opened.
    pub fn opening(key: K, now: Instant) -> Self {
        Self {
            key,
            phase: Phase::Opening,
            leases: 0,
            opened: now,
            idle_since: now,
            alive_at: now,
            requests: 0,
            doomed: None,
            suspect: false,
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

    /// Whether age or use make it due for replacement.
    pub fn worn(&self, limits: &Limits, now: Instant) -> Option<CloseReason> {
        let recycle = limits.recycle.map(|age| age.mul_f64(1.0 - 0.1 * self.jitter));
        if recycle.is_some_and(|age| now.duration_since(self.opened) >= age) {
            Some(CloseReason::Age)
        } else if limits.max_requests.is_some_and(|most| self.requests >= most) {
            Some(CloseReason::Requests)
        } else {
            None
        }
    }

    /// Whether it was not heard of for so long that it is checked before use.
    pub fn needs_check(&self, limits: &Limits, now: Instant) -> bool {
        let heard = self.alive_at.max(self.idle_since);
        let stale = |delay: Duration| self.requests > 0 && now.duration_since(heard) >= delay;
        let first = |delay: Duration| self.requests == 0 && now.duration_since(heard) > delay;
        self.leases == 0
            && (self.suspect || limits.check_after.is_some_and(|delay| stale(delay) || first(delay)))
    }
}
