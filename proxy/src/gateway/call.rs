//! A client's request: what is answered here, and what goes to a slot.

use std::sync::Arc;

use bytes::Bytes;
use hyper::{
    HeaderMap, Response, StatusCode,
    header::{self, HeaderName, HeaderValue},
};
use serde_json::value::RawValue;
use tokio::time::Instant;

use super::{
    Gateway,
    affinity::affinity,
    claim::{self, Claim},
    control,
    exchange::{Call, Exchange, Head},
    repeat::Repeat,
    ties, trouble,
};
use crate::{
    config::Config,
    downstream::{
        client::{ClientSession, Halt},
        reply::{self, Reply},
    },
    mcp::{
        Message,
        envelope::Params,
        error::{code, error, result},
        rewrite::{Edit, rewrite},
    },
    pool::{Ask, CheckoutError, CloseReason, Key, PinReason, Refusal},
    trace::RequestSpan,
    upstream::{
        SessionKey,
        answer::{self, AnswerError},
    },
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

/// Methods that mean what was left in one session, which only a client's own slot can keep.
const NEED_OWN_SLOT: [&str; 4] = ["tasks/get", "tasks/list", "tasks/result", "tasks/cancel"];

/// What an attempt came to.
enum Attempt {
    Done(Response<Reply>),
    /// The configuration has changed since the key was worked out.
    Outdated,
    /// What held the client's state was gone before; the request was not executed.
    StateGone,
    /// The session was gone, and with it what the client had in it, if it had; the request was not executed.
    Lost {
        state: bool,
    },
    /// There was no connection; the session may live on.
    Unsent,
    /// The answer is gone; the request may have been executed.
    Unknown(String),
}

/// What a request is to the pool.
struct Errand<'a> {
    config: &'a Arc<Config>,
    client: &'a Arc<ClientSession>,
    key: SessionKey,
    ask: Ask,
    call: Call<'a>,
    pin: Option<PinReason>,
    extra: HeaderMap,
}

impl Gateway {
    /// Answers a request.
    #[allow(clippy::too_many_arguments)]
    pub(super) async fn request(
        self: &Arc<Self>,
        client: &Arc<ClientSession>,
        headers: &HeaderMap,
        body: &Bytes,
        id: &str,
        method: &str,
        params: Option<&RawValue>,
        span: Option<&RequestSpan>,
    ) -> Response<Reply> {
        loop {
            let config = self.config.load_full();
            let key = self.key_of(&config, client, headers);
            if let Some(response) = self.answer_here(&config, client, &key, id, method, params).await {
                return response;
            }
            let affinity = affinity(&config, client, &key, headers);
            if !self.is_draining() && client.take_lost() && (key.is_bound() || affinity.is_some()) {
                return self.state_lost(client, id);
            }
            let parsed = Params::parse(params);
            let pin = if key.is_bound() { None } else { config.pins(method, &parsed) };
            let token = parsed.meta.and_then(|meta| meta.progress_token).map(RawValue::get);
            let errand = Errand {
                config: &config,
                client,
                ask: Ask { existing: client.bound().is_some(), affinity },
                key,
                call: Call { message: body, id, token, span, resends: 0 },
                pin,
                extra: PER_REQUEST
                    .iter()
                    .filter_map(|name| Some((name.clone(), headers.get(name)?.clone())))
                    .collect(),
            };
            if let Some(response) = self.run(errand, method, params).await {
                return response;
            }
            tokio::task::yield_now().await;
        }
    }

    /// What is answered without a slot: requests that mean the client's session, where the server's is shared.
    async fn answer_here(
        self: &Arc<Self>,
        config: &Config,
        client: &Arc<ClientSession>,
        key: &SessionKey,
        id: &str,
        method: &str,
        params: Option<&RawValue>,
    ) -> Option<Response<Reply>> {
        if method == "ping" {
            return Some(reply::json(StatusCode::OK, result(id, "{}")));
        }
        if key.is_bound() {
            if method == "logging/setLevel" {
                Self::note_level(client, params);
            }
            return None;
        }
        match method {
            "logging/setLevel" => Some(self.set_level(client, key, id, params)),
            "resources/subscribe" | "resources/unsubscribe" if config.is_many => {
                Some(not_carried(id, method))
            }
            "resources/subscribe" | "resources/unsubscribe" => {
                // A resource that is in one session only is subscribed to there.
                if config.pins(method, &Params::parse(params)).is_some() {
                    return None;
                }
                Some(self.subscription(config, client, key, id, method, params).await)
            }
            _ if NEED_OWN_SLOT.contains(&method) => Some(not_carried(id, method)),
            _ => None,
        }
    }

