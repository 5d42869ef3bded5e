//! What clients are told when a request comes to nothing.

use bytes::Bytes;
use hyper::{
    Response, StatusCode,
    header::{self, HeaderValue},
};
use serde_json::{Value, json};

use super::Gateway;
use crate::{
    config::Config,
    downstream::reply::{self, Reply},
    mcp::error::{code, error},
    pool::{CheckoutError, Lease, Pressure, Refusal},
    upstream::{ConnectError, HttpConnector},
};

/// The answer when there is no slot.
pub(super) fn no_slot(
    gateway: &Gateway,
    config: &Config,
    id: Option<&str>,
    failure: &CheckoutError<ConnectError>,
) -> Response<Reply> {
    let settings = &config.settings;
    let busy =
        |message: &str, reason, data| unavailable(StatusCode::SERVICE_UNAVAILABLE, id, message, reason, data);
    match failure {
        CheckoutError::Timeout(Pressure { size, limit, waiters, of_principal }) => {
            let (whose, raise) = if *of_principal {
                (" of this principal", "poolMaxPerPrincipal")
            } else {
                ("", "poolMaxSize")
            };
            let message = format!(
                "no session came free within {} s: {size} of at most {limit}{whose} are in use and {waiters} more \
                 requests wait; raise {raise} or poolTimeout, or make calls shorter",
                settings.timeout.as_secs()
            );
            busy(&message, "pool_timeout", Some(json!({ "size": size, "limit": limit, "waiters": waiters })))
        }
        CheckoutError::Refused(Refusal::QueueFull) => {
            let message = format!(
                "{} requests wait for a session already; raise poolMaxSize or poolMaxWaiters, or send fewer",
                settings.max_waiters
            );
            busy(&message, "queue_full", None)
        }
        CheckoutError::Refused(Refusal::Draining) => draining(gateway, id),
        CheckoutError::Refused(Refusal::NoEndpoint) => {
            busy(&ConnectError::NoEndpoint.to_string(), "upstream_unreachable", None)
        }
        CheckoutError::Refused(refusal) => busy(&refusal.to_string(), "refused", None),
        CheckoutError::Connect(ConnectError::Unauthorized { status, challenge, .. }) => {
            let mut response =
                reply::failure(*status, id, code::SERVER, "the upstream refused the credentials");
            if let Some(challenge) = challenge {
                response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge.clone());
            }
            response
        }
        CheckoutError::Connect(error) => busy(&error.to_string(), "upstream_unreachable", None),
    }
}

/// The pool takes no new work, which is counted; this request was not executed.
pub(super) fn draining(gateway: &Gateway, id: Option<&str>) -> Response<Reply> {
    gateway.requests.count_drain_refusal();
    let message =
        "the pool is drained and takes no new work until it is resumed; this request was not executed";
    unavailable(StatusCode::SERVICE_UNAVAILABLE, id, message, "draining", None)
}

/// A drain's deadline came before the answer.
pub(super) fn drained(id: &str) -> Bytes {
    let message =
        "the pool was drained and its deadline came before the answer; the request may have been executed";
    let data = json!({ "reason": "drain_deadline", "executed": "unknown" });
    error(Some(id), code::SERVER, message, Some(data))
}

/// The request was sent and its answer is gone.
pub(crate) fn answer_lost(id: &str, reason: &str) -> Bytes {
    let message = format!("the upstream's answer was lost ({reason}); the request may have been executed");
    let data = json!({ "reason": "answer_lost", "executed": "unknown" });
    error(Some(id), code::SERVER, &message, Some(data))
}

/// Told once: what the client had in its session is gone, and the next request starts afresh.
pub(super) fn state_lost(id: &str) -> Bytes {
    let message = "the server session that held this client's state is gone; this request was not executed, \
                   the next one starts a fresh session";
    let data = json!({ "reason": "session_state_lost" });
    error(Some(id), code::SERVER, message, Some(data))
}

/// A JSON-RPC error with its reason; 503 comes with the advice to try again.
pub(super) fn unavailable(
    status: StatusCode,
    id: Option<&str>,
    message: &str,
    reason: &str,
    data: Option<Value>,
) -> Response<Reply> {
    let mut data = data.unwrap_or_else(|| json!({}));
    data["reason"] = reason.into();
    let mut response = reply::json(status, error(id, code::SERVER, message, Some(data)));
    if status == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

/// The connection broke under a request. A session that holds a client's state may have outlived it, and is asked before its
/// next use; any other is replaced.
pub(super) fn broken(mut lease: Lease<HttpConnector>, holds_state: bool) {
    lease.failed();
    if holds_state {
        lease.doubted();
    } else {
        lease.lost();
    }
}
