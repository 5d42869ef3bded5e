//! What becomes of an exchange whose client went away.

use std::time::Duration;

use bytes::Bytes;

use super::exchange::Inner;

/// How long the server has to answer after a cancel.
pub const CANCEL_GRACE: Duration = Duration::from_secs(2);

/// Waits for the answer, then lets go of the slot. Without an answer within `grace` the request is cancelled and the
/// slot closed.
pub(super) async fn run(mut inner: Inner, grace: Duration) {
    see_off(&mut inner, grace).await;
    inner.forget();
}

async fn see_off(inner: &mut Inner, grace: Duration) {
    if tokio::time::timeout(grace, finish(inner)).await.is_ok() {
        return;
    }
    let session = std::sync::Arc::clone(&inner.request.session);
    let cancel = cancelled(inner.request.upstream_id, "the client disconnected");
    tokio::spawn(async move { session.notify(cancel).await });
    inner.condemn();
    let _ = tokio::time::timeout(CANCEL_GRACE, finish(inner)).await;
}

/// A cancel of one request.
pub fn cancelled(upstream_id: u64, reason: &str) -> Bytes {
    let params = serde_json::json!({ "requestId": upstream_id, "reason": reason });
    Bytes::from(format!(r#"{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{params}}}"#))
}

async fn finish(inner: &mut Inner) {
    if !std::future::poll_fn(|cx| inner.poll_rest(cx)).await {
        inner.condemn();
    }
}