    /// Tries twice at most; none if the configuration has changed and nothing was sent.
    async fn run(
        self: &Arc<Self>,
        mut errand: Errand<'_>,
        method: &str,
        params: Option<&RawValue>,
    ) -> Option<Response<Reply>> {
        let (client, id) = (errand.client, errand.call.id);
        for round in 0..2 {
            errand.call.resends = round;
            match self.attempt(&mut errand).await {
                Attempt::Done(response) => return Some(response),
                Attempt::Outdated => return None,
                // Its slot goes on under another name, or is not its own any more.
                Attempt::StateGone if self.has_changed(&errand) => return None,
                Attempt::StateGone => return Some(self.state_lost(client, id)),
                Attempt::Lost { state } => {
                    if let Some(affinity) = errand.ask.affinity {
                        self.pool.told(affinity);
                    }
                    if state {
                        return Some(self.state_lost(client, id));
                    }
                    self.requests.count_repeat();
                }
                Attempt::Unsent => self.requests.count_repeat(),
                Attempt::Unknown(reason) => {
                    let again = round == 0
                        && self.may_repeat(errand.config, &errand.key, errand.ask, method, params).await;
                    if !again {
                        let lost = trouble::answer_lost(id, &reason);
                        return Some(reply::json(StatusCode::BAD_GATEWAY, lost));
                    }
                    self.requests.count_repeat();
                }
            }
        }
        let message = "the upstream lost its session twice in a row; the request was not executed";
        Some(trouble::unavailable(StatusCode::BAD_GATEWAY, Some(id), message, "session_lost", None))
    }

    fn state_lost(&self, client: &ClientSession, id: &str) -> Response<Reply> {
        client.bind(None);
        self.requests.count_state_loss();
        reply::json(StatusCode::OK, trouble::state_lost(id))
    }

    /// Whether the key would be worked out otherwise now.
    fn has_changed(&self, errand: &Errand<'_>) -> bool {
        let renamed = errand.client.bound().is_some_and(|bound| bound != errand.key);
        renamed || !Arc::ptr_eq(errand.config, &self.config.load())
    }

    async fn attempt(self: &Arc<Self>, errand: &mut Errand<'_>) -> Attempt {
        let Errand { config, client, call, .. } = *errand;
        let deadline = Instant::now() + config.settings.timeout;
        let claim = Claim::on(&self.pool, &errand.key, Some(client));
        let queueing = client.queue(call.id);
        let checkout = tokio::select! {
            checkout = self.checkout(call.span, &errand.key, errand.ask, deadline) => checkout,
            () = queueing.cancelled() => return Attempt::Done(halted(call.id, Halt::Cancelled)),
        };
        let mut lease = match checkout {
            Ok(lease) => lease,
            Err(CheckoutError::Refused(Refusal::Lost)) => return Attempt::StateGone,
            Err(CheckoutError::Refused(Refusal::Outdated)) => return Attempt::Outdated,
            Err(error) => return Attempt::Done(trouble::no_slot(self, config, Some(call.id), &error)),
        };
        claim.settle();
        if errand.key.is_bound() && !errand.ask.existing {
            client.bind(Some(errand.key.clone()));
            errand.ask.existing = true;
        }
        if let Some(reason) = errand.pin.take() {
            let own = errand.key.owned_by(client.claims.id);
            if lease.pin(&own, reason) {
                claim::take(&mut lease, client, own.clone());
                errand.key = own;
                errand.ask = Ask { existing: true, affinity: None };
            } else if client.bound().as_ref() == Some(&own) {
                // Another of the client's requests has pinned a slot meanwhile: this one belongs there too.
                drop(queueing);
                lease.unused();
                errand.key = own;
                errand.ask = Ask { existing: true, affinity: None };
                return Box::pin(self.attempt(errand)).await;
            }
        }
        if errand.key.is_bound() && client.ended.is_cancelled() {
            // It ended while this request waited: nobody else gives the slot up.
            lease.condemn(CloseReason::Retired);
        }
        if !errand.key.is_bound()
            && let Some(level) = self.audience(client, &errand.key).level()
        {
            control::set_level(lease.session(), level).await;
        }
        if queueing.is_cancelled() {
            lease.unused();
            return Attempt::Done(halted(call.id, Halt::Cancelled));
        }
        let grace = config.settings.disconnect_grace;
        let ties = ties(&errand.key, errand.ask, &lease);
        let mut exchange = Exchange::start(lease, &errand.key, client, call, &errand.extra, ties, grace);
        let response = match exchange.head().await {
            Head::Halted(halt) => {
                drop(exchange.into_body());
                return Attempt::Done(halted(call.id, halt));
            }
            Head::Response(response) => response,
            Head::Failed(error) => {
                let Some((lease, _)) = exchange.into_body() else { return Attempt::Unsent };
                trouble::broken(lease, ties.state);
                let reason = crate::upstream::error::root_cause(&error);
                return if error.is_connect() { Attempt::Unsent } else { Attempt::Unknown(reason) };
            }
        };
        if response.status() != StatusCode::OK {
            return refused(exchange, response, call.id, ties.state).await;
        }
        match answer::framing(&response) {
            Ok(answer::Framing::Events) => {
                exchange.repeat_with(Repeat {
                    gateway: Arc::clone(self),
                    config: Arc::clone(config),
                    client: Arc::clone(client),
                    key: errand.key.clone(),
                    ask: errand.ask,
                    message: call.message.clone(),
                    extra: std::mem::take(&mut errand.extra),
                    span: call.span.cloned(),
                    resends: call.resends + 1,
                });
                if let Some(span) = call.span {
                    exchange.carry(span.clone());
                }
                Attempt::Done(reply::events(match exchange.whole().await {
                    Some(whole) => Reply::Full(Some(whole)),
                    None => Reply::Events(Box::new(exchange)),
                }))
            }
            Ok(answer::Framing::Json) => match exchange.into_json().await {
                Ok(body) => Attempt::Done(reply::json(StatusCode::OK, body)),
                Err(AnswerError::Halted(halt)) => Attempt::Done(halted(call.id, halt)),
                Err(error) => Attempt::Unknown(error.to_string()),
            },
            Err(error) => {
                if let Some((mut lease, _)) = exchange.into_body() {
                    lease.condemn(CloseReason::Abandoned);
                }
                Attempt::Unknown(error.to_string())
            }
        }
    }
}

