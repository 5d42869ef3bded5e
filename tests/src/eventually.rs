//! Polling for a state, in place of sleeping for a time.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};

const SHORTEST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_millis(250);

/// Calls `check` until it succeeds and returns what it returned.
///
/// `check` describes the state it found as its error, so that the last state is part of the failure.
///
/// # Errors
/// When `timeout` has passed: the last error of `check`, with `what` was waited for.
pub async fn eventually<T>(
    timeout: Duration,
    what: &str,
    mut check: impl AsyncFnMut() -> Result<T>,
) -> Result<T> {
    let deadline = Instant::now() + timeout;
    let mut pause = SHORTEST_PAUSE;
    let mut last_state = None;
    loop {
        // A check that hangs must not outlive the deadline; the first gets the whole time.
        let left = deadline.saturating_duration_since(Instant::now());
        match tokio::time::timeout(left, check()).await {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(state)) => last_state = Some(state),
            Err(_) => {}
        }
        if Instant::now() + pause >= deadline {
            let state = last_state.unwrap_or_else(|| anyhow::anyhow!("the check itself did not end"));
            return Err(state).with_context(|| format!("waited {} s for {what}", timeout.as_secs_f32()));
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}
