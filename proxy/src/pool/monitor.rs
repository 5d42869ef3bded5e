//! The task that looks after a pool a few times a second.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use super::{Connector, shared::Shared, state::State, sync};

/// Each turn comes after a half to a whole of it, so that many proxies don't act in step.
const PERIOD: Duration = Duration::from_millis(250);

/// Starts the monitor; it ends with the pool.
pub(super) fn spawn<C: Connector>(shared: &Arc<Shared<C>>) {
    sync::spawn(run(Arc::downgrade(shared)));
}

async fn run<C: Connector>(pool: Weak<Shared<C>>) {
    loop {
        let Some(shared) = pool.upgrade() else { return };
        shared.update(State::maintain);
        let stop = shared.stop.clone();
        drop(shared);
        tokio::select! {
            () = sync::sleep(PERIOD.mul_f64(0.5 + 0.5 * fastrand::f64())) => {}
            () = stop.cancelled() => return,
        }
    }
}