/// The answer to a request that is not waited for any longer.
fn halted(id: &str, halt: Halt) -> Response<Reply> {
    match halt {
        // The client has said that it wants no answer.
        Halt::Cancelled => reply::empty(StatusCode::ACCEPTED),
        Halt::Drained => {
            let mut response = reply::json(StatusCode::SERVICE_UNAVAILABLE, trouble::drained(id));
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            response
        }
    }
}

/// The upstream refused with an HTTP status: the session may be gone; else the refusal is passed on.
async fn refused(exchange: Exchange, head: Response<()>, id: &str, state: bool) -> Attempt {
    let Some((mut lease, body)) = exchange.into_body() else { return Attempt::Unsent };
    let body = match body {
        Some(body) => answer::collect(body, REFUSAL_LIMIT).await.unwrap_or_default(),
        None => Bytes::new(),
    };
    if lease.session().is_loss(head.status(), &body) {
        lease.session().set_lost();
        lease.lost();
        return Attempt::Lost { state };
    }
    let mut status = head.status();
    if status.is_server_error() {
        lease.failed();
    }
    drop(lease);
    if status == StatusCode::NOT_FOUND {
        // To the client it would say that its own session is gone.
        status = StatusCode::BAD_GATEWAY;
    }
    let mut response = match Message::parse(&body) {
        Ok(Message::Response { id: upstream_id, .. }) => {
            let edit = (upstream_id != "null").then_some(Edit { old: upstream_id, new: id });
            reply::json(status, edit.map_or(body.clone(), |edit| rewrite(&body, &mut [edit])))
        }
        _ => {
            let status = if status.is_success() { StatusCode::BAD_GATEWAY } else { status };
            let message = format!("the upstream answered with HTTP {}", head.status());
            trouble::unavailable(status, Some(id), &message, "upstream_refused", None)
        }
    };
    for name in [header::WWW_AUTHENTICATE, header::RETRY_AFTER] {
        if let Some(value) = head.headers().get(&name) {
            response.headers_mut().insert(name, value.clone());
        }
    }
    Attempt::Done(response)
}

fn not_carried(id: &str, method: &str) -> Response<Reply> {
    let message = format!("{method} is not carried over a shared session; use isolation: Session");
    reply::json(StatusCode::OK, error(Some(id), code::METHOD_NOT_FOUND, &message, None))
}
