//! A client's request: what is answered here, and what goes to a slot.

use std::sync::Arc;

use bytes::Bytes;
use hyper::{
    HeaderMap, Response, StatusCode,
    header::{self, HeaderName, HeaderValue},
};
use serde_json::{Value, json, value::RawValue};
use tokio::time::Instant;

use super::{
    Gateway,
    exchange::{Call, Exchange},
    key,
};
use crate::{
    config::Config,
    downstream::{
        client::ClientSession,
        reply::{self, Reply},
    },
    mcp::{
        Message,
        envelope::Params,
        error::{code, error, result},
        logging,
        rewrite::{Edit, rewrite},
    },
    pool::{Ask, CheckoutError, CloseReason, Key, Lease, Pressure, Refusal},
    upstream::{ConnectError, HttpConnector, SessionKey, answer},
};

/// Headers that belong to one request and are passed on with it: tracing, <https://www.w3.org/TR/trace-context/>.
const PER_REQUEST: [HeaderName; 4] = [
    HeaderName::from_static("traceparent"),
    HeaderName::from_static("tracestate"),
    HeaderName::from_static("baggage"),
    HeaderName::from_static("x-request-id"),
];

/// Bytes of an upstream's refusal that are passed on.
const REFUSAL_LIMIT: usize = 1 << 20;

/// Methods that leave something behind in the session, which only a client's own slot can keep.
const NEED_OWN_SLOT: [&str; 6] = [
    "resources/subscribe",
    "resources/unsubscribe",
    "tasks/get",
    "tasks/list",
    "tasks/result",
    "tasks/cancel",
];

/// What to do after an attempt.
enum Attempt {
    Done(Response<Reply>),
    /// The session was gone and the request was not executed.
    Lost,
}

impl Gateway {
    /// Answers a request.
    #[allow(clippy::too_many_arguments)]
    pub(super) async fn request(
        &self,
        config: &Config,
        client: &Arc<ClientSession>,
        headers: &HeaderMap,
        body: &Bytes,
        id: &str,
        method: &str,
        params: Option<&RawValue>,
    ) -> Response<Reply> {
        let key = key(config, headers, &client.claims);
        match method {
            "ping" => return reply::json(StatusCode::OK, result(id, "{}")),
            "logging/setLevel" if !key.is_bound() => return set_level(client, id, params),
            _ if !key.is_bound() && NEED_OWN_SLOT.contains(&method) => {
                let message =
                    format!("{method} is not carried over a shared session; use isolation: Session");
                return reply::json(StatusCode::OK, error(Some(id), code::METHOD_NOT_FOUND, &message, None));
            }
            _ => {}
        }
        if let Some(old) = client.bound().filter(|old| *old != key) {
            self.pool.retire(&old);
            client.bind(None);
        }
        if client.take_lost() && key.is_bound() {
            return state_lost(id);
        }
        let token = Params::parse(params).meta.and_then(|meta| meta.progress_token).map(RawValue::get);
        let call = Call { message: body, id, token };
        let extra: HeaderMap =
            PER_REQUEST.iter().filter_map(|name| Some((name.clone(), headers.get(name)?.clone()))).collect();
        for _ in 0..2 {
            match self.attempt(config, client, &key, call, headers, &extra).await {
                Attempt::Done(response) => return response,
                Attempt::Lost if key.is_bound() => {
                    client.bind(None);
                    return state_lost(id);
                }
                Attempt::Lost => {}
            }
        }
        let message = "the upstream lost its session twice in a row; the request was not executed";
        unavailable(StatusCode::BAD_GATEWAY, Some(id), message, "session_lost", None)
    }

    #[allow(clippy::too_many_arguments)]
    async fn attempt(
        &self,
        config: &Config,
        client: &Arc<ClientSession>,
        key: &SessionKey,
        call: Call<'_>,
        headers: &HeaderMap,
        extra: &HeaderMap,
    ) -> Attempt {
        let deadline = Instant::now() + config.settings.timeout;
        let existing = client.bound().is_some();
        let ask = Ask { existing, affinity: self.affinity(config, client, key, headers) };
        let lease = match self.pool.checkout(key, ask, deadline).await {
            Ok(lease) => lease,
            Err(CheckoutError::Refused(Refusal::Lost)) => return Attempt::Lost,
            Err(error) => return Attempt::Done(no_slot(config, Some(call.id), &error)),
        };
        if key.is_bound() && !existing {
            client.bind(Some(key.clone()));
        }
        let grace = config.settings.disconnect_grace;
        let mut exchange = Exchange::start(lease, client, call, extra, key.is_bound(), grace);
        let response = match exchange.head().await {
            None => {
                // The client cancelled: nothing is left to wait for.
                drop(exchange.into_body());
                return Attempt::Done(reply::empty(StatusCode::ACCEPTED));
            }
            Some(Ok(response)) => response,
            Some(Err(error)) => {
                let Some((lease, _)) = exchange.into_body() else { return Attempt::Lost };
                return broken(lease, call.id, &error);
            }
        };
        if response.status() != StatusCode::OK {
            return refused(exchange, response, call.id).await;
        }
        Attempt::Done(match answer::framing(&response) {
            Ok(answer::Framing::Events) => reply::events(Reply::Events(Box::new(exchange))),
            Ok(answer::Framing::Json) => match exchange.into_json().await {
                Ok(body) => reply::json(StatusCode::OK, body),
                Err(error) => maybe_executed(call.id, &error.to_string()),
            },
            Err(error) => {
                if let Some((mut lease, _)) = exchange.into_body() {
                    lease.condemn(CloseReason::Abandoned);
                }
                maybe_executed(call.id, &error.to_string())
            }
        })
    }
}

