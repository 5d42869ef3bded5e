//! The one task that owns a slot's session from opening to closing.

use std::{pin::pin, sync::Arc, time::Duration};

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{
    ConnectFailure, Connector, Session,
    shared::{CLOSE_TIMEOUT, Opening, Shared},
    state::{CloseReason, SlotId},
    sync,
};

/// How long a ping may take where something else can be done.
pub(super) const CHECK_TIMEOUT: Duration = Duration::from_secs(10);

pub(super) async fn run<C: Connector>(shared: Arc<Shared<C>>, opening: Opening<C::Key>) {
    let Opening { slot, key, endpoint, close } = opening;
    let mut connecting = pin!(shared.connector.connect(&key, endpoint));
    let connected = tokio::select! {
        connected = &mut connecting => connected,
        () = close.cancelled() => {
            // A session that the server has begun is ended, not left behind.
            let closing = async {
                if let Ok(session) = connecting.await {
                    session.close().await;
                }
            };
            let _ = sync::timeout(CLOSE_TIMEOUT, closing).await;
            shared.ended(slot, |state, now, actions| state.open_cancelled(slot, now, actions));
            return;
        }
    };
    let session = match connected {
        Ok(session) => Arc::new(session),
        Err(error) => {
            let of_endpoint = error.is_of_endpoint();
            shared.ended(slot, |state, now, actions| {
                state.open_failed(slot, error, of_endpoint, fastrand::f64(), now, actions);
            });
            return;
        }
    };
    shared.opened(slot, &session);
    keep_alive(&shared, slot, session.as_ref(), &close).await;
    let _ = sync::timeout(CLOSE_TIMEOUT, session.close()).await;
    shared.ended(slot, |state, now, actions| state.closed(slot, now, actions));
}

/// Pings the session whenever it was quiet for too long, also during a call, until `close` says otherwise.
async fn keep_alive<C: Connector>(
    shared: &Arc<Shared<C>>,
    slot: SlotId,
    session: &C::Session,
    close: &CancellationToken,
) {
    let mut keepalive = shared.keepalive.subscribe();
    let mut unanswered: Option<Instant> = None;
    loop {
        let period = *keepalive.borrow_and_update();
        let due = period.map(|period| {
            let due = Instant::now() + period.saturating_sub(session.quiet_for());
            unanswered.map_or(due, |at| due.max(at + period))
        });
        tokio::select! {
            () = close.cancelled() => return,
            _ = keepalive.changed() => continue,
            () = until(due) => {}
        }
        if period.is_none_or(|period| session.quiet_for() < period) {
            continue;
        }
        tokio::select! {
            () = close.cancelled() => return,
            alive = sync::timeout(CHECK_TIMEOUT, session.check()) => match alive {
                Ok(true) => shared.checked(slot),
                // A server that works on one call may answer nothing else meanwhile.
                Err(_) if shared.doubt_if_leased(slot) => unanswered = Some(Instant::now()),
                _ => {
                    shared.update(|state, _, actions| {
                        state.suspect(slot);
                        state.condemn(slot, CloseReason::Unhealthy, actions);
                    });
                    close.cancelled().await;
                    return;
                }
            }
        }
    }
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => sync::sleep_until(due).await,
        None => std::future::pending().await,
    }
}
