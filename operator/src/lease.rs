//! Leadership. One replica runs, so it leads from the start and never stops; what an election changes stays in here.

use crate::metrics::Metrics;

/// The right to act on pools. It holds as long as [`Lease::lost`] has not returned.
#[derive(Debug)]
pub struct Lease(());

impl Lease {
    /// Waits until this process may act.
    #[expect(clippy::unused_async, reason = "an election waits here")]
    pub async fn acquire(metrics: &Metrics) -> Self {
        metrics.leader.set(1);
        Self(())
    }

    /// Returns when another process may act: the caller must end then.
    pub async fn lost(&self) {
        std::future::pending::<()>().await;
    }
}
