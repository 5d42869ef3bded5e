//! What the pool takes from the runtime: its lock, its tasks and its timers.
//!
//! With the feature `shuttle` each of them is a point where the scheduler of a test may let another task go on; without it
//! they are the runtime's own.

#[cfg(feature = "shuttle")]
mod shuttled;

#[cfg(not(feature = "shuttle"))]
pub(super) use parking_lot::{Mutex, MutexGuard};
#[cfg(not(feature = "shuttle"))]
pub(super) use tokio::{
    spawn,
    time::{sleep, sleep_until, timeout, timeout_at},
};

#[cfg(feature = "shuttle")]
pub(super) use self::shuttled::{Mutex, MutexGuard, sleep, sleep_until, spawn, timeout, timeout_at};
