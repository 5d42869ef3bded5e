//! Takes samples of every pool for the last hour.

use std::{sync::Arc, time::Duration};

use crds::rest::History;
use futures::{StreamExt, stream};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::{id_of, known::Known, numbers::Numbers};

/// Pools that are asked at once.
const AT_ONCE: usize = 16;
/// Numbers that somebody asked for so lately are good enough for a sample.
const FRESH: Duration = Duration::from_secs(4);

/// Takes them until `stop`.
pub async fn run(known: Known, numbers: Arc<Numbers>, stop: CancellationToken) {
    let mut due = interval(History::INTERVAL);
    due.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        tokio::select! {
            _ = due.tick() => {}
            () = stop.cancelled() => return,
        }
        tokio::select! {
            () = round(&known, &numbers) => {}
            () = stop.cancelled() => return,
        }
    }
}

async fn round(known: &Known, numbers: &Arc<Numbers>) {
    if known.ready().await.is_err() {
        return;
    }
    let (pools, mut pods) = (known.pools(), known.pods());
    numbers.retain(&pools.iter().map(|pool| id_of(pool)).collect());
    stream::iter(pools)
        .map(|pool| {
            let id = id_of(&pool);
            let pods = pods.remove(&id).unwrap_or_default();
            async move {
                // Without a proxy there is nothing to be told.
                if !pods.is_empty() {
                    numbers.of(&pool, &id, pods, FRESH).await;
                    numbers.record(&pool, &id).await;
                }
            }
        })
        .buffer_unordered(AT_ONCE)
        .for_each(|()| std::future::ready(()))
        .await;
}