/// The upstream refused with an HTTP status: the session may be gone; else the refusal is passed on.
async fn refused(exchange: Exchange, head: Response<()>, id: &str) -> Attempt {
    let Some((lease, body)) = exchange.into_body() else { return Attempt::Lost };
    let body = match body {
        Some(body) => answer::collect(body, REFUSAL_LIMIT).await.unwrap_or_default(),
        None => Bytes::new(),
    };
    if lease.session().is_loss(head.status(), &body) {
        lease.session().set_lost();
        lease.lost();
        return Attempt::Lost;
    }
    drop(lease);
    let status = head.status();
    let mut response = match Message::parse(&body) {
        Ok(Message::Response { id: upstream_id, .. }) => {
            let edit = (upstream_id != "null").then_some(Edit { old: upstream_id, new: id });
            reply::json(status, edit.map_or(body.clone(), |edit| rewrite(&body, &mut [edit])))
        }
        _ => {
            let status = if status.is_success() { StatusCode::BAD_GATEWAY } else { status };
            let message = format!("the upstream answered with HTTP {}", head.status());
            unavailable(status, Some(id), &message, "upstream_refused", None)
        }
    };
    for name in [header::WWW_AUTHENTICATE, header::RETRY_AFTER] {
        if let Some(value) = head.headers().get(&name) {
            response.headers_mut().insert(name, value.clone());
        }
    }
    Attempt::Done(response)
}

/// The answer when there is no slot.
pub(super) fn no_slot(
    config: &Config,
    id: Option<&str>,
    failure: &CheckoutError<ConnectError>,
) -> Response<Reply> {
    let settings = &config.settings;
    match failure {
        CheckoutError::Timeout(Pressure { size, limit, waiters, of_principal }) => {
            let (whose, raise) = if *of_principal {
                ("this principal's ", "poolMaxPerPrincipal")
            } else {
                ("", "poolMaxSize")
            };
            let message = format!(
                "no session came free within {} s: {whose}{size} of at most {limit} are in use and {waiters} more \
                 requests wait; raise {raise} or poolTimeout, or make calls shorter",
                settings.timeout.as_secs()
            );
            let data = json!({ "size": size, "limit": limit, "waiters": waiters });
            unavailable(StatusCode::SERVICE_UNAVAILABLE, id, &message, "pool_timeout", Some(data))
        }
        CheckoutError::Refused(Refusal::QueueFull) => {
            let message = format!(
                "{} requests wait for a session already; raise poolMaxSize or poolMaxWaiters, or send fewer",
                settings.max_waiters
            );
            unavailable(StatusCode::SERVICE_UNAVAILABLE, id, &message, "queue_full", None)
        }
        CheckoutError::Refused(refusal) => {
            unavailable(StatusCode::SERVICE_UNAVAILABLE, id, &refusal.to_string(), "refused", None)
        }
        CheckoutError::Connect(ConnectError::Unauthorized { status, challenge, .. }) => {
            let mut response =
                reply::failure(*status, id, code::SERVER, "the upstream refused the credentials");
            if let Some(challenge) = challenge {
                response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge.clone());
            }
            response
        }
        CheckoutError::Connect(error) => {
            unavailable(StatusCode::SERVICE_UNAVAILABLE, id, &error.to_string(), "upstream_unreachable", None)
        }
    }
}

/// A shared slot's level is everyone's: each client's own is kept here, and applied to what the slot sends.
fn set_level(client: &ClientSession, id: &str, params: Option<&RawValue>) -> Response<Reply> {
    let severity = Params::parse(params).level.and_then(|level| logging::severity(&level));
    let body = if let Some(severity) = severity {
        client.set_least_severity(severity);
        result(id, "{}")
    } else {
        let message = format!("logging/setLevel needs params with level, one of {}", logging::list());
        error(Some(id), code::INVALID_PARAMS, &message, None)
    };
    reply::json(StatusCode::OK, body)
}

/// The connection failed before a response came.
fn broken(lease: Lease<HttpConnector>, id: &str, error: &hyper_util::client::legacy::Error) -> Attempt {
    let nothing_sent = error.is_connect();
    let reason = crate::upstream::error::root_cause(error);
    lease.lost();
    if nothing_sent { Attempt::Lost } else { Attempt::Done(maybe_executed(id, &reason)) }
}

fn maybe_executed(id: &str, reason: &str) -> Response<Reply> {
    let message = format!("the upstream's answer was lost ({reason}); the request may have been executed");
    let data = json!({ "executed": "unknown" });
    unavailable(StatusCode::BAD_GATEWAY, Some(id), &message, "answer_lost", Some(data))
}

/// Told once: what the client had in its session is gone, and the next request starts afresh.
fn state_lost(id: &str) -> Response<Reply> {
    let message = "the server session that held this client's state is gone; this request was not executed, \
                   the next one starts a fresh session";
    let data = json!({ "reason": "session_state_lost" });
    reply::json(StatusCode::OK, error(Some(id), code::SERVER, message, Some(data)))
}

fn unavailable(
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
