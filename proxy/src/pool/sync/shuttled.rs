//! The same under shuttle's scheduler, where time is what the scheduler makes of it: a timer of less than [`NEVER`] may fire
//! before or after anything else, a longer one never does.

use std::{
    ops::{Deref, DerefMut},
    pin::pin,
    sync::PoisonError,
    time::Duration,
};

use shuttle::{
    future::yield_now,
    rand::{Rng as _, thread_rng},
};
use tokio::time::Instant;

/// What a server gets to answer in.
const NEVER: Duration = Duration::from_secs(5);
/// A timer fires after fewer turns than this.
const TURNS: u32 = 12;

pub(in crate::pool) struct Mutex<T>(shuttle::sync::Mutex<T>);

impl<T> Mutex<T> {
    pub fn new(value: T) -> Self {
        Self(shuttle::sync::Mutex::new(value))
    }

    pub fn lock(&self) -> MutexGuard<'_, T> {
        let inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        MutexGuard { inner, _released: Released }
    }
}

pub(in crate::pool) struct MutexGuard<'a, T> {
    // Dropped in this order.
    inner: shuttle::sync::MutexGuard<'a, T>,
    _released: Released,
}

/// Others may go on before the next step of whoever held the lock: shuttle itself has a turn only before the release, and
/// knows nothing of the channels.
struct Released;

impl Drop for Released {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            shuttle::thread::yield_now();
        }
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.inner
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.inner
    }
}

pub(in crate::pool) fn spawn(task: impl Future<Output = ()> + Send + 'static) {
    drop(shuttle::future::spawn(task));
}

pub(in crate::pool) async fn sleep(duration: Duration) {
    if duration >= NEVER {
        std::future::pending::<()>().await;
    }
    for _ in 0..thread_rng().gen_range(0..TURNS) {
        yield_now().await;
    }
}

pub(in crate::pool) async fn sleep_until(due: Instant) {
    sleep(due.saturating_duration_since(Instant::now())).await;
}

pub(in crate::pool) struct Elapsed;

pub(in crate::pool) async fn timeout<F: Future>(limit: Duration, work: F) -> Result<F::Output, Elapsed> {
    let mut work = pin!(work);
    tokio::select! {
        biased;
        output = &mut work => Ok(output),
        () = sleep(limit) => Err(Elapsed),
    }
}

pub(in crate::pool) async fn timeout_at<F: Future>(deadline: Instant, work: F) -> Result<F::Output, Elapsed> {
    timeout(deadline.saturating_duration_since(Instant::now()), work).await
}
